/* SPDX-License-Identifier: Apache-2.0 */
/* hold_test.c - approvals as gateways and people meet them, over real sockets. */
#include "harness.h"

static int setup(void **state)
{
	static struct role r;

	role_init(&r);
	role_start(&r);
	*state = &r;
	return 0;
}

static int teardown(void **state)
{
	role_release(*state);
	return 0;
}

static void approve_executes_once(void **state)
{
	struct role *r = *state;
	struct zg_msg_hold first = held(r, 1, 5), second = held(r, 2, 5);
	struct zg_msg_hold_state s = hold_gets(r, 0, &first, ZG_HOLD_PENDING), t;
	struct zg_msg_ctl_end end;

	assert_int_equal(strlen(s.approval), 13);
	/* the same call from another worker joins the same approval */
	t = hold_gets(r, 1, &second, ZG_HOLD_PENDING);
	assert_string_equal(s.approval, t.approval);
	end = decide_as(r, s.approval, true, APPROVER);
	assert_int_equal(end.error, 0);
	assert_int_equal(answer(r, 1).state, ZG_HOLD_GRANTED);
	assert_int_equal(answer(r, 0).state, ZG_HOLD_SUPERSEDED);
	assert_int_equal(show(r, s.approval).state, ZG_AS_CONSUMED);
	/* once: the next same call asks anew */
	first.call = 3;
	t = hold_gets(r, 0, &first, ZG_HOLD_PENDING);
	assert_string_not_equal(s.approval, t.approval);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(approve_executes_once, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
