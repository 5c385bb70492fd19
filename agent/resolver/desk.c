/* SPDX-License-Identifier: Apache-2.0 */
/*
 * desk.c - the sockets of each profile (server.h). Trust: datagrams are a
 * workload's; which profile's is known by the socket that they arrive on.
 */
#include <errno.h>

#include "log.h"
#include "server.h"

#define BATCH	64 /* datagrams of one desk before another's turn */
#define BILLION UINT64_C(1000000000)

bool zg_allowance_take(struct zg_allowance *a, uint32_t per_sec)
{
	const uint64_t full = per_sec * BILLION;
	uint64_t now = zg_resolver_now_ns(), passed = now - a->at_ns;

	/* the first time, and after any long silence, all of it is there */
	a->left = passed >= BILLION || a->left + passed * per_sec > full
			  ? full
			  : a->left + passed * per_sec;
	a->at_ns = now;
	if (a->left < BILLION)
		return false;
	a->left -= BILLION;
	return true;
}

static void on_datagram(evutil_socket_t fd, short what ZG_UNUSED, void *arg)
{
	struct zg_desk *d = arg;

	for (int i = 0; i < BATCH; i++) {
		struct zg_client c = {.desk = d, .fd = (int)fd, .peer_bytes = sizeof(c.peer)};
		/* one byte more than a question has: longer ones are seen to be so */
		uint8_t bytes[ZG_DNS_QUERY_BYTES + 1];
		ssize_t n = recvfrom((int)fd, bytes, sizeof(bytes), 0, (struct sockaddr *)&c.peer,
				     &c.peer_bytes);

		if (n < 0 && errno != ECONNREFUSED)
			return;
		if (n > 0)
			zg_query_begin(d->resolver, &c, bytes, (size_t)n);
	}
}

static void on_stream(evutil_socket_t fd, short what ZG_UNUSED, void *arg)
{
	for (int i = 0; i < BATCH; i++) {
		int sock = accept4((int)fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (sock < 0 && errno != ECONNABORTED)
			return;
		if (sock >= 0)
			zg_asker_open(arg, sock);
	}
}

static struct zg_desk *find(struct zg_resolver *r, const char *profile)
{
	struct zg_desk *d;

	LIST_FOREACH(d, &r->desks, link)
	if (strcmp(d->profile, profile) == 0)
		return d;
	d = calloc(1, sizeof(*d));
	if (!d)
		return NULL;
	d->resolver = r;
	(void)zg_str_cut(d->profile, sizeof(d->profile), zg_slice_str(profile));
	for (size_t i = 0; i < ZG_DNS_SOCKETS; i++)
		d->fd[i] = -1;
	LIST_INSERT_HEAD(&r->desks, d, link);
	return d;
}

static void close_one(struct zg_desk *d, size_t which)
{
	if (d->readable[which])
		event_free(d->readable[which]);
	d->readable[which] = NULL;
	zg_close_(&d->fd[which]);
	d->fd[which] = -1;
}

static void remove_desk(struct zg_desk *d)
{
	zg_queries_drop(d->resolver, d, NULL);
	zg_askers_close(d);
	for (size_t i = 0; i < ZG_DNS_SOCKETS; i++)
		close_one(d, i);
	LIST_REMOVE(d, link);
	free(d);
}

/* The inode tells whether it is the socket that we have. */
static bool same(int a, int b)
{
	uint64_t one = 0, two = 0;
	socklen_t bytes = sizeof(one);

	return a >= 0 && getsockopt(a, SOL_SOCKET, SO_COOKIE, &one, &bytes) == 0 &&
	       getsockopt(b, SOL_SOCKET, SO_COOKIE, &two, &bytes) == 0 && one == two;
}

bool zg_desk_give(struct zg_resolver *r, const char *profile, uint32_t which, int fd)
{
	bool stream = which == ZG_DNS_TCP4 || which == ZG_DNS_TCP6;
	struct zg_desk *d = which < ZG_DNS_SOCKETS ? find(r, profile) : NULL;

	if (!d || same(d->fd[which], fd)) {
		zg_close_(&fd);
		return d != NULL;
	}
	close_one(d, which);
	d->fd[which] = fd;
	d->readable[which] =
		event_new(r->base, fd, EV_READ | EV_PERSIST, stream ? on_stream : on_datagram, d);
	return d->readable[which] && event_add(d->readable[which], NULL) == 0;
}

void zg_desks_snapshot(struct zg_resolver *r)
{
	const struct zg_snapshot *s = &r->snapshot;
	struct zg_desk *d, *next;

	for (d = LIST_FIRST(&r->desks); d; d = next) {
		uint32_t id = zg_snapshot_profile_id(s, zg_slice_str(d->profile));

		next = LIST_NEXT(d, link);
		d->rules = zg_namerules_of(s, id);
		if (!d->rules.count) {
			remove_desk(d);
			continue;
		}
		d->audit = s->profiles[id - ZG_PROFILE_FIRST].mode == ZG_MODE_AUDIT;
	}
}

void zg_desks_release(struct zg_resolver *r)
{
	while (!LIST_EMPTY(&r->desks))
		remove_desk(LIST_FIRST(&r->desks));
}
