/* SPDX-License-Identifier: Apache-2.0 */
/* Policies that must not load, and where they say they are wrong. */
#include "policy/world.h"

#define TOP  "version: v1\nrules:\n"
#define RULE TOP "  - id: r\n    decision: DENY\n"

static const struct {
	const char *text;
	const char *error;
} wrong[] = {
	/* the text itself */
	{"", "p0:1:1: the file is empty"},
	{"version: v1\nversion: v1\nrules: []\n", "p0:2:1: duplicate key 'version'"},
	{"version: v1\nrules: [&a x]\n", "p0:2:9: anchors are not supported"},
	{"version: v1\nrules: [*a]\n", "p0:2:9: aliases are not supported"},
	{"version: !!str v1\nrules: []\n", "p0:1:10: tags (!name) are not supported"},
	{"version: v1\nrules: []\n---\nversion: v1\n", "p0:3:1: a second document in one file"},
	{"version: v1\nrules: {[a]: b}\n", "p0:2:9: a key must be text"},
	{"version: v1\nrules: [\"\\0\"]\n", "p0:2:9: control character in a text"},
	{"version: v1\nrules: [[[[[[[[[[[[[[[[[[\n", "p0:2:23: nested deeper than 16"},
	{"version: v1\n\trules: []\n",
	 "p0:2:1: while scanning a plain scalar: found a tab character that violates indentation"},
	{"version: v1\nrules: \xff\n", "p0:2:8: not valid UTF-8 text: invalid leading UTF-8 octet"},
	/* the frame */
	{"rules: []\n", "p0:1:1: a policy has no 'version'"},
	{"version: v1\n", "p0:1:1: a policy has no 'rules'"},
	{"version: v2\nrules: []\n", "p0:1:10: version 'v2' is not supported"},
	{"version: v1\nrules: []\nrule: []\n", "p0:3:1: unknown key 'rule' in a policy"},
	{"version: v1\nrules: {}\n", "p0:2:8: rules must be a list"},
	{"version: v1\nrules: []\nclassify: []\n", "p0:3:11: classify must be a list of rules"},
	{"version: v1\nrules: []\ndefault_decision: allow\n", "p0:3:19: 'allow' is not a decision"},
	{"version: v1\nrules: []\ndefault_decision: ALLOW_WITH_CONSTRAINTS\n",
	 "p0:3:19: a default has no constraints, so it cannot be ALLOW_WITH_CONSTRAINTS"},
	/* a rule */
	{TOP "  - decision: DENY\n    match: {}\n", "p0:3:5: a rule has no 'id'"},
	{TOP "  - id: r\n    match: {}\n", "p0:3:5: a rule has no 'decision'"},
	{TOP "  - id: 'a b'\n    match: {}\n    decision: DENY\n",
	 "p0:3:9: 'a b' is not a rule id"},
	{TOP "  - id: ~\n    match: {}\n    decision: DENY\n",
	 "p0:3:9: id: a value is missing here"},
	{TOP "  - id: r\n    match: {}\n    decision: Deny\n", "p0:5:15: 'Deny' is not a decision"},
	{RULE "", "p0:3:5: rule 'r' has no condition"},
	{RULE "    match: {}\n    matches: {}\n", "p0:6:5: unknown key 'matches' in a rule"},
	{RULE "    match: []\n", "p0:5:12: match must be a map (key: value)"},
	{RULE "    match: {}\n    approvers: 2\n", "p0:6:16: approvers in a rule that says DENY"},
	{RULE "    match: {}\n  - id: r\n    match: {}\n    decision: ALLOW\n",
	 "p0:6:5: rule id 'r' is used twice"},
	/* conditions */
	{RULE "    match: {args: {}}\n", "p0:5:19: args must be a map: \"/pointer\": value"},
	{RULE "    match: {principal: {}}\n", "p0:5:24: principal without a condition"},
	{RULE "    match:\n      labels: {}\n",
	 "p0:6:15: labels must be a map: label: value, or label: [values]"},
	{RULE "    match:\n      labels: {env: []}\n", "p0:6:21: env: the list is empty"},
	{RULE "    match:\n      labels: {env: }\n", "p0:6:21: env: a value is missing here"},
	{RULE "    match:\n      labels: {env: {a: b}}\n",
	 "p0:6:21: env: expected text, found a map"},
	{RULE "    match:\n      labels: {mcp.sever: x}\n",
	 "p0:6:16: no call ever has the label 'mcp.sever'"},
	{RULE "    match:\n      labels: {mcp.action: delete}\n",
	 "p0:6:28: mcp.action can never have this value"},
	{RULE "    match:\n      risk_tags: []\n", "p0:6:18: risk_tags: the list is empty"},
	{RULE "    match:\n      risk_tags: ['pr*']\n", "p0:6:18: 'pr*' is not a risk tag"},
	{RULE "    unless: {}\n    match: {}\n",
	 "p0:5:13: unless has no condition, so the rule could never match"},
	{RULE "    mcp: {deny_servers: [a]}\n", "p0:5:11: unknown key 'deny_servers' in mcp"},
	{RULE "    mcp: {deny_servers_not_in: []}\n",
	 "p0:5:32: deny_servers_not_in: the list is empty"},
	{RULE "    mcp: {deny_servers_not_in: ['git*']}\n", "p0:5:32: 'git*' is not a server id"},
	{TOP "  - id: r\n    decision: ALLOW\n    mcp: {deny_servers_not_in: [a]}\n",
	 "p0:5:32: deny_servers_not_in in a rule that says ALLOW"},
	/* arguments, principals, times */
	{RULE "    match: {args: {a: 1}}\n", "p0:5:20: the pointer 'a' does not begin with '/'"},
	{RULE "    match: {args: {\"/a/-\": 1}}\n",
	 "p0:5:20: the pointer '/a/-' has '-', the place behind an array's end, where nothing ever "
	 "is"},
	{RULE "    match: {args: {/a~2: 1}}\n",
	 "p0:5:20: the pointer '/a~2' has a '~' that is not '~0' or '~1'"},
	{RULE "    match: {args: {/a: []}}\n", "p0:5:24: /a: the list is empty"},
	{RULE "    match: {args: {/a: }}\n", "p0:5:24: /a: a value is missing here"},
	{RULE "    match: {args: {/a: 0x1f}}\n",
	 "p0:5:24: '0x1f' is neither a JSON value nor clearly text"},
	{RULE "    match: {args: {/a: .nan}}\n",
	 "p0:5:24: '.nan' is neither a JSON value nor clearly text"},
	{RULE "    match: {args: {/a: 010}}\n",
	 "p0:5:24: '010' is neither a JSON value nor clearly text"},
	{RULE "    match: {args: {/a: True}}\n",
	 "p0:5:24: 'True' is neither a JSON value nor clearly text"},
	{RULE "    match: {args: {/a: 9223372036854775808}}\n",
	 "p0:5:24: '9223372036854775808' is neither a JSON value nor clearly text"},
	{RULE "    match: {args: {/a: 1e999}}\n",
	 "p0:5:24: '1e999' is neither a JSON value nor clearly text"},
	{RULE "    match: {args: {/a: {}}}\n",
	 "p0:5:24: a matcher without a condition: the condition could never hold as written"},
	{RULE "    match: {args: {/a: {min: 2, max: 1}}}\n",
	 "p0:5:24: min is larger than max: the condition could never hold as written"},
	{RULE "    match: {args: {/a: {min: NaN}}}\n",
	 "p0:5:30: a bound must be a number as in JSON, within 64 bits"},
	{RULE "    match: {args: {/a: {min: '1'}}}\n",
	 "p0:5:30: a bound must be a number as in JSON, within 64 bits"},
	{RULE "    match: {args: {/a: {is: 1, present: false}}}\n",
	 "p0:5:24: an argument that is not present has no value: the condition could never hold as "
	 "written"},
	{RULE "    match: {args: {/a: {glob: x, min: 1}}}\n",
	 "p0:5:24: no value is both text and a number: the condition could never hold as written"},
	{RULE "    match: {args: {/a: {present: maybe}}}\n", "p0:5:34: present is true or false"},
	{RULE "    match: {args: {/a: {equals: x}}}\n",
	 "p0:5:25: unknown key 'equals' in a matcher"},
	{RULE "    match: {args: {/a: {regex: \"\"}}}\n", "p0:5:32: a regex has 1 to 512 bytes"},
	{RULE "    match: {args: {/a: {regex: 'a('}}}\n",
	 "p0:5:32: the regex 'a(' cannot be compiled: Missing close parenthesis for group started "
	 "at index 1."},
	{RULE "    match: {args: {/a: {regex: '(a)\\1'}}}\n",
	 "p0:5:32: the regex '(a)\\1' cannot be compiled: Back-references are unsupported."},
	{RULE "    match: {args: {/a: x, /a/b: y}}\n",
	 "p0:5:33: '/a/b' cannot be there if '/a' is as this rule says"},
	{RULE "    match: {principal: {uid: []}}\n", "p0:5:30: uid: the list is empty"},
	{RULE "    match: {principal: {uid: 9-1}}\n",
	 "p0:5:30: '9-1' is no uid and no range of uids"},
	{RULE "    match: {principal: {uid: -1}}\n",
	 "p0:5:30: '-1' is no uid and no range of uids"},
	{RULE "    match: {principal: {user: a*}}\n", "p0:5:31: 'a*' is not the name of a user"},
	{RULE "    match: {principal: {cgroup: /a}}\n", "p0:5:33: a cgroup begins with '/'"},
	{RULE "    match: {principal: {executable: sh}}\n",
	 "p0:5:37: 'sh' is not an absolute path"},
	{RULE "    match: {principal: {executable_sha256: abc}}\n",
	 "p0:5:44: a SHA-256 has 64 hexadecimal digits"},
	{RULE "    match: {time: {}}\n", "p0:5:19: time without a condition"},
	{RULE "    match: {time: {days: []}}\n", "p0:5:26: days: the list is empty"},
	{RULE "    match: {time: {days: [noday]}}\n", "p0:5:26: 'noday' is not a day"},
	{RULE "    match: {time: {from: '09:00', to: '09:00'}}\n",
	 "p0:5:19: the window ends where it begins"},
	{RULE "    match: {time: {from: '24:00'}}\n", "p0:5:26: '24:00' is not a time of day"},
	{RULE "    match: {time: {from: '9:00'}}\n", "p0:5:26: '9:00' is not a time of day"},
	{RULE "    match: {time: {days: mon, zone: Europe/Berlin}}\n",
	 "p0:5:37: 'Europe/Berlin' is not a zone"},
	/* the rest of a rule, and classify rules */
	{RULE "    match: {}\n    annotate: {}\n", "p0:6:15: expected a map of labels: key: value"},
	{RULE "    match: {}\n    annotate: {mcp.x: y}\n",
	 "p0:6:16: 'mcp.x' is not a label that a rule may set"},
	{"version: v1\nrules: []\nclassify:\n  - {id: c, match: {}, set: {action: read}}\n",
	 "p0:4:20: a classify rule needs a condition"},
	{"version: v1\nrules: []\nclassify:\n  - {id: c, match: {risk_tags: a}, set: {}}\n",
	 "p0:4:41: set without anything to set"},
	{"version: v1\nrules: []\nclassify:\n  - {id: c, match: {risk_tags: a}, set: {action: "
	 "run}}\n",
	 "p0:4:50: an action is read or write"},
	{"version: v1\nrules: []\nclassify:\n  - {id: c, match: {principal: {uid: 1}}, set: "
	 "{action: read}}\n",
	 "p0:4:21: unknown key 'principal' in match of a classify rule"},
	/* constraints */
	{RULE "    match: {}\n    constraints: {max_retries: 1}\n",
	 "p0:6:18: a DENY cannot have constraints"},
	{TOP "  - id: r\n    match: {}\n    decision: ALLOW_WITH_CONSTRAINTS\n",
	 "p0:5:15: ALLOW_WITH_CONSTRAINTS without constraints"},
	{TOP "  - id: r\n    match: {}\n    decision: ALLOW\n    constraints: {}\n",
	 "p0:6:18: constraints without a constraint"},
	{TOP
	 "  - id: r\n    match: {}\n    decision: ALLOW\n    constraints: {max_runtime_sec: 0}\n",
	 "p0:6:36: max_runtime_sec: 0 is out of range"},
	{TOP "  - id: r\n    match: {}\n    decision: ALLOW\n    constraints: {max_runtime_sec: "
	     "'60'}\n",
	 "p0:6:36: max_runtime_sec: expected a whole number, found '60'"},
	{TOP
	 "  - id: r\n    match: {}\n    decision: ALLOW\n    constraints: {max_runtime_sec: 1e3}\n",
	 "p0:6:36: max_runtime_sec: expected a whole number, found '1e3'"},
	{TOP "  - id: r\n    match: {}\n    decision: ALLOW\n    constraints: {max_retries: -1}\n",
	 "p0:6:32: max_retries: expected a whole number, found '-1'"},
	{TOP "  - id: r\n    match: {}\n    decision: ALLOW\n    constraints: {max_retries: 010}\n",
	 "p0:6:32: max_retries: expected a whole number, found '010'"},
	{TOP "  - id: r\n    match: {}\n    decision: ALLOW\n    constraints: {max_retries: "
	     "99999999999999999999}\n",
	 "p0:6:32: max_retries: 99999999999999999999 is out of range"},
	{TOP "  - id: r\n    match: {}\n    decision: ALLOW\n    constraints: {network_allowlist: "
	     "[]}\n",
	 "p0:6:38: network_allowlist: the list is empty"},
	{TOP "  - id: r\n    match: {}\n    decision: ALLOW\n    constraints: {network_allowlist: "
	     "['https://a.example']}\n",
	 "p0:6:38: 'https://a.example' is not a host"},
	{TOP "  - id: r\n    match: {}\n    decision: ALLOW\n    constraints: {network_allowlist: "
	     "['*']}\n",
	 "p0:6:38: '*' is not a host"},
	{TOP "  - id: r\n    match: {}\n    decision: ALLOW\n    constraints: {network_allowlist: "
	     "['a.example:443']}\n",
	 "p0:6:38: 'a.example:443' is not a host"},
	/* what Cordum's policies have and zerogate-policy(5) says in other words: nothing of
	 * it is passed over */
	{RULE "    match: {topics: [job.a]}\n", "p0:5:13: unknown key 'topics' in match"},
	{RULE "    match: {tenants: [a]}\n", "p0:5:13: unknown key 'tenants' in match"},
	{RULE "    match: {actor_ids: [a]}\n", "p0:5:13: unknown key 'actor_ids' in match"},
	{RULE "    match: {label_threshold: {size: 5}}\n",
	 "p0:5:13: unknown key 'label_threshold' in match"},
	{RULE "    match: {label_allowlist: {env: [dev]}}\n",
	 "p0:5:13: unknown key 'label_allowlist' in match"},
	{RULE "    match: {mcp: {allow_servers: [a]}}\n",
	 "p0:5:19: unknown key 'allow_servers' in mcp"},
	{RULE "    match: {}\n    velocity: {max: 5}\n",
	 "p0:6:5: unknown key 'velocity' in a rule"},
	{RULE "    match: {}\n    remediations: []\n",
	 "p0:6:5: unknown key 'remediations' in a rule"},
	{TOP "  - id: r\n    match: {}\n    decision: throttle\n",
	 "p0:5:15: 'throttle' is not a decision"},
	{TOP "  - id: r\n    match: {}\n    decision: ALLOW\n    constraints: {budgets: {}}\n",
	 "p0:6:19: unknown key 'budgets' in constraints"},
	{TOP
	 "  - id: r\n    match: {}\n    decision: ALLOW\n    constraints: {redaction_level: x}\n",
	 "p0:6:19: unknown key 'redaction_level' in constraints"},
	{"version: v1\nrules: []\ninput_rules: []\n",
	 "p0:3:1: unknown key 'input_rules' in a policy"},
	{"version: v1\nrules: []\noutput_rules: []\n",
	 "p0:3:1: unknown key 'output_rules' in a policy"},
};

static void wrong_policies_say_where(void **state)
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
		if (!first_hint(&w)[0]) {
			print_error("no next step: %s\n", first_error(&w));
			failed++;
		}
		world_end(&w);
	}
	assert_int_equal(failed, 0);
}

static void all_errors_are_told(void **state)
{
	const char *policies[] = {TOP "  - id: a\n    decision: NO\n    match: {}\n"
				      "  - id: b\n    decision: DENY\n    match: {lables: {}}\n",
				  "version: v3\nrules: []\n", NULL};
	struct world w;

	(void)state;
	world_make(&w, NULL, policies, NULL);
	assert_int_equal(w.diag.errors, 3);
	assert_string_equal(w.diag.item[0].hint,
			    "DENY, REQUIRE_APPROVAL, ALLOW_WITH_CONSTRAINTS or ALLOW");
	assert_string_equal(w.diag.item[1].hint,
			    "known: labels, risk_tags, args, mcp, principal, time");
	assert_string_equal(w.diag.item[2].file, "p1");
	world_end(&w);
}

static void contradicting_files_are_refused(void **state)
{
	const char *defaults[] = {"version: v1\nrules: []\ndefault_decision: ALLOW\n",
				  "version: v1\nrules: []\ndefault_decision: DENY\n", NULL};
	const char *ids[] = {RULE "    match: {}\n", RULE "    match: {}\n", NULL};
	struct world w;

	(void)state;
	world_make(&w, NULL, defaults, NULL);
	assert_string_equal(first_error(&w), "p1:3:19: default_decision is already ALLOW");
	assert_string_equal(w.diag.item[0].hint, "set in p0:3; set it in one file");
	world_end(&w);
	world_make(&w, NULL, ids, NULL);
	assert_string_equal(first_error(&w), "p1:3:5: rule id 'r' is used twice");
	assert_string_equal(w.diag.item[0].hint, "also in p0:3");
	world_end(&w);
}

static void too_many_errors_are_counted(void **state)
{
	zg_autobuf text = ZG_BUF(1 << 20);
	const char *policies[2] = {NULL};
	struct world w;

	(void)state;
	zg_buf_str(&text, TOP);
	for (int i = 0; i < 200; i++)
		zg_buf_fmt(&text, "  - id: r%d\n    match: {}\n    decision: MAYBE\n", i);
	zg_buf_char(&text, '\0');
	policies[0] = text.ptr;
	world_make(&w, NULL, policies, NULL);
	assert_int_equal(w.diag.errors, 200);
	assert_int_equal(w.diag.kept, ZG_DIAG_MAX);
	world_end(&w);
}

static void text_is_not_guessed(void **state)
{
	struct world w;
	struct zg_envelope env = {.server = ZG_SLICE("github"), .method = ZG_SLICE("tools/call")};
	struct zg_decision d;

	(void)state;
	world_rules(&w,
		    "  - id: r\n    match: {labels: {country: no, n: 1.0}}\n    decision: ALLOW\n");
	assert_int_equal(zg_envelope_classify(&w.policy, &env), 0);
	zg_envelope_label(&env, ZG_SLICE("country"), ZG_SLICE("no"));
	zg_envelope_label(&env, ZG_SLICE("n"), ZG_SLICE("1.0"));
	zg_decide(&w.policy, &env, &d);
	assert_int_equal(d.kind, ZG_D_ALLOW);
	zg_envelope_label(&env, ZG_SLICE("country"), ZG_SLICE("false"));
	zg_decide(&w.policy, &env, &d);
	assert_int_equal(d.kind, ZG_D_DENY);
	world_end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrong_policies_say_where),
		cmocka_unit_test(all_errors_are_told),
		cmocka_unit_test(contradicting_files_are_refused),
		cmocka_unit_test(too_many_errors_are_counted),
		cmocka_unit_test(text_is_not_guessed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
