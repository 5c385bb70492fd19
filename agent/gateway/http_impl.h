/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_impl.h - a client connection, for the files of http.h only: its states and
 * times (http.c), what it reads (http_receive.c), what it writes (http_send.c).
 */
#ifndef ZG_GATEWAY_HTTP_IMPL_H
#define ZG_GATEWAY_HTTP_IMPL_H

#include <event2/event_struct.h>
#include <sys/queue.h>

#include "client.h"
#include "http.h"
#include "http_chunk.h"
#include "request.h"

struct bufferevent;

enum zg_conn_state {
	CONN_HEAD = 0, /* waits for a request's head */
	CONN_BUSY,     /* a request runs; it may not want its body */
	CONN_BODY,     /* its body is being read */
	CONN_FLUSH,    /* the last answer is being written */
	CONN_LINGER,   /* our side is closed; what still comes is thrown away */
	CONN_DEAD,
};

struct zg_conn {
	struct zg_client client; /* first */
	LIST_ENTRY(zg_conn) link;
	struct zg_worker *worker;
	struct bufferevent *bev;
	int fd;
	enum zg_conn_state state;
	bool driving;	 /* drive() is on the stack: it frees a dead connection */
	bool streaming;	 /* a chunked answer has begun */
	bool close;	 /* after this answer */
	bool body_taken; /* the current request's body was read */
	struct zg_http_chunk chunk;
	bool attested;
	bool tls;
	bool greeted; /* the handshake, if there is one, is over */
	struct zg_origin origin;
	struct zg_request *request;
	uint64_t unsent; /* of what it was told, in admission */
	struct event timer;
	struct event quiet; /* a stream of ours in which nothing was said for a while */
};

/* http.c ------------------------------------------------------------------------ */

/* Go on with whatever the buffered bytes allow. What it calls may kill the
 * connection, and does not free it: that is done here, at the end. */
void zg_conn_drive(struct zg_conn *c);
/* The client has some time from now on. */
void zg_conn_arm(struct zg_conn *c);
/* It is over; whoever drives the connection frees it. */
void zg_conn_kill(struct zg_conn *c);
/* The client left, or took too long: from the loop, c must not be used then. */
void zg_conn_drop(struct zg_conn *c);
/* The answer is complete: the next request, or the end. */
void zg_conn_answered(struct zg_conn *c);

/* http_receive.c ------------------------------------------------------------------ */

/* A head is there: begin its request. Some of its body, as it comes or in the
 * chunked coding. False: more bytes are needed, or none any more. */
bool zg_conn_take_head(struct zg_conn *c);
bool zg_conn_take_body(struct zg_conn *c);
bool zg_conn_take_chunks(struct zg_conn *c);

/* http_send.c ---------------------------------------------------------------------- */

/* What a request sees of its connection. */
extern const struct zg_client_ops zg_conn_ops;
/* What the client has not taken counts, until it has taken all of it. */
void zg_conn_count_unsent(struct zg_conn *c);

#endif
