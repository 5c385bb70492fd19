/* SPDX-License-Identifier: Apache-2.0 */
/*
 * upstream.c - asking the configured servers (server.h): each question from a
 * socket of its own, so that the kernel picks a new port, with a random id, and
 * connected, so that nobody else's datagrams come in. A server that is silent
 * or fails is followed by the next; an answer that was cut is asked for again
 * over TCP. Trust: answers are the network's; the gate lets us reach nobody else.
 */
#include <errno.h>
#include <event2/buffer.h>
#include <sys/random.h>

#include "server.h"
#include "sockaddr.h"

#define ATTEMPTS_MIN 2 /* a lone server is asked again */

static void again(struct zg_query *q);

void zg_upstream_end(struct zg_query *q)
{
	if (q->readable)
		event_free(q->readable);
	q->readable = NULL;
	if (q->stream)
		bufferevent_free(q->stream);
	q->stream = NULL;
	zg_close_(&q->sock);
	q->sock = -1;
}

static const struct zg_listen *server_of(const struct zg_query *q)
{
	return &q->resolver->snapshot.settings->dns[q->server];
}

/* True: the message settled this attempt, one way or another. */
static bool take(struct zg_query *q, const uint8_t *bytes, size_t len, bool datagram);

/* streams -------------------------------------------------------------------------- */

static void on_stream_read(struct bufferevent *io, void *arg)
{
	struct evbuffer *in = bufferevent_get_input(io);
	uint8_t head[2];
	size_t len;

	if (evbuffer_copyout(in, head, 2) != 2)
		return;
	len = (size_t)head[0] << 8 | head[1];
	if (evbuffer_get_length(in) < 2 + len)
		return;
	(void)evbuffer_drain(in, 2);
	/* one question, one answer: what does not fit is no reason to go on */
	if (!take(arg, evbuffer_pullup(in, (ev_ssize_t)len), len, false))
		again(arg);
}

static void on_stream_event(struct bufferevent *io ZG_UNUSED, short what, void *arg)
{
	if (!(what & BEV_EVENT_CONNECTED))
		again(arg);
}

static int ask_stream(struct zg_query *q)
{
	static const struct timeval limit = {.tv_sec = ZG_DNS_UPSTREAM_MS / 1000,
					     .tv_usec = ZG_DNS_UPSTREAM_MS % 1000 * 1000};
	struct sockaddr_storage to;
	socklen_t bytes = zg_sockaddr(&to, server_of(q)->addr, server_of(q)->port);
	uint8_t message[2 + ZG_DNS_QUERY_BYTES];
	size_t len = zg_dns_question_write(&q->question, q->id, message + 2);

	message[0] = (uint8_t)(len >> 8);
	message[1] = (uint8_t)len;
	q->stream = bufferevent_socket_new(q->resolver->base, -1, BEV_OPT_CLOSE_ON_FREE);
	if (!q->stream)
		return -ENOMEM;
	bufferevent_setcb(q->stream, on_stream_read, NULL, on_stream_event, q);
	(void)bufferevent_set_timeouts(q->stream, &limit, &limit);
	if (bufferevent_enable(q->stream, EV_READ | EV_WRITE) < 0 ||
	    bufferevent_write(q->stream, message, 2 + len) < 0 ||
	    bufferevent_socket_connect(q->stream, (struct sockaddr *)&to, (int)bytes) < 0)
		return -ECONNREFUSED;
	return 0;
}

/* datagrams -------------------------------------------------------------------------- */

static void on_datagram(evutil_socket_t fd, short what, void *arg)
{
	uint8_t bytes[ZG_DNS_UDP_BYTES];
	struct zg_query *q = arg;

	if (what & EV_TIMEOUT) {
		again(q);
		return;
	}
	for (;;) {
		ssize_t n = recv((int)fd, bytes, sizeof(bytes), 0);

		if (n < 0 && errno != EAGAIN)
			again(q); /* refused: nobody serves there */
		if (n < 0 || take(q, bytes, (size_t)n, true))
			return;
		/* a guess at our id: some are borne, a storm of them is not */
		if (++q->wrong > ZG_DNS_WRONG_MAX) {
			again(q);
			return;
		}
	}
}

static int ask_datagram(struct zg_query *q)
{
	static const struct timeval limit = {.tv_sec = ZG_DNS_UPSTREAM_MS / 1000,
					     .tv_usec = ZG_DNS_UPSTREAM_MS % 1000 * 1000};
	struct sockaddr_storage to;
	socklen_t bytes = zg_sockaddr(&to, server_of(q)->addr, server_of(q)->port);
	uint8_t message[ZG_DNS_QUERY_BYTES];
	size_t len = zg_dns_question_write(&q->question, q->id, message);

	q->wrong = 0;
	q->sock = socket(to.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (q->sock < 0 || connect(q->sock, (struct sockaddr *)&to, bytes) < 0 ||
	    send(q->sock, message, len, 0) != (ssize_t)len)
		return -errno;
	q->readable = event_new(q->resolver->base, q->sock, EV_READ | EV_PERSIST, on_datagram, q);
	return q->readable && event_add(q->readable, &limit) == 0 ? 0 : -ENOMEM;
}

static bool take(struct zg_query *q, const uint8_t *bytes, size_t len, bool datagram)
{
	if (!bytes)
		return false;
	zg_found_read(&q->found, &q->question, q->id, bytes, len);
	switch (q->found.kind) {
	case ZG_FOUND_WRONG:
		zg_found_release(&q->found);
		return false;
	case ZG_FOUND_TRUNCATED:
		zg_found_release(&q->found);
		zg_upstream_end(q);
		if (!datagram || ask_stream(q) < 0)
			again(q);
		return true;
	case ZG_FOUND_FAILED:
		zg_found_release(&q->found);
		again(q);
		return true;
	case ZG_FOUND_NOTHING:
	case ZG_FOUND_ADDRESSES:
		q->resolver->preferred = q->server;
		zg_query_found(q);
		return true;
	}
	return false;
}

/* The next server, from a fresh socket. */
static void again(struct zg_query *q)
{
	size_t servers = q->resolver->snapshot.settings->dns_count;
	size_t attempts = servers < ATTEMPTS_MIN ? ATTEMPTS_MIN : servers;

	do {
		zg_upstream_end(q);
		if (!servers || q->attempts >= attempts ||
		    getrandom(&q->id, sizeof(q->id), GRND_NONBLOCK) != sizeof(q->id)) {
			zg_query_failed(q);
			return;
		}
		q->server = (q->resolver->preferred + q->attempts++) % servers;
	} while (ask_datagram(q) < 0);
}

void zg_upstream_ask(struct zg_query *q)
{
	again(q);
}
