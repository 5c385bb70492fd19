/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lint_shadow.c - rules that never decide, because another rule matches whatever they
 * match and is at least as strict. Trust: parsed rules. Finds only what follows from
 * the conditions as they are written.
 *
 * As in the decision itself, rules hang at an exact value of their most selective
 * condition, so that a rule is compared with few others.
 */
#include <errno.h>

#include "lint_impl.h"

#define SLOTS 65536

struct hung { /* a rule at one of its values */
	uint32_t rule;
	uint32_t next; /* 1 + place, 0 = none */
};

struct index {
	const struct zg_lint_rule *rule;
	size_t count;
	uint32_t *uses; /* by slot: conditions with this value */
	uint32_t *slot; /* by slot: 1 + place of the first */
	struct hung *hung;
	uint32_t hung_count;
	uint32_t *residual; /* rules without an exact condition */
	size_t residual_count;
};

/* Compared exactly, all its values. */
static bool exact(const struct zg_cond_src *c)
{
	if (c->kind != ZG_CK_LABEL && c->kind != ZG_CK_RISK_TAG && c->kind != ZG_CK_FACT)
		return false;
	for (size_t i = 0; i < c->values.count; i++)
		if (zg_cond_globs(c) && zg_is_glob(c->values.item[i]))
			return false;
	return !zg_cond_always(c);
}

static uint32_t slot_of(const struct zg_cond_src *c, struct zg_slice value)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325) ^ (uint64_t)c->kind << 8 ^ (uint64_t)c->fact;

	for (size_t i = 0; c->kind == ZG_CK_LABEL && i < c->key.len; i++)
		h = (h ^ (unsigned char)c->key.ptr[i]) * UINT64_C(0x100000001b3);
	for (size_t i = 0; i < value.len; i++)
		h = (h ^ (unsigned char)value.ptr[i]) * UINT64_C(0x100000001b3);
	return (uint32_t)(h ^ h >> 32) % SLOTS;
}

static void count_uses(struct index *x)
{
	for (size_t r = 0; r < x->count; r++)
		for (size_t i = 0; i < x->rule[r].match->count; i++) {
			const struct zg_cond_src *c = &x->rule[r].match->item[i];

			if (!exact(c))
				continue;
			for (size_t v = 0; v < c->values.count; v++)
				x->uses[slot_of(c, c->values.item[v])]++;
		}
}

/* The condition whose most common value is the rarest; NULL = none is exact. */
static const struct zg_cond_src *pivot_of(const struct index *x, const struct zg_lint_rule *r)
{
	const struct zg_cond_src *best = NULL;
	uint32_t least = UINT32_MAX;

	for (size_t i = 0; i < r->match->count; i++) {
		const struct zg_cond_src *c = &r->match->item[i];
		uint32_t most = 0;

		if (!exact(c))
			continue;
		for (size_t v = 0; v < c->values.count; v++) {
			uint32_t n = x->uses[slot_of(c, c->values.item[v])];

			most = n > most ? n : most;
		}
		if (most < least) {
			least = most;
			best = c;
		}
	}
	return best;
}

static int build(struct index *x, struct zg_arena *arena)
{
	size_t values = 0;

	x->uses = zg_arena_alloc(arena, SLOTS * sizeof(*x->uses));
	x->slot = zg_arena_alloc(arena, SLOTS * sizeof(*x->slot));
	x->residual = zg_arena_alloc(arena, (x->count + 1) * sizeof(*x->residual));
	if (!x->uses || !x->slot || !x->residual)
		return -ENOMEM;
	count_uses(x);
	for (size_t r = 0; r < x->count; r++) {
		const struct zg_cond_src *c = pivot_of(x, &x->rule[r]);

		values += c ? c->values.count : 0;
	}
	x->hung = zg_arena_alloc(arena, (values + 1) * sizeof(*x->hung));
	if (!x->hung)
		return -ENOMEM;
	for (size_t r = 0; r < x->count; r++) {
		const struct zg_cond_src *c = pivot_of(x, &x->rule[r]);

		if (!c)
			x->residual[x->residual_count++] = (uint32_t)r;
		for (size_t v = 0; c && v < c->values.count; v++) {
			uint32_t *slot = &x->slot[slot_of(c, c->values.item[v])];

			x->hung[x->hung_count] = (struct hung){(uint32_t)r, *slot};
			*slot = ++x->hung_count;
		}
	}
	return 0;
}

/* Whenever r matches, is what `than` makes exceptions for not the case? */
static bool never_excepted(const struct zg_lint_rule *than, const struct zg_lint_rule *r)
{
	if (!than->unless->count)
		return true;
	for (size_t i = 0; i < than->unless->count; i++)
		for (size_t j = 0; j < r->match->count; j++)
			if (zg_cond_excludes(&than->unless->item[i], &r->match->item[j]))
				return true;
	return r->unless->count && zg_conds_imply(than->unless, r->unless);
}

static bool weaker(const struct zg_lint_rule *than, const struct zg_lint_rule *r)
{
	return zg_conds_imply(r->match, than->match) && never_excepted(than, r);
}

/* Does it leave anything behind where it does not decide? */
static bool bounds(const struct zg_constraints_src *c)
{
	return c->max_runtime_sec || c->has_max_retries || c->allowlist.count ||
	       c->max_output_bytes || c->approvers > 1 || c->redact != ZG_REDACT_DEFAULT ||
	       c->limit_count;
}

static bool stands_before(const struct zg_rule_src *a, const struct zg_rule_src *b)
{
	const int c = strcmp(a->file, b->file);

	return c ? c < 0 : a->line < b->line;
}

/* What r says of a call that `by` matches too is of no consequence. */
static bool decided(const struct zg_lint_rule *by, const struct zg_lint_rule *r)
{
	const struct zg_rule_src *a = by->rule, *b = r->rule;

	if (a == b || a->decision > b->decision || b->annotate.count)
		return false;
	if (a->decision != ZG_D_DENY && bounds(&b->constraints))
		return false;
	/* the text of the first rule by id is what people are told */
	if (a->decision == b->decision && (b->reason.len || b->remediation.len) &&
	    zg_slice_order(b->id, a->id) < 0)
		return false;
	if (!weaker(by, r))
		return false;
	/* of two that say the same, the second one is superfluous */
	return a->decision != b->decision || bounds(&a->constraints) || a->annotate.count ||
	       a->reason.len || a->remediation.len || !weaker(r, by) || stands_before(a, b);
}

static const struct zg_lint_rule *find(const struct index *x, const struct zg_lint_rule *r)
{
	for (size_t i = 0; i < x->residual_count; i++)
		if (decided(&x->rule[x->residual[i]], r))
			return &x->rule[x->residual[i]];
	for (size_t i = 0; i < r->match->count; i++) {
		const struct zg_cond_src *c = &r->match->item[i];

		/* its conditions are at least as narrow: one value of them will do */
		if (!exact(c) || !c->values.count)
			continue;
		for (uint32_t h = x->slot[slot_of(c, c->values.item[0])]; h;
		     h = x->hung[h - 1].next)
			if (decided(&x->rule[x->hung[h - 1].rule], r))
				return &x->rule[x->hung[h - 1].rule];
	}
	return NULL;
}

int zg_lint_shadow(struct zg_lint *l, const struct zg_lint_rule *rule, size_t count)
{
	struct index x = {.rule = rule, .count = count};
	char what[ZG_REASON_LEN], hint[ZG_REASON_LEN];
	int r = build(&x, &l->arena);

	for (size_t i = 0; r == 0 && i < count; i++) {
		const struct zg_lint_rule *by = find(&x, &rule[i]);

		if (!by)
			continue;
		(void)snprintf(what, sizeof(what),
			       "it never decides: '%.*s' (%.128s:%u) matches every call that it "
			       "matches, and says %s",
			       ZG_FMT(by->id), by->file, by->line,
			       zg_decision_text(by->rule->decision));
		(void)snprintf(hint, sizeof(hint), "remove it, or give '%.*s' an unless",
			       ZG_FMT(by->id));
		zg_lint_add(l, ZG_LINT_SHADOWED, &rule[i], NULL, what, hint);
	}
	return r;
}
