/* SPDX-License-Identifier: Apache-2.0 */
/* base64url_test.c - the vectors of RFC 4648 10, and one spelling for each value. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "base64url.h"

static void test_vectors(void **state)
{
	static const char *const rows[][2] = {
		{"", ""},
		{"f", "Zg"},
		{"fo", "Zm8"},
		{"foo", "Zm9v"},
		{"foob", "Zm9vYg"},
		{"fooba", "Zm9vYmE"},
		{"foobar", "Zm9vYmFy"},
		{"\xfb\xff", "-_8"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		zg_autobuf text = ZG_BUF(64);
		size_t n = strlen(rows[i][0]);
		uint8_t bytes[16];

		zg_base64url_encode(rows[i][0], n, &text);
		zg_buf_char(&text, '\0');
		assert_string_equal(text.ptr, rows[i][1]);
		assert_int_equal(zg_base64url_decode(zg_slice_str(rows[i][1]), bytes, n), n);
		assert_memory_equal(bytes, rows[i][0], n);
		if (n)
			assert_int_equal(
				zg_base64url_decode(zg_slice_str(rows[i][1]), bytes, n - 1),
				-EBADMSG);
	}
}

static void test_other_spellings(void **state)
{
	static const char *const rows[] = {"Z",	   "Zg==", "Zh",   "Zm9",  "Zm9vY",
					   "Zm+v", "Zm/v", "Zm 8", "Zm8\n"};
	uint8_t bytes[16];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(zg_base64url_decode(zg_slice_str(rows[i]), bytes, sizeof(bytes)),
				 -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_other_spellings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
