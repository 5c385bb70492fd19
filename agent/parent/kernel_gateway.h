/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel_gateway.h - what the gate's control map says of the gateway: where it
 * listens, in which network namespace, and which sockets are its own.
 */
#ifndef ZG_KERNEL_GATEWAY_H
#define ZG_KERNEL_GATEWAY_H

#include "kernel_tables.h"

void zg_tables_set_gateway(struct zg_tables *t, uint64_t netns_cookie, const struct zg_listen *v4,
			   const struct zg_listen *v6);
/* The listener of one family; nobody else's may be where it listens. */
void zg_tables_own_listener(struct zg_tables *t, bool v4, uint64_t cookie);
/* Does zg_ctl say of the gateway what it was told? Write it again. */
bool zg_tables_gateway_holds(const struct zg_tables *t);
void zg_tables_restore_gateway(struct zg_tables *t);

#endif
