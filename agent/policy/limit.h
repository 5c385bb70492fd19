/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limit.h - a rate or a bound on calls at once, as a rule names it. Who counts
 * is the ledger; what is counted together is said by `by`: all calls that the
 * rule matches, or those of one principal, cgroup, server and tool each.
 */
#ifndef ZG_LIMIT_H
#define ZG_LIMIT_H

#include "decide.h"
#include "zg_wire.h"

/* X(NAME, text): what calls may be told apart by */
#define ZG_LIMIT_BY(X)                                                                             \
	X(PRINCIPAL, "principal") /* profile, uid and token: a new run is no new one */            \
	X(CGROUP, "cgroup")                                                                        \
	X(SERVER, "server")                                                                        \
	X(TOOL, "tool")

enum zg_limit_by_number {
#define X(NAME, text) ZG_LB_N_##NAME,
	ZG_LIMIT_BY(X)
#undef X
		ZG_LB_MAX
};

enum zg_limit_by { /* bits */
#define X(NAME, text) ZG_LB_##NAME = 1 << ZG_LB_N_##NAME,
		   ZG_LIMIT_BY(X)
#undef X
};

/* X(NAME, text, seconds): windows of a rate */
#define ZG_LIMIT_PER(X)                                                                            \
	X(SECOND, "second", 1)                                                                     \
	X(MINUTE, "minute", 60)                                                                    \
	X(HOUR, "hour", 3600)                                                                      \
	X(DAY, "day", 86400)

struct zg_limit {
	uint32_t rule; /* by index */
	uint32_t kind; /* enum zg_quota_kind: RATE or CONCURRENT */
	uint32_t calls;
	uint32_t sec; /* the window; of CONCURRENT 1 */
	uint32_t by;  /* bits of enum zg_limit_by; 0: all together */
};

#define ZG_LIMIT_TEXT 96 /* of zg_limit_text */

/* The limit that stands in a decision's constraints. */
struct zg_limit zg_policy_limit(const struct zg_policy *p, uint16_t limit);

/* "10 calls per minute by principal, tool", "2 calls at once". */
void zg_limit_text(const struct zg_limit *l, char *out, size_t size);

#endif
