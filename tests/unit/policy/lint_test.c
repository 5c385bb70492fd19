/* SPDX-License-Identifier: Apache-2.0 */
/* Lint: what it finds in a policy, where, and that it is silent about honest ones. */
#include "lint.h"
#include "world.h"

#define GITHUB			  "mcp.server: github"
#define RULE(id, match, decision) "  - {id: " id ", match: {" match "}, decision: " decision "}\n"
#define LABELS(text)		  "labels: {" text "}"

struct lint_case {
	const char *what;
	const char *rules;    /* below rules:, and what follows them */
	const char *findings; /* "kind rule line:column;..." in the order of the file */
	const char *says;     /* part of the first one's text */
};

/* Lines count from the one behind "rules:", which is 3. The two servers are world.h's; of
 * slack, that has no classes, every policy hears. */
static const struct lint_case cases[] = {
	/* shadowed */
	{"an ALLOW whose calls all match a DENY",
	 RULE("deny", LABELS(GITHUB), "DENY")
		 RULE("allow", LABELS(GITHUB ", mcp.tool: push"), "ALLOW"),
	 "shadowed allow 4:5", "'deny' (p0:3) matches every call that it matches, and says DENY"},
	{"in whatever order",
	 RULE("allow", LABELS(GITHUB ", mcp.tool: push"), "ALLOW")
		 RULE("deny", LABELS(GITHUB), "DENY"),
	 "shadowed allow 3:5", NULL},
	{"a pattern covers a name and a narrower pattern",
	 RULE("a", LABELS(GITHUB ", mcp.tool: 'get_*'"), "DENY")
		 RULE("b", LABELS(GITHUB ", mcp.tool: [get_me, 'get_secret*']"), "DENY"),
	 "shadowed b 4:5", NULL},
	{"of two that say the same the second",
	 RULE("a", LABELS(GITHUB ", mcp.action: read"), "ALLOW")
		 RULE("b", LABELS("mcp.action: read, " GITHUB), "ALLOW"),
	 "shadowed b 4:5", NULL},
	{"values of a list, one of them",
	 RULE("a", "risk_tags: [prod, secret]", "DENY")
		 RULE("b", "risk_tags: [secret]", "REQUIRE_APPROVAL"),
	 "shadowed b 4:5", NULL},
	{"by a rule that matches every call",
	 RULE("a", "", "DENY") RULE("b", LABELS(GITHUB), "REQUIRE_APPROVAL"), "shadowed b 4:5",
	 NULL},
	{"a server named is a server not in the list",
	 "  - {id: a, match: {mcp: {deny_servers_not_in: [slack]}}, decision: DENY}\n" RULE(
		 "b", LABELS(GITHUB), "REQUIRE_APPROVAL"),
	 "shadowed b 4:5", NULL},
	{"uids and times within others",
	 RULE("a", "principal: {uid: ['1000-1999', 7]}, time: {from: '09:00', to: '17:00'}", "DENY")
		 RULE("b",
		      "principal: {uid: [1000, '1500-1600']}, time: {days: [mon], from: '10:00', "
		      "to: '11:00', zone: '-01:00'}",
		      "DENY"),
	 "shadowed b 4:5", NULL},
	{"but not times in another zone that are outside",
	 RULE("a", "time: {from: '09:00', to: '17:00'}", "DENY")
		 RULE("b", "time: {from: '09:00', to: '17:00', zone: '+01:00'}", "DENY"),
	 "", NULL},
	{"arguments: a number within a range, a text under a pattern, whatever under presence",
	 RULE("a", "args: {/n: {min: 1, max: 9}, /t: 'x*', /p: {present: true}}", "DENY")
		 RULE("b", "args: {/n: [2, 3], /t: xy, /p/q: {regex: z}}", "DENY"),
	 "shadowed b 4:5", NULL},
	{"not a number at the edge of it",
	 RULE("a", "args: {/n: {min: 1, max: 9}}", "DENY")
		 RULE("b", "args: {/n: [9, 9.5]}", "DENY"),
	 "", NULL},
	{"not where the other makes an exception",
	 "  - {id: a, match: {" LABELS(GITHUB) "}, unless: {" LABELS(
		 "mcp.tool: push") "}, decision: DENY}\n" RULE("b", LABELS(GITHUB),
							       "REQUIRE_APPROVAL"),
	 "", NULL},
	{"unless the exception is about others",
	 "  - {id: a, match: {" LABELS(GITHUB) "}, unless: {" LABELS(
		 "mcp.tool: push") "}, decision: DENY}\n" RULE("b",
							       LABELS(GITHUB ", mcp.tool: plain"),
							       "REQUIRE_APPROVAL"),
	 "shadowed b 4:5", NULL},
	{"or is one of its own, too",
	 "  - {id: a, match: {" LABELS(GITHUB) "}, unless: {" LABELS(
		 "mcp.tool: push") "}, decision: DENY}\n"
				   "  - {id: b, match: {" LABELS(GITHUB) "}, unless: {" LABELS(
					   "mcp.tool: ['pu*', plain]") "}, decision: ALLOW}\n",
	 "shadowed b 4:5", NULL},
	{"never one that still bounds the call",
	 RULE("a", LABELS(GITHUB ", mcp.action: write"), "REQUIRE_APPROVAL")
		 RULE("b", LABELS(GITHUB ", mcp.action: write"),
		      "ALLOW_WITH_CONSTRAINTS, constraints: {max_runtime_sec: 5}"),
	 "", NULL},
	{"nor one that is stricter, or about more",
	 RULE("a", LABELS(GITHUB ", mcp.action: read"),
	      "ALLOW") RULE("b", LABELS(GITHUB ", mcp.tool: get_secrets"), "DENY")
		 RULE("c", LABELS("mcp.server: [github, slack], mcp.action: read"), "ALLOW"),
	 "shadowed a 3:5", NULL},
	{"nor one that labels records, or whose reason is told",
	 RULE("m", LABELS(GITHUB), "DENY")
		 RULE("b", LABELS(GITHUB ", mcp.tool: push"), "DENY, reason: no pushing")
			 RULE("c", LABELS(GITHUB ", mcp.tool: plain"), "DENY, annotate: {x: y}"),
	 "", NULL},

	/* contradictory */
	{"an unless that a smaller number meets, too",
	 "  - {id: a, match: {args: {/n: {max: 3}}}, unless: {args: {/n: {max: 5}}}, decision: "
	 "DENY}\n",
	 "contradictory a 3:64", NULL},
	{"a server of the list that is not in it",
	 "  - {id: a, match: {" LABELS(
		 GITHUB) ", mcp: {deny_servers_not_in: [GitHub]}}, decision: DENY}\n",
	 "contradictory a 3:78", NULL},
	{"an unless as wide as its match",
	 "  - {id: a, match: {" LABELS(GITHUB ", mcp.tool: push") "}, unless: {" LABELS(
		 "mcp.tool: 'p*'") "}, decision: DENY}\n",
	 "contradictory a 3:96", "meets unless, too"},
	{"action read with only write tools",
	 RULE("a", LABELS(GITHUB ", mcp.action: read, mcp.tool: [push, create_issue]"), "ALLOW"),
	 "contradictory a 3:5", "as the registry has it"},
	{"a tool that a narrower class makes a write",
	 RULE("a", LABELS(GITHUB ", mcp.action: read, mcp.tool: get_secrets"), "ALLOW"),
	 "contradictory a 3:5", NULL},
	{"a tag that the tool's own class takes away",
	 RULE("a", LABELS(GITHUB ", mcp.tool: create_issue") ", risk_tags: [prod]", "DENY"),
	 "contradictory a 3:5", NULL},
	{"a server's label that its tool overrides",
	 RULE("a", LABELS(GITHUB ", mcp.tool: get_secret_name, env: prod"), "DENY"),
	 "contradictory a 3:5", NULL},

	/* unreachable */
	{"a server that nobody registered", RULE("a", LABELS("mcp.server: gitlab"), "DENY"),
	 "unreachable a 3:42", "no registered server is named 'gitlab'"},
	{"a label", RULE("a", LABELS("tier: gold"), "DENY"), "unreachable a 3:36",
	 "no call has the label 'tier'"},
	{"a value of a label", RULE("a", LABELS("env: [stage, test]"), "DENY"),
	 "unreachable a 3:35", NULL},
	{"a risk tag", RULE("a", "risk_tags: [finance]", "DENY"), "unreachable a 3:32",
	 "no call has the risk tag 'finance'"},
	{"a profile", RULE("a", "principal: {profile: builder}", "DENY"), "unreachable a 3:42",
	 "no profile that may use a server is named 'builder'"},
	{"a tool", RULE("a", LABELS(GITHUB ", mcp.tool: psuh"), "DENY"), "unreachable a 3:60",
	 "has a tool named 'psuh'"},
	{"not a tool of a server of which nobody knows the tools",
	 RULE("a", LABELS("mcp.server: slack, mcp.tool: psuh"), "DENY"), "", NULL},
	{"not what a classify rule gives",
	 RULE("a", LABELS("tier: gold") ", risk_tags: [finance]", "DENY") RULE(
		 "b", LABELS(GITHUB ", mcp.action: read, mcp.tool: push"),
		 "ALLOW") "classify:\n  - {id: c, match: {" LABELS(GITHUB) "}, set: {labels: "
									   "{tier: "
									   "gold}, risk_tags: "
									   "[finance], action: "
									   "read}}\n",
	 "", NULL},
	{"a classify rule itself, that another one would have to feed",
	 RULE("a", LABELS("tier: gold"), "DENY") "classify:\n  - {id: c, match: {" LABELS(
		 GITHUB) "}, set: {labels: {tier: gold}}}\n  - {id: d, match: {" LABELS("tier: "
											"gold") "},"
												" s"
												"et"
												": "
												"{r"
												"is"
												"k_"
												"ta"
												"gs"
												": "
												"[s"
												"ec"
												"re"
												"t]"
												"}}"
												"\n",
	 "unreachable d 6:36", NULL},

	/* over-broad */
	{"ALLOW for every call", RULE("a", "", "ALLOW"), "over-broad a 3:5",
	 "writes of every tool of every server"},
	{"ALLOW for every tool", RULE("a", LABELS("mcp.tool: '*'"), "ALLOW"), "over-broad a 3:5",
	 NULL},
	{"ALLOW for all writes", RULE("a", LABELS("mcp.action: write, mcp.server: '*'"), "ALLOW"),
	 "over-broad a 3:5", NULL},
	{"with exceptions",
	 "  - {id: a, match: {}, unless: {risk_tags: [prod]}, decision: ALLOW}\n",
	 "over-broad a 3:5", "but for what its unless names"},
	{"writes to production", RULE("a", LABELS(GITHUB) ", risk_tags: [non_prod, prod]", "ALLOW"),
	 "over-broad a 3:62", "writes to production"},
	{"and by label",
	 RULE("a", LABELS("env: prod, mcp.tool: push"),
	      "ALLOW_WITH_CONSTRAINTS, constraints: {max_runtime_sec: 5}"),
	 "over-broad a 3:35", NULL},
	{"a default that allows", "  []\ndefault_decision: ALLOW\n", "over-broad  4:1", NULL},

	/* honest ones */
	{"reads of everything, approval of writes",
	 RULE("a", LABELS("mcp.action: read"), "ALLOW")
		 RULE("b", LABELS("mcp.action: write"), "REQUIRE_APPROVAL"),
	 "", NULL},
	{"reads of production", RULE("a", LABELS("mcp.action: read") ", risk_tags: prod", "ALLOW"),
	 "", NULL},
	{"a prompt, a resource and what a server asks",
	 RULE("a", LABELS(GITHUB ", mcp.prompt: push"),
	      "ALLOW") RULE("b", LABELS("mcp.resource: 'file:///*'"), "ALLOW")
		 RULE("c", LABELS("mcp.direction: server, mcp.method: 'sampling/*'"), "ALLOW")
			 RULE("d", LABELS("mcp.method: prompts/get, mcp.tool: hello"), "DENY"),
	 "", NULL},
	{"the gate of the example policy",
	 "  - {id: a, match: {" LABELS("mcp.server: '*'") "}, mcp: {deny_servers_not_in: [github, "
							  "slack]}, decision: DENY}\n",
	 "", NULL},
};

#define SLACK "unclassified  1:1"

/* All findings but that about slack, which must be there each time. */
static void lint_text(const char *policy, const struct zg_lint_tool *seen, size_t seen_count,
		      char *out, size_t size, char *says)
{
	zg_autobuf snapshot = ZG_BUF(ZG_SNAPSHOT_BYTES);
	struct zg_diag diag = {0};
	struct zg_lint l = {0};
	struct zg_build *b = zg_build_new(&diag);
	size_t used = 0;
	uint8_t id[32];

	assert_non_null(b);
	zg_build_add(b, ZG_CF_MAIN, "main", zg_slice_str(WORLD_MAIN));
	zg_build_add(b, ZG_CF_POLICY, "p0", zg_slice_str(policy));
	zg_build_add(b, ZG_CF_SERVER, "s0", zg_slice_str(world_servers[0]));
	zg_build_add(b, ZG_CF_SERVER, "s1", zg_slice_str(world_servers[1]));
	if (zg_build_finish(b, ZG_BUILD_POLICY, &snapshot, id, NULL) < 0)
		print_message("%u:%u: %s\n", diag.item[0].line, diag.item[0].column,
			      diag.item[0].what);
	assert_int_equal(diag.errors, 0);
	assert_int_equal(zg_build_lint(b, seen, seen_count, &l), 0);
	zg_build_free(b);
	out[0] = says[0] = '\0';
	assert_true(l.count == l.kept && l.count > 0);
	for (size_t i = 0; i < l.kept; i++) {
		const struct zg_lint_item *f = &l.item[i];

		assert_true(f->hint[0] != '\0');
		if (!seen_count && f->kind == ZG_LINT_UNCLASSIFIED) {
			assert_string_equal(f->file, "s1");
			assert_non_null(strstr(f->what, "'slack'"));
			continue;
		}
		if (!says[0])
			(void)snprintf(says, ZG_REASON_LEN, "%s", f->what);
		used += (size_t)snprintf(out + used, size - used, "%s%s %s %u:%u", used ? ";" : "",
					 zg_lint_text(f->kind), f->rule, f->line, f->column);
		assert_true(used < size);
	}
	zg_lint_release(&l);
	zg_diag_release(&diag);
}

static void each_case_finds_what_it_must(void **state)
{
	char policy[4096], got[1024], says[ZG_REASON_LEN];
	size_t wrong = 0;

	(void)state;
	for (size_t i = 0; i < ZG_COUNT(cases); i++) {
		const struct lint_case *c = &cases[i];

		assert_true(snprintf(policy, sizeof(policy), "version: v1\nrules:\n%s", c->rules) <
			    (int)sizeof(policy));
		lint_text(policy, NULL, 0, got, sizeof(got), says);
		if (strcmp(got, c->findings) == 0 && (!c->says || strstr(says, c->says)))
			continue;
		print_message("%s:\n  expected %s (%s)\n  found    %s (%s)\n", c->what, c->findings,
			      c->says ? c->says : "", got, says);
		wrong++;
	}
	assert_int_equal(wrong, 0);
}

static void tools_that_were_seen_are_held_against_the_registry(void **state)
{
	const struct zg_lint_tool seen[] = {
		{ZG_SLICE("github"), ZG_SLICE("get_me")},
		{ZG_SLICE("github"), ZG_SLICE("brand_new")},
		{ZG_SLICE("slack"), ZG_SLICE("post")},
		{ZG_SLICE("slack"), ZG_SLICE("read")},
	};
	char got[1024], says[ZG_REASON_LEN];

	(void)state;
	lint_text("version: v1\nrules:\n" RULE("a", LABELS("mcp.tool: brand_new"),
					       "DENY") "classif"
						       "y:\n  - {id: c, match: {labels: {mcp.tool: "
						       "re*}}, set: {action: read}}\n",
		  seen, ZG_COUNT(seen), got, sizeof(got), says);
	assert_string_equal(got, "unclassified  1:1;unclassified  1:1");
	assert_non_null(strstr(says, "'brand_new' of server 'github'"));
}

/* Thousands of rules are compared in a time that nobody waits for. */
static void many_rules_are_many_findings_kept_to_a_bound(void **state)
{
	enum { RULES = 4000 };
	zg_autobuf text = ZG_BUF(ZG_CONFIG_FILE_BYTES);
	zg_autobuf snapshot = ZG_BUF(ZG_SNAPSHOT_BYTES);
	struct zg_diag diag = {0};
	struct zg_lint l = {0};
	struct zg_build *b = zg_build_new(&diag);
	uint8_t id[32];

	(void)state;
	assert_non_null(b);
	zg_buf_str(&text, "version: v1\nrules:\n" RULE("all", LABELS(GITHUB), "DENY"));
	for (int i = 0; i < RULES; i++)
		zg_buf_fmt(&text, RULE("r%d", LABELS(GITHUB ", mcp.tool: 'get_%d'"), "ALLOW"), i,
			   i);
	zg_build_add(b, ZG_CF_MAIN, "main", zg_slice_str(WORLD_MAIN));
	zg_build_add(b, ZG_CF_POLICY, "p0", zg_buf_slice(&text));
	zg_build_add(b, ZG_CF_SERVER, "s0", zg_slice_str(world_servers[0]));
	assert_int_equal(zg_build_finish(b, ZG_BUILD_POLICY, &snapshot, id, NULL), 0);
	assert_int_equal(zg_build_lint(b, NULL, 0, &l), 0);
	assert_int_equal(l.count, RULES);
	assert_int_equal(l.kept, ZG_LINT_MAX);
	zg_lint_release(&l);
	zg_build_free(b);
	zg_diag_release(&diag);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_case_finds_what_it_must),
		cmocka_unit_test(tools_that_were_seen_are_held_against_the_registry),
		cmocka_unit_test(many_rules_are_many_findings_kept_to_a_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
