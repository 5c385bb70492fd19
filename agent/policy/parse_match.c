/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parse_match.c - the conditions of a rule. Trust: policy files belong to the
 * operator; a condition that could never hold, or that cannot be evaluated
 * exactly as written, is an error. Never opens a file.
 */
#include "parse_impl.h"

void *zg_parse_alloc(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, size_t n, size_t size)
{
	void *p = n < SIZE_MAX / size ? zg_arena_alloc(ctx->arena, (n + 1) * size) : NULL;

	if (!p)
		zg_yaml_error(ctx, y, "the file needs too much memory");
	return p;
}

struct zg_cond_src *zg_cond_add(const struct zg_yaml_ctx *ctx, struct zg_match_ctx *m,
				const struct zg_yaml *y, enum zg_cond_kind kind)
{
	struct zg_conds_src *c = m->into;
	struct zg_cond_src *grown = zg_parse_alloc(ctx, y, c->count, sizeof(*grown));

	if (!grown)
		return NULL;
	if (c->count)
		memcpy(grown, c->item, c->count * sizeof(*grown));
	c->item = grown;
	c->item[c->count].kind = kind;
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
	{"mcp.resource", {NULL}},
	{"mcp.prompt", {NULL}},
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
		zg_diag_hint(ctx->diag,
			     "labels below mcp. are mcp.server, mcp.tool, mcp.resource, "
			     "mcp.prompt, mcp.method, mcp.action, mcp.subject and mcp.direction");
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
	struct zg_match_ctx *m = into;

	if (y->kind != ZG_Y_MAP || !y->count) {
		zg_yaml_error(ctx, y, "labels must be a map: label: value, or label: [values]");
		zg_diag_hint(ctx->diag, "labels: {mcp.server: github}");
		return;
	}
	for (const struct zg_yaml *l = y->first; l; l = l->next) {
		struct zg_texts values;
		struct zg_cond_src *c;

		if (!zg_word_ok(l->key, ZG_POLICY_WORD_MAX)) {
			zg_diag_error(ctx->diag, ctx->file, l->key_line, l->key_column,
				      "'%.*s' is not a label", ZG_FMT(l->key));
			zg_diag_hint(ctx->diag, "letters, digits and . _ - / :");
			continue;
		}
		if (!zg_yaml_texts(ctx, l, &values))
			continue;
		if (zg_slice_starts(l->key, ZG_SLICE("mcp.")))
			check_own_label(ctx, l, &values);
		c = zg_cond_add(ctx, m, l, ZG_CK_LABEL);
		if (c) {
			c->key = l->key;
			c->values = values;
		}
	}
}

bool zg_tags_parse(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, struct zg_texts *out)
{
	struct zg_texts values;

	if (!zg_yaml_texts(ctx, y, &values))
		return false;
	for (size_t i = 0; i < values.count; i++) {
		if (zg_word_ok(values.item[i], ZG_POLICY_WORD_MAX))
			continue;
		zg_yaml_error(ctx, y, "'%.*s' is not a risk tag", ZG_FMT(values.item[i]));
		zg_diag_hint(ctx->diag, zg_is_glob(values.item[i])
						? "risk tags are compared exactly, without '*'"
						: "letters, digits and . _ - / :");
		return false;
	}
	*out = values;
	return true;
}

static void parse_risk_tags(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct zg_texts values;
	struct zg_cond_src *c;

	if (!zg_tags_parse(ctx, y, &values))
		return;
	c = zg_cond_add(ctx, into, y, ZG_CK_RISK_TAG);
	if (c)
		c->values = values;
}

static void parse_deny_servers(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct zg_match_ctx *m = into;
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
	c = zg_cond_add(ctx, m, y, ZG_CK_SERVER_NOT_IN);
	if (c)
		c->values = values;
	if (!m->deny_list)
		m->deny_list = y;
}

static const struct zg_yaml_field mcp_fields[] = {
	{"deny_servers_not_in", parse_deny_servers, false},
};

void zg_match_mcp(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *match)
{
	(void)zg_yaml_map(ctx, y, "mcp", mcp_fields, ZG_COUNT(mcp_fields), match);
}

/* Those that may classify come first: what a call is depends neither on who
 * makes it nor on when. */
static const struct zg_yaml_field condition_fields[] = {
	{"labels", parse_labels, false},	  {"risk_tags", parse_risk_tags, false},
	{"args", zg_args_parse, false},		  {"mcp", zg_match_mcp, false},
	{"principal", zg_principal_parse, false}, {"time", zg_time_parse, false},
};
#define CLASSIFYING 3

bool zg_match_parse(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, const char *what,
		    bool classify, struct zg_match_ctx *m)
{
	return zg_yaml_map(ctx, y, what, condition_fields,
			   classify ? CLASSIFYING : ZG_COUNT(condition_fields), m);
}
