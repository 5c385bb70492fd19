/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resource.h - a listener as an OAuth protected resource: its metadata (RFC 9728),
 * what it challenges with (RFC 6750), and the step that asks for a token. A
 * connection that was redirected is none of its business: there, and on listeners
 * without auth, the kernel's word for the caller is all that is asked.
 */
#ifndef ZG_GATEWAY_RESOURCE_H
#define ZG_GATEWAY_RESOURCE_H

#include "request.h"

/* The listener that was dialled, if it wants tokens; NULL: it does not. */
const struct zg_auth *zg_resource_of(const struct zg_snapshot *s, const struct zg_origin *o,
				     uint32_t *listener);

/* Is this the resource's own host (of a Host field), or with its scheme (Origin)? */
bool zg_resource_host(const struct zg_auth *a, struct zg_slice host, bool scheme);

/* Does target ask for the metadata of a server's resource (or, without one, of
 * the listener)? Then *id is the server's, "" for the listener. */
bool zg_resource_metadata(struct zg_slice target, struct zg_slice *id);

#endif
