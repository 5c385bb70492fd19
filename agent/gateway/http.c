/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http.c - see http.h. Trust: the peer is any process that reached a listener.
 * What it may make us hold is bounded by watermarks, what time it may take by
 * one timer: ZG_HTTP_IDLE_SEC for a whole request to arrive, the same for a
 * reader that takes nothing.
 */
#include "http.h"

#include <assert.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "flow_record.h"
#include "http_chunk.h"
#include "request.h"
#include "tls.h"

enum zg_conn_state {
	CONN_HEAD = 0, /* waits for a request's head */
	CONN_BUSY,     /* a request runs; it may not want its body */
	CONN_BODY,     /* its body is being read */
	CONN_FLUSH,    /* the last answer is being written */
	CONN_LINGER,   /* our side is closed; what still comes is thrown away */
	CONN_DEAD,
};

struct zg_conn {
	struct zg_client client; /* first */
	LIST_ENTRY(zg_conn) link;
	struct zg_worker *worker;
	struct bufferevent *bev;
	int fd;
	enum zg_conn_state state;
	bool driving;	 /* drive() is on the stack: it frees a dead connection */
	bool streaming;	 /* a chunked answer has begun */
	bool close;	 /* after this answer */
	bool body_taken; /* the current request's body was read */
	struct zg_http_chunk chunk;
	bool attested;
	bool tls;
	bool greeted; /* the handshake, if there is one, is over */
	struct zg_origin origin;
	struct zg_request *request;
	uint64_t unsent; /* of what it was told, in admission */
	struct event timer;
	struct event quiet; /* a stream of ours in which nothing was said for a while */
};

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

static void drive(struct zg_conn *c);

static struct zg_conn *conn_of(struct zg_client *client)
{
	return (struct zg_conn *)client;
}

static void conn_free(struct zg_conn *c)
{
	assert(!c->request);
	zg_admit_held(&c->worker->admission, c->origin.cgroup_id, &c->unsent, 0);
	zg_admit_end(&c->worker->admission, c->origin.cgroup_id, ZG_ADMIT_CONNECTION);
	LIST_REMOVE(c, link);
	(void)event_del(&c->timer);
	(void)event_del(&c->quiet);
	bufferevent_free(c->bev);
	free(c);
}

static void arm(struct zg_conn *c)
{
	(void)event_add(&c->timer, c->worker->idle);
}

/* It is over; whoever drives the connection frees it. */
static void conn_kill(struct zg_conn *c)
{
	struct zg_request *r = c->request;

	if (c->state == CONN_DEAD)
		return;
	c->state = CONN_DEAD;
	c->request = NULL;
	if (r)
		zg_request_client_gone(r);
}

/* The client left, or took too long: from the loop, c must not be used then. */
static void conn_drop(struct zg_conn *c)
{
	conn_kill(c);
	if (!c->driving)
		conn_free(c);
}

/* Our side ends; read what the client still sends so that it gets the answer. */
static void linger(struct zg_conn *c)
{
	static const struct timeval wait = {ZG_LINGER_SEC, 0};

	c->state = CONN_LINGER;
	if (c->tls) { /* its end is said, too; what is not taken now is not worth a wait */
		(void)SSL_shutdown(bufferevent_openssl_get_ssl(c->bev));
		ERR_clear_error();
	}
	if (shutdown(c->fd, SHUT_WR) < 0) {
		conn_kill(c);
		return;
	}
	(void)event_add(&c->timer, &wait);
	(void)bufferevent_enable(c->bev, EV_READ);
}

/* The answer is complete: the next request, or the end. */
static void answered(struct zg_conn *c)
{
	bool outer = c->driving;

	c->driving = true;
	(void)event_del(&c->quiet);
	c->request = NULL;
	c->streaming = false;
	c->state = c->close || !c->body_taken ? CONN_FLUSH : CONN_HEAD;
	arm(c);
	if (c->state == CONN_FLUSH && !evbuffer_get_length(bufferevent_get_output(c->bev)))
		linger(c);
	c->driving = outer;
	if (!outer)
		drive(c);
}

/* What the client has not taken counts, until it has taken all of it. */
static void count_unsent(struct zg_conn *c)
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
	count_unsent(c);
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
		conn_drop(c);
		return;
	}
	send_parts(c, zg_buf_slice(head), a->body);
	answered(c);
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
	count_unsent(c);
	(void)event_add(&c->quiet, c->worker->quiet);
	/* a reader that takes nothing is dropped by the timer (see on_timer) */
	if (idle)
		arm(c);
}

static void on_stream_end(struct zg_client *client, bool cut)
{
	struct zg_conn *c = conn_of(client);

	if (cut)
		c->close = true; /* without the last chunk the client knows it broke */
	else
		send_parts(c, ZG_SLICE("0\r\n\r\n"), (struct zg_slice){0});
	answered(c);
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
		drive(c);
}

/* An answer to something that never became a request. */
static void refuse_head(struct zg_conn *c, int status, const char *why)
{
	c->close = true;
	(void)zg_refuse(c->request, status, ZG_C_HTTP, "%s", why);
	c->request->step = UINT32_MAX; /* no step is run; it is recorded and answered */
	zg_request_run(c->request);
}

/* A head is there: begin its request. false: more bytes are needed. */
static bool take_head(struct zg_conn *c)
{
	struct evbuffer *in = bufferevent_get_input(c->bev);
	size_t have = evbuffer_get_length(in);
	const char *why = "";
	struct zg_http_pair extra[ZG_HTTP_EXTRA_MAX];
	struct zg_request *r;
	ssize_t n;
	int status;

	if (!have)
		return false;
	have = have > ZG_HTTP_HEADER_BYTES ? ZG_HTTP_HEADER_BYTES : have;
	n = zg_http_head_end((struct zg_slice){(char *)evbuffer_pullup(in, (ssize_t)have), have});
	if (n == 0 && have < ZG_HTTP_HEADER_BYTES)
		return false;
	r = zg_request_new(c->worker, &c->client);
	if (!r) {
		conn_kill(c);
		return false;
	}
	c->request = r;
	c->state = CONN_BUSY;
	c->body_taken = false;
	r->attested = c->attested;
	r->tls = c->tls;
	if (c->tls)
		r->tls_name = zg_slice_str(SSL_get_servername(bufferevent_openssl_get_ssl(c->bev),
							      TLSEXT_NAMETYPE_host_name));
	r->origin = c->origin;
	if (n <= 0) {
		refuse_head(c, n ? 400 : 431,
			    n ? "lines must end with CRLF and hold no NUL"
			      : "the head is too large");
		return false;
	}
	zg_buf_add(&r->head_bytes, evbuffer_pullup(in, n), (size_t)n);
	(void)evbuffer_drain(in, (size_t)n);
	if (!zg_buf_ok(&r->head_bytes)) {
		refuse_head(c, 503, "no memory");
		return false;
	}
	status = zg_http_head_parse(&r->head, zg_buf_slice(&r->head_bytes), extra, &why);
	if (!status && !zg_request_keep_extra(r)) {
		status = 503;
		why = "no memory";
	}
	if (status) {
		refuse_head(c, status, why);
		return false;
	}
	c->close |= r->head.close;
	c->body_taken = r->head.content_length == 0 && !r->head.chunked;
	c->chunk = (struct zg_http_chunk){0};
	r->body_complete = c->body_taken;
	zg_request_run(r);
	return true;
}

static void body_is_there(struct zg_conn *c)
{
	c->state = CONN_BUSY;
	c->body_taken = true;
	zg_request_body_complete(c->request);
}

/* What is there of a body is all that is taken of it. */
static void refuse_body(struct zg_conn *c, int rc)
{
	c->state = CONN_BUSY;
	switch (rc) {
	case -EFBIG:
		refuse_head(c, 413, "the message is larger than 4 MiB");
		break;
	case -ENOBUFS:
		refuse_head(c, 429, "too much is under way at once");
		break;
	case -EBADMSG:
		refuse_head(c, 400, "the chunked coding is malformed");
		break;
	default:
		refuse_head(c, 503, "no memory");
		break;
	}
}

/* Some of a body in the chunked coding; what cannot be read in one way alone
 * ends the connection. */
static bool take_chunks(struct zg_conn *c)
{
	struct evbuffer *in = bufferevent_get_input(c->bev);
	struct zg_request *r = c->request;
	size_t have = evbuffer_get_contiguous_space(in);
	struct zg_slice bytes = {(char *)evbuffer_pullup(in, (ssize_t)have), have}, run;
	int rc = 0;

	while (bytes.len && rc == 0) {
		rc = zg_http_chunk_next(&c->chunk, &bytes, &run);
		if (rc < 0)
			break;
		if (run.len > ZG_REQUEST_BYTES - r->body.len) {
			rc = -EFBIG;
			break;
		}
		zg_buf_add(&r->body, run.ptr, run.len);
		if (!zg_request_afford(r, 0))
			rc = -ENOBUFS;
	}
	(void)evbuffer_drain(in, have - bytes.len);
	if (rc < 0 || !zg_buf_ok(&r->body)) {
		refuse_body(c, rc);
		return false;
	}
	if (rc == 1)
		body_is_there(c);
	return have > 0;
}

static bool take_body(struct zg_conn *c)
{
	struct evbuffer *in = bufferevent_get_input(c->bev);
	struct zg_request *r = c->request;
	size_t want = r->head.content_length - r->body.len;
	size_t have = evbuffer_get_length(in);
	size_t n = have < want ? have : want;
	char *room;

	if (!n)
		return false;
	if (!zg_request_afford(r, n)) {
		refuse_body(c, -ENOBUFS);
		return false;
	}
	room = zg_buf_room(&r->body, n);
	if (!room) {
		conn_kill(c);
		return false;
	}
	zg_buf_wrote(&r->body, (size_t)evbuffer_remove(in, room, n));
	if (r->body.len < r->head.content_length)
		return true;
	body_is_there(c);
	return true;
}

/* Go on with whatever the buffered bytes allow. What it calls may kill the
 * connection, and does not free it: that is done here, at the end. */
static void drive(struct zg_conn *c)
{
	bool more = true;

	c->driving = true;
	while (more) {
		switch (c->state) {
		case CONN_HEAD:
			more = take_head(c);
			break;
		case CONN_BODY:
			more = c->request->head.chunked ? take_chunks(c) : take_body(c);
			break;
		case CONN_LINGER:
			(void)evbuffer_drain(bufferevent_get_input(c->bev), SIZE_MAX);
			more = false;
			break;
		case CONN_BUSY:
		case CONN_FLUSH:
		case CONN_DEAD:
			more = false;
			break;
		}
	}
	c->driving = false;
	if (c->state == CONN_DEAD)
		conn_free(c);
}

static void on_read(struct bufferevent *bev ZG_UNUSED, void *arg)
{
	drive(arg);
}

static void on_write(struct bufferevent *bev ZG_UNUSED, void *arg)
{
	struct zg_conn *c = arg;

	/* everything queued has been taken; under TLS this is told a turn of the loop
	 * later, when there may be more */
	count_unsent(c);
	if (c->state == CONN_FLUSH && !on_backlog(&c->client)) {
		linger(c);
		drive(c);
	} else if (c->request && c->streaming) {
		zg_request_client_drained(c->request);
	}
}

/* A client that does not believe the gateway, or cannot speak with it, never
 * gets to ask: that is the only trace of it. */
static void tell_handshake(struct zg_conn *c, unsigned long error)
{
	char why[ZG_NAME_LEN * 2], text[ZG_REASON_LEN];

	zg_tls_failure(error, why, sizeof(why));
	if (!error)
		return;
	(void)snprintf(text, sizeof(text), "the TLS handshake with the client failed: %s", why);
	zg_flow_refused(c->worker, &c->origin, text);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
	struct zg_conn *c = arg;

	if (what & BEV_EVENT_CONNECTED) {
		c->greeted = true;
		arm(c);
		return;
	}
	if (c->tls && !c->greeted)
		tell_handshake(c, bufferevent_get_openssl_error(bev));
	conn_drop(c);
}

/*
 * What the timer means depends on the state: too slow a request, an idle
 * connection, the end of lingering; in a stream, a client that did not empty
 * its backlog since the timer was armed. A request that runs has a time of its own.
 */
static void on_timer(evutil_socket_t fd ZG_UNUSED, short what ZG_UNUSED, void *arg)
{
	struct zg_conn *c = arg;

	if ((c->state == CONN_BUSY || c->state == CONN_BODY) && c->request && c->body_taken) {
		if (c->streaming && on_backlog(&c->client))
			conn_drop(c);
		return;
	}
	conn_drop(c);
}

/* What stands between us and the client must not take the stream for dead. */
static void on_quiet(evutil_socket_t fd ZG_UNUSED, short what ZG_UNUSED, void *arg)
{
	struct zg_conn *c = arg;

	if (!c->streaming || !c->request)
		return;
	if (on_backlog(&c->client))
		(void)event_add(&c->quiet, c->worker->quiet);
	else
		on_stream_write(&c->client, ZG_SLICE(":\n\n"));
}

static const struct zg_client_ops conn_ops = {
	.want_body = on_want_body,
	.finish = on_finish,
	.stream_begin = on_stream_begin,
	.stream_write = on_stream_write,
	.stream_end = on_stream_end,
	.backlog = on_backlog,
};

static struct bufferevent *bev_new(struct zg_worker *w, int fd, SSL *tls)
{
	if (!tls)
		return bufferevent_socket_new(w->base, fd, BEV_OPT_CLOSE_ON_FREE);
	return bufferevent_openssl_socket_new(w->base, fd, tls, BUFFEREVENT_SSL_ACCEPTING,
					      BEV_OPT_CLOSE_ON_FREE);
}

int zg_conn_new(struct zg_worker *w, int fd, const struct zg_origin *origin, SSL *tls)
{
	static const struct timeval handshake = {ZG_TLS_HANDSHAKE_SEC, 0};
	struct zg_conn *c = calloc(1, sizeof(*c));
	int on = 1;

	if (!c) {
		SSL_free(tls);
		return -ENOMEM;
	}
	c->tls = tls != NULL;
	c->client.ops = &conn_ops;
	c->worker = w;
	c->fd = fd;
	c->attested = origin != NULL;
	if (origin)
		c->origin = *origin;
	/* fails on what is not TCP, where there is nothing to gain from it */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	c->bev = bev_new(w, fd, tls); /* it frees tls when it fails */
	if (!c->bev) {
		free(c);
		return -ENOMEM;
	}
	bufferevent_setcb(c->bev, on_read, on_write, on_event, c);
	bufferevent_setwatermark(c->bev, EV_READ, 0, 4 * ZG_HTTP_HEADER_BYTES);
	(void)event_assign(&c->timer, w->base, -1, 0, on_timer, c);
	(void)event_assign(&c->quiet, w->base, -1, 0, on_quiet, c);
	LIST_INSERT_HEAD(&w->conns, c, link);
	(void)event_add(&c->timer, tls ? &handshake : w->idle);
	(void)bufferevent_enable(c->bev, EV_READ | EV_WRITE);
	return 0;
}

void zg_conns_release(struct zg_worker *w)
{
	struct zg_conn *c;

	while ((c = LIST_FIRST(&w->conns))) {
		if (c->request)
			c->request->client = NULL;
		c->request = NULL;
		conn_free(c);
	}
}
