/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A compiled section that somebody broke: refused, or harmless to read. The
 * policy of these tests has rows in every table, each reference of each row is
 * led astray, and whatever is taken up all the same is read in full.
 */
#include "policy/world.h"

#include <math.h>

#include "limit.h"
#include "section.h"
#include "trace.h"

static const char server[] =
	"{\"name\":\"a.b/github\",\"description\":\"d\",\"version\":\"1\",\"remotes\":[{\"type\":"
	"\"streamable-http\",\"url\":\"http://127.0.0.1:7001/mcp\"}],\"_meta\":{\"dev.zerogate/"
	"registry\":{\"id\":\"github\",\"labels\":{\"env\":\"prod\"},\"risk_tags\":[\"prod\"],"
	"\"tools\":{\"get_*\":{\"action\":\"read\",\"labels\":{\"env\":\"none\"}},\"push\":{"
	"\"action\":\"write\",\"risk_tags\":[\"prod\",\"non_prod\"]}},\"resources\":{\"file:///"
	"etc/*\":{\"action\":\"write\"},\"file:///a\":{\"action\":\"read\"}},\"prompts\":{\"hello"
	"\":{\"action\":\"read\"},\"h*\":{\"action\":\"write\"}},\"extensions\":{\"x/one\":{"
	"\"action\":\"read\"},\"x/*\":{\"action\":\"write\"}}}}}";

static const char policy[] =
	"version: v1\nrules:\n"
	"  - id: a\n    match: {labels: {mcp.tool: ['g*', push]}, risk_tags: [prod]}\n"
	"    unless: {labels: {env: test}}\n    decision: ALLOW\n    annotate: {team: core}\n"
	"    constraints: {network_allowlist: [a.example, '*.b.example'], max_retries: 1,\n"
	"      rate: {calls: 9, per: hour, by: [principal, tool]}, max_concurrent: 2}\n"
	"  - id: b\n    match: {labels: {mcp.server: '*'}}\n    decision: DENY\n"
	"    mcp: {deny_servers_not_in: [github]}\n    reason: no\n    remediation: ask\n"
	"  - id: c\n    decision: REQUIRE_APPROVAL\n    approvers: 2\n    match:\n"
	"      principal: {profile: [agent, 'b*'], cgroup: a, unit: x.service, user: root,\n"
	"        uid: [0, '1000-1999'], executable: '/bin/*', executable_sha256: "
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa}\n"
	"      time: {days: [mon, fri], from: '09:00', to: '17:00', zone: '+01:00'}\n"
	"  - id: d\n    decision: ALLOW\n    match:\n"
	"      args: {/a/0: [x, 'y*', 1, 2.5, true, false, null], /b: {regex: ['^q', 'r$']},\n"
	"        /c: {min: 1, max: 2.5}, /d: {present: true}, /e: {present: false}}\n"
	"  - id: e\n    decision: ALLOW\n    match: {principal: {uid: 7}}\n"
	"classify:\n"
	"  - {id: k, match: {labels: {mcp.tool: push}, args: {/f: 1}},\n"
	"     set: {action: read, labels: {tier: gold}, risk_tags: [money]}}\n"
	"  - {id: l, match: {labels: {mcp.tool: 'p*'}}, unless: {risk_tags: [non_prod]},\n"
	"     set: {risk_tags: [secret]}}\n";

static int root_alone(void *arg, struct zg_slice name, uint32_t *uid)
{
	(void)arg;
	*uid = 0;
	return zg_slice_eq(name, ZG_SLICE("root"));
}

static void everything(struct world *w)
{
	const char *const policies[] = {policy, NULL}, *const servers[] = {server, NULL};

	world_user = root_alone;
	world_make(w, NULL, policies, servers);
	if (!w->ok)
		print_message("%s\n", first_error(w));
	assert_true(w->ok);
}

/* --- reading all of it ------------------------------------------------------------- */

static void see(void *arg, const struct zg_trace_cond *c)
{
	*(size_t *)arg += c->what.len + c->expected.len + c->found.len;
}

static void tell(const struct zg_policy *p, const struct zg_envelope *env)
{
	char text[ZG_REASON_LEN];
	struct zg_decision d;
	struct zg_label label;

	zg_decide(p, env, &d);
	assert_true(d.kind < ZG_D_MAX);
	zg_decision_reason_text(p, env, &d, text, sizeof(text));
	zg_decision_why_text(p, &d, text, sizeof(text));
	zg_decision_rules_text(p, &d, text, sizeof(text));
	zg_decision_labels_text(p, &d, text, sizeof(text));
	(void)zg_decision_remediation(p, &d);
	for (uint16_t i = 0; i < d.rule_count; i++) {
		(void)zg_policy_rule_place(p, d.rule[i]);
		(void)zg_policy_rule_label(p, d.rule[i], 0, &label);
	}
	for (uint16_t l = 0; l < d.constraints.allowlist_count; l++) {
		(void)zg_policy_allowlist_has(p, d.constraints.allowlist[l],
					      ZG_SLICE("c.b.example"));
		(void)zg_policy_allowlist_entry(p, d.constraints.allowlist[l], 1);
	}
	for (uint16_t l = 0; l < d.constraints.limit_count; l++) {
		struct zg_limit limit = zg_policy_limit(p, d.constraints.limit[l]);

		zg_limit_text(&limit, text, sizeof(text));
	}
}

static json_t *arguments; /* of every call below */

static void read_all(const struct zg_policy *p)
{
	static const struct {
		struct zg_slice method, tool;
		bool from_server;
	} calls[] = {
		{ZG_SLICE("tools/call"), ZG_SLICE("push"), false},
		{ZG_SLICE("tools/call"), ZG_SLICE("get_me"), false},
		{ZG_SLICE("tools/list"), ZG_SLICE(""), false},
		{ZG_SLICE("resources/read"), ZG_SLICE("FILE:///etc/./x"), false},
		{ZG_SLICE("prompts/get"), ZG_SLICE("hello"), false},
		{ZG_SLICE("x/two"), ZG_SLICE(""), false},
		{ZG_SLICE("sampling/createMessage"), ZG_SLICE(""), true},
	};
	struct zg_principal who = {.uid = 1000, .profile = "agent", .cgroup = "a"};
	size_t seen = 0;

	for (size_t i = 0; i < ZG_COUNT(calls); i++) {
		struct zg_envelope env = {.server = ZG_SLICE("github"),
					  .method = calls[i].method,
					  .tool = calls[i].tool,
					  .from_server = calls[i].from_server,
					  .arguments = i % 2 ? NULL : arguments,
					  .time_sec = i % 2 ? 0 : 1795420800,
					  /* offline, nothing is known of who calls */
					  .principal = i % 2 ? NULL : &who,
					  .profile_unknown = i != 0,
					  .unit = ZG_SLICE("x.service"),
					  .user = ZG_SLICE("root"),
					  .executable = ZG_SLICE("/bin/sh"),
					  .preview = i == 1};

		who.profile_id = ZG_PROFILE_FIRST;
		if (zg_envelope_classify(p, &env) < 0)
			assert_true(env.label_count <= ZG_LABELS_MAX);
		tell(p, &env);
		for (uint16_t r = 0; i < 2 && r < zg_trace_rules(p); r++)
			(void)zg_trace_rule(p, &env, r, i == 0, see, &seen);
	}
	(void)zg_policy_may_use(p, ZG_SLICE("github"), ZG_PROFILE_FIRST);
	(void)zg_policy_asks_executable(p);
}

/* A copy of exact size on the heap, so that a sanitizer sees a read beyond it. */
static void *copy_of(const struct world *w, size_t size)
{
	void *copy = malloc(size ? size : 1);

	assert_non_null(copy);
	memcpy(copy, w->policy.bytes, size);
	return copy;
}

/* --- each reference, out of bounds --------------------------------------------------- */

enum sort {
	TEXT,  /* struct zg_row_text */
	SPAN,  /* struct zg_row_span of rows of another table */
	ROW,   /* number of a row of another table */
	SLOT,  /* likewise + 1, or 0 */
	BELOW, /* a number that must be below a bound */
};

struct field {
	enum zg_policy_table in;
	size_t row_bytes, at, bytes;
	enum sort sort;
	uint32_t of; /* table, or the bound */
};

#define FIELD(IN, type, member, sort, of)                                                          \
	{                                                                                          \
		ZG_PT_##IN, sizeof(type), offsetof(type, member), sizeof(((type *)0)->member),     \
			sort, of                                                                   \
	}
#define WHOLE(IN, type, sort, of)                                                                  \
	{                                                                                          \
		ZG_PT_##IN, sizeof(type), 0, sizeof(type), sort, of                                \
	}

static const struct field fields[] = {
	FIELD(KEYS, struct zg_row_key, name, TEXT, 0),
	WHOLE(KEY_SLOTS, uint32_t, SLOT, ZG_PT_KEYS),
	FIELD(ATOMS, struct zg_row_atom, key, ROW, ZG_PT_KEYS),
	FIELD(ATOMS, struct zg_row_atom, value, TEXT, 0),
	FIELD(ATOMS, struct zg_row_atom, rules, SPAN, ZG_PT_POSTINGS),
	FIELD(ATOMS, struct zg_row_atom, classes, SPAN, ZG_PT_POSTINGS),
	WHOLE(ATOM_SLOTS, uint32_t, SLOT, ZG_PT_ATOMS),
	WHOLE(POSTINGS, uint16_t, ROW, ZG_PT_RULES),
	FIELD(RULES, struct zg_row_rule, id, TEXT, 0),
	FIELD(RULES, struct zg_row_rule, place, TEXT, 0),
	FIELD(RULES, struct zg_row_rule, reason, TEXT, 0),
	FIELD(RULES, struct zg_row_rule, remediation, TEXT, 0),
	FIELD(RULES, struct zg_row_rule, annotate, SPAN, ZG_PT_LABELS),
	FIELD(RULES, struct zg_row_rule, match, SPAN, ZG_PT_CONDS),
	FIELD(RULES, struct zg_row_rule, unless, SPAN, ZG_PT_CONDS),
	FIELD(RULES, struct zg_row_rule, limits, SPAN, ZG_PT_LIMITS),
	FIELD(RULES, struct zg_row_rule, max_runtime_sec, BELOW, ZG_POLICY_RUNTIME_MAX + 1),
	FIELD(RULES, struct zg_row_rule, max_retries, BELOW, ZG_POLICY_RETRIES_MAX + 1),
	FIELD(RULES, struct zg_row_rule, max_output_bytes, BELOW, ZG_POLICY_OUTPUT_MAX + 1),
	FIELD(RULES, struct zg_row_rule, decision, BELOW, ZG_D_MAX),
	FIELD(RULES, struct zg_row_rule, has_max_retries, BELOW, 2),
	FIELD(RULES, struct zg_row_rule, redact, BELOW, ZG_REDACT_MAX),
	FIELD(RULES, struct zg_row_rule, approvers, BELOW, ZG_POLICY_APPROVERS_MAX + 1),
	FIELD(CONDS, struct zg_row_cond, kind, BELOW, ZG_CK_MAX),
	FIELD(CONDS, struct zg_row_cond, atoms, SPAN, ZG_PT_VALUES),
	FIELD(CONDS, struct zg_row_cond, globs, SPAN, ZG_PT_GLOBS),
	WHOLE(VALUES, uint32_t, ROW, ZG_PT_ATOMS),
	WHOLE(GLOBS, struct zg_row_text, TEXT, 0),
	WHOLE(LISTS, struct zg_row_span, SPAN, ZG_PT_HOSTS),
	FIELD(LIMITS, struct zg_limit, rule, ROW, ZG_PT_RULES),
	FIELD(LIMITS, struct zg_limit, kind, BELOW, ZG_QK_CONCURRENT + 1),
	FIELD(LIMITS, struct zg_limit, calls, BELOW, ZG_QUOTA_CALLS_MAX + 1),
	FIELD(LIMITS, struct zg_limit, sec, BELOW, 86400 + 1),
	FIELD(LIMITS, struct zg_limit, by, BELOW, 1u << ZG_LB_MAX),
	WHOLE(HOSTS, struct zg_row_text, TEXT, 0),
	FIELD(SERVERS, struct zg_row_server, id, TEXT, 0),
	FIELD(SERVERS, struct zg_row_server, labels, SPAN, ZG_PT_LABELS),
	FIELD(SERVERS, struct zg_row_server, tags, SPAN, ZG_PT_TAGS),
	FIELD(SERVERS, struct zg_row_server, tools, SPAN, ZG_PT_TOOLS),
	FIELD(SERVERS, struct zg_row_server, globs, SPAN, ZG_PT_TOOLS),
	FIELD(SERVERS, struct zg_row_server, resources, SPAN, ZG_PT_TOOLS),
	FIELD(SERVERS, struct zg_row_server, resource_globs, SPAN, ZG_PT_TOOLS),
	FIELD(SERVERS, struct zg_row_server, prompts, SPAN, ZG_PT_TOOLS),
	FIELD(SERVERS, struct zg_row_server, prompt_globs, SPAN, ZG_PT_TOOLS),
	FIELD(SERVERS, struct zg_row_server, methods, SPAN, ZG_PT_TOOLS),
	FIELD(SERVERS, struct zg_row_server, method_globs, SPAN, ZG_PT_TOOLS),
	FIELD(SERVERS, struct zg_row_server, profiles, SPAN, ZG_PT_PROFILES),
	WHOLE(SERVER_SLOTS, uint32_t, SLOT, ZG_PT_SERVERS),
	FIELD(TOOLS, struct zg_row_tool, pattern, TEXT, 0),
	FIELD(TOOLS, struct zg_row_tool, labels, SPAN, ZG_PT_LABELS),
	FIELD(TOOLS, struct zg_row_tool, tags, SPAN, ZG_PT_TAGS),
	FIELD(TOOLS, struct zg_row_tool, action, BELOW, ZG_ACTION_READ + 1),
	FIELD(TOOLS, struct zg_row_tool, has_tags, BELOW, 2),
	FIELD(LABELS, struct zg_row_label, key, TEXT, 0),
	FIELD(LABELS, struct zg_row_label, value, TEXT, 0),
	WHOLE(TAGS, struct zg_row_text, TEXT, 0),
	FIELD(CLASSES, struct zg_row_class, id, TEXT, 0),
	FIELD(CLASSES, struct zg_row_class, place, TEXT, 0),
	FIELD(CLASSES, struct zg_row_class, match, SPAN, ZG_PT_CONDS),
	FIELD(CLASSES, struct zg_row_class, unless, SPAN, ZG_PT_CONDS),
	FIELD(CLASSES, struct zg_row_class, labels, SPAN, ZG_PT_LABELS),
	FIELD(CLASSES, struct zg_row_class, tags, SPAN, ZG_PT_TAGS),
	FIELD(CLASSES, struct zg_row_class, action, BELOW, ZG_ACTION_READ + 2),
	FIELD(POINTERS, struct zg_row_pointer, text, TEXT, 0),
	FIELD(POINTERS, struct zg_row_pointer, steps, SPAN, ZG_PT_STEPS),
	FIELD(STEPS, struct zg_row_step, name, TEXT, 0),
	FIELD(SCALARS, struct zg_row_scalar, text, TEXT, 0),
	FIELD(SCALARS, struct zg_row_scalar, kind, BELOW, ZG_SCALAR_MAX),
	FIELD(SCALARS, struct zg_row_scalar, number.is_integer, BELOW, 2),
	FIELD(BOUNDS, struct zg_row_bounds, min.is_integer, BELOW, 2),
	FIELD(BOUNDS, struct zg_row_bounds, max.is_integer, BELOW, 2),
	FIELD(BOUNDS, struct zg_row_bounds, has_min, BELOW, 2),
	FIELD(BOUNDS, struct zg_row_bounds, has_max, BELOW, 2),
	WHOLE(REFS, uint32_t, ROW, ZG_PT_REGEXES),
	FIELD(REGEXES, struct zg_row_regex, pattern, TEXT, 0),
	FIELD(REGEXES, struct zg_row_regex, database, SPAN, ZG_PT_BLOB),
};

/* Bytes, and numbers that lead nowhere. */
static const enum zg_policy_table plain[] = {ZG_PT_TEXT, ZG_PT_BLOB, ZG_PT_PROFILES, ZG_PT_UIDS,
					     ZG_PT_WINDOWS};

static uint32_t rows_of(const struct world *w, uint32_t table)
{
	return ((const struct zg_policy_header *)w->policy.bytes)->table[table].count;
}

/* Refused, and nothing was handed out, when these bytes stand there. */
static void refused_with(const struct world *w, size_t at, const void *bytes, size_t n,
			 const char *what, size_t number)
{
	char *copy = copy_of(w, w->policy.size);
	struct zg_policy p = {0};

	memcpy(copy + at, bytes, n);
	if (zg_policy_open(&p, copy, w->policy.size, NULL) != -EBADMSG)
		fail_msg("%s %zu: taken up", what, number);
	assert_null(p.bytes);
	free(copy);
}

/* A pair (first or offset, count or length) over n rows or bytes. */
static void stray_pairs(const struct world *w, size_t at, uint32_t n, const char *what,
			size_t number)
{
	const uint32_t pairs[][2] = {{n, 1},	      {n + 1, 0},      {0, n + 1},
				     {1, n},	      {UINT32_MAX, 0}, {UINT32_MAX, 1},
				     {1, UINT32_MAX}, {n, UINT32_MAX}};

	for (size_t i = 0; i < ZG_COUNT(pairs); i++)
		refused_with(w, at, pairs[i], sizeof(pairs[i]), what, number);
}

static void stray_number(const struct world *w, size_t at, size_t bytes, uint32_t first,
			 const char *what, size_t number)
{
	const uint32_t most = bytes < 4 ? (1u << 8 * bytes) - 1 : UINT32_MAX;
	const uint32_t values[] = {first, most, most - 1};

	for (size_t i = 0; i < ZG_COUNT(values); i++)
		refused_with(w, at, &values[i], bytes, what, number); /* little endian */
}

static void stray(const struct world *w, const struct field *f, uint32_t row)
{
	const struct zg_policy_header *h = w->policy.bytes;
	const size_t at = h->table[f->in].first + row * f->row_bytes + f->at;
	const size_t number = (size_t)(f - fields);

	switch (f->sort) {
	case TEXT:
		stray_pairs(w, at, rows_of(w, ZG_PT_TEXT), "text of field", number);
		break;
	case SPAN:
		stray_pairs(w, at, rows_of(w, f->of), "span of field", number);
		break;
	case ROW:
		stray_number(w, at, f->bytes, rows_of(w, f->of), "row of field", number);
		break;
	case SLOT:
		stray_number(w, at, f->bytes, rows_of(w, f->of) + 1, "slot of field", number);
		break;
	case BELOW:
		stray_number(w, at, f->bytes, f->of, "number of field", number);
		break;
	}
}

static void every_reference_of_every_row_is_checked(void **state)
{
	bool covered[ZG_PT_MAX] = {false};
	struct world w;

	(void)state;
	everything(&w);
	for (size_t i = 0; i < ZG_COUNT(fields); i++) {
		covered[fields[i].in] = true;
		for (uint32_t row = 0; row < rows_of(&w, fields[i].in); row++)
			stray(&w, &fields[i], row);
	}
	for (size_t i = 0; i < ZG_COUNT(plain); i++)
		covered[plain[i]] = true;
	for (uint32_t t = 0; t < ZG_PT_MAX; t++)
		if (!covered[t] || !rows_of(&w, t))
			fail_msg("table %u is not tested", t);
	world_end(&w);
}

/* What a condition's key and operands lie in depends on its kind. */
static void every_condition_is_checked_by_its_kind(void **state)
{
	static const struct {
		uint32_t lowest, highest; /* 0: the last row of the table */
		enum zg_policy_table keys, more;
	} kinds[ZG_CK_MAX] = {
		[ZG_CK_LABEL] = {ZG_KEY_LABELS, 0, ZG_PT_KEYS, ZG_PT_MAX},
		[ZG_CK_RISK_TAG] = {0, 0, ZG_PT_KEYS, ZG_PT_MAX},
		[ZG_CK_SERVER_NOT_IN] = {0, 0, ZG_PT_KEYS, ZG_PT_MAX},
		[ZG_CK_FACT] = {ZG_KEY_FACTS, ZG_KEY_LABELS - 1, ZG_PT_KEYS, ZG_PT_MAX},
		[ZG_CK_UID] = {ZG_KEY_FACTS + ZG_FACT_UID, ZG_KEY_FACTS + ZG_FACT_UID, ZG_PT_KEYS,
			       ZG_PT_UIDS},
		[ZG_CK_USER] = {ZG_KEY_FACTS + ZG_FACT_USER, ZG_KEY_FACTS + ZG_FACT_USER,
				ZG_PT_KEYS, ZG_PT_UIDS},
		[ZG_CK_TIME] = {0, 0, ZG_PT_KEYS, ZG_PT_WINDOWS},
		[ZG_CK_ARG_IS] = {0, 0, ZG_PT_POINTERS, ZG_PT_SCALARS},
		[ZG_CK_ARG_REGEX] = {0, 0, ZG_PT_POINTERS, ZG_PT_REFS},
		[ZG_CK_ARG_RANGE] = {0, 0, ZG_PT_POINTERS, ZG_PT_BOUNDS},
		[ZG_CK_ARG_PRESENT] = {0, 0, ZG_PT_POINTERS, ZG_PT_MAX},
		[ZG_CK_ARG_ABSENT] = {0, 0, ZG_PT_POINTERS, ZG_PT_MAX},
	};
	static const uint32_t some[] = {0, 1};
	bool seen[ZG_CK_MAX] = {false};
	struct zg_policy_view v;
	struct world w;

	(void)state;
	everything(&w);
	v = zg_policy_view(&w.policy);
	for (uint32_t i = 0; i < rows_of(&w, ZG_PT_CONDS); i++) {
		const struct zg_row_cond *c = &v.conds[i];
		const size_t at = (size_t)((const char *)c - (const char *)w.policy.bytes);
		const size_t key = at + offsetof(struct zg_row_cond, key);
		const size_t more = at + offsetof(struct zg_row_cond, more);
		const uint32_t low = kinds[c->kind].lowest - 1, high = kinds[c->kind].highest + 1;

		seen[c->kind] = true;
		stray_number(&w, key, 4, rows_of(&w, kinds[c->kind].keys), "key of kind", c->kind);
		if (kinds[c->kind].lowest)
			refused_with(&w, key, &low, 4, "lower key of kind", c->kind);
		if (kinds[c->kind].highest)
			refused_with(&w, key, &high, 4, "higher key of kind", c->kind);
		if (kinds[c->kind].more == ZG_PT_MAX)
			refused_with(&w, more, some, sizeof(some), "operands of kind", c->kind);
		else
			stray_pairs(&w, more, rows_of(&w, kinds[c->kind].more), "operands of kind",
				    c->kind);
	}
	for (size_t k = 0; k < ZG_CK_MAX; k++)
		if (!seen[k])
			fail_msg("kind %zu is not tested", k);
	world_end(&w);
}

static size_t offset_of(const struct world *w, const void *member)
{
	return (size_t)((const char *)member - (const char *)w->policy.bytes);
}

static void what_hangs_together_is_checked(void **state)
{
	static const double infinite = INFINITY, none = NAN;
	static const uint32_t full[4] = {1, 1, 1, 1}, zero = 0, week = 7 * 86400;
	struct zg_policy_view v;
	struct world w;

	(void)state;
	everything(&w);
	v = zg_policy_view(&w.policy);
	/* a pivot is a condition of its own rule, an allowlist is one or none */
	for (uint32_t i = 0; i < rows_of(&w, ZG_PT_RULES); i++) {
		const uint32_t pivot = v.rules[i].match.count;
		const uint16_t list = (uint16_t)rows_of(&w, ZG_PT_LISTS);

		refused_with(&w, offset_of(&w, &v.rules[i].pivot), &pivot, 4, "pivot of rule", i);
		refused_with(&w, offset_of(&w, &v.rules[i].allowlist), &list, 2, "list of rule", i);
	}
	for (uint32_t i = 0; i < rows_of(&w, ZG_PT_CLASSES); i++) {
		const uint32_t pivot = v.classes[i].match.count;

		refused_with(&w, offset_of(&w, &v.classes[i].pivot), &pivot, 4, "pivot of class",
			     i);
	}
	/* a number is one */
	for (uint32_t i = 0; i < rows_of(&w, ZG_PT_SCALARS); i++)
		refused_with(&w, offset_of(&w, &v.scalars[i].number.real), &none, 8, "scalar", i);
	refused_with(&w, offset_of(&w, &v.bounds[0].min.real), &infinite, 8, "min", 0);
	refused_with(&w, offset_of(&w, &v.bounds[0].max.real), &infinite, 8, "max", 0);
	/* a limit without room or window, a window that no policy can have */
	for (uint32_t i = 0; i < rows_of(&w, ZG_PT_LIMITS); i++) {
		refused_with(&w, offset_of(&w, &v.limits[i].calls), &zero, 4, "calls of", i);
		refused_with(&w, offset_of(&w, &v.limits[i].sec), &zero, 4, "window of", i);
		refused_with(&w, offset_of(&w, &v.limits[i].sec), &week, 4, "window of", i);
	}
	/* a hash table without a free slot would be searched for ever */
	assert_int_equal(rows_of(&w, ZG_PT_SERVER_SLOTS), 4);
	refused_with(&w, offset_of(&w, v.server_slots), full, sizeof(full), "slots", 0);
	world_end(&w);
}

static void the_header_is_checked(void **state)
{
	const struct zg_policy_header *h;
	const uint32_t allows_with = ZG_D_MAX;
	struct world w;

	(void)state;
	everything(&w);
	h = w.policy.bytes;
	refused_with(&w, 0, &allows_with, 4, "magic", 0);
	refused_with(&w, offset_of(&w, &h->default_decision), &allows_with, 4, "default", 0);
	stray_number(&w, offset_of(&w, &h->bytes), 4, (uint32_t)w.policy.size + 1, "bytes", 0);
	stray_pairs(&w, offset_of(&w, &h->residual), rows_of(&w, ZG_PT_POSTINGS), "residual", 0);
	stray_pairs(&w, offset_of(&w, &h->class_residual), rows_of(&w, ZG_PT_POSTINGS), "residual",
		    1);
	for (size_t f = 0; f < ZG_FACT_MAX; f++)
		stray_pairs(&w, offset_of(&w, &h->unknown[f]), rows_of(&w, ZG_PT_POSTINGS),
			    "unknown", f);
	for (size_t t = 0; t < ZG_PT_MAX; t++) {
		const uint32_t end = (uint32_t)w.policy.size;
		const uint32_t pairs[][2] = {
			{end + 8, 0},		{end, 1},
			{UINT32_MAX - 7, 1},	{h->table[t].first + 1, h->table[t].count},
			{0, h->table[t].count}, {h->table[t].first, UINT32_MAX}};

		for (size_t i = 0; i < ZG_COUNT(pairs); i++)
			refused_with(&w, offset_of(&w, &h->table[t]), pairs[i], sizeof(pairs[i]),
				     "table", t);
	}
	world_end(&w);
}

/* --- damage anywhere ------------------------------------------------------------------ */

static void a_damaged_regex_is_refused(void **state)
{
	const struct zg_policy_header *h;
	struct world w;

	(void)state;
	everything(&w);
	h = w.policy.bytes;
	assert_true(rows_of(&w, ZG_PT_REGEXES) == 2);
	for (uint32_t i = 0; i < h->table[ZG_PT_BLOB].count; i += 7) {
		const char flipped =
			((const char *)w.policy.bytes)[h->table[ZG_PT_BLOB].first + i] ^ 0x10;

		refused_with(&w, h->table[ZG_PT_BLOB].first + i, &flipped, 1, "byte", i);
	}
	world_end(&w);
}

static void truncated_sections_are_refused(void **state)
{
	struct world w;

	(void)state;
	everything(&w);
	for (size_t n = 0; n < w.policy.size; n++) {
		struct zg_policy p = {0};
		void *copy = copy_of(&w, n);

		assert_int_equal(zg_policy_open(&p, copy, n, NULL), -EBADMSG);
		assert_null(p.bytes);
		free(copy);
	}
	world_end(&w);
}

static void flipped_bytes_are_refused_or_harmless(void **state)
{
	static const uint8_t flips[] = {0x01, 0x80, 0xff};
	size_t refused = 0, taken = 0, end;
	struct world w;

	(void)state;
	everything(&w);
	end = ((const struct zg_policy_header *)w.policy.bytes)->table[ZG_PT_BLOB].first;
	for (size_t i = 0; i < end; i++) { /* behind it lie regexes: see above */
		for (size_t f = 0; f < sizeof(flips); f++) {
			uint8_t *copy = copy_of(&w, w.policy.size);
			struct zg_policy p = {0};

			copy[i] ^= flips[f];
			if (zg_policy_open(&p, copy, w.policy.size, NULL) == 0) {
				read_all(&p);
				taken++;
			} else {
				refused++;
			}
			zg_policy_close(&p);
			free(copy);
		}
	}
	assert_true(refused > end && taken > end / 2);
	world_end(&w);
}

static void random_damage_is_refused_or_harmless(void **state)
{
	uint64_t seed = 42;
	size_t taken = 0, end;
	struct world w;

	(void)state;
	everything(&w);
	end = ((const struct zg_policy_header *)w.policy.bytes)->table[ZG_PT_BLOB].first;
	for (int round = 0; round < 10000; round++) {
		uint8_t *copy = copy_of(&w, w.policy.size);
		struct zg_policy p = {0};

		for (int i = 0; i < 3; i++) {
			seed = seed * 6364136223846793005u + 1442695040888963407u;
			copy[(seed >> 33) % end] = (uint8_t)(seed >> 56) & 15;
		}
		if (zg_policy_open(&p, copy, w.policy.size, NULL) == 0) {
			read_all(&p);
			taken++;
		}
		zg_policy_close(&p);
		free(copy);
	}
	assert_true(taken > 0);
	world_end(&w);
}

static int make_arguments(void **state)
{
	(void)state;
	arguments = json_loads("{\"a\":[\"yz\"],\"b\":\"qr\",\"c\":2,\"d\":null,\"f\":1}", 0, NULL);
	return arguments ? 0 : -1;
}

static int drop_arguments(void **state)
{
	(void)state;
	json_decref(arguments);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_reference_of_every_row_is_checked),
		cmocka_unit_test(every_condition_is_checked_by_its_kind),
		cmocka_unit_test(what_hangs_together_is_checked),
		cmocka_unit_test(the_header_is_checked),
		cmocka_unit_test(a_damaged_regex_is_refused),
		cmocka_unit_test(truncated_sections_are_refused),
		cmocka_unit_test(flipped_bytes_are_refused_or_harmless),
		cmocka_unit_test(random_damage_is_refused_or_harmless),
	};

	return cmocka_run_group_tests(tests, make_arguments, drop_arguments);
}
