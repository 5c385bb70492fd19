/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http.h - one client connection: reads a head and a body within their caps
 * and times, runs one request at a time, writes its answer. Requests that
 * follow on the same connection wait in a bounded buffer.
 *
 * A connection and its request let go of each other in zg_http_finish, or when
 * the client leaves (zg_request_client_gone); neither outlives that pointer.
 */
#ifndef ZG_GATEWAY_HTTP_H
#define ZG_GATEWAY_HTTP_H

#include "buf.h"
#include "cleanup.h"
#include "http_head.h"
#include "zg_abi.h"

struct zg_conn;
struct zg_worker;

/* Take over a connected socket. origin NULL = nobody attests it (it will be
 * told so); cgroup_id counts it in the worker's admission. -errno: the caller
 * still owns fd and the admission. */
int zg_conn_new(struct zg_worker *w, int fd, const struct zg_origin *origin) ZG_MUST_CHECK;

/* Drop every connection of the worker, without a word. */
void zg_conns_release(struct zg_worker *w);

struct zg_http_answer {
	int status;
	struct zg_slice type;	 /* Content-Type; empty = no body */
	struct zg_slice session; /* Mcp-Session-Id; empty = none */
	struct zg_slice allow;	 /* of a 405 */
	struct zg_slice body;
	bool close;
};

/* Write the whole answer. The connection takes its next request; c must not
 * be used any more. */
void zg_http_finish(struct zg_conn *c, const struct zg_http_answer *a);

/* An event stream: head, then chunks, each sent at once, then the end, after
 * which c must not be used any more (cut: the stream broke, say so by closing). */
void zg_http_stream_begin(struct zg_conn *c, struct zg_slice session);
void zg_http_stream_write(struct zg_conn *c, struct zg_slice bytes);
void zg_http_stream_end(struct zg_conn *c, bool cut);
/* Bytes that the client has not taken yet. */
size_t zg_http_backlog(const struct zg_conn *c);

/* The request's body: arm the reading of it (sends 100 Continue if asked). */
void zg_http_want_body(struct zg_conn *c);

#endif
