/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server_names.c - see server_names.h. Trust: the resolver is fed by the
 * network: names are compared with the registry's, and an address of this
 * machine, its networks or a cloud's metadata is refused unless the entry says
 * that the server is local. Parses no message of the network.
 */
#include "server_names.h"

#include <errno.h>
#include <sys/mman.h>

#include "hostname.h"
#include "log.h"
#include "names_impl.h"
#include "state.h"

#define SECOND UINT64_C(1000000000)

struct zg_server_names {
	struct zg_host_address *at; /* ZG_SERVER_ADDRESSES_MAX */
	uint64_t *expires_ns;	    /* CLOCK_BOOTTIME */
	size_t count;
	struct event *soon;
	uint64_t compiled_ns;
	bool changed;
};

static void on_soon(evutil_socket_t fd, short what, void *arg)
{
	struct zg_parent *p = arg;

	(void)fd;
	(void)what;
	if (p->server_names->changed)
		zg_parent_recompile(p);
}

int zg_server_names_open(struct zg_parent *p, struct zg_err *e)
{
	struct zg_server_names *n = calloc(1, sizeof(*n));

	p->server_names = n;
	if (n) {
		n->at = calloc(ZG_SERVER_ADDRESSES_MAX, sizeof(*n->at));
		n->expires_ns = calloc(ZG_SERVER_ADDRESSES_MAX, sizeof(*n->expires_ns));
		n->soon = event_new(p->loop, -1, 0, on_soon, p);
	}
	return n && n->at && n->expires_ns && n->soon
		       ? 0
		       : zg_err_set(e, ENOMEM, "no memory for the names of servers");
}

void zg_server_names_free(struct zg_server_names *n)
{
	if (!n)
		return;
	if (n->soon)
		event_free(n->soon);
	free(n->at);
	free(n->expires_ns);
	free(n);
}

/* The first change at once, the next ones together. */
static void compile_soon(struct zg_server_names *n)
{
	uint64_t now = zg_names_now_ns(),
		 due = n->compiled_ns + ZG_SERVER_RECOMPILE_MS * UINT64_C(1000000);
	uint64_t wait = n->compiled_ns && due > now ? due - now : 0;
	const struct timeval tv = {.tv_sec = (time_t)(wait / SECOND),
				   .tv_usec = (suseconds_t)(wait % SECOND / 1000)};

	n->changed = true;
	if (!event_pending(n->soon, EV_TIMEOUT, NULL) && event_add(n->soon, &tv) < 0)
		zg_log(ZG_LOG_ERR, "no timer for new addresses of servers");
}

/* Is it a registered server's, or the proxy's, which is of our own networks? local:
 * all entries of that name say so. */
static bool is_registered(const struct zg_snapshot *s, const char *host, bool *local)
{
	const struct zg_proxy *proxy = &s->settings->proxy;
	bool found = proxy->by_name && strcmp(proxy->host, host) == 0;

	*local = true;
	for (size_t i = 0; i < s->server_count; i++) {
		if (!s->servers[i].by_name || strcmp(s->servers[i].host, host) != 0)
			continue;
		found = true;
		*local = *local && s->servers[i].local;
	}
	return found;
}

static void drop(struct zg_server_names *n, size_t i)
{
	n->count--;
	n->at[i] = n->at[n->count];
	n->expires_ns[i] = n->expires_ns[n->count];
}

/* The place of an address; of a new one, that of the name's eldest if the name
 * has as many as a server may. SIZE_MAX: none is free. */
static size_t place_of(struct zg_server_names *n, const char *host, const uint8_t addr[16],
		       bool *known)
{
	size_t eldest = SIZE_MAX, of_host = 0;

	*known = false;
	for (size_t i = 0; i < n->count; i++) {
		if (strcmp(n->at[i].host, host) != 0)
			continue;
		of_host++;
		if (memcmp(n->at[i].addr, addr, 16) == 0) {
			*known = true;
			return i;
		}
		if (eldest == SIZE_MAX || n->expires_ns[i] < n->expires_ns[eldest])
			eldest = i;
	}
	if (of_host >= ZG_ENDPOINTS_PER_SERVER)
		return eldest;
	return n->count < ZG_SERVER_ADDRESSES_MAX ? n->count++ : SIZE_MAX;
}

static void tell_refused(struct zg_parent *p, const char *name, enum zg_name_reason why)
{
	struct zg_msg_name_refused m = {.reason = why, .count = 1};

	(void)zg_str_cut(m.name, sizeof(m.name), zg_slice_str(name));
	(void)zg_str_cut(m.profile, sizeof(m.profile), ZG_SLICE("(gateway)"));
	zg_names_record_refused(p, &m);
}

/* Calls need not wait for what is not to come; sec 0: for this they may again. */
static void tell_nowhere(struct zg_parent *p, const char *name, uint32_t sec)
{
	struct zg_msg_name_nowhere body = {.sec = sec};

	(void)zg_str_cut(body.name, sizeof(body.name), zg_slice_str(name));
	for (uint32_t i = 0; i < p->children.workers; i++)
		zg_children_tell(p, i, ZG_MSG_NAME_NOWHERE, &body, -1);
}

/* All was asked; is there anything? */
static void round_over(struct zg_parent *p, const struct zg_msg_name_learn *m)
{
	const struct zg_server_names *n = p->server_names;
	uint32_t ttl = m->ttl > ZG_DNS_TTL_MAX_SEC ? ZG_DNS_TTL_MAX_SEC : m->ttl;

	for (size_t i = 0; i < n->count; i++)
		if (strcmp(n->at[i].host, m->name) == 0)
			return;
	tell_nowhere(p, m->name, ttl + ZG_SERVER_NOWHERE_SEC);
}

int zg_server_names_learn(struct zg_parent *p, struct zg_msg_name_learn *m)
{
	struct zg_server_names *n = p->server_names;
	const struct zg_settings *s = p->snapshot.settings;
	uint64_t ttl = m->ttl > ZG_DNS_TTL_MAX_SEC ? ZG_DNS_TTL_MAX_SEC : m->ttl;
	uint64_t expires_ns;
	uint32_t fresh = 0;
	bool local;

	ZG_MSG_TEXT(m->name);
	if (m->count > ZG_DNS_ADDRESSES_MAX || !zg_hostname_ok(zg_slice_str(m->name)))
		return -EPROTO;
	if (!is_registered(&p->snapshot, m->name, &local))
		return 0; /* a reload came in between */
	if (!m->count) {
		round_over(p, m);
		return 0;
	}
	ttl = ttl < s->dns_ttl_min_sec ? s->dns_ttl_min_sec : ttl;
	expires_ns = zg_names_now_ns() + (ttl + ZG_SERVER_LINGER_SEC) * SECOND;
	for (uint32_t i = 0; i < m->count; i++) {
		enum zg_name_reason why = zg_hostname_addr(m->addr[i], local);
		bool known;
		size_t at;

		if (why != ZG_NR_NONE) {
			tell_refused(p, m->name, why);
			continue;
		}
		at = place_of(n, m->name, m->addr[i], &known);
		if (at == SIZE_MAX) {
			tell_refused(p, m->name, ZG_NR_FULL);
			break;
		}
		n->expires_ns[at] = expires_ns;
		if (known)
			continue;
		n->at[at] = (struct zg_host_address){0};
		(void)zg_str_cut(n->at[at].host, sizeof(n->at[at].host), zg_slice_str(m->name));
		memcpy(n->at[at].addr, m->addr[i], 16);
		fresh++;
	}
	if (!fresh)
		return 0;
	tell_nowhere(p, m->name, 0);
	(void)zg_str_cut(m->profile, sizeof(m->profile), ZG_SLICE("(gateway)"));
	zg_names_record_learned(p, m, fresh);
	compile_soon(n);
	return 0;
}

void zg_server_names_sweep(struct zg_parent *p)
{
	struct zg_server_names *n = p->server_names;
	uint64_t now = zg_names_now_ns();
	bool gone = false, local;

	for (size_t i = n->count; i-- > 0;) {
		bool registered = is_registered(&p->snapshot, n->at[i].host, &local);

		if (registered && now < n->expires_ns[i] &&
		    zg_hostname_addr(n->at[i].addr, local) == ZG_NR_NONE)
			continue;
		gone = gone || registered;
		drop(n, i);
	}
	if (gone)
		compile_soon(n);
}

int zg_server_names_file(struct zg_server_names *n)
{
	zg_autofd int fd = memfd_create("zerogate-addresses", MFD_CLOEXEC);
	const size_t bytes = n->count * sizeof(*n->at);

	if (fd < 0)
		return -errno;
	if (bytes && pwrite(fd, n->at, bytes, 0) != (ssize_t)bytes)
		return -EIO;
	n->changed = false;
	n->compiled_ns = zg_names_now_ns();
	return zg_take_fd(&fd);
}
