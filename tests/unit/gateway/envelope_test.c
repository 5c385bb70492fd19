/* SPDX-License-Identifier: Apache-2.0 */
/* envelope_test.c - the canonical arguments: what an approval is bound to and
 * what a retry is recognised by must not depend on how they were written. */
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "request.h"

static void canonical(struct zg_buf *out, const char *params)
{
	char text[1024];
	struct zg_rpc m;
	const char *why;

	snprintf(text, sizeof(text),
		 "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":%s}", params);
	assert_int_equal(zg_rpc_parse(&m, zg_slice_str(text), &why), 0);
	zg_buf_reset(out);
	assert_int_equal(zg_arguments_text(&m, out), 0);
	zg_buf_char(out, '\0');
	zg_rpc_release(&m);
}

static void test_same(void **state)
{
	static const struct {
		const char *params;
		const char *text;
	} cases[] = {
		{"{\"name\":\"x\"}", "{}"},
		{"{\"name\":\"x\",\"arguments\":{}}", "{}"},
		{"{\"name\":\"x\",\"_meta\":{\"progressToken\":7},\"arguments\":{}}", "{}"},
		{"{\"name\":\"x\",\"arguments\":{\"b\":1,\"a\":{\"d\":[1, 2],\"c\":null}}}",
		 "{\"a\":{\"c\":null,\"d\":[1,2]},\"b\":1}"},
		{"{\"arguments\":{ \"a\" : {\"c\":null,\"d\":[1,2]} , \"b\":1},\"name\":\"x\"}",
		 "{\"a\":{\"c\":null,\"d\":[1,2]},\"b\":1}"},
		{"{\"name\":\"x\",\"arguments\":{\"k\":\"\\u0041\\/\\u00e9\"}}",
		 "{\"k\":\"A/\xc3\xa9\"}"},
		/* how long a client waits for the result is not what it asks for */
		{"{\"name\":\"x\",\"task\":{\"ttl\":1},\"arguments\":{\"a\":1}}", "{\"a\":1}"},
		/* what else params hold counts too, but for _meta */
		{"{\"name\":\"x\",\"more\":{\"ttl\":1},\"task\":{},\"arguments\":{},\"_meta\":{}}",
		 "{\"arguments\":{},\"more\":{\"ttl\":1},\"name\":\"x\"}"},
	};
	zg_autobuf out = ZG_BUF(4096);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		canonical(&out, cases[i].params);
		assert_string_equal(out.ptr, cases[i].text);
	}
}

static void test_different(void **state)
{
	static const char *const args[] = {
		"{\"a\":1}",	"{\"a\":\"1\"}", "{\"a\":1.5}", "{\"a\":[1]}",	 "{\"A\":1}",
		"{\"a\":null}", "{\"a\":true}",	 "{\"a\":{}}",	"{\"a\":[[1]]}", "{\"a\":\" 1\"}"};
	zg_autobuf one = ZG_BUF(4096), other = ZG_BUF(4096);

	(void)state;
	for (size_t i = 0; i < sizeof(args) / sizeof(args[0]); i++)
		for (size_t j = 0; j < i; j++) {
			char params[256];

			snprintf(params, sizeof(params), "{\"name\":\"x\",\"arguments\":%s}",
				 args[i]);
			canonical(&one, params);
			snprintf(params, sizeof(params), "{\"name\":\"x\",\"arguments\":%s}",
				 args[j]);
			canonical(&other, params);
			assert_string_not_equal(one.ptr, other.ptr);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same),
		cmocka_unit_test(test_different),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
