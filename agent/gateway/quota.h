/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quota.h - limits that span workers: a call under one asks the ledger, which
 * counts (agent/ledger/quotas.h), and tells it when it is over. A call under none
 * asks nothing. Limits are for calls, that is for requests of clients: a
 * notification, an answer and the opening of a stream are none.
 */
#ifndef ZG_GATEWAY_QUOTA_H
#define ZG_GATEWAY_QUOTA_H

#include <stdbool.h>
#include <stdint.h>

#include "zg_wire.h"

struct zg_request;
struct zg_worker;

struct zg_quota {
	enum zg_quota_mode mode; /* of what was asked last */
	bool sent;
	bool told;
	bool over;	/* the ledger knows, or will be told by another */
	bool elsewhere; /* its answer comes on a stream, whose worker tells */
	uint32_t which;
	uint64_t wait_ms;
	enum zg_quota_state word;
	const char *limit; /* what refused it, for the record; NULL = none did */
};

/* Is the call under a limit that the ledger counts? */
bool zg_quota_limited(const struct zg_request *r);

/* The call has its answer, or will have none: give back what it held. Once; of a
 * call that holds nothing nothing is said. */
void zg_quota_over(struct zg_request *r, enum zg_quota_end end);

/* The same for a call whose request is over since its POST was answered. */
void zg_quota_late(struct zg_worker *w, uint64_t call, enum zg_quota_end end);

/* The request is going: whatever was asked for it is given back. */
void zg_quota_end(struct zg_request *r);

/* A message of the ledger; a new ledger. */
void zg_quota_message(struct zg_worker *w, const struct zg_msg_quota_told *m);
void zg_quota_resend(struct zg_worker *w);

#endif
