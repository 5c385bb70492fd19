/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client.h - where a request's answer goes: an HTTP connection (http.c), or
 * whatever else takes its place. Steps know a client by this alone.
 *
 * A client and its request let go of each other in zg_client_finish and
 * zg_client_stream_end, after which the client must not be used any more, or
 * when the client leaves (zg_request_client_gone).
 */
#ifndef ZG_GATEWAY_CLIENT_H
#define ZG_GATEWAY_CLIENT_H

#include <stdbool.h>

#include "slice.h"

struct zg_client;

struct zg_http_answer {
	int status;
	struct zg_slice type;	   /* Content-Type; empty = no body */
	struct zg_slice session;   /* Mcp-Session-Id; empty = none */
	struct zg_slice allow;	   /* of a 405 */
	struct zg_slice challenge; /* WWW-Authenticate of a 401 or 403; empty = none */
	struct zg_slice body;
	bool close;
};

struct zg_client_ops {
	/* The request's body is wanted now (zg_request_body_complete follows). */
	void (*want_body)(struct zg_client *c);
	/* The whole answer. */
	void (*finish)(struct zg_client *c, const struct zg_http_answer *a);
	/* An event stream: begin, events as they stand in the stream, each sent
	 * at once, then the end (cut: it broke; the client must see that). */
	void (*stream_begin)(struct zg_client *c, struct zg_slice session);
	void (*stream_write)(struct zg_client *c, struct zg_slice bytes);
	void (*stream_end)(struct zg_client *c, bool cut);
	/* Bytes that the client has not taken yet. */
	size_t (*backlog)(const struct zg_client *c);
};

/* First member of every kind of client. */
struct zg_client {
	const struct zg_client_ops *ops;
};

static inline void zg_client_want_body(struct zg_client *c)
{
	c->ops->want_body(c);
}

static inline void zg_client_finish(struct zg_client *c, const struct zg_http_answer *a)
{
	c->ops->finish(c, a);
}

static inline void zg_client_stream_begin(struct zg_client *c, struct zg_slice session)
{
	c->ops->stream_begin(c, session);
}

static inline void zg_client_stream_write(struct zg_client *c, struct zg_slice bytes)
{
	c->ops->stream_write(c, bytes);
}

static inline void zg_client_stream_end(struct zg_client *c, bool cut)
{
	c->ops->stream_end(c, cut);
}

static inline size_t zg_client_backlog(const struct zg_client *c)
{
	return c->ops->backlog(c);
}

#endif
