/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hold.h - a call that waits for a person. What the approval is bound to is
 * computed here; who may decide, and that a yes is used once, is the ledger's.
 */
#ifndef ZG_GATEWAY_HOLD_H
#define ZG_GATEWAY_HOLD_H

#include <stdint.h>

struct zg_request;

/* SHA-256 over profile, uid, cgroup path, server, method, tool, argument
 * digest and snapshot id, each with its length in front. 0 or -ENOMEM. */
int zg_hold_binding(const struct zg_request *r, uint8_t out[32]);

#endif
