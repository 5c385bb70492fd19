/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local_line.c - what the two ends of a session say (local.h), a line at a time.
 * Trust: both are hostile; lines are capped, and what is no message, or the
 * answer to nothing, is counted and not passed on.
 */
#include "local_impl.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>

#include "server_message.h"

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

void zg_local_say(struct zg_local *l, enum zg_stdio_end which, struct zg_slice text)
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
	zg_local_regulate(l);
}

/* what the client says --------------------------------------------------------- */

static int on_client_line(void *arg, struct zg_slice line, bool cut)
{
	struct zg_local *l = arg;
	struct zg_local_call *call;
	struct zg_request *r;

	if (l->closing)
		return -ECANCELED;
	call = zg_local_call_new(l);
	if (!call) {
		zg_local_end(l, ZG_SC_REFUSED);
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

/* what the server says --------------------------------------------------------- */

/* It goes on, but not for ever. */
static void count_bad(struct zg_local *l, uint64_t *what)
{
	if (l->garbage + l->withheld == 0)
		zg_local_log_say(&l->log, l->worker, l->server,
				 ZG_SLICE("(zerogate) a line of its output was not passed on"));
	(*what)++;
	if (l->garbage + l->withheld > ZG_STDIO_GARBAGE_MAX)
		zg_local_end(l, ZG_SC_GARBAGE);
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
		zg_local_listen(l);
}

static void end_repetition(struct zg_local *l)
{
	static const char ready[] =
		"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}";

	l->repeating = false;
	zg_narrow_resume(l);
	zg_local_say(l, ZG_SE_SERVER_IN, zg_slice_str(ready));
	zg_local_regulate(l);
}

static void answer(struct zg_local *l, const struct zg_peek *p, struct zg_slice line)
{
	struct zg_local_call *call = p->id.ptr ? zg_local_call_with(l, p->id, true) : NULL;
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
		zg_local_end(l, ZG_SC_GARBAGE); /* whose answer it was cannot be told */
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

/* as it comes ------------------------------------------------------------------ */

static void drive(struct zg_local *l, struct bufferevent *bev, struct zg_lines *lines,
		  zg_lines_fn *fn)
{
	struct evbuffer *in = bufferevent_get_input(bev);
	char bytes[ZG_LOCAL_READ_BYTES];
	bool outer = zg_local_enter(l);
	int n, rc = 0;

	while (rc == 0 && !l->closing && (n = evbuffer_remove(in, bytes, sizeof(bytes))) > 0)
		rc = zg_lines_feed(lines, (struct zg_slice){bytes, (size_t)n}, fn, l);
	if (rc < 0 && rc != -ECANCELED)
		zg_local_end(l, ZG_SC_REFUSED);
	zg_local_leave(l, outer);
}

void zg_local_on_client(struct bufferevent *bev, void *arg)
{
	struct zg_local *l = arg;

	drive(l, bev, &l->from_client, on_client_line);
}

void zg_local_on_server(struct bufferevent *bev, void *arg)
{
	struct zg_local *l = arg;

	drive(l, bev, &l->from_server, on_server_line);
}

void zg_local_on_log(struct bufferevent *bev, void *arg)
{
	struct zg_local *l = arg;

	drive(l, bev, &l->log.lines, on_log_line);
}
