/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plain.c - see plain.h. Trust: every byte is a hostile server's; its head is
 * capped and read strictly, its content is handed on in portions and never
 * gathered here.
 */
#include "plain.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

#include "buf.h"
#include "http_chunk.h"
#include "http_head.h"
#include "http_reply.h"
#include "sockaddr.h"

#define READ_BYTES  65536
#define BUCKETS	    64 /* of idle connections, by destination */
#define INTERIM_MAX 8  /* 1xx responses before the real one */

LIST_HEAD(connections, zg_plain);

struct zg_plain_pool {
	struct event_base *base;
	struct connections used;
	struct connections idle[BUCKETS];
	size_t idle_count;
	struct event sweep;
	char bytes[READ_BYTES]; /* of one read; nothing stays here */
};

struct zg_plain { /* a connection, and the exchange on it */
	LIST_ENTRY(zg_plain) link;
	struct zg_plain_pool *pool;
	uint8_t addr[16];
	uint16_t port;
	int fd;
	short watching; /* EV_READ, EV_WRITE */
	struct event event;
	time_t idle_since; /* CLOCK_MONOTONIC seconds */
	/* the exchange */
	const struct zg_plain_calls *calls; /* NULL: idle */
	void *arg;
	struct zg_slice head, body;
	size_t sent;
	bool connecting;
	bool answered; /* the head of the response is complete */
	bool paused;
	uint32_t interim;
	struct zg_buf text; /* of a head that came in pieces */
	struct zg_http_reply reply;
	struct zg_http_chunk chunk;
	uint64_t left;
};

static time_t now_sec(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return t.tv_sec;
}

static struct connections *bucket(struct zg_plain_pool *p, const uint8_t addr[16], uint16_t port)
{
	uint32_t h = port;

	for (int i = 0; i < 16; i++)
		h = h * 31 + addr[i];
	return &p->idle[h % BUCKETS];
}

/* connections ----------------------------------------------------------------- */

static void on_ready(evutil_socket_t fd, short what, void *arg);

static int watch(struct zg_plain *x, short what)
{
	static const struct timeval patience = {ZG_UPSTREAM_CONNECT_SEC, 0};

	if (x->watching == what)
		return 0;
	if (x->watching)
		(void)event_del(&x->event);
	x->watching = what;
	if (!what)
		return 0;
	(void)event_assign(&x->event, x->pool->base, x->fd, (short)(what | EV_PERSIST), on_ready,
			   x);
	return event_add(&x->event, x->connecting ? &patience : NULL) < 0 ? -ENOMEM : 0;
}

static void drop(struct zg_plain *x)
{
	if (x->watching)
		(void)event_del(&x->event);
	LIST_REMOVE(x, link);
	(void)close(x->fd);
	zg_buf_release(&x->text);
	free(x);
}

static void drop_idle(struct zg_plain *x)
{
	x->pool->idle_count--;
	drop(x);
}

static void on_sweep(evutil_socket_t fd ZG_UNUSED, short what ZG_UNUSED, void *arg)
{
	static const struct timeval again = {1, 0};
	struct zg_plain_pool *p = arg;
	time_t now = now_sec();

	for (size_t i = 0; i < BUCKETS; i++) {
		struct zg_plain *x = LIST_FIRST(&p->idle[i]), *next;

		for (; x; x = next) {
			next = LIST_NEXT(x, link);
			if (now - x->idle_since >= ZG_UPSTREAM_IDLE_SEC)
				drop_idle(x);
		}
	}
	if (p->idle_count)
		(void)event_add(&p->sweep, &again);
}

/* Keep it for the next exchange. */
static void keep(struct zg_plain *x)
{
	static const struct timeval soon = {1, 0};
	struct zg_plain_pool *p = x->pool;

	if (p->idle_count >= ZG_UPSTREAM_POOL_MAX || watch(x, EV_READ) < 0) {
		drop(x);
		return;
	}
	LIST_REMOVE(x, link);
	x->calls = NULL;
	x->idle_since = now_sec();
	LIST_INSERT_HEAD(bucket(p, x->addr, x->port), x, link);
	if (p->idle_count++ == 0)
		(void)event_add(&p->sweep, &soon);
}

/* The server may have closed it, or spoken, since the loop last looked; one
 * that was in use a moment ago is not asked. */
static bool is_alive(const struct zg_plain *x, time_t now)
{
	char c;

	return x->idle_since == now ||
	       (recv(x->fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN);
}

static struct zg_plain *take_idle(struct zg_plain_pool *p, const uint8_t addr[16], uint16_t port)
{
	struct connections *of = bucket(p, addr, port);
	struct zg_plain *x = LIST_FIRST(of), *next;
	time_t now = now_sec();

	for (; x; x = next) {
		next = LIST_NEXT(x, link);
		if (x->port != port || memcmp(x->addr, addr, sizeof(x->addr)) != 0)
			continue;
		if (!is_alive(x, now)) {
			drop_idle(x);
			continue;
		}
		LIST_REMOVE(x, link);
		p->idle_count--;
		return x;
	}
	return NULL;
}

static struct zg_plain *dial(struct zg_plain_pool *p, const uint8_t addr[16], uint16_t port)
{
	struct zg_plain *x = calloc(1, sizeof(*x));
	struct sockaddr_storage to;
	socklen_t bytes = zg_sockaddr(&to, addr, port);
	int on = 1, error;

	if (!x)
		return NULL;
	x->pool = p;
	x->port = port;
	memcpy(x->addr, addr, sizeof(x->addr));
	x->text = ZG_BUF(ZG_HTTP_HEADER_BYTES + READ_BYTES);
	x->fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (x->fd >= 0 && setsockopt(x->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0 &&
	    (connect(x->fd, (struct sockaddr *)&to, bytes) == 0 || errno == EINPROGRESS)) {
		x->connecting = true;
		return x;
	}
	error = errno;
	if (x->fd >= 0)
		(void)close(x->fd);
	free(x);
	errno = error;
	return NULL;
}

/* the end of an exchange -------------------------------------------------------- */

static void finish(struct zg_plain *x, int rc, bool reusable)
{
	const struct zg_plain_calls *calls = x->calls;
	bool sent = x->sent > 0;
	void *arg = x->arg;

	if (rc == 0 && reusable && !x->reply.close && x->sent == x->head.len + x->body.len)
		keep(x);
	else
		drop(x);
	calls->done(arg, rc, sent);
}

/* sending ------------------------------------------------------------------------ */

/* 0; -ENOMEM. A server that takes no more may have answered: that is read first. */
static int send_more(struct zg_plain *x)
{
	size_t in_head = x->sent < x->head.len ? x->sent : x->head.len;
	size_t in_body = x->sent - in_head;
	struct iovec iov[2] = {
		{(void *)(uintptr_t)(x->head.ptr + in_head), x->head.len - in_head},
		{(void *)((uintptr_t)x->body.ptr + in_body), x->body.len - in_body},
	};
	struct msghdr m = {.msg_iov = iov, .msg_iovlen = x->body.len ? 2 : 1};
	ssize_t n = sendmsg(x->fd, &m, MSG_NOSIGNAL);
	bool broken = n < 0 && errno != EAGAIN && errno != EINTR;

	if (n > 0)
		x->sent += (size_t)n;
	if (broken || x->sent == x->head.len + x->body.len)
		return watch(x, x->paused ? 0 : EV_READ);
	return watch(x, x->paused ? EV_WRITE : EV_READ | EV_WRITE);
}

/* receiving ---------------------------------------------------------------------- */

static void no_field(void *arg ZG_UNUSED, struct zg_slice name ZG_UNUSED,
		     struct zg_slice value ZG_UNUSED)
{
}

/* A whole head. 0; -EBADMSG. */
static int take_head(struct zg_plain *x, struct zg_slice head)
{
	/* "HTTP/1.1 1xx": its fields are not the answer's */
	/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): it has a length */
	bool interim = head.len > 9 && head.ptr[9] == '1';
	int rc = zg_http_reply_parse(&x->reply, head, interim ? no_field : x->calls->field, x->arg);

	if (rc < 0)
		return rc;
	if (interim)
		return x->reply.status == 101 || ++x->interim > INTERIM_MAX ? -EBADMSG : 0;
	x->answered = true;
	x->left = x->reply.length;
	x->chunk = (struct zg_http_chunk){0};
	x->calls->head(x->arg, x->reply.status);
	return 0;
}

/* Heads at the front of in; what is left of it is content. */
static int take_heads(struct zg_plain *x, struct zg_slice *in)
{
	while (!x->answered && in->len) {
		ssize_t n = zg_http_head_end(*in);
		int rc;

		if (n == 0)
			return in->len >= ZG_HTTP_HEADER_BYTES ? -EFBIG : 0;
		if (n > ZG_HTTP_HEADER_BYTES)
			return -EFBIG;
		rc = n < 0 ? (int)n : take_head(x, (struct zg_slice){in->ptr, (size_t)n});
		if (rc < 0)
			return rc;
		in->ptr += n;
		in->len -= (size_t)n;
	}
	return 0;
}

static int give(struct zg_plain *x, struct zg_slice bytes)
{
	int rc = bytes.len ? x->calls->body(x->arg, bytes) : 0;

	x->paused = x->paused || rc > 0;
	return rc < 0 ? rc : 0;
}

/* 1: the content is complete; *in is what lies beyond it. */
static int take_content(struct zg_plain *x, struct zg_slice *in)
{
	struct zg_slice part = *in;
	int rc = 0, end = 0;

	switch (x->reply.body) {
	case ZG_BODY_NONE:
		return 1;
	case ZG_BODY_UNTIL_CLOSE:
		in->len = 0;
		return give(x, part);
	case ZG_BODY_LENGTH:
		part.len = part.len < x->left ? part.len : (size_t)x->left;
		in->ptr += part.len;
		in->len -= part.len;
		x->left -= part.len;
		rc = give(x, part);
		return rc < 0 ? rc : x->left == 0;
	case ZG_BODY_CHUNKED:
		while (rc == 0 && end == 0 && in->len) {
			end = zg_http_chunk_next(&x->chunk, in, &part);
			rc = end < 0 ? end : give(x, part);
		}
		return rc < 0 ? rc : end;
	}
	return -EBADMSG;
}

static void take(struct zg_plain *x, struct zg_slice in)
{
	int rc;

	if (!x->answered && x->text.len) { /* pieces of a head */
		zg_buf_add(&x->text, in.ptr, in.len);
		in = zg_buf_slice(&x->text);
		if (!zg_buf_ok(&x->text)) {
			finish(x, x->text.error, false);
			return;
		}
	}
	rc = take_heads(x, &in);
	if (rc == 0 && !x->answered && in.ptr != x->text.ptr) {
		struct zg_buf rest = ZG_BUF(x->text.max);

		zg_buf_add(&rest, in.ptr, in.len);
		zg_buf_release(&x->text);
		x->text = rest;
		rc = rest.error;
	}
	if (rc == 0 && x->answered)
		rc = take_content(x, &in);
	if (rc != 0) {
		finish(x, rc < 0 ? rc : 0, in.len == 0);
		return;
	}
	if (x->answered)
		zg_buf_release(&x->text);
	if (x->paused) /* the portion at hand was taken */
		(void)watch(x, x->watching & EV_WRITE);
}

static void receive(struct zg_plain *x)
{
	ssize_t n = recv(x->fd, x->pool->bytes, sizeof(x->pool->bytes), 0);
	bool whole = x->answered && x->reply.body == ZG_BODY_UNTIL_CLOSE;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		finish(x, n == 0 && whole ? 0 : -ECONNRESET, false);
		return;
	}
	take(x, (struct zg_slice){x->pool->bytes, (size_t)n});
}

/* the loop ------------------------------------------------------------------------ */

/* 0, or what connect() came to. */
static int connected(struct zg_plain *x)
{
	socklen_t bytes = sizeof(int);
	int error = 0;

	if (getsockopt(x->fd, SOL_SOCKET, SO_ERROR, &error, &bytes) < 0)
		return -errno;
	x->connecting = false;
	return -error;
}

static void on_ready(evutil_socket_t fd ZG_UNUSED, short what, void *arg)
{
	struct zg_plain *x = arg;

	if (!x->calls) { /* closed, or it spoke out of turn */
		drop_idle(x);
		return;
	}
	if (x->connecting) {
		int rc = what & EV_TIMEOUT ? -ETIMEDOUT : connected(x);

		if (rc < 0) {
			finish(x, rc, false);
			return;
		}
	}
	if (!(what & EV_WRITE))
		receive(x);
	else if (send_more(x) < 0) /* what can be read is told again */
		finish(x, -ENOMEM, false);
}

struct zg_plain *zg_plain_start(struct zg_plain_pool *p, const uint8_t addr[16], uint16_t port,
				struct zg_slice head, struct zg_slice body,
				const struct zg_plain_calls *calls, void *arg)
{
	struct zg_plain *x = take_idle(p, addr, port);
	bool fresh = !x;

	if (fresh)
		x = dial(p, addr, port);
	if (!x)
		return NULL;
	x->calls = calls;
	x->arg = arg;
	x->head = head;
	x->body = body;
	x->sent = 0;
	x->answered = x->paused = false;
	x->interim = 0;
	x->reply = (struct zg_http_reply){0};
	LIST_INSERT_HEAD(&p->used, x, link);
	if (fresh && watch(x, EV_WRITE) < 0) {
		drop(x);
		errno = ENOMEM;
		return NULL;
	}
	/* the loop finds it ended, whatever has been sent of it */
	if (!fresh && send_more(x) < 0)
		(void)shutdown(x->fd, SHUT_RDWR);
	return x;
}

void zg_plain_abort(struct zg_plain *x)
{
	drop(x);
}

void zg_plain_resume(struct zg_plain *x)
{
	if (!x->paused)
		return;
	x->paused = false;
	if (watch(x, (short)(x->watching | EV_READ)) < 0)
		(void)shutdown(x->fd, SHUT_RDWR);
}

struct zg_plain_pool *zg_plain_pool_new(struct event_base *base)
{
	struct zg_plain_pool *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->base = base;
	(void)event_assign(&p->sweep, base, -1, 0, on_sweep, p);
	return p;
}

void zg_plain_pool_free(struct zg_plain_pool *p)
{
	struct zg_plain *x;

	if (!p)
		return;
	while ((x = LIST_FIRST(&p->used)))
		drop(x);
	for (size_t i = 0; i < BUCKETS; i++)
		while ((x = LIST_FIRST(&p->idle[i])))
			drop(x);
	(void)event_del(&p->sweep);
	free(p);
}
