/* SPDX-License-Identifier: Apache-2.0 */
/* constraints_test.c - constraints: what loads, how rules combine, and that one
 * rule more never loosens what holds already. */
#include "limit.h"
#include "world.h"

#define HEAD(decision) "version: v1\nrules:\n  - id: r\n    decision: " decision "\n"
#define C(text)	       HEAD("ALLOW") "    match: {}\n    constraints: " text "\n"

static const struct {
	const char *text, *error;
} wrong[] = {
	{C("{max_output_bytes: 0}"), "p0:6:37: max_output_bytes: 0 is out of range"},
	{C("{redact: some}"), "p0:6:27: 'some' is not a redact level"},
	{C("{rate: 10}"), "p0:6:25: a rate must be a map (key: value)"},
	{C("{rate: {calls: 10}}"), "p0:6:25: a rate has no 'per'"},
	{C("{rate: {calls: 0, per: day}}"), "p0:6:33: calls: 0 is out of range"},
	{C("{rate: {calls: 1, per: week}}"), "p0:6:41: 'week' is not a window"},
	{C("{rate: {calls: 1, per: day, by: [who]}}"), "p0:6:50: calls are not counted by 'who'"},
	{C("{rate: {calls: 1, per: day, with: x}}"), "p0:6:46: unknown key 'with' in a rate"},
	{C("{rate: []}"), "p0:6:25: a list without a limit"},
	{C("{rate: [{calls: 1, per: day}, {per: day, calls: 2}]}"),
	 "p0:6:48: the same limit is given twice"},
	{C("{max_concurrent: 0}"), "p0:6:35: max_concurrent: 0 is out of range"},
	{C("{max_concurrent: {calls: 1, per: day}}"),
	 "p0:6:46: unknown key 'per' in max_concurrent"},
	{C("{max_concurrent: [1, 2]}"), "p0:6:39: the same limit is given twice"},
	{HEAD("DENY") "    match: {}\n    constraints: {rate: {calls: 1, per: day}}\n",
	 "p0:6:18: a DENY cannot have constraints"},
	{HEAD("ALLOW") "    match: {}\n    approvers: 2\n",
	 "p0:6:16: approvers in a rule that says ALLOW"},
	{HEAD("REQUIRE_APPROVAL") "    match: {}\n    approvers: 0\n",
	 "p0:6:16: approvers: 0 is out of range"},
	{HEAD("ALLOW") "    match: {labels: {mcp.direction: server}}\n"
		       "    constraints: {rate: {calls: 1, per: day}}\n",
	 "p0:6:18: what a server asks can be held to network_allowlist alone"},
	{HEAD("ALLOW") "    match: {labels: {mcp.direction: server}}\n"
		       "    constraints: {max_output_bytes: 1}\n",
	 "p0:6:18: what a server asks can be held to network_allowlist alone"},
};

static void wrong_constraints_say_where(void **state)
{
	size_t failed = 0;

	(void)state;
	for (size_t i = 0; i < ZG_COUNT(wrong); i++) {
		const char *policies[] = {wrong[i].text, NULL};
		struct world w;

		world_make(&w, NULL, policies, NULL);
		assert_false(w.ok);
		if (strcmp(first_error(&w), wrong[i].error) != 0) {
			print_error("%s\nexpected %s\ngot      %s\n", wrong[i].text, wrong[i].error,
				    first_error(&w));
			failed++;
		}
		world_end(&w);
	}
	assert_int_equal(failed, 0);
}

/* All limits of d, by ';'. */
static const char *limits_of(const struct world *w, const struct zg_decision *d)
{
	static char text[1024];
	char one[ZG_LIMIT_TEXT];

	text[0] = '\0';
	for (uint16_t i = 0; i < d->constraints.limit_count; i++) {
		struct zg_limit l = zg_policy_limit(&w->policy, d->constraints.limit[i]);
		size_t n = strlen(text);

		zg_limit_text(&l, one, sizeof(one));
		(void)snprintf(text + n, sizeof(text) - n, "%s%.*s: %s", n ? "; " : "",
			       (int)zg_policy_rule_id(&w->policy, (uint16_t)l.rule).len,
			       zg_policy_rule_id(&w->policy, (uint16_t)l.rule).ptr, one);
	}
	return text;
}

static void the_tightest_of_all_rules(void **state)
{
	struct zg_decision d;
	struct world w;

	(void)state;
	world_rules(&w, "  - {id: a, match: {}, decision: ALLOW_WITH_CONSTRAINTS, constraints: "
			"{max_output_bytes: 500, redact: strict, rate: [{calls: 9, per: minute, "
			"by: tool}, {calls: 100, per: day}], max_concurrent: 3}}\n"
			"  - {id: b, match: {labels: {mcp.server: github}}, decision: "
			"REQUIRE_APPROVAL, approvers: 2, constraints: {max_output_bytes: 400, "
			"rate: {calls: 1, per: second, by: [server, principal]}}}\n"
			"  - {id: c, match: {labels: {mcp.tool: push}}, decision: "
			"REQUIRE_APPROVAL, approvers: 3, constraints: {max_output_bytes: 450, "
			"redact: withhold}}\n");
	d = judge(&w, "slack", "tools/call", "x");
	assert_int_equal(d.kind, ZG_D_ALLOW_WITH_CONSTRAINTS);
	assert_int_equal(d.constraints.max_output_bytes, 500);
	assert_int_equal(d.constraints.redact, ZG_REDACT_STRICT);
	assert_int_equal(d.constraints.approvers, 0);
	assert_string_equal(limits_of(&w, &d), "a: 9 calls per minute by tool; a: 100 calls per "
					       "day; a: 3 calls at once");
	d = judge(&w, "github", "tools/call", "push");
	assert_int_equal(d.constraints.max_output_bytes, 400);
	assert_int_equal(d.constraints.redact, ZG_REDACT_WITHHOLD);
	assert_int_equal(d.constraints.approvers, 3);
	assert_int_equal(d.constraints.limit_count, 4);
	assert_non_null(strstr(limits_of(&w, &d), "b: 1 call per second by principal, server"));
	world_end(&w);
}

static void more_limits_than_fit_deny(void **state)
{
	char rules[4096] = "";
	struct zg_decision d;
	struct world w;

	(void)state;
	for (int i = 0; i <= ZG_LIMITS_MAX; i++) {
		size_t n = strlen(rules);

		(void)snprintf(rules + n, sizeof(rules) - n,
			       "  - {id: r%d, match: {labels: {mcp.tool: [t%d, %s]}}, decision: "
			       "ALLOW, constraints: {max_concurrent: 1}}\n",
			       i, i, i < ZG_LIMITS_MAX ? "fits, over" : "over");
	}
	world_rules(&w, rules);
	d = judge(&w, "github", "tools/call", "fits");
	assert_int_equal(d.kind, ZG_D_ALLOW);
	assert_int_equal(d.constraints.limit_count, ZG_LIMITS_MAX);
	d = judge(&w, "github", "tools/call", "over");
	assert_int_equal(d.kind, ZG_D_DENY);
	assert_int_equal(d.reason, ZG_DR_OVERFLOW);
	assert_int_equal(d.constraints.limit_count, 0);
	world_end(&w);
}

/* Is a at least as tight as b? */
static bool tighter(const struct zg_decision *a, const struct zg_decision *b)
{
	const struct zg_constraints *x = &a->constraints, *y = &b->constraints;

	if (a->kind == ZG_D_DENY)
		return true;
	return a->kind <= b->kind &&
	       (!y->max_runtime_sec ||
		(x->max_runtime_sec && x->max_runtime_sec <= y->max_runtime_sec)) &&
	       (!y->has_max_retries || (x->has_max_retries && x->max_retries <= y->max_retries)) &&
	       (!y->max_output_bytes ||
		(x->max_output_bytes && x->max_output_bytes <= y->max_output_bytes)) &&
	       x->redact >= y->redact && x->approvers >= y->approvers &&
	       x->limit_count >= y->limit_count && x->allowlist_count >= y->allowlist_count;
}

static void one_rule(char *out, size_t size, unsigned int seed, int i)
{
	static const char *const some[] = {
		"max_runtime_sec: %u",	"max_retries: %u",
		"max_output_bytes: %u", "max_concurrent: %u",
		"redact: strict",	"redact: withhold",
		"redact: default",	"rate: {calls: %u, per: hour}",
	};
	static const char *const decisions[] = {"ALLOW", "ALLOW_WITH_CONSTRAINTS",
						"REQUIRE_APPROVAL"};
	static const char *const where[] = {"", "labels: {mcp.server: github}",
					    "labels: {mcp.tool: push}", "risk_tags: prod"};
	char constraint[128];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	(void)snprintf(constraint, sizeof(constraint), some[seed % 8], seed / 8 % 50 + 1);
#pragma GCC diagnostic pop
	(void)snprintf(out, size, "  - {id: r%d, match: {%s}, decision: %s, constraints: {%s}%s}\n",
		       i, where[seed / 400 % 4], decisions[seed / 1600 % 3], constraint,
		       seed / 1600 % 3 == 2 && seed & 1 ? ", approvers: 2" : "");
}

static void one_rule_more_never_loosens(void **state)
{
	static const char *const tools[] = {"push", "create_issue", "get_x", "plain"};
	unsigned int seed = 1;

	(void)state;
	for (int round = 0; round < 200; round++) {
		struct zg_decision before[4] = {{0}};
		char rules[4096] = "";

		for (int n = 0; n < 6; n++) {
			size_t len = strlen(rules);
			struct world w;

			seed = seed * 1103515245 + 12345;
			one_rule(rules + len, sizeof(rules) - len, seed >> 8, n);
			world_rules(&w, rules);
			for (int t = 0; t < 4; t++) {
				struct zg_decision d = judge(&w, "github", "tools/call", tools[t]);

				/* the default is DENY: the first match opens the door */
				if (before[t].matched && !tighter(&d, &before[t]))
					fail_msg("a rule loosened %s:\n%s", tools[t], rules);
				before[t] = d;
			}
			world_end(&w);
		}
	}
}

/* What a snapshot is named after. */
static void constraints_are_hashed(void **state)
{
	static const char *const texts[] = {
		C("{max_retries: 1}"),
		C("{max_retries: 1, max_output_bytes: 5}"),
		C("{max_retries: 1, max_output_bytes: 6}"),
		C("{max_retries: 1, redact: strict}"),
		C("{max_retries: 1, rate: {calls: 1, per: day}}"),
		C("{max_retries: 1, rate: {calls: 1, per: hour}}"),
		C("{max_retries: 1, rate: {calls: 1, per: day, by: tool}}"),
		C("{max_retries: 1, max_concurrent: 1}"),
		HEAD("REQUIRE_APPROVAL") "    match: {}\n",
		HEAD("REQUIRE_APPROVAL") "    match: {}\n    approvers: 2\n",
	};
	static const char *const same[] = {
		C("{rate: [{calls: 1, per: day}, {calls: 1, per: hour}]}"),
		C("{rate: [{per: hour, calls: 1}, {calls: 1, per: day}]}"),
	};
	uint8_t id[ZG_COUNT(texts)][32], other[2][32];

	(void)state;
	for (size_t i = 0; i < ZG_COUNT(texts) + 2; i++) {
		const char *policies[] = {
			i < ZG_COUNT(texts) ? texts[i] : same[i - ZG_COUNT(texts)], NULL};
		struct world w;

		world_make(&w, NULL, policies, NULL);
		assert_true(w.ok);
		memcpy(i < ZG_COUNT(texts) ? id[i] : other[i - ZG_COUNT(texts)], w.id, 32);
		world_end(&w);
		for (size_t j = 0; i < ZG_COUNT(texts) && j < i; j++)
			assert_memory_not_equal(id[i], id[j], 32);
	}
	assert_memory_equal(other[0], other[1], 32);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrong_constraints_say_where),
		cmocka_unit_test(the_tightest_of_all_rules),
		cmocka_unit_test(more_limits_than_fit_deny),
		cmocka_unit_test(one_rule_more_never_loosens),
		cmocka_unit_test(constraints_are_hashed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
