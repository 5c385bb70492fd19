/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sse.h - incremental reader of an event stream (WHATWG HTML 9.2.6): bytes in
 * any portions go in, whole events come out, each with its bytes as they came
 * and its decoded data. Line ends are LF, CRLF or CR; a byte order mark at the
 * start is ignored. An event that the stream's end cuts off never comes out.
 */
#ifndef ZG_GATEWAY_SSE_H
#define ZG_GATEWAY_SSE_H

#include "buf.h"
#include "cleanup.h"
#include "zg_limits.h"

struct zg_sse_event {
	struct zg_slice raw;  /* all its lines and the empty one */
	struct zg_slice data; /* "data" lines joined by LF */
	bool has_data;
	struct zg_slice type; /* the last "event"; len 0 = none: a message */
	struct zg_slice id;   /* the last valid "id"; len 0 = none, or none any more */
};

/* 0 to go on, or -errno, which zg_sse_feed returns at once. */
typedef int zg_sse_fn(void *arg, const struct zg_sse_event *ev);

struct zg_sse {
	struct zg_buf raw;  /* of the event that is being read; capped */
	struct zg_buf data; /* likewise */
	size_t id_at;	    /* in raw: the last id of the event */
	size_t id_len;
	size_t type_at; /* likewise */
	size_t type_len;
	size_t line; /* where in raw the current line begins */
	bool has_data;
	bool after_cr; /* the last byte was CR: an LF right after it belongs to it */
	bool started;  /* the place of the byte order mark is behind us */
	uint64_t total;
};

void zg_sse_init(struct zg_sse *s); /* caps: ZG_RESPONSE_BYTES, ZG_STREAM_BYTES */
void zg_sse_release(struct zg_sse *s);

/* 0; -EFBIG: an event or the stream exceeds its cap; fn's error. */
int zg_sse_feed(struct zg_sse *s, struct zg_slice bytes, zg_sse_fn *fn, void *arg) ZG_MUST_CHECK;

/* Append ev with its id or its data replaced (NULL: kept): other fields are
 * kept, data is put as as many lines as it has, each in the place of the first
 * line of its field. zg_sse_rebuild: the data alone. */
void zg_sse_rewrite(const struct zg_sse_event *ev, const struct zg_slice *id,
		    const struct zg_slice *data, struct zg_buf *out);
void zg_sse_rebuild(const struct zg_sse_event *ev, struct zg_slice data, struct zg_buf *out);

#endif
