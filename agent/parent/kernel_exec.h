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

/* Fill, or empty, a slot. 0 or -errno. */
int zg_exec_put(const struct zg_map *m, const struct zg_snapshot *s, uint32_t slot) ZG_MUST_CHECK;
int zg_exec_purge(const struct zg_map *m, uint32_t slot) ZG_MUST_CHECK;

#endif
