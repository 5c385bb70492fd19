/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parse.c - see parse.h. Trust: policy files belong to the operator, but a
 * mistake in one must never open a door: whatever cannot be enforced exactly
 * as written is an error. Never opens a file.
 */
#include "parse.h"

#include <errno.h>

#include "parse_constraints.h"

#define ID_MAX	   128
#define LABEL_MAX  128
#define REASON_MAX (ZG_REASON_LEN - 1)

/* One rule on its way in, with the places that later checks want to name. */
struct rule_ctx {
	struct zg_rule_src *rule;
	struct zg_conds_src *into; /* match or unless */
	const struct zg_yaml *decision;
	const struct zg_yaml *constraints;
	const struct zg_yaml *approvers;
	const struct zg_yaml *deny_list;
	bool has_match;
};

static struct zg_cond_src *add_cond(const struct zg_yaml_ctx *ctx, struct zg_conds_src *c,
				    const struct zg_yaml *y)
{
	struct zg_cond_src *grown = zg_arena_alloc(ctx->arena, (c->count + 1) * sizeof(*grown));

	if (!grown) {
		zg_yaml_error(ctx, y, "the file needs too much memory");
		return NULL;
	}
	if (c->count)
		memcpy(grown, c->item, c->count * sizeof(*grown));
	c->item = grown;
	c->item[c->count].line = y->line;
	c->item[c->count].column = y->column;
	return &c->item[c->count++];
}

/* Labels that the agent sets itself, and the values they can take. */
static const struct own_label {
	const char *key;
	const char *values[3]; /* none: any */
} own_labels[] = {
	{"mcp.server", {NULL}},
	{"mcp.tool", {NULL}},
	{"mcp.subject", {NULL}},
	{"mcp.method", {NULL}},
	{"mcp.action", {"read", "write", NULL}},
	{"mcp.direction", {"server", NULL}},
};

static bool can_match(const struct own_label *l, struct zg_slice pattern)
{
	for (size_t i = 0; l->values[i]; i++)
		if (zg_star_match(pattern, zg_slice_str(l->values[i])))
			return true;
	return !l->values[0];
}

/* A condition that no call can ever meet makes a rule that silently does
 * nothing: worst of all a DENY. */
static void check_own_label(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y,
			    const struct zg_texts *values)
{
	const struct own_label *l = NULL;
	size_t possible = 0;

	for (size_t i = 0; i < ZG_COUNT(own_labels); i++)
		if (zg_slice_eq(y->key, zg_slice_str(own_labels[i].key)))
			l = &own_labels[i];
	if (!l) {
		zg_diag_error(ctx->diag, ctx->file, y->key_line, y->key_column,
			      "no call ever has the label '%.*s'", ZG_FMT(y->key));
		zg_diag_hint(ctx->diag, "labels below mcp. are mcp.server, mcp.tool, mcp.method, "
					"mcp.action, mcp.subject and mcp.direction");
		return;
	}
	for (size_t i = 0; i < values->count; i++)
		possible += can_match(l, values->item[i]);
	if (!possible) {
		zg_yaml_error(ctx, y, "%s can never have this value", l->key);
		zg_diag_hint(ctx->diag, "it is '%s'%s%s%s", l->values[0],
			     l->values[1] ? " or '" : "", l->values[1] ? l->values[1] : "",
			     l->values[1] ? "'" : "");
	}
}

static void parse_labels(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct rule_ctx *r = into;

	if (y->kind != ZG_Y_MAP || !y->count) {
		zg_yaml_error(ctx, y, "labels must be a map: label: value, or label: [values]");
		return;
	}
	for (const struct zg_yaml *m = y->first; m; m = m->next) {
		struct zg_texts values;
		struct zg_cond_src *c;

		if (!zg_word_ok(m->key, LABEL_MAX)) {
			zg_diag_error(ctx->diag, ctx->file, m->key_line, m->key_column,
				      "'%.*s' is not a label", ZG_FMT(m->key));
			zg_diag_hint(ctx->diag, "letters, digits and . _ - / :");
			continue;
		}
		if (!zg_yaml_texts(ctx, m, &values))
			continue;
		if (zg_slice_starts(m->key, ZG_SLICE("mcp.")))
			check_own_label(ctx, m, &values);
		c = add_cond(ctx, r->into, m);
		if (c) {
			c->kind = ZG_CK_LABEL;
			c->key = m->key;
			c->values = values;
		}
	}
}

static void parse_risk_tags(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct rule_ctx *r = into;
	struct zg_texts values;
	struct zg_cond_src *c;

	if (!zg_yaml_texts(ctx, y, &values))
		return;
	for (size_t i = 0; i < values.count; i++) {
		if (zg_word_ok(values.item[i], LABEL_MAX))
			continue;
		zg_yaml_error(ctx, y, "'%.*s' is not a risk tag", ZG_FMT(values.item[i]));
		zg_diag_hint(ctx->diag, zg_is_glob(values.item[i])
						? "risk tags are compared exactly, without '*'"
						: "letters, digits and . _ - / :");
		return;
	}
	c = add_cond(ctx, r->into, y);
	if (c) {
		c->kind = ZG_CK_RISK_TAG;
		c->values = values;
	}
}

static void parse_deny_servers(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct rule_ctx *r = into;
	struct zg_texts values;
	struct zg_cond_src *c;

	if (!zg_yaml_texts(ctx, y, &values))
		return;
	for (size_t i = 0; i < values.count; i++) {
		struct zg_slice s = zg_lower_trimmed(ctx->arena, values.item[i]);

		if (!s.len || zg_is_glob(s)) {
			zg_yaml_error(ctx, y, "'%.*s' is not a server id", ZG_FMT(values.item[i]));
			zg_diag_hint(ctx->diag, "list registry ids; '*' has no meaning here");
			return;
		}
		values.item[i] = s;
	}
	c = add_cond(ctx, r->into, y);
	if (c) {
		c->kind = ZG_CK_SERVER_NOT_IN;
		c->values = values;
	}
	if (!r->deny_list)
		r->deny_list = y;
}

static const struct zg_yaml_field mcp_fields[] = {
	{"deny_servers_not_in", parse_deny_servers, false},
};

static void parse_mcp(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	(void)zg_yaml_map(ctx, y, "mcp", mcp_fields, ZG_COUNT(mcp_fields), into);
}

static const struct zg_yaml_field condition_fields[] = {
	{"labels", parse_labels, false}, {"risk_tags", parse_risk_tags, false},
	{"mcp", parse_mcp, false},	 {"args", NULL, false},
	{"principal", NULL, false},
};

static void parse_match(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct rule_ctx *r = into;

	r->into = &r->rule->match;
	r->has_match = true;
	(void)zg_yaml_map(ctx, y, "match", condition_fields, ZG_COUNT(condition_fields), r);
}

static void parse_rule_mcp(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct rule_ctx *r = into;

	r->into = &r->rule->match;
	r->has_match = true;
	parse_mcp(ctx, y, r);
}

static void parse_unless(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct rule_ctx *r = into;
	bool ok;

	r->into = &r->rule->unless;
	r->rule->has_unless = true;
	ok = zg_yaml_map(ctx, y, "unless", condition_fields, ZG_COUNT(condition_fields), r);
	if (ok && !r->rule->unless.count) {
		zg_yaml_error(ctx, y, "unless has no condition, so the rule could never match");
		zg_diag_hint(ctx->diag, "name a condition, or remove it");
	}
}

static void parse_id(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct rule_ctx *r = into;

	if (!zg_yaml_text(ctx, y, &r->rule->id))
		return;
	if (!zg_word_ok(r->rule->id, ID_MAX)) {
		zg_yaml_error(ctx, y, "'%.*s' is not a rule id", ZG_FMT(r->rule->id));
		zg_diag_hint(ctx->diag, "letters, digits and . _ - / :, at most %d", ID_MAX);
	}
}

static bool decision_of(struct zg_slice s, enum zg_decision_kind *out)
{
	for (int i = 0; i < ZG_D_MAX; i++)
		if (zg_slice_eq(s, zg_slice_str(zg_decision_text((enum zg_decision_kind)i)))) {
			*out = (enum zg_decision_kind)i;
			return true;
		}
	return false;
}

static void decision_error(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y)
{
	zg_yaml_error(ctx, y, "'%.*s' is not a decision", ZG_FMT(y->text));
	zg_diag_hint(ctx->diag, "DENY, REQUIRE_APPROVAL, ALLOW_WITH_CONSTRAINTS or ALLOW");
}

static void parse_decision(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct rule_ctx *r = into;
	struct zg_slice s;

	if (!zg_yaml_text(ctx, y, &s))
		return;
	if (decision_of(s, &r->rule->decision))
		r->decision = y;
	else
		decision_error(ctx, y);
}

static void parse_reason(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct rule_ctx *r = into;

	if (!zg_yaml_text(ctx, y, &r->rule->reason))
		return;
	r->rule->reason = zg_slice_trim(r->rule->reason);
	if (r->rule->reason.len > REASON_MAX)
		zg_yaml_error(ctx, y, "a reason has at most %d bytes", REASON_MAX);
}

/* A comment that is data: checked, then forgotten. */
static void parse_description(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct zg_slice s;

	(void)into;
	(void)zg_yaml_text(ctx, y, &s);
}

static void parse_constraints(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct rule_ctx *r = into;

	r->constraints = y;
	zg_constraints_parse(ctx, y, &r->rule->constraints);
}

static void parse_approvers(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct rule_ctx *r = into;

	r->approvers = y;
	zg_constraints_approvers(ctx, y, &r->rule->constraints);
}

static const struct zg_yaml_field rule_fields[] = {
	{"id", parse_id, true},
	{"description", parse_description, false},
	{"reason", parse_reason, false},
	{"match", parse_match, false},
	{"mcp", parse_rule_mcp, false},
	{"unless", parse_unless, false},
	{"decision", parse_decision, true},
	{"constraints", parse_constraints, false},
	{"approvers", parse_approvers, false},
};

/* What each part allows by itself, but not together. */
static void check_rule(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y,
		       const struct rule_ctx *r)
{
	if (!r->has_match) {
		zg_yaml_error(ctx, y, "rule '%.*s' has no condition", ZG_FMT(r->rule->id));
		zg_diag_hint(ctx->diag, "write 'match: {}' if it is meant for every call");
	}
	if (!r->decision)
		return;
	zg_constraints_check(ctx, r->rule, r->constraints, r->approvers);
	if (r->rule->decision == ZG_D_ALLOW_WITH_CONSTRAINTS && !r->constraints) {
		zg_yaml_error(ctx, r->decision, "ALLOW_WITH_CONSTRAINTS without constraints");
		zg_diag_hint(ctx->diag, "add constraints:, or decide ALLOW");
	}
	if (r->rule->decision != ZG_D_DENY && r->deny_list) {
		zg_yaml_error(ctx, r->deny_list, "deny_servers_not_in in a rule that says %s",
			      zg_decision_text(r->rule->decision));
		zg_diag_hint(ctx->diag, "give it a rule of its own with decision: DENY");
	}
}

static void parse_rule(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y,
		       struct zg_policy_src *p)
{
	struct zg_rule_src *rule = zg_arena_alloc(ctx->arena, sizeof(*rule));
	struct rule_ctx r = {.rule = rule};

	if (!rule) {
		zg_yaml_error(ctx, y, "the file needs too much memory");
		return;
	}
	rule->file = ctx->file;
	rule->line = y->line;
	rule->column = y->column;
	if (!zg_yaml_map(ctx, y, "a rule", rule_fields, ZG_COUNT(rule_fields), &r))
		return;
	check_rule(ctx, y, &r);
	rule->next = p->rules;
	p->rules = rule;
	if (++p->rule_count > ZG_POLICY_RULES_MAX)
		zg_yaml_error(ctx, y, "more than %d rules", ZG_POLICY_RULES_MAX);
}

static void parse_rules(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	if (y->kind != ZG_Y_LIST) {
		zg_yaml_error(ctx, y, "rules must be a list");
		zg_diag_hint(ctx->diag, "start each rule with '- id: NAME'");
		return;
	}
	for (const struct zg_yaml *item = y->first; item; item = item->next)
		parse_rule(ctx, item, into);
}

static void parse_default(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct zg_policy_src *p = into;
	enum zg_decision_kind kind;
	struct zg_slice s;

	if (!zg_yaml_text(ctx, y, &s))
		return;
	if (!decision_of(s, &kind)) {
		decision_error(ctx, y);
		return;
	}
	if (kind == ZG_D_ALLOW_WITH_CONSTRAINTS) {
		zg_yaml_error(ctx, y, "a default has no constraints, so it cannot be %s",
			      zg_decision_text(kind));
		zg_diag_hint(ctx->diag, "write a rule with 'match: {}' and constraints");
		return;
	}
	if (p->default_file && p->default_decision != kind) {
		zg_yaml_error(ctx, y, "default_decision is already %s",
			      zg_decision_text(p->default_decision));
		zg_diag_hint(ctx->diag, "set in %s:%u; set it in one file", p->default_file,
			     p->default_line);
		return;
	}
	p->default_decision = kind;
	p->default_file = ctx->file;
	p->default_line = y->line;
}

static const struct zg_yaml_field policy_fields[] = {
	{"version", zg_yaml_version, true},
	{"default_decision", parse_default, false},
	{"rules", parse_rules, true},
	{"classify", NULL, false},
};

void zg_policy_parse(const struct zg_yaml_ctx *ctx, struct zg_slice text, struct zg_policy_src *p)
{
	const struct zg_yaml *y = zg_yaml_read(ctx, text);

	if (y)
		(void)zg_yaml_map(ctx, y, "a policy", policy_fields, ZG_COUNT(policy_fields), p);
}

static int by_id(const void *a, const void *b)
{
	const struct zg_rule_src *x = *(const struct zg_rule_src *const *)a;
	const struct zg_rule_src *y = *(const struct zg_rule_src *const *)b;
	int c = zg_slice_order(x->id, y->id);

	if (!c)
		c = strcmp(x->file, y->file);
	return c ? c : (x->line > y->line) - (x->line < y->line);
}

void zg_policy_check(const struct zg_policy_src *p, struct zg_arena *arena, struct zg_diag *diag)
{
	const struct zg_rule_src **rule;
	size_t n = 0;

	if (!p->rule_count)
		return;
	rule = zg_arena_alloc(arena, p->rule_count * sizeof(struct zg_rule_src *));
	if (!rule) {
		zg_diag_error(diag, "", 0, 0, "the policies need too much memory");
		return;
	}
	for (const struct zg_rule_src *r = p->rules; r; r = r->next)
		rule[n++] = r;
	qsort(rule, n, sizeof(struct zg_rule_src *), by_id);
	for (size_t i = 1; i < n; i++) {
		if (!zg_slice_eq(rule[i - 1]->id, rule[i]->id))
			continue;
		zg_diag_error(diag, rule[i]->file, rule[i]->line, rule[i]->column,
			      "rule id '%.*s' is used twice", ZG_FMT(rule[i]->id));
		zg_diag_hint(diag, "also in %s:%u", rule[i - 1]->file, rule[i - 1]->line);
	}
}
