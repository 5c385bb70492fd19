/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sandbox.h - a role locks itself in after it has initialised: no_new_privs,
 * a seccomp allowlist (anything else kills the process), Landlock without any
 * rule where the kernel has it (no path can be opened), resource limits, not
 * dumpable. The uid was dropped before exec (parent/spawn.c).
 */
#ifndef ZG_SANDBOX_H
#define ZG_SANDBOX_H

#include <stdbool.h>

#include "cleanup.h"
#include "err.h"

struct zg_sandbox {
	const char *role;
	const int *syscalls; /* numbers (SCMP_SYS) that the role needs beyond the common ones */
	size_t syscall_count;
	bool no_paths;	     /* Landlock: deny every file system access */
	bool inet;	     /* may create AF_INET and AF_INET6 stream sockets */
	bool datagrams;	     /* and datagram sockets */
	uint64_t max_files;  /* RLIMIT_NOFILE */
	uint64_t max_memory; /* RLIMIT_AS, 0 = none; not applied under a sanitizer */
};

/* One way. 0 or -errno; on failure the caller must exit. */
int zg_sandbox_enter(const struct zg_sandbox *s, struct zg_err *e) ZG_MUST_CHECK;

#endif
