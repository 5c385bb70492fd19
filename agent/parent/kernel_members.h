/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel_members.h - the gate's tables of profiles and of the cgroups that they
 * govern, and who is contained. Part of kernel_tables.c's job, apart from
 * generations.
 */
#ifndef ZG_KERNEL_MEMBERS_H
#define ZG_KERNEL_MEMBERS_H

#include "kernel_prefixes.h"
#include "kernel_tables.h"

/* Fill the idle slot, and number what is governed as that slot's profiles are. */
int zg_tables_put_profiles(struct zg_tables *t, const struct zg_snapshot *s,
			   const struct zg_change_set *set) ZG_MUST_CHECK;

/* Take over who is contained in the slot in force; once, before anything is put. */
int zg_tables_adopt_contained(struct zg_tables *t) ZG_MUST_CHECK;
int zg_tables_contain(struct zg_tables *t, const char *name, bool contained) ZG_MUST_CHECK;
bool zg_tables_contained(const struct zg_tables *t, const char *name);

int zg_tables_govern(struct zg_tables *t, uint64_t cgroup_id, uint32_t profile) ZG_MUST_CHECK;
int zg_tables_release_member(struct zg_tables *t, uint64_t cgroup_id) ZG_MUST_CHECK;
int zg_tables_nursery(struct zg_tables *t, const struct zg_nursery_key *keys,
		      const struct zg_nursery *values, size_t count) ZG_MUST_CHECK;
/* Each with its profile in the slot in force. */
int zg_tables_members(struct zg_tables *t, int (*fn)(uint64_t id, uint32_t profile, void *arg),
		      void *arg);

#endif
