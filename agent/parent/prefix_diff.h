/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prefix_diff.h - what must change in a longest-prefix table that two
 * generations share, while one of them is being used. Pure.
 */
#ifndef ZG_PREFIX_DIFF_H
#define ZG_PREFIX_DIFF_H

#include <stdbool.h>
#include <stddef.h>

#include "cleanup.h"
#include "zg_snapshot.h"

/*
 * One prefix that the generations disagree about. The identities are what each
 * of them resolves the prefix itself to: its own entry, or the longest entry
 * that covers it, or 0. With both stored in one element, any subset of the
 * changes may be in the table and each generation still resolves every address
 * as its own table would.
 */
struct zg_prefix_change {
	struct zg_addr_key key;
	uint32_t old_identity;
	uint32_t new_identity;
	bool in_old;
	bool in_new;
};

/* Order of a table: by address, then the shorter prefix first. */
int zg_prefix_order(const struct zg_prefix_def *a, const struct zg_prefix_def *b);

/* -EBADMSG unless strictly ascending, without bits beyond the prefix length. */
int zg_prefix_check(const struct zg_prefix_def *table, size_t count) ZG_MUST_CHECK;

/* Both tables have passed zg_prefix_check. *out is the caller's to free; it is
 * NULL when nothing differs. 0 or -ENOMEM. */
int zg_prefix_diff(const struct zg_prefix_def *old, size_t old_count,
		   const struct zg_prefix_def *new, size_t new_count, struct zg_prefix_change **out,
		   size_t *count) ZG_MUST_CHECK;

#endif
