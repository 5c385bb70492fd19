/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parse.c - see parse.h. Trust: policy files belong to the operator, but a
 * mistake in one must never open a door: whatever cannot be enforced exactly
 * as written is an error. Never opens a file.
 */
#include "parse.h"

#include <errno.h>

#include "parse_constraints.h"
#include "parse_impl.h"

/* One rule on its way in, with the places that later checks want to name. */
struct rule_ctx {
	struct zg_rule_src *rule;
	struct zg_match_ctx match;
	const struct zg_yaml *decision;
	const struct zg_yaml *constraints;
	const struct zg_yaml *approvers;
	bool has_match;
};

static void parse_match(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct rule_ctx *r = into;

	r->match.into = &r->rule->match;
	r->has_match = true;
	(void)zg_match_parse(ctx, y, "match", false, &r->match);
}

static void parse_rule_mcp(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct rule_ctx *r = into;

	r->match.into = &r->rule->match;
	r->has_match = true;
	zg_match_mcp(ctx, y, &r->match);
}

static void parse_unless(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct rule_ctx *r = into;

	r->match.into = &r->rule->unless;
	r->rule->has_unless = true;
	if (zg_match_parse(ctx, y, "unless", false, &r->match) && !r->rule->unless.count) {
		zg_yaml_error(ctx, y, "unless has no condition, so the rule could never match");
		zg_diag_hint(ctx->diag, "name a condition, or remove it");
	}
}

void zg_id_parse(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, struct zg_slice *out)
{
	if (!zg_yaml_text(ctx, y, out))
		return;
	if (!zg_word_ok(*out, ZG_POLICY_WORD_MAX)) {
		zg_yaml_error(ctx, y, "'%.*s' is not a rule id", ZG_FMT(*out));
		zg_diag_hint(ctx->diag, "letters, digits and . _ - / :, at most %d",
			     ZG_POLICY_WORD_MAX);
	}
}

static void parse_id(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	zg_id_parse(ctx, y, &((struct rule_ctx *)into)->rule->id);
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

static void take_text(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, const char *what,
		      struct zg_slice *out)
{
	if (!zg_yaml_text(ctx, y, out))
		return;
	*out = zg_slice_trim(*out);
	if (out->len > ZG_POLICY_TEXT_MAX) {
		zg_yaml_error(ctx, y, "a %s has at most %d bytes", what, ZG_POLICY_TEXT_MAX);
		zg_diag_hint(ctx->diag, "one sentence; what is longer belongs into a comment");
	}
}

static void parse_reason(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	take_text(ctx, y, "reason", &((struct rule_ctx *)into)->rule->reason);
}

static void parse_remediation(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	take_text(ctx, y, "remediation", &((struct rule_ctx *)into)->rule->remediation);
}

void zg_labels_parse(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y,
		     struct zg_labels_src *out)
{
	if (y->kind != ZG_Y_MAP || !y->count) {
		zg_yaml_error(ctx, y, "expected a map of labels: key: value");
		zg_diag_hint(ctx->diag, "annotate: {team: payments}");
		return;
	}
	out->item = zg_parse_alloc(ctx, y, y->count, sizeof(*out->item));
	if (!out->item)
		return;
	for (const struct zg_yaml *m = y->first; m; m = m->next) {
		struct zg_slice value;

		if (!zg_yaml_text(ctx, m, &value))
			continue;
		if (!zg_word_ok(m->key, ZG_POLICY_WORD_MAX) ||
		    zg_slice_starts(m->key, ZG_SLICE("mcp."))) {
			zg_diag_error(ctx->diag, ctx->file, m->key_line, m->key_column,
				      "'%.*s' is not a label that a rule may set", ZG_FMT(m->key));
			zg_diag_hint(ctx->diag, "letters, digits and . _ - / :; mcp.* is the "
						"agent's own");
		} else if (!zg_word_ok(value, ZG_POLICY_WORD_MAX)) {
			zg_yaml_error(ctx, m, "'%.*s' is not a value of a label", ZG_FMT(value));
			zg_diag_hint(ctx->diag, "letters, digits and . _ - / :");
		} else {
			out->item[out->count++] = (struct zg_label_src){m->key, value};
		}
	}
}

static void parse_annotate(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	zg_labels_parse(ctx, y, &((struct rule_ctx *)into)->rule->annotate);
}

void zg_description_parse(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
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
	{"description", zg_description_parse, false},
	{"reason", parse_reason, false},
	{"remediation", parse_remediation, false},
	{"annotate", parse_annotate, false},
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
	if (r->rule->decision != ZG_D_DENY && r->match.deny_list) {
		zg_yaml_error(ctx, r->match.deny_list, "deny_servers_not_in in a rule that says %s",
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
	if (++p->rule_count + p->class_count > ZG_POLICY_RULES_MAX) {
		zg_yaml_error(ctx, y, "more than %d rules", ZG_POLICY_RULES_MAX);
		zg_diag_hint(ctx->diag, "one rule may list many servers, tools or tags");
	}
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
	{"classify", zg_classify_parse, false},
};

void zg_policy_parse(const struct zg_yaml_ctx *ctx, struct zg_slice text, struct zg_policy_src *p)
{
	const struct zg_yaml *y = zg_yaml_read(ctx, text);

	if (y)
		(void)zg_yaml_map(ctx, y, "a policy", policy_fields, ZG_COUNT(policy_fields), p);
}
