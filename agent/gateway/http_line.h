/* SPDX-License-Identifier: Apache-2.0 */
/* http_line.h - the lines that heads of requests and of responses are made of (RFC 9112). */
#ifndef ZG_GATEWAY_HTTP_LINE_H
#define ZG_GATEWAY_HTTP_LINE_H

#include <stdbool.h>

#include "cleanup.h"
#include "slice.h"

/* RFC 9110 token */
bool zg_http_is_token(struct zg_slice s);
/* The next line without its CRLF; text is a complete head. */
struct zg_slice zg_http_next_line(struct zg_slice *text);
/* What stands before c, which is cut off with it. */
struct zg_slice zg_http_cut_at(struct zg_slice *s, char c);
/* "name: value", the value trimmed. NULL, or what is wrong (static text). */
const char *zg_http_split_field(struct zg_slice line, struct zg_slice *name,
				struct zg_slice *value) ZG_MUST_CHECK;

#endif
