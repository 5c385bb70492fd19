/* SPDX-License-Identifier: Apache-2.0 */
/* policy_signature_test.c - only a listed key's signature over this snapshot counts. */
#include <openssl/evp.h>
#include <stdint.h>

#include "policy/world.h"
#include "policy_signature.h"

struct signer {
	EVP_PKEY *key;
	uint8_t raw[ZG_SIGN_KEY];
};

static struct signer signer(void)
{
	struct signer s = {.key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")};
	size_t n = sizeof(s.raw);

	assert_non_null(s.key);
	assert_int_equal(EVP_PKEY_get_raw_public_key(s.key, s.raw, &n), 1);
	return s;
}

static struct zg_policy_signature sign(const struct signer *by, const uint8_t snapshot[32])
{
	struct zg_policy_signature s = {.time = "2026-11-23T02:00:00Z"};
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	char text[ZG_SIGN_MESSAGE_LEN];
	size_t bytes = sizeof(s.bytes);

	memcpy(s.snapshot, snapshot, 32);
	zg_sign_key_id(by->raw, s.key);
	assert_int_equal(EVP_DigestSignInit(ctx, NULL, NULL, NULL, by->key), 1);
	assert_int_equal(EVP_DigestSign(ctx, s.bytes, &bytes, (unsigned char *)text,
					zg_sign_message(&s, text)),
			 1);
	EVP_MD_CTX_free(ctx);
	return s;
}

static const uint8_t id[32] = {1, 2, 3}, other[32] = {3, 2, 1};

static void counts_different_listed_keys(void **state)
{
	struct signer a = signer(), b = signer(), c = signer();
	uint8_t key[3][ZG_SIGN_KEY];
	struct zg_signatures all = {.item = {sign(&a, id), sign(&b, id), sign(&c, other)},
				    .count = 3};

	(void)state;
	memcpy(key[0], a.raw, ZG_SIGN_KEY);
	memcpy(key[1], a.raw, ZG_SIGN_KEY); /* listed twice: one person */
	memcpy(key[2], c.raw, ZG_SIGN_KEY); /* signed something else */
	assert_int_equal(zg_signatures_count(&all, (const uint8_t(*)[ZG_SIGN_KEY])key, 3, id), 1);
	memcpy(key[2], b.raw, ZG_SIGN_KEY);
	assert_int_equal(zg_signatures_count(&all, (const uint8_t(*)[ZG_SIGN_KEY])key, 3, id), 2);
	all.item[1] = all.item[0]; /* signed twice by one */
	assert_int_equal(zg_signatures_count(&all, (const uint8_t(*)[ZG_SIGN_KEY])key, 3, id), 1);
	EVP_PKEY_free(a.key);
	EVP_PKEY_free(b.key);
	EVP_PKEY_free(c.key);
}

static void every_changed_byte_breaks_it(void **state)
{
	struct signer a = signer();
	struct zg_policy_signature good = sign(&a, id), bad;

	(void)state;
	assert_true(zg_signature_holds(&good, a.raw, id));
	assert_false(zg_signature_holds(&good, a.raw, other));
	for (size_t i = 0; i < sizeof(good.bytes); i++) {
		bad = good;
		bad.bytes[i] ^= 1;
		assert_false(zg_signature_holds(&bad, a.raw, id));
	}
	bad = good;
	bad.time[3] = '7';
	assert_false(zg_signature_holds(&bad, a.raw, id));
	bad = good;
	memcpy(bad.snapshot, other, 32);
	assert_false(zg_signature_holds(&bad, a.raw, other));
	EVP_PKEY_free(a.key);
}

static void what_is_written_is_read(void **state)
{
	struct signer a = signer();
	struct zg_signatures all = {.item = {sign(&a, id)}, .count = 1}, again;
	zg_autobuf text = ZG_BUF(65536);
	struct zg_err e;

	(void)state;
	zg_signatures_write(&all, &text);
	assert_int_equal(zg_signatures_read(zg_buf_slice(&text), "f", &again, &e), 0);
	assert_int_equal(again.count, 1);
	assert_true(zg_signature_holds(&again.item[0], a.raw, id));
	/* cut anywhere, it is an error and no crash */
	for (size_t n = 0; n + 2 < text.len; n++)
		assert_int_not_equal(
			zg_signatures_read((struct zg_slice){text.ptr, n}, "f", &again, &e), 0);
	EVP_PKEY_free(a.key);
}

static void refuses_what_is_no_file_of_signatures(void **state)
{
	static const char *const bad[] = {
		"",
		"[]",
		"{}",
		"{\"version\": \"v1\"}",
		"{\"version\": \"v2\", \"signatures\": []}",
		"{\"version\": \"v1\", \"signatures\": [], \"more\": 1}",
		"{\"version\": \"v1\", \"signatures\": [{}]}",
		"{\"version\": \"v1\", \"signatures\": [1]}",
	};
	struct zg_signatures all;
	struct zg_err e;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_not_equal(zg_signatures_read(zg_slice_str(bad[i]), "f", &all, &e), 0);
}

static void reads_keys_as_people_write_them(void **state)
{
	/* RFC 8410, 10.1 */
	static const char pem[] = "-----BEGIN PUBLIC KEY-----\n"
				  "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n"
				  "-----END PUBLIC KEY-----\n";
	static const char raw[] = "Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";
	uint8_t a[ZG_SIGN_KEY], b[ZG_SIGN_KEY];

	(void)state;
	assert_int_equal(zg_sign_key(zg_slice_str(pem), a), 0);
	assert_int_equal(zg_sign_key(zg_slice_str(raw), b), 0);
	assert_memory_equal(a, b, sizeof(a));
	for (size_t n = 0; n < sizeof(raw) - 1; n++)
		assert_int_not_equal(zg_sign_key((struct zg_slice){raw, n}, b), 0);
	for (size_t n = 0; n < sizeof(pem) - 3; n++)
		assert_int_not_equal(zg_sign_key((struct zg_slice){pem, n}, b), 0);
}

/* What zerogate.yaml says of reloading, candidates and signers. */
static void rollout_keys_that_cannot_be_meant_are_errors(void **state)
{
	static const struct {
		const char *keys, *says;
	} cases[] = {
		{"reload: {on_change: false}\n", ""},
		{"reload: {on_change: maybe}\n", "main:3:21: on_change"},
		{"reload: {on_changes: true}\n", "main:3:10: unknown key 'on_changes'"},
		{"reload: now\n", "main:3:9: "},
		{"shadow_policies: candidate\n", ""},
		{"shadow_policies: [a, b]\n", "main:3:18: "},
		{"policy_signers: [a.pub]\n", ""},
		{"policy_signers: {a: b}\n", "main:3:17: "},
		{"policy_signers: ['']\n", "main:3:17: a signer is empty"},
		{"require_signed: true\n", "main:1:1: require_signed wants 1 signers"},
		{"policy_signers: [a.pub]\nrequire_signed: 2\n",
		 "main:1:1: require_signed wants 2 signers, and policy_signers names 1"},
		{"policy_signers: [a.pub]\nrequire_signed: often\n", "main:4:17: require_signed"},
		{"policy_signers: [a.pub]\nrequire_signed: 99\n", "main:4:17: "},
	};

	(void)state;
	for (size_t i = 0; i < ZG_COUNT(cases); i++) {
		char text[1024], got[ZG_PATH_LEN + ZG_REASON_LEN + 32] = "";
		struct zg_diag diag = {0};
		struct zg_build *b = zg_build_new(&diag);

		assert_non_null(b);
		assert_true(snprintf(text, sizeof(text), "%s%s", WORLD_MAIN, cases[i].keys) <
			    (int)sizeof(text));
		zg_build_add(b, ZG_CF_MAIN, "main", zg_slice_str(text));
		zg_build_free(b);
		if (diag.errors)
			(void)snprintf(got, sizeof(got), "%s:%u:%u: %s", diag.item[0].file,
				       diag.item[0].line, diag.item[0].column, diag.item[0].what);
		if (cases[i].says[0])
			assert_memory_equal(got, cases[i].says, strlen(cases[i].says));
		else
			assert_string_equal(got, "");
		zg_diag_release(&diag);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_different_listed_keys),
		cmocka_unit_test(every_changed_byte_breaks_it),
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(refuses_what_is_no_file_of_signatures),
		cmocka_unit_test(reads_keys_as_people_write_them),
		cmocka_unit_test(rollout_keys_that_cannot_be_meant_are_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
