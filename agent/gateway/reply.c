/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reply.c - what the client is told, in the form that reaches its model: a
 * denied tools/call is a tool result (isError), another request gets a typed
 * JSON-RPC error under HTTP 200, and what was no request an HTTP status. Texts
 * here come from policy and from us, names in them from the client: all of it
 * is escaped.
 */
#include "endpoint.h"
#include "hold_way.h"

static bool is_tool_call(const struct zg_request *r)
{
	return r->rpc.kind == ZG_RPC_REQUEST && zg_slice_eq(r->rpc.method, ZG_SLICE("tools/call"));
}

static void tool_result(const struct zg_request *r, struct zg_buf *out)
{
	zg_buf_str(out, "{\"jsonrpc\":\"2.0\",\"id\":");
	zg_buf_str(out, r->rpc.id);
	zg_buf_str(out, ",\"result\":{");
	if (zg_era_modern(r->era))
		zg_buf_str(out, "\"resultType\":\"complete\",");
	zg_buf_str(out, "\"content\":[{\"type\":\"text\",\"text\":");
	zg_buf_json(out, zg_slice_str(r->answer.text));
	zg_buf_str(out, "}],\"isError\":true}}");
}

static void own_result(const struct zg_request *r, struct zg_buf *out)
{
	zg_buf_str(out, "{\"jsonrpc\":\"2.0\",\"id\":");
	zg_buf_str(out, r->rpc.id);
	zg_buf_str(out, ",\"result\":");
	zg_buf_add(out, r->answer.result.ptr, r->answer.result.len);
	zg_buf_char(out, '}');
}

static void rpc_error(const struct zg_request *r, struct zg_buf *out)
{
	/* an id that could not be read is left out since 2026-07-28, null before */
	zg_buf_str(out, "{\"jsonrpc\":\"2.0\"");
	if (r->rpc.id[0] || !zg_era_modern(r->era))
		zg_buf_fmt(out, ",\"id\":%s", r->rpc.id[0] ? r->rpc.id : "null");
	zg_buf_fmt(out, ",\"error\":{\"code\":%d,\"message\":", r->answer.code);
	zg_buf_json(out, zg_slice_str(r->answer.text));
	if (r->answer.code == ZG_C_VERSION) {
		zg_buf_str(out, ",\"data\":");
		zg_era_data(r->requested_version, &r->rpc, out);
	} else if (r->hold.approval[0]) {
		zg_buf_str(out, ",\"data\":{\"approval\":");
		zg_buf_json(out, zg_slice_str(r->hold.approval));
		if (r->hold.conflict) {
			const char *text = zg_conflict_text(r->hold.conflict);

			zg_buf_str(out, ",\"conflict\":");
			zg_buf_json(out, (struct zg_slice){text, strcspn(text, ":")});
		}
		zg_buf_char(out, '}');
	}
	zg_buf_str(out, "}}");
}

void zg_reply_body(const struct zg_request *r, struct zg_buf *out)
{
	bool in_band = r->answer.kind == ZG_A_DENY || r->answer.kind == ZG_A_FAIL;

	zg_buf_reset(out);
	if (r->answer.result.ptr)
		own_result(r, out);
	else if (r->hold.task) {
		if (!in_band || !zg_task_body(r, out))
			rpc_error(r, out);
	} else if (in_band && is_tool_call(r))
		tool_result(r, out);
	else
		rpc_error(r, out);
}

/* The HTTP status under which an answer of ours goes out. */
static int status_of(const struct zg_request *r)
{
	switch (r->answer.kind) {
	case ZG_A_REFUSE:
	case ZG_A_FORWARD:
	case ZG_A_STREAMED:
	case ZG_A_BATCH:
		return r->answer.status;
	case ZG_A_DENY:
		return r->rpc.kind == ZG_RPC_REQUEST ? r->answer.status : 403;
	case ZG_A_FAIL:
		if (r->rpc.kind == ZG_RPC_REQUEST)
			return r->answer.status;
		return r->answer.code == ZG_C_UPSTREAM || r->answer.code == ZG_C_WITHHELD ? 502
											  : 503;
	}
	return 502;
}

/* A client of HTTP+SSE looks for answers on its stream alone. */
static bool goes_to_stream(const struct zg_request *r)
{
	return r->door == ZG_DOOR_MESSAGES && r->endpoint.stream && r->rpc.kind == ZG_RPC_REQUEST &&
	       (r->answer.kind == ZG_A_DENY || r->answer.kind == ZG_A_FAIL);
}

static void reply_on_stream(struct zg_request *r)
{
	const struct zg_http_answer taken = {.status = 202};
	struct zg_buf *out = &r->output.released;

	zg_reply_body(r, out);
	if (zg_buf_ok(out))
		zg_relay_say(r, zg_buf_slice(out));
	zg_client_finish(r->client, &taken);
}

static void reply_own(struct zg_request *r)
{
	struct zg_buf *out = &r->output.released;
	struct zg_http_answer a = {
		.status = status_of(r),
		.type = ZG_SLICE("application/json"),
		.close = r->answer.close,
		.challenge = r->answer.challenge,
	};

	zg_reply_body(r, out);
	if (!zg_buf_ok(out)) {
		zg_buf_reset(out);
		a.status = 503;
		a.type = (struct zg_slice){0};
	}
	if (a.status == 405)
		a.allow = zg_era_modern(r->era) ? ZG_SLICE("POST") : ZG_SLICE("GET, POST, DELETE");
	a.body = zg_buf_slice(out);
	zg_client_finish(r->client, &a);
}

static void reply_forward(struct zg_request *r)
{
	const struct zg_output *o = &r->output;
	struct zg_http_answer a = {
		.status = r->answer.status,
		.session = o->session,
		.allow = o->allow,
		.body = zg_buf_slice(o->changed ? &o->released : &o->body),
	};

	if (a.body.len)
		a.type = ZG_SLICE("application/json");
	zg_client_finish(r->client, &a);
}

/* A stream that ended without the response: the client must not wait for it,
 * unless the server gave it a place from which to ask again. */
static void reply_stream(struct zg_request *r)
{
	struct zg_buf *out = &r->output.released;
	struct zg_client *c = r->client;

	if (r->rpc.kind == ZG_RPC_REQUEST && !r->output.answered && r->answer.text[0]) {
		struct zg_buf *event = &r->worker->scratch;

		r->answer.kind = ZG_A_FAIL;
		r->answer.status = 200;
		zg_reply_body(r, out);
		zg_buf_reset(event);
		zg_buf_str(event, "data: ");
		zg_buf_add(event, out->ptr, out->len);
		zg_buf_str(event, "\n\n");
		if (zg_buf_ok(out) && zg_buf_ok(event))
			zg_client_stream_write(c, zg_buf_slice(event));
	}
	/* one that broke and can be resumed must not look complete */
	zg_client_stream_end(c, r->output.broken && r->outcome == ZG_O_DEFERRED);
}

/* The client heard on a stream of ours that its call waits: there it looks for the
 * answer, too, whatever the server made of it. */
static void reply_held_stream(struct zg_request *r)
{
	const struct zg_sse_event none = {.raw = {"data:\n\n", 7}};
	struct zg_output *o = &r->output;
	struct zg_buf *event = &r->worker->scratch;
	struct zg_slice body = zg_buf_slice(o->changed ? &o->released : &o->body);

	if (r->answer.kind != ZG_A_FORWARD || !body.len) {
		zg_reply_body(r, &o->released);
		body = zg_buf_slice(&o->released);
	}
	zg_buf_reset(event);
	zg_sse_rebuild(&none, body, event);
	if (zg_buf_ok(event))
		zg_client_stream_write(r->client, zg_buf_slice(event));
	zg_client_stream_end(r->client, !zg_buf_ok(event));
}

void zg_reply(struct zg_request *r)
{
	if (r->hold.streaming && r->answer.kind != ZG_A_STREAMED) {
		reply_held_stream(r);
		r->client = NULL;
		return;
	}
	switch (r->answer.kind) {
	case ZG_A_REFUSE:
	case ZG_A_DENY:
	case ZG_A_FAIL:
		if (goes_to_stream(r))
			reply_on_stream(r);
		else
			reply_own(r);
		break;
	case ZG_A_FORWARD:
		reply_forward(r);
		break;
	case ZG_A_STREAMED:
		reply_stream(r);
		break;
	case ZG_A_BATCH:
		zg_batch_reply(r);
		break;
	}
	r->client = NULL;
}
