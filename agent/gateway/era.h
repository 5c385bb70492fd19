/* SPDX-License-Identifier: Apache-2.0 */
/*
 * era.h - which version of MCP one message speaks. It is decided for each
 * request by itself, from the MCP-Protocol-Version header and the message's
 * own _meta, which must agree; a side may speak another version with another
 * request. It chooses the form of our own answers and which rules of the
 * transport hold; it never loosens a decision.
 */
#ifndef ZG_GATEWAY_ERA_H
#define ZG_GATEWAY_ERA_H

#include <stdbool.h>

#include "buf.h"
#include "cleanup.h"
#include "slice.h"

struct zg_rpc;

/* X(NAME, "text"), oldest first */
#define ZG_ERAS(X)                                                                                 \
	X(2024_11_05, "2024-11-05")                                                                \
	X(2025_03_26, "2025-03-26")                                                                \
	X(2025_06_18, "2025-06-18")                                                                \
	X(2025_11_25, "2025-11-25")                                                                \
	X(2026_07_28, "2026-07-28")

enum zg_era {
	ZG_ERA_UNSAID = 0, /* nothing says it: a legacy client, of any version */
#define X(NAME, text) ZG_ERA_##NAME,
	ZG_ERAS(X)
#undef X
		ZG_ERA_MAX
};

/* No sessions, no handshake; every request describes itself. */
static inline bool zg_era_modern(enum zg_era era)
{
	return era >= ZG_ERA_2026_07_28;
}

/* May a POST hold a batch? Only one version has them; who says none may mean it. */
static inline bool zg_era_batches(enum zg_era era)
{
	return era == ZG_ERA_UNSAID || era == ZG_ERA_2025_03_26;
}

/* The version that text names, exactly; ZG_ERA_UNSAID: it is not known here. */
enum zg_era zg_era_of(struct zg_slice text);
const char *zg_era_text(enum zg_era era); /* "" for UNSAID */

/* Append {"supported":[...],"requested":"..."}, newest first: the versions that m's
 * way of naming one (in _meta or not) is known to. */
void zg_era_data(struct zg_slice requested, const struct zg_rpc *m, struct zg_buf *out);

/* Does a version have this method? Modern ones removed some, and that is told
 * in their own way; legacy servers answer for themselves. */
bool zg_era_has(enum zg_era era, struct zg_slice method);

/* The era of a message under an MCP-Protocol-Version header (ptr NULL =
 * absent). m->root NULL: a GET or DELETE. 0 and *out; or a JSON-RPC error code
 * and *why, and for an unknown version *requested. */
int zg_era_judge(enum zg_era *out, struct zg_slice header, const struct zg_rpc *m,
		 struct zg_slice *requested, const char **why) ZG_MUST_CHECK;

#endif
