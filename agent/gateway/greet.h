/* SPDX-License-Identifier: Apache-2.0 */
/*
 * greet.h - a connection that the kernel turned aside: what it speaks is seen
 * from its first bytes, which stay in the socket. Plain HTTP and TLS to a
 * registered server become a connection of http.c; TLS to a name that its
 * profile may resolve is passed on unopened (splice.c), if the parent says that
 * this name opened this address; all else ends here, with a record.
 */
#ifndef ZG_GATEWAY_GREET_H
#define ZG_GATEWAY_GREET_H

#include "worker.h"
#include "zg_wire.h"

struct zg_greet;

/* Take over an attested, redirected socket; it is counted in the worker's
 * admission. -errno: the caller still owns both. */
int zg_greet_new(struct zg_worker *w, int fd, const struct zg_origin *origin) ZG_MUST_CHECK;

/* The parent's word on one that waits. */
void zg_greet_answer(struct zg_worker *w, struct zg_msg_sni_answer *m);

void zg_greets_release(struct zg_worker *w);

#endif
