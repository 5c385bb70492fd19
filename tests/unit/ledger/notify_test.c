/* SPDX-License-Identifier: Apache-2.0 */
/*
 * notify_test.c - the queue of notifications by a clock of the test's own: what is
 * handed over when, again after how long, what a crash leaves, and what is dropped.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "notify.h"
#include "record.h"

struct scene {
	char path[64];
	struct zg_store store;
	struct zg_trail trail; /* failed: counts stay where they can be read */
	struct zg_notify n;
	struct zg_notify_def def;
	int refuse; /* errno of the next hand-overs */
	uint32_t link;
	size_t sent[ZG_NW_MAX];
	struct zg_msg_notify last[ZG_NW_MAX];
};

static int take(void *arg, enum zg_notify_way way, const struct zg_msg_notify *m, uint32_t *link)
{
	struct scene *s = arg;

	if (s->refuse)
		return -s->refuse;
	s->sent[way]++;
	s->last[way] = *m;
	if (way == ZG_NW_WEBHOOK)
		*link = s->link;
	return 0;
}

static void open_queue(struct scene *s)
{
	struct zg_err e = {0};

	assert_int_equal(zg_store_open(&s->store, s->path, &e), 0);
	assert_int_equal(zg_notify_open(&s->n, &s->store, &s->trail, take, s, &e), 0);
	zg_notify_settings(&s->n, &s->def);
}

static void close_queue(struct scene *s)
{
	zg_notify_close(&s->n);
	zg_store_close(&s->store);
}

static int set_up(void **state)
{
	struct scene *s = calloc(1, sizeof(*s));
	int fd;

	(void)snprintf(s->path, sizeof(s->path), "/tmp/zg-notify-XXXXXX");
	fd = mkstemp(s->path);
	assert_true(fd >= 0);
	(void)close(fd);
	s->trail.failed = EIO;
	s->def = (struct zg_notify_def){.events = 1u << ZG_NE_REQUEST, .timeout_sec = 10};
	(void)snprintf(s->def.server, sizeof(s->def.server), "pager");
	open_queue(s);
	*state = s;
	return 0;
}

static int tear_down(void **state)
{
	struct scene *s = *state;

	close_queue(s);
	(void)unlink(s->path);
	free(s);
	return 0;
}

static void note(struct scene *s, enum zg_record_kind kind, bool commit)
{
	struct zg_record r;

	zg_record_init(&r, kind);
	zg_record_str(&r, ZG_RF_approval, ZG_SLICE("ap-0123456789"));
	zg_record_str(&r, ZG_RF_message, ZG_SLICE("it waits"));
	assert_int_equal(zg_store_begin(&s->store), 0);
	zg_notify_note(&s->n, &r, 1);
	if (commit)
		assert_int_equal(zg_store_commit(&s->store), 0);
	else
		zg_store_rollback(&s->store);
	zg_notify_noted(&s->n, commit);
}

static void answer(struct scene *s, bool delivered, uint64_t now_ms)
{
	struct zg_msg_notify_done m = {.delivered = delivered, .status = delivered ? 204 : 500};

	memcpy(m.delivery, s->last[ZG_NW_WEBHOOK].delivery, sizeof(m.delivery));
	zg_notify_done(&s->n, ZG_NW_WEBHOOK, s->link, &m, now_ms);
}

static void only_what_happened_and_was_asked_for(void **state)
{
	struct scene *s = *state;

	note(s, ZG_RK_APPROVAL_REQUEST, false);
	note(s, ZG_RK_APPROVAL_VOTE, true);
	zg_notify_run(&s->n, 1000);
	assert_int_equal(s->sent[ZG_NW_WEBHOOK], 0);
	note(s, ZG_RK_APPROVAL_REQUEST, true);
	zg_notify_run(&s->n, 1000);
	assert_int_equal(s->sent[ZG_NW_WEBHOOK], 1);
	assert_int_equal(s->sent[ZG_NW_COMMAND], 0);
	assert_string_equal(s->last[ZG_NW_WEBHOOK].event, "approval.request");
	assert_non_null(strstr(s->last[ZG_NW_WEBHOOK].text, "\"message\":\"it waits\""));
	answer(s, true, 1001);
	zg_notify_run(&s->n, 1000000);
	assert_int_equal(s->sent[ZG_NW_WEBHOOK], 1);
}

static void again_after_longer_and_longer_then_given_up(void **state)
{
	static const uint64_t wait_ms[] = {1000, 5000, 30000, 120000};
	struct scene *s = *state;
	char delivery[ZG_NAME_LEN];
	uint64_t now = 5000;

	note(s, ZG_RK_APPROVAL_REQUEST, true);
	zg_notify_run(&s->n, now);
	memcpy(delivery, s->last[ZG_NW_WEBHOOK].delivery, sizeof(delivery));
	for (size_t i = 0; i < 4; i++) {
		answer(s, false, now);
		zg_notify_run(&s->n, now + wait_ms[i] - 1);
		assert_int_equal(s->sent[ZG_NW_WEBHOOK], i + 1);
		now += wait_ms[i];
		zg_notify_run(&s->n, now);
		assert_int_equal(s->sent[ZG_NW_WEBHOOK], i + 2);
		assert_string_equal(s->last[ZG_NW_WEBHOOK].delivery, delivery);
	}
	assert_int_equal(s->n.failed[ZG_NW_WEBHOOK].count, 0);
	answer(s, false, now);
	assert_int_equal(s->n.failed[ZG_NW_WEBHOOK].count, 1);
	assert_int_equal(s->n.failed[ZG_NW_WEBHOOK].status, 500);
	zg_notify_run(&s->n, now + 10000000);
	assert_int_equal(s->sent[ZG_NW_WEBHOOK], 5);
}

static void silence_counts_as_a_failure_and_a_dead_gateway_as_none(void **state)
{
	struct scene *s = *state;

	note(s, ZG_RK_APPROVAL_REQUEST, true);
	zg_notify_run(&s->n, 0);
	s->link = 3;
	zg_notify_link_gone(&s->n, 0);
	zg_notify_run(&s->n, 0); /* to another, at once */
	assert_int_equal(s->sent[ZG_NW_WEBHOOK], 2);
	zg_notify_run(&s->n, 19999);
	assert_int_equal(s->sent[ZG_NW_WEBHOOK], 2);
	zg_notify_run(&s->n, 20000); /* nothing was heard: again in a second */
	zg_notify_run(&s->n, 21000);
	assert_int_equal(s->sent[ZG_NW_WEBHOOK], 3);
	s->link = 4; /* it never had it */
	answer(s, true, 21001);
	s->link = 3;
	zg_notify_link_gone(&s->n, 3);
	zg_notify_run(&s->n, 21002);
	assert_int_equal(s->sent[ZG_NW_WEBHOOK], 4);
}

static void a_crash_loses_nothing_and_keeps_the_delivery(void **state)
{
	struct scene *s = *state;
	char delivery[ZG_NAME_LEN];

	note(s, ZG_RK_APPROVAL_REQUEST, true);
	zg_notify_run(&s->n, 50000);
	memcpy(delivery, s->last[ZG_NW_WEBHOOK].delivery, sizeof(delivery));
	answer(s, false, 50000);
	close_queue(s);
	open_queue(s);
	zg_notify_run(&s->n, 1); /* the clock began anew */
	assert_int_equal(s->sent[ZG_NW_WEBHOOK], 2);
	assert_string_equal(s->last[ZG_NW_WEBHOOK].delivery, delivery);
	answer(s, true, 2);
	close_queue(s);
	open_queue(s);
	zg_notify_run(&s->n, 100000);
	assert_int_equal(s->sent[ZG_NW_WEBHOOK], 2);
}

static void four_at_once_256_in_all_then_the_oldest_go(void **state)
{
	struct scene *s = *state;

	s->refuse = ENOTCONN;
	for (int i = 0; i < ZG_NOTIFY_QUEUE + 7; i++)
		note(s, ZG_RK_APPROVAL_REQUEST, true);
	assert_int_equal(s->n.failed[ZG_NW_MAX].count, 7);
	zg_notify_run(&s->n, 0);
	assert_int_equal(s->sent[ZG_NW_WEBHOOK], 0);
	s->refuse = 0;
	zg_notify_run(&s->n, 0);
	zg_notify_run(&s->n, 0);
	assert_int_equal(s->sent[ZG_NW_WEBHOOK], ZG_NOTIFY_AT_ONCE);
	for (int i = 0; i < ZG_NOTIFY_QUEUE; i++)
		answer(s, true, 0); /* each makes room for the next; the others stay out */
	assert_int_equal(s->sent[ZG_NW_WEBHOOK], ZG_NOTIFY_QUEUE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(only_what_happened_and_was_asked_for, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(again_after_longer_and_longer_then_given_up, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(
			silence_counts_as_a_failure_and_a_dead_gateway_as_none, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_crash_loses_nothing_and_keeps_the_delivery,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(four_at_once_256_in_all_then_the_oldest_go, set_up,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
