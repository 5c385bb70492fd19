/* SPDX-License-Identifier: Apache-2.0 */
/* state_test.c - a server's requestState through a client's hands, and what
 * results say about caching. */
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "lab.h"

#define HEADERS(method, name) "MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: " method "\r\n" name
#define CALL_HEADERS	      HEADERS("tools/call", "Mcp-Name: get_x\r\n")
#define META                                                                                       \
	"\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\","                   \
	"\"io.modelcontextprotocol/clientCapabilities\":{}}"
#define REQUEST(id, method, params)                                                                \
	"{\"jsonrpc\":\"2.0\", \"id\":" #id ",\"method\":\"" method "\",\"params\":{" params       \
	"," META "} }"
#define CALL(id, args) REQUEST(id, "tools/call", "\"name\":\"get_x\",\"arguments\":" args)
/* what a base64 layer or a detector would see must come back untouched */
#define STATE "\"AKIAIOSFODNN7EXAMPLE \\u00e9 \\\"q\\\"\""
#define ASKS(id)                                                                                   \
	" {\"jsonrpc\":\"2.0\",\"id\":" #id ",\"result\":{\"resultType\":\"input_required\" ,"     \
	"\"requestState\" : " STATE "}}"
#define DONE(id)                                                                                   \
	"{\"jsonrpc\":\"2.0\",\"id\":" #id ",\"result\":{\"resultType\":\"complete\",\"content\":" \
	"[]}}"

static struct lab lab;
static char out[65536], token[4096];

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

/* One POST; what the ledger is asked meanwhile gets this word (-1: none comes). */
static struct zg_msg_token_use asked;

static void ask_as(const struct zg_origin *o, const char *headers, const char *body, int word)
{
	int fd = lab_connect(&lab, o);
	struct zg_msg m = {.fd = -1};

	asked = (struct zg_msg_token_use){0};
	lab_post_with(fd, "/s/mcp", headers, body);
	if (word >= 0) {
		struct zg_msg_token_used said = {.state = (uint32_t)word};

		LAB_UNTIL(&lab, zg_msg_recv(lab.ledger, &m) == 0);
		assert_int_equal(m.type, ZG_MSG_TOKEN_USE);
		memcpy(&asked, m.body, sizeof(asked));
		said.call = asked.call;
		assert_int_equal(zg_msg_send(lab.ledger, ZG_MSG_TOKEN_USED, &said, -1), 0);
	}
	lab_read(&lab, fd, out, sizeof(out));
	close(fd);
}

static void ask(const char *body, int word)
{
	struct zg_origin o = lab_origin();

	ask_as(&o, CALL_HEADERS, body, word);
}

/* The first round: the token that the client is given. */
static void first_round(void)
{
	const char *at;

	lab.answer = ASKS(1);
	ask(CALL(1, "{\"n\":1}"), -1);
	at = strstr(out, "\"requestState\" : \"");
	assert_non_null(at);
	at += strlen("\"requestState\" : \"");
	snprintf(token, sizeof(token), "%.*s", (int)strcspn(at, "\""), at);
	assert_null(strstr(out, "AKIA"));
	/* all else is as the server wrote it */
	assert_non_null(strstr(out, "\r\n\r\n {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{"
				    "\"resultType\":\"input_required\" ,\"requestState\" : \""));
	lab.answer = DONE(2);
}

static const char *retry(const char *args, const char *state)
{
	static char text[8192];

	snprintf(text, sizeof(text),
		 "{\"jsonrpc\":\"2.0\", \"id\":2,\"method\":\"tools/call\",\"params\":{"
		 "\"inputResponses\":{\"q\":{\"action\":\"accept\"}},\"requestState\" :\"%s\" ,"
		 "\"name\":\"get_x\",\"arguments\":%s," META "} }",
		 state, args);
	return text;
}

static void test_round_trip(void **state)
{
	(void)state;
	first_round();
	ask(retry("{\"n\":1}", token), ZG_TOKEN_FRESH);
	assert_non_null(strstr(out, "\"complete\""));
	/* the server got its own bytes back, in the place where they were */
	assert_string_equal(
		lab.last,
		"{\"jsonrpc\":\"2.0\", \"id\":2,\"method\":\"tools/call\",\"params\":{"
		"\"inputResponses\":{\"q\":{\"action\":\"accept\"}},\"requestState\" :" STATE " ,"
		"\"name\":\"get_x\",\"arguments\":{\"n\":1}," META "} }");
	assert_true(asked.expires > zg_real_sec() &&
		    asked.expires <= zg_real_sec() + ZG_STATE_TTL_SEC);
}

static void test_replay(void **state)
{
	struct zg_record r;

	(void)state;
	first_round();
	ask(retry("{\"n\":1}", token), ZG_TOKEN_USED_UP);
	assert_non_null(strstr(out, "HTTP/1.1 400"));
	assert_non_null(strstr(out, "used before"));
	assert_int_equal(lab.requests, 1);
	while (lab_record(&lab, &r))
		; /* the last of them */
	assert_int_equal(r.kind, ZG_RK_CALL_DENY);
	ask(retry("{\"n\":1}", token), ZG_TOKEN_REFUSED);
	assert_non_null(strstr(out, "cannot be recorded"));
	assert_int_equal(lab.requests, 1);
}

/* The ledger does not answer, or is not there: nothing is dispatched. */
static void test_no_ledger(void **state)
{
	(void)state;
	first_round();
	ask(retry("{\"n\":1}", token), -1);
	assert_non_null(strstr(out, "cannot be recorded"));
	close(lab.ledger);
	lab.ledger = -1;
	lab_turn(&lab, 50);
	ask(retry("{\"n\":1}", token), -1);
	assert_non_null(strstr(out, "cannot be reached"));
	assert_int_equal(lab.requests, 1);
}

static void expect_refused(const char *why)
{
	struct zg_record r;

	assert_non_null(strstr(out, "HTTP/1.1 400"));
	assert_non_null(strstr(out, "requestState is not known here"));
	do
		assert_true(lab_record(&lab, &r));
	while (r.kind != ZG_RK_CALL_REJECT);
	assert_non_null(strstr(r.reason, why));
	assert_int_equal(lab.requests, 1);
}

static void test_misuse(void **state)
{
	struct zg_origin thief = lab_origin();

	(void)state;
	first_round();
	ask(retry("{\"n\":2}", token), -1); /* another request */
	expect_refused("belongs to another");
	thief.uid = 65532;
	ask_as(&thief, CALL_HEADERS, retry("{\"n\":1}", token), -1);
	expect_refused("belongs to another");
	token[50] = (char)(token[50] == 'x' ? 'y' : 'x');
	ask(retry("{\"n\":1}", token), -1);
	expect_refused("tampered");
	ask(retry("{\"n\":1}", "AKIAIOSFODNN7EXAMPLE"), -1);
	expect_refused("no token");
}

static void test_too_long(void **state)
{
	static char text[ZG_SEAL_PAYLOAD + 256];

	(void)state;
	snprintf(text, sizeof(text),
		 "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"resultType\":"
		 "\"input_required\",\"requestState\":\"%0*d\"}}",
		 ZG_SEAL_PAYLOAD - 33, 0);
	lab.answer = text;
	ask(CALL(1, "{}"), -1);
	assert_non_null(strstr(out, "requestState is too long"));
}

static void test_in_a_stream(void **state)
{
	(void)state;
	lab.type = "text/event-stream";
	lab.answer = "data: " ASKS(1) "\n\n";
	ask(CALL(1, "{\"n\":1}"), -1);
	assert_null(strstr(out, "AKIA"));
	assert_non_null(strstr(out, "\"requestState\" : \""));
}

#define LISTED(more)                                                                               \
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"resultType\":\"complete\",\"tools\":[]" more  \
	"}}"

static void test_caching(void **state)
{
	static const struct {
		const char *said, *passed;
	} cases[] = {
		{LISTED(",\"ttlMs\":5,\"cacheScope\":\"public\""),
		 LISTED(",\"ttlMs\":5,\"cacheScope\":\"private\"")},
		{LISTED(",\"ttlMs\":5,\"cacheScope\":\"private\""),
		 LISTED(",\"ttlMs\":5,\"cacheScope\":\"private\"")},
		{LISTED(",\"ttlMs\":5,\"cacheScope\":7"),
		 LISTED(",\"ttlMs\":5,\"cacheScope\":\"private\"")},
		{LISTED(",\"ttlMs\":5"),
		 "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"cacheScope\":\"private\","
		 "\"resultType\":\"complete\",\"tools\":[],\"ttlMs\":5}}"},
		{LISTED(",\"x\":{\"ttlMs\":5}"), LISTED(",\"x\":{\"ttlMs\":5}")},
	};
	struct zg_origin o = lab_origin();

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		lab.answer = cases[i].said;
		ask_as(&o, HEADERS("tools/list", ""), REQUEST(1, "tools/list", "\"cursor\":\"c\""),
		       -1);
		assert_non_null(strstr(out, "Cache-Control: no-store\r\n"));
		assert_string_equal(strstr(out, "\r\n\r\n") + 4, cases[i].passed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_round_trip, setup, teardown),
		cmocka_unit_test_setup_teardown(test_replay, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_ledger, setup, teardown),
		cmocka_unit_test_setup_teardown(test_misuse, setup, teardown),
		cmocka_unit_test_setup_teardown(test_too_long, setup, teardown),
		cmocka_unit_test_setup_teardown(test_in_a_stream, setup, teardown),
		cmocka_unit_test_setup_teardown(test_caching, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
