/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quotas.h - the limits that span workers: rates and budgets, calls at once, and
 * how often a failed call may be issued again. In memory alone: bounded tables
 * under the monotonic clock, which the caller reads. A worker that dies gives
 * back what its calls held; a ledger that dies forgets the rates (its gateways
 * tell its successor of the calls that run).
 *
 * A rate is a sliding window in ZG_QUOTA_PARTS parts: a call counts until the
 * part in which it fell has left the window as a whole. So there are never more
 * than `calls` in any `sec` seconds, and room comes back at most one part late.
 * Only calls that are granted count. What cannot be counted is refused.
 */
#ifndef ZG_QUOTAS_H
#define ZG_QUOTAS_H

#include "cleanup.h"
#include "zg_wire.h"

struct zg_quota_slot;
struct zg_lease;

struct zg_quotas {
	struct zg_quota_slot *slot; /* ZG_QUOTA_SLOTS */
	uint32_t *bucket;	    /* number of a slot + 1 */
	uint32_t free_slot;	    /* likewise, linked by next */
	uint32_t slots;		    /* in use */
	struct zg_lease *lease;	    /* ZG_QUOTA_LEASES */
	uint32_t *lease_bucket;
	uint32_t free_lease;
	uint32_t leases;
	uint64_t lease_due_ns; /* no lease ends before */
	uint64_t swept_ns;
	uint32_t *owned; /* slots by owner; two that share a place share its bound */
};

int zg_quotas_init(struct zg_quotas *q) ZG_MUST_CHECK;
void zg_quotas_release(struct zg_quotas *q);

/* Judge all limits of m; of a TAKE that is granted, or a CLAIM, take them. link:
 * who asks, and with whom the call ends. -EPROTO: no gateway of ours says so. */
int zg_quotas_ask(struct zg_quotas *q, uint32_t link, const struct zg_msg_quota_ask *m,
		  uint64_t now_ns, struct zg_msg_quota_told *told) ZG_MUST_CHECK;

/* A call is over; one that is not known is none of ours any more. */
void zg_quotas_done(struct zg_quotas *q, const struct zg_msg_quota_done *m, uint64_t now_ns);

/* A gateway is gone, and its calls with it: nobody knows what became of them. */
void zg_quotas_link_gone(struct zg_quotas *q, uint32_t link, uint64_t now_ns);

/* Now and then: end calls whose end was lost. */
void zg_quotas_tick(struct zg_quotas *q, uint64_t now_ns);

#endif
