/* SPDX-License-Identifier: Apache-2.0 */
/* request_test.c - whole calls through one worker: what the client, the server,
 * the ledger and the audit ring see of each. */
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "lab.h"

#define CALL(id, tool, args)                                                                       \
	"{\"jsonrpc\":\"2.0\",\"id\":" #id                                                         \
	",\"method\":\"tools/call\",\"params\":{\"name\":\"" tool "\",\"arguments\":" args "}}"
#define RESULT(id, text)                                                                           \
	"{\"jsonrpc\":\"2.0\", \"id\":" #id ",\"result\":{\"content\":[{\"type\":\"text\","        \
	"\"text\":\"" text "\"}]}}"

static struct lab lab;
static char out[65536];

static int setup(void **state)
{
	(void)state;
	lab_start(&lab);
	lab.answer = RESULT(1, "fine");
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

/* One POST on a connection of its own; the answer in out. */
static void ask(const char *path, const char *body)
{
	struct zg_origin o = lab_origin();
	int fd = lab_connect(&lab, &o);

	lab_post(fd, path, body);
	lab_read(&lab, fd, out, sizeof(out));
	close(fd);
}

static void expect_record(enum zg_record_kind kind, struct zg_record *r)
{
	assert_true(lab_record(&lab, r));
	assert_string_equal(zg_record_kind_text(r->kind), zg_record_kind_text(kind));
}

static void test_allowed(void **state)
{
	struct zg_record intent, outcome;

	(void)state;
	ask("/s/mcp", CALL(1, "get_x", "{ \"b\":1, \"a\" : [2]}"));
	assert_non_null(strstr(out, "HTTP/1.1 200 OK"));
	assert_string_equal(strstr(out, "\r\n\r\n") + 4, lab.answer);
	/* the server got the client's bytes, not its credential */
	assert_string_equal(lab.last, CALL(1, "get_x", "{ \"b\":1, \"a\" : [2]}"));
	assert_string_equal(lab.authorization_seen, "");
	expect_record(ZG_RK_CALL_INTENT, &intent);
	expect_record(ZG_RK_CALL_OUTCOME, &outcome);
	assert_int_equal(intent.call, outcome.call);
	assert_string_equal(intent.cgroup, "agents/test");
	assert_string_equal(intent.tool, "get_x");
	assert_string_equal(intent.rules, "read-ok");
	assert_string_equal(outcome.outcome, "ok");
	assert_int_equal(outcome.status, 200);
}

static void test_no_evidence_no_call(void **state)
{
	(void)state;
	zg_ring_set_state(&lab.consumer, ZG_RING_FAILED);
	ask("/s/mcp", CALL(1, "get_x", "{}"));
	assert_non_null(strstr(out, "\"isError\":true"));
	assert_non_null(strstr(out, "not executed"));
	assert_int_equal(lab.requests, 0);
}

static void test_denied(void **state)
{
	struct zg_record r;

	(void)state;
	ask("/nobody/mcp", CALL(1, "get_x", "{}"));
	/* a tool result: a bare status would not reach the model */
	assert_non_null(strstr(out, "HTTP/1.1 200"));
	assert_non_null(strstr(out, "\"isError\":true"));
	assert_non_null(strstr(out, "not registered"));
	expect_record(ZG_RK_CALL_DENY, &r);
	assert_string_equal(r.server, "nobody");
	ask("/s/mcp", CALL(7, "np_x", "{\"to\":\"http://evil.example/\"}"));
	assert_non_null(strstr(out, "HTTP/1.1 200"));
	assert_non_null(strstr(out, "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":"));
	assert_non_null(strstr(out, "evil.example"));
	assert_non_null(strstr(out, "bounded"));
	assert_non_null(strstr(out, "\"isError\":true"));
	expect_record(ZG_RK_CALL_DENY, &r);
	ask("/s/mcp", "{\"jsonrpc\":\"2.0\",\"id\":8,\"method\":\"no/such\"}");
	assert_non_null(strstr(out, "HTTP/1.1 200"));
	assert_non_null(strstr(out, "\"error\":{\"code\":-31001"));
	ask("/s/mcp", "{\"jsonrpc\":\"2.0\",\"method\":\"no/such\"}");
	assert_non_null(strstr(out, "HTTP/1.1 403"));
	assert_int_equal(lab.requests, 0);
}

/* the profile does not list the server, though it is registered */
static void test_not_granted(void **state)
{
	struct zg_origin o = lab_origin();
	int fd;

	(void)state;
	memcpy(o.profile_name, "other", sizeof("other"));
	fd = lab_connect(&lab, &o);
	lab_post(fd, "/s/mcp", CALL(1, "get_x", "{}"));
	lab_read(&lab, fd, out, sizeof(out));
	close(fd);
	assert_non_null(strstr(out, "may not use server"));
	assert_int_equal(lab.requests, 0);
}

/* A kept-alive connection from before a reload that gave its profile's id to
 * another: the name decides, and a name that is gone is nobody's. */
static void test_profile_of_another_configuration(void **state)
{
	struct zg_origin o = lab_origin();
	int fd;

	(void)state;
	o.profile = ZG_PROFILE_FIRST + 1;
	fd = lab_connect(&lab, &o);
	lab_post(fd, "/s/mcp", CALL(1, "get_x", "{}"));
	lab_read(&lab, fd, out, sizeof(out));
	close(fd);
	assert_int_equal(lab.requests, 1);
	o.profile = ZG_PROFILE_FIRST;
	memcpy(o.profile_name, "gone", sizeof("gone"));
	fd = lab_connect(&lab, &o);
	lab_post(fd, "/s/mcp", CALL(1, "get_x", "{}"));
	lab_read(&lab, fd, out, sizeof(out));
	close(fd);
	assert_non_null(strstr(out, "HTTP/1.1 403"));
	assert_int_equal(lab.requests, 1);
}

static void test_unattested(void **state)
{
	int fd = lab_connect(&lab, NULL);

	(void)state;
	lab_post(fd, "/s/mcp", CALL(1, "get_x", "{}"));
	lab_read(&lab, fd, out, sizeof(out));
	close(fd);
	assert_non_null(strstr(out, "HTTP/1.1 403"));
	assert_non_null(strstr(out, "zerogate run"));
	assert_int_equal(lab.requests, 0);
}

static struct zg_msg_hold next_hold(void)
{
	static struct zg_msg m;

	LAB_UNTIL(&lab, zg_msg_recv(lab.ledger, &m) == 0 && m.type == ZG_MSG_HOLD);
	return *(struct zg_msg_hold *)m.body;
}

static void say(uint64_t call, enum zg_hold_state state)
{
	struct zg_msg_hold_state m = {.call = call, .state = state, .approval = "ap-1"};

	assert_int_equal(zg_msg_send(lab.ledger, ZG_MSG_HOLD_STATE, &m, -1), 0);
}

static int held(struct zg_msg_hold *hold, const char *body)
{
	struct zg_origin o = lab_origin();
	int fd = lab_connect(&lab, &o);

	lab_post(fd, "/s/mcp", body);
	*hold = next_hold();
	return fd;
}

static void test_granted(void **state)
{
	struct zg_msg_hold hold, again;
	int fd = held(&hold, CALL(1, "drop", "{\"b\":2,\"a\":1}"));

	(void)state;
	assert_string_equal(hold.tool, "drop");
	assert_string_equal(hold.rules, "ask-a-person");
	assert_string_equal(hold.args_text, "{\"a\":1,\"b\":2}");
	assert_string_equal(hold.principal.cgroup, "agents/test");
	say(hold.call, ZG_HOLD_PENDING);
	say(hold.call + 16, ZG_HOLD_GRANTED); /* another call's yes is not ours */
	while (lab_turn(&lab, 50))
		;
	assert_int_equal(lab.requests, 0);
	say(hold.call, ZG_HOLD_GRANTED);
	lab_read(&lab, fd, out, sizeof(out));
	close(fd);
	assert_non_null(strstr(out, "fine"));
	assert_int_equal(lab.requests, 1);
	/* the same call in other words has the same binding; another has not */
	fd = held(&again, CALL(9, "drop", "{ \"a\": 1, \"b\": 2 }"));
	assert_memory_equal(again.binding, hold.binding, 32);
	close(fd);
	fd = held(&again, CALL(9, "drop", "{ \"a\": 1, \"b\": 3 }"));
	assert_memory_not_equal(again.binding, hold.binding, 32);
	close(fd);
}

static void test_not_granted_by_people(void **state)
{
	static const struct {
		enum zg_hold_state state;
		const char *text;
	} cases[] = {
		{ZG_HOLD_DENIED, "ap-1 was denied"},	 {ZG_HOLD_EXPIRED, "expired"},
		{ZG_HOLD_SUPERSEDED, "another request"}, {ZG_HOLD_REFUSED, "cannot wait"},
		{(enum zg_hold_state)99, "cannot wait"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct zg_msg_hold hold;
		int fd = held(&hold, CALL(1, "drop", "{}"));

		say(hold.call, cases[i].state);
		lab_read(&lab, fd, out, sizeof(out));
		close(fd);
		assert_non_null(strstr(out, "\"isError\":true"));
		assert_non_null(strstr(out, cases[i].text));
	}
	assert_int_equal(lab.requests, 0);
}

static void expect_release(uint64_t call)
{
	static struct zg_msg m;

	LAB_UNTIL(&lab, zg_msg_recv(lab.ledger, &m) == 0);
	assert_int_equal(m.type, ZG_MSG_HOLD_RELEASE);
	assert_int_equal(((struct zg_msg_hold_release *)m.body)->call, call);
}

/* nobody decided in time: the model is told what to do, the ledger too */
static void test_pending(void **state)
{
	struct zg_msg_hold hold;
	int fd = held(&hold, CALL(1, "drop", "{}"));

	(void)state;
	say(hold.call, ZG_HOLD_PENDING);
	lab_read(&lab, fd, out, sizeof(out));
	close(fd);
	assert_non_null(strstr(out, "pending approval ap-1"));
	assert_non_null(strstr(out, "Retry the same call"));
	expect_release(hold.call);
	assert_int_equal(lab.requests, 0);
}

static void test_held_client_leaves(void **state)
{
	struct zg_msg_hold hold;
	int fd = held(&hold, CALL(1, "drop", "{}"));

	(void)state;
	close(fd);
	expect_release(hold.call);
	say(hold.call, ZG_HOLD_GRANTED); /* too late */
	while (lab_turn(&lab, 50))
		;
	assert_int_equal(lab.requests, 0);
}

static void test_cut(void **state)
{
	struct zg_record r;

	(void)state;
	lab.answer = NULL;
	ask("/s/mcp", CALL(5, "np_slow", "{}"));
	assert_non_null(strstr(out, "\"isError\":true"));
	assert_non_null(strstr(out, "cut after 3 seconds"));
	LAB_UNTIL(&lab, lab.requests >= 2);
	assert_non_null(strstr(lab.last, "notifications/cancelled"));
	assert_non_null(strstr(lab.last, "\"requestId\":5"));
	expect_record(ZG_RK_CALL_INTENT, &r);
	expect_record(ZG_RK_CALL_OUTCOME, &r);
	assert_string_equal(r.outcome, "timeout");
}

static void test_bad_output(void **state)
{
	static const struct {
		const char *type;
		const char *body;
		const char *why;
	} cases[] = {
		{NULL, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"secret\":1}", "strict JSON"},
		{NULL, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":1,\"result\":\"secret\"}",
		 "strict JSON"},
		{NULL, "[" RESULT(1, "secret") "]", "not one JSON-RPC message"},
		{NULL, RESULT(2, "secret"), "another request"},
		{NULL, "{\"jsonrpc\":\"2.0\",\"id\":1,\"secret\":1}", "not one JSON-RPC message"},
		{"text/html", "<secret>", "neither JSON nor"},
		{"text/event-stream", "data: {\"secret\":\n\n", "strict JSON"},
		{"text/event-stream", "data: " RESULT(3, "secret") "\n\n", "another request"},
		{"text/event-stream", ": nothing\n\n", "without a response"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		print_message("%s\n", cases[i].body);
		lab.type = cases[i].type;
		lab.answer = cases[i].body;
		ask("/s/mcp", CALL(1, "get_x", "{}"));
		assert_null(strstr(out, "secret"));
		assert_non_null(strstr(out, cases[i].why));
		assert_non_null(strstr(out, "\"isError\":true"));
	}
}

static void test_server_down(void **state)
{
	(void)state;
	ask("/down/mcp", CALL(1, "get_x", "{}"));
	assert_non_null(strstr(out, "cannot be reached"));
	assert_non_null(strstr(out, "\"isError\":true"));
}

/* the same request, however its bytes arrive; two of them in order */
static void test_pieces(void **state)
{
	static const char body[] = CALL(1, "get_x", "{}");
	struct zg_origin o = lab_origin();
	char text[1024];
	int n = snprintf(text, sizeof(text),
			 "POST /s/mcp HTTP/1.1\r\nHost: localhost:7411\r\n"
			 "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
			 sizeof(body) - 1, body);
	int fd = lab_connect(&lab, &o);

	(void)state;
	for (int i = 0; i < n; i++) {
		assert_int_equal(send(fd, text + i, 1, 0), 1);
		(void)lab_turn(&lab, 1);
	}
	lab_read(&lab, fd, out, sizeof(out));
	assert_non_null(strstr(out, "fine"));
	lab_send(fd, text);
	lab_send(fd, text);
	LAB_UNTIL(&lab, lab.requests >= 3);
	lab_read(&lab, fd, out, sizeof(out));
	assert_int_equal(lab.requests, 3);
	close(fd);
}

int main(void)
{
#define T(f)	 cmocka_unit_test_setup_teardown(f, setup, teardown)
#define SHORT(f) cmocka_unit_test_setup_teardown(f, setup_short, teardown)
	const struct CMUnitTest tests[] = {
		T(test_allowed),
		T(test_no_evidence_no_call),
		T(test_denied),
		T(test_not_granted),
		T(test_profile_of_another_configuration),
		T(test_unattested),
		T(test_granted),
		T(test_not_granted_by_people),
		SHORT(test_pending),
		T(test_held_client_leaves),
		SHORT(test_cut),
		T(test_bad_output),
		T(test_server_down),
		T(test_pieces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
