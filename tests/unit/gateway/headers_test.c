/* SPDX-License-Identifier: Apache-2.0 */
/* headers_test.c - headers that repeat the message, do not, or are not there. */
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "headers.h"
#include "request.h"

#define CALL(name)                                                                                 \
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"" name     \
	"\"}}"
#define LIST "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}"
#define NOTE "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\"}"
#define TASK                                                                                       \
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tasks/get\",\"params\":{\"taskId\":\"t1\"}}"

static const struct {
	enum zg_era era;
	const char *text;
	const char *method, *name; /* headers; NULL = absent */
	bool fine;
} cases[] = {
	{ZG_ERA_2026_07_28, CALL("get"), "tools/call", "get", true},
	{ZG_ERA_2026_07_28, LIST, "tools/list", NULL, true},
	{ZG_ERA_2026_07_28, TASK, "tasks/get", "t1", true},
	{ZG_ERA_2026_07_28, NOTE, NULL, NULL, true},
	{ZG_ERA_2025_11_25, CALL("get"), NULL, NULL, true},
	{ZG_ERA_2025_11_25, CALL("get"), "tools/call", "get", true},
	/* missing where they must be */
	{ZG_ERA_2026_07_28, CALL("get"), NULL, "get", false},
	{ZG_ERA_2026_07_28, CALL("get"), "tools/call", NULL, false},
	{ZG_ERA_2026_07_28, TASK, "tasks/get", NULL, false},
	{ZG_ERA_2026_07_28, LIST, NULL, NULL, false},
	/* another word than the message's: in every version */
	{ZG_ERA_2026_07_28, CALL("get"), "tools/list", "get", false},
	{ZG_ERA_2026_07_28, CALL("get"), "Tools/Call", "get", false},
	{ZG_ERA_2026_07_28, CALL("get"), "tools/call", "Get", false},
	{ZG_ERA_2026_07_28, CALL("get"), "tools/call", "get ", false},
	{ZG_ERA_2026_07_28, CALL("get"), "tools/call", "", false},
	{ZG_ERA_2026_07_28, LIST, "tools/list", "get", false},
	{ZG_ERA_2026_07_28, NOTE, "tools/call", NULL, false},
	{ZG_ERA_UNSAID, CALL("get"), "tools/call", "put", false},
	{ZG_ERA_2025_06_18, LIST, "tools/call", NULL, false},
	/* what plain ASCII cannot hold */
	{ZG_ERA_2026_07_28, CALL("Hello, \xe4\xb8\x96\xe7\x95\x8c"), "tools/call",
	 "=?base64?SGVsbG8sIOS4lueVjA==?=", true},
	{ZG_ERA_2026_07_28, CALL(" padded "), "tools/call", "=?base64?IHBhZGRlZCA=?=", true},
	{ZG_ERA_2026_07_28, CALL("line1\\nline2"), "tools/call",
	 "=?base64?bGluZTEKbGluZTI=?=", true},
	{ZG_ERA_2026_07_28, CALL("=?base64?literal?="), "tools/call",
	 "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?=", true},
	{ZG_ERA_2026_07_28, CALL("get"), "tools/call", "=?base64?Z2V0?=", true},
	{ZG_ERA_2026_07_28, CALL("=?base64?Z2V0?="), "tools/call", "=?base64?Z2V0?=", false},
	{ZG_ERA_2026_07_28, CALL("put"), "tools/call", "=?base64?Z2V0?=", false},
	{ZG_ERA_2026_07_28, CALL("get"), "tools/call", "=?BASE64?Z2V0?=", false},
	{ZG_ERA_2026_07_28, CALL("get"), "tools/call", "=?base64?Z2V0=?=", false},
	{ZG_ERA_2026_07_28, CALL("ge"), "tools/call", "=?base64?Z2V=?=", false},
	{ZG_ERA_2026_07_28, CALL("get"), "tools/call", "=?base64?Z2V0", false},
	{ZG_ERA_2026_07_28, CALL("get"), "tools/call", "=?base64?=", false},
	{ZG_ERA_2026_07_28, CALL("get"), "tools/call", "=?base64?\?=", false},
};

static void test_judge(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct zg_http_head h = {.method = ZG_HM_POST};
		const char *why = NULL;
		struct zg_rpc m;

		print_message("%s / %s / %s\n", cases[i].text,
			      cases[i].method ? cases[i].method : "-",
			      cases[i].name ? cases[i].name : "-");
		assert_int_equal(zg_rpc_parse(&m, zg_slice_str(cases[i].text), &why), 0);
		h.field[ZG_HF_MCP_METHOD] = zg_slice_str(cases[i].method);
		h.field[ZG_HF_MCP_NAME] = zg_slice_str(cases[i].name);
		assert_int_equal(zg_headers_judge(&h, &m, cases[i].era, &why),
				 cases[i].fine ? 0 : ZG_C_HEADER_MISMATCH);
		zg_rpc_release(&m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_judge),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
