/* SPDX-License-Identifier: Apache-2.0 */
/* method_test.c - which methods exist, who may send them, and what the registry
 * adds to them for one server. */
#include "world.h"

#define ENTRY(id, port, more)                                                                      \
	"{\"name\":\"a.b/" id "\",\"description\":\"d\",\"version\":\"1\",\"remotes\":[{\"type\":" \
	"\"streamable-http\",\"url\":\"http://127.0.0.1:" port                                     \
	"/mcp\"}],\"_meta\":{\"dev.zerogate/registry\":{\"id\":\"" id "\"" more "}}}"

static const char *const servers[] = {
	ENTRY("plain", "7001", ""),
	ENTRY("vendor", "7002",
	      ",\"tools\":{\"vendor/*\":{\"action\":\"read\"}},\"extensions\":{"
	      "\"vendor/*\":{\"action\":\"write\",\"risk_tags\":[\"odd\"]},"
	      "\"vendor/peek\":{\"action\":\"read\"},\"tools/call\":{\"action\":\"read\"},"
	      "\"notifications/vendor/*\":{\"action\":\"read\"}}"),
	NULL,
};

static const char *const policies[] = {"version: v1\n"
				       "rules:\n"
				       "  - id: reads\n"
				       "    match: {labels: {mcp.action: read}}\n"
				       "    decision: ALLOW\n"
				       "  - id: odd\n"
				       "    match: {risk_tags: [odd]}\n"
				       "    decision: REQUIRE_APPROVAL\n"
				       "  - id: asks\n"
				       "    match: {labels: {mcp.direction: server, "
				       "mcp.method: elicitation/create}}\n"
				       "    decision: ALLOW\n",
				       NULL};

static const struct {
	const char *server;
	const char *method;
	bool from_server;
	enum zg_decision_kind kind;
	enum zg_decision_reason reason;
} cases[] = {
	/* what a policy of reads opens, and what it does not */
	{"plain", "initialize", false, ZG_D_ALLOW, ZG_DR_RULE},
	{"plain", "server/discover", false, ZG_D_ALLOW, ZG_DR_RULE},
	{"plain", "subscriptions/listen", false, ZG_D_ALLOW, ZG_DR_RULE},
	{"plain", "tasks/get", false, ZG_D_ALLOW, ZG_DR_RULE},
	{"plain", "tasks/update", false, ZG_D_ALLOW, ZG_DR_RULE},
	{"plain", "notifications/progress", false, ZG_D_ALLOW, ZG_DR_RULE},
	{"plain", "notifications/progress", true, ZG_D_ALLOW, ZG_DR_RULE},
	{"plain", "ping", true, ZG_D_ALLOW, ZG_DR_RULE},
	{"plain", "roots/list", true, ZG_D_ALLOW, ZG_DR_RULE},
	{"plain", "tools/call", false, ZG_D_DENY, ZG_DR_DEFAULT},
	{"plain", "sampling/createMessage", true, ZG_D_DENY, ZG_DR_DEFAULT},
	{"plain", "elicitation/create", true, ZG_D_ALLOW, ZG_DR_RULE},
	/* each side has its own methods */
	{"plain", "sampling/createMessage", false, ZG_D_DENY, ZG_DR_UNKNOWN_METHOD},
	{"plain", "elicitation/create", false, ZG_D_DENY, ZG_DR_UNKNOWN_METHOD},
	{"plain", "roots/list", false, ZG_D_DENY, ZG_DR_UNKNOWN_METHOD},
	{"plain", "tools/list", true, ZG_D_DENY, ZG_DR_UNKNOWN_METHOD},
	{"plain", "tools/call", true, ZG_D_DENY, ZG_DR_UNKNOWN_METHOD},
	{"plain", "notifications/message", false, ZG_D_DENY, ZG_DR_UNKNOWN_METHOD},
	{"plain", "notifications/initialized", true, ZG_D_DENY, ZG_DR_UNKNOWN_METHOD},
	/* nothing like a method that is known is one */
	{"plain", "Tools/call", false, ZG_D_DENY, ZG_DR_UNKNOWN_METHOD},
	{"plain", "tools/list ", false, ZG_D_DENY, ZG_DR_UNKNOWN_METHOD},
	{"plain", "", false, ZG_D_DENY, ZG_DR_UNKNOWN_METHOD},
	{"plain", "notifications/other", false, ZG_D_DENY, ZG_DR_UNKNOWN_METHOD},
	{"plain", "vendor/peek", false, ZG_D_DENY, ZG_DR_UNKNOWN_METHOD},
	/* extensions: of this server alone, a write unless they are listed as a read */
	{"vendor", "vendor/peek", false, ZG_D_ALLOW, ZG_DR_RULE},
	{"vendor", "vendor/poke", false, ZG_D_REQUIRE_APPROVAL, ZG_DR_RULE},
	{"vendor", "vendor/poke", true, ZG_D_REQUIRE_APPROVAL, ZG_DR_RULE},
	{"vendor", "notifications/vendor/x", true, ZG_D_ALLOW, ZG_DR_RULE},
	{"vendor", "vendorx", false, ZG_D_DENY, ZG_DR_UNKNOWN_METHOD},
	/* they never change what is known, nor is a tool's class a method's */
	{"vendor", "tools/call", false, ZG_D_DENY, ZG_DR_DEFAULT},
	{"vendor", "tools/call", true, ZG_D_DENY, ZG_DR_UNKNOWN_METHOD},
	{"nobody", "vendor/peek", false, ZG_D_DENY, ZG_DR_UNREGISTERED},
};

static void test_methods(void **state)
{
	struct world w;

	(void)state;
	world_make(&w, NULL, policies, servers);
	print_message("%s\n", first_error(&w));
	assert_true(w.ok);
	for (size_t i = 0; i < ZG_COUNT(cases); i++) {
		struct zg_envelope env = {.server = zg_slice_str(cases[i].server),
					  .method = zg_slice_str(cases[i].method),
					  .from_server = cases[i].from_server};
		struct zg_decision d;
		int rc = zg_envelope_classify(&w.policy, &env);

		print_message("%s %s %d\n", cases[i].server, cases[i].method, cases[i].from_server);
		zg_decide(&w.policy, &env, &d);
		assert_int_equal(d.kind, cases[i].kind);
		assert_int_equal(d.reason, cases[i].reason);
		assert_int_equal(rc == -ENOTSUP, d.reason == ZG_DR_UNKNOWN_METHOD);
	}
	world_end(&w);
}

/* an entry without extensions keeps its digest, one with them has another */
static void test_snapshot(void **state)
{
	const char *const one[] = {ENTRY("plain", "7001", ""), NULL};
	const char *const none[] = {ENTRY("plain", "7001", ",\"extensions\":{}"), NULL};
	const char *const some[] = {
		ENTRY("plain", "7001", ",\"extensions\":{\"a/b\":{\"action\":\"read\"}}"), NULL};
	const char *const bad[] = {ENTRY("plain", "7001", ",\"extensions\":{\"a/b\":\"read\"}"),
				   NULL};
	struct world a, b, c, d;

	(void)state;
	world_make(&a, NULL, policies, one);
	world_make(&b, NULL, policies, none);
	world_make(&c, NULL, policies, some);
	world_make(&d, NULL, policies, bad);
	assert_true(a.ok && b.ok && c.ok && !d.ok);
	assert_memory_equal(a.id, b.id, 32);
	assert_memory_not_equal(a.id, c.id, 32);
	world_end(&a);
	world_end(&b);
	world_end(&c);
	world_end(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_methods),
		cmocka_unit_test(test_snapshot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
