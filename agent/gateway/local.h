/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local.h - a session between a client and a local server, over their pipes.
 * Each message of the client becomes a request that takes the same steps as one
 * over HTTP; what the server says of itself is an event of a stream that the
 * session keeps open. The parent has attested the client and started the server.
 */
#ifndef ZG_GATEWAY_LOCAL_H
#define ZG_GATEWAY_LOCAL_H

#include "request.h"

/* From the parent: a descriptor of a session (owned from now on), the session,
 * its end. 0, or -errno: the parent broke the protocol. */
int zg_local_fd(struct zg_worker *w, const struct zg_msg_stdio_fd *m, int fd) ZG_MUST_CHECK;
int zg_local_open(struct zg_worker *w, struct zg_msg_stdio_open *m) ZG_MUST_CHECK;
void zg_local_close(struct zg_worker *w, const struct zg_msg_stdio_close *m);
void zg_locals_release(struct zg_worker *w);

/* Steps, where the request is a session's (r->local). */
enum zg_next zg_local_route(struct zg_request *r);
/* The version that the message itself names; ptr NULL = none. */
struct zg_slice zg_local_version(const struct zg_request *r);
/* Where the server is a local one, whoever asks. */
enum zg_next zg_local_dispatch(struct zg_request *r);
/* One message of ours to the session's server. */
void zg_local_note(struct zg_request *r, struct zg_slice message);
/* local_narrow.c: a call that policy holds to network_allowlists waits until the
 * kernel holds the server to them, too; any waits for those under others. */
enum zg_next zg_step_narrow(struct zg_request *r);
void zg_local_narrowed(struct zg_worker *w, const struct zg_msg_stdio_narrowed *m);
/* The request is given back. */
void zg_local_forget(struct zg_request *r);

#endif
