/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_send.c - what a client is told: the head and body of an answer, or the
 * chunks of a stream. Trust: the peer may read as slowly as it likes; what it
 * has not taken is counted, capped, and never waited for.
 */
#include "http_impl.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <sys/socket.h>
#include <sys/uio.h>

static const struct {
	int status;
	const char *text;
} reasons[] = {
	{200, "OK"},
	{202, "Accepted"},
	{204, "No Content"},
	{400, "Bad Request"},
	{401, "Unauthorized"},
	{403, "Forbidden"},
	{404, "Not Found"},
	{405, "Method Not Allowed"},
	{408, "Request Timeout"},
	{411, "Length Required"},
	{413, "Content Too Large"},
	{415, "Unsupported Media Type"},
	{417, "Expectation Failed"},
	{421, "Misdirected Request"},
	{429, "Too Many Requests"},
	{431, "Request Header Fields Too Large"},
	{502, "Bad Gateway"},
	{503, "Service Unavailable"},
	{505, "HTTP Version Not Supported"},
};

static const char *reason_of(int status)
{
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].status == status)
			return reasons[i].text;
	return "Status";
}

static struct zg_conn *conn_of(struct zg_client *client)
{
	return (struct zg_conn *)client;
}

void zg_conn_count_unsent(struct zg_conn *c)
{
	zg_admit_held(&c->worker->admission, c->origin.cgroup_id, &c->unsent,
		      evbuffer_get_length(bufferevent_get_output(c->bev)));
}

/* Straight to the socket if nothing waits, the rest through the loop. */
static void send_parts(struct zg_conn *c, struct zg_slice a, struct zg_slice b)
{
	struct evbuffer *out = bufferevent_get_output(c->bev);
	struct iovec iov[2] = {{(void *)(uintptr_t)a.ptr, a.len},
			       {(void *)(uintptr_t)b.ptr, b.len}};
	size_t done = 0;

	if (!c->tls && !evbuffer_get_length(out)) {
		struct msghdr msg = {.msg_iov = iov, .msg_iovlen = b.len ? 2 : 1};
		ssize_t n = sendmsg(c->fd, &msg, MSG_NOSIGNAL);

		done = n > 0 ? (size_t)n : 0;
		if (n < 0 && errno != EAGAIN && errno != EINTR) {
			/* reported by the loop as the client's departure */
			(void)shutdown(c->fd, SHUT_RDWR);
			return;
		}
	}
	if (done < a.len) {
		(void)evbuffer_add(out, a.ptr + done, a.len - done);
		done = 0;
	} else {
		done -= a.len;
	}
	if (done < b.len)
		(void)evbuffer_add(out, b.ptr + done, b.len - done);
	zg_conn_count_unsent(c);
}

/* Not printf: an answer's head has six fields, and each call has an answer. */
static void add_field(struct zg_buf *head, const char *name, struct zg_slice value)
{
	if (!value.len)
		return;
	zg_buf_str(head, name);
	zg_buf_add(head, value.ptr, value.len);
	zg_buf_str(head, "\r\n");
}

static void on_finish(struct zg_client *client, const struct zg_http_answer *a)
{
	struct zg_conn *c = conn_of(client);
	struct zg_buf *head = &c->worker->scratch;

	c->close |= a->close;
	zg_buf_reset(head);
	zg_buf_str(head, "HTTP/1.1 ");
	zg_buf_u64(head, (uint64_t)a->status);
	zg_buf_char(head, ' ');
	zg_buf_str(head, reason_of(a->status));
	zg_buf_str(head, "\r\nCache-Control: no-store\r\n");
	add_field(head, "Content-Type: ", a->type);
	add_field(head, "Mcp-Session-Id: ", a->session);
	add_field(head, "WWW-Authenticate: ", a->challenge);
	add_field(head, "Allow: ", a->allow);
	if (a->status != 204) {
		zg_buf_str(head, "Content-Length: ");
		zg_buf_u64(head, a->body.len);
		zg_buf_str(head, "\r\n");
	}
	zg_buf_str(head, c->close || !c->body_taken ? "Connection: close\r\n\r\n" : "\r\n");
	if (!zg_buf_ok(head)) {
		c->request = NULL;
		zg_conn_drop(c);
		return;
	}
	send_parts(c, zg_buf_slice(head), a->body);
	zg_conn_answered(c);
}

static void on_stream_begin(struct zg_client *client, struct zg_slice session)
{
	struct zg_conn *c = conn_of(client);
	struct zg_buf *head = &c->worker->scratch;

	c->streaming = true;
	(void)event_add(&c->quiet, c->worker->quiet);
	zg_buf_reset(head);
	zg_buf_str(head, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
			 "Cache-Control: no-store\r\nX-Accel-Buffering: no\r\n"
			 "Transfer-Encoding: chunked\r\n");
	add_field(head, "Mcp-Session-Id: ", session);
	zg_buf_str(head, "\r\n");
	if (zg_buf_ok(head))
		send_parts(c, zg_buf_slice(head), (struct zg_slice){0});
	else
		(void)shutdown(c->fd, SHUT_RDWR);
}

static void on_stream_write(struct zg_client *client, struct zg_slice bytes)
{
	struct zg_conn *c = conn_of(client);
	struct evbuffer *out = bufferevent_get_output(c->bev);
	bool idle = evbuffer_get_length(out) == 0;

	/* a zero-length chunk would end the stream */
	if (!bytes.len)
		return;
	/* its server waits for a slow reader; what others say on it does not */
	if (evbuffer_get_length(out) > 2 * ZG_RESPONSE_BYTES) {
		(void)shutdown(c->fd, SHUT_RDWR);
		return;
	}
	if (evbuffer_add_printf(out, "%zx\r\n", bytes.len) < 0 ||
	    evbuffer_add(out, bytes.ptr, bytes.len) < 0 || evbuffer_add(out, "\r\n", 2) < 0)
		(void)shutdown(c->fd, SHUT_RDWR);
	zg_conn_count_unsent(c);
	(void)event_add(&c->quiet, c->worker->quiet);
	/* a reader that takes nothing is dropped by the timer (see on_timer) */
	if (idle)
		zg_conn_arm(c);
}

static void on_stream_end(struct zg_client *client, bool cut)
{
	struct zg_conn *c = conn_of(client);

	if (cut)
		c->close = true; /* without the last chunk the client knows it broke */
	else
		send_parts(c, ZG_SLICE("0\r\n\r\n"), (struct zg_slice){0});
	zg_conn_answered(c);
}

static size_t on_backlog(const struct zg_client *client)
{
	const struct zg_conn *c = (const struct zg_conn *)client;

	return evbuffer_get_length(bufferevent_get_output(c->bev));
}

static void on_want_body(struct zg_client *client)
{
	struct zg_conn *c = conn_of(client);

	if (c->state != CONN_BUSY)
		return;
	c->state = CONN_BODY;
	if (c->request->head.expect_100 &&
	    (c->request->head.content_length || c->request->head.chunked))
		send_parts(c, ZG_SLICE("HTTP/1.1 100 Continue\r\n\r\n"), (struct zg_slice){0});
	if (!c->driving)
		zg_conn_drive(c);
}

const struct zg_client_ops zg_conn_ops = {
	.want_body = on_want_body,
	.finish = on_finish,
	.stream_begin = on_stream_begin,
	.stream_write = on_stream_write,
	.stream_end = on_stream_end,
	.backlog = on_backlog,
};
