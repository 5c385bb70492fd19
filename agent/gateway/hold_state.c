/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hold_state.c - a call of 2026-07-28 waits in rounds: an input_required result
 * with a requestState of ours, with which its client calls again and waits on.
 * The token names the approval and keeps what the client brought from a round of
 * the server's own (its requestState, the answers to its questions), which is not
 * sent again with ours. Trust: see hold_token.c.
 */
#include <errno.h>

#include "hold_way.h"
#include "json_span.h"

bool zg_rounds_fits(const struct zg_request *r)
{
	static const char *const may[] = {"tools/call", "prompts/get", "resources/read"};

	if (!zg_era_modern(r->era) || r->hold.leg >= ZG_HOLD_LEGS)
		return false;
	for (size_t i = 0; i < sizeof(may) / sizeof(may[0]); i++)
		if (zg_slice_eq(r->rpc.method, zg_slice_str(may[i])))
			return true;
	return false;
}

static void put_kept(const struct zg_request *r, const char *name, struct zg_buf *out)
{
	struct zg_slice params = zg_json_member(zg_slice_trim(zg_buf_slice(&r->body)), "params");
	struct zg_slice value = zg_json_member(params, name);
	const json_t *token = json_object_get(r->rpc.params, name);

	if (!value.ptr)
		return;
	zg_buf_fmt(out, ",\"%s\":", name);
	/* a requestState as the client has it: state.c has put the server's into the body */
	if (json_is_string(token))
		zg_buf_json(out,
			    (struct zg_slice){json_string_value(token), json_string_length(token)});
	else
		zg_buf_add(out, value.ptr, value.len);
}

enum zg_next zg_rounds_over(struct zg_request *r)
{
	zg_autobuf payload = ZG_BUF(ZG_SEAL_PAYLOAD), result = ZG_BUF(2 * ZG_SEAL_PAYLOAD);
	char text[ZG_NAME_LEN + 64];

	zg_buf_fmt(&payload, "{\"approval\":\"%s\",\"leg\":%u", r->hold.approval, r->hold.leg + 1);
	put_kept(r, "requestState", &payload);
	put_kept(r, "inputResponses", &payload);
	zg_buf_char(&payload, '}');
	if (!zg_buf_ok(&payload) ||
	    zg_wait_seal(r, ZG_SEAL_HOLD, zg_buf_slice(&payload), &r->worker->token) < 0)
		return zg_way_pending(r);
	zg_buf_str(&result, "{\"resultType\":\"input_required\",\"requestState\":\"");
	zg_buf_add(&result, r->worker->token.ptr, r->worker->token.len);
	zg_buf_str(&result, "\"}");
	if (!zg_buf_ok(&result))
		return zg_way_pending(r);
	(void)snprintf(text, sizeof(text), "zerogate: pending approval %s, another round",
		       r->hold.approval);
	return zg_wait_result(r, zg_buf_slice(&result), text);
}

static int restore(struct zg_request *r, struct zg_slice kept)
{
	static const char *const ours[] = {"requestState", "inputResponses", NULL};
	static const char *const theirs[] = {"approval", "leg", NULL};
	struct zg_slice body = zg_slice_trim(zg_buf_slice(&r->body));
	struct zg_slice params = zg_json_member(body, "params");
	zg_autobuf fresh = ZG_BUF(ZG_REQUEST_BYTES), whole = ZG_BUF(ZG_REQUEST_BYTES);

	zg_buf_char(&fresh, '{');
	zg_wait_members(params, ours, &fresh);
	zg_wait_members(kept, theirs, &fresh);
	if (zg_buf_ok(&fresh))
		fresh.ptr[fresh.len - 1] = '}'; /* _meta stands before it: there is a comma */
	zg_json_splice(body, params, zg_buf_slice(&fresh), &whole);
	if (!zg_buf_ok(&fresh) || !zg_buf_ok(&whole))
		return -EFBIG;
	return zg_wait_retell(r, zg_buf_slice(&whole));
}

enum zg_next zg_rounds_resume(struct zg_request *r)
{
	const json_t *token = json_object_get(r->rpc.params, "requestState");
	struct zg_slice kept;
	enum zg_seal_verdict v;
	json_t *tree;

	if (!json_is_string(token) || !zg_era_modern(r->era) || r->rpc.kind != ZG_RPC_REQUEST)
		return ZG_NEXT;
	v = zg_wait_open(r, ZG_SEAL_HOLD,
			 (struct zg_slice){json_string_value(token), json_string_length(token)},
			 ZG_SEAL_PAYLOAD, &kept);
	if (v == ZG_SEAL_MALFORMED || v == ZG_SEAL_TAMPERED)
		return ZG_NEXT; /* a server's */
	if (v != ZG_SEAL_OPEN)
		return zg_refuse_token(r, 400, "requestState", v);
	tree = json_loadb(kept.ptr, kept.len, 0, NULL);
	r->hold.leg = (uint32_t)json_integer_value(json_object_get(tree, "leg"));
	(void)zg_str_cut(r->hold.claim, sizeof(r->hold.claim),
			 zg_slice_str(json_string_value(json_object_get(tree, "approval"))));
	json_decref(tree);
	if (restore(r, kept) < 0)
		return zg_refuse(r, 413, ZG_C_HTTP, "the message with its state is too large");
	return ZG_NEXT;
}
