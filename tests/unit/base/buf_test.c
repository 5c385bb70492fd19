/* SPDX-License-Identifier: Apache-2.0 */
/* buf_test.c - buffers: ceilings hold and are not missed, JSON is JSON. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "buf.h"

static void a_ceiling_is_sticky(void **state)
{
	zg_autobuf b = ZG_BUF(10);

	(void)state;
	zg_buf_str(&b, "12345678");
	assert_true(zg_buf_ok(&b));
	zg_buf_str(&b, "999");
	assert_false(zg_buf_ok(&b));
	assert_int_equal(b.error, -EFBIG);
	/* what would fit now is not added after what was lost */
	zg_buf_str(&b, "0");
	assert_int_equal(b.len, 8);
	assert_memory_equal(b.ptr, "12345678", 8);
	assert_null(zg_buf_room(&b, 1));
	zg_buf_reset(&b);
	zg_buf_str(&b, "1234567890");
	assert_true(zg_buf_ok(&b));
	assert_null(zg_buf_room(&b, SIZE_MAX));
}

static void grows_up_to_any_size(void **state)
{
	zg_autobuf b = ZG_BUF(100000);

	(void)state;
	for (int i = 0; i < 10000; i++)
		zg_buf_fmt(&b, "%04d,", i);
	assert_true(zg_buf_ok(&b));
	assert_int_equal(b.len, 50000);
	assert_memory_equal(b.ptr + 5 * 1234, "1234,", 5);
}

static void numbers(void **state)
{
	zg_autobuf b = ZG_BUF(64);

	(void)state;
	zg_buf_u64(&b, 0);
	zg_buf_char(&b, ' ');
	zg_buf_u64(&b, 10);
	zg_buf_char(&b, ' ');
	zg_buf_u64(&b, UINT64_MAX);
	assert_int_equal(b.len, 25);
	assert_memory_equal(b.ptr, "0 10 18446744073709551615", 25);
}

static void json_strings(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{"", "\"\""},
		{"plain /", "\"plain /\""},
		{"\"\\", "\"\\\"\\\\\""},
		{"\b\t\n\f\r", "\"\\b\\t\\n\\f\\r\""},
		{"\x01\x1f\x7f", "\"\\u0001\\u001f\x7f\""},
		{"\xe2\x82\xac", "\"\xe2\x82\xac\""},
		{"\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
		{"a\xff"
		 "b",
		 "\"a\xef\xbf\xbd"
		 "b\""},
		{"\xe2\x82", "\"\xef\xbf\xbd\xef\xbf\xbd\""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		zg_autobuf b = ZG_BUF(100);

		zg_buf_json(&b, zg_slice_str(cases[i].in));
		assert_true(zg_buf_ok(&b));
		assert_int_equal(b.len, strlen(cases[i].out));
		assert_memory_equal(b.ptr, cases[i].out, b.len);
	}
}

static void reads_to_the_end_or_to_the_ceiling(void **state)
{
	static const struct {
		size_t bytes, ceiling;
		int answer;
	} cases[] = {{0, 10, 0},
		     {10, 10, 0},
		     {11, 10, -EFBIG},
		     {200000, 200000, 0},
		     {200001, 200000, -EFBIG},
		     {70000, 100000, 0}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		zg_autobuf b = ZG_BUF(cases[i].ceiling);
		zg_autofd int fd = memfd_create("file", MFD_CLOEXEC);
		size_t kept = cases[i].answer ? cases[i].ceiling : cases[i].bytes;

		assert_int_equal(ftruncate(fd, (off_t)cases[i].bytes), 0);
		assert_int_equal(zg_buf_read(&b, fd), cases[i].answer);
		assert_int_equal(b.len, kept);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_ceiling_is_sticky),
		cmocka_unit_test(grows_up_to_any_size),
		cmocka_unit_test(numbers),
		cmocka_unit_test(json_strings),
		cmocka_unit_test(reads_to_the_end_or_to_the_ceiling),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
