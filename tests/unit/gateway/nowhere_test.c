/* SPDX-License-Identifier: Apache-2.0 */
/* What is known to lead nowhere: for its time, and no more names than there is room for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "nowhere.h"

static void a_name_is_known_for_its_time(void **state)
{
	static struct zg_nowhere_names n;

	(void)state;
	assert_false(zg_nowhere_known(&n, "a.example", 1));
	assert_false(zg_nowhere_known(&n, "", 1));
	zg_nowhere_put(&n, "a.example", 100);
	assert_true(zg_nowhere_known(&n, "a.example", 99));
	assert_false(zg_nowhere_known(&n, "a.example", 100));
	assert_false(zg_nowhere_known(&n, "b.example", 1));
	zg_nowhere_put(&n, "a.example", 200);
	assert_true(zg_nowhere_known(&n, "a.example", 199));
	/* sooner counts as well: the last word holds */
	zg_nowhere_put(&n, "a.example", 50);
	assert_false(zg_nowhere_known(&n, "a.example", 50));
}

static void a_full_table_forgets_what_is_over_first(void **state)
{
	static struct zg_nowhere_names n;
	char name[32];

	(void)state;
	for (unsigned i = 0; i < ZG_NOWHERE_NAMES + 1; i++) {
		(void)snprintf(name, sizeof(name), "h%u.example", i);
		zg_nowhere_put(&n, name, 1000 + i);
	}
	assert_false(zg_nowhere_known(&n, "h0.example", 1));
	for (unsigned i = 1; i < ZG_NOWHERE_NAMES + 1; i++) {
		(void)snprintf(name, sizeof(name), "h%u.example", i);
		assert_true(zg_nowhere_known(&n, name, 1));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_is_known_for_its_time),
		cmocka_unit_test(a_full_table_forgets_what_is_over_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
