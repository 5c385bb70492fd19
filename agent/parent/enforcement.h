/* SPDX-License-Identifier: Apache-2.0 */
/*
 * enforcement.h - the one sentence that says what is enforced: "full",
 * "degraded: <what>: <why>; ..." when a layer is missing or something could not
 * be proved, or "broken: <what>: <why>" when what must hold does not. status,
 * doctor, systemd and the audit log all show it.
 */
#ifndef ZG_ENFORCEMENT_H
#define ZG_ENFORCEMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "zg_wire.h"

struct zg_parent;

int zg_enforcement_start(struct zg_parent *p, struct zg_err *e) ZG_MUST_CHECK;
void zg_enforcement_release(struct zg_parent *p);

/* Compose it anew from what the last proof found. A change is logged, recorded
 * and told to systemd; no change, once in ZG_PROOF_TELL_SEC. */
void zg_enforcement_update(struct zg_parent *p);
const char *zg_enforcement_text(const struct zg_parent *p);

/* Bits of enum zg_layer that are attached. */
uint32_t zg_enforcement_layers(const struct zg_parent *p);

/* Each finding in turn, for people; stops when fn returns false. */
void zg_enforcement_findings(const struct zg_parent *p,
			     bool (*fn)(void *arg, const struct zg_msg_ctl_finding *f), void *arg);

#endif
