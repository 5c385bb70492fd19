/* SPDX-License-Identifier: Apache-2.0 */
/*
 * redirect.h - where a server's redirect leads to: within the registered origin
 * (scheme, host and port) or off it. Pure but for libcurl's memory.
 */
#ifndef ZG_GATEWAY_REDIRECT_H
#define ZG_GATEWAY_REDIRECT_H

#include "cleanup.h"
#include "slice.h"
#include "zg_snapshot.h"

struct zg_redirect {
	bool same_origin;
	char path[2 * ZG_PATH_LEN];    /* and query; of the same origin */
	char origin[ZG_HOST_LEN + 32]; /* of another, for people: scheme, host, port */
};

/* location as the server wrote it, an answer to a request for from (path and
 * query). False: it is no URL that could be followed or told. */
bool zg_redirect_read(struct zg_redirect *out, const struct zg_server_def *server,
		      struct zg_slice from, struct zg_slice location) ZG_MUST_CHECK;

#endif
