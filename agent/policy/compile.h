/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compile.h - rules and registry to the flat section that zg_decide reads
 * (section.h). Deterministic: the same effective input gives the same bytes,
 * in whatever order it was read.
 */
#ifndef ZG_COMPILE_H
#define ZG_COMPILE_H

#include "buf.h"
#include "model.h"

/* Rules sorted by id, in the arena: rule numbers are places in this order.
 * NULL when memory ran out (or there are none: *count tells). */
const struct zg_rule_src **zg_policy_order(const struct zg_policy_src *p, struct zg_arena *arena);

/* The same of classify rules. */
const struct zg_class_src **zg_policy_class_order(const struct zg_policy_src *p,
						  struct zg_arena *arena);

/* Append the section to out (which must be empty: rows are aligned from its
 * start). servers need not be sorted. -ENOMEM, -EFBIG. */
int zg_policy_compile(const struct zg_policy_src *p, const struct zg_server_src *servers,
		      size_t server_count, struct zg_arena *arena, struct zg_buf *out,
		      struct zg_err *e) ZG_MUST_CHECK;

#endif
