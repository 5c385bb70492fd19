/* SPDX-License-Identifier: Apache-2.0 */
/*
 * names.c - see names.h. Trust: what the resolver reports is checked against
 * the snapshot; profiles, names and addresses are bounded. Parses no message of
 * the network.
 */
#include "names.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/queue.h>
#include <time.h>

#include "ipc.h"
#include "listen.h"
#include "namerule.h"

#define BUCKETS	 4096
#define SECOND	 UINT64_C(1000000000)
#define IDLE_NS	 (ZG_NAME_IDLE_SEC * SECOND)
#define FRESH_NS SECOND /* an expiry that grows by less is not worth a write */

struct name;

struct address {
	LIST_ENTRY(address) of_name;
	LIST_ENTRY(address) bucket; /* by address, whatever the profile */
	struct name *name;
	uint8_t addr[16];
	uint64_t expires_ns; /* CLOCK_BOOTTIME */
	uint64_t used_ns;    /* as of the last stage */
};

struct name {
	TAILQ_ENTRY(name) link;
	LIST_ENTRY(name) bucket;
	LIST_HEAD(, address) addresses;
	size_t count;
	uint32_t id; /* its profile's, of what was staged last; NONE: not allowed there */
	char profile[ZG_NAME_LEN];
	char host[ZG_HOST_LEN];
};

struct sockets {
	char profile[ZG_NAME_LEN];
	struct zg_gate_dns port;
	int fd[ZG_DNS_SOCKETS];
	bool staged;
};

struct zg_names {
	struct zg_kernel *kernel;
	TAILQ_HEAD(, name) all;
	LIST_HEAD(, name) by_name[BUCKETS];
	LIST_HEAD(, address) by_addr[BUCKETS];
	size_t addresses;
	struct sockets *sockets; /* ZG_PROFILES_MAX */
	size_t profiles;
	struct zg_gate_dns dns[ZG_PROFILES_MAX];
	struct zg_name_key *key;
	struct zg_name_val *val;
	struct zg_gate_names staged; /* of the three above */
};

static uint64_t now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

/* FNV-1a; whoever fills one bucket on purpose is stopped by the caps. */
static size_t hash(const void *bytes, size_t n, uint32_t seed)
{
	const uint8_t *b = bytes;
	uint32_t h = 2166136261u ^ seed;

	for (size_t i = 0; i < n; i++)
		h = (h ^ b[i]) * 16777619u;
	return h % BUCKETS;
}

static size_t name_bucket(const char *profile, const char *host)
{
	return hash(host, strlen(host), (uint32_t)hash(profile, strlen(profile), 0));
}

/* the table ------------------------------------------------------------------ */

static struct name *find_name(struct zg_names *n, const char *profile, const char *host)
{
	struct name *at;

	LIST_FOREACH(at, &n->by_name[name_bucket(profile, host)], bucket)
	if (strcmp(at->host, host) == 0 && strcmp(at->profile, profile) == 0)
		return at;
	return NULL;
}

static struct address *find_address(const struct name *name, const uint8_t addr[16])
{
	struct address *at;

	LIST_FOREACH(at, &name->addresses, of_name)
	if (memcmp(at->addr, addr, sizeof(at->addr)) == 0)
		return at;
	return NULL;
}

static struct name *add_name(struct zg_names *n, const char *profile, const char *host, uint32_t id)
{
	struct name *name = calloc(1, sizeof(*name));

	if (!name)
		return NULL;
	(void)zg_str_cut(name->profile, sizeof(name->profile), zg_slice_str(profile));
	(void)zg_str_cut(name->host, sizeof(name->host), zg_slice_str(host));
	name->id = id;
	LIST_INIT(&name->addresses);
	LIST_INSERT_HEAD(&n->by_name[name_bucket(profile, host)], name, bucket);
	TAILQ_INSERT_TAIL(&n->all, name, link);
	return name;
}

static struct address *add_address(struct zg_names *n, struct name *name, const uint8_t addr[16])
{
	struct address *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->name = name;
	memcpy(a->addr, addr, sizeof(a->addr));
	LIST_INSERT_HEAD(&name->addresses, a, of_name);
	LIST_INSERT_HEAD(&n->by_addr[hash(addr, 16, 0)], a, bucket);
	name->count++;
	n->addresses++;
	return a;
}

static struct zg_learned_key memory_of(const struct address *a)
{
	struct zg_learned_key key = {0};

	(void)zg_str_cut(key.profile, sizeof(key.profile), zg_slice_str(a->name->profile));
	(void)zg_str_cut(key.name, sizeof(key.name), zg_slice_str(a->name->host));
	memcpy(key.addr, a->addr, sizeof(key.addr));
	return key;
}

/* From the table and the pinned memory; the gate's rows are the caller's. */
static void drop_address(struct zg_names *n, struct address *a)
{
	const struct zg_learned_key key = memory_of(a);

	(void)!zg_kernel_forget(n->kernel, &key); /* at worst it is judged again later */
	LIST_REMOVE(a, of_name);
	LIST_REMOVE(a, bucket);
	a->name->count--;
	n->addresses--;
	free(a);
}

static void drop_name_if_empty(struct zg_names *n, struct name *name)
{
	if (name->count)
		return;
	LIST_REMOVE(name, bucket);
	TAILQ_REMOVE(&n->all, name, link);
	free(name);
}

/* the gate's rows ------------------------------------------------------------ */

static int add_row(struct zg_name_val *v, const struct zg_port_rule *p, uint64_t expires_ns)
{
	for (uint32_t i = 0; i < v->count; i++) {
		if (v->row[i].lo != p->lo || v->row[i].hi != p->hi)
			continue;
		if (v->row[i].expires_ns < expires_ns)
			v->row[i].expires_ns = expires_ns;
		return 0;
	}
	if (v->count == ZG_PORT_RULES_MAX)
		return -E2BIG;
	v->row[v->count++] =
		(struct zg_name_row){.expires_ns = expires_ns, .lo = p->lo, .hi = p->hi};
	return 0;
}

/* All that the names of one profile open at one address. -E2BIG: more ranges
 * than a value holds. */
static int rows_of(const struct zg_names *n, struct zg_namerules rules, const struct address *of,
		   uint8_t proto, struct zg_name_val *v)
{
	const struct zg_name_def *d;
	const struct address *a;

	*v = (struct zg_name_val){0};
	LIST_FOREACH(a, &n->by_addr[hash(of->addr, 16, 0)], bucket)
	{
		size_t at = 0;

		if (memcmp(a->addr, of->addr, 16) != 0 || a->name->id != of->name->id)
			continue;
		while ((d = zg_namerule_next(rules, zg_slice_str(a->name->host), &at))) {
			if (d->proto != proto)
				continue;
			for (uint32_t i = 0; i < d->val.count; i++) {
				int r = add_row(v, &d->val.port[i], a->expires_ns);

				if (r < 0)
					return r;
			}
		}
		if (v->used_ns < a->used_ns)
			v->used_ns = a->used_ns;
	}
	return 0;
}

static const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_UDP};

static struct zg_name_key key_of(const struct address *a, uint8_t proto)
{
	struct zg_name_key key = {.profile = a->name->id, .proto = proto};

	memcpy(key.addr, a->addr, sizeof(key.addr));
	return key;
}

/* Make the gate hold what the table says about an address. */
static int write_address(struct zg_names *n, struct zg_namerules rules, const struct address *a)
{
	for (size_t i = 0; i < sizeof(protocols); i++) {
		const struct zg_name_key key = key_of(a, protocols[i]);
		struct zg_name_val v;
		int r = rows_of(n, rules, a, protocols[i], &v);

		if (r == 0 && v.count) {
			uint64_t used = zg_kernel_name_used(n->kernel, &key);

			v.used_ns = v.used_ns < used ? used : v.used_ns;
			r = zg_kernel_learn(n->kernel, &key, &v);
		} else if (r == 0) {
			r = zg_kernel_unlearn(n->kernel, &key);
		}
		if (r < 0)
			return r;
	}
	return 0;
}

static uint64_t used_of(struct zg_names *n, const struct address *a)
{
	uint64_t used = 0;

	for (size_t i = 0; i < sizeof(protocols); i++) {
		const struct zg_name_key key = key_of(a, protocols[i]);
		uint64_t one = zg_kernel_name_used(n->kernel, &key);

		used = one > used ? one : used;
	}
	return used;
}

/* Remove an address of a name, and what it alone opened. */
static void unlearn(struct zg_names *n, struct zg_namerules rules, struct address *a)
{
	struct address one = *a;
	struct name of = *a->name;
	struct name *name = a->name;

	one.name = &of;
	drop_address(n, a);
	(void)!write_address(n, rules, &one); /* what stays has expired by itself */
	drop_name_if_empty(n, name);
}

/* sockets -------------------------------------------------------------------- */

static void close_sockets(struct sockets *s)
{
	for (size_t i = 0; i < ZG_DNS_SOCKETS; i++)
		zg_close_(&s->fd[i]);
}

/* A machine without IPv6 has no resolver on ::1. */
static int open_sockets(struct zg_names *n, struct sockets *s, struct zg_err *e)
{
	int r;

	for (size_t i = 0; i < ZG_DNS_SOCKETS; i++)
		s->fd[i] = -1;
	r = zg_listen_dns(false, &s->fd[ZG_DNS_UDP4], &s->fd[ZG_DNS_TCP4], &s->port.port4, e);
	if (r < 0)
		return r;
	r = zg_listen_dns(true, &s->fd[ZG_DNS_UDP6], &s->fd[ZG_DNS_TCP6], &s->port.port6, e);
	if (r == -EADDRNOTAVAIL || r == -EAFNOSUPPORT)
		r = 0;
	if (r == 0)
		r = zg_kernel_mark_answers(n->kernel, s->fd[ZG_DNS_UDP4]);
	if (r == 0 && s->fd[ZG_DNS_UDP6] >= 0)
		r = zg_kernel_mark_answers(n->kernel, s->fd[ZG_DNS_UDP6]);
	if (r < 0) {
		close_sockets(s);
		return zg_err_set(e, -r, "cannot serve DNS: %s", strerror(-r));
	}
	return 0;
}

static int stage_profile(struct zg_names *n, const char *profile, uint32_t id, struct zg_err *e)
{
	struct sockets *s = NULL;
	int r = 0;

	for (size_t i = 0; i < n->profiles && !s; i++)
		if (strcmp(n->sockets[i].profile, profile) == 0)
			s = &n->sockets[i];
	if (!s && n->profiles == ZG_PROFILES_MAX)
		return zg_err_set(e, E2BIG, "too many profiles with host names");
	if (!s) {
		s = &n->sockets[n->profiles];
		*s = (struct sockets){0};
		(void)zg_str_cut(s->profile, sizeof(s->profile), zg_slice_str(profile));
		r = open_sockets(n, s, e);
		if (r < 0)
			return r;
		n->profiles++;
	}
	s->staged = true;
	n->dns[id] = s->port;
	return 0;
}

static int stage_sockets(struct zg_names *n, const struct zg_snapshot *s, struct zg_err *e)
{
	memset(n->dns, 0, sizeof(n->dns));
	for (size_t i = 0; i < n->profiles; i++)
		n->sockets[i].staged = false;
	for (size_t i = 0; i < s->name_count; i++) {
		uint32_t id = s->names[i].profile;
		int r = id < ZG_PROFILES_MAX && !n->dns[id].port4 && !s->names[i].deny
				? stage_profile(n, zg_snapshot_profile(s, id), id, e)
				: 0;

		if (r < 0)
			return r;
	}
	return 0;
}

void zg_names_sockets(const struct zg_names *n,
		      void (*fn)(void *arg, const char *profile, enum zg_dns_socket which, int fd),
		      void *arg)
{
	for (size_t i = 0; i < n->profiles; i++)
		for (uint32_t which = 0; which < ZG_DNS_SOCKETS; which++)
			if (n->sockets[i].staged && n->sockets[i].fd[which] >= 0)
				fn(arg, n->sockets[i].profile, which, n->sockets[i].fd[which]);
}

/* generations ---------------------------------------------------------------- */

/* By the ids that hold in the slot in force; before they are replaced. */
static void note_use(struct zg_names *n)
{
	struct name *name;
	struct address *a;

	TAILQ_FOREACH(name, &n->all, link)
	{
		LIST_FOREACH(a, &name->addresses, of_name)
		{
			uint64_t used = name->id ? used_of(n, a) : 0;

			a->used_ns = used > a->used_ns ? used : a->used_ns;
		}
	}
}

/* The first of its profile at its address: rows are staged once. */
static bool leads(const struct zg_names *n, const struct address *of)
{
	const struct address *a;

	LIST_FOREACH(a, &n->by_addr[hash(of->addr, 16, 0)], bucket)
	if (memcmp(a->addr, of->addr, 16) == 0 && a->name->id == of->name->id)
		return a == of;
	return false;
}

static size_t stage_address(struct zg_names *n, const struct zg_snapshot *s,
			    const struct address *a, size_t at)
{
	const struct zg_namerules rules = zg_namerules_of(s, a->name->id);

	if (!leads(n, a))
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
static bool still_allowed(const struct name *name, const struct zg_snapshot *s,
			  const struct address *a)
{
	struct zg_namerule rule =
		zg_namerule_of(zg_namerules_of(s, name->id), zg_slice_str(name->host));

	return rule.reason == ZG_NR_NONE && zg_hostname_addr(a->addr, rule.local) == ZG_NR_NONE;
}

static int stage_names(struct zg_names *n, const struct zg_snapshot *s)
{
	struct address *a;
	struct name *name;
	size_t count = 0;

	free(n->key);
	free(n->val);
	n->key = calloc(2 * n->addresses + 1, sizeof(*n->key));
	n->val = calloc(2 * n->addresses + 2, sizeof(*n->val));
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
	int r = stage_sockets(n, s, e);

	if (r < 0)
		return r;
	note_use(n);
	r = stage_names(n, s);
	return r < 0 ? zg_err_set(e, -r, "no memory for the learned names") : 0;
}

void zg_names_settle(struct zg_names *n)
{
	struct name *name, *next_name;
	struct address *a, *next;
	size_t kept = 0;

	for (name = TAILQ_FIRST(&n->all); name; name = next_name) {
		next_name = TAILQ_NEXT(name, link);
		if (name->id)
			continue;
		for (a = LIST_FIRST(&name->addresses); a; a = next) {
			next = LIST_NEXT(a, of_name);
			drop_address(n, a);
		}
		drop_name_if_empty(n, name);
	}
	for (size_t i = 0; i < n->profiles; i++) {
		if (n->sockets[i].staged)
			n->sockets[kept++] = n->sockets[i];
		else
			close_sockets(&n->sockets[i]);
	}
	n->profiles = kept;
}

/* learning ------------------------------------------------------------------- */

static size_t covered_by(const struct zg_names *n, const char *profile, const char *wildcard)
{
	const struct name *name;
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
static enum zg_name_reason hold(struct zg_names *n, struct zg_namerules rules, struct name *name,
				const uint8_t addr[16], uint64_t expires_ns, uint32_t *fresh)
{
	struct address *a = find_address(name, addr);
	bool known = a != NULL;
	struct zg_learned_key key;
	uint64_t was;
	int r;

	if (!known) {
		if (n->addresses >= ZG_NAMES_MAX || name->count >= ZG_DNS_NAME_ADDRESSES)
			return ZG_NR_FULL;
		a = add_address(n, name, addr);
	}
	if (!a)
		return ZG_NR_STATE;
	was = a->expires_ns;
	if (known && expires_ns < was + FRESH_NS)
		return ZG_NR_NONE;
	a->expires_ns = expires_ns;
	key = memory_of(a);
	r = zg_kernel_remember(n->kernel, &key, expires_ns);
	if (r == 0)
		r = write_address(n, rules, a);
	if (r == 0) {
		*fresh += !known;
		return ZG_NR_NONE;
	}
	a->expires_ns = was;
	if (!known) {
		struct address one = *a;

		drop_address(n, a);
		(void)!write_address(n, rules, &one); /* take back what was half written */
	}
	return reason_of(r);
}

/* The name's place in the table, made if its caps allow. */
static enum zg_name_reason place_of(struct zg_names *n, const struct zg_snapshot *s,
				    const struct zg_msg_name_learn *m, uint32_t id,
				    const char *wildcard, struct name **out)
{
	*out = find_name(n, m->profile, m->name);
	if (*out)
		return ZG_NR_NONE;
	if (n->addresses >= ZG_NAMES_MAX ||
	    (wildcard && covered_by(n, m->profile, wildcard) >= ZG_DNS_WILDCARD_NAMES))
		zg_names_sweep(n, s);
	if (wildcard && covered_by(n, m->profile, wildcard) >= ZG_DNS_WILDCARD_NAMES)
		return ZG_NR_WILDCARD;
	*out = add_name(n, m->profile, m->name, id);
	return *out ? ZG_NR_NONE : ZG_NR_STATE;
}

static uint64_t expiry(const struct zg_settings *s, uint32_t ttl)
{
	uint64_t sec = ttl > ZG_DNS_TTL_MAX_SEC ? ZG_DNS_TTL_MAX_SEC : ttl;

	if (sec < s->dns_ttl_min_sec)
		sec = s->dns_ttl_min_sec;
	return now_ns() + (sec + s->dns_grace_sec) * SECOND;
}

int zg_names_learn(struct zg_names *n, const struct zg_snapshot *s, struct zg_msg_name_learn *m,
		   struct zg_msg_name_learned *out, uint32_t *fresh)
{
	uint64_t expires_ns = expiry(s->settings, m->ttl);
	struct zg_namerules rules;
	struct zg_namerule rule;
	struct name *name;
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
	drop_name_if_empty(n, name);
	return 0;
}

void zg_names_sweep(struct zg_names *n, const struct zg_snapshot *s)
{
	uint64_t now = now_ns();
	struct name *name, *next_name;
	struct address *a, *next;

	for (name = TAILQ_FIRST(&n->all); name; name = next_name) {
		struct zg_namerules rules = zg_namerules_of(s, name->id);

		next_name = TAILQ_NEXT(name, link);
		for (a = LIST_FIRST(&name->addresses); a; a = next) {
			uint64_t used;

			next = LIST_NEXT(a, of_name);
			if (now < a->expires_ns)
				continue;
			used = used_of(n, a);
			used = used > a->used_ns ? used : a->used_ns;
			if (!used || now - used > IDLE_NS)
				unlearn(n, rules, a);
		}
	}
}

void zg_names_of(const struct zg_names *n, const char *profile, const uint8_t addr[16], char *out,
		 size_t size)
{
	const struct address *a;
	uint64_t now = now_ns();
	size_t used = 0;

	out[0] = '\0';
	LIST_FOREACH(a, &n->by_addr[hash(addr, 16, 0)], bucket)
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

/* open, close ---------------------------------------------------------------- */

/* When a former agent's flows last needed it is not known: just now. */
static int recover(const struct zg_learned_key *key, uint64_t expires_ns, void *arg)
{
	struct zg_names *n = arg;
	struct name *name = find_name(n, key->profile, key->name);
	struct address *a;

	if (!name)
		name = add_name(n, key->profile, key->name, ZG_PROFILE_NONE);
	a = name ? add_address(n, name, key->addr) : NULL;
	if (!a)
		return -ENOMEM;
	a->expires_ns = expires_ns;
	a->used_ns = now_ns();
	return 0;
}

int zg_names_open(struct zg_names **out, struct zg_kernel *k, struct zg_err *e)
{
	struct zg_names *n = calloc(1, sizeof(*n));
	int r;

	if (!n)
		return zg_err_set(e, ENOMEM, "no memory for the learned names");
	n->kernel = k;
	TAILQ_INIT(&n->all);
	n->sockets = calloc(ZG_PROFILES_MAX, sizeof(*n->sockets));
	r = n->sockets ? zg_kernel_remembered(k, recover, n) : -ENOMEM;
	if (r < 0) {
		zg_names_free(n);
		return zg_err_set(e, -r, "reading the learned names: %s", strerror(-r));
	}
	*out = n;
	return 0;
}

/* The gate keeps what it holds: it outlives us. */
void zg_names_free(struct zg_names *n)
{
	struct address *a;
	struct name *name;

	if (!n)
		return;
	while ((name = TAILQ_FIRST(&n->all))) {
		while ((a = LIST_FIRST(&name->addresses))) {
			LIST_REMOVE(a, of_name);
			free(a);
		}
		TAILQ_REMOVE(&n->all, name, link);
		free(name);
	}
	for (size_t i = 0; i < n->profiles; i++)
		close_sockets(&n->sockets[i]);
	free(n->sockets);
	free(n->key);
	free(n->val);
	free(n);
}
