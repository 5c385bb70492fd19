/* SPDX-License-Identifier: Apache-2.0 */
/* buf_test.c - memory of buffers and arenas: ceilings hold and are not missed. */
#include <errno.h>
#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>

#include <cmocka.h>

#include "arena.h"
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

static void a_full_arena_never_looks_complete(void **state)
{
	struct zg_arena a;

	(void)state;
	for (size_t max = 0; max < 20000; max += 777) {
		size_t got = 0;

		zg_arena_init(&a, max);
		for (int i = 0; i < 100; i++) {
			uint8_t *p = zg_arena_alloc(&a, 100);

			if (!p)
				break;
			assert_int_equal((uintptr_t)p % alignof(max_align_t), 0);
			for (int k = 0; k < 100; k++)
				assert_int_equal(p[k], 0);
			memset(p, 0xee, 100);
			got += 100;
		}
		assert_true(got <= max);
		assert_int_equal(zg_arena_ok(&a), got == 10000);
		/* overflow stays, also for what would fit */
		if (!zg_arena_ok(&a))
			assert_null(zg_arena_alloc(&a, 1));
		zg_arena_release(&a);
	}
}

static void arena_sizes_cannot_wrap(void **state)
{
	struct zg_arena a;
	char *copy;

	(void)state;
	zg_arena_init(&a, 1 << 20);
	copy = zg_arena_copy(&a, (struct zg_slice){"a\0b", 3});
	assert_memory_equal(copy, "a\0b", 4);
	assert_null(zg_arena_alloc(&a, SIZE_MAX));
	zg_arena_release(&a);
	assert_non_null(zg_arena_alloc(&a, 5000));
	assert_null(zg_arena_copy(&a, (struct zg_slice){"", SIZE_MAX}));
	zg_arena_release(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_ceiling_is_sticky),
		cmocka_unit_test(grows_up_to_any_size),
		cmocka_unit_test(json_strings),
		cmocka_unit_test(a_full_arena_never_looks_complete),
		cmocka_unit_test(arena_sizes_cannot_wrap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
