/* SPDX-License-Identifier: Apache-2.0 */
/* slice_test.c - text from peers: matching, cutting, numbers, addresses, UTF-8. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <netinet/in.h>

#include <cmocka.h>

#include "slice.h"

static void globs(void **state)
{
	static const struct {
		const char *pattern, *text;
		bool match;
	} cases[] = {
		{"", "", true},
		{"", "a", false},
		{"*", "", true},
		{"*", "anything", true},
		{"get_*", "get_", true},
		{"get_*", "got_x", false},
		{"*_issue", "create_issue", true},
		{"*_issue", "create_issues", false},
		{"a*b*c", "aXbYc", true},
		{"a*b*c", "acb", false},
		{"a?c", "abc", false},
		{"a?c", "a?c", true},
		{"**", "x", true},
		{"a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaa", false},
		{"[a]", "a", false},
		{"\\*", "*", false},
		{"A", "a", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (zg_star_match(zg_slice_str(cases[i].pattern), zg_slice_str(cases[i].text)) !=
		    cases[i].match)
			fail_msg("%s ~ %s", cases[i].pattern, cases[i].text);
}

static void utf8(void **state)
{
	static const struct {
		const char *text;
		bool valid;
	} cases[] = {
		{"", true},
		{"plain", true},
		{"\xc3\xa9", true},
		{"\xe2\x82\xac", true},
		{"\xf0\x9f\x98\x80", true},
		{"\xf4\x8f\xbf\xbf", true},
		{"\xff", false},
		{"\xc0\xaf", false}, /* overlong '/' */
		{"\xe0\x80\xaf", false},
		{"\xf0\x80\x80\xaf", false},
		{"\xed\xa0\x80", false}, /* a surrogate */
		{"\xf4\x90\x80\x80", false},
		{"\xc3", false},
		{"\xe2\x82", false},
		{"\x80", false},
		{"a\xc3(", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (zg_utf8_valid(zg_slice_str(cases[i].text)) != cases[i].valid)
			fail_msg("case %zu", i);
	assert_true(zg_utf8_valid((struct zg_slice){"a\0b", 3}));
}

static void numbers(void **state)
{
	static const struct {
		const char *text;
		uint64_t max;
		int rc;
		uint64_t value;
	} cases[] = {
		{"0", 10, 0, 0},
		{"10", 10, 0, 10},
		{"11", 10, -ERANGE, 0},
		{"", 10, -EINVAL, 0},
		{"-1", 10, -EINVAL, 0},
		{"+1", 10, -EINVAL, 0},
		{" 1", 10, -EINVAL, 0},
		{"1 ", 10, -EINVAL, 0},
		{"1x", 10, -EINVAL, 0},
		{"18446744073709551615", UINT64_MAX, 0, UINT64_MAX},
		{"18446744073709551616", UINT64_MAX, -ERANGE, 0},
		{"99999999999999999999999", UINT64_MAX, -ERANGE, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t v = 4711;

		assert_int_equal(zg_slice_u64(zg_slice_str(cases[i].text), cases[i].max, &v),
				 cases[i].rc);
		assert_int_equal(v, cases[i].rc ? 4711 : cases[i].value);
	}
}

/* Cut text always ends, never inside a character, and says so. */
static void cutting(void **state)
{
	static const char text[] = "ab\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80xyz";
	char out[32];

	(void)state;
	for (size_t size = 1; size < sizeof(out); size++) {
		bool whole;

		memset(out, 'Q', sizeof(out));
		whole = zg_str_cut(out, size, zg_slice_str(text));
		assert_int_equal(whole, strlen(text) < size);
		assert_non_null(memchr(out, '\0', size));
		assert_true(zg_utf8_valid(zg_slice_str(out)));
		if (!whole && size > 8)
			assert_string_equal(out + strlen(out) - 3, "...");
	}
	assert_false(zg_str_cut(out, 0, zg_slice_str(text)));
}

static void comparing(void **state)
{
	(void)state;
	assert_true(zg_slice_ieq(ZG_SLICE("GitHub"), ZG_SLICE("gitHUB")));
	assert_false(zg_slice_ieq(ZG_SLICE("a"), ZG_SLICE("ab")));
	assert_false(zg_slice_ieq(ZG_SLICE("\xc3\x89"), ZG_SLICE("\xc3\xa9")));
	assert_false(zg_slice_ieq(ZG_SLICE("@"), ZG_SLICE("`")));
	assert_true(zg_slice_eq(zg_slice_trim(ZG_SLICE(" \t a b\r\n")), ZG_SLICE("a b")));
	assert_int_equal(zg_slice_trim(ZG_SLICE(" \t")).len, 0);
	assert_true(zg_slice_starts(ZG_SLICE("abc"), ZG_SLICE("")));
	assert_false(zg_slice_starts(ZG_SLICE("ab"), ZG_SLICE("abc")));
}

static void addresses(void **state)
{
	static const struct {
		const char *in, *out; /* NULL = refused */
	} cases[] = {
		{"127.0.0.1", "127.0.0.1"},
		{"::ffff:127.0.0.1", "127.0.0.1"},
		{"::1", "::1"},
		{"2001:DB8::1", "2001:db8::1"},
		{"[::1]", NULL},
		{"::1%lo", NULL},
		{"127.1", NULL},
		{"0127.0.0.1", NULL},
		{"1.2.3.4:80", NULL},
		{"", NULL},
		{"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL},
	};
	char text[INET6_ADDRSTRLEN];
	uint8_t addr[16];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int rc = zg_addr_parse(zg_slice_str(cases[i].in), addr);

		assert_int_equal(rc, cases[i].out ? 0 : -EINVAL);
		if (!cases[i].out)
			continue;
		zg_addr_text(text, sizeof(text), addr);
		assert_string_equal(text, cases[i].out);
	}
	assert_int_equal(zg_addr_parse((struct zg_slice){"::1\0", 4}, addr), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(globs),   cmocka_unit_test(utf8),	cmocka_unit_test(numbers),
		cmocka_unit_test(cutting), cmocka_unit_test(comparing), cmocka_unit_test(addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
