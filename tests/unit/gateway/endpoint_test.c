/* SPDX-License-Identifier: Apache-2.0 */
/* endpoint_test.c - HTTP+SSE of 2024-11-05 through one worker: where its
 * messages may go, who may send them, and how a client hears of a refusal. */
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "endpoint.h"
#include "lab.h"

#define CALL(id, tool)                                                                             \
	"{\"jsonrpc\":\"2.0\",\"id\":" #id                                                         \
	",\"method\":\"tools/call\",\"params\":{\"name\":\"" tool "\",\"arguments\":{}}}"
#define RESULT(id) "{\"jsonrpc\":\"2.0\",\"id\":" #id ",\"result\":{\"content\":[]}}"

static struct lab lab;
static char heard[65536], out[65536], target[1024];
static int stream = -1;

static int setup(void **state)
{
	(void)state;
	lab_start(&lab);
	lab.streams = true;
	lab.answer = "Accepted";
	lab.type = "text/plain";
	lab.status = 202;
	heard[0] = '\0';
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
	if (stream >= 0)
		close(stream);
	stream = -1;
	lab_turn(&lab, 20);
	lab_stop(&lab);
	return 0;
}

static void test_path(void **state)
{
	static const struct {
		const char *text, *path; /* NULL: refused */
	} cases[] = {
		{"/messages?sessionId=1", "/messages?sessionId=1"},
		{"http://h.example:8080/m", "/m"},
		{"HTTP://H.example:8080/m", "/m"},
		{"http://h.example:8080", "/"},
		{"http://h.example:8080?s=1", "/?s=1"},
		{"messages/?s=1", "/v1/messages/?s=1"},
		{"?s=http://x/", "/v1/sse?s=http://x/"},
		{"/m?next=/../x", "/m?next=/../x"},
		{"https://h.example:8080/m", NULL},
		{"http://h.example/m", NULL},
		{"http://h.example:8081/m", NULL},
		{"http://h.example.evil:8080/m", NULL},
		{"http://h.example@evil:8080/m", NULL},
		{"http://evil/h.example:8080/m", NULL},
		{"http://h.example:8080\\@evil/", NULL},
		{"//evil/m", NULL},
		{"javascript:alert(1)", NULL},
		{"/m\r\nHost: evil", NULL},
		{"/m n", NULL},
		{"/m#f", NULL},
		{"/a/../b", NULL},
		{"../b", NULL},
		{"", NULL},
	};
	struct zg_server_def s = {.host = "h.example", .path = "/v1/sse?k=1", .port = 8080};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		zg_autobuf b = ZG_BUF(2 * ZG_PATH_LEN);
		const char *why = zg_endpoint_path(&s, zg_slice_str(cases[i].text), &b);

		print_message("%s: %s\n", cases[i].text, why ? why : "");
		if (!cases[i].path) {
			assert_non_null(why);
			continue;
		}
		assert_null(why);
		assert_true(zg_slice_eq(zg_buf_slice(&b), zg_slice_str(cases[i].path)));
	}
}

static void open_stream(const char *path)
{
	struct zg_origin o = lab_origin();
	char head[512];

	stream = lab_connect(&lab, &o);
	snprintf(head, sizeof(head),
		 "GET %s HTTP/1.1\r\nHost: localhost:7411\r\nAccept: text/event-stream\r\n\r\n",
		 path);
	lab_send(stream, head);
	LAB_UNTIL(&lab, lab.stream);
}

/* A stream whose endpoint the client knows. */
static void connect_client(void)
{
	const char *at;

	open_stream("/old/sse");
	assert_string_equal(lab.uri, "/v1/sse?k=1");
	lab_event(&lab, "event: endpoint\ndata: messages?sessionId=of-the-server\n\n");
	assert_true(lab_await(&lab, stream, heard, sizeof(heard), "\n\n\r\n"));
	assert_null(strstr(heard, "of-the-server"));
	at = strstr(heard, "event: endpoint\ndata: /old/messages?token=");
	assert_non_null(at);
	at += strlen("event: endpoint\ndata: ");
	snprintf(target, sizeof(target), "%.*s", (int)strcspn(at, "\n"), at);
}

static void post_as(const struct zg_origin *o, const char *body)
{
	int fd = lab_connect(&lab, o);

	lab_post(fd, target, body);
	lab_read(&lab, fd, out, sizeof(out));
	close(fd);
}

static void post(const char *body)
{
	struct zg_origin o = lab_origin();

	post_as(&o, body);
}

static void expect_outcome(const char *outcome)
{
	struct zg_record r;

	do
		assert_true(lab_record(&lab, &r));
	while (r.kind != ZG_RK_CALL_OUTCOME);
	assert_string_equal(r.outcome, outcome);
}

static void test_call(void **state)
{
	(void)state;
	connect_client();
	post(CALL(1, "get_x"));
	assert_non_null(strstr(out, "HTTP/1.1 202"));
	assert_null(strstr(out, "Accepted\r\n\r\nAccepted"));
	assert_string_equal(lab.uri, "/v1/messages?sessionId=of-the-server");
	assert_string_equal(lab.last, CALL(1, "get_x"));
	expect_outcome("deferred");
	lab_event(&lab, "event: message\ndata: " RESULT(1) "\n\n");
	assert_true(lab_await(&lab, stream, heard, sizeof(heard), RESULT(1)));
	expect_outcome("ok");
}

/* The answer to the POST cannot carry it: the stream does. */
static void test_denied(void **state)
{
	(void)state;
	connect_client();
	post(CALL(2, "get_x"));
	assert_non_null(strstr(out, "HTTP/1.1 202"));
	post("{\"jsonrpc\":\"2.0\",\"id\":\"three\",\"method\":\"no/such\"}");
	assert_non_null(strstr(out, "HTTP/1.1 202"));
	assert_true(lab_await(&lab, stream, heard, sizeof(heard),
			      "\"id\":\"three\",\"error\":{\"code\":-31001"));
	post(CALL(4, "write_it")); /* needs a person: pending, after its hold time */
	assert_non_null(strstr(out, "HTTP/1.1 202"));
	assert_true(lab_await(&lab, stream, heard, sizeof(heard), "pending approval"));
	assert_int_equal(lab.requests, 2); /* the stream and get_x, which is allowed */
}

static void test_cut(void **state)
{
	(void)state;
	connect_client();
	post(CALL(5, "np_slow"));
	assert_non_null(strstr(out, "HTTP/1.1 202"));
	assert_true(lab_await(&lab, stream, heard, sizeof(heard), "cut after 3 seconds"));
	assert_non_null(strstr(heard, "{\"jsonrpc\":\"2.0\",\"id\":5,\"result\""));
	LAB_UNTIL(&lab, strstr(lab.last, "notifications/cancelled"));
	assert_string_equal(lab.uri, "/v1/messages?sessionId=of-the-server");
	assert_non_null(strstr(lab.last, "\"requestId\":5"));
	expect_outcome("deferred");
	expect_outcome("timeout");
}

/* One that was answered in time is not cut, however its id is written. */
static void test_not_cut(void **state)
{
	(void)state;
	connect_client();
	lab_event(&lab, "data: " RESULT(7) "\n\n"); /* before we know that it is expected */
	assert_true(lab_await(&lab, stream, heard, sizeof(heard), RESULT(7)));
	post(CALL(6, "np_x"));
	post(CALL(7, "np_x"));
	assert_int_equal(lab.requests, 3);
	post("{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"tools/call\",\"params\":{\"name\":"
	     "\"np_x\"}}");
	lab_event(&lab, "data: " RESULT(6) "\n\ndata: {\"jsonrpc\":\"2.0\",\"id\":\"\\u0061\","
					   "\"result\":{}}\n\n");
	while (lab_turn(&lab, 1500 * LAB_SHORT)) /* longer than the limit */
		;
	lab_hear(&lab, stream, heard, sizeof(heard));
	assert_null(strstr(heard, "cut after"));
	assert_null(strstr(lab.last, "cancelled"));
}

/* What its client took back is not cut, and recorded as such. */
static void test_cancelled(void **state)
{
	(void)state;
	connect_client();
	post(CALL(8, "np_x"));
	expect_outcome("deferred");
	post("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/"
	     "cancelled\",\"params\":{\"requestId\":8}}");
	expect_outcome("cancelled");
	while (lab_turn(&lab, 1500 * LAB_SHORT)) /* longer than the limit */
		;
	lab_hear(&lab, stream, heard, sizeof(heard));
	assert_null(strstr(heard, "cut after"));
}

static void test_another_worker(void **state)
{
	struct zg_msg_relay relay;
	struct zg_msg m = {.fd = -1};

	(void)state;
	connect_client();
	/* the POST arrives at a worker that does not hold the stream */
	lab.w.index = 3;
	post("{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"no/such\"}");
	assert_non_null(strstr(out, "HTTP/1.1 202"));
	assert_int_equal(zg_msg_recv(lab.parent, &m), 0);
	assert_int_equal(m.type, ZG_MSG_RELAY);
	memcpy(&relay, m.body, sizeof(relay));
	assert_int_equal(relay.worker, 0);
	assert_null(strstr(heard, "\"id\":9"));
	zg_relay_take(&lab.w, &relay);
	assert_true(lab_await(&lab, stream, heard, sizeof(heard), "\"id\":9"));
	/* not one line, or for a stream that is gone: nothing */
	memcpy(relay.text, "{}\ndata: x", 11);
	zg_relay_take(&lab.w, &relay);
	relay.stream++;
	zg_relay_take(&lab.w, &relay);
	lab_hear(&lab, stream, heard, sizeof(heard));
	assert_null(strstr(heard, "data: x"));
}

static void test_stolen(void **state)
{
	struct zg_origin thief = lab_origin();

	(void)state;
	connect_client();
	zg_cgroup_names_put(&lab.w.names, LAB_CGROUP + 1, "agents/other");
	thief.cgroup_id = LAB_CGROUP + 1;
	post_as(&thief, CALL(1, "get_x"));
	assert_non_null(strstr(out, "HTTP/1.1 404"));
	memcpy(target, "/s/", 4);
	snprintf(target, sizeof(target), "/s/messages?token=x");
	post(CALL(1, "get_x"));
	assert_non_null(strstr(out, "HTTP/1.1 404"));
	snprintf(target, sizeof(target), "/old/messages?token=x");
	post(CALL(1, "get_x"));
	assert_non_null(strstr(out, "HTTP/1.1 404"));
	assert_int_equal(lab.requests, 1);
}

static void test_leads_away(void **state)
{
	(void)state;
	open_stream("/old/mcp"); /* any of its paths opens it */
	lab_event(&lab, "event: endpoint\ndata: http://127.0.0.1:1/messages\n\n");
	assert_true(lab_await(&lab, stream, heard, sizeof(heard), "\r\n0\r\n\r\n"));
	assert_null(strstr(heard, "messages"));
}

/* What makes a client of Streamable HTTP try the older transport. */
static void test_fall_back(void **state)
{
	(void)state;
	snprintf(target, sizeof(target), "/old/mcp");
	post(CALL(1, "get_x"));
	assert_non_null(strstr(out, "HTTP/1.1 405"));
	snprintf(target, sizeof(target), "/s/sse");
	post(CALL(1, "get_x"));
	assert_non_null(strstr(out, "HTTP/1.1 404"));
	assert_int_equal(lab.requests, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_path),
		cmocka_unit_test_setup_teardown(test_call, setup, teardown),
		cmocka_unit_test_setup_teardown(test_denied, setup_short, teardown),
		cmocka_unit_test_setup_teardown(test_cut, setup_short, teardown),
		cmocka_unit_test_setup_teardown(test_not_cut, setup_short, teardown),
		cmocka_unit_test_setup_teardown(test_cancelled, setup_short, teardown),
		cmocka_unit_test_setup_teardown(test_another_worker, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stolen, setup, teardown),
		cmocka_unit_test_setup_teardown(test_leads_away, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fall_back, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
