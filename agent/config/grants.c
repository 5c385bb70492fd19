/* SPDX-License-Identifier: Apache-2.0 */
/* grants.c - see grants.h. Trust: parsed and bounded input; pure but for memory. */
#include "grants.h"

#include <errno.h>
#include <netinet/in.h>

#define NO_ENTRY UINT32_MAX

/* Where clouds hand credentials to whoever asks; an entry for exactly this
 * address is needed to reach one. */
static const char *const metadata[] = {
	"169.254.169.254", /* AWS, Azure, GCP and most others */
	"169.254.170.2",   /* AWS ECS */
	"100.100.100.200", /* Alibaba */
	"fd00:ec2::254",   /* AWS over IPv6 */
	"fd20:ce::254",	   /* GCP over IPv6 */
};

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

static int add_entry(struct zg_grants *g, const struct zg_entry *e, uint32_t profile,
		     uint32_t number)
{
	const uint8_t proto[] = {IPPROTO_TCP, IPPROTO_UDP};
	const bool wanted[] = {e->tcp, e->udp};
	int r = 0;

	for (size_t p = 0; p < 2; p++) {
		for (size_t i = 0; wanted[p] && i < e->port_count && r == 0; i++) {
			struct zg_grant one = {.prefixlen = e->prefixlen,
					       .profile = profile,
					       .lo = e->ports[i].lo,
					       .hi = e->ports[i].hi,
					       .proto = proto[p],
					       .verdict = e->deny ? ZG_V_DENY : ZG_V_ALLOW,
					       .entry = number};

			memcpy(one.addr, e->addr, sizeof(one.addr));
			r = add(g, one);
		}
	}
	return r;
}

static bool names_exactly(const struct zg_profile_src *p, const uint8_t addr[16])
{
	for (const struct zg_entry *e = p->entries; e; e = e->next)
		if (!e->deny && e->kind == ZG_EK_CIDR && e->prefixlen == 128 &&
		    memcmp(e->addr, addr, 16) == 0)
			return true;
	return false;
}

static int add_metadata(struct zg_grants *g, const struct zg_profile_src *p, uint32_t profile)
{
	int r = 0;

	for (size_t i = 0; i < ZG_COUNT(metadata) && r == 0; i++) {
		struct zg_grant one = {.prefixlen = 128,
				       .profile = profile,
				       .hi = UINT16_MAX,
				       .proto = IPPROTO_TCP,
				       .verdict = ZG_V_DENY,
				       .entry = NO_ENTRY};

		if (zg_addr_parse(zg_slice_str(metadata[i]), one.addr) < 0 ||
		    names_exactly(p, one.addr))
			continue;
		r = add(g, one);
		one.proto = IPPROTO_UDP;
		if (r == 0)
			r = add(g, one);
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

/* A registered endpoint is redirected for those who may use it, and closed to
 * the rest even where an allow entry covers it: MCP goes through the gateway. */
static int add_server(struct zg_grants *g, const struct zg_settings_src *s,
		      const struct zg_entry_src *server)
{
	int r = 0;

	for (size_t a = 0; a < server->address_count && r == 0; a++) {
		const uint8_t *addr = server->address[a];
		size_t may = 0;

		r = add_socket(g, addr, server->def.port, ZG_PROFILE_GATEWAY, ZG_V_ALLOW);
		for (uint32_t i = 0; i < s->profile_count && r == 0; i++) {
			uint32_t profile = ZG_PROFILE_FIRST + i;
			bool listed = may < server->policy.profile_count &&
				      server->policy.profiles[may] == profile;

			may += listed;
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
	int r = add_metadata(g, p, profile);

	for (const struct zg_entry *e = p->entries; e && r == 0; e = e->next, ++*number)
		if (e->kind == ZG_EK_CIDR)
			r = add_entry(g, e, profile, *number);
	for (uint32_t l = 0; l < s->settings.listen_count && r == 0; l++)
		r = add_socket(g, s->settings.listen[l].addr, s->settings.listen[l].port, profile,
			       ZG_V_REDIRECT);
	return r;
}

int zg_grants_build(struct zg_grants *out, const struct zg_settings_src *s,
		    struct zg_entry_src *const *servers, size_t server_count, struct zg_err *e)
{
	struct zg_grants g = {0};
	uint32_t number = 0;
	int r = 0;

	for (uint32_t i = 0; i < s->profile_count && r == 0; i++)
		r = add_profile(&g, s, i, &number);
	for (size_t i = 0; i < server_count && r == 0; i++)
		r = add_server(&g, s, servers[i]);
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

	for (size_t i = 0; i < s->profile_count; i++)
		for (const struct zg_entry *e = s->profiles[i].entries; e; e = e->next)
			if (n++ == number)
				return e;
	return NULL;
}
