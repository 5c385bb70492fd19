/* SPDX-License-Identifier: Apache-2.0 */
/*
 * splice.h - a connection that is passed on as it is: to the address that the
 * client dialled, byte for byte both ways, within bounded memory. Nothing is
 * read or changed; its end is recorded with what went through (tls.pass).
 */
#ifndef ZG_GATEWAY_SPLICE_H
#define ZG_GATEWAY_SPLICE_H

#include "worker.h"

struct zg_splice;

/* Take over fd, whose first bytes are still to be read, and its place in the
 * admission. -errno: the caller still owns both. */
int zg_splice_new(struct zg_worker *w, int fd, const struct zg_origin *origin, const char *name,
		  const char *cgroup) ZG_MUST_CHECK;
void zg_splices_release(struct zg_worker *w);

#endif
