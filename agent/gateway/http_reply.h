/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_reply.h - the head of one HTTP/1.x response, read strictly: what two
 * parsers could read differently (both lengths, a repeated length, another
 * coding than chunked, folding, control bytes) ends the exchange. Pure.
 * zg_http_head_end (http_head.h) says where the head ends.
 */
#ifndef ZG_GATEWAY_HTTP_REPLY_H
#define ZG_GATEWAY_HTTP_REPLY_H

#include <stdint.h>

#include "cleanup.h"
#include "slice.h"

enum zg_reply_body {
	ZG_BODY_UNTIL_CLOSE = 0, /* everything to the end of the connection */
	ZG_BODY_NONE,
	ZG_BODY_LENGTH,
	ZG_BODY_CHUNKED,
};

struct zg_http_reply {
	int status; /* 100..599 */
	enum zg_reply_body body;
	uint64_t length;
	bool close; /* the connection ends after it */
	/* while it is read */
	uint32_t lines;
	bool old; /* HTTP/1.0 */
	bool has_length, has_coding, has_connection;
};

/* Each field but those of the framing; its bytes are trimmed and hold no
 * control bytes, but may lie outside ASCII. */
typedef void zg_http_reply_field(void *arg, struct zg_slice name, struct zg_slice value);

/* The same for a head that somebody else has cut into lines, given without their
 * ends: the status line first, in *r that is all zero. 1: a field, *name and *value;
 * 0: the status line, or framing; -EBADMSG. At the empty line, zg_http_reply_end. */
int zg_http_reply_line(struct zg_http_reply *r, struct zg_slice line, struct zg_slice *name,
		       struct zg_slice *value) ZG_MUST_CHECK;
int zg_http_reply_end(struct zg_http_reply *r) ZG_MUST_CHECK; /* 0 or -EBADMSG */

/* text is a complete head. 0 or -EBADMSG. */
int zg_http_reply_parse(struct zg_http_reply *r, struct zg_slice text, zg_http_reply_field *fn,
			void *arg) ZG_MUST_CHECK;

#endif
