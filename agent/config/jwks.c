/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jwks.c - the keys of an issuer (auth.h): from RFC 7517 to SubjectPublicKeyInfo,
 * so that gateways read one form alone and no JSON. Trust: the file is the
 * owner's, its contents an issuer's; OpenSSL judges whether a key is one.
 */
#include <jansson.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/x509.h>
#include <string.h>

#include "auth.h"
#include "base64url.h"
#include "cleanup.h"

#define PART_BYTES 1024 /* a member of a key, decoded */

/* A member of a key, decoded; -1 if it is not there or not base64url. */
static int part(const json_t *key, const char *name, uint8_t *out, size_t size)
{
	const char *text = json_string_value(json_object_get(key, name));

	return text ? (int)zg_base64url_decode(zg_slice_str(text), out, size) : -1;
}

static EVP_PKEY *make(const char *type, OSSL_PARAM_BLD *bld)
{
	OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(bld);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	EVP_PKEY *key = NULL, *good = NULL;
	EVP_PKEY_CTX *check = NULL;

	if (params && ctx && EVP_PKEY_fromdata_init(ctx) == 1 &&
	    EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) == 1)
		check = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
	if (check && EVP_PKEY_public_check(check) == 1) {
		good = key;
		key = NULL;
	}
	EVP_PKEY_CTX_free(check);
	EVP_PKEY_free(key);
	EVP_PKEY_CTX_free(ctx);
	OSSL_PARAM_free(params);
	return good;
}

static EVP_PKEY *rsa_key(const json_t *jwk)
{
	uint8_t n[PART_BYTES], e[16];
	int n_len = part(jwk, "n", n, sizeof(n)), e_len = part(jwk, "e", e, sizeof(e));
	OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
	BIGNUM *bn = n_len > 0 ? BN_bin2bn(n, n_len, NULL) : NULL;
	BIGNUM *be = e_len > 0 ? BN_bin2bn(e, e_len, NULL) : NULL;
	EVP_PKEY *key = NULL;

	/* an exponent of 1 would let anybody sign */
	if (bld && bn && be && BN_num_bits(bn) >= ZG_AUTH_RSA_BITS_MIN && BN_is_odd(be) &&
	    !BN_is_one(be) && OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, bn) == 1 &&
	    OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, be) == 1)
		key = make("RSA", bld);
	BN_free(bn);
	BN_free(be);
	OSSL_PARAM_BLD_free(bld);
	return key;
}

static EVP_PKEY *ec_key(const json_t *jwk)
{
	uint8_t point[65] = {4};
	OSSL_PARAM_BLD *bld;
	EVP_PKEY *key = NULL;

	if (part(jwk, "x", point + 1, 32) != 32 || part(jwk, "y", point + 33, 32) != 32)
		return NULL;
	bld = OSSL_PARAM_BLD_new();
	if (bld &&
	    OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME, "P-256", 0) == 1 &&
	    OSSL_PARAM_BLD_push_octet_string(bld, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point)) ==
		    1)
		key = make("EC", bld);
	OSSL_PARAM_BLD_free(bld);
	return key;
}

static EVP_PKEY *ed_key(const json_t *jwk)
{
	uint8_t x[32];

	return part(jwk, "x", x, sizeof(x)) == 32
		       ? EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, x, sizeof(x))
		       : NULL;
}

static const struct {
	const char *kty, *crv, *alg;
	enum zg_auth_alg means;
	bool by_default; /* of a key that names no alg */
	EVP_PKEY *(*make)(const json_t *jwk);
} kinds[] = {
	{"RSA", NULL, "RS256", ZG_AA_RS256, true, rsa_key},
	{"RSA", NULL, "PS256", ZG_AA_PS256, false, rsa_key},
	{"EC", "P-256", "ES256", ZG_AA_ES256, true, ec_key},
	{"OKP", "Ed25519", "EdDSA", ZG_AA_EDDSA, true, ed_key},
	{"OKP", "Ed25519", "Ed25519", ZG_AA_EDDSA, false, ed_key},
};

static bool says(const json_t *key, const char *name, const char *value)
{
	const json_t *v = json_object_get(key, name);

	return value ? json_is_string(v) && strcmp(json_string_value(v), value) == 0 : true;
}

static const char *take_key(const json_t *jwk, struct zg_auth_key *out)
{
	const char *kid = json_string_value(json_object_get(jwk, "kid"));
	const json_t *alg = json_object_get(jwk, "alg");
	uint8_t *der = NULL;
	EVP_PKEY *key;
	int n;

	if (json_object_get(jwk, "d") || json_object_get(jwk, "k"))
		return "a key is private: the file is for public keys";
	if (kid && (!kid[0] || strlen(kid) >= sizeof(out->kid)))
		return "a key's kid is empty or too long";
	if (json_object_get(jwk, "use") && !says(jwk, "use", "sig"))
		return NULL;
	for (size_t i = 0; i < ZG_COUNT(kinds); i++) {
		if (!says(jwk, "kty", kinds[i].kty) || !says(jwk, "crv", kinds[i].crv) ||
		    !(alg ? says(jwk, "alg", kinds[i].alg) : kinds[i].by_default))
			continue;
		key = kinds[i].make(jwk);
		n = key ? i2d_PUBKEY(key, &der) : -1;
		EVP_PKEY_free(key);
		if (n > 0 && (size_t)n <= sizeof(out->spki)) {
			memcpy(out->spki, der, (size_t)n);
			out->bytes = (uint32_t)n;
			out->alg = kinds[i].means;
			(void)zg_str_cut(out->kid, sizeof(out->kid), zg_slice_str(kid ? kid : ""));
		}
		OPENSSL_free(der);
		return out->bytes ? NULL : "a key is malformed, weak or too large";
	}
	return NULL;
}

/* Which listener and issuer the nth file belongs to. */
static bool place(const struct zg_settings *s, uint32_t nth, struct zg_auth_key *out)
{
	for (out->listener = 0; out->listener < s->listen_count; out->listener++) {
		const struct zg_auth *a = &s->auth[out->listener];

		for (out->issuer = 0; out->issuer < a->issuer_count; out->issuer++)
			if (a->issuer[out->issuer].jwks_file[0] && nth-- == 0)
				return true;
	}
	return false;
}

/* The keys of one document for the listener and issuer of `at`; NULL, or what is wrong. */
static const char *take_keys(struct zg_slice text, const struct zg_auth_key *at, struct zg_buf *out)
{
	json_t *root = json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES, NULL);
	const json_t *keys = json_object_get(root, "keys");
	const size_t before = out->len;
	const char *wrong = NULL;
	struct zg_auth_key key;
	json_t *jwk;
	size_t i;

	if (!json_is_array(keys))
		wrong = "it is not a JSON Web Key Set: an object with a list of keys";
	else if (json_array_size(keys) > ZG_AUTH_KEYS_MAX)
		wrong = "it holds too many keys";
	json_array_foreach(keys, i, jwk)
	{
		if (wrong)
			break;
		key = *at;
		wrong = take_key(jwk, &key);
		if (!wrong && key.bytes)
			zg_buf_add(out, &key, sizeof(key));
	}
	if (!wrong && out->len == before)
		wrong = "it holds no key for RS256, PS256, ES256 or EdDSA";
	if (wrong)
		out->len = before;
	json_decref(root);
	return wrong;
}

void zg_jwks_parse(const struct zg_settings *s, uint32_t nth, const char *file,
		   struct zg_slice text, struct zg_diag *diag, struct zg_buf *out)
{
	struct zg_auth_key at = {0};
	const char *wrong = place(s, nth, &at)
				    ? take_keys(text, &at, out)
				    : "no listener names it; restart after issuers have changed";

	if (wrong)
		zg_diag_error(diag, file, 0, 0, "%s", wrong);
}

static void take_fetched(const struct zg_settings *s, const struct zg_fetched_keys *k,
			 struct zg_diag *diag, struct zg_buf *out)
{
	const struct zg_slice text = {k->text, k->bytes <= sizeof(k->text) ? k->bytes : 0};
	struct zg_auth_key at = {0};

	for (at.listener = 0; at.listener < s->listen_count; at.listener++)
		for (at.issuer = 0; at.issuer < s->auth[at.listener].issuer_count; at.issuer++) {
			const char *wrong = NULL;

			if (strncmp(s->auth[at.listener].issuer[at.issuer].server, k->server,
				    sizeof(k->server)) == 0)
				wrong = take_keys(text, &at, out);
			if (wrong)
				zg_diag_notice(diag, k->server, 0, 0, "its keys: %s", wrong);
		}
}

void zg_jwks_fetched(const struct zg_settings *s, const struct zg_fetched_keys *keys, size_t count,
		     struct zg_diag *diag, struct zg_buf *out)
{
	for (size_t i = 0; i < count; i++)
		if (keys[i].server[0] && keys[i].server[sizeof(keys[i].server) - 1] == '\0')
			take_fetched(s, &keys[i], diag, out);
}
