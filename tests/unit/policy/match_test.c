/* SPDX-License-Identifier: Apache-2.0 */
/*
 * match_test.c - conditions on arguments, principals and times, and classify
 * rules: what each matches, what it must not, and what comes of what cannot be
 * evaluated. Arguments here are what a hostile client may send.
 */
#include "world.h"

/* One rule that allows what matches; everything else is denied. */
#define ALLOW_IF(conditions)                                                                       \
	"  - id: r\n    decision: ALLOW\n    match:\n      labels: {mcp.server: github}\n      "   \
	"" conditions "\n"
#define DENY_IF(conditions)                                                                        \
	"  - id: all\n    decision: ALLOW\n    match: {}\n  - id: r\n    decision: DENY\n    "     \
	"match:\n      " conditions "\n"

static struct zg_decision judge_args(const struct world *w, const char *arguments)
{
	struct zg_envelope env = {.server = ZG_SLICE("github"),
				  .method = ZG_SLICE("tools/call"),
				  .tool = ZG_SLICE("push")};
	json_t *j = arguments ? json_loads(arguments, 0, NULL) : NULL;
	struct zg_decision d;

	assert_true(!arguments || j);
	env.arguments = j;
	assert_int_equal(zg_envelope_classify(&w->policy, &env), 0);
	zg_decide(&w->policy, &env, &d);
	json_decref(j);
	return d;
}

static const struct {
	const char *condition;
	const char *arguments;
	bool holds;
} args[] = {
	/* type and value */
	{"args: {/a: x}", "{\"a\":\"x\"}", true},
	{"args: {/a: x}", "{\"a\":\"X\"}", false},
	{"args: {/a: x}", "{\"a\":\"x\\n\"}", false},
	{"args: {/a: x}", "{\"a\":[\"x\"]}", false},
	{"args: {/a: x}", "{}", false},
	{"args: {/a: x}", NULL, false},
	{"args: {/a: '1'}", "{\"a\":\"1\"}", true},
	{"args: {/a: '1'}", "{\"a\":1}", false},
	{"args: {/a: 1}", "{\"a\":1}", true},
	{"args: {/a: 1}", "{\"a\":1.0}", true},
	{"args: {/a: 1}", "{\"a\":10e-1}", true},
	{"args: {/a: 1}", "{\"a\":\"1\"}", false},
	{"args: {/a: 1}", "{\"a\":true}", false},
	{"args: {/a: -0}", "{\"a\":0}", true},
	{"args: {/a: 9007199254740993}", "{\"a\":9007199254740993}", true},
	{"args: {/a: 9007199254740993}", "{\"a\":9007199254740992.0}", false},
	{"args: {/a: 9223372036854775807}", "{\"a\":9223372036854775808.0}", false},
	{"args: {/a: true}", "{\"a\":true}", true},
	{"args: {/a: true}", "{\"a\":\"true\"}", false},
	{"args: {/a: 'true'}", "{\"a\":true}", false},
	{"args: {/a: null}", "{\"a\":null}", true},
	{"args: {/a: null}", "{}", false},
	{"args: {/a: no}", "{\"a\":\"no\"}", true},
	{"args: {/a: NaN}", "{\"a\":\"NaN\"}", true},
	{"args: {/a: [x, 2, null]}", "{\"a\":2}", true},
	{"args: {/a: [x, 2, null]}", "{\"a\":null}", true},
	{"args: {/a: [x, 2, null]}", "{\"a\":false}", false},
	{"args: {/a: ü}", "{\"a\":\"\\u00fc\"}", true},
	{"args: {/a: ü}", "{\"a\":\"u\\u0308\"}", false},
	/* globs */
	{"args: {/a: 'x*'}", "{\"a\":\"x/y\\nz\"}", true},
	{"args: {/a: '*'}", "{\"a\":\"\"}", true},
	{"args: {/a: '*'}", "{\"a\":1}", false},
	{"args: {/a: {glob: ['a*', 'b*']}}", "{\"a\":\"bc\"}", true},
	{"args: {/a: {is: 'x*'}}", "{\"a\":\"xy\"}", false},
	{"args: {/a: {is: 'x*'}}", "{\"a\":\"x*\"}", true},
	/* regular expressions search; anchors bind them */
	{"args: {/a: {regex: 'b+'}}", "{\"a\":\"abc\"}", true},
	{"args: {/a: {regex: '^b+$'}}", "{\"a\":\"abc\"}", false},
	{"args: {/a: {regex: '^$'}}", "{\"a\":\"\"}", true},
	{"args: {/a: {regex: '^$'}}", "{\"a\":\"x\"}", false},
	{"args: {/a: {regex: 'x'}}", "{\"a\":7}", false},
	{"args: {/a: {regex: ['no', '^ü.$']}}", "{\"a\":\"üé\"}", true},
	{"args: {/a: {regex: '(x+x+)+y'}}", "{\"a\":\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"}",
	 false},
	{"args: {/a: {regex: b, glob: 'a*'}}", "{\"a\":\"ab\"}", true},
	{"args: {/a: {regex: b, glob: 'a*'}}", "{\"a\":\"b\"}", false},
	/* ranges */
	{"args: {/a: {min: 1, max: 10}}", "{\"a\":10}", true},
	{"args: {/a: {min: 1, max: 10}}", "{\"a\":10.000001}", false},
	{"args: {/a: {min: 1, max: 10}}", "{\"a\":\"5\"}", false},
	{"args: {/a: {max: 10}}", "{\"a\":-1e308}", true},
	{"args: {/a: {min: 0.1}}", "{\"a\":0.1}", true},
	{"args: {/a: {min: 9007199254740993}}", "{\"a\":9007199254740992}", false},
	/* presence */
	{"args: {/a: {present: true}}", "{\"a\":null}", true},
	{"args: {/a: {present: true}}", "{\"b\":1}", false},
	{"args: {/a: {present: false}}", "{\"b\":1}", true},
	{"args: {/a: {present: false}}", NULL, true},
	{"args: {/a: {present: false}}", "{\"a\":false}", false},
	/* pointers */
	{"args: {/a/0/b: x}", "{\"a\":[{\"b\":\"x\"}]}", true},
	{"args: {/a/0: x}", "{\"a\":{\"0\":\"x\"}}", true},
	{"args: {/a/01: x}", "{\"a\":[\"y\",\"x\"]}", false},
	{"args: {/a/9999999999: {present: true}}", "{\"a\":[1]}", false},
	{"args: {/a~1b/~0: x}", "{\"a/b\":{\"~\":\"x\"}}", true},
	{"args: {/: x}", "{\"\":\"x\"}", true},
	{"args: {/a/b/c: {present: true}}", "{\"a\":\"b\"}", false},
	{"args: {/a: x, /b: 2}", "{\"a\":\"x\",\"b\":2}", true},
	{"args: {/a: x, /b: 2}", "{\"a\":\"x\",\"b\":3}", false},
};

static void arguments_match_exactly(void **state)
{
	size_t failed = 0;

	(void)state;
	for (size_t i = 0; i < ZG_COUNT(args); i++)
		for (int deny = 0; deny < 2; deny++) {
			char text[1024];
			struct world w;
			bool allowed;

			(void)snprintf(text, sizeof(text), deny ? DENY_IF("%s") : ALLOW_IF("%s"),
				       args[i].condition);
			world_rules(&w, text);
			allowed = judge_args(&w, args[i].arguments).kind == ZG_D_ALLOW;
			if (allowed != (args[i].holds != (deny != 0))) {
				print_error("%s of %s\n", args[i].condition,
					    args[i].arguments ? args[i].arguments : "nothing");
				failed++;
			}
			world_end(&w);
		}
	assert_int_equal(failed, 0);
}

/* {"a":"xxx..."}, n times x */
static char *long_argument(size_t n)
{
	char *text = malloc(n + 16);

	assert_non_null(text);
	memcpy(text, "{\"a\":\"", 6);
	memset(text + 6, 'x', n);
	memcpy(text + 6 + n, "\"}", 3);
	return text;
}

static void what_is_too_long_to_read_restricts(void **state)
{
	char *text = long_argument(ZG_MATCH_TEXT_BYTES + 1);
	struct world w;

	(void)state;
	world_rules(&w, ALLOW_IF("args: {/a: {regex: x}}"));
	assert_int_equal(judge_args(&w, text).kind, ZG_D_DENY);
	world_end(&w);
	world_rules(&w, DENY_IF("args: {/a: {regex: y}}"));
	assert_int_equal(judge_args(&w, text).kind, ZG_D_DENY);
	assert_int_equal(judge_args(&w, "{\"a\":\"x\"}").kind, ZG_D_ALLOW);
	world_end(&w);
	/* unless: the other way round */
	world_rules(&w, "  - id: r\n    decision: DENY\n    match: {}\n    unless: {args: {/a: "
			"'x*'}}\n  - id: s\n    decision: ALLOW\n    match: {}\n");
	assert_int_equal(judge_args(&w, text).kind, ZG_D_DENY);
	assert_int_equal(judge_args(&w, "{\"a\":\"x\"}").kind, ZG_D_ALLOW);
	world_end(&w);
	world_rules(&w, "  - id: r\n    decision: ALLOW\n    match: {}\n    unless: {args: {/a: "
			"'y*'}}\n");
	assert_int_equal(judge_args(&w, text).kind, ZG_D_DENY);
	assert_int_equal(judge_args(&w, "{\"a\":\"x\"}").kind, ZG_D_ALLOW);
	world_end(&w);
	/* constraints of a rule that may match hold, though it grants nothing */
	world_rules(&w, "  - id: all\n    decision: ALLOW\n    match: {}\n  - id: r\n    decision: "
			"ALLOW_WITH_CONSTRAINTS\n    match: {args: {/a: 'y*'}}\n    constraints: "
			"{max_runtime_sec: 5}\n");
	assert_int_equal(judge_args(&w, text).kind, ZG_D_ALLOW);
	assert_int_equal(judge_args(&w, text).constraints.max_runtime_sec, 5);
	assert_int_equal(judge_args(&w, "{\"a\":\"x\"}").constraints.max_runtime_sec, 0);
	world_end(&w);
	free(text);
}

static struct zg_decision judge_who(const struct world *w, const struct zg_principal *p,
				    const char *executable, uint64_t time_sec)
{
	struct zg_envelope env = {.server = ZG_SLICE("github"),
				  .method = ZG_SLICE("tools/call"),
				  .tool = ZG_SLICE("push"),
				  .principal = p,
				  .executable = zg_slice_str(executable),
				  .time_sec = time_sec,
				  .profile_unknown = true};
	struct zg_decision d;

	assert_int_equal(zg_envelope_classify(&w->policy, &env), 0);
	zg_decide(&w->policy, &env, &d);
	return d;
}

static void principals_match(void **state)
{
	static const struct {
		const char *condition;
		bool holds;
	} cases[] = {
		{"principal: {profile: agent}", true},
		{"principal: {profile: [x, 'ag*']}", true},
		{"principal: {profile: agents}", false},
		{"principal: {cgroup: 'zerogate.slice/*'}", true},
		{"principal: {cgroup: zerogate.slice}", false},
		{"principal: {unit: ci.service}", true},
		{"principal: {unit: zerogate.slice}", false},
		{"principal: {uid: 1000}", true},
		{"principal: {uid: '1000-1000'}", true},
		{"principal: {uid: [0, 900-1000]}", true},
		{"principal: {uid: [0, 1001-2000]}", false},
		{"principal: {executable: '/usr/bin/*'}", true},
		{"principal: {executable: /usr/bin/pyth}", false},
		{"principal: {uid: 1000, profile: other}", false},
	};
	struct zg_principal p = {.uid = 1000, .profile = "agent"};

	(void)state;
	(void)snprintf(p.cgroup, sizeof(p.cgroup), "zerogate.slice/ci.service/job");
	for (size_t i = 0; i < ZG_COUNT(cases); i++) {
		char text[512];
		struct world w;

		(void)snprintf(text, sizeof(text), ALLOW_IF("%s"), cases[i].condition);
		world_rules(&w, text);
		if ((judge_who(&w, &p, "/usr/bin/python3", 1).kind == ZG_D_ALLOW) != cases[i].holds)
			fail_msg("%s", cases[i].condition);
		/* nobody knows who it is: no grant */
		assert_int_equal(judge_who(&w, NULL, "", 1).kind, ZG_D_DENY);
		world_end(&w);
		(void)snprintf(text, sizeof(text), DENY_IF("%s"), cases[i].condition);
		world_rules(&w, text);
		if ((judge_who(&w, &p, "/usr/bin/python3", 1).kind == ZG_D_DENY) != cases[i].holds)
			fail_msg("deny %s", cases[i].condition);
		assert_int_equal(judge_who(&w, NULL, "", 1).kind, ZG_D_DENY);
		world_end(&w);
	}
}

static void cut_cgroup_is_not_known(void **state)
{
	struct zg_principal p = {.uid = 1};
	struct world w;

	(void)state;
	memset(p.cgroup, 'a', sizeof(p.cgroup) - 1);
	world_rules(&w, ALLOW_IF("principal: {cgroup: 'a*'}"));
	assert_int_equal(judge_who(&w, &p, "", 1).kind, ZG_D_DENY);
	world_end(&w);
	world_rules(&w, DENY_IF("principal: {cgroup: 'b*'}"));
	assert_int_equal(judge_who(&w, &p, "", 1).kind, ZG_D_DENY);
	world_end(&w);
}

static void windows_open_and_close(void **state)
{
	/* 2026-11-23 was a Monday; 00:00 UTC of it */
	const uint64_t monday = UINT64_C(1795392000), minute = 60, hour = 3600, day = 86400;
	const struct {
		const char *condition;
		uint64_t at;
		bool holds;
	} cases[] = {
		{"time: {days: [mon]}", monday, true},
		{"time: {days: [mon]}", monday - 1, false},
		{"time: {days: mon, from: '09:00', to: '17:00'}", monday + 9 * hour, true},
		{"time: {days: mon, from: '09:00', to: '17:00'}", monday + 17 * hour, false},
		{"time: {days: mon, from: '09:00', to: '17:00'}", monday + 17 * hour - 1, true},
		{"time: {from: '22:00', to: '06:00', days: [mon]}", monday + 23 * hour, true},
		{"time: {from: '22:00', to: '06:00', days: [mon]}", monday + day + 5 * hour, true},
		{"time: {from: '22:00', to: '06:00', days: [mon]}", monday + 5 * hour, false},
		{"time: {from: '22:00', to: '06:00', days: [mon]}", monday + day + 6 * hour, false},
		{"time: {days: [mon], zone: '+01:00'}", monday - minute, true},
		{"time: {days: [mon], zone: '-05:00'}", monday + 4 * hour, false},
		{"time: {days: [sun], zone: '-05:00'}", monday + 4 * hour, true},
		{"time: {to: '24:00', from: '23:59'}", monday + day - 1, true},
		{"time: [{days: [tue]}, {days: [mon]}]", monday, true},
		{"time: {days: [mon]}", 0, false},
		{"time: {days: [mon]}", UINT64_MAX, false},
	};

	(void)state;
	for (size_t i = 0; i < ZG_COUNT(cases); i++) {
		char text[512];
		struct world w;

		(void)snprintf(text, sizeof(text), ALLOW_IF("%s"), cases[i].condition);
		world_rules(&w, text);
		if ((judge_who(&w, NULL, "", cases[i].at).kind == ZG_D_ALLOW) != cases[i].holds)
			fail_msg("%zu: %s", i, cases[i].condition);
		world_end(&w);
	}
}

static void classify_rules_say_what_a_call_is(void **state)
{
	static const char *const policies[] = {
		"version: v1\nrules:\n"
		"  - {id: reads, match: {labels: {mcp.action: read}}, decision: ALLOW}\n"
		"  - {id: danger, match: {risk_tags: [danger]}, decision: DENY}\n"
		"  - {id: web, match: {labels: {area: web}}, decision: REQUIRE_APPROVAL}\n"
		"classify:\n"
		"  - {id: query, match: {labels: {mcp.tool: push}, args: {/sql: 'SELECT *'}}, set: "
		"{action: read}}\n"
		"  - {id: drop, match: {args: {/sql: {regex: '(?i)drop'}}}, set: {action: write, "
		"risk_tags: [danger]}}\n"
		"  - {id: a, match: {args: {/area: a}}, set: {labels: {area: web}}}\n"
		"  - {id: b, match: {args: {/other: b}}, set: {labels: {area: db}}}\n",
		NULL};
	struct world w;

	(void)state;
	world_make(&w, NULL, policies, world_servers);
	assert_string_equal(first_error(&w), "");
	assert_int_equal(judge_args(&w, "{\"sql\":\"SELECT 1\"}").kind, ZG_D_ALLOW);
	assert_int_equal(judge_args(&w, "{\"sql\":\"UPDATE\"}").kind, ZG_D_DENY);
	assert_int_equal(judge_args(&w, "{\"sql\":\"SELECT 1; dRoP\"}").matched, 1);
	assert_int_equal(judge_args(&w, "{\"sql\":\"SELECT 1; dRoP\"}").kind, ZG_D_DENY);
	assert_int_equal(judge_args(&w, "{\"area\":\"a\"}").kind, ZG_D_REQUIRE_APPROVAL);
	/* two that contradict each other */
	assert_int_equal(
		judge_args(&w, "{\"area\":\"a\",\"other\":\"b\",\"sql\":\"SELECT 1\"}").reason,
		ZG_DR_UNCLEAR);
	world_end(&w);
}

static void resources_and_prompts_have_labels_and_classes(void **state)
{
	static const char *const servers[] = {
		"{\"name\":\"a.b/files\",\"description\":\"d\",\"version\":\"1\",\"remotes\":[{"
		"\"type\":\"streamable-http\",\"url\":\"http://127.0.0.1:7003/"
		"mcp\"}],\"_meta\":{\"dev.zerogate/registry\":{\"id\":\"files\",\"resources\":{"
		"\"file:///etc/*\":{\"action\":\"write\",\"risk_tags\":[\"secret\"]}},\"prompts\":{"
		"\"deploy\":{\"action\":\"write\"}}}}}",
		NULL};
	static const char *const policies[] = {
		"version: v1\nrules:\n"
		"  - {id: reads, match: {labels: {mcp.action: read}}, decision: ALLOW}\n"
		"  - {id: p, match: {labels: {mcp.prompt: deploy}}, decision: REQUIRE_APPROVAL}\n"
		"  - {id: home, match: {labels: {mcp.resource: 'file:///home/*'}}, decision: "
		"DENY}\n",
		NULL};
	struct world w;

	(void)state;
	world_make(&w, NULL, policies, servers);
	assert_string_equal(first_error(&w), "");
	assert_int_equal(judge(&w, "files", "resources/read", "file:///srv/a").kind, ZG_D_ALLOW);
	assert_int_equal(judge(&w, "files", "resources/read", "file:///home/a").kind, ZG_D_DENY);
	assert_int_equal(judge(&w, "files", "resources/subscribe", "file:///home/a").kind,
			 ZG_D_DENY);
	assert_int_equal(judge(&w, "files", "resources/read", "file:///etc/a").kind, ZG_D_DENY);
	assert_int_equal(judge(&w, "files", "prompts/get", "deploy").kind, ZG_D_REQUIRE_APPROVAL);
	assert_int_equal(judge(&w, "files", "prompts/get", "other").kind, ZG_D_ALLOW);
	world_end(&w);
}

static void a_list_shows_what_some_call_may_do(void **state)
{
	struct zg_envelope env = {.server = ZG_SLICE("github"),
				  .method = ZG_SLICE("tools/call"),
				  .tool = ZG_SLICE("push"),
				  .preview = true};
	struct zg_decision d;
	struct world w;

	(void)state;
	world_rules(&w, "  - id: a\n    decision: ALLOW\n    match: {args: {/a: x}}\n"
			"  - id: b\n    decision: DENY\n    match: {args: {/a: y}}\n");
	assert_int_equal(zg_envelope_classify(&w.policy, &env), 0);
	zg_decide(&w.policy, &env, &d);
	assert_int_equal(d.kind, ZG_D_ALLOW);
	world_end(&w);
}

static void rules_annotate_and_advise(void **state)
{
	char text[256];
	struct zg_decision d;
	struct zg_slice todo;
	struct world w;

	(void)state;
	world_rules(&w, "  - id: a\n    decision: DENY\n    match: {}\n    remediation: ask ops\n"
			"    annotate: {team: x, cost: high}\n"
			"  - id: b\n    decision: ALLOW\n    match: {}\n    annotate: {team: y}\n"
			"  - id: c\n    decision: ALLOW\n    match: {labels: {mcp.tool: none}}\n"
			"    annotate: {never: y}\n");
	d = judge_args(&w, "{}");
	zg_decision_labels_text(&w.policy, &d, text, sizeof(text));
	assert_string_equal(text, "cost=high,team=x,team=y");
	todo = zg_decision_remediation(&w.policy, &d);
	assert_true(zg_slice_eq(todo, ZG_SLICE("ask ops")));
	zg_decision_why_text(&w.policy, &d, text, sizeof(text));
	assert_string_equal(text, ""); /* none of them says why */
	world_end(&w);
}

/* What a person who is asked reads: all that match and say why, in a line each. */
static void rules_say_why(void **state)
{
	struct zg_decision d;
	struct world w;
	char text[256];

	(void)state;
	world_rules(
		&w,
		"  - id: a\n    decision: REQUIRE_APPROVAL\n    match: {}\n    reason: it costs\n"
		"  - id: b\n    decision: ALLOW\n    match: {}\n"
		"  - id: c\n    decision: REQUIRE_APPROVAL\n    match: {}\n    reason: it is seen\n"
		"  - id: n\n    decision: DENY\n    match: {labels: {mcp.tool: none}}\n"
		"    reason: never\n");
	d = judge_args(&w, "{}");
	assert_int_equal(d.kind, ZG_D_REQUIRE_APPROVAL);
	zg_decision_why_text(&w.policy, &d, text, sizeof(text));
	assert_string_equal(text, "a: it costs\nc: it is seen");
	zg_decision_why_text(&w.policy, &d, text, 12); /* too little room: it says so */
	assert_string_equal(text, "a: it co...");
	world_end(&w);
}

static int user_of(void *arg, struct zg_slice name, uint32_t *uid)
{
	(void)arg;
	if (zg_slice_eq(name, ZG_SLICE("ann")))
		*uid = 1001;
	else if (zg_slice_eq(name, ZG_SLICE("bob")))
		*uid = 1002;
	else
		return 0;
	return 1;
}

static enum zg_decision_kind judge_uid(const struct world *w, uint32_t uid)
{
	struct zg_principal who = {.uid = uid, .profile_id = ZG_PROFILE_FIRST};
	struct zg_envelope env = {.server = ZG_SLICE("github"),
				  .method = ZG_SLICE("tools/call"),
				  .tool = ZG_SLICE("push"),
				  .principal = &who};
	struct zg_decision d;

	assert_int_equal(zg_envelope_classify(&w->policy, &env), 0);
	zg_decide(&w->policy, &env, &d);
	return d.kind;
}

static const struct {
	const char *condition;
	bool ann, cat; /* does it restrict 1001, 1003 ? */
	bool allows;   /* may 1001, if the rule says ALLOW? */
} users[] = {
	{"principal: {user: ann}", true, false, true},
	{"principal: {user: [ann, ann, bob]}", true, false, true},
	{"principal: {user: bob}", false, false, false},
	/* nobody can tell who that is: it may be anybody */
	{"principal: {user: ghost}", true, true, false},
	{"principal: {user: [bob, ghost]}", true, true, false},
	{"principal: {user: [ann, ghost]}", true, true, true},
};

static void names_of_users_are_uids(void **state)
{
	char rules[1024];

	(void)state;
	world_user = user_of;
	for (size_t i = 0; i < ZG_COUNT(users); i++) {
		struct world w;

		(void)snprintf(rules, sizeof(rules), DENY_IF("%s"), users[i].condition);
		world_rules(&w, rules);
		assert_int_equal(judge_uid(&w, 1001), users[i].ann ? ZG_D_DENY : ZG_D_ALLOW);
		assert_int_equal(judge_uid(&w, 1003), users[i].cat ? ZG_D_DENY : ZG_D_ALLOW);
		world_end(&w);
		(void)snprintf(rules, sizeof(rules), ALLOW_IF("%s"), users[i].condition);
		world_rules(&w, rules);
		assert_int_equal(judge_uid(&w, 1001), users[i].allows ? ZG_D_ALLOW : ZG_D_DENY);
		assert_int_equal(judge_uid(&w, 1003), ZG_D_DENY);
		world_end(&w);
	}
	world_user = NULL;
}

/* The same policy is the same snapshot on a machine with other uids. */
static void uids_are_no_part_of_the_id(void **state)
{
	struct world with, without;

	(void)state;
	world_user = user_of;
	world_rules(&with, ALLOW_IF("principal: {user: ann}"));
	world_user = NULL;
	world_rules(&without, ALLOW_IF("principal: {user: ann}"));
	assert_memory_equal(with.id, without.id, 32);
	world_end(&with);
	world_end(&without);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arguments_match_exactly),
		cmocka_unit_test(what_is_too_long_to_read_restricts),
		cmocka_unit_test(principals_match),
		cmocka_unit_test(cut_cgroup_is_not_known),
		cmocka_unit_test(windows_open_and_close),
		cmocka_unit_test(classify_rules_say_what_a_call_is),
		cmocka_unit_test(resources_and_prompts_have_labels_and_classes),
		cmocka_unit_test(a_list_shows_what_some_call_may_do),
		cmocka_unit_test(rules_annotate_and_advise),
		cmocka_unit_test(names_of_users_are_uids),
		cmocka_unit_test(uids_are_no_part_of_the_id),
		cmocka_unit_test(rules_say_why),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
