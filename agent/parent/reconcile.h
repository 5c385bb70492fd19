/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reconcile.h - every connection that is established in a governed cgroup must
 * be one that the gate allows, or one to the gateway that the kernel attests.
 * Any other is an unknown server connection: it is counted, recorded
 * (server.unknown), and ended unless its profile only records.
 */
#ifndef ZG_RECONCILE_H
#define ZG_RECONCILE_H

#include "state.h"

/* Look now, and every ZG_RECONCILE_SEC. */
int zg_reconcile_start(struct zg_parent *p, struct zg_err *e) ZG_MUST_CHECK;
void zg_reconcile_now(struct zg_parent *p);

#endif
