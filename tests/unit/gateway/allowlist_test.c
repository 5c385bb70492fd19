/* SPDX-License-Identifier: Apache-2.0 */
/* allowlist_test.c - network_allowlist wherever a client can put a URL: in
 * arguments, in a batch, in what it answers to a server's questions. */
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "lab.h"

#define MODERN "MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: np_x\r\n"
#define META                                                                                       \
	",\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\","                  \
	"\"io.modelcontextprotocol/clientCapabilities\":{}}"
#define CALL(params)                                                                               \
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/"                                        \
	"call\",\"params\":{\"name\":\"np_x\"," params "}}"

static const struct {
	const char *headers, *body;
	const char *host; /* that is denied; NULL: none is */
} rows[] = {
	{"", CALL("\"arguments\":{\"u\":\"http://127.0.0.1/x\"}"), NULL},
	{"", CALL("\"arguments\":{\"u\":\"http://evil.example/\"}"), "evil.example"},
	{"", CALL("\"arguments\":{\"a\":[1,{\"b\":[\"//evil.example\"]}]}"), "evil.example"},
	{"", CALL("\"arguments\":{\"https://evil.example\":1}"), "evil.example"},
	{"", CALL("\"arguments\":{\"u\":\"http://127.0.0.1@evil.example\"}"), "evil.example"},
	{"", CALL("\"arguments\":{},\"more\":\"https://evil.example\""), "evil.example"},
	{"", "[" CALL("\"arguments\":{\"u\":\"http://evil.example/\"}") "]", "evil.example"},
	{MODERN, CALL("\"arguments\":{}" META), NULL},
	{MODERN, CALL("\"arguments\":{\"u\":\"wss://evil.example/\"}" META), "evil.example"},
	{MODERN,
	 CALL("\"arguments\":{},\"inputResponses\":{\"q\":{\"action\":\"accept\",\"content\":{"
	      "\"u\":\"http://127.0.0.2/\"}}}" META),
	 NULL},
	{MODERN,
	 CALL("\"arguments\":{},\"inputResponses\":{\"q\":{\"action\":\"accept\",\"content\":{"
	      "\"u\":\"http://evil.example/\"}}}" META),
	 "evil.example"},
};

static void test_everywhere(void **state)
{
	static char out[65536];
	struct zg_origin o = lab_origin();

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct lab lab;
		int fd;

		print_message("%s\n", rows[i].body);
		lab_start(&lab);
		lab.answer =
			"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"resultType\":\"complete\","
			"\"content\":[]}}";
		fd = lab_connect(&lab, &o);
		lab_post_with(fd, "/s/mcp", rows[i].headers, rows[i].body);
		lab_read(&lab, fd, out, sizeof(out));
		assert_int_equal(lab.requests, rows[i].host ? 0 : 1);
		if (rows[i].host) {
			assert_non_null(strstr(out, "network_allowlist does not hold"));
			assert_non_null(strstr(out, rows[i].host));
		} else {
			assert_non_null(strstr(out, "\"content\":[]"));
		}
		close(fd);
		lab_stop(&lab);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_everywhere)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
