/* SPDX-License-Identifier: Apache-2.0 */
/* session_test.c - sessions and event ids through one worker: whose they are,
 * what the server sees of them, and what comes of stolen, changed or old ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "lab.h"

#define PING   "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}"
#define RESULT "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}"

static struct lab lab;
static char out[65536];

static int setup(void **state)
{
	(void)state;
	lab_start(&lab);
	lab.answer = RESULT;
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

static void ask_as(const struct zg_origin *o, const char *headers)
{
	int fd = lab_connect(&lab, o);

	lab_post_with(fd, "/s/mcp", headers, PING);
	lab_read(&lab, fd, out, sizeof(out));
	close(fd);
}

static void ask(const char *headers)
{
	struct zg_origin o = lab_origin();

	ask_as(&o, headers);
}

/* A field of the answer, without its name. */
static void field(const char *name, char *to, size_t size)
{
	const char *at = strstr(out, name);

	assert_non_null(at);
	at += strlen(name) + 2;
	snprintf(to, size, "%.*s", (int)strcspn(at, "\r\n"), at);
}

/* The header line of a session that the server has opened. */
static void open_session(char *line, size_t size)
{
	char token[1024];

	lab.session = "from-server";
	ask("");
	assert_non_null(strstr(out, "HTTP/1.1 200 OK"));
	field("Mcp-Session-Id", token, sizeof(token));
	snprintf(line, size, "Mcp-Session-Id: %s\r\n", token);
}

static void expect_reject(const char *why)
{
	struct zg_record r;

	assert_non_null(strstr(out, "HTTP/1.1 404"));
	do
		assert_true(lab_record(&lab, &r));
	while (r.kind != ZG_RK_CALL_REJECT);
	assert_non_null(strstr(r.reason, why));
}

static void test_sealed(void **state)
{
	char line[1100];

	(void)state;
	open_session(line, sizeof(line));
	assert_null(strstr(out, "from-server"));
	ask(line);
	assert_string_equal(lab.session_seen, "from-server");
	/* what a server repeats is the token that the client has */
	assert_non_null(strstr(out, line));
	/* none is the server's business */
	ask("");
	assert_string_equal(lab.session_seen, "");
	assert_int_equal(lab.requests, 3);
}

/* The key is all that a session needs: any worker, any start of the agent. */
static void test_another_worker(void **state)
{
	char line[1100];

	(void)state;
	open_session(line, sizeof(line));
	lab_stop(&lab);
	lab_start(&lab);
	lab.answer = RESULT;
	ask(line);
	assert_non_null(strstr(out, "HTTP/1.1 200 OK"));
	assert_string_equal(lab.session_seen, "from-server");
}

static void test_stolen(void **state)
{
	struct zg_origin thief = lab_origin();
	char line[1100], told[4096];

	(void)state;
	open_session(line, sizeof(line));
	zg_cgroup_names_put(&lab.w.names, LAB_CGROUP + 1, "agents/other");
	thief.cgroup_id = LAB_CGROUP + 1;
	ask_as(&thief, line);
	expect_reject("belongs to another");
	snprintf(told, sizeof(told), "%s", strstr(out, "\r\n\r\n"));
	thief = lab_origin();
	thief.uid = 65532;
	ask_as(&thief, line);
	expect_reject("belongs to another");
	/* damaged: the client is told no more and no less */
	line[40] = (char)(line[40] == 'A' ? 'B' : 'A');
	ask(line);
	expect_reject("tampered");
	assert_string_equal(told, strstr(out, "\r\n\r\n"));
	ask("Mcp-Session-Id: from-server\r\n");
	expect_reject("no token");
	assert_string_equal(told, strstr(out, "\r\n\r\n"));
	ask("Mcp-Session-Id:\r\n");
	expect_reject("no token");
	assert_int_equal(lab.requests, 1);
}

static void test_expired(void **state)
{
	const struct zg_principal p = {.uid = 65533, .profile = "agent", .cgroup = "agents/test"};
	const struct zg_seal_owner owner = {ZG_SLICE("s"), &p};
	zg_autobuf line = ZG_BUF(4096);

	(void)state;
	zg_buf_str(&line, "Mcp-Session-Id: ");
	assert_int_equal(zg_seal(&lab.w.live->seal, ZG_SEAL_SESSION, &owner,
				 zg_real_sec() - ZG_SESSION_TTL_SEC, ZG_SESSION_TTL_SEC,
				 ZG_SLICE("from-server"), &line),
			 0);
	zg_buf_add(&line, "\r\n", 3);
	ask(line.ptr);
	assert_non_null(strstr(out, "has expired"));
	expect_reject("expired");
	assert_int_equal(lab.requests, 0);
}

static void test_unfit_ids(void **state)
{
	static char longest[ZG_SESSION_ID_BYTES + 2];

	(void)state;
	memset(longest, 'x', ZG_SESSION_ID_BYTES);
	lab.session = longest;
	ask("");
	assert_non_null(strstr(out, "HTTP/1.1 200 OK"));
	memset(longest, 'x', ZG_SESSION_ID_BYTES + 1);
	ask("");
	assert_non_null(strstr(out, "session id is malformed"));
	assert_null(strstr(out, "Mcp-Session-Id"));
	lab.session = "with a blank";
	ask("");
	assert_non_null(strstr(out, "session id is malformed"));
}

#define STREAM                                                                                     \
	"id: e1\r\ndata: \r\n\r\nretry: 20\n\nid: e2\ndata: "                                      \
	"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\"}\n\n"

static void get(const char *headers)
{
	struct zg_origin o = lab_origin();
	int fd = lab_connect(&lab, &o);
	char head[2048];

	snprintf(head, sizeof(head), "GET /s/mcp HTTP/1.1\r\nHost: localhost:7411\r\n%s\r\n",
		 headers);
	lab_send(fd, head);
	lab_read(&lab, fd, out, sizeof(out));
	close(fd);
}

/* A server without sessions: the id of an event is bound like one. */
static void test_event_ids(void **state)
{
	char id[1024], line[1100];

	(void)state;
	lab.type = "text/event-stream";
	lab.answer = STREAM;
	ask("");
	assert_null(strstr(out, "id: e1"));
	assert_null(strstr(out, "id: e2"));
	assert_non_null(strstr(out, "retry: 20\n\n"));
	/* it ended as the server ended it: no error is made up for the call */
	assert_null(strstr(out, "\"error\""));
	field("id", id, sizeof(id));
	snprintf(line, sizeof(line), "Last-Event-ID: %s\r\n", id);
	get(line);
	assert_non_null(strstr(out, "HTTP/1.1 200 OK"));
	assert_string_equal(lab.event_seen, "e1");
	get("Last-Event-ID: e1\r\n");
	assert_non_null(strstr(out, "HTTP/1.1 400"));
	assert_int_equal(lab.requests, 2);
}

static void test_event_ids_of_a_session(void **state)
{
	char line[1100], headers[1200];

	(void)state;
	open_session(line, sizeof(line));
	lab.type = "text/event-stream";
	lab.answer = STREAM "data: " RESULT "\n\n";
	ask(line);
	assert_non_null(strstr(out, "id: e1\r\n"));
	snprintf(headers, sizeof(headers), "%sLast-Event-ID: e1\r\n", line);
	get(headers);
	assert_string_equal(lab.event_seen, "e1");
	/* an answer to an earlier call is delivered here */
	assert_non_null(strstr(out, "data: " RESULT));
}

/* What we say ourselves in a session is said in the server's terms. */
static void test_note(void **state)
{
	static const char call[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/"
				   "call\",\"params\":{\"name\":\"np_x\"}}";
	struct zg_origin o = lab_origin();
	char line[1100];
	int fd;

	(void)state;
	open_session(line, sizeof(line));
	lab.answer = NULL;
	fd = lab_connect(&lab, &o);
	lab_post_with(fd, "/s/mcp", line, call);
	lab_read(&lab, fd, out, sizeof(out));
	close(fd);
	assert_non_null(strstr(out, "max_runtime_sec"));
	LAB_UNTIL(&lab, strstr(lab.last, "notifications/cancelled"));
	assert_string_equal(lab.session_seen, "from-server");
}

/* Without a place to go on from, a call whose stream ends has failed. */
static void test_no_event_ids(void **state)
{
	(void)state;
	lab.type = "text/event-stream";
	lab.answer = ": nothing\n\n";
	ask("");
	assert_non_null(strstr(out, "ended the stream without a response"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_sealed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_another_worker, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stolen, setup, teardown),
		cmocka_unit_test_setup_teardown(test_expired, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unfit_ids, setup, teardown),
		cmocka_unit_test_setup_teardown(test_event_ids, setup, teardown),
		cmocka_unit_test_setup_teardown(test_event_ids_of_a_session, setup, teardown),
		cmocka_unit_test_setup_teardown(test_note, setup_short, teardown),
		cmocka_unit_test_setup_teardown(test_no_event_ids, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
