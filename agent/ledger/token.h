/* SPDX-License-Identifier: Apache-2.0 */
/*
 * token.h - sealed tokens that may be used once (a requestState): which were.
 * A table of its own in approvals.db, on disk before anybody is told to go on,
 * so that no worker and no restart lets one pass again. It holds random
 * numbers alone; what stands in a token never gets here.
 */
#ifndef ZG_TOKEN_H
#define ZG_TOKEN_H

#include "approval.h"

struct zg_tokens {
	struct zg_store *store;
	struct sqlite3_stmt *insert, *prune;
	uint64_t count;
	uint64_t pruned_at; /* CLOCK_REALTIME, seconds */
};

/* The store must outlive it. */
int zg_tokens_open(struct zg_tokens *t, struct zg_store *store, struct zg_err *e) ZG_MUST_CHECK;
void zg_tokens_close(struct zg_tokens *t);

/* FRESH at most once for an id that has not expired; at most ZG_STATES_MAX are
 * remembered at a time, and further ones refused. */
enum zg_token_state zg_tokens_use(struct zg_tokens *t, const uint8_t id[16], uint64_t expires);

#endif
