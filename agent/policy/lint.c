/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lint.c - see lint.h: what is asked of each rule, and where findings go. Trust:
 * parsed rules and entries. Never changes what is decided.
 */
#include <errno.h>
#include <stdlib.h>

#include "lint_impl.h"

const char *zg_lint_text(enum zg_lint_kind kind)
{
	static const char *const text[] = {
#define X(NAME, t) [ZG_LINT_##NAME] = (t),
		ZG_LINT_KINDS(X)
#undef X
	};

	return text[kind];
}

void zg_lint_add(struct zg_lint *l, enum zg_lint_kind kind, const struct zg_lint_rule *of,
		 const struct zg_cond_src *at, const char *what, const char *hint)
{
	struct zg_lint_item f = {.kind = kind,
				 .line = at ? at->line : of->line,
				 .column = at ? at->column : of->column};

	l->count++;
	if (l->kept == ZG_LINT_MAX)
		return;
	f.rule = zg_arena_copy(&l->arena, of->id);
	f.file = zg_arena_copy(&l->arena, zg_slice_str(of->file));
	f.what = zg_arena_copy(&l->arena, zg_slice_str(what));
	f.hint = zg_arena_copy(&l->arena, zg_slice_str(hint));
	if (f.rule && f.file && f.what && f.hint)
		l->item[l->kept++] = f;
}

/* --- conditions that cannot hold together ------------------------------------- */

static bool contradicts(struct zg_lint *l, const struct zg_lint_rule *r)
{
	for (size_t i = 0; i < r->match->count; i++)
		for (size_t j = i + 1; j < r->match->count; j++) {
			if (!zg_cond_excludes(&r->match->item[i], &r->match->item[j]))
				continue;
			zg_lint_add(l, ZG_LINT_CONTRADICTORY, r, &r->match->item[j],
				    "this condition and another one cannot hold together, so that "
				    "no call matches",
				    "for calls that meet one or the other, write two rules");
			return true;
		}
	if (!r->unless->count || !zg_conds_imply(r->match, r->unless))
		return false;
	zg_lint_add(l, ZG_LINT_CONTRADICTORY, r, &r->unless->item[0],
		    "whatever meets match meets unless, too, so that no call matches",
		    "an unless must be narrower than its match");
	return true;
}

/* --- rules that allow more than anybody reviews --------------------------------- */

static bool only_reads(const struct zg_cond_src *c)
{
	return c->kind == ZG_CK_LABEL && zg_slice_eq(c->key, ZG_SLICE("mcp.action")) &&
	       c->values.count == 1 && zg_slice_eq(c->values.item[0], ZG_SLICE("read"));
}

/* Narrows nothing that a reader would think of. */
static bool idle(const struct zg_cond_src *c)
{
	if (c->kind != ZG_CK_LABEL)
		return false;
	if (zg_slice_eq(c->key, ZG_SLICE("mcp.action")))
		return true;
	for (size_t i = 0; zg_slice_eq(c->key, ZG_SLICE("mcp.tool")) && i < c->values.count; i++)
		if (zg_slice_eq(c->values.item[i], ZG_SLICE("*")))
			return true;
	return zg_cond_always(c);
}

/* Names production, and nothing else beside it. */
static bool names_production(const struct zg_cond_src *c)
{
	const bool label = c->kind == ZG_CK_LABEL && (zg_slice_eq(c->key, ZG_SLICE("env")) ||
						      zg_slice_eq(c->key, ZG_SLICE("environment")));

	if (!label && c->kind != ZG_CK_RISK_TAG)
		return false;
	for (size_t i = 0; i < c->values.count; i++)
		if (zg_slice_ieq(c->values.item[i], ZG_SLICE("prod")) ||
		    zg_slice_ieq(c->values.item[i], ZG_SLICE("production")))
			return true;
	return false;
}

static void check_broad(struct zg_lint *l, const struct zg_lint_rule *r)
{
	const struct zg_cond_src *production = NULL;
	bool reads = false, narrowed = false;

	if (r->rule->decision == ZG_D_DENY || r->rule->decision == ZG_D_REQUIRE_APPROVAL)
		return;
	for (size_t i = 0; i < r->match->count; i++) {
		const struct zg_cond_src *c = &r->match->item[i];

		reads = reads || only_reads(c);
		narrowed = narrowed || !idle(c);
		production = !production && names_production(c) ? c : production;
	}
	if (reads)
		return;
	if (!narrowed)
		zg_lint_add(l, ZG_LINT_BROAD, r, NULL,
			    r->unless->count
				    ? "it allows writes of every tool of every server but for what "
				      "its unless names"
				    : "it allows writes of every tool of every server",
			    "name servers, tools or risk tags, or mcp.action: read");
	else if (production)
		zg_lint_add(l, ZG_LINT_BROAD, r, production,
			    "it allows writes to production without anybody's approval",
			    "decision: REQUIRE_APPROVAL, or mcp.action: read");
}

static void check_default(struct zg_lint *l, const struct zg_policy_src *p)
{
	const struct zg_lint_rule at = {
		.file = p->default_file, .line = p->default_line, .column = 1};

	if (p->default_file && p->default_decision != ZG_D_DENY &&
	    p->default_decision != ZG_D_REQUIRE_APPROVAL)
		zg_lint_add(l, ZG_LINT_BROAD, &at, NULL,
			    "whatever no rule names is allowed, writes and new tools among it",
			    "default_decision: DENY, and rules for what is wanted");
}

/* ----------------------------------------------------------------------------------- */

static int by_place(const void *a, const void *b)
{
	const struct zg_lint_item *x = a, *y = b;
	int c = strcmp(x->file, y->file);

	c = c ? c : (x->line > y->line) - (x->line < y->line);
	c = c ? c : (x->column > y->column) - (x->column < y->column);
	c = c ? c : (x->kind > y->kind) - (x->kind < y->kind);
	return c ? c : strcmp(x->what, y->what);
}

static void check_class(struct zg_lint *l, const struct zg_lint_input *in,
			const struct zg_class_src *k)
{
	const struct zg_lint_rule r = {.id = k->id,
				       .file = k->file,
				       .line = k->line,
				       .column = k->column,
				       .match = &k->match,
				       .unless = &k->unless};

	if (!contradicts(l, &r))
		zg_lint_reach(l, in, &r);
}

int zg_lint(struct zg_lint *out, const struct zg_lint_input *in)
{
	struct zg_lint_rule *rule;
	size_t n = 0;
	int r;

	if (!out->item) {
		zg_arena_init(&out->arena, ZG_LINT_BYTES);
		out->item = zg_arena_alloc(&out->arena, ZG_LINT_MAX * sizeof(*out->item));
	}
	rule = zg_arena_alloc(&out->arena, (in->policy->rule_count + 1) * sizeof(*rule));
	if (!out->item || !rule)
		return -ENOMEM;
	check_default(out, in->policy);
	for (const struct zg_rule_src *s = in->policy->rules; s; s = s->next) {
		rule[n] = (struct zg_lint_rule){s->id,	   s->file,    s->line, s->column,
						&s->match, &s->unless, s};
		if (contradicts(out, &rule[n]))
			continue; /* the one thing that is worth to be said of it */
		check_broad(out, &rule[n]);
		zg_lint_reach(out, in, &rule[n++]);
	}
	for (const struct zg_class_src *k = in->policy->classes; k; k = k->next)
		check_class(out, in, k);
	zg_lint_classes(out, in);
	r = zg_lint_shadow(out, rule, n);
	qsort(out->item, out->kept, sizeof(*out->item), by_place);
	return zg_arena_ok(&out->arena) ? r : -ENOMEM;
}

void zg_lint_release(struct zg_lint *l)
{
	zg_arena_release(&l->arena);
	*l = (struct zg_lint){0};
}
