/* SPDX-License-Identifier: Apache-2.0 */
/*
 * approval_impl.h - what the rules of approvals share: approval.c (calls that
 * ask, and time), vote.c (people who decide) and approval_recover.c (a crash).
 */
#ifndef ZG_APPROVAL_IMPL_H
#define ZG_APPROVAL_IMPL_H

#include "approval.h"

/* The reason in the record that takes the ones before it back. */
#define ZG_APPROVAL_TAKEN_BACK "storage: the step before could not be stored and is void"

uint64_t zg_approvals_wall_ms(void);
/* Wall clock as it ran since the start: a jump neither extends nor ends anything. */
uint64_t zg_approvals_steady_ms(const struct zg_approvals *s);

void zg_approvals_describe(struct zg_record *r, enum zg_record_kind kind,
			   const struct zg_approval *a, const char *said);

/* Write a's state, which was from; the caller has begun, and rolls back if this fails. */
int zg_approvals_set(struct zg_approvals *s, struct zg_approval *a,
		     enum zg_approval_state from) ZG_MUST_CHECK;

/* Evidence first, then the transaction: see approval.h. Rolls back if it fails. The
 * first record is what the others follow from. */
int zg_approvals_conclude(struct zg_approvals *s, const struct zg_record *records,
			  size_t n) ZG_MUST_CHECK;

const char *zg_approval_conflict(enum zg_conflict which);
const char *zg_approval_conflict_hint(enum zg_conflict which);

#endif
