/* SPDX-License-Identifier: Apache-2.0 */
/*
 * splice.c - see splice.h. Trust: both ends say what they like; the kernel gate
 * decides whether the gateway may go there. A buffer moves from one side to the
 * other whole; the faster side waits while the slower one has not taken it.
 */
#include "splice.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "flow_record.h"

struct side {
	struct zg_splice *splice;
	struct side *other;
	struct bufferevent *bev;
	bool ended;    /* it will say no more */
	bool told;     /* and the other side knows */
	uint64_t sent; /* bytes that came from here */
};

struct zg_splice {
	LIST_ENTRY(zg_splice) link;
	struct zg_worker *worker;
	struct zg_origin origin;
	struct side client, server;
	bool connected;
	uint64_t started_ns;
	uint64_t moved; /* bytes, when the timer last looked */
	struct event timer;
	char name[ZG_HOST_LEN];
	char cgroup[ZG_CGROUP_LEN];
};

static void close_side(struct side *a)
{
	int fd = bufferevent_getfd(a->bev);

	bufferevent_free(a->bev);
	(void)close(fd);
}

static void splice_free(struct zg_splice *s)
{
	LIST_REMOVE(s, link);
	(void)event_del(&s->timer);
	zg_admit_end(&s->worker->admission, s->origin.cgroup_id, ZG_ADMIT_CONNECTION);
	close_side(&s->client);
	close_side(&s->server);
	free(s);
}

/* An end that is no orderly one is one for both. */
static void reset(struct bufferevent *bev)
{
	const struct linger now = {.l_onoff = 1};

	(void)setsockopt(bufferevent_getfd(bev), SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

static void end(struct zg_splice *s, bool orderly, const char *how)
{
	const struct zg_flow_passed f = {
		.name = s->name,
		.cgroup = s->cgroup,
		.sent = s->client.sent,
		.received = s->server.sent,
		.duration_us = (zg_now_ns() - s->started_ns) / 1000,
		.outcome = orderly	  ? "ok"
			   : s->connected ? "cancelled"
					  : "upstream_error",
		.how = how,
	};

	zg_flow_passed(s->worker, &s->origin, &f);
	if (!orderly) {
		reset(s->client.bev);
		reset(s->server.bev);
	}
	splice_free(s);
}

static void wait_for(struct zg_splice *s)
{
	static const struct timeval connecting = {ZG_UPSTREAM_CONNECT_SEC, 0};
	static const struct timeval idle = {ZG_SPLICE_IDLE_SEC, 0}, half = {ZG_SPLICE_HALF_SEC, 0};

	(void)event_add(&s->timer, !s->connected			? &connecting
				   : s->client.ended || s->server.ended ? &half
									: &idle);
}

static size_t unsent(const struct side *to)
{
	return evbuffer_get_length(bufferevent_get_output(to->bev));
}

/* Once all that came from here is on its way, the other side hears the end. */
static void pass_end(struct side *from)
{
	struct zg_splice *s = from->splice;

	if (!from->ended || from->told || unsent(from->other))
		return;
	from->told = true;
	(void)shutdown(bufferevent_getfd(from->other->bev), SHUT_WR);
	if (from->other->told)
		end(s, true, "both sides ended it");
	else
		wait_for(s);
}

static void on_read(struct bufferevent *bev, void *arg)
{
	struct side *from = arg;
	struct evbuffer *in = bufferevent_get_input(bev);

	from->sent += evbuffer_get_length(in);
	if (evbuffer_add_buffer(bufferevent_get_output(from->other->bev), in) < 0) {
		end(from->splice, false, "there was no memory for it");
		return;
	}
	if (unsent(from->other) >= ZG_SPLICE_BUFFER_BYTES)
		(void)bufferevent_disable(bev, EV_READ);
}

/* What came from the other side is taken, down to the low mark. */
static void on_write(struct bufferevent *bev ZG_UNUSED, void *arg)
{
	struct side *to = arg;

	if (!to->other->ended)
		(void)bufferevent_enable(to->other->bev, EV_READ);
	pass_end(to->other);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
	struct side *from = arg;
	struct zg_splice *s = from->splice;

	if (what & BEV_EVENT_CONNECTED) {
		s->connected = true;
		(void)bufferevent_enable(s->client.bev, EV_READ | EV_WRITE);
		wait_for(s);
	} else if (what & BEV_EVENT_EOF) {
		from->ended = true;
		(void)bufferevent_disable(bev, EV_READ);
		pass_end(from);
	} else if (!s->connected) {
		end(s, false, "it could not be reached");
	} else {
		end(s, false,
		    from == &s->client ? "the client broke it off" : "the server broke it off");
	}
}

static void on_timer(evutil_socket_t fd ZG_UNUSED, short what ZG_UNUSED, void *arg)
{
	struct zg_splice *s = arg;
	uint64_t moved = s->client.sent + s->server.sent;

	if (s->connected && moved != s->moved) {
		s->moved = moved;
		wait_for(s);
		return;
	}
	end(s, false, s->connected ? "nothing moved for too long" : "it could not be reached");
}

/* Where the client wanted to go; IPv4 is dialled as such. */
static socklen_t address_of(const struct zg_origin *o, struct sockaddr_storage *out)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	struct sockaddr_in *v4 = (struct sockaddr_in *)out;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;

	*out = (struct sockaddr_storage){0};
	if (memcmp(o->dst, mapped, sizeof(mapped)) == 0) {
		v4->sin_family = AF_INET;
		v4->sin_port = o->dst_port_be;
		memcpy(&v4->sin_addr, o->dst + 12, 4);
		return sizeof(*v4);
	}
	v6->sin6_family = AF_INET6;
	v6->sin6_port = o->dst_port_be;
	memcpy(&v6->sin6_addr, o->dst, 16);
	return sizeof(*v6);
}

static void prepare(struct side *a, struct side *other, struct zg_splice *s,
		    struct bufferevent *bev)
{
	*a = (struct side){.splice = s, .other = other, .bev = bev};
	bufferevent_setcb(bev, on_read, on_write, on_event, a);
	bufferevent_setwatermark(bev, EV_READ, 0, ZG_SPLICE_BUFFER_BYTES);
	bufferevent_setwatermark(bev, EV_WRITE, ZG_SPLICE_BUFFER_BYTES / 2, 0);
}

/* A socket on its way there, or -errno. */
static int dial(const struct zg_origin *o)
{
	struct sockaddr_storage to;
	socklen_t len = address_of(o, &to);
	zg_autofd int fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int on = 1;

	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(fd, (struct sockaddr *)&to, len) < 0 && errno != EINPROGRESS)
		return -errno;
	return zg_take_fd(&fd);
}

/* Both ends in bufferevents, which own the sockets from then on: nothing that
 * can fail comes after. */
static int open_sides(struct zg_splice *s, int client, int server)
{
	struct event_base *base = s->worker->base;
	struct bufferevent *there = bufferevent_socket_new(base, server, 0);
	struct bufferevent *here = there ? bufferevent_socket_new(base, client, 0) : NULL;

	/* no address: it is under way, and CONNECTED or an error follows */
	if (!here || bufferevent_socket_connect(there, NULL, 0) < 0) {
		if (here)
			bufferevent_free(here);
		if (there)
			bufferevent_free(there);
		return -ENOMEM;
	}
	prepare(&s->client, &s->server, s, here);
	prepare(&s->server, &s->client, s, there);
	(void)bufferevent_enable(there, EV_READ | EV_WRITE);
	return 0;
}

int zg_splice_new(struct zg_worker *w, int fd, const struct zg_origin *origin, const char *name,
		  const char *cgroup)
{
	struct zg_splice *s = calloc(1, sizeof(*s));
	zg_autofd int server = s ? dial(origin) : -1;
	int on = 1, rc = !s ? -ENOMEM : server < 0 ? server : 0;

	if (rc == 0) {
		s->worker = w;
		rc = open_sides(s, fd, server);
	}
	if (rc < 0) {
		free(s);
		return rc;
	}
	(void)zg_take_fd(&server);
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	s->origin = *origin;
	s->started_ns = zg_now_ns();
	(void)zg_str_cut(s->name, sizeof(s->name), zg_slice_str(name));
	(void)zg_str_cut(s->cgroup, sizeof(s->cgroup), zg_slice_str(cgroup));
	(void)event_assign(&s->timer, w->base, -1, 0, on_timer, s);
	LIST_INSERT_HEAD(&w->splices, s, link);
	wait_for(s);
	return 0;
}

void zg_splices_release(struct zg_worker *w)
{
	struct zg_splice *s;

	while ((s = LIST_FIRST(&w->splices)))
		end(s, false, "the gateway ended");
}
