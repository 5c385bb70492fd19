/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcp.c - clients that ask over TCP (server.h): questions behind their length,
 * as many as they like one after the other, answers in any order (RFC 7766).
 * Trust: bytes of a workload.
 */
#include <event2/buffer.h>

#include "server.h"

struct zg_asker {
	LIST_ENTRY(zg_asker) link;
	struct zg_desk *desk;
	struct bufferevent *io;
};

static void close_stream(struct zg_asker *s)
{
	zg_queries_drop(s->desk->resolver, s->desk, s);
	s->desk->streams--;
	LIST_REMOVE(s, link);
	bufferevent_free(s->io);
	free(s);
}

static void on_read(struct bufferevent *io, void *arg)
{
	struct zg_asker *s = arg;
	struct evbuffer *in = bufferevent_get_input(io);
	const struct zg_client c = {.desk = s->desk, .stream = s, .fd = -1};
	uint8_t bytes[2 + ZG_DNS_QUERY_BYTES];

	while (evbuffer_copyout(in, bytes, 2) == 2) {
		size_t len = (size_t)bytes[0] << 8 | bytes[1];

		if (!len || len > ZG_DNS_QUERY_BYTES) {
			close_stream(s);
			return;
		}
		if (evbuffer_get_length(in) < 2 + len)
			return;
		(void)evbuffer_remove(in, bytes, 2 + len);
		zg_query_begin(s->desk->resolver, &c, bytes + 2, len);
	}
}

static void on_event(struct bufferevent *io ZG_UNUSED, short what ZG_UNUSED, void *arg)
{
	close_stream(arg); /* the end, an error, or nothing asked for too long */
}

void zg_asker_open(struct zg_desk *d, int fd)
{
	static const struct timeval idle = {.tv_sec = ZG_DNS_TCP_IDLE_SEC};
	struct zg_asker *s = d->streams < ZG_DNS_TCP_PROFILE ? calloc(1, sizeof(*s)) : NULL;

	if (s)
		s->io = bufferevent_socket_new(d->resolver->base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (!s || !s->io) {
		zg_close_(&fd);
		free(s);
		return;
	}
	s->desk = d;
	d->streams++;
	LIST_INSERT_HEAD(&d->resolver->askers, s, link);
	bufferevent_setcb(s->io, on_read, NULL, on_event, s);
	/* what it has not read yet counts as idle too: answers do not pile up */
	(void)bufferevent_set_timeouts(s->io, &idle, &idle);
	bufferevent_setwatermark(s->io, EV_READ, 0, 2 * (2 + ZG_DNS_QUERY_BYTES));
	if (bufferevent_enable(s->io, EV_READ | EV_WRITE) < 0)
		close_stream(s);
}

void zg_asker_send(struct zg_asker *s, const uint8_t *bytes, size_t len)
{
	const uint8_t head[2] = {(uint8_t)(len >> 8), (uint8_t)len};

	if (evbuffer_get_length(bufferevent_get_output(s->io)) > ZG_DNS_TCP_BYTES)
		return; /* a client that does not read: its time runs out */
	(void)bufferevent_write(s->io, head, sizeof(head));
	(void)bufferevent_write(s->io, bytes, len);
}

void zg_askers_close(struct zg_desk *d)
{
	struct zg_asker *s, *next;

	for (s = LIST_FIRST(&d->resolver->askers); s; s = next) {
		next = LIST_NEXT(s, link);
		if (s->desk == d)
			close_stream(s);
	}
}
