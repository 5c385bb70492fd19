/* SPDX-License-Identifier: Apache-2.0 */
/* What a policy means: the semantics of zerogate-policy(5), one by one. */
#include "policy/world.h"

static enum zg_decision_kind kind(const struct world *w, const char *server, const char *tool)
{
	return judge(w, server, "tools/call", tool).kind;
}

/* One rule that allows; which tools of github does it match? */
static const struct {
	const char *conditions;
	const char *allowed;
	const char *denied;
} matching[] = {
	{"match: {}", "push", NULL},
	{"match: {labels: {mcp.tool: push}}", "push", "Push"},
	{"match: {labels: {mcp.tool: push}}", "push", "push "},
	{"match: {labels: {mcp.tool: [a, push, b]}}", "push", "c"},
	{"match: {labels: {mcp.tool: 'p*h'}}", "push", "pushx"},
	{"match: {labels: {mcp.tool: 'p*h'}}", "ph", "xph"},
	{"match: {labels: {mcp.tool: '*'}}", "push", ""},
	{"match: {labels: {mcp.tool: 'p?sh'}}", "p?sh", "push"},
	{"match: {labels: {mcp.tool: [x, '*sh']}}", "push", "pull"},
	{"match: {labels: {mcp.tool: 'a*b*c'}}", "a-b-b-c", "a-c-b"},
	{"match: {labels: {env: prod}}", "push", "get_secret_name"}, /* the tool's label wins */
	{"match: {labels: {env: prod, team: core}}", "push", "get_secret_name"},
	{"match: {labels: {env: none, team: core}}", "get_secret_name", "push"},
	{"match: {labels: {mcp.action: read}}", "get_me", "push"},
	{"match: {labels: {mcp.action: read}}", "get_secret_name", "get_secret_key"},
	{"match: {labels: {mcp.action: write}}", "unknown", "get_me"},
	{"match: {risk_tags: prod}", "push", "create_issue"},
	{"match: {risk_tags: [secret, non_prod]}", "create_issue", "merge"},
	{"match: {risk_tags: [secret, non_prod]}", "get_secret_key", "plain"},
	{"match: {labels: {mcp.action: write}, risk_tags: [prod]}", "merge", "get_me"},
	{"match: {labels: {mcp.tool: 'g*'}}\n    unless: {labels: {mcp.action: write}}", "get_me",
	 "get_secret_key"},
	{"match: {}\n    unless: {labels: {mcp.action: write}, risk_tags: [prod]}", "create_issue",
	 "push"},
	{"match: {}\n    unless: {labels: {mcp.tool: [a, 'b*']}}", "c", "bx"},
	{"match: {}\n    unless: {labels: {no-such: '*'}}", "push", NULL},
};

static void conditions_match_as_written(void **state)
{
	(void)state;
	for (size_t i = 0; i < ZG_COUNT(matching); i++) {
		char rules[512];
		struct world w;

		(void)snprintf(rules, sizeof(rules), "  - id: r\n    decision: ALLOW\n    %s\n",
			       matching[i].conditions);
		world_rules(&w, rules);
		if (kind(&w, "github", matching[i].allowed) != ZG_D_ALLOW ||
		    (matching[i].denied && kind(&w, "github", matching[i].denied) != ZG_D_DENY))
			fail_msg("%s", matching[i].conditions);
		world_end(&w);
	}
}

static void deny_servers_not_in_reads_names_kindly(void **state)
{
	struct world w;
	struct zg_decision d;

	(void)state;
	world_rules(&w, "  - id: a\n    match: {}\n    decision: ALLOW\n"
			"  - id: n\n    decision: DENY\n"
			"    mcp: {deny_servers_not_in: ['  GitHub ', jira]}\n");
	assert_int_equal(kind(&w, "github", "push"), ZG_D_ALLOW);
	d = judge(&w, "slack", "tools/call", "x");
	assert_int_equal(d.kind, ZG_D_DENY);
	assert_int_equal(d.matched, 2);
	world_end(&w);
	/* the same list under match */
	world_rules(
		&w,
		"  - id: a\n    match: {}\n    decision: ALLOW\n"
		"  - id: n\n    decision: DENY\n"
		"    match: {mcp: {deny_servers_not_in: [github]}, labels: {mcp.action: write}}\n");
	assert_int_equal(kind(&w, "slack", "x"), ZG_D_DENY);
	assert_int_equal(judge(&w, "slack", "tools/list", "").kind, ZG_D_ALLOW);
	world_end(&w);
}

static void the_most_restrictive_decision_wins(void **state)
{
	static const char *const all[] = {"DENY", "REQUIRE_APPROVAL", "ALLOW_WITH_CONSTRAINTS",
					  "ALLOW"};
	struct world w;
	char rules[512];

	(void)state;
	for (size_t a = 0; a < 4; a++) {
		for (size_t b = 0; b < 4; b++) {
			size_t n = 0;

			for (size_t i = 0; i < 2; i++) {
				size_t k = i ? b : a;

				n += (size_t)snprintf(
					rules + n, sizeof(rules) - n,
					"  - id: r%zu\n    match: {labels: {mcp.tool: push}}\n"
					"    decision: %s\n%s",
					i, all[k],
					k == 2 ? "    constraints: {max_retries: 2}\n" : "");
			}
			world_rules(&w, rules);
			assert_int_equal(kind(&w, "github", "push"), a < b ? a : b);
			world_end(&w);
		}
	}
}

static void constraints_combine_to_the_tightest(void **state)
{
	struct world w;
	struct zg_decision d;

	(void)state;
	world_rules(
		&w,
		"  - id: a\n    match: {}\n    decision: ALLOW\n"
		"    constraints: {max_runtime_sec: 60, network_allowlist: [a.example, "
		"B.Example]}\n"
		"  - id: b\n    match: {risk_tags: [prod]}\n    decision: REQUIRE_APPROVAL\n"
		"    constraints: {max_runtime_sec: 30, max_retries: 3}\n"
		"  - id: c\n    match: {labels: {mcp.action: write}}\n    decision: ALLOW\n"
		"    constraints: {max_retries: 0, network_allowlist: [b.example, '*.c.example']}\n"
		"  - id: d\n    match: {labels: {env: prod}}\n    decision: ALLOW\n"
		"    constraints: {network_allowlist: [b.example, a.example]}\n");
	d = judge(&w, "github", "tools/call", "push");
	assert_int_equal(d.kind, ZG_D_REQUIRE_APPROVAL);
	assert_int_equal(d.constraints.max_runtime_sec, 30);
	assert_true(d.constraints.has_max_retries);
	assert_int_equal(d.constraints.max_retries, 0);
	/* a's and d's lists are the same set: carried once */
	assert_int_equal(d.constraints.allowlist_count, 2);
	for (int i = 0; i < 2; i++)
		assert_true(zg_policy_allowlist_has(&w.policy, d.constraints.allowlist[i],
						    ZG_SLICE("b.example")));
	assert_false(zg_policy_allowlist_has(&w.policy, d.constraints.allowlist[0],
					     ZG_SLICE("a.example")) &&
		     zg_policy_allowlist_has(&w.policy, d.constraints.allowlist[1],
					     ZG_SLICE("a.example")));
	world_end(&w);
}

static void allowlists_hold_hosts(void **state)
{
	static const struct {
		const char *host;
		bool in;
	} hosts[] = {
		{"api.example", true}, {"xapi.example", false}, {"api.example.evil", false},
		{"a.c.example", true}, {"a.b.c.example", true}, {"c.example", false},
		{"ac.example", false}, {"10.0.0.1", true},	{"10.0.0.10", false},
		{"", false},	       {"*.c.example", true},
	};
	struct world w;
	struct zg_decision d;

	(void)state;
	world_rules(&w, "  - id: a\n    match: {}\n    decision: ALLOW_WITH_CONSTRAINTS\n"
			"    constraints: {network_allowlist: [api.example, '*.c.example', "
			"10.0.0.1]}\n");
	d = judge(&w, "github", "tools/call", "push");
	assert_int_equal(d.constraints.allowlist_count, 1);
	for (size_t i = 0; i < ZG_COUNT(hosts); i++)
		assert_int_equal(zg_policy_allowlist_has(&w.policy, d.constraints.allowlist[0],
							 zg_slice_str(hosts[i].host)),
				 hosts[i].in);
	assert_false(zg_policy_allowlist_has(&w.policy, 7, ZG_SLICE("api.example")));
	world_end(&w);
}

static void nothing_matches_means_the_default(void **state)
{
	const char *open[] = {"version: v1\nrules: []\ndefault_decision: ALLOW\n", NULL};
	struct world w;
	struct zg_decision d;

	(void)state;
	world_make(&w, NULL, NULL, world_servers);
	d = judge(&w, "github", "tools/call", "push");
	assert_int_equal(d.kind, ZG_D_DENY);
	assert_int_equal(d.reason, ZG_DR_DEFAULT);
	assert_int_equal(d.decisive, UINT16_MAX);
	world_end(&w);
	world_make(&w, NULL, open, world_servers);
	assert_int_equal(kind(&w, "github", "push"), ZG_D_ALLOW);
	/* but never for what is not even judged */
	assert_int_equal(kind(&w, "nobody", "push"), ZG_D_DENY);
	assert_int_equal(judge(&w, "github", "tools/explode", "").kind, ZG_D_DENY);
	world_end(&w);
}

static void some_calls_are_denied_before_any_rule(void **state)
{
	const char *main_text = "version: v1\nprofiles:\n"
				"  one: {servers: [github]}\n  two: {servers: [slack]}\n";
	const char *open[] = {"version: v1\nrules: [{id: a, match: {}, decision: ALLOW}]\n", NULL};
	struct zg_principal who = {.profile_id = ZG_PROFILE_FIRST + 1};
	struct zg_envelope env = {.server = ZG_SLICE("github"), .method = ZG_SLICE("tools/call")};
	struct world w;
	struct zg_decision d;

	(void)state;
	world_make(&w, main_text, open, world_servers);
	assert_true(w.ok);
	assert_int_equal(judge(&w, "GitHub", "tools/call", "").reason, ZG_DR_UNREGISTERED);
	assert_int_equal(judge(&w, "", "tools/call", "").reason, ZG_DR_UNREGISTERED);
	assert_int_equal(judge(&w, "github", "tools/calls", "").reason, ZG_DR_UNKNOWN_METHOD);
	assert_int_equal(zg_envelope_classify(&w.policy, &env), 0);
	zg_decide(&w.policy, &env, &d);
	assert_int_equal(d.kind, ZG_D_ALLOW);
	env.principal = &who;
	zg_decide(&w.policy, &env, &d);
	assert_int_equal(d.kind, ZG_D_DENY);
	assert_int_equal(d.reason, ZG_DR_PROFILE);
	who.profile_id = ZG_PROFILE_FIRST;
	zg_decide(&w.policy, &env, &d);
	assert_int_equal(d.kind, ZG_D_ALLOW);
	world_end(&w);
}

static void what_does_not_fit_is_denied(void **state)
{
	zg_autobuf rules = ZG_BUF(65536);
	const char *policies[2] = {NULL};
	struct zg_envelope env = {.server = ZG_SLICE("github"), .method = ZG_SLICE("tools/call")};
	char keys[ZG_LABELS_MAX][8];
	struct zg_decision d;
	struct world w;

	(void)state;
	zg_buf_str(&rules, "version: v1\nrules:\n");
	for (int i = 0; i <= ZG_ALLOWLISTS_MAX; i++)
		zg_buf_fmt(&rules,
			   "  - id: r%d\n    match: {labels: {mcp.tool: '%s'}}\n"
			   "    decision: ALLOW\n    constraints: {network_allowlist: [h%d.x]}\n",
			   i, i == 0 ? "all" : "*ll", i);
	zg_buf_char(&rules, '\0');
	policies[0] = rules.ptr;
	world_make(&w, NULL, policies, world_servers);
	assert_true(w.ok);
	assert_int_equal(kind(&w, "github", "ball"), ZG_D_ALLOW);
	d = judge(&w, "github", "tools/call", "all");
	assert_int_equal(d.kind, ZG_D_DENY);
	assert_int_equal(d.reason, ZG_DR_OVERFLOW);
	assert_int_equal(d.constraints.allowlist_count, 0);
	/* labels */
	env.tool = ZG_SLICE("ball");
	assert_int_equal(zg_envelope_classify(&w.policy, &env), 0);
	for (int i = 0; i < ZG_LABELS_MAX; i++) {
		(void)snprintf(keys[i], sizeof(keys[i]), "k%d", i);
		zg_envelope_label(&env, zg_slice_str(keys[i]), ZG_SLICE("v"));
	}
	assert_true(env.overflow);
	zg_decide(&w.policy, &env, &d);
	assert_int_equal(d.reason, ZG_DR_OVERFLOW);
	world_end(&w);
}

static void a_label_given_twice_is_denied(void **state)
{
	struct zg_envelope env = {.server = ZG_SLICE("github"), .method = ZG_SLICE("tools/call")};
	struct zg_decision d;
	struct world w;

	(void)state;
	world_rules(&w,
		    "  - id: r\n    match: {labels: {env: [test, prod]}}\n    decision: ALLOW\n");
	assert_int_equal(zg_envelope_classify(&w.policy, &env), 0);
	env.labels[env.label_count++] = (struct zg_label){ZG_SLICE("env"), ZG_SLICE("test")};
	zg_decide(&w.policy, &env, &d);
	assert_int_equal(d.kind, ZG_D_DENY);
	world_end(&w);
}

static void many_matching_rules_are_named_in_order(void **state)
{
	zg_autobuf rules = ZG_BUF(1 << 20);
	const char *policies[2] = {NULL};
	struct zg_decision d;
	struct world w;

	(void)state;
	zg_buf_str(&rules, "version: v1\nrules:\n");
	for (int i = 199; i >= 0; i--)
		zg_buf_fmt(&rules, "  - id: r%03d\n    match: {%s}\n    decision: %s\n", i,
			   i % 2 ? "risk_tags: [prod, non_prod]" : "labels: {mcp.tool: 'pu*'}",
			   i == 150 ? "DENY" : "ALLOW");
	zg_buf_char(&rules, '\0');
	policies[0] = rules.ptr;
	world_make(&w, NULL, policies, world_servers);
	assert_true(w.ok);
	d = judge(&w, "github", "tools/call", "push"); /* has both tags */
	assert_int_equal(d.matched, 200);
	assert_int_equal(d.rule_count, ZG_MATCHED_MAX);
	for (uint16_t i = 0; i < d.rule_count; i++)
		assert_int_equal(d.rule[i], i);
	assert_int_equal(d.decisive, 150);
	assert_memory_equal(zg_policy_rule_id(&w.policy, 150).ptr, "r150", 4);
	world_end(&w);
}

static void reasons_are_sentences(void **state)
{
	static const struct {
		const char *server, *method, *tool, *text;
	} said[] = {
		{"github", "tools/call", "drop",
		 "policy rule 'no-drops' denies this call: ask the data team"},
		{"github", "tools/call", "push",
		 "no policy rule matches 'push' on server 'github' (write); the default is DENY"},
		{"evil", "tools/call", "push", "server 'evil' is not registered"},
		{"github", "x/y", "push", "method 'x/y' is unknown"},
		{"github", "tools/call", "get_me",
		 "policy rule 'reads' requires the approval of a person"},
	};
	struct world w;

	(void)state;
	world_rules(&w, "  - id: no-drops\n    match: {labels: {mcp.tool: drop}}\n"
			"    decision: DENY\n    reason: ask the data team\n"
			"  - id: reads\n    match: {labels: {mcp.action: read}}\n"
			"    description: any text\n    decision: REQUIRE_APPROVAL\n");
	for (size_t i = 0; i < ZG_COUNT(said); i++) {
		struct zg_envelope env = {.server = zg_slice_str(said[i].server),
					  .method = zg_slice_str(said[i].method),
					  .tool = zg_slice_str(said[i].tool)};
		struct zg_decision d = judge(&w, said[i].server, said[i].method, said[i].tool);
		char text[ZG_REASON_LEN];

		zg_decision_reason_text(&w.policy, &env, &d, text, sizeof(text));
		assert_string_equal(text, said[i].text);
	}
	world_end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(conditions_match_as_written),
		cmocka_unit_test(deny_servers_not_in_reads_names_kindly),
		cmocka_unit_test(the_most_restrictive_decision_wins),
		cmocka_unit_test(constraints_combine_to_the_tightest),
		cmocka_unit_test(allowlists_hold_hosts),
		cmocka_unit_test(nothing_matches_means_the_default),
		cmocka_unit_test(some_calls_are_denied_before_any_rule),
		cmocka_unit_test(what_does_not_fit_is_denied),
		cmocka_unit_test(a_label_given_twice_is_denied),
		cmocka_unit_test(many_matching_rules_are_named_in_order),
		cmocka_unit_test(reasons_are_sentences),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
