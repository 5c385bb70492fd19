/* SPDX-License-Identifier: Apache-2.0 */
/*
 * enforcement.h - the one sentence that says what is enforced: "full",
 * "degraded: <layer>: <why>; ...", or "broken: <why>" when what must be
 * attached is not. zerogate status, doctor and the audit log all show it.
 */
#ifndef ZG_ENFORCEMENT_H
#define ZG_ENFORCEMENT_H

#include <stddef.h>

#include "cleanup.h"

struct zg_parent;

enum zg_enforcement {
	ZG_ENFORCEMENT_BROKEN = 0,
	ZG_ENFORCEMENT_DEGRADED,
	ZG_ENFORCEMENT_FULL,
};

/* Reads back what is attached. A text that does not fit is cut. */
enum zg_enforcement zg_enforcement_text(const struct zg_parent *p, char *out, size_t size);

#endif
