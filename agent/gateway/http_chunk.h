/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_chunk.h - the chunked coding of HTTP/1.1 (RFC 9112 7.1), read strictly:
 * sizes are hex digits alone, lines end with CRLF, no extensions, no trailer
 * fields. Pure: no I/O, no allocation; bytes come in any portions.
 */
#ifndef ZG_GATEWAY_HTTP_CHUNK_H
#define ZG_GATEWAY_HTTP_CHUNK_H

#include <stdint.h>

#include "cleanup.h"
#include "slice.h"

enum zg_http_chunk_state {
	ZG_CHUNK_SIZE = 0, /* hex digits */
	ZG_CHUNK_SIZE_LF,
	ZG_CHUNK_DATA,
	ZG_CHUNK_DATA_CR,
	ZG_CHUNK_DATA_LF,
	ZG_CHUNK_END_CR, /* after the chunk of size 0 */
	ZG_CHUNK_END_LF,
	ZG_CHUNK_DONE,
};

struct zg_http_chunk { /* zero it to begin */
	enum zg_http_chunk_state state;
	uint32_t digits;
	uint64_t left; /* of this chunk's data */
};

/* The next run of content out of *in, which is advanced; out is empty when more
 * bytes are needed. 1: that was all of it, what is left in *in lies beyond;
 * 0: call again while *in is not empty; -EBADMSG. */
int zg_http_chunk_next(struct zg_http_chunk *c, struct zg_slice *in,
		       struct zg_slice *out) ZG_MUST_CHECK;

#endif
