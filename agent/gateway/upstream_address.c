/* SPDX-License-Identifier: Apache-2.0 */
/*
 * upstream_address.c - where a server is: which of its addresses is dialled, and
 * the wait for one that a name leads to. Trust: addresses come from the snapshot
 * in force, or from the kernel's word on what the client dialled; never from a
 * message, and no name is resolved here.
 */
#include "upstream_impl.h"

#include <arpa/inet.h>

#include "upstream.h"

const struct zg_server_def *zg_upstream_whereabouts(const struct zg_request *r,
						    struct zg_live **live)
{
	const struct zg_server_def *s;

	*live = r->live;
	if ((!r->server->by_name && !r->server->proxied) || r->live == r->worker->live)
		return r->server;
	s = zg_snapshot_server(&r->worker->live->snap, r->server_id);
	if (!s || memcmp(s->sha256, r->server->sha256, sizeof(s->sha256)) != 0)
		return r->server;
	*live = r->worker->live;
	return s;
}

void zg_upstream_reached(const struct zg_transfer *t, const struct zg_request *r)
{
	const struct zg_server_def *s;
	struct zg_live *live;

	if (r->origin.transparent || t->proxied)
		return;
	s = zg_upstream_whereabouts(r, &live);
	zg_live_endpoint_answered(live, s, t->first + t->nth);
}

bool zg_upstream_address(const struct zg_transfer *t, const struct zg_request *r, uint8_t addr[16],
			 uint16_t *port)
{
	const struct zg_endpoint_def *ep;
	const struct zg_server_def *s;
	struct zg_live *live;

	if (r->origin.transparent) {
		memcpy(addr, r->origin.dst, 16);
		*port = ntohs(r->origin.dst_port_be);
		return t->nth == 0;
	}
	s = zg_upstream_whereabouts(r, &live);
	ep = zg_live_endpoint(live, s, t->first, t->nth);
	if (!ep)
		return false;
	memcpy(addr, ep->addr, 16);
	*port = ep->port;
	return true;
}

/* The name that leads nowhere yet; NULL: there is an address, or none is looked for. */
static const char *unresolved_name(const struct zg_request *r)
{
	struct zg_live *live;
	const struct zg_server_def *s = zg_upstream_whereabouts(r, &live);
	const struct zg_proxy *proxy = &live->snap.settings->proxy;

	if (s->proxied)
		return proxy->by_name && !proxy->address_count ? proxy->host : NULL;
	return s->by_name && !r->origin.transparent && !zg_live_endpoint(live, s, 0, 0) ? s->host
											: NULL;
}

static bool is_nowhere(const struct zg_request *r)
{
	const char *name = unresolved_name(r);

	return name && zg_nowhere_known(&r->worker->nowhere, name, zg_now_ns());
}

bool zg_upstream_unresolved(const struct zg_request *r)
{
	return r->resolving != ZG_RS_OVER && unresolved_name(r) && !is_nowhere(r);
}

void zg_upstream_nowhere(struct zg_worker *w)
{
	struct zg_request *r, *next;

	for (r = TAILQ_FIRST(&w->requests); r; r = next) {
		next = TAILQ_NEXT(r, link);
		if (r->resolving == ZG_RS_WAITS && is_nowhere(r))
			zg_request_run(r);
	}
}

static void on_unresolved(evutil_socket_t fd ZG_UNUSED, short what ZG_UNUSED, void *arg)
{
	struct zg_request *r = arg;

	r->resolving = ZG_RS_OVER;
	zg_request_run(r);
}

enum zg_next zg_upstream_wait(struct zg_request *r)
{
	static const struct timeval limit = {ZG_SERVER_RESOLVE_SEC, 0};

	if (r->resolving == ZG_RS_WAITS)
		return ZG_WAIT;
	r->resolving = ZG_RS_WAITS;
	if (event_initialized(&r->timer))
		(void)event_del(&r->timer);
	(void)event_assign(&r->timer, r->worker->base, -1, 0, on_unresolved, r);
	(void)event_add(&r->timer, &limit);
	return ZG_WAIT;
}
