/* SPDX-License-Identifier: Apache-2.0 */
/* quota_test.c - what a worker asks the ledger of a call that is under limits,
 * and what becomes of the call by its word, or without it. */
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "lab.h"

#define CALL(tool, args)                                                                           \
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"" tool     \
	"\",\"arguments\":" args "}}"
#define FINE "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"content\":[]}}"

static struct lab lab;
static char out[65536];

static int setup(void **state)
{
	(void)state;
	lab_start(&lab);
	lab.answer = FINE;
	return 0;
}

static int setup_short(void **state)
{
	lab_limit_sec = LAB_SHORT;
	return setup(state);
}

static int teardown(void **state)
{
	(void)state;
	lab_stop(&lab);
	return 0;
}

static int post(const char *body)
{
	struct zg_origin o = lab_origin();
	int fd = lab_connect(&lab, &o);

	lab_post(fd, "/s/mcp", body);
	return fd;
}

/* The next word of the worker to its ledger. */
static void heard(struct zg_msg *m)
{
	m->fd = -1;
	LAB_UNTIL(&lab, zg_msg_recv(lab.ledger, m) == 0);
}

static struct zg_msg_quota_ask asked(void)
{
	struct zg_msg_quota_ask ask;
	struct zg_msg m;

	heard(&m);
	assert_int_equal(m.type, ZG_MSG_QUOTA_ASK);
	memcpy(&ask, m.body, sizeof(ask));
	return ask;
}

static enum zg_quota_end done(uint64_t call)
{
	struct zg_msg_quota_done d;
	struct zg_msg m;

	heard(&m);
	assert_int_equal(m.type, ZG_MSG_QUOTA_DONE);
	memcpy(&d, m.body, sizeof(d));
	assert_int_equal(d.call, call);
	return (enum zg_quota_end)d.end;
}

static void say(uint64_t call, enum zg_quota_state state, uint32_t which, uint64_t wait_ms)
{
	struct zg_msg_quota_told t = {
		.call = call, .state = state, .which = which, .wait_ms = wait_ms};

	assert_int_equal(zg_msg_send(lab.ledger, ZG_MSG_QUOTA_TOLD, &t, -1), 0);
}

static const char *answer(int fd)
{
	lab_read(&lab, fd, out, sizeof(out));
	close(fd);
	return out;
}

static void nothing_is_asked_without_a_limit(void **state)
{
	struct zg_msg m = {.fd = -1};

	(void)state;
	assert_non_null(strstr(answer(post(CALL("get_x", "{}"))), "\"content\":[]"));
	assert_non_null(strstr(answer(post(CALL("np_other", "{}"))), "\"content\":[]"));
	while (lab_turn(&lab, 50))
		continue;
	assert_int_equal(zg_msg_recv(lab.ledger, &m), -EAGAIN);
	assert_int_equal(lab.requests, 2);
}

static void one_question_and_one_end(void **state)
{
	struct zg_msg_quota_ask first, second;
	int fd;

	(void)state;
	fd = post(CALL("np_counted", "{\"n\":1}"));
	first = asked();
	assert_int_equal(lab.requests, 0);
	assert_int_equal(first.mode, ZG_QM_TAKE);
	assert_int_equal(first.count, 3);
	assert_int_equal(first.limit[0].kind, ZG_QK_RATE);
	assert_int_equal(first.limit[0].calls, 5);
	assert_int_equal(first.limit[0].sec, 60);
	assert_int_equal(first.limit[1].kind, ZG_QK_CONCURRENT);
	assert_int_equal(first.limit[2].kind, ZG_QK_RETRIES);
	assert_int_equal(first.limit[2].calls, 0);
	assert_true(first.lease_sec > 1);
	say(first.call, ZG_QS_GRANTED, 0, 0);
	assert_non_null(strstr(answer(fd), "\"content\":[]"));
	assert_int_equal(done(first.call), ZG_QE_DONE);
	/* other arguments: the same tool, another call */
	fd = post(CALL("np_counted", "{\"n\":2}"));
	second = asked();
	assert_memory_equal(first.limit[0].key, second.limit[0].key, 32);
	assert_memory_equal(first.limit[1].key, second.limit[1].key, 32);
	assert_memory_not_equal(first.limit[2].key, second.limit[2].key, 32);
	lab.answer = "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"content\":[],\"isError\":true}}";
	say(second.call, ZG_QS_GRANTED, 0, 0);
	assert_non_null(strstr(answer(fd), "isError"));
	assert_int_equal(done(second.call), ZG_QE_FAILED);
}

static void what_is_refused_is_not_made(void **state)
{
	static const struct {
		enum zg_quota_state word;
		uint32_t which;
		uint64_t wait_ms;
		const char *text, *limit;
	} rows[] = {
		{ZG_QS_EXCEEDED, 0, 12345,
		 "rule counted: 5 calls per minute by tool; retry in 13 s",
		 "counted: 5 calls per minute by tool"},
		{ZG_QS_EXCEEDED, 1, 0,
		 "rule counted: 2 calls at once by cgroup, server; retry when another call is over",
		 "counted: 2 calls at once by cgroup, server"},
		{ZG_QS_EXCEEDED, 2, 600000,
		 "it failed before and max_retries is 0; retry in 600 s [rules: bounded,counted]",
		 "max_retries: 0"},
		{ZG_QS_FULL, 0, 0, "too much is counted already", NULL},
		{ZG_QS_REFUSED, 0, 0, "does not answer", NULL},
		{(enum zg_quota_state)77, 0, 0, "does not answer", NULL},
	};
	struct zg_record r;
	int fd;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		fd = post(CALL("np_counted", "{}"));
		say(asked().call, rows[i].word, rows[i].which, rows[i].wait_ms);
		assert_non_null(strstr(answer(fd), rows[i].text));
		assert_non_null(strstr(out, "\"isError\":true"));
		assert_int_equal(lab.requests, 0);
		while (lab_record(&lab, &r))
			; /* the last of them */
		assert_int_equal(r.kind, ZG_RK_CALL_DENY);
		assert_int_equal(ZG_REC_HAS(&r, limit), rows[i].limit != NULL);
		if (rows[i].limit)
			assert_string_equal(r.limit, rows[i].limit);
	}
}

static void without_a_word_there_is_no_call(void **state)
{
	uint64_t call;
	int fd;

	(void)state;
	fd = post(CALL("np_counted", "{}"));
	call = asked().call;
	assert_non_null(strstr(answer(fd), "the ledger, which counts, does not answer"));
	/* it may have granted it all the same */
	assert_int_equal(done(call), ZG_QE_NEUTRAL);
	assert_int_equal(lab.requests, 0);
	/* and without a ledger */
	close(lab.ledger);
	lab.ledger = -1;
	assert_non_null(strstr(answer(post(CALL("np_counted", "{}"))), "does not answer"));
	assert_int_equal(lab.requests, 0);
}

static void new_ledger(void)
{
	int pair[2];

	close(lab.w.ledger);
	close(lab.ledger);
	assert_int_equal(zg_ipc_pair(pair, true), 0);
	lab.w.ledger = pair[0];
	lab.ledger = pair[1];
	zg_quota_resend(&lab.w);
}

static void a_new_ledger_is_asked_and_told(void **state)
{
	struct zg_msg_quota_ask ask;
	uint64_t call;
	int fd;

	(void)state;
	fd = post(CALL("np_counted", "{}"));
	call = asked().call;
	new_ledger();
	ask = asked();
	assert_int_equal(ask.call, call);
	assert_int_equal(ask.mode, ZG_QM_TAKE);
	lab.answer = NULL; /* it hangs, and is cut after its time */
	say(call, ZG_QS_GRANTED, 0, 0);
	LAB_UNTIL(&lab, lab.requests);
	new_ledger();
	ask = asked();
	assert_int_equal(ask.call, call);
	assert_int_equal(ask.mode, ZG_QM_CLAIM);
	assert_non_null(strstr(answer(fd), "max_runtime_sec"));
	assert_int_equal(done(call), ZG_QE_FAILED);
	new_ledger();
	assert_int_equal(recv(lab.ledger, out, 1, MSG_DONTWAIT), -1);
}

static void a_client_that_leaves_gives_back(void **state)
{
	uint64_t call;
	int fd;

	(void)state;
	fd = post(CALL("np_counted", "{}"));
	call = asked().call;
	close(fd);
	assert_int_equal(done(call), ZG_QE_NEUTRAL);
	say(call, ZG_QS_GRANTED, 0, 0);
	lab_turn(&lab, 50);
	assert_int_equal(lab.requests, 0);
}

static void too_much_output(void **state)
{
	char big[400];
	struct zg_record r;
	uint64_t call;
	int fd;

	(void)state;
	for (int stream = 0; stream < 2; stream++) {
		snprintf(big, sizeof(big),
			 "%s{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"content\":[{\"type\":"
			 "\"text\","
			 "\"text\":\"%0200d\"}]}}%s",
			 stream ? "data: " : "", 7, stream ? "\n\n" : "");
		lab.answer = big;
		lab.type = stream ? "text/event-stream" : NULL;
		fd = post(CALL("np_counted", "{}"));
		call = asked().call;
		say(call, ZG_QS_GRANTED, 0, 0);
		assert_non_null(strstr(answer(fd), "it has more than 200 bytes (max_output_bytes) "
						   "[rules: bounded,counted]"));
		assert_non_null(strstr(out, "\"isError\":true"));
		assert_null(strstr(out, "000007"));
		assert_int_equal(done(call), ZG_QE_FAILED);
		while (lab_record(&lab, &r))
			; /* the last of them */
		assert_string_equal(r.outcome, "too_large");
	}
}

static void its_answer_comes_on_its_own_stream(void **state)
{
	int fd;

	(void)state;
	lab.type = "text/event-stream";
	lab.answer = "id: place-7\ndata: " FINE "\n\n";
	fd = post(CALL("np_counted", "{}"));
	say(asked().call, ZG_QS_GRANTED, 0, 0);
	assert_non_null(strstr(answer(fd), "\"content\":[]"));
	assert_null(strstr(out, "place-7"));
	assert_non_null(strstr(out, "\nid: \n"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(nothing_is_asked_without_a_limit),
		TEST(one_question_and_one_end),
		TEST(what_is_refused_is_not_made),
		TEST(without_a_word_there_is_no_call),
		cmocka_unit_test_setup_teardown(a_new_ledger_is_asked_and_told, setup_short,
						teardown),
		TEST(a_client_that_leaves_gives_back),
		TEST(too_much_output),
		TEST(its_answer_comes_on_its_own_stream),
	};
#undef TEST

	return cmocka_run_group_tests(tests, NULL, NULL);
}
