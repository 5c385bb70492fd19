/* SPDX-License-Identifier: Apache-2.0 */
/*
 * namespace.c - a server whose names are shown under a prefix: what a client
 * calls gets its own name back, in the message and in the header that repeats
 * it. Policy, pins, approvals and records use the server's own name. Trust:
 * the message is the client's, read strictly before.
 */
#include <openssl/evp.h>

#include "json_span.h"
#include "request.h"

static const struct {
	const char *method;
	const char *object; /* member of params that holds the name; NULL = params itself */
} named[] = {
	{"tools/call", NULL},
	{"prompts/get", NULL},
	{"completion/complete", "ref"},
};

/* The raw name in the body. */
static struct zg_slice find_name(const struct zg_request *r, const char *object)
{
	struct zg_slice in = zg_json_member(zg_slice_trim(zg_buf_slice(&r->body)), "params");

	if (object)
		in = zg_json_member(in, object);
	return zg_json_member(in, "name");
}

static bool put_body(struct zg_request *r, struct zg_slice raw, struct zg_slice name)
{
	struct zg_buf *b = &r->worker->scratch;
	const char *after = raw.ptr + raw.len;

	zg_buf_reset(b);
	zg_buf_add(b, r->body.ptr, (size_t)(raw.ptr - r->body.ptr));
	zg_buf_json(b, name);
	zg_buf_add(b, after, r->body.len - (size_t)(after - r->body.ptr));
	zg_buf_reset(&r->body);
	zg_buf_add(&r->body, b->ptr, b->len);
	return zg_buf_ok(b) && zg_buf_ok(&r->body);
}

/* Mcp-Name, plain or encoded as the specification says. */
static bool put_header(struct zg_request *r, struct zg_slice name)
{
	struct zg_slice *field = &r->head.field[ZG_HF_MCP_NAME];
	bool plain = true;
	size_t n;
	char *out;

	if (!field->ptr)
		return true;
	for (size_t i = 0; i < name.len; i++)
		plain = plain && name.ptr[i] > 0x20 && name.ptr[i] < 0x7f;
	n = plain ? name.len : 9 + (name.len + 2) / 3 * 4 + 2;
	out = zg_arena_alloc(&r->arena, n + 1);
	if (!out)
		return false;
	if (plain) {
		memcpy(out, name.ptr, n);
	} else {
		memcpy(out, "=?base64?", 9);
		(void)EVP_EncodeBlock((unsigned char *)out + 9, (const unsigned char *)name.ptr,
				      (int)name.len);
		memcpy(out + n - 2, "?=", 2);
	}
	*field = (struct zg_slice){out, n};
	return true;
}

static bool put_tree(struct zg_request *r, const char *object, struct zg_slice name)
{
	json_t *in = (json_t *)(uintptr_t)r->rpc.params;
	json_t *value = json_stringn(name.ptr, name.len);

	if (object)
		in = json_object_get(in, object);
	if (json_object_set_new(in, "name", value) < 0)
		return false;
	r->rpc.tool = (struct zg_slice){json_string_value(value), json_string_length(value)};
	return true;
}

enum zg_next zg_step_namespace(struct zg_request *r)
{
	const char *object = NULL;
	struct zg_slice prefix, name, raw;
	bool found = false;

	if (!r->server || !r->server->prefix[0] || !r->rpc.params)
		return ZG_NEXT;
	prefix = zg_slice_str(r->server->prefix);
	for (size_t i = 0; !found && i < sizeof(named) / sizeof(named[0]); i++) {
		found = zg_slice_eq(r->rpc.method, zg_slice_str(named[i].method));
		object = named[i].object;
	}
	if (!found || (object && !json_object_get(json_object_get(r->rpc.params, object), "name")))
		return ZG_NEXT;
	if (!zg_slice_starts(r->rpc.tool, prefix) || r->rpc.tool.len == prefix.len)
		return zg_answer_with(r, ZG_A_DENY, ZG_RPC_INVALID_PARAMS,
				      "zerogate: the names of server %s begin with %s",
				      r->server->id, r->server->prefix);
	raw = find_name(r, object);
	name.ptr = zg_arena_copy(&r->arena, (struct zg_slice){r->rpc.tool.ptr + prefix.len,
							      r->rpc.tool.len - prefix.len});
	name.len = r->rpc.tool.len - prefix.len;
	if (!name.ptr || !raw.ptr || !put_body(r, raw, name) || !put_header(r, name) ||
	    !put_tree(r, object, name))
		return zg_refuse(r, 503, ZG_C_UNAVAILABLE, "no memory for the server's own name");
	return ZG_NEXT;
}
