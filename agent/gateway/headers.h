/* SPDX-License-Identifier: Apache-2.0 */
/*
 * headers.h - what the headers of a POST repeat of its message must be what the
 * message says. A header never decides anything; but a server, or what stands
 * before it, may read headers first, and would then do something else than was
 * judged. Pure.
 */
#ifndef ZG_GATEWAY_HEADERS_H
#define ZG_GATEWAY_HEADERS_H

#include "cleanup.h"
#include "era.h"
#include "http_head.h"
#include "rpc.h"

/* Mcp-Method and Mcp-Name against m: in the versions that have them they must
 * be there, in all others they may be. 0, or ZG_C_HEADER_MISMATCH and *why.
 * Mcp-Param-* are passed on: only the server knows which arguments they repeat. */
int zg_headers_judge(const struct zg_http_head *h, const struct zg_rpc *m, enum zg_era era,
		     const char **why) ZG_MUST_CHECK;

/* Is the value of a header this text, as it is or as =?base64?...?= of it? */
bool zg_header_says(struct zg_slice value, struct zg_slice text);

#endif
