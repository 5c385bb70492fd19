/* SPDX-License-Identifier: Apache-2.0 */
/*
 * multi.h - transfers on the worker's loop: by libcurl's multi interface, with
 * a pool that keeps its handles, or, where plain HTTP/1.1 is dialled directly,
 * by plain.h. What a transfer is for is upstream.c's.
 */
#ifndef ZG_GATEWAY_MULTI_H
#define ZG_GATEWAY_MULTI_H

#include <curl/curl.h>
#include <event2/event_struct.h>
#include <sys/queue.h>

#include "arena.h"
#include "cleanup.h"
#include "http_reply.h"
#include "slice.h"

struct zg_plain;
struct zg_plain_calls;
struct zg_live;
struct zg_request;
struct zg_worker;

struct zg_transfer {
	CURL *easy;		/* NULL until libcurl is needed; kept in the pool */
	struct zg_plain *plain; /* while it runs without libcurl */
	struct zg_worker *worker;
	struct zg_request *request;   /* NULL: nobody waits for the answer */
	LIST_ENTRY(zg_transfer) link; /* in the pool, or among those in use */
	struct zg_arena arena;	      /* what libcurl borrows during the transfer */
	struct curl_slist *headers;
	struct curl_slist connect_to;
	struct zg_slice head, body; /* of a plain request; head.ptr NULL: libcurl's */
	uint8_t addr[16];	    /* its destination */
	uint16_t port;
	size_t header_bytes;
	struct zg_http_reply reply; /* the head so far, as libcurl gives it line by line */
	bool h2;
	bool unfit;		  /* it is none that we take */
	uint32_t sends;		  /* how often a request has begun to go out */
	uint32_t first;		  /* address of the server to try first */
	uint32_t nth;		  /* and how many were tried */
	struct event limit;	  /* see zg_transfer_limit */
	struct zg_live *live;	  /* whose secrets it uses */
	struct zg_slice location; /* of a redirect */
	struct zg_slice path;	  /* where it led to; else the server's own */
	size_t dropped;		  /* bytes of its body */
	uint32_t redirects;
	bool follow;
	bool tls;
	bool set;     /* it is known where it goes: */
	bool proxied; /* by way of the proxy */
	bool running;
	bool paused;
};

struct zg_transfer *zg_transfer_new(struct zg_worker *w);
int zg_transfer_start(struct zg_transfer *t) ZG_MUST_CHECK;
/* It ends by itself after so long, whatever the server does. */
int zg_transfer_limit(struct zg_transfer *t, int sec) ZG_MUST_CHECK;
/* Ends it if it runs. Not from within a callback of libcurl. */
void zg_transfer_free(struct zg_transfer *t);

/* The transfer's handle, made when it is first asked for; NULL: no memory. */
CURL *zg_transfer_handle(struct zg_transfer *t);

/* upstream_answer.c: a handle with its callbacks; what a plain exchange tells. The end,
 * with libcurl's code: upstream.c. */
CURL *zg_transfer_easy(struct zg_transfer *t);
extern const struct zg_plain_calls zg_transfer_plain;
void zg_transfer_done(struct zg_transfer *t, int code);

#endif
