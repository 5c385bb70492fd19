/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parse_classify.c - rules that say what a call is, by its name and its
 * arguments, beside the registry. They see what the registry says, never each
 * other's word: so their order cannot matter. Never opens a file.
 */
#include "parse_impl.h"

struct class_ctx {
	struct zg_class_src *class;
	struct zg_match_ctx match;
};

static void parse_id(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	zg_id_parse(ctx, y, &((struct class_ctx *)into)->class->id);
}

static void parse_match(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct class_ctx *x = into;

	x->match.into = &x->class->match;
	if (zg_match_parse(ctx, y, "match of a classify rule", true, &x->match) &&
	    !x->class->match.count) {
		zg_yaml_error(ctx, y, "a classify rule needs a condition");
		zg_diag_hint(ctx->diag, "labels, risk_tags or args; what a whole server is says "
					"its registry entry");
	}
}

static void parse_unless(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct class_ctx *x = into;

	x->match.into = &x->class->unless;
	if (zg_match_parse(ctx, y, "unless of a classify rule", true, &x->match) &&
	    !x->class->unless.count) {
		zg_yaml_error(ctx, y, "unless has no condition, so the rule could never match");
		zg_diag_hint(ctx->diag, "name one, or remove unless");
	}
}

static void parse_action(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct class_ctx *x = into;
	struct zg_slice s;

	if (!zg_yaml_text(ctx, y, &s))
		return;
	x->class->has_action = true;
	if (zg_slice_eq(s, ZG_SLICE("read")))
		x->class->action = ZG_ACTION_READ;
	else if (!zg_slice_eq(s, ZG_SLICE("write"))) {
		zg_yaml_error(ctx, y, "an action is read or write");
		zg_diag_hint(ctx->diag, "action: read");
	}
}

static void parse_labels(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	zg_labels_parse(ctx, y, &((struct class_ctx *)into)->class->labels);
}

static void parse_tags(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	(void)zg_tags_parse(ctx, y, &((struct class_ctx *)into)->class->risk_tags);
}

static const struct zg_yaml_field set_fields[] = {
	{"action", parse_action, false},
	{"labels", parse_labels, false},
	{"risk_tags", parse_tags, false},
};

static void parse_set(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	if (zg_yaml_map(ctx, y, "set", set_fields, ZG_COUNT(set_fields), into) && !y->count) {
		zg_yaml_error(ctx, y, "set without anything to set");
		zg_diag_hint(ctx->diag, "action, labels or risk_tags");
	}
}

static const struct zg_yaml_field class_fields[] = {
	{"id", parse_id, true},	      {"description", zg_description_parse, false},
	{"match", parse_match, true}, {"unless", parse_unless, false},
	{"set", parse_set, true},
};

static void parse_class(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y,
			struct zg_policy_src *p)
{
	struct zg_class_src *class = zg_parse_alloc(ctx, y, 1, sizeof(*class));
	struct class_ctx x = {.class = class};

	if (!class)
		return;
	class->file = ctx->file;
	class->line = y->line;
	class->column = y->column;
	if (!zg_yaml_map(ctx, y, "a classify rule", class_fields, ZG_COUNT(class_fields), &x))
		return;
	class->next = p->classes;
	p->classes = class;
	if (++p->class_count + p->rule_count > ZG_POLICY_RULES_MAX) {
		zg_yaml_error(ctx, y, "more than %d rules", ZG_POLICY_RULES_MAX);
		zg_diag_hint(ctx->diag, "one rule may list many servers, tools or tags");
	}
}

void zg_classify_parse(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	if (y->kind != ZG_Y_LIST || !y->count) {
		zg_yaml_error(ctx, y, "classify must be a list of rules");
		zg_diag_hint(ctx->diag, "start each rule with '- id: NAME'");
		return;
	}
	for (const struct zg_yaml *item = y->first; item; item = item->next)
		parse_class(ctx, item, into);
}
