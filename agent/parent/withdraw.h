/* SPDX-License-Identifier: Apache-2.0 */
/*
 * withdraw.h - what was allowed once does not stay open: after every change of
 * what the gate allows, each live socket of a governed cgroup is put to the gate
 * again, and ended if it would not be let through now.
 *
 * A socket that listens stays: nobody who is not let in reaches it.
 *
 * What cannot be ended (another network namespace, a kernel without
 * SOCK_DESTROY, a cgroup whose folder is gone) stays open and dead: the gate
 * judges each of its packets.
 */
#ifndef ZG_WITHDRAW_H
#define ZG_WITHDRAW_H

#include "state.h"

struct zg_withdrawn {
	uint32_t ended;
	uint32_t left; /* could not be ended */
};

/* p->snapshot is in force. Records socket.destroy for what it ends. */
struct zg_withdrawn zg_withdraw(struct zg_parent *p);
/* The same of one cgroup. */
struct zg_withdrawn zg_withdraw_from(struct zg_parent *p, uint64_t cgroup_id);

#endif
