/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trial.c - see trial.h. Trust: as judge.c. Pure but for its counters: a policy on
 * trial has no way to change what happens, as nobody reads its word but the record.
 */
#include "trial.h"

/* The same hosts in the same order, as compiled lists are sorted. */
static bool same_list(const struct zg_policy *p, uint16_t a, const struct zg_policy *q, uint16_t b)
{
	struct zg_slice x, y;
	size_t i = 0;

	do {
		x = zg_policy_allowlist_entry(p, a, i);
		y = zg_policy_allowlist_entry(q, b, i);
		i++;
	} while (x.len && zg_slice_eq(x, y));
	return !x.len && !y.len;
}

static bool same_lists(const struct zg_policy *p, const struct zg_constraints *a,
		       const struct zg_policy *q, const struct zg_constraints *b)
{
	for (uint16_t i = 0; i < a->allowlist_count; i++) {
		bool found = false;

		for (uint16_t j = 0; j < b->allowlist_count && !found; j++)
			found = same_list(p, a->allowlist[i], q, b->allowlist[j]);
		if (!found)
			return false;
	}
	return a->allowlist_count == b->allowlist_count;
}

static bool same_constraints(const struct zg_policy *p, const struct zg_constraints *a,
			     const struct zg_policy *q, const struct zg_constraints *b)
{
	return a->max_runtime_sec == b->max_runtime_sec && a->max_retries == b->max_retries &&
	       a->has_max_retries == b->has_max_retries &&
	       a->max_output_bytes == b->max_output_bytes && a->redact == b->redact &&
	       a->approvers == b->approvers && a->limit_count == b->limit_count &&
	       same_lists(p, a, q, b);
}

void zg_trial_begin(struct zg_worker *w, const struct zg_live *next)
{
	const struct zg_shadow_def *was = w->live ? w->live->snap.shadow : NULL;
	const struct zg_shadow_def *now = next->snap.shadow;

	if (w->live && (!was || !now || memcmp(was->id, now->id, sizeof(now->id)) != 0))
		zg_ring_uncount(&w->ring);
}

void zg_trial_judge(struct zg_worker *w, const struct zg_live *l, const struct zg_envelope *env,
		    const struct zg_decision *d, struct zg_trial *out)
{
	struct zg_envelope asked = *env;
	enum zg_ring_counter which;
	struct zg_decision would;

	*out = (struct zg_trial){0};
	/* refused before any rule was read, whatever the rules */
	if (!l->trial.bytes || d->reason == ZG_DR_UNREGISTERED || d->reason == ZG_DR_PROFILE ||
	    d->reason == ZG_DR_UNKNOWN_METHOD)
		return;
	if (zg_envelope_classify(&l->trial, &asked) < 0)
		return;
	zg_decide(&l->trial, &asked, &would);
	zg_ring_count(&w->ring, ZG_RC_SHADOW_CALLS);
	if (would.kind == d->kind &&
	    same_constraints(&l->policy, &d->constraints, &l->trial, &would.constraints))
		return;
	/* from the strictest decision to the loosest */
	which = would.kind < d->kind   ? ZG_RC_SHADOW_STRICTER
		: would.kind > d->kind ? ZG_RC_SHADOW_LOOSER
				       : ZG_RC_SHADOW_OTHER;
	zg_ring_count(&w->ring, which);
	out->differs = true;
	out->kind = would.kind;
	zg_decision_rules_text(&l->trial, &would, out->rules, sizeof(out->rules));
}
