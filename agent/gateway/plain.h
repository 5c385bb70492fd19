/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plain.h - HTTP/1.1 exchanges with servers that are dialled without TLS, most
 * of them on this host. libcurl speaks to all others; of a call's time on
 * loopback it alone took a third, and of an idle stream's memory the most.
 *
 * One connection carries one exchange at a time and is kept for the next. What
 * was sent is never sent again, and nothing is followed.
 */
#ifndef ZG_GATEWAY_PLAIN_H
#define ZG_GATEWAY_PLAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "cleanup.h"
#include "slice.h"

struct event_base;
struct zg_plain;      /* one exchange */
struct zg_plain_pool; /* connections of one worker */

struct zg_plain_calls {
	/* the response's fields, then its status (interim ones are not told) */
	void (*field)(void *arg, struct zg_slice name, struct zg_slice value);
	void (*head)(void *arg, int status);
	/* content as it comes. < 0 ends the exchange with that; 1 takes no more
	 * until zg_plain_resume. */
	int (*body)(void *arg, struct zg_slice bytes);
	/* The end, always from the loop; the exchange is gone then. 0;
	 * -ECONNREFUSED and others of connect() before anything was sent (sent
	 * false); -ECONNRESET: the connection ended early; -EBADMSG: the answer
	 * is malformed; -EFBIG: its head is too large; what body() returned. */
	void (*done)(void *arg, int rc, bool sent);
};

struct zg_plain_pool *zg_plain_pool_new(struct event_base *base);
void zg_plain_pool_free(struct zg_plain_pool *p); /* ends what runs, without a word */

/* head and body are borrowed until the end. NULL and errno: nothing was begun. */
struct zg_plain *zg_plain_start(struct zg_plain_pool *p, const uint8_t addr[16], uint16_t port,
				struct zg_slice head, struct zg_slice body,
				const struct zg_plain_calls *calls, void *arg);
/* Neither from within a callback: end it, no callback follows; take more. */
void zg_plain_abort(struct zg_plain *x);
void zg_plain_resume(struct zg_plain *x);

#endif
