/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel_tables.h - the contents of the gate's maps, in generations. Part of
 * kernel.c's job, apart from loading. Members, names, the gateway's address and
 * what else is put there have files of their own (kernel_members.h, ...).
 *
 * Between two applications these hold: a prefix has the same identity in both
 * slots, so that an unchanged one is never touched again; rules and names exist for
 * the slot in force only; profiles and memberships count in the slot in force.
 */
#ifndef ZG_KERNEL_TABLES_H
#define ZG_KERNEL_TABLES_H

#include <stdbool.h>

#include "err.h"
#include "kernel_exec.h"
#include "kernel_map.h"
#include "snapshot.h"

struct zg_gate_names;

struct zg_tables {
	struct zg_ctl *ctl; /* the pinned map itself, shared with the programs */
	struct zg_map host;
	struct zg_map addr;
	struct zg_map rule;
	struct zg_map profile;
	struct zg_map member;
	struct zg_map sticky;
	struct zg_map nursery;
	struct zg_map exec;
	struct zg_map unix_;
	struct zg_map automaton;
	char control[ZG_EVENT_PATH]; /* the agent's own socket, open to every profile; or "" */
	struct zg_map name;
	struct zg_map learned;
	struct zg_map answers;
	struct zg_map grant;
	const struct zg_gate_names *names; /* borrowed, for the next application */
	struct zg_prefix_def *prefix;	   /* what both hold in the slot in force, sorted */
	size_t prefix_count, prefix_room;
	char (*contained)[ZG_NAME_LEN]; /* profiles, of this generation or a later one */
	size_t contained_count;
	/* what else was put, for who reads it back: rows and denied executables by
	 * slot, and of zg_ctl what is said of the gateway */
	struct zg_profile profile_meant[2][ZG_PROFILES_MAX];
	struct zg_exec_list exec_meant[2];
	struct zg_ctl gateway_meant;
	bool known; /* prefix is right and the three statements above hold */
};

void zg_tables_release(struct zg_tables *t);
int zg_tables_apply(struct zg_tables *t, const struct zg_snapshot *s, uint64_t generation,
		    struct zg_err *e) ZG_MUST_CHECK;
/* As zg_kernel_grant. */
int zg_tables_grant(struct zg_tables *t, struct zg_grant_key key,
		    uint64_t expires_ns) ZG_MUST_CHECK;
/* What MCP looks like; before anything is attached, for without it all that
 * would be looked at is denied. */
int zg_tables_set_signatures(const struct zg_tables *t) ZG_MUST_CHECK;
/* 1: the table says so; 0: another; -errno. *wanted is zeroed room for it. */
int zg_tables_signatures_hold(const struct zg_tables *t, struct zg_automaton *wanted) ZG_MUST_CHECK;

/* The slot in force. */
static inline uint8_t zg_tables_slot(const struct zg_tables *t)
{
	return t->ctl->epoch & 1;
}

#endif
