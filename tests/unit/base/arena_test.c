/* SPDX-License-Identifier: Apache-2.0 */
/* arena_test.c - memory of one request: capped, zeroed, aligned, never half there. */
#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>

#include <cmocka.h>

#include "arena.h"

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
		cmocka_unit_test(a_full_arena_never_looks_complete),
		cmocka_unit_test(arena_sizes_cannot_wrap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
