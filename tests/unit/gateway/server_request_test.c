/* SPDX-License-Identifier: Apache-2.0 */
/* server_request_test.c - what a server asks of its client: decided, recorded,
 * and answered in the client's place where it is denied. */
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "lab.h"

#define META                                                                                       \
	"\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\","                   \
	"\"io.modelcontextprotocol/clientCapabilities\":{\"extensions\":{%s}}}"
#define RESULT(inner)	   "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{" inner "}}"
#define EVENT(json)	   "data: " json "\n\n"
#define SAYS(method, more) "{\"jsonrpc\":\"2.0\"," more "\"method\":\"" method "\"}"
#define SAMPLING                                                                                   \
	"{\"jsonrpc\":\"2.0\",\"id\":\"s1\",\"method\":\"sampling/createMessage\",\"params\":{"    \
	"\"messages\":[]}}"
#define URL(id, host)                                                                              \
	"{\"jsonrpc\":\"2.0\",\"id\":" id ",\"method\":\"elicitation/create\",\"params\":{"        \
	"\"mode\":\"url\",\"elicitationId\":\"e\",\"url\":\"https://" host "/x\","                 \
	"\"message\":\"m\"}}"
#define INPUT(method, params)                                                                      \
	"\"inputRequests\":{\"k\":{\"method\":\"" method "\",\"params\":" params "}}"
#define FINE RESULT("\"content\":[]")

static struct lab lab;
static char out[65536];

static int setup(void **state)
{
	(void)state;
	lab_start(&lab);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	lab_stop(&lab);
	return 0;
}

static void ask(const char *headers, const char *body)
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
	lab_read(&lab, fd, out, sizeof(out));
	close(fd);
}

static void legacy(const char *stream)
{
	lab.type = "text/event-stream";
	lab.answer = stream;
	ask("MCP-Protocol-Version: 2025-11-25\r\n",
	    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":"
	    "\"get_x\"}}");
}

static void modern(const char *answer, const char *extensions)
{
	char body[1024];

	snprintf(body, sizeof(body),
		 "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":"
		 "\"get_x\"," META "}}",
		 extensions);
	lab.type = NULL;
	lab.answer = answer;
	ask("MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: get_x\r\n",
	    body);
}

/* The record of that kind; the others before it are dropped. */
static bool record(enum zg_record_kind kind, struct zg_record *r)
{
	while (lab_record(&lab, r))
		if (r->kind == kind)
			return true;
	return false;
}

static void test_delivered(void **state)
{
	struct zg_record r;

	(void)state;
	legacy(EVENT(SAYS("ping", "\"id\":9,")) EVENT(SAYS("roots/list", "\"id\":10,"))
		       EVENT(URL("11", "ok.example")) EVENT(FINE));
	assert_non_null(strstr(out, "\"method\":\"ping\""));
	assert_non_null(strstr(out, "\"method\":\"roots/list\""));
	assert_non_null(strstr(out, "https://ok.example/x"));
	assert_non_null(strstr(out, FINE));
	assert_true(record(ZG_RK_SERVER_REQUEST, &r));
	assert_string_equal(r.method, "ping");
	assert_string_equal(r.direction, "server");
	assert_string_equal(r.cgroup, "agents/test");
	assert_true(record(ZG_RK_SERVER_REQUEST, &r));
	assert_string_equal(r.method, "roots/list");
	assert_true(record(ZG_RK_SERVER_REQUEST, &r));
	assert_string_equal(r.tool, "https://ok.example/x");
	assert_true(record(ZG_RK_CALL_OUTCOME, &r));
	assert_string_equal(r.outcome, "ok");
	assert_int_equal(lab.requests, 1);
}

static void test_denied(void **state)
{
	struct zg_record r;

	(void)state;
	legacy(EVENT(SAMPLING) EVENT(FINE));
	assert_null(strstr(out, "sampling"));
	assert_non_null(strstr(out, FINE));
	LAB_UNTIL(&lab, lab.requests >= 2);
	/* the server was answered, in the client's session */
	assert_int_equal(lab.requests, 2);
	assert_non_null(strstr(lab.last, "\"id\":\"s1\",\"error\":{\"code\":-31001"));
	assert_true(record(ZG_RK_CALL_DENY, &r));
	assert_string_equal(r.method, "sampling/createMessage");
	assert_string_equal(r.direction, "server");
	assert_string_equal(r.action, "write");
	assert_true(record(ZG_RK_CALL_OUTCOME, &r));
	assert_int_equal(r.dropped, 1);
}

/* a URL is where the person would be sent: network_allowlist bounds it */
static void test_hosts(void **state)
{
	(void)state;
	legacy(EVENT(URL("2", "evil.example")) EVENT(URL("3", "ok.example:8@evil.example"))
		       EVENT(FINE));
	assert_null(strstr(out, "evil"));
	assert_non_null(strstr(out, FINE));
	LAB_UNTIL(&lab, lab.requests >= 3);
	assert_non_null(strstr(lab.last, "network_allowlist"));
}

static void test_notifications(void **state)
{
	struct zg_record r;

	(void)state;
	legacy(EVENT(SAYS("notifications/progress", "")) EVENT(SAYS("notifications/message", ""))
		       EVENT(SAYS("notifications/other", ""))
			       EVENT(SAYS("notifications/initialized", "")) EVENT(FINE) EVENT(
				       SAYS("notifications/message", "\"params\":{\"late\":1},"))
				       EVENT(FINE));
	assert_non_null(strstr(out, "notifications/progress"));
	assert_non_null(strstr(out, "notifications/message"));
	assert_null(strstr(out, "notifications/other"));
	assert_null(strstr(out, "notifications/initialized"));
	assert_null(strstr(out, "late"));
	assert_null(strstr(strstr(out, FINE) + 1, FINE));
	assert_true(record(ZG_RK_CALL_OUTCOME, &r));
	assert_int_equal(r.dropped, 4);
}

static const struct {
	const char *answer;
	const char *extensions; /* that the client speaks */
	const char *code;	/* NULL: passed on */
	const char *why;
} results[] = {
	{RESULT("\"resultType\":\"complete\",\"content\":[]"), "", NULL, NULL},
	{RESULT("\"resultType\":\"input_required\""), "", NULL, NULL},
	{RESULT("\"resultType\":\"input_required\"," INPUT("roots/list", "{}")), "", NULL, NULL},
	{RESULT("\"resultType\":\"input_required\"," INPUT(
		 "elicitation/create", "{\"mode\":\"form\",\"message\":\"m\"}")),
	 "", NULL, NULL},
	{RESULT("\"resultType\":\"input_required\"," INPUT("sampling/createMessage", "{}")), "",
	 "isError", "sampling/createMessage"},
	/* in whichever words it is written */
	{RESULT("\"\\u0072esultType\":\"input\\u005frequired\",\"input\\u0052equests\":{\"k\":{"
		"\"method\":\"sampling\\/createMessage\"}}"),
	 "", "isError", "sampling/createMessage"},
	{RESULT("\"content\":[]," INPUT("sampling/createMessage", "{}")), "", "isError",
	 "sampling"},
	{RESULT("\"resultType\":\"complete\",\"status\":\"input_required\"," INPUT(
		 "sampling/createMessage", "{}")),
	 "", "isError", "sampling"},
	{RESULT("\"resultType\":\"input_required\"," INPUT(
		 "elicitation/create", "{\"mode\":\"url\",\"url\":\"https://evil.example/\"}")),
	 "", "isError", "evil.example"},
	{RESULT("\"resultType\":\"input_required\"," INPUT("elicitation/create",
							   "{\"mode\":\"url\",\"url\":[]}")),
	 "", "isError", "cannot be read"},
	{RESULT("\"resultType\":\"input_required\"," INPUT("tools/call", "{\"name\":\"x\"}")), "",
	 "isError", "unknown"},
	{RESULT("\"resultType\":\"input_required\",\"inputRequests\":[1]"), "", "isError",
	 "cannot be read"},
	{RESULT("\"resultType\":\"input_required\",\"inputRequests\":{\"k\":1}"), "", "isError",
	 "unknown"},
	/* tasks that nobody asked for */
	{RESULT("\"resultType\":\"task\",\"taskId\":\"t\""), "", "isError", "did not ask"},
	{RESULT("\"resultType\":\"task\",\"taskId\":\"t\""), "\"io.modelcontextprotocol/tasks\":{}",
	 NULL, NULL},
	{RESULT("\"task\":{\"taskId\":\"t\"}"), "", "isError", "did not ask"},
	{RESULT("\"task\":{\"taskId\":\"t\"," INPUT("sampling/createMessage", "{}") "}"),
	 "\"io.modelcontextprotocol/tasks\":{}", "isError", "sampling"},
	/* an error that sends people to URLs */
	{"{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32042,\"message\":\"m\",\"data\":{"
	 "\"elicitations\":[{\"mode\":\"url\",\"url\":\"https://ok.example/\"}]}}}",
	 "", NULL, NULL},
	{"{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32042,\"message\":\"m\",\"data\":{"
	 "\"elicitations\":[{\"mode\":\"url\",\"url\":\"https://evil.example/\"}]}}}",
	 "", "isError", "evil.example"},
	{"{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32602,\"message\":\"m\"}}", "", NULL,
	 NULL},
	/* not the response */
	{SAYS("ping", "\"id\":1,"), "", "isError", "not the response"},
	{SAYS("notifications/message", ""), "", "isError", "not the response"},
};

static void test_results(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
		struct zg_record r;

		print_message("%s\n", results[i].answer);
		while (lab_record(&lab, &r))
			;
		modern(results[i].answer, results[i].extensions);
		if (!results[i].code) {
			assert_string_equal(strstr(out, "\r\n\r\n") + 4, results[i].answer);
			continue;
		}
		assert_null(strstr(out, results[i].answer));
		assert_non_null(strstr(out, results[i].code));
		assert_non_null(strstr(out, results[i].why));
		assert_true(record(ZG_RK_CALL_OUTCOME, &r));
		assert_true(!strcmp(r.outcome, "ask_denied") || !strcmp(r.outcome, "quarantined"));
	}
}

/* the same at the end of a stream: the client is told there */
static void test_result_in_stream(void **state)
{
	(void)state;
	legacy(EVENT(SAYS("notifications/message", "")) EVENT(RESULT(
		"\"resultType\":\"input_required\"," INPUT("sampling/createMessage", "{}"))));
	assert_non_null(strstr(out, "notifications/message"));
	assert_null(strstr(out, "inputRequests"));
	assert_non_null(strstr(out, "\"id\":1,\"result\":{\"content\""));
	assert_non_null(strstr(out, "sampling/createMessage"));
}

/* a modern server has no requests, on any stream */
static void test_modern_stream(void **state)
{
	(void)state;
	lab.type = "text/event-stream";
	lab.answer = EVENT(SAYS("ping", "\"id\":9,")) EVENT(FINE);
	ask("MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: get_x\r\n",
	    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/"
	    "call\",\"params\":{\"name\":\"get_x\","
	    "\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\","
	    "\"io.modelcontextprotocol/clientCapabilities\":{}}}}");
	assert_null(strstr(out, "ping"));
	assert_non_null(strstr(out, FINE));
	while (lab_turn(&lab, 50))
		;
	assert_int_equal(lab.requests, 1);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_delivered),     T(test_denied),	T(test_hosts),
		T(test_notifications), T(test_results), T(test_result_in_stream),
		T(test_modern_stream),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
