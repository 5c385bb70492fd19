/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local_call.c - the calls of a session with a local server (local.h): each is a
 * request whose client is the session. Trust: both ends are hostile; an answer
 * reaches the client only as the answer to a call that is under way.
 */
#include "local_impl.h"

#include "server_message.h"

/* answers ---------------------------------------------------------------------- */

static struct zg_local_call *call_of(struct zg_client *c)
{
	return (struct zg_local_call *)c;
}

static void let_go(struct zg_local_call *call)
{
	call->client.ops = NULL;
	call->request->client = NULL;
}

static void on_want_body(struct zg_client *c ZG_UNUSED)
{
}

/* Nothing answers a notification or a response, whatever became of it. */
static void on_finish(struct zg_client *c, const struct zg_http_answer *a)
{
	struct zg_local_call *call = call_of(c);
	enum zg_rpc_kind kind = call->request->rpc.kind;

	if (call->session && !call->listen && kind != ZG_RPC_NOTIFICATION &&
	    kind != ZG_RPC_RESPONSE)
		zg_local_say(call->session, ZG_SE_CLIENT_OUT, a->body);
	let_go(call);
}

static void on_stream_begin(struct zg_client *c ZG_UNUSED, struct zg_slice session ZG_UNUSED)
{
}

/* An event as it stands in a stream: its data is the message. */
static void on_stream_write(struct zg_client *c, struct zg_slice bytes)
{
	struct zg_local_call *call = call_of(c);
	zg_autobuf data = ZG_BUF(2 * ZG_RESPONSE_BYTES);

	while (bytes.len) {
		const char *end = memchr(bytes.ptr, '\n', bytes.len);
		struct zg_slice line = {bytes.ptr, end ? (size_t)(end - bytes.ptr) : bytes.len};

		bytes.ptr += line.len + (end ? 1 : 0);
		bytes.len -= line.len + (end ? 1 : 0);
		if (!zg_slice_starts(line, ZG_SLICE("data:")))
			continue;
		zg_buf_add(&data, line.ptr + 5, line.len - 5);
	}
	if (call->session && zg_buf_ok(&data))
		zg_local_say(call->session, ZG_SE_CLIENT_OUT, zg_slice_trim(zg_buf_slice(&data)));
}

static void on_stream_end(struct zg_client *c, bool cut ZG_UNUSED)
{
	let_go(call_of(c));
}

static size_t on_backlog(const struct zg_client *c)
{
	const struct zg_local_call *call = (const struct zg_local_call *)c;

	return call->session ? zg_local_waiting(call->session, ZG_SE_CLIENT_OUT) : 0;
}

static const struct zg_client_ops call_ops = {
	.want_body = on_want_body,
	.finish = on_finish,
	.stream_begin = on_stream_begin,
	.stream_write = on_stream_write,
	.stream_end = on_stream_end,
	.backlog = on_backlog,
};

/* begin and end ---------------------------------------------------------------- */

struct zg_local_call *zg_local_call_new(struct zg_local *l)
{
	struct zg_local_call *call = calloc(1, sizeof(*call));

	if (!call)
		return NULL;
	call->client.ops = &call_ops;
	call->session = l;
	call->request = zg_request_new(l->worker, &call->client);
	if (!call->request) {
		free(call);
		return NULL;
	}
	call->request->local = call;
	call->request->attested = true;
	call->request->origin = l->origin;
	call->request->head.method = ZG_HM_POST;
	call->request->body_complete = true;
	TAILQ_INSERT_TAIL(&l->calls, call, link);
	return call;
}

void zg_local_listen(struct zg_local *l)
{
	struct zg_local_call *call = zg_local_call_new(l);

	if (!call) {
		zg_local_end(l, ZG_SC_REFUSED);
		return;
	}
	call->listen = true;
	call->request->head.method = ZG_HM_GET;
	l->listener = call;
	zg_request_run(call->request);
}

bool zg_local_idle(const struct zg_local *l)
{
	struct zg_local_call *call;

	TAILQ_FOREACH(call, &l->calls, link)
	if (call != l->listener)
		return false;
	return true;
}

struct zg_local_call *zg_local_call_with(struct zg_local *l, struct zg_slice id, bool sent)
{
	struct zg_local_call *call;

	TAILQ_FOREACH(call, &l->calls, link)
	if (!call->listen && call->sent == sent && !call->request->upstream_done &&
	    call->request->rpc.kind == ZG_RPC_REQUEST && zg_same_id(call->request, id))
		return call;
	return NULL;
}

void zg_local_forget(struct zg_request *r)
{
	struct zg_local_call *call = r->local;
	struct zg_local *l = call->session;
	bool outer;

	r->local = NULL;
	if (l) {
		outer = zg_local_enter(l);
		TAILQ_REMOVE(&l->calls, call, link);
		if (l->listener == call)
			l->listener = NULL;
		zg_narrow_give(l, &call->turn);
		if (l->client_done && zg_local_idle(l))
			zg_local_end(l, ZG_SC_CLIENT);
		else if (!l->closing)
			zg_local_regulate(l);
		zg_local_leave(l, outer);
	}
	free(call);
}

/* steps ------------------------------------------------------------------------ */

enum zg_next zg_local_route(struct zg_request *r)
{
	struct zg_local *l = r->local->session;
	const char *id = l ? zg_arena_copy(&r->arena, zg_slice_str(l->server)) : NULL;

	if (!id)
		return zg_refuse(r, 503, ZG_C_UNAVAILABLE, "the session is over");
	r->server_id = zg_slice_str(id);
	r->server = zg_snapshot_server(&r->live->snap, r->server_id);
	return ZG_NEXT;
}

struct zg_slice zg_local_version(const struct zg_request *r)
{
	const json_t *meta = json_object_get(r->rpc.params, "_meta");
	const json_t *v = json_object_get(meta, "io.modelcontextprotocol/protocolVersion");

	return (struct zg_slice){json_string_value(v), json_string_length(v)};
}

static void on_runtime(evutil_socket_t fd ZG_UNUSED, short what ZG_UNUSED, void *arg)
{
	struct zg_request *r = arg;
	struct zg_local *l = r->local->session;
	bool listened = r->local->listen, outer;
	zg_autobuf text = ZG_BUF(4096);

	r->cancelled = r->cancel_asked; /* it had its grace */
	r->cut = !r->cancelled;
	if (!l) {
		zg_request_upstream_done(r);
		return;
	}
	outer = zg_local_enter(l);
	if (!listened && !r->cancelled) {
		zg_buf_fmt(&text,
			   "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":"
			   "{\"requestId\":%s,\"reason\":\"max_runtime_sec is over\"}}",
			   r->rpc.id);
		if (zg_buf_ok(&text))
			zg_local_say(l, ZG_SE_SERVER_IN, zg_buf_slice(&text));
	}
	zg_request_upstream_done(r);
	if (listened && !l->closing)
		zg_local_listen(l);
	zg_local_leave(l, outer);
}

void zg_local_note(struct zg_request *r, struct zg_slice message)
{
	struct zg_local *l = r->local->session;
	bool outer;

	if (!l)
		return;
	outer = zg_local_enter(l);
	zg_local_say(l, ZG_SE_SERVER_IN, message);
	zg_local_leave(l, outer);
}

/* Its time began when it got in line. */
static void arm(struct zg_request *r)
{
	const uint64_t until = r->local->turn.until_ns, now = zg_now_ns();
	uint64_t us = r->runtime_sec * UINT64_C(1000000);
	struct timeval limit;

	if (until)
		us = until > now ? (until - now) / 1000 : 0;
	limit = (struct timeval){(time_t)(us / 1000000), (suseconds_t)(us % 1000000)};

	(void)event_assign(&r->timer, r->worker->base, -1, 0, on_runtime, r);
	(void)event_add(&r->timer, &limit);
}

static void begin_listening(struct zg_request *r)
{
	r->local->sent = true;
	r->output.status = 200;
	r->output.media = ZG_MEDIA_SSE;
	zg_output_head(r);
	arm(r);
	zg_local_regulate(r->local->session);
}

/* A call that the server has not been told of is cancelled here. */
static bool cancelled_here(struct zg_local *l, const struct zg_request *r)
{
	json_t *id = json_object_get(r->rpc.params, "requestId");
	struct zg_local_call *call = NULL;
	char *text;

	if (!id || !zg_slice_eq(r->rpc.method, ZG_SLICE("notifications/cancelled")))
		return false;
	text = json_dumps(id, JSON_ENCODE_ANY | JSON_COMPACT);
	if (text)
		call = zg_local_call_with(l, zg_slice_str(text), false);
	free(text);
	if (!call)
		return false;
	zg_request_client_gone(call->request);
	return true;
}

static void remember_greeting(struct zg_local *l, const struct zg_request *r)
{
	if (!zg_slice_eq(r->rpc.method, ZG_SLICE("initialize")))
		return;
	zg_buf_reset(&l->greeting);
	zg_buf_add(&l->greeting, r->body.ptr, r->body.len);
	memcpy(l->greeting_id, r->rpc.id, sizeof(l->greeting_id));
}

enum zg_next zg_local_dispatch(struct zg_request *r)
{
	struct zg_local_call *call = r->local;
	struct zg_local *l = call ? call->session : NULL;

	if (r->upstream_done) {
		if (event_initialized(&r->timer))
			(void)event_del(&r->timer);
		return ZG_NEXT;
	}
	if (call && call->sent)
		return ZG_WAIT;
	r->dispatched_ns = zg_now_ns();
	if (!call) {
		r->failure = "is a local one: its client starts `zerogate stdio`";
		return ZG_NEXT;
	}
	if (!l || l->closing || l->lost || !zg_narrow_holds(l, &call->turn)) {
		r->failure = "has ended; nothing was executed";
		return ZG_NEXT;
	}
	if (call->listen) {
		begin_listening(r);
		return ZG_WAIT;
	}
	if (r->rpc.kind == ZG_RPC_REQUEST) {
		if (zg_local_call_with(l, zg_slice_str(r->rpc.id), true))
			return zg_refuse(r, 400, ZG_RPC_INVALID_REQUEST,
					 "a request with this id is under way");
		remember_greeting(l, r);
		call->sent = true;
		zg_local_say(l, ZG_SE_SERVER_IN, zg_buf_slice(&r->body));
		arm(r);
		return ZG_WAIT;
	}
	if (!cancelled_here(l, r))
		zg_local_say(l, ZG_SE_SERVER_IN, zg_buf_slice(&r->body));
	r->output.status = 202;
	return ZG_NEXT;
}
