/* SPDX-License-Identifier: Apache-2.0 */
/* era_test.c - which version a message speaks, and what contradicts itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "request.h"

#define VERSION "\"io.modelcontextprotocol/protocolVersion\":"
#define CAPS	"\"io.modelcontextprotocol/clientCapabilities\":{}"
#define LIST(meta)                                                                                 \
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\",\"params\":{\"_meta\":{" meta "}" \
	"}"                                                                                        \
	"}"
#define NOTE "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}"
#define INIT                                                                                       \
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{"                     \
	"\"protocolVersion\":\"2025-06-18\"}}"
#define RESPONSE "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}"

static const struct {
	const char *header; /* NULL = absent */
	const char *text;   /* NULL = a GET */
	int code;
	enum zg_era era;
} cases[] = {
	{NULL, LIST(""), 0, ZG_ERA_UNSAID},
	{NULL, NULL, 0, ZG_ERA_UNSAID},
	{NULL, INIT, 0, ZG_ERA_UNSAID},
	{"2024-11-05", LIST(""), 0, ZG_ERA_2024_11_05},
	{"2025-03-26", LIST(""), 0, ZG_ERA_2025_03_26},
	{"2025-11-25", NOTE, 0, ZG_ERA_2025_11_25},
	{"2025-11-25", RESPONSE, 0, ZG_ERA_2025_11_25},
	{"2025-11-25", NULL, 0, ZG_ERA_2025_11_25},
	{"2026-07-28", LIST(VERSION "\"2026-07-28\"," CAPS), 0, ZG_ERA_2026_07_28},
	{"2026-07-28", NOTE, 0, ZG_ERA_2026_07_28},
	{"2026-07-28", NULL, 0, ZG_ERA_2026_07_28},
	/* the two places must agree, and a modern message needs both */
	{"2025-11-25", LIST(VERSION "\"2026-07-28\"," CAPS), ZG_C_HEADER_MISMATCH, 0},
	{"2026-07-28", LIST(VERSION "\"2025-11-25\"," CAPS), ZG_C_HEADER_MISMATCH, 0},
	{NULL, LIST(VERSION "\"2026-07-28\"," CAPS), ZG_C_HEADER_MISMATCH, 0},
	{"2026-07-28", LIST(""), ZG_RPC_INVALID_PARAMS, 0},
	{"2026-07-28", LIST(CAPS), ZG_RPC_INVALID_PARAMS, 0},
	{"2026-07-28", LIST(VERSION "\"2026-07-28\""), ZG_RPC_INVALID_PARAMS, 0},
	{"2026-07-28", LIST(VERSION "20260728," CAPS), ZG_RPC_INVALID_PARAMS, 0},
	{"2026-07-28", INIT, ZG_RPC_INVALID_PARAMS, 0},
	{"2026-07-28", RESPONSE, ZG_RPC_INVALID_REQUEST, 0},
	/* values are case-sensitive and exact */
	{"2026-07-29", LIST(VERSION "\"2026-07-29\"," CAPS), ZG_C_VERSION, 0},
	{"1900-01-01", LIST(""), ZG_C_VERSION, 0},
	{"", LIST(""), ZG_C_VERSION, 0},
	{"2025-11-25 ", LIST(""), ZG_C_VERSION, 0},
	{"DRAFT-2026-v1", NULL, ZG_C_VERSION, 0},
	{NULL, LIST(VERSION "\"1900-01-01\"," CAPS), ZG_C_VERSION, 0},
};

static void test_judge(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		enum zg_era era = ZG_ERA_UNSAID;
		struct zg_slice requested = {0};
		const char *why = NULL;
		struct zg_rpc m = {0};

		print_message("%s: %s\n", cases[i].header ? cases[i].header : "-",
			      cases[i].text ? cases[i].text : "GET");
		if (cases[i].text)
			assert_int_equal(zg_rpc_parse(&m, zg_slice_str(cases[i].text), &why), 0);
		assert_int_equal(
			zg_era_judge(&era, zg_slice_str(cases[i].header), &m, &requested, &why),
			cases[i].code);
		assert_int_equal(era, cases[i].era);
		if (cases[i].code)
			assert_non_null(why);
		if (cases[i].code == ZG_C_VERSION)
			assert_non_null(requested.ptr);
		zg_rpc_release(&m);
	}
}

static void test_data(void **state)
{
	static const struct {
		const char *message, *data;
	} rows[] = {
		{"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}",
		 "{\"supported\":[\"2025-11-25\",\"2025-06-18\",\"2025-03-26\",\"2024-11-05\"],"
		 "\"requested\":\"19\\\"00\"}"},
		{"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"resources/subscribe\",\"params\":{"
		 "\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"v999\"}}}",
		 "{\"supported\":[\"2026-07-28\"],\"requested\":\"19\\\"00\"}"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		zg_autobuf out = ZG_BUF(4096);
		const char *why = "";
		struct zg_rpc m;

		assert_int_equal(zg_rpc_parse(&m, zg_slice_str(rows[i].message), &why), 0);
		zg_era_data(ZG_SLICE("19\"00"), &m, &out);
		zg_buf_char(&out, '\0');
		assert_string_equal(out.ptr, rows[i].data);
		zg_rpc_release(&m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_judge),
		cmocka_unit_test(test_data),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
