/* SPDX-License-Identifier: Apache-2.0 */
/*
 * checksum_test.c - the arithmetic against published vectors: CRC-32 (zip's
 * check value and GitHub's token body), Luhn, RFC 4648, and Marvin32 as the
 * .NET runtime and SymCrypt test it.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine.h"

static void test_crc32(void **state)
{
	static const char token[] = "zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ"
				    "0mLq17";
	char changed[sizeof(token)];

	(void)state;
	assert_int_equal(zg_crc32("123456789", 9), 0xcbf43926);
	assert_true(zg_crc32_base62(token, 36));
	assert_false(zg_crc32_base62(token, 35));
	assert_false(zg_crc32_base62(token, 6));
	for (size_t i = 0; i < 36; i++) {
		memcpy(changed, token, sizeof(token));
		changed[i] = changed[i] == 'a' ? 'b' : 'a';
		assert_false(zg_crc32_base62(changed, 36));
	}
}

static void test_luhn(void **state)
{
	(void)state;
	assert_true(zg_luhn("79927398713", 11));
	for (char c = '0'; c <= '9'; c++) {
		char n[12] = "7992739871";

		n[10] = c;
		assert_int_equal(zg_luhn(n, 11), c == '3');
	}
}

static void test_base64(void **state)
{
	static const struct {
		const char *text, *bytes;
		long n;
	} rows[] = {
		{"", "", 0},
		{"Zg==", "f", 1},
		{"Zg", "f", 1},
		{"Zm8=", "fo", 2},
		{"Zm9vYmFy", "foobar", 6},
		{"-_-_", "\xfb\xff\xbf", 3},
		{"+/+/", "\xfb\xff\xbf", 3},
		{"Z", NULL, -EBADMSG},
		{"Zh==", NULL, -EBADMSG},
		{"Zm 9", NULL, -EBADMSG},
		{"Z===", NULL, -EBADMSG},
		{"Zm9vYmFyYg==", NULL, -EFBIG},
	};
	uint8_t out[6];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(zg_base64(out, sizeof(out), rows[i].text, strlen(rows[i].text)),
				 rows[i].n);
		if (rows[i].n > 0)
			assert_memory_equal(out, rows[i].bytes, (size_t)rows[i].n);
	}
}

static void test_marvin32(void **state)
{
	static const struct {
		uint64_t seed;
		const char *bytes;
		size_t n;
		uint32_t hash;
	} rows[] = {
		{0xd53cd9cecd0893b7ULL, "abc", 3, 0x22c74339U ^ 0x492769bfU},
		{0x4fb61a001bdbccULL, "", 0, 0x302009bc},
		{0x4fb61a001bdbccULL, "\xaf", 1, 0x3592e206},
		{0x4fb61a001bdbccULL, "\xe7\x0f", 2, 0xfdab5e04},
		{0x4fb61a001bdbccULL, "\x37\xf4\x95", 3, 0x6b3c8b90},
		{0x4fb61a001bdbccULL, "\x86\x42\xdc\x59", 4, 0x7008f2e8U ^ 0x7e9cf556U},
		{0x4fb61a001bdbccULL, "\x15\x3f\xb7\x98\x26", 5, 0xe6c08c6dU ^ 0xa2afa997U},
		{0x4fb61a001bdbccULL, "\x09\x32\xe6\x24\x6c\x47", 6, 0x6f04bf1aU ^ 0x5ea24060U},
		{0x804fb61a001bdbccULL, "\xaf", 1, 0x68201f91U ^ 0x960ebf91U},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(
			zg_marvin32(rows[i].seed, (const uint8_t *)rows[i].bytes, rows[i].n),
			rows[i].hash);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_crc32),
		cmocka_unit_test(test_luhn),
		cmocka_unit_test(test_base64),
		cmocka_unit_test(test_marvin32),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
