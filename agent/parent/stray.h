/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stray.h - live sockets of governed cgroups that the gate would not let
 * through if they were opened now: each is put to the gate's own verdict, or,
 * if it leads to the gateway, paired with what its client was attested to have
 * dialled. withdraw.c ends them after a change; reconcile.c looks for them all
 * the time.
 */
#ifndef ZG_STRAY_H
#define ZG_STRAY_H

#include "sockdiag.h"
#include "state.h"

struct zg_stray {
	struct zg_socket socket; /* its remote end: what its client had asked for */
	uint32_t profile;
	uint8_t reason; /* enum zg_gate_reason */
	bool audit;	/* the profile only records */
};

struct zg_strays {
	struct zg_stray *stray;
	size_t count, room;
};

/* Of one cgroup, or of all if it is 0. 0 or -errno; out holds those that were
 * found in any case. */
int zg_strays_find(struct zg_parent *p, struct zg_sockdiag *d, uint64_t cgroup_id,
		   struct zg_strays *out) ZG_MUST_CHECK;
void zg_strays_release(struct zg_strays *s);

#endif
