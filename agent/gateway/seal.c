/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seal.c - see seal.h. Trust: every byte of a token is the client's until the
 * tag has been checked. Never says which byte was wrong; never looks at a
 * clock.
 */
#include "seal.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/random.h>

#include "base64url.h"
#include "digest.h"

#define VERSION	     1
#define SALT_BYTES   ZG_SEAL_ID_BYTES
#define NONCE_BYTES  12
#define HEAD_BYTES   (1 + SALT_BYTES + NONCE_BYTES)
#define TAG_BYTES    16
#define FIXED_BYTES  (sizeof(uint64_t) + 32) /* expiry, owner */
#define SEALED_BYTES (HEAD_BYTES + FIXED_BYTES + ZG_SEAL_PAYLOAD + TAG_BYTES)

static const char *const purposes[ZG_SEAL_PURPOSES] = {
	[ZG_SEAL_SESSION] = "zerogate session 1",   [ZG_SEAL_STATE] = "zerogate request state 1",
	[ZG_SEAL_ENDPOINT] = "zerogate endpoint 1", [ZG_SEAL_EVENT] = "zerogate event id 1",
	[ZG_SEAL_HOLD] = "zerogate held call 1",    [ZG_SEAL_TASK] = "zerogate task id 1",
};

static void hmac(uint8_t out[32], const uint8_t key[32], const void *bytes, size_t n)
{
	(void)HMAC(EVP_sha256(), key, 32, bytes, n, out, NULL);
}

void zg_seal_keys(struct zg_seal_keys *k, struct zg_slice root)
{
	static const uint8_t salt[32] = {0};
	uint8_t prk[32];

	/* RFC 5869: extract, then one block of expand */
	hmac(prk, salt, root.ptr ? root.ptr : "", root.len);
	memset(k, 0, sizeof(*k));
	for (int p = ZG_SEAL_SESSION; p < ZG_SEAL_PURPOSES; p++) {
		char info[64];
		int n = snprintf(info, sizeof(info), "%s%c", purposes[p], 1);

		hmac(k->key[p], prk, info, (size_t)n);
	}
	explicit_bzero(prk, sizeof(prk));
}

const char *zg_seal_text(enum zg_seal_verdict v)
{
	switch (v) {
	case ZG_SEAL_MALFORMED:
		return "it is no token of this gateway";
	case ZG_SEAL_TAMPERED:
		return "it was tampered with, or is of another purpose or key";
	case ZG_SEAL_FOREIGN:
		return "it belongs to another client, run, server or call";
	case ZG_SEAL_EXPIRED:
		return "it has expired";
	case ZG_SEAL_OPEN:
		return "it is valid";
	}
	return "it is no token of this gateway";
}

/* whose it is --------------------------------------------------------------- */

static void add_part(struct zg_buf *b, const void *bytes, size_t n)
{
	uint64_t length = n;

	zg_buf_add(b, &length, sizeof(length));
	zg_buf_add(b, bytes, n);
}

static int digest_owner(const struct zg_seal_owner *o, uint8_t out[32])
{
	const struct zg_principal *p = o->principal;
	char room[1024 + ZG_SUBJECT_LEN];
	struct zg_buf b = {.ptr = room, .cap = sizeof(room), .max = sizeof(room)};

	add_part(&b, o->server.ptr, o->server.len);
	add_part(&b, p->profile, strlen(p->profile));
	add_part(&b, &p->uid, sizeof(p->uid));
	add_part(&b, p->cgroup, strlen(p->cgroup));
	add_part(&b, o->subject.ptr, o->subject.len);
	if (!zg_buf_ok(&b))
		return b.error;
	zg_sha256(out, b.ptr, b.len);
	return 0;
}

/* the cipher -------------------------------------------------------------------- */

struct gcm {
	uint8_t key[32];
	const uint8_t *nonce;
	const uint8_t *aad; /* the version, then the purpose's name */
	size_t aad_len;
	uint8_t aad_room[64];
};

static void prepare(struct gcm *g, const struct zg_seal_keys *k, enum zg_seal_purpose purpose,
		    const uint8_t *head)
{
	size_t n = strlen(purposes[purpose]);

	hmac(g->key, k->key[purpose], head + 1, SALT_BYTES);
	g->nonce = head + 1 + SALT_BYTES;
	g->aad_room[0] = head[0];
	memcpy(g->aad_room + 1, purposes[purpose], n);
	g->aad = g->aad_room;
	g->aad_len = 1 + n;
}

/* In place. encrypt: the tag is written; else it is checked. */
static bool run(struct gcm *g, bool encrypt, uint8_t *text, size_t n, uint8_t tag[TAG_BYTES])
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int done = 0;
	bool ok = ctx &&
		  EVP_CipherInit_ex(ctx, EVP_aes_256_gcm(), NULL, g->key, g->nonce, encrypt) == 1;

	ok = ok && EVP_CipherUpdate(ctx, NULL, &done, g->aad, (int)g->aad_len) == 1 &&
	     EVP_CipherUpdate(ctx, text, &done, text, (int)n) == 1;
	if (ok && !encrypt)
		ok = EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_BYTES, tag) == 1;
	ok = ok && EVP_CipherFinal_ex(ctx, text + n, &done) == 1;
	if (ok && encrypt)
		ok = EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, tag) == 1;
	EVP_CIPHER_CTX_free(ctx);
	explicit_bzero(g->key, sizeof(g->key));
	return ok;
}

int zg_seal(const struct zg_seal_keys *k, enum zg_seal_purpose purpose,
	    const struct zg_seal_owner *owner, uint64_t now, uint32_t ttl, struct zg_slice payload,
	    struct zg_buf *out)
{
	size_t n = FIXED_BYTES + payload.len, all = HEAD_BYTES + n + TAG_BYTES;
	uint64_t expires = now + ttl;
	zg_autofree uint8_t *token = NULL;
	struct gcm g;
	int rc;

	if (payload.len > ZG_SEAL_PAYLOAD)
		return -EFBIG;
	token = malloc(all);
	if (!token)
		return -ENOMEM;
	token[0] = VERSION;
	if (getrandom(token + 1, HEAD_BYTES - 1, 0) != HEAD_BYTES - 1)
		return -EIO;
	memcpy(token + HEAD_BYTES, &expires, sizeof(expires));
	rc = digest_owner(owner, token + HEAD_BYTES + sizeof(expires));
	if (rc < 0)
		return rc;
	if (payload.len)
		memcpy(token + HEAD_BYTES + FIXED_BYTES, payload.ptr, payload.len);
	prepare(&g, k, purpose, token);
	if (!run(&g, true, token + HEAD_BYTES, n, token + HEAD_BYTES + n))
		return -EIO;
	zg_base64url_encode(token, all, out);
	return out->error;
}

static enum zg_seal_verdict judge(const struct zg_seal_owner *owner, uint64_t now, uint32_t ttl,
				  const uint8_t *plain, uint64_t *expires)
{
	uint8_t mine[32];

	if (digest_owner(owner, mine) < 0 ||
	    CRYPTO_memcmp(mine, plain + sizeof(*expires), sizeof(mine)) != 0)
		return ZG_SEAL_FOREIGN;
	memcpy(expires, plain, sizeof(*expires));
	if (now >= *expires || *expires - now > (uint64_t)ttl + ZG_SEAL_SKEW_SEC)
		return ZG_SEAL_EXPIRED;
	return ZG_SEAL_OPEN;
}

enum zg_seal_verdict zg_seal_open(const struct zg_seal_keys *k, enum zg_seal_purpose purpose,
				  const struct zg_seal_owner *owner, uint64_t now, uint32_t ttl,
				  struct zg_slice token, struct zg_buf *plain,
				  struct zg_sealed *out)
{
	size_t room = token.len / 4 * 3 + 3;
	enum zg_seal_verdict v;
	uint64_t expires;
	uint8_t *bytes;
	struct gcm g;
	ssize_t all;
	size_t n;

	zg_buf_reset(plain);
	if (!token.ptr || room > SEALED_BYTES + 3)
		return ZG_SEAL_MALFORMED;
	bytes = (uint8_t *)zg_buf_room(plain, room);
	all = bytes ? zg_base64url_decode(token, bytes, room) : -EBADMSG;
	if (all < (ssize_t)(HEAD_BYTES + FIXED_BYTES + TAG_BYTES) || bytes[0] != VERSION)
		return ZG_SEAL_MALFORMED;
	n = (size_t)all - HEAD_BYTES - TAG_BYTES;
	prepare(&g, k, purpose, bytes);
	if (!run(&g, false, bytes + HEAD_BYTES, n, bytes + HEAD_BYTES + n))
		return ZG_SEAL_TAMPERED;
	v = judge(owner, now, ttl, bytes + HEAD_BYTES, &expires);
	if (v != ZG_SEAL_OPEN)
		return v;
	zg_buf_wrote(plain, (size_t)all);
	memcpy(out->id, bytes + 1, sizeof(out->id));
	out->expires = expires;
	out->payload =
		(struct zg_slice){(const char *)bytes + HEAD_BYTES + FIXED_BYTES, n - FIXED_BYTES};
	return v;
}
