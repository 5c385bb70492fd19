/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel_names.h - the gate's tables of learned names (zg_abi.h). Part of
 * kernel_tables.c's job, apart from generations; slots are filled in here.
 */
#ifndef ZG_KERNEL_NAMES_H
#define ZG_KERNEL_NAMES_H

#include "kernel.h"
#include "kernel_tables.h"

/* Fill the idle slot from t->names, if there are any. */
int zg_tables_put_names(struct zg_tables *t, uint32_t slot) ZG_MUST_CHECK;

/* As zg_kernel_learn, _unlearn, _name_used and zg_kernel_remembered. */
int zg_tables_learn(struct zg_tables *t, struct zg_name_key key,
		    const struct zg_name_val *val) ZG_MUST_CHECK;
int zg_tables_unlearn(struct zg_tables *t, struct zg_name_key key) ZG_MUST_CHECK;
uint64_t zg_tables_name_used(struct zg_tables *t, struct zg_name_key key);
int zg_tables_remembered(struct zg_tables *t,
			 int (*fn)(const struct zg_learned_key *key, uint64_t expires_ns,
				   void *arg),
			 void *arg) ZG_MUST_CHECK;

#endif
