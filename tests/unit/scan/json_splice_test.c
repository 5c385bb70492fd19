/* SPDX-License-Identifier: Apache-2.0 */
/* json_splice_test.c - the place of one value, and that nothing else moves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "json_span.h"

static const struct {
	const char *text, *name, *value; /* NULL: none */
} cases[] = {
	{"{\"a\":1}", "a", "1"},
	{" { \"b\" : [ {\"a\":2} , \"]\" ] , \"a\" : \"x\\\"y\" } ", "a", "\"x\\\"y\""},
	{"{\"b\":{\"a\":1},\"c\":\"{\\\"a\\\":\"}", "a", NULL},
	{"{\"\\u0061\":true}", "a", "true"},
	{"{\"\\u0061b\":true}", "a", NULL},
	{"{\"aa\":0,\"a\":-1.5e3 }", "a", "-1.5e3"},
	{"{\"a\":{}}", "a", "{}"},
	{"{\"a\":[[],{\"x\":\"}\"}],\"b\":1}", "a", "[[],{\"x\":\"}\"}]"},
	{"{\"b\":\"\\\\\",\"a\":\"\\\\\\\"\"}", "a", "\"\\\\\\\"\""},
	{"{\"b\":\"\\\"\\\\\\\\\",\"a\":\"\"}", "a", "\"\""},
	{"{}", "a", NULL},
	{"[{\"a\":1}]", "a", NULL},
	{"\"a\"", "a", NULL},
	{"", "a", NULL},
};

static void test_member(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct zg_slice text = zg_slice_str(cases[i].text);
		struct zg_slice v = zg_json_member(zg_slice_trim(text), cases[i].name);

		print_message("%s\n", cases[i].text);
		if (!cases[i].value) {
			assert_null(v.ptr);
			continue;
		}
		assert_true(zg_slice_eq(v, zg_slice_str(cases[i].value)));
		assert_true(v.ptr >= text.ptr && v.ptr + v.len <= text.ptr + text.len);
	}
}

static void test_splice(void **state)
{
	const struct zg_slice text =
		ZG_SLICE("{ \"p\" : {\"x\":1e2 ,\t\"s\" : \"old\" }, \"y\":\"\xc3\xa9\"}");
	struct zg_slice inner = zg_json_member(text, "p");
	zg_autobuf out = ZG_BUF(4096);

	(void)state;
	zg_json_splice(text, zg_json_member(inner, "s"), ZG_SLICE("\"new one\""), &out);
	zg_buf_char(&out, '\0');
	assert_string_equal(out.ptr,
			    "{ \"p\" : {\"x\":1e2 ,\t\"s\" : \"new one\" }, \"y\":\"\xc3\xa9\"}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_member),
		cmocka_unit_test(test_splice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
