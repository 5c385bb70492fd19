/* SPDX-License-Identifier: Apache-2.0 */
/*
 * learn.h - from recorded refusals to the entries of zerogate.yaml that would
 * have allowed them. Grants nothing wider than what was recorded: whole
 * addresses, single ports, whole names and paths.
 */
#ifndef ZG_LEARN_H
#define ZG_LEARN_H

#include <stdio.h>

#include "cleanup.h"
#include "slice.h"

struct zg_learn;

/* NULL without memory. Of one profile, or of all if it is NULL; only records at
 * or after since (as the records write their time), or all if it is "". */
struct zg_learn *zg_learn_new(const char *profile, const char *since);
void zg_learn_free(struct zg_learn *l);

/* One line of the audit log. What is no refusal, or not JSON, counts for
 * nothing. 0 or -ENOMEM. */
int zg_learn_line(struct zg_learn *l, struct zg_slice line) ZG_MUST_CHECK;

/* The entries as YAML, with comments: how often, by whom, and what no entry can
 * express. What hands out credentials or starts processes comes as a comment. */
void zg_learn_print(struct zg_learn *l, FILE *out);

#endif
