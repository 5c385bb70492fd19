/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uri_test.c - a resource has many URIs: none of them may get round a rule
 * about it, and those that no rule tells apart must still work.
 */
#include "uri.h"
#include "world.h"

static const struct {
	const char *uri, *plain;
} forms[] = {
	{"file:///etc/passwd", "file:///etc/passwd"},
	{"FILE:///etc/passwd", "file:///etc/passwd"},
	{"file://LocalHost/etc/passwd", "file:///etc/passwd"},
	{"file:/etc/passwd", "file:///etc/passwd"},
	{"file:etc/passwd", "file:///etc/passwd"},
	{"file:////etc//passwd", "file:///etc/passwd"},
	{"file:///%65tc/passwd", "file:///etc/passwd"},
	{"file:///%2565tc/passwd", "file:///etc/passwd"},
	{"file:///etc%2Fpasswd", "file:///etc/passwd"},
	{"file:///etc%5cpasswd", "file:///etc/passwd"},
	{"file:\\\\\\etc\\passwd", "file:///etc/passwd"},
	{"file:///tmp/../etc/passwd", "file:///etc/passwd"},
	{"file:///tmp/%2e%2E/etc/passwd", "file:///etc/passwd"},
	{"file:///../../etc/./passwd", "file:///etc/passwd"},
	{"file:///etc/passwd#x", "file:///etc/passwd"},
	{"file:///etc/passwd?x=1", "file:///etc/passwd"},
	{" file:///etc/passwd\n", "file:///etc/passwd"},
	{"fi\nle:///etc/pa\tsswd", "file:///etc/passwd"},
	{"file:///etc/", "file:///etc/"},
	{"file:///etc/.", "file:///etc/"},
	{"file:///etc/x/..", "file:///etc/"},
	{"file://host/etc", "file://host/etc"},
	{"HTTPS://Example.COM/A?b=C", "https://example.com/A?b=C"},
	{"db://users", "db://users"},
	{"db://users/%zz%4", "db://users/%zz%4"},
	{"memo:one", "memo:one"},
	{"repo:a/../b", "repo:/b"},
	{"no scheme", "no scheme"},
	{"%", "%"},
	{"file:", "file:///"},
	{"#", ""},
};

static void one_form_of_all(void **state)
{
	char out[ZG_URI_BYTES];

	(void)state;
	for (size_t i = 0; i < ZG_COUNT(forms); i++) {
		struct zg_slice plain, again;
		char twice[ZG_URI_BYTES];

		assert_true(zg_uri_plain(zg_slice_str(forms[i].uri), out, &plain));
		if (!zg_slice_eq(plain, zg_slice_str(forms[i].plain)))
			fail_msg("'%s' became '%.*s'", forms[i].uri, (int)plain.len, plain.ptr);
		assert_true(zg_uri_plain(plain, twice, &again));
		assert_true(zg_slice_eq(plain, again));
	}
}

static void lengths(void **state)
{
	char uri[ZG_URI_BYTES + 1], out[ZG_URI_BYTES];
	struct zg_slice plain;

	(void)state;
	memset(uri, 'a', sizeof(uri));
	assert_false(zg_uri_plain((struct zg_slice){uri, sizeof(uri)}, out, &plain));
	assert_true(zg_uri_plain((struct zg_slice){uri, ZG_URI_BYTES}, out, &plain));
	assert_int_equal(plain.len, ZG_URI_BYTES);
	memcpy(uri, "file:", 5); /* would grow */
	assert_false(zg_uri_plain((struct zg_slice){uri, ZG_URI_BYTES}, out, &plain));
	assert_false(zg_uri_plain(ZG_SLICE("%25252525252525252541"), out, &plain));
}

static struct zg_decision read_resource(const struct world *w, const char *server, const char *uri)
{
	return judge(w, server, "resources/read", uri);
}

static void no_form_gets_round_a_rule(void **state)
{
	struct world w;

	(void)state;
	world_rules(&w, "  - id: all\n    decision: ALLOW\n    match: {}\n"
			"  - id: glob\n    decision: DENY\n    match:\n      labels: "
			"{mcp.resource: \"file:///etc/*\"}\n"
			"  - id: exact\n    decision: DENY\n    match:\n      labels: "
			"{mcp.tool: \"db://secrets\"}\n");
	for (size_t i = 0; i < ZG_COUNT(forms); i++)
		if (strcmp(forms[i].plain, "file:///etc/passwd") == 0)
			assert_int_equal(read_resource(&w, "github", forms[i].uri).kind, ZG_D_DENY);
	assert_int_equal(read_resource(&w, "github", "DB://secrets").kind, ZG_D_DENY);
	assert_int_equal(read_resource(&w, "github", "db://Secrets").reason, ZG_DR_FORM);
	/* what no rule tells apart */
	assert_int_equal(read_resource(&w, "github", "file:///home/a%20b/./x").kind, ZG_D_ALLOW);
	assert_int_equal(read_resource(&w, "github", "gitlab://group%2Fproject").kind, ZG_D_ALLOW);
	/* only URIs have forms */
	assert_int_equal(judge(&w, "github", "prompts/get", "DB://secrets").kind, ZG_D_ALLOW);
	world_end(&w);
}

/* Neither may a form make an ALLOW match what it does not name. */
static void no_form_gets_into_a_rule(void **state)
{
	struct world w;

	(void)state;
	world_rules(&w, "  - id: home\n    decision: ALLOW\n    match:\n      labels: "
			"{mcp.resource: \"file:///home/*\"}\n");
	assert_int_equal(read_resource(&w, "github", "file:///home/x").kind, ZG_D_ALLOW);
	assert_int_equal(read_resource(&w, "github", "file:///home/").kind, ZG_D_ALLOW);
	assert_int_equal(read_resource(&w, "github", "file:///home/../etc/passwd").reason,
			 ZG_DR_FORM);
	assert_int_equal(read_resource(&w, "github", "file:///home/%2e%2e/etc/passwd").reason,
			 ZG_DR_FORM);
	world_end(&w);
}

static void no_form_gets_another_class(void **state)
{
	static const char *const servers[] = {
		"{\"name\":\"a.b/files\",\"description\":\"d\",\"version\":\"1\",\"remotes\":[{"
		"\"type\":\"streamable-http\",\"url\":\"http://127.0.0.1:7001/mcp\"}],\"_meta\":{"
		"\"dev.zerogate/registry\":{\"id\":\"files\",\"resources\":{\"file:///etc/*\":{"
		"\"action\":\"write\",\"risk_tags\":[\"secret\"]}}}}}",
		NULL};
	static const char *const policies[] = {
		"version: v1\nrules:\n  - id: all\n    decision: ALLOW\n    match: {}\n"
		"  - id: tagged\n    decision: DENY\n    match: {risk_tags: [secret]}\n"
		"classify:\n  - id: c\n    match:\n      labels: {mcp.resource: \"db://pay/*\"}\n"
		"    set: {risk_tags: [secret]}\n",
		NULL};
	struct world w;

	(void)state;
	world_make(&w, NULL, policies, servers);
	assert_true(w.ok);
	assert_int_equal(read_resource(&w, "files", "file:///etc/x").reason, ZG_DR_RULE);
	assert_int_equal(read_resource(&w, "files", "file:///%65tc/x").reason, ZG_DR_FORM);
	assert_int_equal(read_resource(&w, "files", "db://pay/1").reason, ZG_DR_RULE);
	assert_int_equal(read_resource(&w, "files", "db://PAY//1").reason, ZG_DR_FORM);
	assert_int_equal(read_resource(&w, "files", "file:///%65lse").kind, ZG_D_ALLOW);
	world_end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_form_of_all),
		cmocka_unit_test(lengths),
		cmocka_unit_test(no_form_gets_round_a_rule),
		cmocka_unit_test(no_form_gets_into_a_rule),
		cmocka_unit_test(no_form_gets_another_class),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
