/* SPDX-License-Identifier: Apache-2.0 */
/*
 * names.c - see names.h: what is learned, and when it ends. Trust: what the
 * resolver reports is checked against the snapshot; profiles, names and
 * addresses are bounded. Parses no message of the network.
 */
#include "names.h"

#include <errno.h>
#include <netinet/in.h>

#include "ipc.h"
#include "names_impl.h"

#define SECOND	UINT64_C(1000000000)
#define IDLE_NS (ZG_NAME_IDLE_SEC * SECOND)

static size_t covered_by(const struct zg_names *n, const char *profile, const char *wildcard)
{
	const struct zg_name *name;
	size_t count = 0;

	TAILQ_FOREACH(name, &n->all, link)
	count += strcmp(name->profile, profile) == 0 &&
		 zg_hostname_matches(zg_slice_str(wildcard), zg_slice_str(name->host));
	return count;
}

static enum zg_name_reason reason_of(int r)
{
	return r == -E2BIG ? ZG_NR_PORTS : r == -ENOSPC ? ZG_NR_FULL : ZG_NR_STATE;
}

/* Have the gate hold one address, or nothing of it. */
static enum zg_name_reason hold(struct zg_names *n, struct zg_namerules rules, struct zg_name *name,
				const uint8_t addr[16], uint64_t expires_ns, uint32_t *fresh)
{
	struct zg_name_addr *a = zg_name_find_addr(name, addr);
	bool known = a != NULL;
	struct zg_learned_key key;
	uint64_t was;
	int r;

	if (!known) {
		if (n->addresses >= ZG_NAMES_MAX || name->count >= ZG_DNS_NAME_ADDRESSES)
			return ZG_NR_FULL;
		a = zg_names_add_addr(n, name, addr);
	}
	if (!a)
		return ZG_NR_STATE;
	was = a->expires_ns;
	if (expires_ns > was)
		a->expires_ns = expires_ns;
	key = zg_name_memory(a);
	r = zg_kernel_remember(n->kernel, &key, a->expires_ns);
	if (r == 0)
		r = zg_names_write(n, rules, a);
	if (r == 0) {
		*fresh += !known;
		return ZG_NR_NONE;
	}
	a->expires_ns = was;
	if (!known) {
		struct zg_name_addr one = *a;

		zg_names_drop_addr(n, a);
		(void)!zg_names_write(n, rules, &one); /* take back what was half written */
	}
	return reason_of(r);
}

/* Whoever asks for more than there is room for, without end, is not worth a look
 * at all there is each time. */
static void make_room(struct zg_names *n, const struct zg_snapshot *s)
{
	uint64_t now = zg_names_now_ns();

	if (n->swept_ns && now - n->swept_ns < SECOND)
		return;
	n->swept_ns = now;
	zg_names_sweep(n, s);
}

/* The name's place in the table, made if its caps allow. */
static enum zg_name_reason place_of(struct zg_names *n, const struct zg_snapshot *s,
				    const struct zg_msg_name_learn *m, uint32_t id,
				    const char *wildcard, struct zg_name **out)
{
	*out = zg_names_find(n, m->profile, m->name);
	if (*out)
		return ZG_NR_NONE;
	if (n->addresses >= ZG_NAMES_MAX ||
	    (wildcard && covered_by(n, m->profile, wildcard) >= ZG_DNS_WILDCARD_NAMES))
		make_room(n, s);
	if (wildcard && covered_by(n, m->profile, wildcard) >= ZG_DNS_WILDCARD_NAMES)
		return ZG_NR_WILDCARD;
	*out = zg_names_add(n, m->profile, m->name, id);
	return *out ? ZG_NR_NONE : ZG_NR_STATE;
}

static uint64_t expiry(const struct zg_settings *s, uint32_t ttl)
{
	uint64_t sec = ttl > ZG_DNS_TTL_MAX_SEC ? ZG_DNS_TTL_MAX_SEC : ttl;

	if (sec < s->dns_ttl_min_sec)
		sec = s->dns_ttl_min_sec;
	return zg_names_now_ns() + (sec + s->dns_grace_sec) * SECOND;
}

static int learn(struct zg_names *n, const struct zg_snapshot *s, struct zg_msg_name_learn *m,
		 struct zg_msg_name_learned *out, uint32_t *fresh)
{
	uint64_t expires_ns = expiry(s->settings, m->ttl);
	struct zg_namerules rules;
	struct zg_namerule rule;
	struct zg_name *name;
	uint32_t id;

	ZG_MSG_TEXT(m->profile);
	ZG_MSG_TEXT(m->name);
	*out = (struct zg_msg_name_learned){.query = m->query};
	*fresh = 0;
	if (m->count > ZG_DNS_ADDRESSES_MAX || !zg_hostname_ok(zg_slice_str(m->name)))
		return -EPROTO;
	id = zg_snapshot_profile_id(s, zg_slice_str(m->profile));
	rules = zg_namerules_of(s, id);
	rule = zg_namerule_of(rules, zg_slice_str(m->name));
	out->reason = id ? rule.reason : ZG_NR_NOT_ALLOWED; /* a reload came in between */
	if (out->reason == ZG_NR_NONE)
		out->reason = place_of(n, s, m, id, rule.wildcard, &name);
	if (out->reason != ZG_NR_NONE)
		return 0;
	for (uint32_t i = 0; i < m->count; i++) {
		enum zg_name_reason why = zg_hostname_addr(m->addr[i], rule.local);

		if (why == ZG_NR_NONE)
			why = hold(n, rules, name, m->addr[i], expires_ns, fresh);
		if (why == ZG_NR_NONE)
			out->held |= UINT32_C(1) << i;
		else
			out->reason = why;
	}
	zg_names_drop_empty(n, name);
	return 0;
}

/* A local server keeps its connections, and what it has looked up, when a call
 * narrows it to a profile that has the name, too, and when that is over. */
static void learn_beside(struct zg_names *n, const struct zg_snapshot *s,
			 const struct zg_msg_name_learn *m)
{
	const uint32_t id = zg_snapshot_profile_id(s, zg_slice_str(m->profile));
	const uint32_t wide = zg_snapshot_wide(s, id);
	struct zg_msg_name_learned ignored;
	uint32_t none;

	for (uint32_t i = 0; id != ZG_PROFILE_NONE && i < s->profile_count; i++) {
		struct zg_msg_name_learn one = *m;

		if (i + ZG_PROFILE_FIRST == id || zg_snapshot_wide(s, i + ZG_PROFILE_FIRST) != wide)
			continue;
		memcpy(one.profile, s->profiles[i].name, sizeof(one.profile));
		(void)!learn(n, s, &one, &ignored, &none); /* else it asks again */
	}
}

int zg_names_learn(struct zg_names *n, const struct zg_snapshot *s, struct zg_msg_name_learn *m,
		   struct zg_msg_name_learned *out, uint32_t *fresh)
{
	int r = learn(n, s, m, out, fresh);

	if (r == 0 && out->held)
		learn_beside(n, s, m);
	return r;
}

/* Remove an address of a name, and what it alone opened. */
static void unlearn(struct zg_names *n, struct zg_namerules rules, struct zg_name_addr *a)
{
	struct zg_name_addr one = *a;
	struct zg_name of = *a->name;
	struct zg_name *name = a->name;

	one.name = &of;
	zg_names_drop_addr(n, a);
	(void)!zg_names_write(n, rules, &one); /* what stays has expired by itself */
	zg_names_drop_empty(n, name);
}

void zg_names_sweep(struct zg_names *n, const struct zg_snapshot *s)
{
	uint64_t now = zg_names_now_ns();
	struct zg_name *name, *next_name;
	struct zg_name_addr *a, *next;

	for (name = TAILQ_FIRST(&n->all); name; name = next_name) {
		struct zg_namerules rules = zg_namerules_of(s, name->id);

		next_name = TAILQ_NEXT(name, link);
		for (a = LIST_FIRST(&name->addresses); a; a = next) {
			uint64_t used;

			next = LIST_NEXT(a, of_name);
			if (now < a->expires_ns)
				continue;
			used = zg_names_used(n, a);
			used = used > a->used_ns ? used : a->used_ns;
			if (!used || now - used > IDLE_NS)
				unlearn(n, rules, a);
		}
	}
}

bool zg_names_verify(const struct zg_names *n, const struct zg_snapshot *s, const char *profile,
		     const char *name, const uint8_t addr[16], uint16_t port)
{
	const struct zg_namerules rules =
		zg_namerules_of(s, zg_snapshot_profile_id(s, zg_slice_str(profile)));
	const struct zg_name *known = zg_names_find(n, profile, name);
	const struct zg_name_addr *a = known ? zg_name_find_addr(known, addr) : NULL;
	const struct zg_name_def *d;
	size_t at = 0;

	if (!a || zg_names_now_ns() >= a->expires_ns ||
	    zg_namerule_of(rules, zg_slice_str(name)).reason != ZG_NR_NONE)
		return false;
	while ((d = zg_namerule_next(rules, zg_slice_str(name), &at)))
		for (uint32_t i = 0; d->proto == IPPROTO_TCP && i < d->val.count; i++)
			if (d->val.port[i].verdict == ZG_V_REDIRECT && port >= d->val.port[i].lo &&
			    port <= d->val.port[i].hi)
				return true;
	return false;
}

void zg_names_of(const struct zg_names *n, const char *profile, const uint8_t addr[16], char *out,
		 size_t size)
{
	const struct zg_name_addr *a;
	uint64_t now = zg_names_now_ns();
	size_t used = 0;

	out[0] = '\0';
	LIST_FOREACH(a, &n->by_addr[zg_names_addr_bucket(addr)], bucket)
	{
		int w;

		if (memcmp(a->addr, addr, 16) != 0 || now >= a->expires_ns ||
		    strcmp(a->name->profile, profile) != 0)
			continue;
		w = snprintf(out + used, size - used, "%s%s", used ? "," : "", a->name->host);
		if (w < 0 || (size_t)w >= size - used) {
			(void)snprintf(out + size - sizeof("..."), sizeof("..."), "...");
			return;
		}
		used += (size_t)w;
	}
}

bool zg_names_listens(const struct zg_names *n, const uint8_t addr[16], uint16_t port)
{
	static const uint8_t local4[16] = {[10] = 0xff, 0xff, 127, 0, 0, 1};
	static const uint8_t local6[16] = {[15] = 1};
	const bool v4 = memcmp(addr, local4, 16) == 0, v6 = memcmp(addr, local6, 16) == 0;

	for (size_t i = 0; i < ZG_PROFILES_MAX && port; i++)
		if ((v4 && n->dns[i].port4 == port) || (v6 && n->dns[i].port6 == port))
			return true;
	return false;
}
