/* SPDX-License-Identifier: Apache-2.0 */
/*
 * launch.h - the command of a local server, in its own cgroup, session and
 * identity: no shell, no privilege to be had again, no descriptor but its three,
 * a /tmp of its own, and the very bytes that were hashed.
 */
#ifndef ZG_LAUNCH_H
#define ZG_LAUNCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"

struct zg_launch {
	const char *command; /* absolute */
	char *const *argv;
	char *const *envp;
	const char *cwd;       /* absolute, or "" */
	const uint8_t *sha256; /* of the executable; NULL = whatever is there */
	int cgroup;	       /* folder to join */
	int std[3];
	int status; /* close-on-exec: a struct zg_launch_failure, or nothing and its end */
	uid_t uid;  /* never 0 */
	gid_t gid;
	const gid_t *groups;
	size_t group_count;
	bool private_tmp;
	uint32_t processes; /* of that uid; 0 = the uid is not its alone */
};

struct zg_launch_failure {
	int error;
	char what[128];
};

/* 0 and *pid, or -errno: no process. What fails later is told through .status,
 * and the process ends. */
int zg_launch(const struct zg_launch *l, pid_t *pid, struct zg_err *e) ZG_MUST_CHECK;

#endif
