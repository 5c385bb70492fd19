/* SPDX-License-Identifier: Apache-2.0 */
/* reply_test.c - a refusal has the form that reaches the one who can act on it,
 * and stays valid JSON whatever names are in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "request.h"

static json_t *body(struct zg_request *r, const char *method, enum zg_rpc_kind kind)
{
	zg_autobuf out = ZG_BUF(65536);
	json_t *j;

	r->rpc.method = zg_slice_str(method);
	r->rpc.kind = kind;
	zg_reply_body(r, &out);
	assert_true(zg_buf_ok(&out));
	j = json_loadb(out.ptr, out.len, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(j);
	assert_string_equal(json_string_value(json_object_get(j, "jsonrpc")), "2.0");
	return j;
}

static void test_forms(void **state)
{
	static struct zg_request r;
	json_t *j, *result, *text;

	(void)state;
	zg_arena_init(&r.arena, ZG_REQUEST_ARENA_BYTES);
	(void)zg_answer_with(&r, ZG_A_DENY, ZG_C_DENIED, "no: \"%s\"", "a\"\\\n\x01\xff");
	(void)snprintf(r.rpc.id, sizeof(r.rpc.id), "\"a\\\"b\"");
	j = body(&r, "tools/call", ZG_RPC_REQUEST);
	assert_string_equal(json_string_value(json_object_get(j, "id")), "a\"b");
	result = json_object_get(j, "result");
	assert_true(json_is_true(json_object_get(result, "isError")));
	text = json_object_get(json_array_get(json_object_get(result, "content"), 0), "text");
	assert_string_equal(json_string_value(text), "no: \"a\"\\\n\x01\xef\xbf\xbd\"");
	assert_null(json_object_get(j, "error"));
	json_decref(j);
	/* other methods: an error with a code of our own range */
	j = body(&r, "resources/read", ZG_RPC_REQUEST);
	assert_null(json_object_get(j, "result"));
	assert_int_equal(json_integer_value(json_object_get(json_object_get(j, "error"), "code")),
			 ZG_C_DENIED);
	json_decref(j);
	/* what had no id has none in the answer */
	r.rpc.id[0] = '\0';
	j = body(&r, "tools/call", ZG_RPC_NOTIFICATION);
	assert_true(json_is_null(json_object_get(j, "id")));
	json_decref(j);
	zg_arena_release(&r.arena);
}

/* -32768..-32000 belong to the specifications */
static void test_codes(void **state)
{
	static const int own[] = {ZG_C_DENIED,	  ZG_C_PENDING,	 ZG_C_NOT_REGISTERED,
				  ZG_C_NO_ORIGIN, ZG_C_UPSTREAM, ZG_C_UNAVAILABLE,
				  ZG_C_WITHHELD,  ZG_C_BUSY,	 ZG_C_HTTP};

	(void)state;
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		assert_false(own[i] >= -32768 && own[i] <= -32000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_codes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
