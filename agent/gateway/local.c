/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local.c - see local.h. Trust: both ends are hostile. A reader that takes
 * nothing pauses the writer on the other side, and is dropped in time; lines are
 * capped; what is no message is counted and not passed on; an answer reaches the
 * client only as the answer to a call that is under way.
 */
#include "local_impl.h"

#include <assert.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <fcntl.h>

#include "ipc.h"
#include "server_message.h"

#define READ_BYTES 65536

static void close_session(struct zg_local *l, enum zg_stdio_cause cause);
static void listen_again(struct zg_local *l);
static void free_session(struct zg_local *l);

bool zg_local_enter(struct zg_local *l)
{
	bool outer = l->driving;

	l->driving = true;
	return outer;
}

void zg_local_leave(struct zg_local *l, bool outer)
{
	l->driving = outer;
	if (!outer && l->dead)
		free_session(l);
}

static size_t waiting(const struct zg_local *l, enum zg_stdio_end which)
{
	return l->end[which] ? evbuffer_get_length(bufferevent_get_output(l->end[which])) : 0;
}

/* What one end does not take stops the other from saying more. */
static void regulate(struct zg_local *l)
{
	bool full = waiting(l, ZG_SE_CLIENT_OUT) > ZG_CLIENT_BACKLOG_BYTES;
	bool hear_client = !full && waiting(l, ZG_SE_SERVER_IN) <= ZG_CLIENT_BACKLOG_BYTES &&
			   !l->client_done && !l->lost && !l->repeating;
	/* policy may refuse the stream; answers to calls are heard all the same */
	bool hear_server = !full && !(l->listener && !l->listener->sent);

	if (l->end[ZG_SE_CLIENT_IN])
		(void)(hear_client ? bufferevent_enable(l->end[ZG_SE_CLIENT_IN], EV_READ)
				   : bufferevent_disable(l->end[ZG_SE_CLIENT_IN], EV_READ));
	if (l->end[ZG_SE_SERVER_OUT])
		(void)(hear_server ? bufferevent_enable(l->end[ZG_SE_SERVER_OUT], EV_READ)
				   : bufferevent_disable(l->end[ZG_SE_SERVER_OUT], EV_READ));
}

/* Readers of text end a line at a carriage return, too (Python's, Node's readline).
 * Between the values of one message it is a blank to us, and would make of what
 * was judged as one message several that nobody has judged. */
static size_t until_line_end(struct zg_slice text)
{
	size_t n = 0;

	while (n < text.len && text.ptr[n] != '\n' && text.ptr[n] != '\r')
		n++;
	return n;
}

/* One line; the text holds none of its own. */
static void put_line(struct zg_local *l, enum zg_stdio_end which, struct zg_slice text)
{
	struct evbuffer *out = l->end[which] ? bufferevent_get_output(l->end[which]) : NULL;

	if (!out || !text.len)
		return;
	while (text.len) {
		size_t n = until_line_end(text);
		bool end = n < text.len;

		if (evbuffer_add(out, text.ptr, n) < 0 || (end && evbuffer_add(out, " ", 1) < 0))
			break;
		text.ptr += n + (end ? 1 : 0);
		text.len -= n + (end ? 1 : 0);
	}
	/* half a line would spoil the next: the stall is noticed, and ends it */
	if (!text.len)
		(void)evbuffer_add(out, "\n", 1);
	regulate(l);
}

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
		put_line(call->session, ZG_SE_CLIENT_OUT, a->body);
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
		put_line(call->session, ZG_SE_CLIENT_OUT, zg_slice_trim(zg_buf_slice(&data)));
}

static void on_stream_end(struct zg_client *c, bool cut ZG_UNUSED)
{
	let_go(call_of(c));
}

static size_t on_backlog(const struct zg_client *c)
{
	const struct zg_local_call *call = (const struct zg_local_call *)c;

	return call->session ? waiting(call->session, ZG_SE_CLIENT_OUT) : 0;
}

static const struct zg_client_ops call_ops = {
	.want_body = on_want_body,
	.finish = on_finish,
	.stream_begin = on_stream_begin,
	.stream_write = on_stream_write,
	.stream_end = on_stream_end,
	.backlog = on_backlog,
};

/* calls -------------------------------------------------------------------------- */

static struct zg_local_call *call_new(struct zg_local *l)
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

/* Nothing is under way but listening. */
static bool idle(const struct zg_local *l)
{
	struct zg_local_call *call;

	TAILQ_FOREACH(call, &l->calls, link)
	if (call != l->listener)
		return false;
	return true;
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
		if (l->client_done && idle(l))
			close_session(l, ZG_SC_CLIENT);
		else if (!l->closing)
			regulate(l);
		zg_local_leave(l, outer);
	}
	free(call);
}

static struct zg_local_call *call_with(struct zg_local *l, struct zg_slice id, bool sent)
{
	struct zg_local_call *call;

	TAILQ_FOREACH(call, &l->calls, link)
	if (!call->listen && call->sent == sent && !call->request->upstream_done &&
	    call->request->rpc.kind == ZG_RPC_REQUEST && zg_same_id(call->request, id))
		return call;
	return NULL;
}

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
			put_line(l, ZG_SE_SERVER_IN, zg_buf_slice(&text));
	}
	zg_request_upstream_done(r);
	if (listened && !l->closing)
		listen_again(l);
	zg_local_leave(l, outer);
}

void zg_local_note(struct zg_request *r, struct zg_slice message)
{
	struct zg_local *l = r->local->session;
	bool outer;

	if (!l)
		return;
	outer = zg_local_enter(l);
	put_line(l, ZG_SE_SERVER_IN, message);
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
	regulate(r->local->session);
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
		call = call_with(l, zg_slice_str(text), false);
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
		if (call_with(l, zg_slice_str(r->rpc.id), true))
			return zg_refuse(r, 400, ZG_RPC_INVALID_REQUEST,
					 "a request with this id is under way");
		remember_greeting(l, r);
		call->sent = true;
		put_line(l, ZG_SE_SERVER_IN, zg_buf_slice(&r->body));
		arm(r);
		return ZG_WAIT;
	}
	if (!cancelled_here(l, r))
		put_line(l, ZG_SE_SERVER_IN, zg_buf_slice(&r->body));
	r->output.status = 202;
	return ZG_NEXT;
}

/* lines ----------------------------------------------------------------------------- */

static int on_client_line(void *arg, struct zg_slice line, bool cut)
{
	struct zg_local *l = arg;
	struct zg_local_call *call;
	struct zg_request *r;

	if (l->closing)
		return -ECANCELED;
	call = call_new(l);
	if (!call) {
		close_session(l, ZG_SC_REFUSED);
		return -ECANCELED;
	}
	r = call->request;
	if (cut) {
		(void)zg_refuse(r, 413, ZG_RPC_INVALID_REQUEST, "the message is too large");
		r->step = UINT32_MAX;
	} else {
		zg_buf_add(&r->body, line.ptr, line.len);
		if (!zg_buf_ok(&r->body)) {
			(void)zg_refuse(r, 503, ZG_C_UNAVAILABLE, "no memory");
			r->step = UINT32_MAX;
		}
	}
	zg_request_run(r);
	return l->closing ? -ECANCELED : 0;
}

/* It goes on, but not for ever. */
static void count_bad(struct zg_local *l, uint64_t *what)
{
	if (l->garbage + l->withheld == 0)
		zg_local_log_say(&l->log, l->worker, l->server,
				 ZG_SLICE("(zerogate) a line of its output was not passed on"));
	(*what)++;
	if (l->garbage + l->withheld > ZG_STDIO_GARBAGE_MAX)
		close_session(l, ZG_SC_GARBAGE);
}

/* What the server says by itself is judged as an event of the open stream. */
static void hear(struct zg_local *l, struct zg_slice line)
{
	struct zg_request *r = l->listener && l->listener->sent ? l->listener->request : NULL;
	zg_autobuf event = ZG_BUF(ZG_RESPONSE_BYTES + 16);

	if (!r) {
		count_bad(l, &l->withheld);
		return;
	}
	zg_buf_str(&event, "data: ");
	zg_buf_add(&event, line.ptr, line.len);
	/* a blank in JSON, the end of a line in a stream */
	for (size_t i = 0; zg_buf_ok(&event) && i < event.len; i++)
		if (event.ptr[i] == '\r')
			event.ptr[i] = ' ';
	zg_buf_str(&event, "\n\n");
	if (zg_buf_ok(&event) && zg_output_feed(r, zg_buf_slice(&event)) == 0)
		return;
	/* recorded as withheld; what comes next has a stream of its own */
	zg_request_upstream_done(r);
	count_bad(l, &l->withheld);
	if (!l->closing)
		listen_again(l);
}

static void end_repetition(struct zg_local *l)
{
	static const char ready[] =
		"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}";

	l->repeating = false;
	zg_narrow_resume(l);
	put_line(l, ZG_SE_SERVER_IN, zg_slice_str(ready));
	regulate(l);
}

static void answer(struct zg_local *l, const struct zg_peek *p, struct zg_slice line)
{
	struct zg_local_call *call = p->id.ptr ? call_with(l, p->id, true) : NULL;
	struct zg_request *r = call ? call->request : NULL;

	if (!r && l->repeating && zg_slice_eq(p->id, zg_slice_str(l->greeting_id))) {
		end_repetition(l);
		return;
	}
	if (!r) { /* of a call that was cut or never made */
		count_bad(l, &l->withheld);
		return;
	}
	l->greeted = l->greeted || zg_slice_eq(p->id, zg_slice_str(l->greeting_id));
	r->output.status = 200;
	r->output.media = ZG_MEDIA_JSON;
	if (zg_output_feed(r, line) < 0 && !r->output.withheld)
		(void)zg_withhold(r, -EIO, "it could not be kept");
	zg_request_upstream_done(r);
}

static int on_server_line(void *arg, struct zg_slice line, bool cut)
{
	struct zg_local *l = arg;
	struct zg_peek p;

	if (l->closing)
		return -ECANCELED;
	if (cut)
		close_session(l, ZG_SC_GARBAGE); /* whose answer it was cannot be told */
	else if (!zg_peek(line, &p))
		count_bad(l, &l->garbage);
	else if (p.method.ptr)
		hear(l, line);
	else if (p.answer)
		answer(l, &p, line);
	else
		count_bad(l, &l->garbage);
	return l->closing ? -ECANCELED : 0;
}

static int on_log_line(void *arg, struct zg_slice line, bool cut ZG_UNUSED)
{
	struct zg_local *l = arg;

	zg_local_log_say(&l->log, l->worker, l->server, line);
	return 0;
}

/* the end ------------------------------------------------------------------------------ */

static void tell_parent(struct zg_local *l, bool lost)
{
	struct zg_msg_stdio_closed m = {.session = l->id,
					.cause = l->cause,
					.lost = lost,
					.garbage = l->garbage,
					.withheld = l->withheld,
					.muted = l->log.muted};

	if (zg_msg_send(l->worker->channel, ZG_MSG_STDIO_CLOSED, &m, -1) < 0)
		l->worker->unrecorded++; /* the parent is gone, or about to replace us */
}

static void drop_end(struct zg_local *l, enum zg_stdio_end which)
{
	if (l->end[which])
		bufferevent_free(l->end[which]);
	l->end[which] = NULL;
	zg_close_(&l->fd[which]);
	l->fd[which] = -1;
}

static void free_session(struct zg_local *l)
{
	struct zg_local_call *call;

	while ((call = TAILQ_FIRST(&l->calls))) {
		TAILQ_REMOVE(&l->calls, call, link);
		call->session = NULL;
	}
	for (int i = 0; i < ZG_SE_MAX; i++)
		drop_end(l, (enum zg_stdio_end)i);
	if (event_initialized(&l->tick))
		(void)event_del(&l->tick);
	zg_lines_release(&l->from_client);
	zg_lines_release(&l->from_server);
	zg_local_log_release(&l->log);
	zg_buf_release(&l->greeting);
	zg_narrow_release(&l->narrow);
	LIST_REMOVE(l, link);
	free(l);
}

static void bury(struct zg_local *l)
{
	if (l->dead)
		return;
	l->dead = true;
	tell_parent(l, false);
}

/* Calls under way end with an error; those that were not dispatched are dropped. */
static void end_calls(struct zg_local *l, bool all)
{
	struct zg_local_call *call, *next;

	for (call = TAILQ_FIRST(&l->calls); call; call = next) {
		struct zg_request *r = call->request;

		next = TAILQ_NEXT(call, link);
		if (r->running || (!all && !call->sent))
			continue;
		if (!call->sent) {
			zg_request_client_gone(r);
			continue;
		}
		if (!call->listen)
			r->failure = "ended before it had answered; whether the call "
				     "was executed is not known";
		zg_request_upstream_done(r);
	}
}

static void close_session(struct zg_local *l, enum zg_stdio_cause cause)
{
	static const struct timeval flush = {ZG_LINGER_SEC, 0};

	if (l->closing)
		return;
	l->closing = true;
	l->cause = cause;
	zg_narrow_pause(l);
	end_calls(l, true);
	drop_end(l, ZG_SE_CLIENT_IN);
	drop_end(l, ZG_SE_SERVER_IN);
	drop_end(l, ZG_SE_SERVER_OUT);
	if (waiting(l, ZG_SE_CLIENT_OUT))
		(void)event_add(&l->tick, &flush);
	else
		bury(l);
}

/* The server is gone. If another one comes, the client need not know more than that
 * its calls failed; the parent decides. */
static void lose_server(struct zg_local *l)
{
	if (l->closing || l->lost)
		return;
	l->lost = true;
	zg_narrow_pause(l);
	end_calls(l, false);
	drop_end(l, ZG_SE_SERVER_IN);
	drop_end(l, ZG_SE_SERVER_OUT);
	zg_buf_reset(&l->from_server.line);
	l->from_server.skip = false;
	regulate(l);
	tell_parent(l, true);
}

static void on_tick(evutil_socket_t fd ZG_UNUSED, short what ZG_UNUSED, void *arg)
{
	static const struct timeval again = {ZG_STDIO_STALL_SEC, 0};
	struct zg_local *l = arg;
	size_t stuck = waiting(l, ZG_SE_CLIENT_OUT) + waiting(l, ZG_SE_SERVER_IN);
	bool outer = zg_local_enter(l);

	if (l->closing)
		bury(l);
	else if (stuck && l->stuck && stuck >= l->stuck)
		close_session(l, ZG_SC_CLIENT);
	else
		(void)event_add(&l->tick, &again);
	l->stuck = stuck;
	zg_local_leave(l, outer);
}

/* events -------------------------------------------------------------------------------- */

static void drive(struct zg_local *l, struct bufferevent *bev, struct zg_lines *lines,
		  zg_lines_fn *fn)
{
	struct evbuffer *in = bufferevent_get_input(bev);
	char bytes[READ_BYTES];
	bool outer = zg_local_enter(l);
	int n, rc = 0;

	while (rc == 0 && !l->closing && (n = evbuffer_remove(in, bytes, sizeof(bytes))) > 0)
		rc = zg_lines_feed(lines, (struct zg_slice){bytes, (size_t)n}, fn, l);
	if (rc < 0 && rc != -ECANCELED)
		close_session(l, ZG_SC_REFUSED);
	zg_local_leave(l, outer);
}

static void on_client_bytes(struct bufferevent *bev, void *arg)
{
	struct zg_local *l = arg;

	drive(l, bev, &l->from_client, on_client_line);
}

static void on_server_bytes(struct bufferevent *bev, void *arg)
{
	struct zg_local *l = arg;

	drive(l, bev, &l->from_server, on_server_line);
}

static void on_log_bytes(struct bufferevent *bev, void *arg)
{
	struct zg_local *l = arg;

	drive(l, bev, &l->log.lines, on_log_line);
}

static void on_drained(struct bufferevent *bev ZG_UNUSED, void *arg)
{
	struct zg_local *l = arg;

	bool outer = zg_local_enter(l);

	if (!l->closing)
		regulate(l);
	else if (!waiting(l, ZG_SE_CLIENT_OUT))
		bury(l);
	zg_local_leave(l, outer);
}

/* Its input ended: what is under way is still answered. */
static void client_done(struct zg_local *l)
{
	l->client_done = true;
	regulate(l);
	if (idle(l))
		close_session(l, ZG_SC_CLIENT);
}

static void on_event(struct bufferevent *bev, short what ZG_UNUSED, void *arg)
{
	struct zg_local *l = arg;

	bool outer = zg_local_enter(l);

	if (l->closing) {
		if (bev == l->end[ZG_SE_CLIENT_OUT])
			bury(l);
	} else if (bev == l->end[ZG_SE_CLIENT_IN])
		client_done(l);
	else if (bev == l->end[ZG_SE_CLIENT_OUT])
		close_session(l, ZG_SC_CLIENT);
	else if (bev == l->end[ZG_SE_SERVER_ERR])
		drop_end(l, ZG_SE_SERVER_ERR);
	else
		lose_server(l);
	zg_local_leave(l, outer);
}

/* begin ------------------------------------------------------------------------------------ */

struct zg_local *zg_local_find(const struct zg_worker *w, uint64_t id)
{
	struct zg_local *l;

	LIST_FOREACH(l, &w->locals, link)
	if (l->id == id)
		return l;
	return NULL;
}

int zg_local_fd(struct zg_worker *w, const struct zg_msg_stdio_fd *m, int fd)
{
	struct zg_local *l = zg_local_find(w, m->session);

	if (m->end >= ZG_SE_MAX || evutil_make_socket_nonblocking(fd) < 0) {
		(void)close(fd);
		return -EPROTO;
	}
	if (!l) {
		l = calloc(1, sizeof(*l));
		if (!l) {
			(void)close(fd);
			return -ENOMEM;
		}
		l->worker = w;
		l->id = m->session;
		for (size_t i = 0; i < ZG_SE_MAX; i++)
			l->fd[i] = -1;
		TAILQ_INIT(&l->calls);
		zg_lines_init(&l->from_client, ZG_REQUEST_BYTES);
		zg_lines_init(&l->from_server, ZG_RESPONSE_BYTES);
		zg_local_log_init(&l->log);
		l->greeting = ZG_BUF(ZG_REQUEST_BYTES);
		(void)event_assign(&l->tick, w->base, -1, 0, on_tick, l);
		zg_narrow_init(l);
		LIST_INSERT_HEAD(&w->locals, l, link);
	}
	zg_close_(&l->fd[m->end]);
	l->fd[m->end] = fd;
	return 0;
}

static bool open_end(struct zg_local *l, enum zg_stdio_end which)
{
	static const struct {
		bufferevent_data_cb read, write;
		short events;
	} rows[ZG_SE_MAX] = {
		[ZG_SE_CLIENT_IN] = {on_client_bytes, NULL, 0},
		[ZG_SE_CLIENT_OUT] = {NULL, on_drained, EV_WRITE},
		[ZG_SE_SERVER_IN] = {NULL, on_drained, EV_WRITE},
		[ZG_SE_SERVER_OUT] = {on_server_bytes, NULL, 0},
		[ZG_SE_SERVER_ERR] = {on_log_bytes, NULL, EV_READ},
	};
	struct bufferevent *bev;

	if (l->fd[which] < 0)
		return true;
	bev = bufferevent_socket_new(l->worker->base, l->fd[which], BEV_OPT_CLOSE_ON_FREE);
	if (!bev)
		return false;
	if (l->end[which])
		bufferevent_free(l->end[which]);
	l->fd[which] = -1;
	l->end[which] = bev;
	bufferevent_setcb(bev, rows[which].read, rows[which].write, on_event, l);
	bufferevent_setwatermark(bev, EV_READ, 0, READ_BYTES);
	(void)bufferevent_disable(bev, EV_READ | EV_WRITE);
	return !rows[which].events || bufferevent_enable(bev, rows[which].events) == 0;
}

/* Its request takes the steps of one that opens a stream. */
static void listen_again(struct zg_local *l)
{
	struct zg_local_call *call = call_new(l);

	if (!call) {
		close_session(l, ZG_SC_REFUSED);
		return;
	}
	call->listen = true;
	call->request->head.method = ZG_HM_GET;
	l->listener = call;
	zg_request_run(call->request);
}

static void fill_origin(struct zg_local *l, const struct zg_principal *p)
{
	l->origin.cgroup_id = p->cgroup_id;
	l->origin.start_ns = p->start_ns;
	l->origin.pid = p->pid;
	l->origin.uid = p->uid;
	l->origin.gid = p->gid;
	l->origin.profile = p->profile_id;
	memcpy(l->origin.profile_name, p->profile, sizeof(l->origin.profile_name));
	memcpy(l->origin.comm, p->comm, sizeof(l->origin.comm));
}

static void begin(struct zg_local *l, const struct zg_msg_stdio_open *m)
{
	static const struct timeval tick = {ZG_STDIO_STALL_SEC, 0};
	bool good = true;

	for (int i = 0; i < ZG_SE_MAX; i++)
		good = open_end(l, (enum zg_stdio_end)i) && good;
	if (!good || !l->end[ZG_SE_CLIENT_IN] || !l->end[ZG_SE_SERVER_OUT]) {
		close_session(l, ZG_SC_REFUSED);
		return;
	}
	if (!m->again) {
		memcpy(l->server, m->server, sizeof(l->server));
		fill_origin(l, &m->principal);
		(void)event_add(&l->tick, &tick);
	}
	l->lost = false;
	if (m->again && l->greeted) {
		l->repeating = true;
		put_line(l, ZG_SE_SERVER_IN, zg_buf_slice(&l->greeting));
	}
	if (m->again)
		zg_narrow_begin(l);
	if (!l->repeating)
		zg_narrow_resume(l);
	if (!l->listener)
		listen_again(l);
	if (!l->closing)
		regulate(l);
}

int zg_local_open(struct zg_worker *w, struct zg_msg_stdio_open *m)
{
	struct zg_local *l = zg_local_find(w, m->session);
	bool outer;

	ZG_MSG_TEXT(m->server);
	ZG_MSG_TEXT(m->principal.profile);
	ZG_MSG_TEXT(m->principal.cgroup);
	ZG_MSG_TEXT(m->principal.comm);
	if (!l)
		return -EPROTO;
	if (l->closing)
		return 0;
	outer = zg_local_enter(l);
	begin(l, m);
	zg_local_leave(l, outer);
	return 0;
}

void zg_local_close(struct zg_worker *w, const struct zg_msg_stdio_close *m)
{
	struct zg_local *l = zg_local_find(w, m->session);
	bool outer;

	if (!l)
		return;
	outer = zg_local_enter(l);
	close_session(l, ZG_SC_NONE);
	zg_local_leave(l, outer);
}

void zg_locals_release(struct zg_worker *w)
{
	struct zg_local *l;

	while ((l = LIST_FIRST(&w->locals)))
		free_session(l);
}
