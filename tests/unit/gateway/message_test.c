/* SPDX-License-Identifier: Apache-2.0 */
/* message_test.c - messages of every version through one worker: in which form
 * they are refused, and what of them a server gets to see. */
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "lab.h"

#define META                                                                                       \
	"\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\","                   \
	"\"io.modelcontextprotocol/clientCapabilities\":{}}"
#define MODERN "MCP-Protocol-Version: 2026-07-28\r\n"
#define GET_X  MODERN "Mcp-Method: tools/call\r\nMcp-Name: get_x\r\n"
#define CALL(t)                                                                                    \
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"" t        \
	"\"," META "}}"
#define ASK(m) "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"" m "\",\"params\":{" META "}}"
#define RESULT "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"content\":[]}}"

static struct lab lab;
static char out[65536];

static int setup(void **state)
{
	(void)state;
	lab_start(&lab);
	lab.answer = RESULT;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	lab_stop(&lab);
	return 0;
}

/* One request of its own, headers and body as given; the answer in out. */
static void ask(const char *method, const char *headers, const char *body)
{
	struct zg_origin o = lab_origin();
	int fd = lab_connect(&lab, &o);
	char head[1024];

	snprintf(head, sizeof(head),
		 "%s /s/mcp HTTP/1.1\r\nHost: localhost:7411\r\nContent-Type: application/json\r\n"
		 "%sContent-Length: %zu\r\n\r\n",
		 method, headers, strlen(body));
	lab_send(fd, head);
	lab_send(fd, body);
	lab_read(&lab, fd, out, sizeof(out));
	close(fd);
}

static const struct {
	const char *method, *headers, *body;
	const char *status;
	const char *holds;  /* in the answer */
	const char *record; /* NULL: it went through */
} cases[] = {
	{"POST", GET_X, CALL("get_x"), "200", RESULT, NULL},
	{"POST", "MCP-Protocol-Version: 2025-11-25\r\n",
	 "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}", "200", RESULT, NULL},
	{"POST", "MCP-Protocol-Version: 2024-11-05\r\n",
	 "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}", "200", RESULT, NULL},
	/* refused in the words of the specification */
	{"POST", "MCP-Protocol-Version: 1900-01-01\r\n",
	 "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"tools/list\"}", "400",
	 "\"id\":7,\"error\":{\"code\":-32022,", "call.reject"},
	{"POST", "MCP-Protocol-Version: 1900-01-01\r\n",
	 "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"tools/list\"}", "400",
	 "\"requested\":\"1900-01-01\"}", "call.reject"},
	{"POST", "MCP-Protocol-Version: 2025-11-25\r\n", ASK("tools/list"), "400", "-32020",
	 "call.reject"},
	{"POST", "", ASK("tools/list"), "400", "-32020", "call.reject"},
	{"POST", MODERN "Mcp-Method: tools/list\r\n",
	 "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}", "400", "-32602",
	 "call.reject"},
	{"POST", MODERN "Mcp-Method: tools/call\r\n", CALL("get_x"), "400", "-32020",
	 "call.reject"},
	{"POST", MODERN "Mcp-Method: tools/call\r\nMcp-Name: get_y\r\n", CALL("get_x"), "400",
	 "-32020", "call.reject"},
	{"POST", MODERN, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}", "400", "-32600",
	 "call.reject"},
	{"GET", MODERN, "", "405", "Allow: POST\r\n", "call.reject"},
	{"DELETE", MODERN, "", "405", "Allow: POST\r\n", "call.reject"},
	/* methods that are gone, or never were */
	{"POST", MODERN "Mcp-Method: ping\r\n", ASK("ping"), "404",
	 "\"id\":1,\"error\":{\"code\":-32601", "call.deny"},
	{"POST", MODERN "Mcp-Method: initialize\r\n", ASK("initialize"), "404", "-32601",
	 "call.deny"},
	{"POST", MODERN "Mcp-Method: no/such\r\n", ASK("no/such"), "404", "-32601", "call.deny"},
	{"POST", "", "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"no/such\"}", "200", "-31001",
	 "call.deny"},
	{"POST", "", "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/other\"}", "403", "-31001",
	 "call.deny"},
	/* a denial has the form of the version */
	{"POST", MODERN "Mcp-Method: tools/call\r\nMcp-Name: np_x\r\n",
	 "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"np_x\","
	 "\"arguments\":{\"u\":\"http://evil.example/\"}," META "}}",
	 "200", "\"result\":{\"resultType\":\"complete\",\"content\"", "call.deny"},
	/* an id that cannot be read: null once, nothing now */
	{"POST", "", "{", "400", "\"id\":null", "call.reject"},
	{"POST", MODERN, "{", "400", "{\"jsonrpc\":\"2.0\",\"error\"", "call.reject"},
};

static void test_eras(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int before = lab.requests;
		struct zg_record r;

		print_message("%s %s%s\n", cases[i].method, cases[i].headers, cases[i].body);
		ask(cases[i].method, cases[i].headers, cases[i].body);
		assert_int_equal(strncmp(out, "HTTP/1.1 ", 9), 0);
		assert_memory_equal(out + 9, cases[i].status, 3);
		assert_non_null(strstr(out, cases[i].holds));
		assert_int_equal(lab.requests - before, cases[i].record == NULL);
		assert_true(lab_record(&lab, &r));
		assert_string_equal(zg_record_kind_text(r.kind),
				    cases[i].record ? cases[i].record : "call.intent");
		while (lab_record(&lab, &r))
			;
	}
}

/* a body in chunks is the same message; anything odd about them is none */
static void test_chunks(void **state)
{
	static const char head[] =
		"POST /s/mcp HTTP/1.1\r\nHost: localhost:7411\r\nContent-Type: application/json\r\n"
		"Transfer-Encoding: chunked\r\n\r\n";
	static const char good[] = "A\r\n{\"jsonrpc\"\r\n"
				   "1e\r\n:\"2.0\",\"id\":1,\"method\":\"tools/\r\n"
				   "6\r\nlist\"}\r\n0\r\n\r\n";
	static const char *const bad[] = {
		"A;x=1\r\n{\"jsonrpc\"\r\n0\r\n\r\n",
		"0x1\r\na\r\n",
		"-1\r\n",
		"\r\n",
		" 1\r\na\r\n",
		"1\na\n0\n\n",
		"2\r\nabc\r\n",
		"100000000\r\n",
		"0\r\nX: y\r\n\r\n",
		"G\r\n",
	};
	struct zg_origin o = lab_origin();
	int fd = lab_connect(&lab, &o);

	(void)state;
	for (int i = 0; i < 2; i++) { /* whole, then byte by byte on the same connection */
		lab_send(fd, head);
		if (i == 0)
			lab_send(fd, good);
		for (const char *p = good; i == 1 && *p; p++) {
			assert_int_equal(send(fd, p, 1, 0), 1);
			(void)lab_turn(&lab, 1);
		}
		lab_read(&lab, fd, out, sizeof(out));
		assert_non_null(strstr(out, RESULT));
		assert_string_equal(lab.last,
				    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}");
	}
	close(fd);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		print_message("%s\n", bad[i]);
		fd = lab_connect(&lab, &o);
		lab_send(fd, head);
		lab_send(fd, bad[i]);
		lab_read(&lab, fd, out, sizeof(out));
		assert_int_equal(strncmp(out, "HTTP/1.1 400", 12), 0);
		assert_non_null(strstr(out, "Connection: close"));
		close(fd);
	}
	assert_int_equal(lab.requests, 2);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_eras),
		T(test_chunks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
