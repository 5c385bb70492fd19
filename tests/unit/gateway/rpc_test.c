/* SPDX-License-Identifier: Apache-2.0 */
/* rpc_test.c - what an attacker says with two meanings must not be read at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "buf.h"
#include "rpc.h"

#define MSG(rest)  "{\"jsonrpc\":\"2.0\",\"id\":1," rest "}"
#define CALL(rest) MSG("\"method\":\"tools/call\",\"params\":{" rest "}")

static const struct {
	const char *text;
	int code;
} refused[] = {
	/* not one strict JSON text */
	{"", -32700},
	{"{", -32700},
	{"{}x", -32700},
	{"{} {}", -32700},
	{MSG("\"id\":2,\"method\":\"ping\""), -32700},
	{CALL("\"name\":\"read\",\"name\":\"write\""), -32700},
	{CALL("\"name\":\"read\",\"n\\u0061me\":\"write\""), -32700},
	{MSG("\"method\":\"a\\u0000b\""), -32700},
	{MSG("\"method\":\"a\xc0\xafz\""), -32700},
	{MSG("\"method\":\"\xed\xa0\x80\""), -32700},
	{"{'jsonrpc':'2.0'}", -32700},
	{MSG("\"method\":\"ping\","), -32700},
	{"/**/" MSG("\"method\":\"ping\""), -32700},
	/* not one JSON-RPC message */
	{"[]", -32600},
	{"[" MSG("\"method\":\"ping\"") "]", -32600},
	{"{}", -32600},
	{"{\"id\":1,\"method\":\"ping\"}", -32600},
	{"{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"ping\"}", -32600},
	{"{\"jsonrpc\":2.0,\"id\":1,\"method\":\"ping\"}", -32600},
	{"{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"ping\"}", -32600},
	{"{\"jsonrpc\":\"2.0\",\"id\":1.5,\"method\":\"ping\"}", -32600},
	{"{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"ping\"}", -32600},
	{MSG("\"method\":7"), -32600},
	{MSG("\"method\":\"\""), -32600},
	{MSG("\"method\":\"ping\",\"result\":{}"), -32600},
	{MSG("\"result\":{},\"error\":{}"), -32600},
	{"{\"jsonrpc\":\"2.0\",\"result\":{}}", -32600},
	{"{\"jsonrpc\":\"2.0\",\"id\":1}", -32600},
	/* what the transport itself is judged under */
	{MSG("\"method\":\"response\""), -32600},
	{"{\"jsonrpc\":\"2.0\",\"method\":\"stream/open\"}", -32600},
	{MSG("\"method\":\"session/delete\""), -32600},
	/* another decoder would take these for the real member */
	{MSG("\"method\":\"ping\",\"Method\":\"tools/call\""), -32600},
	{MSG("\"method\":\"ping\",\"extra\":1"), -32600},
	{CALL("\"name\":\"read\",\"Name\":\"write\""), -32602},
	{CALL("\"name\":\"read\",\"argument\xc5\xbf\":{}"), -32602},
	/* params that do not name their subject */
	{MSG("\"method\":\"tools/call\""), -32602},
	{MSG("\"method\":\"tools/call\",\"params\":[\"x\"]"), -32602},
	{CALL("\"name\":7"), -32602},
	{CALL("\"name\":\"x\",\"arguments\":[1]"), -32602},
	{MSG("\"method\":\"resources/read\",\"params\":{}"), -32602},
};

static int parse(struct zg_rpc *m, const char *text)
{
	const char *why = NULL;
	int code = zg_rpc_parse(m, zg_slice_str(text), &why);

	if (code)
		assert_non_null(why);
	return code;
}

static void test_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		struct zg_rpc m;

		print_message("%s\n", refused[i].text);
		assert_int_equal(parse(&m, refused[i].text), refused[i].code);
		zg_rpc_release(&m);
	}
}

static void check(const char *text, enum zg_rpc_kind kind, const char *method, const char *tool,
		  const char *id)
{
	struct zg_rpc m;

	assert_int_equal(parse(&m, text), 0);
	assert_int_equal(m.kind, kind);
	assert_true(zg_slice_eq(m.method, zg_slice_str(method)));
	assert_true(zg_slice_eq(m.tool, zg_slice_str(tool)));
	assert_string_equal(m.id, id);
	zg_rpc_release(&m);
}

static void test_accepted(void **state)
{
	(void)state;
	check(" " MSG("\"method\":\"ping\"") "\r\n", ZG_RPC_REQUEST, "ping", "", "1");
	check("{\"method\":\"tools/call\",\"id\":\"a\\\"b\",\"jsonrpc\":\"2.0\",\"params\":"
	      "{\"arguments\":{\"Name\":1},\"name\":\"get_issue\",\"_meta\":{\"x\":3}}}",
	      ZG_RPC_REQUEST, "tools/call", "get_issue", "\"a\\\"b\"");
	check("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}", ZG_RPC_NOTIFICATION,
	      "notifications/initialized", "", "");
	check(MSG("\"result\":{\"action\":\"decline\"}"), ZG_RPC_RESPONSE, "response", "", "1");
	check(MSG("\"error\":{\"code\":-1,\"message\":\"no\"}"), ZG_RPC_RESPONSE, "response", "",
	      "1");
	check(MSG("\"method\":\"resources/read\",\"params\":{\"uri\":\"file:///etc/passwd\"}"),
	      ZG_RPC_REQUEST, "resources/read", "file:///etc/passwd", "1");
	check(MSG("\"method\":\"completion/complete\",\"params\":{\"ref\":"
		  "{\"type\":\"ref/prompt\",\"name\":\"p\"},\"argument\":{}}"),
	      ZG_RPC_REQUEST, "completion/complete", "p", "1");
}

/* depth, number of values and the length of names have ends */
static void test_bounds(void **state)
{
	zg_autobuf b = ZG_BUF(ZG_REQUEST_BYTES);
	struct zg_rpc m;

	(void)state;
	for (int i = 0; i <= ZG_JSON_DEPTH; i++)
		zg_buf_char(&b, '[');
	zg_buf_char(&b, '\0');
	assert_int_equal(parse(&m, b.ptr), ZG_RPC_PARSE_ERROR);
	zg_rpc_release(&m);
	zg_buf_reset(&b);
	zg_buf_str(&b, "[0");
	for (int i = 0; i < ZG_JSON_VALUES_MAX; i++)
		zg_buf_str(&b, ",0");
	zg_buf_add(&b, "]", 2);
	assert_int_equal(parse(&m, b.ptr), ZG_RPC_PARSE_ERROR);
	zg_rpc_release(&m);
	zg_buf_reset(&b);
	zg_buf_str(&b, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":"
		       "{\"name\":\"");
	for (int i = 0; i < ZG_TOOL_LEN; i++)
		zg_buf_char(&b, 'a');
	zg_buf_add(&b, "\"}}", 4);
	assert_int_equal(parse(&m, b.ptr), ZG_RPC_INVALID_PARAMS);
	assert_string_equal(m.id, "1"); /* so that the client can be told */
	zg_rpc_release(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_accepted),
		cmocka_unit_test(test_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
