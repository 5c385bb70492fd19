/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel_prefixes.h - the tables of addresses: writing the difference of two
 * generations in a way that each can be in force, and reading it back.
 */
#ifndef ZG_KERNEL_PREFIXES_H
#define ZG_KERNEL_PREFIXES_H

#include "kernel_tables.h"
#include "prefix_diff.h"

/* One application: where it writes and what it changes. */
struct zg_change_set {
	uint32_t old; /* slot in force */
	uint32_t new; /* idle slot */
	struct zg_prefix_change *prefix;
	size_t prefix_count;
	bool at_once; /* nobody reads the old slot: what is put holds for both */
};

enum zg_phase {
	ZG_PREPARE, /* both generations side by side */
	ZG_SETTLE,  /* the new one only */
	ZG_UNDO,    /* the old one only */
};

/* Write every change as the phase wants it; 0 or -errno, and then some of them
 * are written. */
int zg_prefixes_write(const struct zg_tables *t, const struct zg_change_set *set,
		      enum zg_phase phase) ZG_MUST_CHECK;

/* What is in force in slot, sorted, to be freed by the caller; what the other
 * slot holds beside it is removed. 0 or -errno. */
int zg_prefixes_read(const struct zg_tables *t, uint32_t slot, struct zg_prefix_def **out,
		     size_t *count) ZG_MUST_CHECK;

#endif
