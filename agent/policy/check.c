/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check.c - zg_policy_check (parse.h): what only shows when all files are
 * read. Trust: parsed rules. Pure but for memory.
 */
#include "compile.h"
#include "parse.h"
#include "regex.h"

/* A rule of either sort, by its name. */
struct named {
	struct zg_slice id;
	const char *file;
	uint32_t line, column;
};

static int by_id(const void *a, const void *b)
{
	const struct named *x = a, *y = b;
	int c = zg_slice_order(x->id, y->id);

	if (!c)
		c = strcmp(x->file, y->file);
	return c ? c : (x->line > y->line) - (x->line < y->line);
}

static void check_ids(const struct zg_policy_src *p, struct zg_arena *arena, struct zg_diag *diag)
{
	struct named *rule =
		zg_arena_alloc(arena, (p->rule_count + p->class_count + 1) * sizeof(*rule));
	size_t n = 0;

	if (!rule) {
		zg_diag_error(diag, "", 0, 0, "the policies need too much memory");
		return;
	}
	for (const struct zg_rule_src *r = p->rules; r; r = r->next)
		rule[n++] = (struct named){r->id, r->file, r->line, r->column};
	for (const struct zg_class_src *c = p->classes; c; c = c->next)
		rule[n++] = (struct named){c->id, c->file, c->line, c->column};
	qsort(rule, n, sizeof(*rule), by_id);
	for (size_t i = 1; i < n; i++) {
		if (!zg_slice_eq(rule[i - 1].id, rule[i].id))
			continue;
		zg_diag_error(diag, rule[i].file, rule[i].line, rule[i].column,
			      "rule id '%.*s' is used twice", ZG_FMT(rule[i].id));
		zg_diag_hint(diag, "also in %s:%u", rule[i - 1].file, rule[i - 1].line);
	}
}

/* Regular expressions on their way to being one sorted list. */
struct uses {
	struct use {
		struct zg_slice pattern;
		const char *file;
		uint32_t line, column;
	} * item;
	size_t count;
};

static void count_uses(struct uses *u, const struct zg_conds_src *c, const char *file)
{
	for (size_t i = 0; i < c->count; i++) {
		const struct zg_cond_src *cond = &c->item[i];

		if (cond->kind != ZG_CK_ARG_REGEX)
			continue;
		for (size_t j = 0; j < cond->values.count; j++, u->count++)
			if (u->item)
				u->item[u->count] = (struct use){cond->values.item[j], file,
								 cond->line, cond->column};
	}
}

static void all_uses(struct uses *u, const struct zg_policy_src *p)
{
	u->count = 0;
	for (const struct zg_rule_src *r = p->rules; r; r = r->next) {
		count_uses(u, &r->match, r->file);
		count_uses(u, &r->unless, r->file);
	}
	for (const struct zg_class_src *c = p->classes; c; c = c->next) {
		count_uses(u, &c->match, c->file);
		count_uses(u, &c->unless, c->file);
	}
}

static int by_pattern(const void *a, const void *b)
{
	const struct use *x = a, *y = b;
	int c = zg_slice_order(x->pattern, y->pattern);

	if (!c)
		c = strcmp(x->file, y->file);
	return c ? c : (x->line > y->line) - (x->line < y->line);
}

static void compile_regexes(struct zg_policy_src *p, struct zg_arena *arena, struct zg_diag *diag)
{
	struct uses u = {0};
	char why[ZG_REASON_LEN];

	p->regex_count = 0;
	all_uses(&u, p);
	u.item = zg_arena_alloc(arena, (u.count + 1) * sizeof(*u.item));
	p->regex = zg_arena_alloc(arena, (u.count + 1) * sizeof(*p->regex));
	if (!u.item || !p->regex) {
		zg_diag_error(diag, "", 0, 0, "the policies need too much memory");
		return;
	}
	all_uses(&u, p);
	qsort(u.item, u.count, sizeof(*u.item), by_pattern);
	for (size_t i = 0; i < u.count; i++) {
		struct zg_regex_src *out = &p->regex[p->regex_count];

		if (i && zg_slice_eq(u.item[i - 1].pattern, u.item[i].pattern))
			continue;
		if (p->regex_count == ZG_REGEX_MAX) {
			zg_diag_error(diag, u.item[i].file, u.item[i].line, u.item[i].column,
				      "more than %d regular expressions", ZG_REGEX_MAX);
			return;
		}
		out->pattern = u.item[i].pattern;
		if (zg_regex_compile(out->pattern, arena, &out->database, why, sizeof(why))) {
			p->regex_count++;
			continue;
		}
		zg_diag_error(diag, u.item[i].file, u.item[i].line, u.item[i].column,
			      "the regex '%.*s' cannot be compiled: %s", ZG_FMT(out->pattern), why);
		zg_diag_hint(diag, "no back-references and no look-around: they cannot be matched "
				   "in linear time");
	}
}

void zg_policy_check(struct zg_policy_src *p, struct zg_arena *arena, struct zg_diag *diag)
{
	check_ids(p, arena, diag);
	compile_regexes(p, arena, diag);
}
