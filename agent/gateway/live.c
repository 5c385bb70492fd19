/* SPDX-License-Identifier: Apache-2.0 */
/*
 * live.c - one configuration in force, with what the gateway derives from it
 * once, so that no request has to search. Trust: the snapshot has been checked
 * by zg_snapshot_open, its policy by zg_policy_open.
 */
#include <errno.h>
#include <netinet/in.h>

#include "worker.h"

/* Does addr lie in the prefix? */
static bool covers(const struct zg_prefix_def *p, const uint8_t addr[16])
{
	size_t bytes = p->prefixlen / 8, bits = p->prefixlen % 8;

	if (memcmp(p->addr, addr, bytes) != 0)
		return false;
	return bits == 0 || ((p->addr[bytes] ^ addr[bytes]) >> (8 - bits)) == 0;
}

/* Order of the section: by address, then length. */
static int compare(const struct zg_prefix_def *p, const uint8_t addr[16], uint32_t prefixlen)
{
	int c = memcmp(p->addr, addr, 16);

	return c ? c : (p->prefixlen > prefixlen) - (p->prefixlen < prefixlen);
}

static uint32_t exact_identity(const struct zg_snapshot *s, const uint8_t addr[16],
			       uint32_t prefixlen)
{
	size_t lo = 0, hi = s->prefix_count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = compare(&s->prefixes[mid], addr, prefixlen);

		if (c == 0)
			return covers(&s->prefixes[mid], addr) ? s->prefixes[mid].identity : 0;
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return 0;
}

/* Longest prefix wins, as in the kernel's trie. */
static uint32_t identity_of(const struct zg_snapshot *s, const uint8_t addr[16])
{
	uint8_t masked[16];

	memcpy(masked, addr, 16);
	for (uint32_t len = 129; len-- > 0;) {
		uint32_t found;

		if (len < 128)
			masked[len / 8] &= (uint8_t)(0xff00u >> (len % 8));
		found = exact_identity(s, masked, len);
		if (found)
			return found;
	}
	return 0;
}

struct endpoint_identity {
	uint32_t identity;
	uint32_t endpoint;
};

static int by_identity(const void *a, const void *b)
{
	const struct endpoint_identity *x = a, *y = b;

	return (x->identity > y->identity) - (x->identity < y->identity);
}

static bool redirects(const struct zg_rule_val *v, uint16_t port)
{
	for (uint32_t i = 0; i < v->count && i < ZG_PORT_RULES_MAX; i++)
		if (v->port[i].lo <= port && port <= v->port[i].hi)
			return v->port[i].verdict == ZG_V_REDIRECT;
	return false;
}

/* A profile lists a server if the kernel redirects one of its endpoints for it. */
static int find_grants(struct zg_live *l)
{
	const struct zg_snapshot *s = &l->snap;
	size_t n = s->endpoint_count;
	zg_autofree struct endpoint_identity *ids = calloc(n + 1, sizeof(*ids));

	l->granted = calloc(1, s->profile_count * s->server_count / 8 + 1);
	if (!ids || !l->granted)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		ids[i] = (struct endpoint_identity){identity_of(s, s->endpoints[i].addr),
						    (uint32_t)i};
	qsort(ids, n, sizeof(*ids), by_identity);
	for (size_t i = 0; i < s->rule_count; i++) {
		const struct zg_rule_def *rule = &s->rules[i];
		size_t lo = 0, hi = n;

		if (rule->proto != IPPROTO_TCP || rule->profile < ZG_PROFILE_FIRST ||
		    rule->profile - ZG_PROFILE_FIRST >= s->profile_count || !rule->identity)
			continue;
		while (lo < hi) {
			size_t mid = lo + (hi - lo) / 2;

			if (ids[mid].identity < rule->identity)
				lo = mid + 1;
			else
				hi = mid;
		}
		for (; lo < n && ids[lo].identity == rule->identity; lo++) {
			const struct zg_endpoint_def *ep = &s->endpoints[ids[lo].endpoint];
			size_t bit =
				(rule->profile - ZG_PROFILE_FIRST) * s->server_count + ep->server;

			if (redirects(&rule->val, ep->port))
				l->granted[bit / 8] |= (uint8_t)(1u << bit % 8);
		}
	}
	return 0;
}

static int group_endpoints(struct zg_live *l)
{
	const struct zg_snapshot *s = &l->snap;
	zg_autofree uint32_t *next = calloc(s->server_count + 1, sizeof(*next));

	l->endpoint_first = calloc(s->server_count + 1, sizeof(*l->endpoint_first));
	l->endpoint_order = calloc(s->endpoint_count + 1, sizeof(*l->endpoint_order));
	l->endpoint_good = calloc(s->server_count + 1, sizeof(*l->endpoint_good));
	if (!next || !l->endpoint_first || !l->endpoint_order || !l->endpoint_good)
		return -ENOMEM;
	for (size_t i = 0; i < s->endpoint_count; i++)
		l->endpoint_first[s->endpoints[i].server + 1]++;
	for (size_t i = 0; i < s->server_count; i++)
		l->endpoint_first[i + 1] += l->endpoint_first[i];
	for (size_t i = 0; i < s->endpoint_count; i++) {
		uint16_t server = s->endpoints[i].server;

		l->endpoint_order[l->endpoint_first[server] + next[server]++] = (uint32_t)i;
	}
	return 0;
}

static void live_free(struct zg_live *l)
{
	zg_scanner_free(l->scanner);
	zg_snapshot_close(&l->snap);
	free(l->granted);
	free(l->endpoint_first);
	free(l->endpoint_order);
	free(l->endpoint_good);
	free(l);
}

int zg_live_new(struct zg_live **out, int fd, uint64_t generation, struct zg_err *e)
{
	struct zg_live *l = calloc(1, sizeof(*l));
	int rc;

	if (!l)
		return zg_err_set(e, ENOMEM, "no memory for a configuration");
	rc = zg_snapshot_open(&l->snap, fd, e);
	if (rc < 0) {
		free(l);
		return rc;
	}
	l->refs = 1;
	l->generation = generation;
	rc = zg_policy_open(&l->policy, l->snap.policy, l->snap.policy_bytes, e);
	if (rc == 0)
		rc = zg_scanner_new(&l->scanner, l->snap.scandb, l->snap.scandb_bytes, e);
	if (rc == 0 && (find_grants(l) < 0 || group_endpoints(l) < 0))
		rc = zg_err_set(e, ENOMEM, "no memory for a configuration");
	if (rc < 0) {
		live_free(l);
		return rc;
	}
	*out = l;
	return 0;
}

struct zg_live *zg_live_ref(struct zg_live *l)
{
	l->refs++;
	return l;
}

void zg_live_unref(struct zg_live *l)
{
	if (l && --l->refs == 0)
		live_free(l);
}

bool zg_live_grants(const struct zg_live *l, uint32_t profile, const struct zg_server_def *server)
{
	size_t bit;

	if (profile < ZG_PROFILE_FIRST || profile - ZG_PROFILE_FIRST >= l->snap.profile_count)
		return false;
	bit = (profile - ZG_PROFILE_FIRST) * l->snap.server_count +
	      (size_t)(server - l->snap.servers);
	return l->granted[bit / 8] >> bit % 8 & 1;
}

static uint32_t endpoint_count(const struct zg_live *l, size_t server)
{
	return l->endpoint_first[server + 1] - l->endpoint_first[server];
}

const struct zg_endpoint_def *zg_live_endpoint(const struct zg_live *l,
					       const struct zg_server_def *server, uint32_t first,
					       uint32_t nth)
{
	size_t index = (size_t)(server - l->snap.servers);
	uint32_t count = endpoint_count(l, index);

	if (nth >= count)
		return NULL;
	nth = (first + nth) % count;
	return &l->snap.endpoints[l->endpoint_order[l->endpoint_first[index] + nth]];
}

uint32_t zg_live_endpoint_good(const struct zg_live *l, const struct zg_server_def *server)
{
	return l->endpoint_good[server - l->snap.servers];
}

void zg_live_endpoint_answered(struct zg_live *l, const struct zg_server_def *server,
			       uint32_t which)
{
	size_t index = (size_t)(server - l->snap.servers);
	uint32_t count = endpoint_count(l, index);

	l->endpoint_good[index] = count ? which % count : 0;
}
