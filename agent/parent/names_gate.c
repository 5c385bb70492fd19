/* SPDX-License-Identifier: Apache-2.0 */
/*
 * names_gate.c - learned names as the gate's rows, one address at a time or a
 * generation at once (names_impl.h, names.h). Trust: as names.c.
 */
#include <errno.h>
#include <netinet/in.h>

#include "names_impl.h"

/* the gate's rows ------------------------------------------------------------ */

static int add_row(struct zg_name_val *v, const struct zg_port_rule *p, enum zg_verdict verdict,
		   uint64_t expires_ns)
{
	for (uint32_t i = 0; i < v->count; i++) {
		if (v->row[i].lo != p->lo || v->row[i].hi != p->hi || v->row[i].verdict != verdict)
			continue;
		if (v->row[i].expires_ns < expires_ns)
			v->row[i].expires_ns = expires_ns;
		return 0;
	}
	if (v->count == ZG_PORT_RULES_MAX)
		return -E2BIG;
	v->row[v->count++] = (struct zg_name_row){
		.expires_ns = expires_ns, .lo = p->lo, .hi = p->hi, .verdict = (uint8_t)verdict};
	return 0;
}

/* All that the names of one profile open at one address. -E2BIG: more ranges
 * than a value holds. */
static int rows_of(const struct zg_names *n, struct zg_namerules rules,
		   const struct zg_name_addr *of, uint8_t proto, struct zg_name_val *v)
{
	const struct zg_name_def *d;
	const struct zg_name_addr *a;

	*v = (struct zg_name_val){0};
	LIST_FOREACH(a, &n->by_addr[zg_names_addr_bucket(of->addr)], bucket)
	{
		size_t at = 0;

		if (memcmp(a->addr, of->addr, 16) != 0 || a->name->id != of->name->id)
			continue;
		while ((d = zg_namerule_next(rules, zg_slice_str(a->name->host), &at))) {
			if (d->proto != proto)
				continue;
			for (uint32_t i = 0; i < d->val.count; i++) {
				int r = add_row(v, &d->val.port[i], d->val.port[i].verdict,
						a->expires_ns);

				if (r < 0)
					return r;
			}
		}
		if (v->used_ns < a->used_ns)
			v->used_ns = a->used_ns;
	}
	return 0;
}

/* What one name sends through the gateway, the gateway itself has to reach. */
static int add_gateway(const struct zg_names *n, const struct zg_name_addr *a,
		       struct zg_name_val *v)
{
	const struct zg_namerules rules = zg_namerules_of(&n->snapshot, a->name->id);
	const struct zg_name_def *d;
	size_t at = 0;
	int r = 0;

	while ((d = zg_namerule_next(rules, zg_slice_str(a->name->host), &at))) {
		for (uint32_t i = 0; d->proto == IPPROTO_TCP && i < d->val.count && r == 0; i++)
			if (d->val.port[i].verdict == ZG_V_REDIRECT)
				r = add_row(v, &d->val.port[i], ZG_V_ALLOW, a->expires_ns);
	}
	if (v->used_ns < a->used_ns)
		v->used_ns = a->used_ns;
	return r;
}

/* Of all profiles. -E2BIG as above. */
static int gateway_rows_of(const struct zg_names *n, const uint8_t addr[16], struct zg_name_val *v)
{
	const struct zg_name_addr *a;

	*v = (struct zg_name_val){0};
	LIST_FOREACH(a, &n->by_addr[zg_names_addr_bucket(addr)], bucket)
	{
		int r = memcmp(a->addr, addr, 16) == 0 && a->name->id ? add_gateway(n, a, v) : 0;

		if (r < 0)
			return r;
	}
	return 0;
}

static const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_UDP};

static struct zg_name_key key_of(const struct zg_name_addr *a, uint8_t proto)
{
	struct zg_name_key key = {.profile = a->name->id, .proto = proto};

	memcpy(key.addr, a->addr, sizeof(key.addr));
	return key;
}

static struct zg_name_key gateway_key(const uint8_t addr[16])
{
	struct zg_name_key key = {.profile = ZG_PROFILE_GATEWAY, .proto = IPPROTO_TCP};

	memcpy(key.addr, addr, sizeof(key.addr));
	return key;
}

static int put(struct zg_names *n, const struct zg_name_key *key, struct zg_name_val *v)
{
	uint64_t used;

	if (!v->count)
		return zg_kernel_unlearn(n->kernel, key);
	used = zg_kernel_name_used(n->kernel, key);
	v->used_ns = v->used_ns < used ? used : v->used_ns;
	return zg_kernel_learn(n->kernel, key, v);
}

/* Make the gate hold what the table says about an address; the gateway's way
 * there is open before anybody is sent along it. */
int zg_names_write(struct zg_names *n, struct zg_namerules rules, const struct zg_name_addr *a)
{
	const struct zg_name_key gateway = gateway_key(a->addr);
	struct zg_name_val v;
	int r = gateway_rows_of(n, a->addr, &v);

	if (r == 0)
		r = put(n, &gateway, &v);
	for (size_t i = 0; r == 0 && i < sizeof(protocols); i++) {
		const struct zg_name_key key = key_of(a, protocols[i]);

		r = rows_of(n, rules, a, protocols[i], &v);
		if (r == 0)
			r = put(n, &key, &v);
	}
	return r;
}

uint64_t zg_names_used(struct zg_names *n, const struct zg_name_addr *a)
{
	const struct zg_name_key gateway = gateway_key(a->addr);
	uint64_t used = zg_kernel_name_used(n->kernel, &gateway);

	for (size_t i = 0; i < sizeof(protocols); i++) {
		const struct zg_name_key key = key_of(a, protocols[i]);
		uint64_t one = zg_kernel_name_used(n->kernel, &key);

		used = one > used ? one : used;
	}
	return used;
}

/* generations ---------------------------------------------------------------- */

/* By the ids that hold in the slot in force; before they are replaced. */
static void note_use(struct zg_names *n)
{
	struct zg_name *name;
	struct zg_name_addr *a;

	TAILQ_FOREACH(name, &n->all, link)
	{
		LIST_FOREACH(a, &name->addresses, of_name)
		{
			uint64_t used = name->id ? zg_names_used(n, a) : 0;

			a->used_ns = used > a->used_ns ? used : a->used_ns;
		}
	}
}

/* The first of its profile (any: of all) at its address: rows are staged once. */
static bool leads(const struct zg_names *n, const struct zg_name_addr *of, bool any)
{
	const struct zg_name_addr *a;

	LIST_FOREACH(a, &n->by_addr[zg_names_addr_bucket(of->addr)], bucket)
	if (memcmp(a->addr, of->addr, 16) == 0 &&
	    (any ? a->name->id != ZG_PROFILE_NONE : a->name->id == of->name->id))
		return a == of;
	return false;
}

static size_t stage_address(struct zg_names *n, const struct zg_snapshot *s,
			    const struct zg_name_addr *a, size_t at)
{
	const struct zg_namerules rules = zg_namerules_of(s, a->name->id);

	if (leads(n, a, true) && gateway_rows_of(n, a->addr, &n->val[at]) == 0 && n->val[at].count)
		n->key[at++] = gateway_key(a->addr);
	if (!leads(n, a, false))
		return at;
	for (size_t i = 0; i < sizeof(protocols); i++) {
		/* what no longer fits is left out: closed, until it is asked for again */
		if (rows_of(n, rules, a, protocols[i], &n->val[at]) < 0 || !n->val[at].count)
			continue;
		n->key[at++] = key_of(a, protocols[i]);
	}
	return at;
}

/* A name whose entry has lost its "local" goes as a whole. */
static bool still_allowed(const struct zg_name *name, const struct zg_snapshot *s,
			  const struct zg_name_addr *a)
{
	struct zg_namerule rule =
		zg_namerule_of(zg_namerules_of(s, name->id), zg_slice_str(name->host));

	return rule.reason == ZG_NR_NONE && zg_hostname_addr(a->addr, rule.local) == ZG_NR_NONE;
}

static int stage_names(struct zg_names *n, const struct zg_snapshot *s)
{
	struct zg_name_addr *a;
	struct zg_name *name;
	size_t count = 0;

	free(n->key);
	free(n->val);
	n->key = calloc(3 * n->addresses + 1, sizeof(*n->key));
	n->val = calloc(3 * n->addresses + 2, sizeof(*n->val));
	if (!n->key || !n->val)
		return -ENOMEM;
	TAILQ_FOREACH(name, &n->all, link)
	{
		name->id = zg_snapshot_profile_id(s, zg_slice_str(name->profile));
		LIST_FOREACH(a, &name->addresses, of_name)
		if (!still_allowed(name, s, a))
			name->id = ZG_PROFILE_NONE;
	}
	TAILQ_FOREACH(name, &n->all, link)
	LIST_FOREACH(a, &name->addresses, of_name)
	if (name->id)
		count = stage_address(n, s, a, count);
	n->staged = (struct zg_gate_names){n->dns, n->key, n->val, count};
	zg_kernel_set_names(n->kernel, &n->staged);
	return 0;
}

int zg_names_stage(struct zg_names *n, const struct zg_snapshot *s, struct zg_err *e)
{
	int r;

	n->snapshot = *s;
	r = zg_names_stage_sockets(n, s, e);
	if (r < 0)
		return r;
	note_use(n);
	r = stage_names(n, s);
	return r < 0 ? zg_err_set(e, -r, "no memory for the learned names") : 0;
}

void zg_names_settle(struct zg_names *n)
{
	struct zg_name *name, *next_name;
	struct zg_name_addr *a, *next;
	size_t kept = 0;

	for (name = TAILQ_FIRST(&n->all); name; name = next_name) {
		next_name = TAILQ_NEXT(name, link);
		if (name->id)
			continue;
		for (a = LIST_FIRST(&name->addresses); a; a = next) {
			next = LIST_NEXT(a, of_name);
			zg_names_drop_addr(n, a);
		}
		zg_names_drop_empty(n, name);
	}
	for (size_t i = 0; i < n->profiles; i++) {
		if (n->sockets[i].staged)
			n->sockets[kept++] = n->sockets[i];
		else
			zg_name_sockets_close(&n->sockets[i]);
	}
	n->profiles = kept;
}
