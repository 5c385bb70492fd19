/* SPDX-License-Identifier: Apache-2.0 */
/* Where redirects lead: within the registered origin, off it, or nowhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "redirect.h"

static const struct {
	const char *location;
	const char *path;   /* of the same origin; NULL: another */
	const char *origin; /* of another; NULL with path NULL: refused */
} rows[] = {
	{"/mcp/", "/mcp/", NULL},
	{"other?x=y", "/a/other?x=y", NULL},
	{"?x=1", "/a/mcp?x=1", NULL},
	{"https://API.example:8443/b", "/b", NULL},
	{"https://api.example:8443", "/", NULL},
	{"https://api.example/b", NULL, "https://api.example:443"},
	{"http://api.example:8443/b", NULL, "http://api.example:8443"},
	{"//evil.example:8443/b", NULL, "https://evil.example:8443"},
	{"https://api.example.evil.example:8443/", NULL, "https://api.example.evil.example:8443"},
	{"https://api.example@evil.example:8443/", NULL, "https://evil.example:8443"},
	{"https://user:token@api.example:8443/", NULL, "https://api.example:8443"},
	{"https://[::1]:8443/", NULL, "https://[::1]:8443"},
	{"", NULL, NULL},
	{"/a b", NULL, NULL},
	{"/a\r\nX: y", NULL, NULL},
	{"https://[", NULL, NULL},
	{"https://api.example:99999/", NULL, NULL},
};

static void redirects_are_told_apart(void **state)
{
	const struct zg_server_def s = {.host = "api.example", .port = 8443, .tls = 1};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct zg_redirect out;
		bool ok = zg_redirect_read(&out, &s, ZG_SLICE("/a/mcp?q=1"),
					   zg_slice_str(rows[i].location));

		if (ok != (rows[i].path || rows[i].origin) ||
		    (ok && out.same_origin != !!rows[i].path))
			fail_msg("%s: %d %d", rows[i].location, ok, out.same_origin);
		if (rows[i].path)
			assert_string_equal(out.path, rows[i].path);
		if (rows[i].origin)
			assert_string_equal(out.origin, rows[i].origin);
	}
}

static void a_path_that_is_too_long_is_refused(void **state)
{
	const struct zg_server_def s = {.host = "::1", .port = 80};
	char location[2 * ZG_PATH_LEN + 16] = "/";
	struct zg_redirect out;

	(void)state;
	assert_true(zg_redirect_read(&out, &s, ZG_SLICE("/"), ZG_SLICE("http://[::1]/x")));
	assert_true(out.same_origin);
	for (size_t i = 1; i < sizeof(location) - 1; i++)
		location[i] = 'a';
	assert_false(zg_redirect_read(&out, &s, ZG_SLICE("/"), zg_slice_str(location)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(redirects_are_told_apart),
		cmocka_unit_test(a_path_that_is_too_long_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
