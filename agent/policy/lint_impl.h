/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lint_impl.h - what the parts of lint share: lint.c asks, lint_cond.c compares
 * conditions, lint_shadow.c compares rules, lint_calls.c knows what calls there can be.
 */
#ifndef ZG_LINT_IMPL_H
#define ZG_LINT_IMPL_H

#include "lint.h"

/* A rule of either sort; of a classify rule kind is DENY and rule NULL. */
struct zg_lint_rule {
	struct zg_slice id;
	const char *file;
	uint32_t line, column;
	const struct zg_conds_src *match, *unless;
	const struct zg_rule_src *rule;
};

/* at: NULL = the rule's own place. The hint is the next step. */
void zg_lint_add(struct zg_lint *l, enum zg_lint_kind kind, const struct zg_lint_rule *of,
		 const struct zg_cond_src *at, const char *what, const char *hint);

/* lint_cond.c: true is certain, false may be "cannot be told" */
bool zg_cond_always(const struct zg_cond_src *c);
bool zg_cond_implies(const struct zg_cond_src *strong, const struct zg_cond_src *weak);
bool zg_cond_excludes(const struct zg_cond_src *a, const struct zg_cond_src *b);
bool zg_conds_imply(const struct zg_conds_src *strong, const struct zg_conds_src *weak);
/* Some text that both patterns match? False is certain here. */
bool zg_patterns_meet(struct zg_slice a, struct zg_slice b);

/* lint_shadow.c */
int zg_lint_shadow(struct zg_lint *l, const struct zg_lint_rule *rule, size_t count);

/* lint_calls.c: can any call meet its conditions? */
void zg_lint_reach(struct zg_lint *l, const struct zg_lint_input *in,
		   const struct zg_lint_rule *of);
void zg_lint_classes(struct zg_lint *l, const struct zg_lint_input *in);

#endif
