/* SPDX-License-Identifier: Apache-2.0 */
/*
 * upstream_impl.h - an exchange with a registered server, for the files of
 * upstream.h only: where it goes (upstream_address.c), what is said
 * (upstream_send.c), what comes back (upstream_answer.c), and its life
 * (upstream.c).
 */
#ifndef ZG_GATEWAY_UPSTREAM_IMPL_H
#define ZG_GATEWAY_UPSTREAM_IMPL_H

#include "http_head.h"
#include "multi.h"
#include "request.h"

/* upstream_address.c ----------------------------------------------------------- */

/* Where the server is now: names lead elsewhere while a call waits, and only what
 * is in force can be dialled. *live: the configuration that says so. */
const struct zg_server_def *zg_upstream_whereabouts(const struct zg_request *r,
						    struct zg_live **live);
/* Which address to dial: the one the client dialled, or the nth known one. False:
 * there is none. */
bool zg_upstream_address(const struct zg_transfer *t, const struct zg_request *r, uint8_t addr[16],
			 uint16_t *port);
/* The address that was dialled took the connection: others try it first. */
void zg_upstream_reached(const struct zg_transfer *t, const struct zg_request *r);
/* There is no address, and the resolver is asking for one: a new configuration
 * brings it, or the word comes that there is none. */
bool zg_upstream_unresolved(const struct zg_request *r);
enum zg_next zg_upstream_wait(struct zg_request *r);

/* upstream_send.c ---------------------------------------------------------------- */

/* Where it was sent on to, where a server of HTTP+SSE wants its messages, or
 * where it is registered. */
struct zg_slice zg_upstream_path(const struct zg_transfer *t, const struct zg_request *r);
/* note: only what binds a notification of ours to the client's session. What does
 * not fit shows in the transfer's arena. */
void zg_upstream_headers(struct zg_transfer *t, const struct zg_request *r, bool note);
/* What is dialled next, and how. False: nothing that may be. */
bool zg_upstream_aim(struct zg_transfer *t, const struct zg_request *r);
/* The message, once it is aimed; the body is borrowed until the end. */
bool zg_upstream_message(struct zg_transfer *t, const struct zg_request *r,
			 enum zg_http_method method, struct zg_slice body);

#endif
