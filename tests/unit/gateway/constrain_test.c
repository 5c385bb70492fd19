/* SPDX-License-Identifier: Apache-2.0 */
/* constrain_test.c - the host that a lenient URL parser would dial is the one
 * that is judged. */
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "constrain.h"

static const struct {
	const char *text;
	const char *host; /* NULL: no URL; "": a URL whose host cannot be told */
} cases[] = {
	{"https://api.github.com/repos", "api.github.com"},
	{"HTTPS://API.GitHub.COM:443/", "api.github.com"},
	{"http://api.github.com.", "api.github.com"},
	{"http://user:pw@evil.example/@api.github.com", "evil.example"},
	{"http://api.github.com@evil.example", "evil.example"},
	{"http://api.github.com\\@evil.example", "api.github.com"},
	{"http:\\\\evil.example\\x", "evil.example"},
	{"http:/evil.example", "evil.example"},
	{"http:evil.example", "evil.example"},
	{"http:////evil.example/x", "evil.example"},
	{"  \thttp://evil.example", "evil.example"},
	{"ht\ntp://ev\til.example", "evil.example"},
	/* trimmed as blanks by Python and JavaScript */
	{"\xc2\xa0http://evil.example", "evil.example"},
	{"\xe2\x80\x83 \xef\xbb\xbfhttp://evil.example", "evil.example"},
	{"\xe3\x80\x80//evil.example", "evil.example"},
	{"//evil.example/x", "evil.example"},
	{"\\\\evil.example\\share", "evil.example"},
	{"ssh://git@evil.example:22/x", "evil.example"},
	{"http://[::1]:80/", "::1"},
	{"http://evil.example?x=api.github.com", "evil.example"},
	{"http://evil.example#api.github.com", "evil.example"},
	{"file:///etc/passwd", "etc"}, /* no list has it */
	{"http://%65vil.example/", ""},
	{"http://\xef\xbd\x85vil.example/", ""},
	{"http://[::1", ""},
	/* no URLs */
	{"", NULL},
	{"plain text", NULL},
	{"see https://example.com for more", NULL},
	{"note: this", NULL},
	{"http: see below", NULL},
	{"12:30", NULL},
	{"a/b/c", NULL},
	{"/etc/passwd", NULL},
	{"mailto:a@b.example", NULL},
};

static void test_url_host(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char host[256] = "untouched";

		print_message("%s\n", cases[i].text);
		if (!cases[i].host) {
			assert_false(zg_url_host(zg_slice_str(cases[i].text), host));
			continue;
		}
		assert_true(zg_url_host(zg_slice_str(cases[i].text), host));
		assert_string_equal(host, cases[i].host);
	}
}

/* However much stands between the scheme and its host. */
static void test_long_urls(void **state)
{
	static const struct {
		const char *begin, *end;
		char fill;
	} rows[] = {
		{"http:", "evil.example/", '/'}, {"https:\\", "evil.example/", '\\'},
		{"//", "evil.example/", '/'},	 {"http://", "@evil.example/", 'a'},
		{"x://", "@evil.example/", 'a'},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[2048] = "", host[256] = "untouched";

		(void)snprintf(text, sizeof(text), "%s", rows[i].begin);
		memset(text + strlen(text), rows[i].fill, 1500);
		memcpy(text + strlen(text), rows[i].end, strlen(rows[i].end));
		print_message("%.10s...\n", text);
		assert_true(zg_url_host(zg_slice_str(text), host));
		assert_string_equal(host, ""); /* cannot be told: no list has it */
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_url_host),
		cmocka_unit_test(test_long_urls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
