/* SPDX-License-Identifier: Apache-2.0 */
/*
 * signature_test.c - what is MCP on a stream and what is not: the automaton of
 * signature.c, run by the very code that the kernel gate runs. Every case is
 * fed whole and in each way of cutting it that could matter, down to single
 * bytes. Ordinary traffic stands in tests/data/wire, a file a direction.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "signature.h"
#include "wire_corpus.h"

#include "../../../bpf/signature.bpf.h"

static struct zg_automaton automaton;

/* What the program of the gate does with a packet; true as soon as it is MCP. */
static bool feed(struct zg_matcher *m, const char *bytes, size_t n)
{
	while (n && !m->hit) {
		struct zg_piece p = {{0}};
		size_t take = zg_look_past(&automaton, m, (uint32_t)n);

		if (!take) {
			take = n < sizeof(p.byte) ? n : sizeof(p.byte);
			memcpy(p.byte, bytes, take);
			take = (size_t)zg_match(&automaton, m, &p, (uint32_t)take);
			assert_true(take > 0);
		}
		bytes += take;
		n -= take;
	}
	return m->hit != 0;
}

/* In pieces of one size. */
static uint32_t look(const char *bytes, size_t n, size_t piece)
{
	struct zg_matcher m = {0};

	for (size_t at = 0; at < n; at += piece)
		if (feed(&m, bytes + at, n - at < piece ? n - at : piece))
			break;
	return m.hit;
}

static const size_t pieces[] = {1, 2, 3, 7, 64, 127, 128, 129, 1448, 1 << 20};

static void assert_look(const char *what, const char *bytes, size_t n, uint32_t hit)
{
	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		uint32_t seen = look(bytes, n, pieces[i]);

		if (seen != hit)
			fail_msg("%s, in pieces of %zu: %#x, not %#x", what, pieces[i], seen, hit);
	}
}

#define BIT(NAME) (1U << ZG_SIG_##NAME)
#define LEGACY	  (BIT(JSONRPC) | BIT(INITIALIZE) | BIT(PROTOCOL_VERSION))
#define ANSWER	  (BIT(RESULT) | BIT(PROTOCOL_VERSION) | BIT(SERVER_INFO))
#define POST	  "POST /x HTTP/1.1\r\nHost: a\r\n"
#define OK	  "HTTP/1.1 200 OK\r\n"

static const struct {
	const char *what;
	const char *bytes;
	uint32_t hit;
} cases[] = {
	{"a session header", POST "Mcp-Session-Id: 1\r\n\r\n", BIT(SESSION_ID)},
	{"in an answer", OK "mcp-session-id: 1\r\n\r\n", BIT(SESSION_ID)},
	{"a version header on a message",
	 "PUT / HTTP/1.1\r\nMCP-PROTOCOL-VERSION:2\r\ncontent-type: a\r\n\r\n",
	 BIT(VERSION_HEADER) | BIT(CONTENT_TYPE)},
	{"a method header", POST "mcp-method: tools/call\r\n\r\n", BIT(METHOD_HEADER)},
	{"line feeds alone", "POST / HTTP/1.0\nMcp-Method: a\n\n", BIT(METHOD_HEADER)},
	{"initialize",
	 POST "Content-Length: 999\r\n\r\n"
	      "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"initialize\","
	      "\"params\":{\"protocolVersion\":\"2025-06-18\",\"capabilities\":{}}}",
	 LEGACY},
	{"in another order, with blanks",
	 POST "Content-Length: 999\r\n\r\n\r\n"
	      "{ \"params\" :\n{ \"protocolVersion\"\t:\r\n \"2025-06-18\"},"
	      "\"method\" : \"initialize\" , \"jsonrpc\" : \"2.0\" }",
	 LEGACY},
	{"in a batch",
	 POST "Content-Length: 999\r\n\r\n[ {\"jsonrpc\":\"2.0\"}, {\"jsonrpc\":\"2.0\","
	      "\"method\":\"initialize\",\"params\":{\"protocolVersion\":\"1\"}}]",
	 LEGACY},
	{"after a byte order mark",
	 POST "\r\n\xef\xbb\xbf{\"jsonrpc\":\"2.0\",\"method\":\"tools/call\"}",
	 BIT(JSONRPC) | BIT(TOOLS_CALL)},
	{"an escaped slash", POST "\r\n{\"jsonrpc\":\"2.0\",\"method\":\"server\\/discover\"}",
	 BIT(JSONRPC) | BIT(DISCOVER)},
	{"an answer",
	 OK "Content-Type: application/json\r\n\r\n{\"result\":{\"protocolVersion\":\"2025-11-25\","
	    "\"capabilities\":{\"tools\":{}},\"serverInfo\":{\"name\":\"x\"}},\"jsonrpc\":\"2.0\"}",
	 ANSWER},
	{"an answer as event",
	 OK "\r\n: hello\n\nid: 1\nevent: message\ndata: {\"result\":{\"protocolVersion\":\"2\","
	    "\"serverInfo\":{}}}\n\n",
	 ANSWER},
	{"an answer in chunks, cut within words",
	 OK "Transfer-Encoding: chunked\r\n\r\n10\r\n{\"result\":{\"prot\r\n2;x=1\r\noc\r\n"
	    "100\r\nolVersion\":\"2\",\"serverInfo\":{}}}",
	 ANSWER},
	{"the second event, after chunks",
	 OK "transfer-encoding: chunked\r\n\r\n7\r\n: hey\n\n\r\n16\r\nevent: x\ndata: nothing\r\n"
	    "80\r\n\n\ndata:{\"result\":{\"resultType\":\"complete\"}}",
	 BIT(RESULT) | BIT(COMPLETE)},
	{"a modern request",
	 POST "\r\n{\"method\":\"tools/x\",\"params\":{\"_meta\":{"
	      "\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\"}}}",
	 BIT(META)},
	{"without HTTP", "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}\n",
	 BIT(JSONRPC) | BIT(TOOLS_LIST)},
	{"pipelined after a request without body",
	 "GET / HTTP/1.1\r\nHost: a\r\n\r\n" POST "Mcp-Method: x\r\n\r\n", BIT(METHOD_HEADER)},
	{"pipelined after a body that is not looked at",
	 POST "Content-Length: 5\r\n\r\n<a/>!" POST "Mcp-Method: x\r\n\r\n", BIT(METHOD_HEADER)},
	{"pipelined after a short body without a line's end",
	 OK "Content-Length: 9\r\n\r\nNot Found" OK "Mcp-Session-Id: x\r\n\r\n", BIT(SESSION_ID)},
	{"pipelined after chunks and trailers",
	 OK "Transfer-Encoding: chunked\r\n\r\n4\r\n<a/>\r\n0\r\nX-Trailer: 1\r\n\r\n" OK
	    "Mcp-Session-Id: x\r\n\r\n",
	 BIT(SESSION_ID)},
	{"after broken JSON of known length",
	 POST "Content-Length: 2\r\n\r\n{\"" POST "Mcp-Method: x\r\n\r\n", BIT(METHOD_HEADER)},
	{"after an answer to HEAD, which has a length and no body",
	 OK "Content-Length: 10\r\n\r\n" OK "Mcp-Session-Id: x\r\n\r\n", BIT(SESSION_ID)},
	{"after an answer to HEAD in chunks that do not come",
	 OK "Transfer-Encoding: chunked\r\n\r\n" OK "Mcp-Session-Id: x\r\n\r\n", BIT(SESSION_ID)},
	{"after a provisional answer",
	 "HTTP/1.1 100 Continue\r\n\r\n" OK "Mcp-Session-Id: x\r\n\r\n", BIT(SESSION_ID)},
	/* what is not */
	{"a value that names the header",
	 OK "Access-Control-Allow-Headers: mcp-session-id\r\n"
	    "Vary: x\r\n Mcp-Session-Id: folded\r\n\r\n",
	 0},
	{"the header in a body",
	 POST "Content-Length: 99\r\n\r\nhello\r\nMcp-Session-Id: 1\r\n\r\n", 0},
	{"asking an authorization server for its metadata",
	 "GET / HTTP/1.1\r\nMCP-Protocol-Version: 2025-11-25\r\nAccept: a\r\n\r\n", 0},
	{"a longer name", POST "X-Mcp-Session-Id: 1\r\nMcp-Session-Id-2: 1\r\n\r\n", 0},
	{"initialize of LSP",
	 "Content-Length: 99\r\n\r\n{\"jsonrpc\":\"2.0\",\"method\":\"initialize\",\"params\":{}}",
	 0},
	{"the same over HTTP",
	 POST "\r\n{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{"
	      "\"processId\":1}}",
	 0},
	{"a version that is a number, as ACP has it",
	 POST
	 "\r\n{\"jsonrpc\":\"2.0\",\"method\":\"initialize\",\"params\":{\"protocolVersion\":1}}",
	 0},
	{"members at another depth",
	 POST
	 "\r\n{\"a\":{\"jsonrpc\":\"2.0\",\"method\":\"tools/call\"},\"protocolVersion\":\"1\"}",
	 0},
	{"members of two messages", POST "\r\n[{\"jsonrpc\":\"2.0\"},{\"method\":\"tools/call\"}]",
	 0},
	{"a log of calls", POST "\r\n{\"method\":\"tools/call\",\"ms\":3}\n{\"jsonrpc\":\"2.0\"}\n",
	 0},
	{"escaped JSON in a string",
	 POST "\r\n{\"body\":\"{\\\"jsonrpc\\\":\\\"2.0\\\",\\\"method\\\":\\\"tools/call\\\"}\"}",
	 0},
	{"a word as value",
	 POST "\r\n{\"jsonrpc\":\"2.0\",\"x\":\"method\",\"tools/call\":\"method\"}", 0},
	{"another method",
	 POST "\r\n{\"jsonrpc\":\"2.0\",\"method\":\"tools/caller\",\"x\":\"tools/call\"}", 0},
};

static void is_seen(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_look(cases[i].what, cases[i].bytes, strlen(cases[i].bytes), cases[i].hit);
}

/* Cut in two at every place, as a connection may do. */
static void never_seen(const struct exchange *x, void *arg)
{
	const struct {
		const char *bytes;
		size_t n;
	} way[] = {{x->out, x->out_bytes}, {x->in, x->in_bytes}};

	(void)arg;
	for (size_t w = 0; w < 2; w++) {
		assert_look(x->name, way[w].bytes, way[w].n, 0);
		for (size_t cut = 1; cut < way[w].n; cut += 1 + way[w].n / 1000) {
			struct zg_matcher m = {0};

			if (feed(&m, way[w].bytes, cut) ||
			    feed(&m, way[w].bytes + cut, way[w].n - cut))
				fail_msg("%s, cut at %zu: %#x", x->name, cut, m.hit);
		}
	}
}

static void ordinary_traffic_is_not(void **state)
{
	(void)state;
	assert_true(corpus_each(never_seen, NULL) >= 30);
}

/* A body of any length is passed over to its last byte, and only what is looked
 * at is counted. */
static void bodies_are_passed_over(void **state)
{
	static char body[1 << 20];
	char head[128];
	struct zg_matcher m = {0};
	int n = snprintf(head, sizeof(head), POST "Content-Length: %zu\r\n\r\n", sizeof(body));

	(void)state;
	memset(body, '{', sizeof(body)); /* looks like JSON, and never ends */
	for (int twice = 0; twice < 2; twice++) {
		assert_false(feed(&m, head, (size_t)n));
		assert_false(feed(&m, body, sizeof(body) - 1));
		assert_true(m.spent <= ZG_LOOK_BYTES + ZG_LOOK_PIECE);
		assert_false(feed(&m, body, 1));
	}
	assert_true(feed(&m, POST "Mcp-Method: x\r\n\r\n", strlen(POST) + 14));
}

/* Without a length nothing is known of what follows, until the direction turns. */
static void what_was_given_up_is_looked_at_again(void **state)
{
	const char *mcp = POST "Mcp-Method: x\r\n\r\n";
	struct zg_matcher m = {0};

	(void)state;
	assert_false(feed(&m, "hello\r\n", 7));
	assert_false(feed(&m, mcp, strlen(mcp)));
	zg_look_again(&m);
	assert_true(feed(&m, mcp, strlen(mcp)));
}

/* A turn in the midst of a message is none: half a head is continued. */
static void a_turn_changes_nothing_within_a_message(void **state)
{
	const char *mcp = POST "Mcp-Method: x\r\n\r\n";
	struct zg_matcher m = {0};

	(void)state;
	assert_false(feed(&m, mcp, strlen(POST) + 5));
	zg_look_again(&m);
	assert_true(feed(&m, mcp + strlen(POST) + 5, strlen(mcp) - strlen(POST) - 5));
}

/* Whatever comes, in whatever pieces: no state outside the table, no endless
 * loop, the same answer. */
static void any_bytes(void **state)
{
	static const char alphabet[] = "{}[]\":,\\/ \r\n0aH.m";
	uint32_t seed = 1;

	(void)state;
	for (int round = 0; round < 3000; round++) {
		char bytes[600];
		size_t n = 0;

		while (n < sizeof(bytes) - 64) {
			seed = seed * 1664525 + 1013904223;
			if (seed >> 29 == 0) {
				const char *of =
					cases[(seed >> 8) % (sizeof(cases) / sizeof(cases[0]))]
						.bytes;
				size_t from = (seed >> 4) % strlen(of);

				n += (size_t)snprintf(bytes + n, 64, "%.60s", of + from);
			} else {
				bytes[n++] = alphabet[(seed >> 20) % (sizeof(alphabet) - 1)];
			}
		}
		assert_look("random bytes", bytes, n, look(bytes, n, n));
	}
}

static void names_of_signatures(void **state)
{
	char text[ZG_REASON_LEN], small[30];

	(void)state;
	zg_signature_text(LEGACY, text, sizeof(text));
	assert_string_equal(text, "jsonrpc 2.0, method initialize, protocolVersion");
	zg_signature_text(LEGACY, small, sizeof(small));
	assert_string_equal(small, "jsonrpc 2.0, protocolVersion"); /* whole names only */
	zg_signature_text(0, text, sizeof(text));
	assert_string_equal(text, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_seen),
		cmocka_unit_test(ordinary_traffic_is_not),
		cmocka_unit_test(bodies_are_passed_over),
		cmocka_unit_test(what_was_given_up_is_looked_at_again),
		cmocka_unit_test(a_turn_changes_nothing_within_a_message),
		cmocka_unit_test(any_bytes),
		cmocka_unit_test(names_of_signatures),
	};

	if (zg_signature_build(&automaton) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
