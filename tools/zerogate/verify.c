/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verify.c - zerogate audit verify: reads segments of the audit log from end
 * to end and names the first record that does not hold (format and rules:
 * base/chain.h). Trust: the files may have been changed by anyone. Reads one
 * line at a time and never writes.
 */
#include "verify.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <openssl/pem.h>
#include <poll.h>
#include <sys/stat.h>

#include "buf.h"
#include "build.h"
#include "chain.h"
#include "policy.h"
#include "segments.h"

#define DEFAULT_DIR "/var/lib/zerogate/audit"
#define PUB_FILE    "audit.pub"
#define LIVE_TRIES  100 /* of 10 ms: a ledger that runs completes its line */

struct place {
	const char *file;
	uint64_t line;
	uint64_t seq;
};

struct verify {
	const struct zg_cli *cli;
	struct zg_chain chain;
	struct place at;
	struct place before; /* the line before: a hash that does not match accuses it */
	const char *why;     /* NULL = all is well so far */
};

static int usage(void)
{
	fputs("usage: zerogate audit verify [--pubkey FILE] [--dir DIR | DIR | FILE...]\n", stderr);
	return ZG_EXIT_USAGE;
}

/* --- one file ---------------------------------------------------------------------- */

struct reader {
	int fd;
	size_t start; /* of what is not consumed */
	size_t end;
	char bytes[4 * ZG_CHAIN_LINE_MAX];
};

/* More bytes. 1, 0 at the end, -errno. */
static int read_more(struct reader *r)
{
	ssize_t n;

	memmove(r->bytes, r->bytes + r->start, r->end - r->start);
	r->end -= r->start;
	r->start = 0;
	do
		n = read(r->fd, r->bytes + r->end, sizeof(r->bytes) - r->end);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	r->end += (size_t)n;
	return n > 0;
}

/* Half a line at the end: a running ledger may be about to write the rest. */
static int read_rest(struct reader *r, bool last)
{
	int rc = read_more(r);

	for (int i = 0; rc == 0 && last && r->end > r->start && i < LIVE_TRIES; i++) {
		(void)poll(NULL, 0, 10);
		rc = read_more(r);
	}
	return rc;
}

static void accuse(struct verify *v, const char *why)
{
	v->why = why;
	if (strncmp(why, "hash-mismatch", 13) == 0 && v->before.line)
		v->at = v->before;
}

static void check_line(struct verify *v, struct zg_slice line)
{
	struct zg_chain_line parsed;
	const char *why;

	v->at.line++;
	v->at.seq = zg_chain_parse(line, &parsed) == 0 ? parsed.seq : 0;
	why = zg_chain_next(&v->chain, line);
	if (why)
		accuse(v, why);
	else
		v->before = v->at;
}

static int check_file(struct verify *v, int dir, const char *name, bool last)
{
	static struct reader r;
	zg_autofd int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	int rc = fd < 0 ? -errno : 1;

	r = (struct reader){.fd = fd};
	v->at = (struct place){.file = name};
	while (rc > 0 && !v->why) {
		const char *from = r.bytes + r.start;
		const char *newline = memchr(from, '\n', r.end - r.start);

		if (newline) {
			check_line(v, (struct zg_slice){from, (size_t)(newline - from)});
			r.start = (size_t)(newline + 1 - r.bytes);
		} else if (r.end - r.start > ZG_CHAIN_LINE_MAX) {
			v->at.line++;
			v->why = "bad-json: a line longer than the ledger writes";
		} else {
			rc = read_rest(&r, last);
		}
	}
	if (rc == 0 && r.end > r.start) {
		v->at.line++;
		v->at.seq = 0;
		v->why = "torn-tail: the file ends inside a line";
	}
	return rc;
}

/* --- which files ------------------------------------------------------------------- */

/* "DIR/audit.pub", or beside the first file. */
static char *default_key(const char *path, bool is_dir)
{
	const char *slash = is_dir ? NULL : strrchr(path, '/');
	int n = is_dir ? (int)strlen(path) : slash ? (int)(slash - path) : 1;
	char *out = NULL;

	if (asprintf(&out, "%.*s/" PUB_FILE, n, is_dir || slash ? path : ".") < 0)
		return NULL;
	return out;
}

char *zg_audit_dir(const char *path)
{
	zg_autofd int fd = open(path, O_RDONLY | O_CLOEXEC);
	zg_autobuf text = ZG_BUF(ZG_CONFIG_FILE_BYTES);
	const char *slash = strrchr(path, '/');
	struct zg_diag diag = {0};
	struct zg_build *b;
	char *out = NULL;
	int rc = fd < 0 ? -errno : zg_buf_read(&text, fd);

	if (rc < 0) {
		fprintf(stderr, "zerogate: cannot read %s: %s\n", path, strerror(-rc));
		return NULL;
	}
	b = zg_build_new(&diag);
	if (b) {
		zg_build_add(b, ZG_CF_MAIN, path, zg_buf_slice(&text));
		if (!diag.errors) {
			const char *state = zg_build_settings(b)->state_dir;
			int n = state[0] == '/' || !slash ? 0 : (int)(slash - path + 1);

			if (asprintf(&out, "%.*s%s/audit", n, path, state) < 0)
				out = NULL;
		}
	}
	zg_policy_print_diag(stderr, &diag);
	zg_build_free(b);
	zg_diag_release(&diag);
	return out;
}

static EVP_PKEY *read_key(const char *path)
{
	zg_autofile FILE *f = path ? fopen(path, "re") : NULL;
	EVP_PKEY *key = f ? PEM_read_PUBKEY(f, NULL, NULL, NULL) : NULL;

	if (key && EVP_PKEY_get_id(key) == EVP_PKEY_ED25519)
		return key;
	EVP_PKEY_free(key);
	fprintf(stderr,
		"zerogate: cannot read the public key %s: %s\n"
		"  Without it signatures cannot be checked; name it with --pubkey FILE.\n",
		path ? path : "", f ? "not an Ed25519 key" : strerror(errno));
	return NULL;
}

/* The key named, or the one beside the log. NULL after saying why. */
static EVP_PKEY *find_key(const char *named, const char *dir, const char *file)
{
	zg_autofree char *beside = named ? NULL : default_key(dir ? dir : file, dir != NULL);

	return read_key(named ? named : beside);
}

/* --- the answer ---------------------------------------------------------------------- */

static int report(const struct verify *v, size_t files)
{
	const struct zg_chain *c = &v->chain;
	zg_autobuf b = ZG_BUF(65536);

	if (v->cli->json && v->why) {
		zg_buf_str(&b, "{\"good\":false,\"segment\":");
		zg_buf_json(&b, zg_slice_str(v->at.file));
		zg_buf_fmt(&b, ",\"line\":%llu,\"seq\":%llu,\"why\":\"%s\"}",
			   (unsigned long long)v->at.line, (unsigned long long)v->at.seq, v->why);
	} else if (v->cli->json) {
		zg_buf_fmt(&b,
			   "{\"good\":true,\"records\":%llu,\"segments\":%zu,\"checkpoints\":%llu,"
			   "\"unsigned\":%llu}",
			   (unsigned long long)c->lines, files, (unsigned long long)c->checkpoints,
			   (unsigned long long)c->unsigned_);
	} else if (v->why) {
		fputs("broken: ", stdout);
		zg_print_safe(stdout, v->at.file);
		printf(" line %llu", (unsigned long long)v->at.line);
		if (v->at.seq)
			printf(" (record %llu)", (unsigned long long)v->at.seq);
		printf(": %s\n", v->why);
	} else {
		printf("good: %llu records in %zu segment%s, %llu signed checkpoints, "
		       "%llu records after the last\n",
		       (unsigned long long)c->lines, files, files == 1 ? "" : "s",
		       (unsigned long long)c->checkpoints, (unsigned long long)c->unsigned_);
	}
	if (zg_buf_ok(&b) && b.len)
		printf("%.*s\n", (int)b.len, b.ptr);
	return v->why ? ZG_EXIT_NO : ZG_EXIT_OK;
}

static int run(struct verify *v, int dir, char **names, size_t count)
{
	for (size_t i = 0; i < count && !v->why; i++) {
		int rc = check_file(v, dir, names[i], i + 1 == count);

		if (rc < 0) {
			fprintf(stderr, "zerogate: cannot read %s: %s\n", names[i], strerror(-rc));
			return ZG_EXIT_USAGE;
		}
	}
	return report(v, count);
}

static int verify_dir(struct verify *v, const char *path, EVP_PKEY *key)
{
	zg_autofd int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char **names = NULL;
	size_t count = 0;
	int rc = dir < 0 ? -errno : zg_segments_list(dir, &names, &count);

	if (rc == 0 && !count)
		rc = -ENOENT;
	if (rc < 0) {
		fprintf(stderr, "zerogate: no audit log in %s: %s\n", path, strerror(-rc));
		rc = ZG_EXIT_USAGE;
	} else {
		zg_chain_start(&v->chain, key, false);
		rc = run(v, dir, names, count);
	}
	zg_segments_free(names, count);
	return rc;
}

/* The folder to check, or NULL: the arguments are files. False: usage, or said why. */
static bool choose(int argc, char **argv, const char **dir, const char **pubkey, char **configured)
{
	static const struct option options[] = {{"config", required_argument, NULL, 'c'},
						{"dir", required_argument, NULL, 'd'},
						{"pubkey", required_argument, NULL, 'p'},
						{NULL, 0, NULL, 0}};
	const char *config = NULL;
	struct stat st;
	int c;

	optind = 0; /* main() stopped at the verb; here options may follow operands */
	while ((c = getopt_long(argc, argv, "c:d:p:", options, NULL)) != -1) {
		if (c == 'c')
			config = optarg;
		else if (c == 'd')
			*dir = optarg;
		else if (c == 'p')
			*pubkey = optarg;
		else
			return false;
	}
	if ((*dir != NULL) + (config != NULL) + (optind != argc) > 1)
		return false;
	if (config) {
		*dir = *configured = zg_audit_dir(config);
		return *dir != NULL;
	}
	if (!*dir && optind == argc)
		*dir = DEFAULT_DIR;
	if (optind + 1 == argc && stat(argv[optind], &st) == 0 && S_ISDIR(st.st_mode))
		*dir = argv[optind];
	return true;
}

int zg_audit_verify(const struct zg_cli *cli, int argc, char **argv)
{
	struct verify v = {.cli = cli};
	const char *dir = NULL, *pubkey = NULL;
	zg_autofree char *configured = NULL;
	EVP_PKEY *key;
	int status;

	if (!choose(argc, argv, &dir, &pubkey, &configured))
		return usage();
	for (int i = optind; i < argc; i++) {
		if (access(argv[i], R_OK) < 0) {
			fprintf(stderr, "zerogate: %s: %s\n", argv[i], strerror(errno));
			return ZG_EXIT_USAGE;
		}
	}
	key = find_key(pubkey, dir, argv[optind]);
	if (!key)
		return ZG_EXIT_USAGE;
	if (dir) {
		status = verify_dir(&v, dir, key);
	} else {
		zg_chain_start(&v.chain, key, true);
		status = run(&v, AT_FDCWD, argv + optind, (size_t)(argc - optind));
	}
	EVP_PKEY_free(key);
	return status;
}
