/* SPDX-License-Identifier: Apache-2.0 */
/* accept_test.c - one cgroup's flood, of any kind, leaves the others their part. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "accept.h"

enum { GREEDY = 7, MODEST = 8 };

static struct zg_admission a;

static int setup(void **state)
{
	(void)state;
	return zg_admission_init(&a);
}

static int teardown(void **state)
{
	(void)state;
	zg_admission_release(&a);
	return 0;
}

/* Holders of 1 MB each, until no more is let in. */
static uint32_t fill(uint64_t cgroup, uint64_t *counted, uint32_t max)
{
	uint32_t n = 0;

	while (n < max && zg_admit_bytes(&a, cgroup, &counted[n], (1 << 20) + ZG_BUFFERED_FREE))
		n++;
	return n;
}

static void test_bytes_of_one(void **state)
{
	uint64_t greedy[300] = {0}, modest = 0;
	uint32_t n = fill(GREEDY, greedy, 300);

	(void)state;
	assert_int_equal(n, ZG_BUFFERED_PRINCIPAL_MAX >> 20);
	assert_int_equal(greedy[n], 0);
	assert_true(zg_admit_bytes(&a, MODEST, &modest, 4 << 20));
	/* what is given back may be used again */
	assert_true(zg_admit_bytes(&a, GREEDY, &greedy[0], 0));
	assert_true(zg_admit_bytes(&a, GREEDY, &greedy[n], 1 << 20));
	for (uint32_t i = 0; i <= n; i++)
		zg_admit_held(&a, GREEDY, &greedy[i], 0);
	zg_admit_held(&a, MODEST, &modest, 0);
	assert_int_equal(a.total[ZG_ADMIT_BYTES], 0);
	assert_int_equal(a.used, 0);
}

static void test_bytes_of_all(void **state)
{
	static uint64_t counted[16][300];
	uint64_t sum = 0, late = 0;

	(void)state;
	for (uint64_t c = 0; c < 16; c++)
		sum += fill(c + 1, counted[c], 300);
	assert_int_equal(sum, ZG_BUFFERED_MAX >> 20);
	assert_false(zg_admit_bytes(&a, 100, &late, 1 << 20));
	assert_true(zg_admit_bytes(&a, 100, &late, ZG_BUFFERED_FREE));
}

/* What is there already counts, and bars what would come next. */
static void test_bytes_forced(void **state)
{
	uint64_t there = 0, next = 0;

	(void)state;
	assert_true(zg_admit(&a, GREEDY, ZG_ADMIT_CONNECTION));
	zg_admit_held(&a, GREEDY, &there, 2 * (uint64_t)ZG_BUFFERED_PRINCIPAL_MAX);
	assert_false(zg_admit_bytes(&a, GREEDY, &next, 1 << 20));
	zg_admit_held(&a, GREEDY, &there, 0);
	assert_true(zg_admit_bytes(&a, GREEDY, &next, 1 << 20));
}

static void test_counts_of_one(void **state)
{
	uint32_t n = 0;

	(void)state;
	while (zg_admit(&a, GREEDY, ZG_ADMIT_HOLD))
		n++;
	assert_int_equal(n, ZG_HOLDS_PRINCIPAL_MAX);
	assert_true(zg_admit(&a, MODEST, ZG_ADMIT_HOLD));
	zg_admit_end(&a, GREEDY, ZG_ADMIT_HOLD);
	assert_true(zg_admit(&a, GREEDY, ZG_ADMIT_HOLD));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_bytes_of_one, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bytes_of_all, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bytes_forced, setup, teardown),
		cmocka_unit_test_setup_teardown(test_counts_of_one, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
