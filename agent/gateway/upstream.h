/* SPDX-License-Identifier: Apache-2.0 */
/*
 * upstream.h - one exchange with a registered server, by libcurl's multi
 * interface on the worker's loop. Addresses come from the snapshot (no name is
 * ever resolved), redirects are followed within the registered origin, no proxy
 * is used but the configured one (proxy.h), nothing is sent twice, and only
 * listed headers pass in either direction.
 */
#ifndef ZG_GATEWAY_UPSTREAM_H
#define ZG_GATEWAY_UPSTREAM_H

#include "cleanup.h"
#include "slice.h"

struct zg_request;
struct zg_worker;

/* Once per process, before the sandbox. 0 or -errno. */
int zg_upstream_init(struct zg_worker *w) ZG_MUST_CHECK;
void zg_upstream_release(struct zg_worker *w);

/* End the exchange; no callback follows. Not from within a callback of it. */
void zg_upstream_abort(struct zg_request *r);
/* End it; zg_request_upstream_done is called from here. Likewise. */
void zg_upstream_stop(struct zg_request *r);
/* Say one message of ours to the server in the session of r's client; best
 * effort, at any time, also from within a callback. The answer is thrown away. */
void zg_upstream_note(struct zg_request *r, struct zg_slice message);
/* Best effort: tell the server that a call of this request, or of this stream of
 * HTTP+SSE, is cancelled. id is JSON. */
void zg_upstream_cancel(struct zg_request *r, const char *id);
/* More names lead nowhere now: what waits for their addresses goes on. */
void zg_upstream_nowhere(struct zg_worker *w);
/* The client has room again. */
void zg_upstream_resume(struct zg_request *r);

#endif
