/* SPDX-License-Identifier: Apache-2.0 */
/* batch_test.c - several messages in one POST: each by itself, none for others. */
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "lab.h"

#define CALL(id, tool)                                                                             \
	"{\"jsonrpc\":\"2.0\",\"id\":" #id                                                         \
	",\"method\":\"tools/call\",\"params\":{\"name\":\"" tool "\"}}"
#define NOTE   "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}"
#define OK(id) "{\"jsonrpc\":\"2.0\",\"id\":" #id ",\"result\":{}}"

static struct lab lab;
static char out[65536];

static int setup(void **state)
{
	(void)state;
	lab_start(&lab);
	lab.echo = true;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	lab_stop(&lab);
	return 0;
}

static int send_batch(const char *headers, const char *body)
{
	struct zg_origin o = lab_origin();
	int fd = lab_connect(&lab, &o);
	char head[1024];

	snprintf(
		head, sizeof(head),
		"POST /s/mcp HTTP/1.1\r\nHost: localhost:7411\r\nContent-Type: application/json\r\n"
		"%sContent-Length: %zu\r\n\r\n",
		headers, strlen(body));
	lab_send(fd, head);
	lab_send(fd, body);
	return fd;
}

static void ask(const char *headers, const char *body)
{
	int fd = send_batch(headers, body);

	lab_read(&lab, fd, out, sizeof(out));
	close(fd);
}

static int count_records(enum zg_record_kind kind)
{
	struct zg_record r;
	int n = 0;

	while (lab_record(&lab, &r))
		n += r.kind == kind;
	return n;
}

static void test_split(void **state)
{
	static const struct zg_slice text = {" [ {\"a\":\"],[\\\"\"} ,[1,[2]],\t3 ,\"x\\\\\"]", 0};
	struct zg_slice out2[8], whole = zg_slice_str(text.ptr);

	(void)state;
	assert_int_equal(zg_batch_split(whole, out2, 8), 4);
	assert_true(zg_slice_eq(out2[0], ZG_SLICE("{\"a\":\"],[\\\"\"}")));
	assert_true(zg_slice_eq(out2[1], ZG_SLICE("[1,[2]]")));
	assert_true(zg_slice_eq(out2[2], ZG_SLICE("3")));
	assert_true(zg_slice_eq(out2[3], ZG_SLICE("\"x\\\\\"")));
	assert_int_equal(zg_batch_split(ZG_SLICE("[]"), out2, 8), 0);
	assert_int_equal(zg_batch_split(ZG_SLICE("[1,2,3]"), out2, 2), 3);
}

/* as one that is not in a batch: bytes to the server, records, answers */
static void test_each(void **state)
{
	struct zg_record r;

	(void)state;
	ask("", "[" CALL(1, "get_x") ", " NOTE "," CALL(2, "get_y") "]");
	assert_non_null(strstr(out, "HTTP/1.1 200 OK"));
	assert_non_null(strstr(out, OK(1)));
	assert_non_null(strstr(out, OK(2)));
	assert_memory_equal(strstr(out, "\r\n\r\n") + 4, "[{", 2);
	assert_int_equal(lab.requests, 3);
	for (int i = 0; i < 3; i++) {
		assert_true(lab_record(&lab, &r));
		assert_string_equal(zg_record_kind_text(r.kind), "call.intent");
		assert_string_equal(r.cgroup, "agents/test");
	}
	assert_int_equal(count_records(ZG_RK_CALL_OUTCOME), 3);
}

/* one that is denied, one that is nonsense: the others do not notice */
static void test_mixed(void **state)
{
	(void)state;
	ask("MCP-Protocol-Version: 2025-03-26\r\n",
	    "[" CALL(1, "get_x") ",{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"no/such\"},7,"
				 "{\"jsonrpc\":\"2.0\",\"method\":\"no/such\"}," CALL(
					 5, "get_y") ",[]]");
	assert_non_null(strstr(out, "HTTP/1.1 200 OK"));
	assert_non_null(strstr(out, OK(1)));
	assert_non_null(strstr(out, OK(5)));
	assert_non_null(strstr(out, "\"id\":2,\"error\":{\"code\":-31001"));
	assert_non_null(strstr(out, "\"id\":null,\"error\":{\"code\":-32600"));
	assert_int_equal(lab.requests, 2);
	assert_int_equal(count_records(ZG_RK_CALL_DENY), 2);
}

static void test_notifications(void **state)
{
	(void)state;
	ask("", "[" NOTE "," NOTE "]");
	assert_non_null(strstr(out, "HTTP/1.1 202 Accepted"));
	assert_non_null(strstr(out, "Content-Length: 0"));
	assert_int_equal(lab.requests, 2);
}

static const struct {
	const char *headers, *body;
	const char *code;
} refused[] = {
	{"", "[]", "-32600"},
	{"", "[" CALL(1, "get_x") "," CALL(1, "get_y") "]", "-32600"},
	{"", "[" CALL("a", "get_x") "," CALL("a", "get_y") "]", "-32600"},
	{"", "[" CALL(1, "get_x"), "-32700"},
	{"", "[" CALL(1, "get_x") "]]", "-32700"},
	{"", "[{\"jsonrpc\":\"2.0\",\"id\":1,\"id\":2,\"method\":\"ping\"}]", "-32700"},
	{"", "[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\"}]", "-32600"},
	{"MCP-Protocol-Version: 2025-06-18\r\n", "[" NOTE "]", "-32600"},
	{"MCP-Protocol-Version: 2025-11-25\r\n", "[" NOTE "]", "-32600"},
	{"MCP-Protocol-Version: 2024-11-05\r\n", "[" NOTE "]", "-32600"},
	{"MCP-Protocol-Version: 2026-07-28\r\n", "[" NOTE "]", "-32600"},
	{"MCP-Protocol-Version: 1999-01-01\r\n", "[" NOTE "]", "-32022"},
};

static void test_refused(void **state)
{
	zg_autobuf many = ZG_BUF(65536);

	(void)state;
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		print_message("%s\n", refused[i].body);
		ask(refused[i].headers, refused[i].body);
		assert_non_null(strstr(out, "HTTP/1.1 400"));
		assert_non_null(strstr(out, refused[i].code));
	}
	for (int i = 0; i <= ZG_BATCH_MAX; i++)
		zg_buf_str(&many, i ? "," NOTE : "[" NOTE);
	zg_buf_add(&many, "]", 2);
	ask("", many.ptr);
	assert_non_null(strstr(out, "too many"));
	assert_int_equal(lab.requests, 0);
	assert_int_equal(count_records(ZG_RK_CALL_REJECT),
			 sizeof(refused) / sizeof(refused[0]) + 1);
}

/* more than run at once, all answered */
static void test_many(void **state)
{
	zg_autobuf body = ZG_BUF(65536);
	char want[64];

	(void)state;
	for (int i = 0; i < ZG_BATCH_MAX; i++)
		zg_buf_fmt(&body, "%s{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"tools/list\"}",
			   i ? "," : "[", i + 1);
	zg_buf_add(&body, "]", 2);
	ask("", body.ptr);
	for (int i = 0; i < ZG_BATCH_MAX; i++) {
		snprintf(want, sizeof(want), "\"id\":%d,\"result\"", i + 1);
		assert_non_null(strstr(out, want));
	}
	assert_int_equal(lab.requests, ZG_BATCH_MAX);
}

/* a server that streams: the client gets one stream with all answers */
static void test_stream(void **state)
{
	(void)state;
	lab.type = "text/event-stream";
	ask("", "[{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"no/such\"}," CALL(1, "get_x") "," CALL(
			2, "get_y") "]");
	assert_non_null(strstr(out, "text/event-stream"));
	assert_non_null(strstr(out, "data: " OK(1)));
	assert_non_null(strstr(out, "data: " OK(2)));
	assert_non_null(strstr(out, "data: {\"jsonrpc\":\"2.0\",\"id\":7,\"error\""));
	assert_non_null(strstr(out, "\r\n0\r\n\r\n"));
}

/* who leaves takes along what was not dispatched */
static void test_gone(void **state)
{
	struct zg_msg_hold_release *m;
	static struct zg_msg msg;
	int fd;

	(void)state;
	fd = send_batch("", "[" CALL(1, "drop") "," CALL(2, "drop_too") "]");
	LAB_UNTIL(&lab, zg_msg_recv(lab.ledger, &msg) == 0 && msg.type == ZG_MSG_HOLD);
	close(fd);
	LAB_UNTIL(&lab, zg_msg_recv(lab.ledger, &msg) == 0 && msg.type == ZG_MSG_HOLD_RELEASE);
	m = (struct zg_msg_hold_release *)msg.body;
	assert_true(m->call != 0);
	while (lab_turn(&lab, 50))
		;
	assert_true(TAILQ_EMPTY(&lab.w.requests));
	assert_int_equal(lab.requests, 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_split),
		T(test_each),
		T(test_mixed),
		T(test_notifications),
		T(test_refused),
		T(test_many),
		T(test_stream),
		T(test_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
