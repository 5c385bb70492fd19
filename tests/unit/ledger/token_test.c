/* SPDX-License-Identifier: Apache-2.0 */
/* token_test.c - a token is used once: on any worker, across deaths of the
 * ledger. */
#include "harness.h"

#include <time.h>

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

static uint64_t in(int64_t sec)
{
	return (uint64_t)((int64_t)time(NULL) + sec);
}

static enum zg_token_state use(const struct role *r, int worker, uint32_t number, uint64_t expires)
{
	struct zg_msg_token_use m = {.call = number, .expires = expires};
	struct zg_msg_token_used said;
	struct zg_msg got;

	memcpy(m.id, &number, sizeof(number));
	assert_int_equal(zg_msg_send(r->gateway[worker], ZG_MSG_TOKEN_USE, &m, -1), 0);
	receive(r->gateway[worker], &got, ZG_MSG_TOKEN_USED);
	memcpy(&said, got.body, sizeof(said));
	assert_int_equal(said.call, number);
	return (enum zg_token_state)said.state;
}

static void once(void **state)
{
	struct role *r = *state;

	assert_int_equal(use(r, 0, 1, in(900)), ZG_TOKEN_FRESH);
	assert_int_equal(use(r, 0, 1, in(900)), ZG_TOKEN_USED_UP);
	assert_int_equal(use(r, 1, 1, in(900)), ZG_TOKEN_USED_UP);
	assert_int_equal(use(r, 1, 2, in(900)), ZG_TOKEN_FRESH);
	assert_int_equal(use(r, 1, 3, UINT64_MAX), ZG_TOKEN_REFUSED);
}

static void survives_kill(void **state)
{
	struct role *r = *state;

	assert_int_equal(use(r, 0, 1, in(900)), ZG_TOKEN_FRESH);
	role_kill(r);
	role_start(r);
	assert_int_equal(use(r, 0, 1, in(900)), ZG_TOKEN_USED_UP);
	assert_int_equal(use(r, 1, 2, in(900)), ZG_TOKEN_FRESH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(once, setup, teardown),
		cmocka_unit_test_setup_teardown(survives_kill, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
