/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot_id_test.c - the id of a snapshot names what is in force: whatever a
 * policy can say changes it, how it is said does not. People sign it.
 */
#include "policy/world.h"

/* What a policy can say: text with one place, and two things to say there. */
static const struct {
	const char *text, *one, *other;
} members[] = {
	{"default_decision: %s\nrules:\n  - {id: r, match: {}, decision: ALLOW}\n", "DENY",
	 "ALLOW"},
#define RULE(member) "rules:\n  - {id: r, match: {labels: {a: b}}, decision: ALLOW, " member "}\n"
#define MATCH(cond)  "rules:\n  - {id: r, match: {" cond "}, decision: ALLOW}\n"
#define LIMIT(cond)                                                                                \
	"rules:\n  - {id: r, match: {}, decision: ALLOW_WITH_CONSTRAINTS, constraints: {" cond     \
	"}}\n"
#define CLASS(cond) "rules: []\nclassify:\n  - {id: c, " cond "}\n"
	{"rules:\n  - {id: %s, match: {}, decision: ALLOW}\n", "r", "s"},
	{"rules:\n  - {id: r, match: {}, decision: %s}\n", "ALLOW", "DENY"},
	{RULE("unless: {labels: {c: %s}}"), "d", "e"},
	{RULE("reason: %s"), "d", "e"},
	{RULE("remediation: %s"), "d", "e"},
	{RULE("annotate: {k: %s}"), "d", "e"},
	{RULE("annotate: {%s: v}"), "d", "e"},
	{MATCH("labels: {%s: b}"), "a", "c"},
	{MATCH("labels: {a: %s}"), "b", "'b*'"},
	{MATCH("labels: {a: %s}"), "b", "[b, c]"},
	{MATCH("risk_tags: %s"), "b", "[b, c]"},
	{"rules:\n  - {id: r, match: {mcp: {deny_servers_not_in: %s}}, decision: DENY}\n", "b",
	 "[b, c]"},
	{MATCH("args: {%s: x}"), "/a", "/b"},
	{MATCH("args: {/a: %s}"), "x", "'x*'"},
	{MATCH("args: {/a: %s}"), "1", "'1'"},
	{MATCH("args: {/a: %s}"), "1", "2"},
	{MATCH("args: {/a: %s}"), "1", "1.5"},
	{MATCH("args: {/a: %s}"), "true", "false"},
	{MATCH("args: {/a: %s}"), "null", "'null'"},
	{MATCH("args: {/a: {%s: 'a*'}}"), "is", "glob"},
	{MATCH("args: {/a: {%s: 'a'}}"), "glob", "regex"},
	{MATCH("args: {/a: {regex: %s}}"), "a", "b"},
	{MATCH("args: {/a: {min: %s}}"), "1", "2"},
	{MATCH("args: {/a: {max: %s}}"), "1", "2"},
	{MATCH("args: {/a: {%s: 1}}"), "min", "max"},
	{MATCH("args: {/a: {present: %s}}"), "true", "false"},
	{MATCH("principal: {profile: %s}"), "a", "b"},
	{MATCH("principal: {cgroup: %s}"), "a", "b"},
	{MATCH("principal: {unit: %s}"), "a", "b"},
	{MATCH("principal: {user: %s}"), "a", "b"},
	{MATCH("principal: {%s: a}"), "user", "unit"},
	{MATCH("principal: {uid: %s}"), "1", "'1-2'"},
	{MATCH("principal: {uid: %s}"), "'1-2'", "'1-3'"},
	{MATCH("principal: {executable: %s}"), "/a", "/b"},
	{MATCH("principal: {executable_sha256: %s}"),
	 "1111111111111111111111111111111111111111111111111111111111111111",
	 "2111111111111111111111111111111111111111111111111111111111111111"},
	{MATCH("time: {days: %s}"), "mon", "tue"},
	{MATCH("time: {from: '%s'}"), "09:00", "09:01"},
	{MATCH("time: {to: '%s'}"), "09:00", "09:01"},
	{MATCH("time: {from: '09:00', zone: '%s'}"), "+01:00", "+02:00"},
	{LIMIT("max_runtime_sec: %s"), "1", "2"},
	{LIMIT("max_retries: %s"), "0", "1"},
	{LIMIT("max_output_bytes: %s"), "1000", "2000"},
	{LIMIT("max_concurrent: %s"), "1", "2"},
	{LIMIT("network_allowlist: %s"), "[a.example]", "[b.example]"},
	{LIMIT("redact: %s"), "strict", "withhold"},
	{LIMIT("rate: {calls: %s, per: minute}"), "1", "2"},
	{LIMIT("rate: {calls: 1, per: %s}"), "minute", "hour"},
	{LIMIT("rate: {calls: 1, per: minute, by: [%s]}"), "principal", "tool"},
	{"rules:\n  - {id: r, match: {}, decision: REQUIRE_APPROVAL, approvers: %s}\n", "2", "3"},
	{"rules: []\nclassify:\n  - {id: %s, match: {labels: {a: b}}, set: {action: read}}\n", "c",
	 "d"},
	{CLASS("match: {labels: {a: %s}}, set: {action: read}"), "b", "c"},
	{CLASS("match: {labels: {a: b}}, unless: {labels: {a: %s}}, set: {action: read}"), "b",
	 "c"},
	{CLASS("match: {labels: {a: b}}, set: {action: %s}"), "read", "write"},
	{CLASS("match: {labels: {a: b}}, set: {labels: {k: %s}}"), "b", "c"},
	{CLASS("match: {labels: {a: b}}, set: {risk_tags: [%s]}"), "b", "c"},
};

static void id_of(const char *const *policies, uint8_t id[32])
{
	struct world w;

	world_make(&w, NULL, policies, world_servers);
	if (!w.ok)
		fail_msg("%s\n%s", first_error(&w), policies[0]);
	memcpy(id, w.id, 32);
	world_end(&w);
}

static void fill(char *out, size_t size, const char *text, const char *value)
{
	const char *at = strstr(text, "%s");

	assert_non_null(at);
	assert_true(snprintf(out, size, "version: v1\n%.*s%s%s", (int)(at - text), text, value,
			     at + 2) < (int)size);
}

static void every_member_is_part_of_the_id(void **state)
{
	(void)state;
	for (size_t i = 0; i < ZG_COUNT(members); i++) {
		char one[1024], other[1024];
		const char *first[] = {one, NULL}, *second[] = {other, NULL};
		uint8_t a[32], b[32];

		fill(one, sizeof(one), members[i].text, members[i].one);
		fill(other, sizeof(other), members[i].text, members[i].other);
		id_of(first, a);
		id_of(second, b);
		if (memcmp(a, b, 32) == 0)
			fail_msg("the same id for\n%s%s", one, other);
	}
}

static void order_and_comments_are_not(void **state)
{
	static const char *const one[] = {
		"version: v1\nrules:\n"
		"  - {id: a, match: {labels: {x: [p, q], y: z}, risk_tags: [s, t], args: {/b: [1, "
		"2], /a: "
		"{regex: [m, n]}}, principal: {uid: [1, '5-7', 2], user: [u, v]}, time: [{days: "
		"[mon, "
		"tue]}, {days: [sat]}]}, decision: ALLOW_WITH_CONSTRAINTS, constraints: "
		"{max_retries: 0, "
		"network_allowlist: [a.x, b.x]}, annotate: {k: v, l: w}}\n"
		"  - {id: b, match: {}, decision: DENY}\n"
		"classify:\n  - {id: c, match: {labels: {x: y}}, set: {labels: {k: v, l: w}, "
		"risk_tags: [f, "
		"g]}}\n  - {id: d, match: {labels: {x: y}}, set: {action: read}}\n",
		NULL};
	static const char *const other[] = {
		"# says nothing\nrules: []\nclassify:\n  - {id: d, description: no part, set: "
		"{action: read}, "
		"match: "
		"{labels: {x: y}}}\n  - {id: c, match: {labels: {x: y}}, set: {risk_tags: [g, f], "
		"labels: {l: "
		"w, k: v}}}\nversion: v1\n",
		"version: v1\nrules:\n  # says nothing\n"
		"  - {id: b, decision: DENY, match: {}}\n"
		"  - {annotate: {l: w, k: v}, id: a, match: {time: [{days: [sat]}, {days: [tue, "
		"mon]}], "
		"principal: {user: [v, u], uid: ['5-7', 2, 1]}, args: {/a: {regex: [n, m]}, /b: "
		"[2, 1]}, "
		"risk_tags: [t, s], labels: {y: z, x: [q, p]}}, constraints: {network_allowlist: "
		"[b.x, "
		"a.x], max_retries: 0}, decision: ALLOW_WITH_CONSTRAINTS}\n",
		NULL};
	uint8_t a[32], b[32];

	(void)state;
	id_of(one, a);
	id_of(other, b);
	assert_memory_equal(a, b, 32);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_member_is_part_of_the_id),
		cmocka_unit_test(order_and_comments_are_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
