/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel_exec.h - the executables that profiles deny, found by their paths and
 * put into the kernel's table by what they are: device and inode. One that is
 * not there when a snapshot is applied is looked for again with the next.
 */
#ifndef ZG_KERNEL_EXEC_H
#define ZG_KERNEL_EXEC_H

#include "kernel_map.h"
#include "snapshot.h"

struct zg_exec_list {
	struct zg_exec_key *key; /* each once */
	size_t count;
};

/* Fill an empty slot. 0 or -errno. What was meant to be put replaces what
 * the list held; its key is the caller's to free. */
int zg_exec_put(const struct zg_map *m, const struct zg_snapshot *s, uint32_t slot,
		struct zg_exec_list *meant) ZG_MUST_CHECK;

/* The device of a mounted file system as the kernel's own number, by the list of
 * mounts of the process whose folder in /proc this is: stat() may name another
 * one (btrfs). 0 or -errno. */
int zg_exec_device(int proc, uint64_t mount, uint32_t *dev) ZG_MUST_CHECK;

#endif
