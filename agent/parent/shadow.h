/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shadow.h - what the gate reports of MCP servers that nobody registered: one
 * record a connection (or process), shadow.mcp, with the names of what gave
 * them away and never a byte of what they said. A connection whose packets the
 * gate drops is ended too, so that both ends learn of it at once.
 */
#ifndef ZG_SHADOW_H
#define ZG_SHADOW_H

#include "state.h"

/* ev->reason is ZG_GR_SHADOW. */
void zg_shadow_seen(struct zg_parent *p, const struct zg_event *ev);

#endif
