/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Access tokens and the keys they are checked with: the vectors of RFC 7515, and
 * every way to forge one that other implementations have been caught by.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <string.h>

#include "auth.h"
#include "diag.h"
#include "token.h"

#define NOW	 1000000
#define ISSUER	 "https://as.example"
#define RESOURCE "https://gw.example/github/mcp"

#define JOE                                                                                        \
	"eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0" \
	"cnVlfQ"

static const char rsa_jwk[] =
	"{\"keys\":[{\"kty\":\"RSA\",\"n\":\"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_"
	"wWJcyQoTbji9k0l8W26mP"
	"ddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47s"
	"oMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVM"
	"TBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PA"
	"cDTW9gb54h4FRWyuXpoQ\",\"e\":\"AQAB\"}]}";
static const char rsa_jws[] =
	"eyJhbGciOiJSUzI1NiJ9." JOE
	".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2"
	"Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQ"
	"BMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6Ie"
	"YI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
static const char ec_jwk[] = "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":"
			     "\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHv"
			     "RVEU\",\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}]}";
static const char ec_jws[] =
	"eyJhbGciOiJFUzI1NiJ9." JOE
	".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

static struct zg_settings settings;
static struct zg_auth_key keys[4];
static struct zg_snapshot snap = {.settings = &settings, .auth_keys = keys};
static EVP_PKEY *rsa, *ec, *ed;

static void trust(const char *issuer, const char *scopes)
{
	memset(&settings, 0, sizeof(settings));
	settings.listen_count = 1;
	settings.auth[0].issuer_count = 1;
	(void)snprintf(settings.auth[0].resource, ZG_PATH_LEN, "https://gw.example/");
	(void)snprintf(settings.auth[0].scopes, ZG_REASON_LEN, "%s", scopes);
	(void)snprintf(settings.auth[0].issuer[0].issuer, ZG_PATH_LEN, "%s", issuer);
	(void)snprintf(settings.auth[0].issuer[0].jwks_file, ZG_PATH_LEN, "keys.json");
}

static size_t load(const char *jwks, struct zg_diag *d)
{
	zg_autobuf out = ZG_BUF(65536);

	zg_jwks_parse(&settings, 0, "keys.json", zg_slice_str(jwks), d, &out);
	assert_true(out.len <= sizeof(keys));
	memset(keys, 0, sizeof(keys));
	if (out.len)
		memcpy(keys, out.ptr, out.len);
	snap.auth_key_count = out.len / sizeof(keys[0]);
	return snap.auth_key_count;
}

static void encode(struct zg_buf *out, const void *bytes, size_t n)
{
	uint8_t text[8192];
	int len = EVP_EncodeBlock(text, bytes, (int)n);

	for (int i = 0; i < len && text[i] != '='; i++)
		zg_buf_char(out, text[i] == '+' ? '-' : text[i] == '/' ? '_' : (char)text[i]);
}

static void put_key(uint32_t at, EVP_PKEY *key, enum zg_auth_alg alg, const char *kid)
{
	unsigned char *der = keys[at].spki;
	int n = i2d_PUBKEY(key, NULL);

	assert_true(n > 0 && (size_t)n <= sizeof(keys[at].spki));
	memset(&keys[at], 0, sizeof(keys[at]));
	assert_int_equal(i2d_PUBKEY(key, &der), n);
	keys[at].bytes = (uint32_t)n;
	keys[at].alg = alg;
	(void)snprintf(keys[at].kid, sizeof(keys[at].kid), "%s", kid);
}

static void raw_signature(EVP_PKEY *key, bool pss, const struct zg_buf *text, uint8_t *sig,
			  size_t *n)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *options = NULL;
	const EVP_MD *md = EVP_PKEY_get_id(key) == EVP_PKEY_ED25519 ? NULL : EVP_sha256();

	assert_int_equal(EVP_DigestSignInit(ctx, &options, md, NULL, key), 1);
	if (pss) {
		assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING), 1);
		assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(options, RSA_PSS_SALTLEN_DIGEST),
				 1);
	}
	assert_int_equal(EVP_DigestSign(ctx, sig, n, (const uint8_t *)text->ptr, text->len), 1);
	EVP_MD_CTX_free(ctx);
}

/* header.payload.signature, as the header says, with key (NULL: no signature). */
static void sign(struct zg_buf *out, const char *header, const char *payload, EVP_PKEY *key)
{
	uint8_t sig[1024];
	size_t n = sizeof(sig);

	encode(out, header, strlen(header));
	zg_buf_char(out, '.');
	encode(out, payload, strlen(payload));
	if (!key) {
		zg_buf_char(out, '.');
		return;
	}
	raw_signature(key, strstr(header, "PS256") != NULL, out, sig, &n);
	if (EVP_PKEY_get_id(key) == EVP_PKEY_EC) {
		const unsigned char *der = sig;
		ECDSA_SIG *s = d2i_ECDSA_SIG(NULL, &der, (long)n);

		assert_non_null(s);
		BN_bn2binpad(ECDSA_SIG_get0_r(s), sig, 32);
		BN_bn2binpad(ECDSA_SIG_get0_s(s), sig + 32, 32);
		ECDSA_SIG_free(s);
		n = 64;
	}
	zg_buf_char(out, '.');
	encode(out, sig, n);
}

static const char *judge(const struct zg_buf *token, enum zg_token_verdict want)
{
	struct zg_token_claims claims = {"untouched"};
	const char *why = "";
	enum zg_token_verdict v = zg_token_check(&snap, 0, zg_buf_slice(token), ZG_SLICE(RESOURCE),
						 NOW, &claims, &why);

	if (v != want)
		print_error("%.*s: %s\n", (int)token->len, token->ptr, why ? why : "good");
	assert_int_equal(v, want);
	assert_string_equal(claims.subject, v == ZG_TOKEN_GOOD ? "0:alice" : "untouched");
	return why;
}

static int setup(void **state)
{
	(void)state;
	rsa = EVP_RSA_gen(2048);
	ec = EVP_EC_gen("P-256");
	ed = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	return rsa && ec && ed ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	EVP_PKEY_free(rsa);
	EVP_PKEY_free(ec);
	EVP_PKEY_free(ed);
	return 0;
}

static void all_keys(void)
{
	trust(ISSUER, "mcp");
	put_key(0, rsa, ZG_AA_RS256, "rsa");
	put_key(1, ec, ZG_AA_ES256, "ec");
	put_key(2, ed, ZG_AA_EDDSA, "ed");
	put_key(3, rsa, ZG_AA_PS256, "pss");
	snap.auth_key_count = 4;
}

#define GOOD                                                                                       \
	"{\"iss\":\"" ISSUER "\",\"sub\":\"alice\",\"aud\":\"" RESOURCE                            \
	"\",\"exp\":1000100,\"scope\":\"openid mcp\"}"

/* Joe's tokens have no audience: that this is what they are refused for shows
 * that their signatures were found good. */
static void test_rfc7515(void **state)
{
	const struct {
		const char *jwks, *jws;
	} rows[] = {{rsa_jwk, rsa_jws}, {ec_jwk, ec_jws}};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		zg_autobuf text = ZG_BUF(8192);
		struct zg_token_claims claims;
		struct zg_diag d = {0};
		const char *why = "";

		trust("joe", "");
		assert_int_equal(load(rows[i].jwks, &d), 1);
		zg_buf_str(&text, rows[i].jws);
		assert_int_equal(zg_token_check(&snap, 0, zg_buf_slice(&text), ZG_SLICE(RESOURCE),
						1300819000, &claims, &why),
				 ZG_TOKEN_INVALID);
		assert_string_equal(why, "the token is for another resource");
		/* bits that decoders like to ignore, then one that counts */
		for (size_t back = 1; back < 40; back += 38) {
			text.ptr[text.len - back] = text.ptr[text.len - back] == 'A' ? 'B' : 'A';
			assert_int_equal(zg_token_check(&snap, 0, zg_buf_slice(&text),
							ZG_SLICE(RESOURCE), 1300819000, &claims,
							&why),
					 ZG_TOKEN_INVALID);
			assert_string_equal(
				why, "the token's signature is not one of its issuer's keys");
		}
	}
}

static void test_good(void **state)
{
	const struct {
		const char *header;
		EVP_PKEY *key;
	} rows[] = {
		{"{\"alg\":\"RS256\",\"kid\":\"rsa\",\"typ\":\"at+jwt\"}", rsa},
		{"{\"alg\":\"PS256\",\"kid\":\"pss\"}", rsa},
		{"{\"alg\":\"ES256\",\"kid\":\"ec\",\"typ\":\"JWT\"}", ec},
		{"{\"alg\":\"EdDSA\",\"kid\":\"ed\",\"typ\":\"application/at+jwt\"}", ed},
		{"{\"alg\":\"EdDSA\"}", ed}, /* no kid: each key is tried */
	};

	(void)state;
	all_keys();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		zg_autobuf token = ZG_BUF(8192);

		sign(&token, rows[i].header, GOOD, rows[i].key);
		assert_null(judge(&token, ZG_TOKEN_GOOD));
	}
}

static void test_forged_header(void **state)
{
	const struct {
		const char *header;
		EVP_PKEY *key;
	} rows[] = {
		{"{\"alg\":\"none\"}", NULL},
		{"{\"alg\":\"none\"}", rsa},
		{"{\"alg\":\"NONE\",\"kid\":\"rsa\"}", rsa},
		{"{\"kid\":\"rsa\"}", rsa},
		{"{\"alg\":\"PS256\",\"kid\":\"rsa\"}", rsa}, /* that key is for RS256 */
		{"{\"alg\":\"RS256\",\"kid\":\"pss\"}", rsa},
		{"{\"alg\":\"ES256\",\"kid\":\"rsa\"}", ec}, /* another key's name */
		{"{\"alg\":\"RS256\",\"kid\":\"ec\"}", rsa},
		{"{\"alg\":\"EdDSA\",\"kid\":\"\"}", ed},
		{"{\"alg\":\"EdDSA\",\"kid\":7}", ed},
		{"{\"alg\":[\"EdDSA\"]}", ed},
		{"{\"alg\":\"EdDSA\",\"alg\":\"none\"}", ed},
		{"{\"alg\":\"EdDSA\",\"crit\":[\"x\"],\"x\":1}", ed},
		{"{\"alg\":\"EdDSA\",\"typ\":\"dpop+jwt\"}", ed},
		{"{\"alg\":\"EdDSA\",\"typ\":1}", ed},
		{"[]", ed},
		{"not JSON", ed},
		/* a key that the token brings along counts for nothing */
		{"{\"alg\":\"RS256\",\"jwk\":{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQ\"}}", NULL},
	};

	(void)state;
	all_keys();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		zg_autobuf token = ZG_BUF(8192);

		sign(&token, rows[i].header, GOOD, rows[i].key);
		assert_non_null(judge(&token, ZG_TOKEN_INVALID));
	}
}

/* The one refusal that may end when the issuer's keys are read again. */
static void test_unknown_key(void **state)
{
	static const char header[] = "{\"alg\":\"EdDSA\",\"kid\":\"../../dev/null\"}";
	zg_autobuf token = ZG_BUF(8192);

	(void)state;
	all_keys();
	sign(&token, header, GOOD, ed);
	assert_non_null(judge(&token, ZG_TOKEN_NO_KEY));
}

/* HS256 with the public key's bytes as the secret: the classic. */
static void test_hmac_with_public_key(void **state)
{
	zg_autobuf token = ZG_BUF(8192);
	uint8_t mac[32];
	unsigned int n = sizeof(mac);

	(void)state;
	all_keys();
	encode(&token, "{\"alg\":\"HS256\",\"kid\":\"rsa\"}", 28);
	zg_buf_char(&token, '.');
	encode(&token, GOOD, sizeof(GOOD) - 1);
	assert_non_null(HMAC(EVP_sha256(), keys[0].spki, (int)keys[0].bytes,
			     (const uint8_t *)token.ptr, token.len, mac, &n));
	zg_buf_char(&token, '.');
	encode(&token, mac, n);
	assert_non_null(judge(&token, ZG_TOKEN_INVALID));
}

static void test_claims(void **state)
{
	static const char I[] = "\"iss\":\"" ISSUER "\",\"sub\":\"alice\",";
	static const char A[] = "\"aud\":\"" RESOURCE "\",\"scope\":\"mcp\"";
	static const struct {
		bool with_issuer, with_audience;
		const char *rest;
		enum zg_token_verdict want;
	} rows[] = {
		{true, true, ",\"exp\":1000100", ZG_TOKEN_GOOD},
		{true, true, ",\"exp\":999941", ZG_TOKEN_GOOD}, /* within the leeway */
		{true, true, ",\"exp\":999940", ZG_TOKEN_INVALID},
		{true, true, "", ZG_TOKEN_INVALID},
		{true, true, ",\"exp\":\"1000100\"", ZG_TOKEN_INVALID},
		{true, true, ",\"exp\":-1", ZG_TOKEN_INVALID},
		{true, true, ",\"exp\":1e300", ZG_TOKEN_INVALID},
		{true, true, ",\"exp\":99999999", ZG_TOKEN_INVALID}, /* for years */
		{true, true, ",\"exp\":1000100,\"nbf\":1000060", ZG_TOKEN_GOOD},
		{true, true, ",\"exp\":1000100,\"nbf\":1000061", ZG_TOKEN_INVALID},
		{true, true, ",\"exp\":1000100,\"iat\":1000061", ZG_TOKEN_INVALID},
		{true, true, ",\"exp\":1000100,\"nbf\":null", ZG_TOKEN_INVALID},
		{false, true, ",\"exp\":1000100,\"sub\":\"alice\"", ZG_TOKEN_INVALID},
		{false, true, ",\"exp\":1000100,\"sub\":\"alice\",\"iss\":\"https://as.example/\"",
		 ZG_TOKEN_INVALID},
		{false, true, ",\"exp\":1000100,\"iss\":\"" ISSUER "\"", ZG_TOKEN_INVALID},
		{false, true, ",\"exp\":1000100,\"iss\":\"" ISSUER "\",\"sub\":\"\"",
		 ZG_TOKEN_INVALID},
		{false, true, ",\"exp\":1000100,\"iss\":\"" ISSUER "\",\"sub\":\"a\\nb\"",
		 ZG_TOKEN_INVALID},
		{true, false, "\"exp\":1000100,\"scope\":\"mcp\"", ZG_TOKEN_INVALID},
		{true, false, "\"exp\":1000100,\"scope\":\"mcp\",\"aud\":\"https://gw.example/\"",
		 ZG_TOKEN_INVALID},
		{true, false, "\"exp\":1000100,\"scope\":\"mcp\",\"aud\":\"" RESOURCE "/\"",
		 ZG_TOKEN_INVALID},
		{true, false,
		 "\"exp\":1000100,\"scope\":\"mcp\",\"aud\":\"https://gw.example/jira/mcp\"",
		 ZG_TOKEN_INVALID},
		{true, false, "\"exp\":1000100,\"scope\":\"mcp\",\"aud\":[\"x\",\"" RESOURCE "\"]",
		 ZG_TOKEN_GOOD},
		{true, false, "\"exp\":1000100,\"scope\":\"mcp\",\"aud\":{\"a\":1}",
		 ZG_TOKEN_INVALID},
		{true, false, "\"exp\":1000100,\"aud\":\"" RESOURCE "\"", ZG_TOKEN_SCOPE},
		{true, false, "\"exp\":1000100,\"scope\":\"mcpx xmcp\",\"aud\":\"" RESOURCE "\"",
		 ZG_TOKEN_SCOPE},
		{true, false, "\"exp\":1000100,\"scope\":[\"mcp\"],\"aud\":\"" RESOURCE "\"",
		 ZG_TOKEN_SCOPE},
	};

	(void)state;
	all_keys();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		zg_autobuf token = ZG_BUF(8192);
		char payload[1024];

		(void)snprintf(payload, sizeof(payload), "{%s%s%s}", rows[i].with_issuer ? I : "",
			       rows[i].with_audience ? A : "", rows[i].rest);
		sign(&token, "{\"alg\":\"ES256\",\"kid\":\"ec\"}", payload, ec);
		(void)judge(&token, rows[i].want);
	}
}

static void test_form(void **state)
{
	static const char *const rows[] = {
		"",	    ".",	"..",		"a.b",		"a.b.c.d",
		"e30.e30.", ".e30.e30", "e30=.e30.e30", "e30.e30.e3 0", "e31.e30.e30"};
	zg_autobuf big = ZG_BUF(4 * ZG_TOKEN_BYTES);

	(void)state;
	all_keys();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		zg_autobuf token = ZG_BUF(64);

		zg_buf_str(&token, rows[i]);
		assert_non_null(judge(&token, ZG_TOKEN_INVALID));
	}
	zg_buf_str(&big, "e30.");
	while (big.len <= ZG_TOKEN_BYTES)
		zg_buf_str(&big, "e30e30e30e30");
	zg_buf_str(&big, ".e30");
	assert_non_null(judge(&big, ZG_TOKEN_INVALID));
	assert_null(zg_token_bearer(ZG_SLICE("Basic abc")).ptr);
	assert_null(zg_token_bearer(ZG_SLICE("Bearer ")).ptr);
	assert_true(zg_slice_eq(zg_token_bearer(ZG_SLICE("bearer  abc ")), ZG_SLICE("abc")));
}

/* What the network says may be anything: it is no key, and no error. */
static void test_fetched(void **state)
{
	static struct zg_fetched_keys fetched[4] = {{.server = "idp"}, {.server = "idp"}};
	zg_autobuf out = ZG_BUF(65536);
	struct zg_diag d = {0};

	(void)state;
	trust("joe", "");
	settings.auth[0].issuer[0].jwks_file[0] = '\0';
	(void)snprintf(settings.auth[0].issuer[0].server, ZG_SERVER_LEN, "idp");
	fetched[0].bytes = (uint32_t)snprintf(fetched[0].text, sizeof(fetched[0].text), "<html>");
	fetched[1].bytes =
		(uint32_t)snprintf(fetched[1].text, sizeof(fetched[1].text), "%s", ec_jwk);
	fetched[2] = fetched[1];
	(void)snprintf(fetched[2].server, ZG_SERVER_LEN, "another");
	fetched[3] = fetched[1];
	fetched[3].bytes = UINT32_MAX;
	zg_jwks_fetched(&settings, fetched, 4, &d, &out);
	assert_int_equal(out.len, sizeof(struct zg_auth_key));
	assert_int_equal(d.errors, 0);
	assert_int_equal(d.kept, 2);
	zg_diag_release(&d);
}

static void test_jwks(void **state)
{
	static const struct {
		const char *text;
		size_t keys, errors;
	} rows[] = {
		{"", 0, 1},
		{"{}", 0, 1},
		{"{\"keys\":[]}", 0, 1},
		{"{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\"}]}", 0, 1},
		{"{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}]}", 0, 1},
		{"{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV7"
		 "6e8Tus9uPHvRVEU\",\"y\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\"}]}",
		 0, 1}, /* not a point of the curve */
		{"{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-521\",\"x\":\"AA\",\"y\":\"AA\"}]}", 0, 1},
		{"{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hc"
		 "vPapiMlrwIaaPcHURo\"},{\"kty\":\"EC\",\"crv\":\"P-521\"},{\"kty\":\"RSA\","
		 "\"use\":"
		 "\"enc\"}]}",
		 1, 0}, /* what is for others is left out */
		{"{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hc"
		 "vPapiMlrwIaaPcHURo\",\"d\":\"AA\"}]}",
		 0, 1}, /* private */
	};

	(void)state;
	trust("joe", "");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct zg_diag d = {0};

		assert_int_equal(load(rows[i].text, &d), rows[i].keys);
		assert_int_equal(d.errors, rows[i].errors);
		zg_diag_release(&d);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rfc7515),	      cmocka_unit_test(test_good),
		cmocka_unit_test(test_forged_header), cmocka_unit_test(test_hmac_with_public_key),
		cmocka_unit_test(test_claims),	      cmocka_unit_test(test_form),
		cmocka_unit_test(test_jwks),	      cmocka_unit_test(test_fetched),
		cmocka_unit_test(test_unknown_key),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
