/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel_link.h - one program and the pinned link that keeps it attached when
 * this process is gone. The pin is the only reference: nobody holds the link's
 * descriptor. 0 or -errno, with e filled.
 */
#ifndef ZG_KERNEL_LINK_H
#define ZG_KERNEL_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include <bpf/libbpf.h>

#include "err.h"

/* Where links are pinned, and cgroup programs attached. */
struct zg_place {
	char pin_dir[ZG_PATH_LEN];
	int cgroup_root;
	uint64_t root_id;
};

/* Attach a loaded program and pin its link. What is pinned already is taken
 * over, never a moment without: a cgroup link gets the new program; of others,
 * the new one is attached before the old one's pin is replaced. */
int zg_link_attach(const struct zg_place *at, const struct bpf_program *p,
		   struct zg_err *e) ZG_MUST_CHECK;

/* Read back: is the pinned link this program's, and attached where it should be? */
int zg_link_verify(const struct zg_place *at, const struct bpf_program *p,
		   struct zg_err *e) ZG_MUST_CHECK;

#endif
