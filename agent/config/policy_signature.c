/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy_signature.c - see policy_signature.h. Trust: policy.sig may be anybody's;
 * what counts is whether one of the keys that the operator listed made the signature.
 */
#include "policy_signature.h"

#include <errno.h>
#include <jansson.h>
#include <openssl/evp.h>

#include "digest.h"

/* SubjectPublicKeyInfo of Ed25519 (RFC 8410) is this and the key. */
static const uint8_t spki[] = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03,
			       0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};

#define PEM_BEGIN "-----BEGIN PUBLIC KEY-----"
#define PEM_END	  "-----END PUBLIC KEY-----"

/* Base64 with its padding, exactly size bytes. */
static int decode(struct zg_slice text, uint8_t *out, size_t size)
{
	uint8_t room[3 * 64];
	size_t pad = (3 - size % 3) % 3;

	if (text.len != (size + 2) / 3 * 4 || text.len > 4 * 64 || size > sizeof(room))
		return -EINVAL;
	for (size_t i = 0; i < text.len; i++)
		if ((text.ptr[i] == '=') != (i >= text.len - pad))
			return -EINVAL;
	if (EVP_DecodeBlock(room, (const unsigned char *)text.ptr, (int)text.len) < 0)
		return -EINVAL;
	memcpy(out, room, size);
	return 0;
}

static struct zg_slice trim(struct zg_slice s)
{
	while (s.len && strchr(" \t\r\n", s.ptr[0]))
		s = (struct zg_slice){s.ptr + 1, s.len - 1};
	while (s.len && strchr(" \t\r\n", s.ptr[s.len - 1]))
		s.len--;
	return s;
}

int zg_sign_key(struct zg_slice text, uint8_t key[ZG_SIGN_KEY])
{
	const size_t begin = strlen(PEM_BEGIN), end = strlen(PEM_END);
	uint8_t der[sizeof(spki) + ZG_SIGN_KEY];
	struct zg_slice s = trim(text);

	if (s.len < begin + end || memcmp(s.ptr, PEM_BEGIN, begin) != 0)
		return decode(s, key, ZG_SIGN_KEY);
	if (memcmp(s.ptr + s.len - end, PEM_END, end) != 0)
		return -EINVAL;
	s = trim((struct zg_slice){s.ptr + begin, s.len - begin - end});
	if (decode(s, der, sizeof(der)) < 0 || memcmp(der, spki, sizeof(spki)) != 0)
		return -EINVAL;
	memcpy(key, der + sizeof(spki), ZG_SIGN_KEY);
	return 0;
}

void zg_sign_key_id(const uint8_t key[ZG_SIGN_KEY], char out[ZG_SIGN_KEY_ID])
{
	uint8_t digest[32];

	zg_sha256(digest, key, ZG_SIGN_KEY);
	zg_hex(out, digest, (ZG_SIGN_KEY_ID - 1) / 2);
}

size_t zg_sign_message(const struct zg_policy_signature *s, char out[ZG_SIGN_MESSAGE_LEN])
{
	char hex[65];

	zg_hex(hex, s->snapshot, sizeof(s->snapshot));
	return (size_t)snprintf(out, ZG_SIGN_MESSAGE_LEN, "zerogate policy v1\n%s\n%s\n", hex,
				s->time);
}

/* policy.sig ----------------------------------------------------------------- */

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool unhex(const char *text, uint8_t *out, size_t n)
{
	if (strlen(text) != 2 * n)
		return false;
	for (size_t i = 0; i < n; i++) {
		int hi = hex_digit(text[2 * i]), lo = hex_digit(text[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return false;
		out[i] = (uint8_t)(hi << 4 | lo);
	}
	return true;
}

static int read_one(json_t *j, struct zg_policy_signature *out)
{
	const char *alg, *key, *snapshot, *at, *bytes;

	if (json_unpack(j, "{s:s,s:s,s:s,s:s,s:s!}", "alg", &alg, "key", &key, "snapshot",
			&snapshot, "time", &at, "signature", &bytes) < 0 ||
	    strcmp(alg, "Ed25519") != 0 || strlen(key) != ZG_SIGN_KEY_ID - 1 ||
	    !zg_str_cut(out->key, sizeof(out->key), zg_slice_str(key)) ||
	    !zg_str_cut(out->time, sizeof(out->time), zg_slice_str(at)) || strchr(at, '\n') ||
	    !unhex(snapshot, out->snapshot, sizeof(out->snapshot)))
		return -EINVAL;
	return decode(zg_slice_str(bytes), out->bytes, sizeof(out->bytes));
}

int zg_signatures_read(struct zg_slice text, const char *file, struct zg_signatures *out,
		       struct zg_err *e)
{
	json_error_t error;
	json_t *j = text.len <= ZG_SIGNATURE_BYTES ? json_loadb(text.ptr ? text.ptr : "", text.len,
								JSON_REJECT_DUPLICATES, &error)
						   : NULL;
	struct zg_signatures all = {0};
	json_t *list, *one;
	const char *version;
	int rc = 0;
	size_t i;

	if (!j || json_unpack(j, "{s:s,s:o!}", "version", &version, "signatures", &list) < 0 ||
	    strcmp(version, "v1") != 0 || json_array_size(list) > ZG_SIGNATURES_MAX)
		rc = zg_err_at(e, EINVAL, file, 0, 0, "it is not a file of signatures");
	else
		json_array_foreach(list, i, one) if (rc == 0 &&
						     read_one(one, &all.item[all.count++]) < 0) rc =
			zg_err_at(e, EINVAL, file, 0, 0, "signature %zu of it is not one", i + 1);
	json_decref(j);
	if (rc < 0)
		zg_err_hint(e, "zerogate policy sign makes it");
	else
		*out = all;
	return rc;
}

void zg_signatures_write(const struct zg_signatures *all, struct zg_buf *out)
{
	zg_buf_str(out, "{\"version\": \"v1\", \"signatures\": [");
	for (size_t i = 0; i < all->count; i++) {
		const struct zg_policy_signature *s = &all->item[i];
		char hex[65], text[2 * ZG_SIGN_BYTES];

		zg_hex(hex, s->snapshot, sizeof(s->snapshot));
		(void)EVP_EncodeBlock((unsigned char *)text, s->bytes, sizeof(s->bytes));
		zg_buf_fmt(
			out,
			"%s\n  {\"alg\": \"Ed25519\", \"key\": \"%s\",\n   \"snapshot\": \"%s\",\n",
			i ? "," : "", s->key, hex);
		zg_buf_fmt(out, "   \"time\": \"%s\",\n   \"signature\": \"%s\"}", s->time, text);
	}
	zg_buf_str(out, "\n]}\n");
}

bool zg_signature_holds(const struct zg_policy_signature *s, const uint8_t key[ZG_SIGN_KEY],
			const uint8_t snapshot[32])
{
	EVP_PKEY *k = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key, ZG_SIGN_KEY);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	char text[ZG_SIGN_MESSAGE_LEN], id[ZG_SIGN_KEY_ID];
	size_t n = zg_sign_message(s, text);
	bool good;

	zg_sign_key_id(key, id);
	good = k && ctx && strcmp(id, s->key) == 0 &&
	       memcmp(s->snapshot, snapshot, sizeof(s->snapshot)) == 0 &&
	       EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, k) == 1 &&
	       EVP_DigestVerify(ctx, s->bytes, sizeof(s->bytes), (unsigned char *)text, n) == 1;
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(k);
	return good;
}

size_t zg_signatures_count(const struct zg_signatures *all, const uint8_t (*key)[ZG_SIGN_KEY],
			   size_t keys, const uint8_t snapshot[32])
{
	size_t count = 0;

	for (size_t i = 0; i < keys; i++) {
		bool again = false, good = false;

		for (size_t j = 0; j < i; j++) /* a key that is listed twice is one signer */
			again = again || memcmp(key[i], key[j], ZG_SIGN_KEY) == 0;
		for (size_t j = 0; j < all->count && !good && !again; j++)
			good = zg_signature_holds(&all->item[j], key[i], snapshot);
		count += good;
	}
	return count;
}
