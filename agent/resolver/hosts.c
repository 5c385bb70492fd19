/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hosts.c - the names of registered servers and of the proxy, which the agent itself asks for
 * (server.h): each as often as its answers live, within bounds. What is found
 * is the parent's to judge; nothing here opens anything. Trust: as query.c.
 */
#include <errno.h>

#include "server.h"

struct zg_host {
	LIST_ENTRY(zg_host) link;
	struct zg_resolver *resolver;
	char name[ZG_HOST_LEN];
	struct event *again;
	uint32_t waits;	   /* for so many answers */
	uint32_t next_sec; /* then it is asked for again */
	bool found;	   /* an address, this time */
	bool wanted;
};

static uint32_t ttl_min(const struct zg_resolver *r)
{
	uint32_t sec = r->snapshot.settings->dns_ttl_min_sec;

	return sec ? sec : 1;
}

static void soonest(struct zg_host *h, uint32_t sec)
{
	if (sec < ttl_min(h->resolver))
		sec = ttl_min(h->resolver);
	if (sec < h->next_sec)
		h->next_sec = sec;
}

/* When all of its questions are answered, the parent hears of it, too: what it has
 * of this name by then is all there is. */
static void ask_again(struct zg_host *h)
{
	struct zg_msg_name_learn m = {0};
	struct timeval wait = {0};

	if (--h->waits)
		return;
	if (!h->found)
		soonest(h, ZG_SERVER_RETRY_SEC);
	wait.tv_sec = h->next_sec;
	m.ttl = h->next_sec;
	(void)zg_str_cut(m.name, sizeof(m.name), zg_slice_str(h->name));
	(void)!zg_msg_send(h->resolver->channel, ZG_MSG_NAME_LEARN, &m, -1);
	(void)event_add(h->again, &wait);
}

void zg_host_answered(struct zg_host *h, const struct zg_found *f)
{
	struct zg_msg_name_learn m = {0};

	if (!f) {
		soonest(h, ZG_SERVER_RETRY_SEC);
	} else if (f->kind == ZG_FOUND_ADDRESSES) {
		h->found = true;
		soonest(h, f->ttl);
		m = (struct zg_msg_name_learn){.ttl = f->ttl, .count = (uint32_t)f->count};
		(void)zg_str_cut(m.name, sizeof(m.name), zg_slice_str(h->name));
		memcpy(m.addr, f->addr, f->count * sizeof(m.addr[0]));
		if (zg_msg_send(h->resolver->channel, ZG_MSG_NAME_LEARN, &m, -1) < 0)
			soonest(h, ZG_SERVER_RETRY_SEC);
	}
	ask_again(h);
}

static void ask(struct zg_host *h)
{
	static const uint16_t types[] = {ZG_DNS_A, ZG_DNS_AAAA};

	h->waits = 1 + sizeof(types) / sizeof(types[0]);
	h->next_sec = ZG_DNS_TTL_MAX_SEC;
	h->found = false;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (!zg_query_own(h->resolver, h, h->name, types[i]))
			zg_host_answered(h, NULL);
	ask_again(h); /* all are out: none of them has ended this round alone */
}

static void on_again(evutil_socket_t fd ZG_UNUSED, short what ZG_UNUSED, void *arg)
{
	ask(arg);
}

static void remove_host(struct zg_host *h)
{
	zg_queries_forget(h->resolver, h);
	if (h->again)
		event_free(h->again);
	LIST_REMOVE(h, link);
	free(h);
}

static struct zg_host *find(struct zg_resolver *r, const char *name)
{
	struct zg_host *h;

	LIST_FOREACH(h, &r->hosts, link)
	if (strcmp(h->name, name) == 0)
		return h;
	return NULL;
}

static void add_host(struct zg_resolver *r, const char *name)
{
	struct zg_host *h = calloc(1, sizeof(*h));

	if (!h)
		return; /* with the next configuration again */
	h->resolver = r;
	h->wanted = true;
	(void)zg_str_cut(h->name, sizeof(h->name), zg_slice_str(name));
	LIST_INSERT_HEAD(&r->hosts, h, link);
	h->again = event_new(r->base, -1, 0, on_again, h);
	if (h->again)
		ask(h);
}

static void want(struct zg_resolver *r, const char *name)
{
	struct zg_host *h = find(r, name);

	if (h)
		h->wanted = true;
	else if (zg_hostname_ok(zg_slice_str(name)))
		add_host(r, name);
}

void zg_hosts_snapshot(struct zg_resolver *r)
{
	const struct zg_proxy *proxy = &r->snapshot.settings->proxy;
	struct zg_host *h, *next;

	LIST_FOREACH(h, &r->hosts, link)
	h->wanted = false;
	for (size_t i = 0; i < r->snapshot.server_count; i++) {
		const struct zg_server_def *s = &r->snapshot.servers[i];

		if (s->by_name)
			want(r, s->host);
	}
	if (proxy->by_name)
		want(r, proxy->host);
	for (h = LIST_FIRST(&r->hosts); h; h = next) {
		next = LIST_NEXT(h, link);
		if (!h->wanted)
			remove_host(h);
	}
}

void zg_hosts_release(struct zg_resolver *r)
{
	while (!LIST_EMPTY(&r->hosts))
		remove_host(LIST_FIRST(&r->hosts));
}

/* what workloads are told ---------------------------------------------------- */

/* All endpoints of the servers of that name, each once. */
size_t zg_hosts_addresses(const struct zg_resolver *r, struct zg_slice name, uint8_t addr[][16],
			  size_t max)
{
	const struct zg_snapshot *s = &r->snapshot;
	size_t count = 0;

	for (size_t i = 0; i < s->endpoint_count && count < max; i++) {
		const struct zg_server_def *d = &s->servers[s->endpoints[i].server];

		if (!zg_slice_eq(zg_slice_str(d->host), name) ||
		    (count && memcmp(addr[count - 1], s->endpoints[i].addr, 16) == 0))
			continue;
		memcpy(addr[count++], s->endpoints[i].addr, 16);
	}
	return count;
}
