/* SPDX-License-Identifier: Apache-2.0 */
/* cancel_test.c - how a client ends a call, in each version, and whose. */
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "lab.h"

#define META                                                                                       \
	"\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\","                   \
	"\"io.modelcontextprotocol/clientCapabilities\":{}}"
#define CALL(tool)                                                                                 \
	"{\"jsonrpc\":\"2.0\",\"id\":\"c\\u0031\",\"method\":\"tools/"                             \
	"call\",\"params\":{\"name\":\"" tool "\"}}"
#define CANCEL(id)                                                                                 \
	"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/"                                         \
	"cancelled\",\"params\":{\"requestId\":" id "}}"

static struct lab lab;
static char out[65536];

static int setup(void **state)
{
	(void)state;
	lab_start(&lab);
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

static int begin(const struct zg_origin *o, const char *headers, const char *body)
{
	int fd = lab_connect(&lab, o);
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

static void say(const struct zg_origin *o, const char *body)
{
	int fd = begin(o, "", body);

	lab_read(&lab, fd, out, sizeof(out));
	close(fd);
	assert_non_null(strstr(out, "HTTP/1.1 202"));
}

static void until_ledger(enum zg_msg_type type, struct zg_msg *m)
{
	LAB_UNTIL(&lab, zg_msg_recv(lab.ledger, m) == 0 && m->type == type);
}

static void until_requests(int n)
{
	LAB_UNTIL(&lab, lab.requests >= n);
	assert_int_equal(lab.requests, n);
}

static bool outcome(struct zg_record *r)
{
	for (int idle = 0; idle < LAB_PATIENCE; idle += !lab_turn(&lab, 50))
		while (lab_record(&lab, r))
			if (r->kind == ZG_RK_CALL_OUTCOME && !strcmp(r->method, "tools/call"))
				return true;
	return false;
}

/* the stream is the call: closing it ends both */
static void test_modern_leaves(void **state)
{
	struct zg_origin o = lab_origin();
	struct zg_record r;
	int fd;

	(void)state;
	fd = begin(
		&o,
		"MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: get_x\r\n",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":"
		"\"get_x\"," META "}}");
	until_requests(1);
	close(fd);
	assert_true(outcome(&r));
	assert_string_equal(r.outcome, "cancelled");
	assert_true(TAILQ_EMPTY(&lab.w.requests));
	assert_int_equal(lab.requests, 1); /* and the server is told by that alone */
}

/* a lost connection is no word of the client's */
static void test_legacy_leaves(void **state)
{
	struct zg_origin o = lab_origin();
	struct zg_record r;
	int fd;

	(void)state;
	fd = begin(&o, "", CALL("np_slow"));
	until_requests(1);
	close(fd);
	assert_true(outcome(&r));
	assert_string_equal(r.outcome, "timeout"); /* it went on until its limit */
}

static void test_held(void **state)
{
	struct zg_origin o = lab_origin(), other = lab_origin();
	static struct zg_msg m;
	uint64_t call;
	int fd;

	(void)state;
	fd = begin(&o, "", CALL("drop"));
	until_ledger(ZG_MSG_HOLD, &m);
	call = ((struct zg_msg_hold *)m.body)->call;
	/* neither of another user, nor of another id */
	other.uid++;
	say(&other, CANCEL("\"c1\""));
	say(&o, CANCEL("\"c2\""));
	say(&o, CANCEL("1"));
	assert_int_equal(recv(fd, out, sizeof(out), MSG_DONTWAIT), -1);
	say(&o, CANCEL("\"c1\""));
	lab_read(&lab, fd, out, sizeof(out));
	close(fd);
	assert_non_null(strstr(out, "was cancelled before it was dispatched"));
	do
		until_ledger(ZG_MSG_HOLD_RELEASE, &m);
	while (((struct zg_msg_hold_release *)m.body)->call != call);
	assert_null(strstr(lab.last, "tools/call")); /* the server saw notifications alone */
	assert_int_equal(lab.requests, 4);
}

/* it came to another worker, which told the ledger, which tells us */
static void test_other_worker(void **state)
{
	struct zg_origin o = lab_origin();
	struct zg_msg_call_cancelled tell;
	static struct zg_msg m;
	int fd;

	(void)state;
	say(&o, CANCEL("\"c1\""));
	until_ledger(ZG_MSG_CALL_CANCEL, &m);
	memcpy(tell.key, ((struct zg_msg_call_cancel *)m.body)->key, sizeof(tell.key));
	fd = begin(&o, "", CALL("drop"));
	until_ledger(ZG_MSG_HOLD, &m);
	assert_int_equal(zg_msg_send(lab.ledger, ZG_MSG_CALL_CANCELLED, &tell, -1), 0);
	lab_read(&lab, fd, out, sizeof(out));
	close(fd);
	assert_non_null(strstr(out, "was cancelled before it was dispatched"));
}

/* the server is told, and has a while; then the call is over here, too */
static void test_running(void **state)
{
	struct zg_origin o = lab_origin();
	struct zg_record r;
	int fd;

	(void)state;
	fd = begin(&o, "", CALL("get_x"));
	until_requests(1);
	say(&o, CANCEL("\"c1\""));
	assert_non_null(strstr(lab.last, "notifications/cancelled"));
	lab_read(&lab, fd, out, sizeof(out));
	close(fd);
	assert_non_null(strstr(out, "was cancelled by its client"));
	assert_true(outcome(&r));
	assert_string_equal(r.outcome, "cancelled");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_modern_leaves),
		cmocka_unit_test_setup_teardown(test_legacy_leaves, setup_short, teardown),
		T(test_held),
		T(test_other_worker),
		T(test_running),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
