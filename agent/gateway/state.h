/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state.h - a server's requestState (2026-07-28, multi round-trip requests) on
 * its way through the client: sealed when it goes out, opened when it comes
 * back, once, from the same caller, for the same request. Also the caching
 * hints of results.
 */
#ifndef ZG_GATEWAY_STATE_H
#define ZG_GATEWAY_STATE_H

#include "cleanup.h"

struct zg_msg_token_used;
struct zg_request;
struct zg_server_message;
struct zg_worker;

/* Judges of a server's message (server_message.c), in this order around the
 * scan: the state is opaque to the client, so it is not scanned. */
int zg_state_take(struct zg_request *r, struct zg_server_message *m) ZG_MUST_CHECK;
int zg_state_put(struct zg_request *r, struct zg_server_message *m) ZG_MUST_CHECK;
/* A result was made for one caller: it must not be shared by a cache. */
int zg_cache_private(struct zg_request *r, struct zg_server_message *m) ZG_MUST_CHECK;

/* The ledger's word on a token that is about to be used. */
void zg_state_used(struct zg_worker *w, const struct zg_msg_token_used *m);

#endif
