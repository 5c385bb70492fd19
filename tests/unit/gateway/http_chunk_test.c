/* SPDX-License-Identifier: Apache-2.0 */
/* http_chunk_test.c - content comes out whole however it is cut; nothing else gets through. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "http_chunk.h"

/* Feed text in pieces of n bytes. What came out is in got; returns the last answer. */
static int decode(const char *text, size_t n, char *got, size_t size, size_t *beyond)
{
	struct zg_http_chunk c = {0};
	size_t len = strlen(text), at = 0, have = 0;
	int rc = 0;

	while (rc == 0 && at < len) {
		struct zg_slice in = {text + at, len - at < n ? len - at : n}, out;

		at += in.len;
		while (rc == 0 && in.len) {
			rc = zg_http_chunk_next(&c, &in, &out);
			assert_true(have + out.len < size);
			memcpy(got + have, out.ptr, out.len);
			have += out.len;
		}
		*beyond = len - at + in.len;
	}
	got[have] = '\0';
	return rc;
}

static void test_any_portions(void **state)
{
	static const char text[] = "5\r\nhello\r\n00B\r\n, wide\r\nwor\r\n2\r\nld\r\n0\r\n\r\nNEXT";
	char got[128];
	size_t beyond = 0;

	(void)state;
	for (size_t n = 1; n <= sizeof(text); n++) {
		assert_int_equal(decode(text, n, got, sizeof(got), &beyond), 1);
		assert_string_equal(got, "hello, wide\r\nworld");
		assert_int_equal(beyond, 4);
	}
}

static void test_unfinished(void **state)
{
	static const char *const texts[] = {
		"5", "5\r", "5\r\nhell", "5\r\nhello", "5\r\nhello\r\n0\r\n", "0\r\n\r"};
	char got[128];
	size_t beyond;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(decode(texts[i], 3, got, sizeof(got), &beyond), 0);
}

static void test_what_others_let_pass(void **state)
{
	static const char *const texts[] = {
		"5;ext=1\r\nhello\r\n0\r\n\r\n", /* an extension */
		"5 \r\nhello\r\n",		 /* a blank */
		" 5\r\nhello\r\n",
		"+5\r\nhello\r\n",
		"0x5\r\nhello\r\n",
		"-1\r\nhello\r\n",
		"\r\nhello\r\n",
		"5\nhello\r\n", /* bare LF */
		"5\rhello\r\n",
		"5\r\nhelloX\r\n", /* more than was said */
		"5\r\nhello\n",
		"0\r\nTrailer: x\r\n\r\n",
		"0\r\n\n",
		"000000005\r\nhello\r\n", /* nine digits */
		"ffffffffff\r\n",
	};
	char got[128];
	size_t beyond;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		for (size_t n = 1; n < 20; n++)
			assert_int_equal(decode(texts[i], n, got, sizeof(got), &beyond), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_portions),
		cmocka_unit_test(test_unfinished),
		cmocka_unit_test(test_what_others_let_pass),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
