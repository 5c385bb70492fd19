/* SPDX-License-Identifier: Apache-2.0 */
/*
 * route.h - which server a request is for, and whether a browser or a name
 * that points here by trickery sent it (Host and Origin, DNS rebinding). Pure.
 */
#ifndef ZG_GATEWAY_ROUTE_H
#define ZG_GATEWAY_ROUTE_H

#include "cleanup.h"
#include "http_head.h"
#include "snapshot.h"
#include "zg_abi.h"

enum zg_door {
	ZG_DOOR_MCP = 0,  /* Streamable HTTP */
	ZG_DOOR_SSE,	  /* HTTP+SSE: the stream */
	ZG_DOOR_MESSAGES, /* HTTP+SSE: its POSTs */
};

struct zg_route {
	struct zg_slice server_id;	    /* as asked for; from the target or the snapshot */
	const struct zg_server_def *server; /* NULL = not registered */
	enum zg_door door;
	struct zg_slice token; /* of ZG_DOOR_MESSAGES, sealed */
};

/* 0 and *out, or the HTTP status of a refusal and *why. */
int zg_route_find(struct zg_route *out, const struct zg_http_head *h, const struct zg_origin *o,
		  const struct zg_snapshot *s, const char **why) ZG_MUST_CHECK;

#endif
