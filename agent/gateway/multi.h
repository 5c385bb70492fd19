/* SPDX-License-Identifier: Apache-2.0 */
/*
 * multi.h - transfers of libcurl's multi interface on the worker's loop, and
 * the pool that keeps their handles. What a transfer is for is upstream.c's.
 */
#ifndef ZG_GATEWAY_MULTI_H
#define ZG_GATEWAY_MULTI_H

#include <curl/curl.h>
#include <sys/queue.h>

#include "arena.h"
#include "cleanup.h"

struct zg_request;
struct zg_worker;

struct zg_transfer {
	CURL *easy; /* kept while the transfer waits in the pool */
	struct zg_worker *worker;
	struct zg_request *request;   /* NULL: nobody waits for the answer */
	LIST_ENTRY(zg_transfer) link; /* in the pool, or among those in use */
	struct zg_arena arena;	      /* what libcurl borrows during the transfer */
	struct curl_slist *headers;
	struct curl_slist connect_to;
	size_t header_bytes;
	uint32_t sends; /* how often a request has begun to go out */
	uint32_t first; /* address of the server to try first */
	uint32_t nth;	/* and how many were tried */
	bool running;
	bool paused;
};

struct zg_transfer *zg_transfer_new(struct zg_worker *w);
int zg_transfer_start(struct zg_transfer *t) ZG_MUST_CHECK;
/* Ends it if it runs. Not from within a callback of libcurl. */
void zg_transfer_free(struct zg_transfer *t);

/* upstream.c: a handle with its callbacks; the end, with libcurl's code */
CURL *zg_transfer_easy(struct zg_transfer *t);
void zg_transfer_done(struct zg_transfer *t, int code);

#endif
