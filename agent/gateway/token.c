/* SPDX-License-Identifier: Apache-2.0 */
/* token.c - see token.h. Trust: every byte is the client's until a key said otherwise. */
#include "token.h"

#include <jansson.h>
#include <math.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <string.h>

#include "base64url.h"

#define SIGNATURE_BYTES 1024	       /* RSA with 8192 bits */
#define TIME_MAX	253402300799.0 /* the year 9999 */

struct jws {
	struct zg_slice signed_part, header, payload, signature; /* of the text */
};

static bool split(struct zg_slice token, struct jws *out)
{
	const char *end = token.ptr + token.len;
	const char *one = token.len ? memchr(token.ptr, '.', token.len) : NULL;
	const char *two = one ? memchr(one + 1, '.', (size_t)(end - one - 1)) : NULL;

	if (!two || memchr(two + 1, '.', (size_t)(end - two - 1)))
		return false;
	out->header = (struct zg_slice){token.ptr, (size_t)(one - token.ptr)};
	out->payload = (struct zg_slice){one + 1, (size_t)(two - one - 1)};
	out->signature = (struct zg_slice){two + 1, (size_t)(end - two - 1)};
	out->signed_part = (struct zg_slice){token.ptr, (size_t)(two - token.ptr)};
	return out->header.len && out->payload.len && out->signature.len;
}

static json_t *object_of(struct zg_slice part)
{
	uint8_t text[ZG_TOKEN_BYTES];
	ssize_t n = zg_base64url_decode(part, text, sizeof(text));
	json_t *o =
		n > 0 ? json_loadb((char *)text, (size_t)n, JSON_REJECT_DUPLICATES, NULL) : NULL;

	if (json_is_object(o))
		return o;
	json_decref(o);
	return NULL;
}

/* signatures ------------------------------------------------------------------ */

static const struct {
	const char *text;
	bool digest; /* SHA-256 */
	int padding; /* of RSA */
} algs[ZG_AA_MAX] = {
	[ZG_AA_RS256] = {"RS256", true, RSA_PKCS1_PADDING},
	[ZG_AA_PS256] = {"PS256", true, RSA_PKCS1_PSS_PADDING},
	[ZG_AA_ES256] = {"ES256", true, 0},
	[ZG_AA_EDDSA] = {"EdDSA", false, 0},
};

/* JWS has r and s side by side, OpenSSL wants them in DER. */
static ssize_t to_der(uint8_t *signature, size_t n, size_t size)
{
	ECDSA_SIG *sig = n == 64 ? ECDSA_SIG_new() : NULL;
	BIGNUM *r = sig ? BN_bin2bn(signature, 32, NULL) : NULL;
	BIGNUM *s = sig ? BN_bin2bn(signature + 32, 32, NULL) : NULL;
	uint8_t *der = NULL;
	int len = -1;

	if (r && s && ECDSA_SIG_set0(sig, r, s) == 1) {
		r = s = NULL; /* its own now */
		len = i2d_ECDSA_SIG(sig, &der);
	}
	if (len > 0 && (size_t)len <= size)
		memcpy(signature, der, (size_t)len);
	else
		len = -1;
	OPENSSL_free(der);
	BN_free(r);
	BN_free(s);
	ECDSA_SIG_free(sig);
	return len;
}

static bool verify(const struct zg_auth_key *k, const struct jws *j)
{
	const unsigned char *der = k->spki;
	uint8_t sig[SIGNATURE_BYTES];
	ssize_t n = zg_base64url_decode(j->signature, sig, sizeof(sig));
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY *key = d2i_PUBKEY(NULL, &der, (long)k->bytes);
	EVP_PKEY_CTX *options = NULL;
	bool good = false;

	if (n > 0 && k->alg == ZG_AA_ES256)
		n = to_der(sig, (size_t)n, sizeof(sig));
	if (n > 0 && ctx && key &&
	    EVP_DigestVerifyInit(ctx, &options, algs[k->alg].digest ? EVP_sha256() : NULL, NULL,
				 key) == 1 &&
	    (!algs[k->alg].padding ||
	     EVP_PKEY_CTX_set_rsa_padding(options, algs[k->alg].padding) == 1) &&
	    (algs[k->alg].padding != RSA_PKCS1_PSS_PADDING ||
	     EVP_PKEY_CTX_set_rsa_pss_saltlen(options, RSA_PSS_SALTLEN_DIGEST) == 1))
		good = EVP_DigestVerify(ctx, sig, (size_t)n, (const uint8_t *)j->signed_part.ptr,
					j->signed_part.len) == 1;
	EVP_PKEY_free(key);
	EVP_MD_CTX_free(ctx);
	return good;
}

/* A string member, or ptr NULL. */
static struct zg_slice text_in(const json_t *o, const char *name)
{
	const json_t *v = json_object_get(o, name);

	return json_is_string(v) ? (struct zg_slice){json_string_value(v), json_string_length(v)}
				 : (struct zg_slice){0};
}

static bool type_ok(const json_t *header)
{
	struct zg_slice typ = text_in(header, "typ");

	return !json_object_get(header, "typ") ||
	       (typ.ptr && (zg_slice_ieq(typ, ZG_SLICE("at+jwt")) ||
			    zg_slice_ieq(typ, ZG_SLICE("application/at+jwt")) ||
			    zg_slice_ieq(typ, ZG_SLICE("JWT"))));
}

static bool alg_known(struct zg_slice alg)
{
	for (size_t i = 0; i < ZG_AA_MAX; i++)
		if (algs[i].text && zg_slice_eq(alg, zg_slice_str(algs[i].text)))
			return true;
	return false;
}

/* By issuer, kid and the key's own algorithm; without a kid every key of the
 * issuer is tried. */
static enum zg_token_verdict any_key(const struct zg_snapshot *s, uint32_t listener,
				     uint32_t issuer, const json_t *header, const struct jws *j)
{
	struct zg_slice alg = text_in(header, "alg"), kid = text_in(header, "kid");
	bool named = false;

	if ((json_object_get(header, "kid") && !kid.len) || !alg.ptr || !alg_known(alg))
		return ZG_TOKEN_INVALID;
	for (size_t i = 0; i < s->auth_key_count; i++) {
		const struct zg_auth_key *k = &s->auth_keys[i];

		if (k->listener != listener || k->issuer != issuer ||
		    (kid.ptr && !zg_slice_eq(kid, zg_slice_str(k->kid))))
			continue;
		named = true;
		if (zg_slice_eq(alg, zg_slice_str(algs[k->alg].text)) && verify(k, j))
			return ZG_TOKEN_GOOD;
	}
	return named ? ZG_TOKEN_INVALID : ZG_TOKEN_NO_KEY;
}

/* claims ---------------------------------------------------------------------- */

/* A NumericDate; false if it is there and is none. *out stays if it is absent. */
static bool time_of(const json_t *claims, const char *name, double *out)
{
	const json_t *v = json_object_get(claims, name);
	double t = json_number_value(v);

	if (!v)
		return true;
	if (!json_is_number(v) || !isfinite(t) || t < 0 || t > TIME_MAX)
		return false;
	*out = t;
	return true;
}

static const char *check_times(const json_t *claims, double now)
{
	double exp = -1, nbf = 0, iat = 0;

	if (!time_of(claims, "exp", &exp) || !time_of(claims, "nbf", &nbf) ||
	    !time_of(claims, "iat", &iat) || exp < 0)
		return "the token has no usable expiry";
	if (now >= exp + ZG_TOKEN_LEEWAY_SEC)
		return "the token has expired";
	if (exp - now > ZG_TOKEN_LIFE_SEC + ZG_TOKEN_LEEWAY_SEC)
		return "the token lives too long";
	if (nbf > now + ZG_TOKEN_LEEWAY_SEC || iat > now + ZG_TOKEN_LEEWAY_SEC)
		return "the token is not valid yet";
	return NULL;
}

static bool is_for(const json_t *claims, struct zg_slice resource)
{
	const json_t *aud = json_object_get(claims, "aud"), *one;
	size_t i;

	if (json_is_string(aud))
		return zg_slice_eq(text_in(claims, "aud"), resource);
	if (!json_is_array(aud) || json_array_size(aud) > ZG_TOKEN_AUDIENCES)
		return false;
	json_array_foreach(aud, i, one)
	{
		struct zg_slice text = {json_string_value(one), json_string_length(one)};

		if (text.ptr && zg_slice_eq(text, resource))
			return true;
	}
	return false;
}

/* The next word of a list with blanks between; an empty one at the end. */
static struct zg_slice word(struct zg_slice *rest)
{
	struct zg_slice w;
	size_t n = 0;

	while (rest->len && rest->ptr[0] == ' ')
		*rest = (struct zg_slice){rest->ptr + 1, rest->len - 1};
	while (n < rest->len && rest->ptr[n] != ' ')
		n++;
	w = (struct zg_slice){rest->ptr, n};
	*rest = (struct zg_slice){rest->ptr + n, rest->len - n};
	return w;
}

static bool has_scopes(const json_t *claims, struct zg_slice wanted)
{
	struct zg_slice given = text_in(claims, "scope"), want, have;

	while ((want = word(&wanted)).len) {
		struct zg_slice rest = given;

		do {
			have = word(&rest);
		} while (have.len && !zg_slice_eq(have, want));
		if (!have.len)
			return false;
	}
	return true;
}

static bool is_plain(struct zg_slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] < 0x20 || s.ptr[i] == 0x7f)
			return false;
	return s.ptr && s.len;
}

static enum zg_token_verdict check(const struct zg_snapshot *s, uint32_t listener,
				   const struct jws *j, const json_t *header, const json_t *claims,
				   struct zg_slice resource, uint64_t now,
				   struct zg_token_claims *out, const char **why)
{
	const struct zg_auth *a = &s->settings->auth[listener];
	struct zg_slice iss = text_in(claims, "iss"), sub = text_in(claims, "sub");
	enum zg_token_verdict signature;
	uint32_t issuer = 0;
	int n;

	*why = "the token is not an access token";
	if (!type_ok(header) || json_object_get(header, "crit"))
		return ZG_TOKEN_INVALID;
	while (issuer < a->issuer_count &&
	       (!iss.ptr || !zg_slice_eq(iss, zg_slice_str(a->issuer[issuer].issuer))))
		issuer++;
	*why = "the token is not of an issuer that is trusted here";
	if (issuer == a->issuer_count)
		return ZG_TOKEN_INVALID;
	*why = "the token's signature is not one of its issuer's keys";
	out->issuer = issuer;
	signature = any_key(s, listener, issuer, header, j);
	if (signature != ZG_TOKEN_GOOD)
		return signature;
	*why = check_times(claims, (double)now);
	if (*why)
		return ZG_TOKEN_INVALID;
	*why = "the token is for another resource";
	if (!is_for(claims, resource))
		return ZG_TOKEN_INVALID;
	*why = "the token has no usable subject";
	n = is_plain(sub) ? snprintf(out->subject, sizeof(out->subject), "%u:%.*s", issuer,
				     (int)sub.len, sub.ptr)
			  : -1;
	if (n < 0 || (size_t)n >= sizeof(out->subject))
		return ZG_TOKEN_INVALID;
	*why = "the token's scope is not enough";
	return has_scopes(claims, zg_slice_str(a->scopes)) ? ZG_TOKEN_GOOD : ZG_TOKEN_SCOPE;
}

enum zg_token_verdict zg_token_check(const struct zg_snapshot *s, uint32_t listener,
				     struct zg_slice token, struct zg_slice resource, uint64_t now,
				     struct zg_token_claims *out, const char **why)
{
	enum zg_token_verdict v = ZG_TOKEN_INVALID;
	struct zg_token_claims made = {0};
	json_t *header, *claims;
	struct jws j;

	*why = "the token is not a signed JWT";
	if (token.len > ZG_TOKEN_BYTES || !split(token, &j))
		return ZG_TOKEN_INVALID;
	header = object_of(j.header);
	claims = object_of(j.payload);
	if (header && claims)
		v = check(s, listener, &j, header, claims, resource, now, &made, why);
	json_decref(header);
	json_decref(claims);
	out->issuer = made.issuer;
	if (v == ZG_TOKEN_GOOD) {
		*out = made;
		*why = NULL;
	}
	return v;
}

struct zg_slice zg_token_bearer(struct zg_slice field)
{
	static const struct zg_slice scheme = {"bearer ", 7};

	if (field.len <= scheme.len ||
	    !zg_slice_ieq((struct zg_slice){field.ptr, scheme.len}, scheme))
		return (struct zg_slice){0};
	return zg_slice_trim((struct zg_slice){field.ptr + scheme.len, field.len - scheme.len});
}
