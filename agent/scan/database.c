/* SPDX-License-Identifier: Apache-2.0 */
/*
 * database.c - the patterns of the distinctive kinds, compiled once (config
 * role, CLI), serialised, and taken up by each scanner. Trust: patterns are
 * ours; a serialised database comes from the snapshot and is checked: right
 * patterns (fingerprint), then Hyperscan's own checks of content and CPU.
 */
#include <errno.h>

#include "engine.h"

#define MAGIC 0x3142445347475aULL /* "ZGGSDB1" */

/* Before the serialised database; host byte order, it never leaves the host. */
struct header {
	uint64_t magic;
	uint32_t patterns;    /* how many */
	uint32_t fingerprint; /* CRC-32 of their texts and flags */
	uint32_t bytes;	      /* that follow */
	uint32_t crc;	      /* of them; Hyperscan's own leaves some out */
};
_Static_assert(sizeof(struct header) == 24, "no padding");

/* X(regex, flags, width, detector, verifier). Matches have one fixed width.
 * Spelt out instead of caseless: that halves Hyperscan's speed. */
#define PATTERNS(X)                                                                                \
	X("(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}", 0, 20, AWS_ACCESS_KEY, zg_verify_aws_access)      \
	X("secret_access_key", 0, 17, AWS_SECRET_KEY, zg_verify_aws_secret)                        \
	X("SECRET_ACCESS_KEY", 0, 17, AWS_SECRET_KEY, zg_verify_aws_secret)                        \
	X("ecretAccessKey", 0, 14, AWS_SECRET_KEY, zg_verify_aws_secret)                           \
	X("ecret [Aa]ccess [Kk]ey", 0, 16, AWS_SECRET_KEY, zg_verify_aws_secret)                   \
	X("aws_secret_key", 0, 14, AWS_SECRET_KEY, zg_verify_aws_secret)                           \
	X("AWS_SECRET_KEY", 0, 14, AWS_SECRET_KEY, zg_verify_aws_secret)                           \
	X("AIza[0-9A-Za-z_-]{4}", 0, 8, GCP_API_KEY, zg_verify_gcp)                                \
	X("(?:\\+ASt|\\+ABa|\\+AMC|ACDb|APIM)[0-9A-Za-z+/]{5}[AQgw]==", 0, 12, AZURE_KEY,          \
	  zg_verify_azure)                                                                         \
	X("(?:\\+AEh|\\+ASb|\\+ARm|AIoT|AzCa)[A-P][0-9A-Za-z+/]{5}=", 0, 11, AZURE_KEY,            \
	  zg_verify_azure)                                                                         \
	X("(?:AzSe|\\+ACR)[A-D][0-9A-Za-z+/]{5}", 0, 10, AZURE_KEY, zg_verify_azure)               \
	X("AzFu[0-9A-Za-z_-]{5}[AQgw]==", 0, 12, AZURE_KEY, zg_verify_azure)                       \
	X("gh[pousr]_[0-9A-Za-z]{4}", 0, 8, GITHUB_TOKEN, zg_verify_github)                        \
	X("github_pat_[0-9A-Za-z]{4}", 0, 15, GITHUB_TOKEN, zg_verify_github_pat)                  \
	X("xox[abeoprs][-.][0-9a-z]", 0, 6, SLACK_TOKEN, zg_verify_slack)                          \
	X("xapp-[0-9]-A", 0, 8, SLACK_TOKEN, zg_verify_slack)                                      \
	X("npm_[0-9A-Za-z]{4}", 0, 8, NPM_TOKEN, zg_verify_npm)                                    \
	X("-----BEGIN ", 0, 11, PRIVATE_KEY, zg_verify_pem)                                        \
	X("eyJ[0-9A-Za-z_-]{5}", 0, 8, JWT, zg_verify_jwt)

const struct zg_pattern zg_patterns[] = {
#define X(regex, flags, width, detector, verify) {regex, flags, width, ZG_DET_##detector, verify},
	PATTERNS(X)
#undef X
};
const unsigned zg_pattern_count = sizeof(zg_patterns) / sizeof(zg_patterns[0]);

static struct header expected(void)
{
#define X(regex, flags, width, detector, verify) regex "/" #flags "/" #width "\n"
	static const char texts[] = PATTERNS(X);
#undef X

	return (struct header){.magic = MAGIC,
			       .patterns = zg_pattern_count,
			       .fingerprint = zg_crc32(texts, sizeof(texts))};
}

static void free_db(hs_database_t **db)
{
	if (*db)
		(void)hs_free_database(*db);
}

static void free_bytes(char **bytes)
{
	free(*bytes); /* Hyperscan's allocator was never changed */
}

int zg_scandb_build(struct zg_buf *out, struct zg_err *e)
{
	enum { N = sizeof(zg_patterns) / sizeof(zg_patterns[0]) };
	const char *regex[N];
	unsigned flags[N], id[N];
	ZG_CLEANUP(free_db) hs_database_t *db = NULL;
	ZG_CLEANUP(free_bytes) char *bytes = NULL;
	hs_compile_error_t *error = NULL;
	struct header h = expected();
	size_t n = 0;

	for (unsigned i = 0; i < N; i++) {
		regex[i] = zg_patterns[i].regex;
		flags[i] = zg_patterns[i].flags;
		id[i] = i;
	}
	if (hs_compile_multi(regex, flags, id, N, HS_MODE_BLOCK, NULL, &db, &error) != HS_SUCCESS) {
		int r = zg_err_set(e, EINVAL, "scanner: the patterns do not compile: %s",
				   error && error->message ? error->message : "no reason given");

		(void)hs_free_compile_error(error);
		return r;
	}
	if (hs_serialize_database(db, &bytes, &n) != HS_SUCCESS)
		return zg_err_set(e, ENOMEM, "scanner: the pattern database cannot be serialised");
	h.bytes = (uint32_t)n;
	h.crc = zg_crc32(bytes, n);
	zg_buf_add(out, &h, sizeof(h));
	zg_buf_add(out, bytes, n);
	return out->error ? zg_err_set(e, -out->error, "scanner: the pattern database is too large")
			  : 0;
}

int zg_scanner_new(struct zg_scanner **out, const void *db, size_t bytes, struct zg_err *e)
{
	const struct header want = expected();
	struct zg_scanner *s;
	struct header h;

	if (bytes < sizeof(h))
		return zg_err_set(e, EBADMSG, "scanner: the pattern database is cut short");
	memcpy(&h, db, sizeof(h));
	if (h.magic != want.magic || h.patterns != want.patterns ||
	    h.fingerprint != want.fingerprint)
		return zg_err_set(e, EBADMSG, "scanner: the pattern database is of another build");
	if (h.bytes != bytes - sizeof(h) ||
	    h.crc != zg_crc32((const char *)db + sizeof(h), bytes - sizeof(h)))
		return zg_err_set(e, EBADMSG, "scanner: the pattern database is damaged");
	s = calloc(1, sizeof(*s));
	if (!s)
		return zg_err_set(e, ENOMEM, "scanner: out of memory");
	s->members = ZG_BUF(ZG_JSON_MEMBERS * sizeof(struct zg_member));
	if (hs_deserialize_database((const char *)db + sizeof(h), bytes - sizeof(h), &s->db) !=
	    HS_SUCCESS) {
		zg_scanner_free(s);
		return zg_err_set(e, EBADMSG,
				  "scanner: the pattern database is of another kind of CPU");
	}
	if (hs_alloc_scratch(s->db, &s->scratch) != HS_SUCCESS) {
		zg_scanner_free(s);
		return zg_err_set(e, ENOMEM, "scanner: no scratch memory");
	}
	*out = s;
	return 0;
}

void zg_scanner_free(struct zg_scanner *s)
{
	if (!s)
		return;
	if (s->scratch)
		(void)hs_free_scratch(s->scratch);
	free_db(&s->db);
	zg_layer_release(&s->layer);
	zg_findings_release(&s->layer_found);
	free(s->text);
	zg_buf_release(&s->members);
	free(s);
}
