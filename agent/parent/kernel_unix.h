/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel_unix.h - the gate's table of unix sockets (zg_unix_key), one slot of it
 * at a time. Part of kernel_tables.c's job. 0 or -errno.
 */
#ifndef ZG_KERNEL_UNIX_H
#define ZG_KERNEL_UNIX_H

#include <stdbool.h>

#include "kernel_map.h"
#include "snapshot.h"

struct zg_unix_row {
	struct zg_unix_key key;
	struct zg_unix_val val;
};

/* What a slot should hold, by number; control: a path that every profile may
 * reach unless it is denied by name, or "". False: this number stands for no
 * row, for an entry of the snapshot names the control socket itself. */
size_t zg_unix_rows(const struct zg_snapshot *s, const char *control);
bool zg_unix_row(const struct zg_snapshot *s, const char *control, uint32_t slot, size_t i,
		 struct zg_unix_row *out) ZG_MUST_CHECK;

/* Fill an empty slot. */
int zg_unix_put(const struct zg_map *m, const struct zg_snapshot *s, uint32_t slot,
		const char *control) ZG_MUST_CHECK;

#endif
