/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rpc.h - one JSON-RPC 2.0 message of an MCP client, read strictly: nothing
 * that two JSON parsers could read differently is let through (duplicate or
 * case-variant keys, invalid UTF-8, NUL, unknown members, excess depth, size
 * or number of values). Requests of servers are read by the same rules.
 */
#ifndef ZG_GATEWAY_RPC_H
#define ZG_GATEWAY_RPC_H

#include <jansson.h>
#include <stdbool.h>

#include "cleanup.h"
#include "slice.h"
#include "zg_limits.h"

enum zg_rpc_kind { ZG_RPC_NONE = 0, ZG_RPC_REQUEST, ZG_RPC_NOTIFICATION, ZG_RPC_RESPONSE };

struct zg_rpc {
	enum zg_rpc_kind kind;
	json_t *root;		 /* owned; the slices below point into it */
	const json_t *params;	 /* NULL = none */
	const json_t *arguments; /* params.arguments, NULL = none */
	struct zg_slice method;	 /* "response" for a client's response */
	struct zg_slice tool; /* tool or prompt name, resource or other URI, task; may be empty */
	bool named;	      /* and Mcp-Name repeats it */
	char id[ZG_RPC_ID_BYTES]; /* as JSON text; "" = none */
};

/* Codes of the JSON-RPC specification. */
#define ZG_RPC_PARSE_ERROR	-32700
#define ZG_RPC_INVALID_REQUEST	-32600
#define ZG_RPC_METHOD_NOT_FOUND -32601
#define ZG_RPC_INVALID_PARAMS	-32602

/* 0, or a JSON-RPC error code and *why (static text); m needs release in both
 * cases and m->id is set if the message had one that could be read. */
int zg_rpc_parse(struct zg_rpc *m, struct zg_slice text, const char **why) ZG_MUST_CHECK;
void zg_rpc_release(struct zg_rpc *m);

/* The member of params._meta in which newer versions name themselves. */
#define ZG_META_VERSION "io.modelcontextprotocol/protocolVersion"

/* Read m->tool from m->params, as m->method names it; NULL or why it cannot be. */
const char *zg_rpc_subject(struct zg_rpc *m) ZG_MUST_CHECK;

/* A JSON text whose tree stays small; NULL: it would not, or is none. */
json_t *zg_rpc_tree(struct zg_slice text) ZG_MUST_CHECK;

#endif
