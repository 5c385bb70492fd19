/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spawn.h - one child in its role: forked, moved into the role's cgroup,
 * stripped of ids, privileges and stray descriptors, then re-executed from
 * /proc/self/exe with its channel on descriptor 3.
 */
#ifndef ZG_SPAWN_H
#define ZG_SPAWN_H

#include <stdbool.h>
#include <sys/types.h>

#include "err.h"

struct zg_spawn {
	const char *role;
	int cgroup; /* folder to join, -1 = stay */
	bool drop;  /* change to uid and gid, no supplementary groups */
	uid_t uid;  /* never 0 with drop */
	gid_t gid;
	int death_signal; /* when the parent dies; 0 = the child watches its channel only */
};

/* *sock is the parent's end, non-blocking. Failures after the fork end the
 * child with status 127 after saying why on stderr; the channel then ends. */
int zg_spawn(const struct zg_spawn *s, pid_t *pid, int *sock, struct zg_err *e) ZG_MUST_CHECK;

#endif
