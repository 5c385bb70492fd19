/* SPDX-License-Identifier: Apache-2.0 */
/* quota_link_test.c - limits as gateways meet them, over real sockets of a real
 * ledger: what one worker said first is heard before another is answered. */
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

static void ask(const struct role *r, int worker, uint64_t call, enum zg_quota_kind kind)
{
	struct zg_msg_quota_ask m = {
		.call = call,
		.owner = 1,
		.count = 1,
		.lease_sec = 60,
		.limit[0] = {.key = {9}, .kind = kind, .calls = kind != ZG_QK_RETRIES, .sec = 60}};

	assert_int_equal(zg_msg_send(r->gateway[worker], ZG_MSG_QUOTA_ASK, &m, -1), 0);
}

static void done(const struct role *r, int worker, uint64_t call, enum zg_quota_end end)
{
	struct zg_msg_quota_done m = {.call = call, .end = end};

	assert_int_equal(zg_msg_send(r->gateway[worker], ZG_MSG_QUOTA_DONE, &m, -1), 0);
}

static struct zg_msg_quota_told next_told(const struct role *r, int worker)
{
	struct zg_msg_quota_told t;
	struct zg_msg m;

	receive(r->gateway[worker], &m, ZG_MSG_QUOTA_TOLD);
	memcpy(&t, m.body, sizeof(t));
	return t;
}

static enum zg_quota_state told(const struct role *r, int worker, uint64_t call)
{
	struct zg_msg_quota_told t = next_told(r, worker);

	assert_int_equal(t.call, call);
	return (enum zg_quota_state)t.state;
}

static void what_was_said_first_is_heard_first(void **state)
{
	struct role *r = *state;
	uint64_t call = 1;

	/* one call at a time, by turns through either worker: never refused */
	ask(r, 0, call, ZG_QK_CONCURRENT);
	assert_int_equal(told(r, 0, call), ZG_QS_GRANTED);
	for (int i = 0; i < 2000; i++, call++) {
		int worker = (i + 1) % 2;

		done(r, !worker, call, ZG_QE_DONE);
		ask(r, worker, call + 1, ZG_QK_CONCURRENT);
		assert_int_equal(told(r, worker, call + 1), ZG_QS_GRANTED);
	}
	/* a failure that one worker told of is known to the other */
	ask(r, 0, ++call, ZG_QK_RETRIES);
	assert_int_equal(told(r, 0, call), ZG_QS_GRANTED);
	done(r, 0, call, ZG_QE_FAILED);
	ask(r, 1, ++call, ZG_QK_RETRIES);
	assert_int_equal(told(r, 1, call), ZG_QS_EXCEEDED);
}

static void a_worker_that_goes(void **state)
{
	struct role *r = *state;
	struct zg_msg_quota_told t;

	ask(r, 0, 1, ZG_QK_CONCURRENT);
	assert_int_equal(told(r, 0, 1), ZG_QS_GRANTED);
	ask(r, 1, 2, ZG_QK_CONCURRENT);
	assert_int_equal(told(r, 1, 2), ZG_QS_EXCEEDED);
	link_gateway(r, 0); /* its successor's link */
	ask(r, 0, 3, ZG_QK_CONCURRENT);
	assert_int_equal(told(r, 0, 3), ZG_QS_GRANTED);
	/* given up without waiting for the answer, which the ledger sends if it
	 * read the question before it read that: either way nothing is held */
	done(r, 0, 3, ZG_QE_DONE);
	ask(r, 0, 4, ZG_QK_CONCURRENT);
	done(r, 0, 4, ZG_QE_NEUTRAL);
	ask(r, 0, 5, ZG_QK_CONCURRENT);
	t = next_told(r, 0);
	if (t.call == 4)
		t = next_told(r, 0);
	assert_int_equal(t.call, 5);
	assert_int_equal(t.state, ZG_QS_GRANTED);
}

static void nonsense_ends_the_link(void **state)
{
	struct role *r = *state;
	struct zg_msg_quota_ask m = {.count = 1000};
	struct zg_msg got;

	assert_int_equal(zg_msg_send(r->gateway[0], ZG_MSG_QUOTA_ASK, &m, -1), 0);
	assert_int_equal(zg_msg_recv(r->gateway[0], &got), -EPIPE);
	ask(r, 1, 1, ZG_QK_RATE);
	assert_int_equal(told(r, 1, 1), ZG_QS_GRANTED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_was_said_first_is_heard_first, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_worker_that_goes, setup, teardown),
		cmocka_unit_test_setup_teardown(nonsense_ends_the_link, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
