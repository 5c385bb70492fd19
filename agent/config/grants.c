/* SPDX-License-Identifier: Apache-2.0 */
/* grants.c - see grants.h. Trust: parsed and bounded input; pure but for memory. */
#include "grants.h"

#include <errno.h>
#include <netinet/in.h>

#include "hostname.h"

#define NO_ENTRY UINT32_MAX

#define PORT_DOT   853 /* DNS over TLS and QUIC: only an entry for it alone opens it */
#define PORT_HTTPS 443

static int add(struct zg_grants *g, struct zg_grant one)
{
	if (g->count == g->cap) {
		size_t cap = g->cap ? g->cap * 2 : 256;
		struct zg_grant *grown;

		if (g->count >= (size_t)ZG_ALLOW_ENTRIES_MAX)
			return -E2BIG;
		grown = reallocarray(g->item, cap, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		g->item = grown;
		g->cap = cap;
	}
	g->item[g->count++] = one;
	return 0;
}

size_t zg_ports_without_dot(struct zg_port_range r, struct zg_port_range out[2])
{
	size_t n = 0;

	if (r.lo == r.hi || r.hi < PORT_DOT || r.lo > PORT_DOT) {
		out[0] = r;
		return 1;
	}
	if (r.lo < PORT_DOT)
		out[n++] = (struct zg_port_range){r.lo, PORT_DOT - 1};
	if (r.hi > PORT_DOT)
		out[n++] = (struct zg_port_range){PORT_DOT + 1, r.hi};
	return n;
}

static int add_ports(struct zg_grants *g, const struct zg_entry *e, struct zg_port_range range,
		     uint8_t proto, uint32_t profile, uint32_t number)
{
	struct zg_port_range part[2] = {range};
	size_t parts = e->deny || e->inbound ? 1 : zg_ports_without_dot(range, part);
	int r = 0;

	for (size_t i = 0; i < parts && r == 0; i++) {
		struct zg_grant one = {.prefixlen = e->prefixlen,
				       .profile = profile,
				       .lo = part[i].lo,
				       .hi = part[i].hi,
				       .proto = proto,
				       .verdict = e->deny ? ZG_V_DENY : ZG_V_ALLOW,
				       .direction = e->inbound ? ZG_DIR_IN : ZG_DIR_OUT,
				       .entry = number};

		memcpy(one.addr, e->addr, sizeof(one.addr));
		r = add(g, one);
	}
	return r;
}

static int add_entry(struct zg_grants *g, const struct zg_entry *e, uint32_t profile,
		     uint32_t number)
{
	const uint8_t proto[] = {IPPROTO_TCP, IPPROTO_UDP};
	const bool wanted[] = {e->tcp, e->udp};
	int r = 0;

	for (size_t p = 0; p < 2; p++) {
		for (size_t i = 0; wanted[p] && i < e->port_count && r == 0; i++)
			r = add_ports(g, e, e->ports[i], proto[p], profile, number);
	}
	return r;
}

static bool names_exactly(const struct zg_profile_src *p, const uint8_t addr[16], const char *host)
{
	for (const struct zg_entry *e = p->entries; e; e = e->next) {
		if (e->deny || e->part)
			continue;
		if (e->kind == ZG_EK_CIDR && e->prefixlen == 128 && memcmp(e->addr, addr, 16) == 0)
			return true;
		if (e->kind == ZG_EK_NAME && host && zg_slice_eq(e->text, zg_slice_str(host)))
			return true;
	}
	return false;
}

/* Metadata services on every port; DNS over HTTPS and TLS on theirs. */
static int add_closed(struct zg_grants *g, const struct zg_profile_src *p, uint32_t profile)
{
	static const struct zg_port_range doh[] = {{PORT_HTTPS, PORT_HTTPS}, {PORT_DOT, PORT_DOT}};
	static const struct zg_port_range all[] = {{0, UINT16_MAX}};
	const uint8_t proto[] = {IPPROTO_TCP, IPPROTO_UDP};
	int r = 0;

	for (size_t i = 0; i < zg_closed_addr_count && r == 0; i++) {
		const struct zg_closed_addr *c = &zg_closed_addrs[i];
		const struct zg_port_range *port = c->host ? doh : all;
		size_t ports = c->host ? ZG_COUNT(doh) : ZG_COUNT(all);
		struct zg_grant one = {.prefixlen = 128,
				       .profile = profile,
				       .verdict = ZG_V_DENY,
				       .entry = NO_ENTRY};

		if (zg_addr_parse(zg_slice_str(c->addr), one.addr) < 0 ||
		    names_exactly(p, one.addr, c->host))
			continue;
		for (size_t j = 0; j < 2 * ports && r == 0; j++) {
			one.proto = proto[j % 2];
			one.lo = port[j / 2].lo;
			one.hi = port[j / 2].hi;
			r = add(g, one);
		}
	}
	return r;
}

static int add_socket(struct zg_grants *g, const uint8_t addr[16], uint16_t port, uint32_t profile,
		      enum zg_verdict verdict)
{
	struct zg_grant one = {.prefixlen = 128,
			       .profile = profile,
			       .lo = port,
			       .hi = port,
			       .proto = IPPROTO_TCP,
			       .verdict = (uint8_t)verdict,
			       .entry = NO_ENTRY};

	memcpy(one.addr, addr, sizeof(one.addr));
	return add(g, one);
}

static bool may_use(const struct zg_entry_src *server, uint32_t profile)
{
	for (size_t i = 0; i < server->policy.profile_count; i++)
		if (server->policy.profiles[i] == profile)
			return true;
	return false;
}

/* Names of different servers may lead to one address (of a CDN, say): then it is
 * redirected for whoever may use any of them, and the name decides. */
static bool may_use_any(struct zg_entry_src *const *servers, size_t count, const uint8_t addr[16],
			uint16_t port, uint32_t profile)
{
	for (size_t i = 0; i < count; i++) {
		const struct zg_entry_src *s = servers[i];

		if (s->def.port != port || !may_use(s, profile))
			continue;
		for (size_t a = 0; a < s->address_count; a++)
			if (memcmp(s->address[a], addr, 16) == 0)
				return true;
	}
	return false;
}

/* A registered endpoint is redirected for those who may use it, and closed to
 * the rest even where an allow entry covers it: MCP goes through the gateway. */
static int add_server(struct zg_grants *g, const struct zg_settings_src *s,
		      struct zg_entry_src *const *servers, size_t count,
		      const struct zg_entry_src *server)
{
	int r = 0;

	for (size_t a = 0; a < server->address_count && r == 0; a++) {
		const uint8_t *addr = server->address[a];

		if (!server->def.proxied)
			r = add_socket(g, addr, server->def.port, ZG_PROFILE_GATEWAY, ZG_V_ALLOW);
		/* no MCP server: whoever may go there, to log in say, needs no gateway */
		for (uint32_t i = 0;
		     server->def.use == ZG_USE_MCP && i < s->profile_count && r == 0; i++) {
			uint32_t profile = ZG_PROFILE_FIRST + i;
			bool listed =
				may_use(server, profile) ||
				(server->def.by_name &&
				 may_use_any(servers, count, addr, server->def.port, profile));

			r = add_socket(g, addr, server->def.port, profile,
				       listed ? ZG_V_REDIRECT : ZG_V_DENY);
		}
	}
	return r;
}

static int add_profile(struct zg_grants *g, const struct zg_settings_src *s, uint32_t i,
		       uint32_t *number)
{
	const struct zg_profile_src *p = &s->profiles[i];
	const uint32_t profile = ZG_PROFILE_FIRST + i;
	int r = add_closed(g, p, profile);

	for (const struct zg_entry *e = p->entries; e && r == 0; e = e->next, ++*number)
		if (e->kind == ZG_EK_CIDR)
			r = add_entry(g, e, profile, *number);
	for (const struct zg_entry *e = p->listens; e && r == 0; e = e->next, ++*number)
		r = add_entry(g, e, profile, *number);
	for (uint32_t l = 0; !p->local_server && l < s->settings.listen_count && r == 0; l++)
		r = add_socket(g, s->settings.listen[l].addr, s->settings.listen[l].port, profile,
			       ZG_V_REDIRECT);
	return r;
}

/* All that the resolver reaches: the servers that it asks. */
static int add_upstream(struct zg_grants *g, const struct zg_settings *s)
{
	int r = 0;

	for (uint32_t i = 0; i < s->dns_count && r == 0; i++) {
		const struct zg_listen *at = &s->dns[i];
		struct zg_grant udp;

		r = add_socket(g, at->addr, at->port, ZG_PROFILE_RESOLVER, ZG_V_ALLOW);
		if (r < 0)
			break;
		udp = g->item[g->count - 1];
		udp.proto = IPPROTO_UDP;
		r = add(g, udp);
	}
	return r;
}

/* The gateway's way out, not everybody's: whoever reaches a proxy reaches all that
 * is behind it, so a wide block opens it to nobody. */
static int add_proxy(struct zg_grants *g, const struct zg_settings_src *s)
{
	const struct zg_proxy *proxy = &s->settings.proxy;
	int r = 0;

	for (uint32_t a = 0; a < proxy->address_count && r == 0; a++) {
		const uint8_t *addr = proxy->addr[a];

		r = add_socket(g, addr, proxy->port, ZG_PROFILE_GATEWAY, ZG_V_ALLOW);
		for (uint32_t i = 0; i < s->profile_count && r == 0; i++)
			if (!names_exactly(&s->profiles[i], addr, proxy->host))
				r = add_socket(g, addr, proxy->port, ZG_PROFILE_FIRST + i,
					       ZG_V_DENY);
	}
	return r;
}

int zg_grants_build(struct zg_grants *out, const struct zg_settings_src *s,
		    struct zg_entry_src *const *servers, size_t server_count, struct zg_err *e)
{
	struct zg_grants g = {0};
	uint32_t number = 0;
	int r = add_upstream(&g, &s->settings);

	if (r == 0)
		r = add_proxy(&g, s);
	for (uint32_t i = 0; i < s->profile_count && r == 0; i++)
		r = add_profile(&g, s, i, &number);
	for (size_t i = 0; i < server_count && r == 0; i++)
		r = add_server(&g, s, servers, server_count, servers[i]);
	if (r < 0) {
		zg_grants_release(&g);
		return r == -E2BIG ? zg_err_set(e, E2BIG,
						"more than %d allow and deny entries, ports and "
						"protocols counted",
						ZG_ALLOW_ENTRIES_MAX)
				   : zg_err_set(e, ENOMEM, "out of memory");
	}
	*out = g;
	return 0;
}

void zg_grants_release(struct zg_grants *g)
{
	free(g->item);
	*g = (struct zg_grants){0};
}

const struct zg_entry *zg_grants_entry(const struct zg_settings_src *s, uint32_t number)
{
	uint32_t n = 0;

	for (size_t i = 0; i < s->profile_count; i++) {
		for (const struct zg_entry *e = s->profiles[i].entries; e; e = e->next)
			if (n++ == number)
				return e;
		for (const struct zg_entry *e = s->profiles[i].listens; e; e = e->next)
			if (n++ == number)
				return e;
	}
	return NULL;
}
