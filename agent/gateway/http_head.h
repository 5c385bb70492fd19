/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_head.h - the head of one HTTP/1.1 request, read strictly (RFC 9112 with
 * every leniency removed). Whatever two parsers could read differently is
 * refused: bare LF or CR, folding, blanks before a colon, control bytes,
 * repeated fields, both lengths at once. Pure: no I/O, no allocation.
 *
 * libevent's own evhttp is not used for this: it accepts bare LF, folding,
 * signs and blanks in a length, keeps the first of two lengths, and stops
 * reading while a request is being answered, so that neither a client's
 * departure nor its flood would be noticed.
 */
#ifndef ZG_GATEWAY_HTTP_HEAD_H
#define ZG_GATEWAY_HTTP_HEAD_H

#include <sys/types.h>

#include "cleanup.h"
#include "slice.h"
#include "zg_limits.h"

enum zg_http_method { ZG_HM_OTHER = 0, ZG_HM_POST, ZG_HM_GET, ZG_HM_DELETE };

/* X(NAME, "lower-case field", passed on to the server?) */
#define ZG_HTTP_FIELDS(X)                                                                          \
	X(HOST, "host", 0)                                                                         \
	X(CONTENT_LENGTH, "content-length", 0)                                                     \
	X(TRANSFER_ENCODING, "transfer-encoding", 0)                                               \
	X(CONTENT_ENCODING, "content-encoding", 0)                                                 \
	X(CONTENT_TYPE, "content-type", 1)                                                         \
	X(ACCEPT, "accept", 1)                                                                     \
	X(AUTHORIZATION, "authorization", 0)                                                       \
	X(ORIGIN, "origin", 0)                                                                     \
	X(CONNECTION, "connection", 0)                                                             \
	X(EXPECT, "expect", 0)                                                                     \
	X(LAST_EVENT_ID, "last-event-id", 1)                                                       \
	X(MCP_SESSION_ID, "mcp-session-id", 1)                                                     \
	X(MCP_PROTOCOL_VERSION, "mcp-protocol-version", 1)                                         \
	X(MCP_METHOD, "mcp-method", 1)                                                             \
	X(MCP_NAME, "mcp-name", 1)

enum zg_http_field {
#define X(NAME, text, forward) ZG_HF_##NAME,
	ZG_HTTP_FIELDS(X)
#undef X
		ZG_HF_MAX
};

struct zg_http_pair {
	struct zg_slice name;
	struct zg_slice value;
};

struct zg_http_head { /* slices point into the text that was parsed */
	enum zg_http_method method;
	struct zg_slice target;
	struct zg_slice field[ZG_HF_MAX]; /* ptr NULL = absent; trimmed */
	struct zg_http_pair *extra;	  /* other Mcp-* fields */
	size_t extra_count;
	size_t content_length;
	bool chunked; /* the body's length shows at its end (http_chunk.h) */
	bool close;   /* the client ends the connection after this */
	bool expect_100;
};

/* Length of the head that text begins with (its empty line included); 0 while
 * it is incomplete; -EBADMSG as soon as a bare LF, a bare CR or a NUL shows. */
ssize_t zg_http_head_end(struct zg_slice text) ZG_MUST_CHECK;

/* Parse a complete head; room is h->extra. 0, or the HTTP status of the refusal
 * and *why. */
int zg_http_head_parse(struct zg_http_head *h, struct zg_slice text,
		       struct zg_http_pair room[ZG_HTTP_EXTRA_MAX], const char **why) ZG_MUST_CHECK;

/* Name of a field as it is sent on; NULL if it stays here. */
const char *zg_http_field_forward(enum zg_http_field f);

#endif
