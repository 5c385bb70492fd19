/* SPDX-License-Identifier: Apache-2.0 */
/* quotas_test.c - limits as calls of several workers meet them: windows under a
 * clock of the test's own, tables that are full, workers that die. */
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <string.h>

#include "quotas.h"

#define SEC UINT64_C(1000000000)

static struct zg_quotas q;
static uint64_t now, calls;

static int setup(void **state)
{
	(void)state;
	now = 1000 * SEC;
	calls = 0;
	return zg_quotas_init(&q);
}

static int teardown(void **state)
{
	(void)state;
	zg_quotas_release(&q);
	return 0;
}

static struct zg_quota_limit limit(uint32_t key, enum zg_quota_kind kind, uint32_t n, uint32_t sec)
{
	struct zg_quota_limit l = {.kind = kind, .calls = n, .sec = sec};

	memcpy(l.key, &key, sizeof(key));
	return l;
}

static struct zg_msg_quota_told ask_all(uint32_t link, enum zg_quota_mode mode, uint32_t count,
					const struct zg_quota_limit *l)
{
	struct zg_msg_quota_ask m = {
		.call = ++calls << 4, .owner = 7, .mode = mode, .count = count, .lease_sec = 100};
	struct zg_msg_quota_told told;

	memcpy(m.limit, l, count * sizeof(*l));
	assert_int_equal(zg_quotas_ask(&q, link, &m, now, &told), 0);
	assert_int_equal(told.call, m.call);
	return told;
}

static struct zg_msg_quota_told ask(struct zg_quota_limit l)
{
	return ask_all(0, ZG_QM_TAKE, 1, &l);
}

static void done(uint64_t call, enum zg_quota_end end)
{
	zg_quotas_done(&q, &(struct zg_msg_quota_done){.call = call, .end = end}, now);
}

static void a_rate_holds_in_any_window(void **state)
{
	const struct zg_quota_limit l = limit(1, ZG_QK_RATE, 10, 60);
	uint64_t granted[4096];
	size_t count = 0, first = 0;

	(void)state;
	/* a client that always asks: never more than ten in any minute, never much fewer */
	for (int i = 0; i < 20 * 60; i++, now += SEC / 2 + (uint64_t)(i % 7) * 1000003) {
		struct zg_msg_quota_told told = ask(l);

		if (told.state != ZG_QS_GRANTED) {
			assert_int_equal(told.state, ZG_QS_EXCEEDED);
			assert_in_range(told.wait_ms, 1, 61000);
			continue;
		}
		granted[count++] = now;
		while (now - granted[first] >= 60 * SEC)
			first++;
		assert_true(count - first <= 10);
	}
	assert_in_range(count, 90, 110); /* ten minutes */
}

static void the_wait_is_exact(void **state)
{
	static const uint32_t windows[] = {1, 60, 3600, 86400};

	(void)state;
	for (uint32_t i = 0; i < 4; i++) {
		const struct zg_quota_limit l = limit(i, ZG_QK_RATE, 2, windows[i]);
		struct zg_msg_quota_told told;

		assert_int_equal(ask(l).state, ZG_QS_GRANTED);
		now += windows[i] * SEC / 2;
		assert_int_equal(ask(l).state, ZG_QS_GRANTED);
		told = ask(l);
		assert_int_equal(told.state, ZG_QS_EXCEEDED);
		assert_true(told.wait_ms >= windows[i] * UINT64_C(1000) / 2 - 1);
		/* one part of the window late at most */
		assert_true(told.wait_ms <= windows[i] * UINT64_C(1000) / 2 * 33 / 32 + 1);
		now += told.wait_ms * 1000000 - 1000000;
		assert_int_equal(ask(l).state, ZG_QS_EXCEEDED);
		now += 1000000;
		assert_int_equal(ask(l).state, ZG_QS_GRANTED);
		assert_int_equal(ask(l).state, ZG_QS_EXCEEDED);
		now += UINT64_C(1000) * 86400 * SEC; /* long idle */
		assert_int_equal(ask(l).state, ZG_QS_GRANTED);
	}
}

static void a_young_clock(void **state)
{
	const struct zg_quota_limit l = limit(1, ZG_QK_RATE, 1, 86400);

	(void)state;
	now = 0;
	assert_int_equal(ask(l).state, ZG_QS_GRANTED);
	now = 5;
	assert_in_range(ask(l).wait_ms, 86400000, 86400000 * 33ull / 32);
}

static void all_limits_or_none(void **state)
{
	const struct zg_quota_limit both[] = {limit(1, ZG_QK_RATE, 5, 60),
					      limit(2, ZG_QK_RATE, 2, 60)};
	struct zg_msg_quota_told told;

	(void)state;
	for (int i = 0; i < 10; i++) {
		told = ask_all(0, ZG_QM_TAKE, 2, both);
		assert_int_equal(told.state, i < 2 ? ZG_QS_GRANTED : ZG_QS_EXCEEDED);
		assert_int_equal(told.which, i < 2 ? 2 : 1);
	}
	/* the refused ones did not count for the other */
	for (int i = 0; i < 4; i++)
		assert_int_equal(ask(both[0]).state, i < 3 ? ZG_QS_GRANTED : ZG_QS_EXCEEDED);
}

static void another_number_keeps_the_count(void **state)
{
	(void)state;
	assert_int_equal(ask(limit(1, ZG_QK_RATE, 5, 60)).state, ZG_QS_GRANTED);
	assert_int_equal(ask(limit(1, ZG_QK_RATE, 1, 60)).state, ZG_QS_EXCEEDED);
	assert_int_equal(ask(limit(1, ZG_QK_RATE, 2, 60)).state, ZG_QS_GRANTED);
	assert_int_equal(ask(limit(1, ZG_QK_RATE, 1, 3600)).state, ZG_QS_GRANTED);
}

static void a_probe_takes_nothing(void **state)
{
	const struct zg_quota_limit l[] = {limit(1, ZG_QK_CONCURRENT, 1, 1),
					   limit(2, ZG_QK_RATE, 1, 60)};

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(ask_all(0, ZG_QM_PROBE, 2, l).state, ZG_QS_GRANTED);
	assert_int_equal(ask_all(0, ZG_QM_TAKE, 2, l).state, ZG_QS_GRANTED);
	assert_int_equal(ask_all(0, ZG_QM_PROBE, 2, l).state, ZG_QS_EXCEEDED);
}

static void at_once(void **state)
{
	const struct zg_quota_limit l = limit(1, ZG_QK_CONCURRENT, 2, 1);
	uint64_t first = ask(l).call;

	(void)state;
	assert_int_equal(ask_all(1, ZG_QM_TAKE, 1, &l).state, ZG_QS_GRANTED);
	assert_int_equal(ask(l).state, ZG_QS_EXCEEDED);
	done(first, ZG_QE_FAILED);
	done(first, ZG_QE_FAILED); /* once is enough */
	done(99, ZG_QE_DONE);
	assert_int_equal(ask(l).state, ZG_QS_GRANTED);
	assert_int_equal(ask(l).state, ZG_QS_EXCEEDED);
	/* the other worker dies */
	zg_quotas_link_gone(&q, 1, now);
	assert_int_equal(ask(l).state, ZG_QS_GRANTED);
	assert_int_equal(ask(l).state, ZG_QS_EXCEEDED);
	/* and calls whose end was lost end with their time */
	now += 99 * SEC;
	assert_int_equal(ask(l).state, ZG_QS_EXCEEDED);
	now += SEC;
	assert_int_equal(ask(l).state, ZG_QS_GRANTED);
	assert_int_equal(q.leases, 1);
}

static void a_ledger_that_came_later(void **state)
{
	const struct zg_quota_limit l = limit(1, ZG_QK_CONCURRENT, 1, 1);
	uint64_t running = ask_all(0, ZG_QM_CLAIM, 1, &l).call;

	(void)state;
	assert_int_equal(ask_all(1, ZG_QM_CLAIM, 1, &l).state, ZG_QS_GRANTED); /* it runs */
	assert_int_equal(ask(l).state, ZG_QS_EXCEEDED);
	done(running, ZG_QE_DONE);
	assert_int_equal(ask(l).state, ZG_QS_EXCEEDED);
	zg_quotas_link_gone(&q, 1, now);
	assert_int_equal(ask(l).state, ZG_QS_GRANTED);
}

static void failed_calls(void **state)
{
	const struct zg_quota_limit one = limit(1, ZG_QK_RETRIES, 1, 600),
				    none = limit(2, ZG_QK_RETRIES, 0, 600);

	(void)state;
	done(ask(one).call, ZG_QE_FAILED);
	done(ask(one).call, ZG_QE_FAILED);
	assert_int_equal(ask(one).state, ZG_QS_EXCEEDED);
	assert_int_equal(ask(one).wait_ms, 600000);
	now += 600 * SEC + 1;
	/* a success forgets, what is neither does not */
	done(ask(one).call, ZG_QE_FAILED);
	done(ask(one).call, ZG_QE_NEUTRAL);
	done(ask(one).call, ZG_QE_FAILED);
	assert_int_equal(ask(one).state, ZG_QS_EXCEEDED);
	now += 600 * SEC + 1;
	done(ask(one).call, ZG_QE_FAILED);
	done(ask(one).call, ZG_QE_DONE);
	done(ask(one).call, ZG_QE_FAILED);
	assert_int_equal(ask(one).state, ZG_QS_GRANTED);
	/* cut off by the death of its worker: it may have been executed */
	assert_int_equal(ask(none).state, ZG_QS_GRANTED);
	zg_quotas_link_gone(&q, 0, now);
	assert_int_equal(ask(none).state, ZG_QS_EXCEEDED);
}

static void full_tables_refuse(void **state)
{
	struct zg_quota_limit l[] = {limit(0, ZG_QK_RATE, 1, 60), limit(1, ZG_QK_RATE, 1, 60)};
	struct zg_msg_quota_ask m = {.count = 1, .lease_sec = 1};
	struct zg_msg_quota_told told;
	uint32_t n = 0;

	(void)state;
	/* one principal has its bound */
	while (ask(limit(n, ZG_QK_RATE, 1, 60)).state == ZG_QS_GRANTED)
		n++;
	assert_int_equal(n, ZG_QUOTA_OWNER_MAX);
	assert_int_equal(ask(limit(n, ZG_QK_RATE, 1, 60)).state, ZG_QS_FULL);
	assert_int_equal(ask(limit(0, ZG_QK_RATE, 1, 60)).state, ZG_QS_EXCEEDED);
	/* others have theirs, until all is full */
	for (;; n++) {
		m.call = ++calls << 4;
		m.owner = 8 + n / 1000;
		m.limit[0] = limit(n, ZG_QK_RATE, 2, 60);
		assert_int_equal(zg_quotas_ask(&q, 0, &m, now, &told), 0);
		if (told.state != ZG_QS_GRANTED)
			break;
	}
	assert_int_equal(told.state, ZG_QS_FULL);
	assert_int_equal(n, ZG_QUOTA_SLOTS);
	/* what is refused takes nothing of what exists */
	l[0] = limit(n - 1, ZG_QK_RATE, 2, 60);
	l[1] = limit(n + 1, ZG_QK_RATE, 2, 60);
	assert_int_equal(ask_all(0, ZG_QM_TAKE, 2, l).state, ZG_QS_FULL);
	assert_int_equal(ask(l[0]).state, ZG_QS_GRANTED);
	assert_int_equal(ask(l[0]).state, ZG_QS_EXCEEDED);
	/* time makes room: nothing is pushed out before */
	now += 62 * SEC;
	assert_int_equal(ask(l[1]).state, ZG_QS_GRANTED);
	assert_int_equal(q.slots, 1);
}

static void full_of_calls(void **state)
{
	const struct zg_quota_limit l = limit(1, ZG_QK_CONCURRENT, ZG_QUOTA_CALLS_MAX, 1);
	uint64_t first = ask(l).call;

	(void)state;
	for (int i = 1; i < ZG_QUOTA_LEASES; i++)
		assert_int_equal(ask(l).state, ZG_QS_GRANTED);
	assert_int_equal(ask(l).state, ZG_QS_FULL);
	done(first, ZG_QE_DONE);
	assert_int_equal(ask(l).state, ZG_QS_GRANTED);
	assert_int_equal(ask(l).state, ZG_QS_FULL);
	zg_quotas_link_gone(&q, 0, now);
	assert_int_equal(q.leases, 0);
}

static void nonsense_is_no_question(void **state)
{
	struct zg_msg_quota_ask m[] = {
		{.count = 0},
		{.count = ZG_QUOTA_ASKED + 1},
		{.count = 1, .limit[0] = limit(1, ZG_QK_RATE, 0, 60)},
		{.count = 1, .limit[0] = limit(1, ZG_QK_RATE, 1, 0)},
		{.count = 1, .limit[0] = limit(1, ZG_QK_RATE, 1, UINT32_MAX)},
		{.count = 1, .limit[0] = limit(1, ZG_QK_MAX, 1, 1)},
		{.count = 1, .mode = 3, .limit[0] = limit(1, ZG_QK_RATE, 1, 1)},
		{.count = 1, .lease_sec = UINT32_MAX, .limit[0] = limit(1, ZG_QK_RATE, 1, 1)},
	};
	struct zg_msg_quota_told told;

	(void)state;
	for (size_t i = 0; i < sizeof(m) / sizeof(m[0]); i++)
		assert_true(zg_quotas_ask(&q, 0, &m[i], now, &told) < 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_rate_holds_in_any_window),
		TEST(the_wait_is_exact),
		TEST(a_young_clock),
		TEST(all_limits_or_none),
		TEST(another_number_keeps_the_count),
		TEST(a_probe_takes_nothing),
		TEST(at_once),
		TEST(a_ledger_that_came_later),
		TEST(failed_calls),
		TEST(full_tables_refuse),
		TEST(full_of_calls),
		TEST(nonsense_is_no_question),
	};
#undef TEST

	return cmocka_run_group_tests(tests, NULL, NULL);
}
