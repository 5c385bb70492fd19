/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tables.c - see tables.h. Trust: numbers were parsed and bounded; the order
 * and overlap of what people wrote may be anything. Pure but for memory.
 *
 * Grants are sorted by (address, length), so every block comes after those
 * that cover it: one pass with a stack of the open blocks. A block's set of
 * grants is its own plus its cover's; equal sets are stored once, and a set's
 * identity is derived from the rules it comes to.
 */
#include "tables.h"

#include <errno.h>
#include <stdbool.h>

#include "digest.h"

#define DEPTH_MAX   130				/* nested blocks: one per prefix length */
#define MEMBERS_MAX (ZG_ALLOW_ENTRIES_MAX * 8u) /* of all distinct sets together */

/* What a block takes over from the one around it. */
enum heritage { ALL, DENIALS, NOTHING };

/* Blocks that one around them does not speak for: they are opened by name, that
 * is by an entry for them or within them. In the order of their addresses. */
static const struct corner {
	uint8_t addr[16];
	uint32_t prefixlen;
	enum heritage heritage;
} corners[] = {
	{{[10] = 0xff, 0xff}, 96, NOTHING},			     /* IPv4, for IPv6 blocks */
	{{[10] = 0xff, 0xff, 0xe0}, 100, DENIALS},		     /* multicast */
	{{[10] = 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, 128, DENIALS}, /* broadcast */
	{{0xff}, 8, DENIALS},					     /* multicast over IPv6 */
};
#define CORNERS (sizeof(corners) / sizeof(corners[0]))

struct member {
	uint32_t profile;
	uint16_t lo, hi;
	uint8_t proto;
	uint8_t verdict;
	uint8_t direction;
	uint8_t pad;
};

struct set {
	uint32_t first, count; /* members, sorted and unique */
	uint32_t hash;
	uint32_t identity;
};

struct ident {
	uint32_t number;
	uint8_t digest[32]; /* of its rules */
};

/* A growable array of one type, with a ceiling. */
struct vec {
	void *at;
	size_t count, cap, max, row;
};

struct open_block {
	uint8_t addr[16];
	uint32_t prefixlen;
	uint32_t set;
};

struct builder {
	struct vec members, sets, idents, prefixes, rules, scratch, events;
	uint32_t *set_slot; /* hash of sets: number + 1 */
	size_t set_slots;
	uint32_t *ident_slot; /* hash of identities by number */
	size_t ident_slots;
	struct open_block stack[DEPTH_MAX];
	size_t depth;
	size_t corner; /* the first that is not behind us */
	struct zg_err *e;
};

static void *push(struct vec *v, size_t n)
{
	if (n > v->max - v->count)
		return NULL;
	if (v->count + n > v->cap) {
		size_t cap = v->cap ? v->cap * 2 : 64;
		void *grown;

		while (cap < v->count + n)
			cap *= 2;
		grown = reallocarray(v->at, cap, v->row);
		if (!grown)
			return NULL;
		v->at = grown;
		v->cap = cap;
	}
	v->count += n;
	return (char *)v->at + (v->count - n) * v->row;
}

#define ROWS(v, type) ((type *)(v).at)

static int order(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static int member_order(const struct member *x, const struct member *y)
{
	int c = order(x->profile, y->profile);

	c = c ? c : order(x->proto, y->proto);
	c = c ? c : order(x->direction, y->direction);
	c = c ? c : order(x->lo, y->lo);
	c = c ? c : order(x->hi, y->hi);
	return c ? c : order(x->verdict, y->verdict);
}

static struct member member_of(const struct zg_grant *g)
{
	return (struct member){g->profile, g->lo, g->hi, g->proto, g->verdict, g->direction, 0};
}

static int by_grant(const void *a, const void *b)
{
	const struct zg_grant *x = a, *y = b;
	int c = memcmp(x->addr, y->addr, sizeof(x->addr));
	struct member mx = member_of(x), my = member_of(y);

	c = c ? c : order(x->prefixlen, y->prefixlen);
	c = c ? c : member_order(&mx, &my);
	return c ? c : order(x->entry, y->entry);
}

static bool covers(const uint8_t block[16], uint32_t length, const uint8_t addr[16],
		   uint32_t prefixlen)
{
	uint32_t bytes = length / 8, bits = length % 8;

	if (length > prefixlen || memcmp(block, addr, bytes) != 0)
		return false;
	return !bits || ((block[bytes] ^ addr[bytes]) >> (8 - bits)) == 0;
}

/* ports to ranges -------------------------------------------------------------- */

struct event {
	uint32_t port; /* 0..65536: from here on */
	int8_t change; /* +1, -1 */
	uint8_t verdict;
};

static int by_port(const void *a, const void *b)
{
	return order(((const struct event *)a)->port, ((const struct event *)b)->port);
}

/* The strongest verdict that holds here; -1 = none. */
static int strongest(const int32_t live[3])
{
	static const int rank[] = {ZG_V_DENY, ZG_V_REDIRECT, ZG_V_ALLOW};

	for (size_t i = 0; i < sizeof(rank) / sizeof(rank[0]); i++)
		if (live[rank[i]] > 0)
			return rank[i];
	return -1;
}

/* Disjoint sorted ranges of the members of one profile and protocol. */
static int flatten(struct builder *b, const struct member *m, size_t n, struct zg_rule_val *out)
{
	int32_t live[3] = {0};
	struct event *ev;
	int now = -1;

	b->events.count = 0;
	ev = push(&b->events, 2 * n);
	if (!ev)
		return zg_err_set(b->e, ENOMEM, "out of memory");
	for (size_t i = 0; i < n; i++) {
		ev[2 * i] = (struct event){m[i].lo, 1, m[i].verdict};
		ev[2 * i + 1] = (struct event){m[i].hi + 1u, -1, m[i].verdict};
	}
	qsort(ev, 2 * n, sizeof(*ev), by_port);
	for (size_t i = 0; i < 2 * n;) {
		uint32_t port = ev[i].port;
		int next;

		for (; i < 2 * n && ev[i].port == port; i++)
			live[ev[i].verdict] += ev[i].change;
		next = strongest(live);
		if (next == now)
			continue;
		if (now >= 0)
			out->port[out->count - 1].hi = (uint16_t)(port - 1);
		if (next >= 0) {
			if (out->count == ZG_PORT_RULES_MAX)
				return zg_err_set(b->e, E2BIG,
						  "more than %d separate port ranges for one "
						  "address, overlapping entries included",
						  ZG_PORT_RULES_MAX);
			out->port[out->count].lo = (uint16_t)port;
			out->port[out->count++].verdict = (uint8_t)next;
		}
		now = next;
	}
	return 0;
}

/* identities --------------------------------------------------------------------- */

static size_t ident_place(const struct builder *b, uint32_t number)
{
	size_t at = number & (b->ident_slots - 1);

	while (b->ident_slot[at] &&
	       ROWS(b->idents, struct ident)[b->ident_slot[at] - 1].number != number)
		at = (at + 1) & (b->ident_slots - 1);
	return at;
}

static int grow_idents(struct builder *b)
{
	size_t slots = b->ident_slots ? b->ident_slots * 2 : 1024;

	if (b->idents.count * 2 < b->ident_slots)
		return 0;
	free(b->ident_slot);
	b->ident_slot = calloc(slots, sizeof(*b->ident_slot));
	if (!b->ident_slot)
		return zg_err_set(b->e, ENOMEM, "out of memory");
	b->ident_slots = slots;
	for (size_t i = 0; i < b->idents.count; i++)
		b->ident_slot[ident_place(b, ROWS(b->idents, struct ident)[i].number)] =
			(uint32_t)i + 1;
	return 0;
}

static uint32_t number_of(const uint8_t digest[32])
{
	return (uint32_t)digest[0] << 24 | (uint32_t)digest[1] << 16 | (uint32_t)digest[2] << 8 |
	       digest[3];
}

/* The number of the rules that digest stands for: its first bits, or of its
 * digest again while they are taken. *is_new: nobody had these rules yet. */
static int identify(struct builder *b, const uint8_t digest[32], uint32_t *number, bool *is_new)
{
	uint8_t salted[32];
	int r = grow_idents(b);

	if (r < 0)
		return r;
	memcpy(salted, digest, sizeof(salted));
	for (;; zg_sha256(salted, salted, sizeof(salted))) {
		uint32_t n = number_of(salted);
		size_t at = ident_place(b, n);
		struct ident *id;

		if (!n)
			continue;
		*number = n;
		*is_new = !b->ident_slot[at];
		if (!*is_new) {
			id = &ROWS(b->idents, struct ident)[b->ident_slot[at] - 1];
			if (memcmp(id->digest, digest, sizeof(id->digest)) == 0)
				return 0;
			continue;
		}
		id = push(&b->idents, 1);
		if (!id)
			return zg_err_set(b->e, ENOMEM, "out of memory");
		id->number = n;
		memcpy(id->digest, digest, sizeof(id->digest));
		b->ident_slot[at] = (uint32_t)b->idents.count;
		return 0;
	}
}

/* Sorted members become rules behind the others, without an identity yet. */
static int put_rules(struct builder *b, const struct member *m, size_t n)
{
	for (size_t i = 0, j; i < n; i = j) {
		struct zg_rule_def *rule = push(&b->rules, 1);
		int r;

		if (!rule)
			return zg_err_set(b->e, E2BIG, "more than %d kernel rules", ZG_RULES_MAX);
		*rule = (struct zg_rule_def){
			.profile = m[i].profile, .proto = m[i].proto, .direction = m[i].direction};
		for (j = i; j < n && m[j].profile == m[i].profile && m[j].proto == m[i].proto &&
			    m[j].direction == m[i].direction;)
			j++;
		r = flatten(b, m + i, j - i, &rule->val);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Rules of a new set; taken back if another set comes to the same rules. */
static int give_identity(struct builder *b, struct set *s)
{
	const size_t before = b->rules.count;
	uint8_t digest[32];
	bool is_new;
	int r = put_rules(b, ROWS(b->members, struct member) + s->first, s->count);

	if (r < 0)
		return r;
	zg_sha256(digest, ROWS(b->rules, struct zg_rule_def) + before,
		  (b->rules.count - before) * sizeof(struct zg_rule_def));
	r = identify(b, digest, &s->identity, &is_new);
	if (r < 0)
		return r;
	for (size_t i = before; is_new && i < b->rules.count; i++)
		ROWS(b->rules, struct zg_rule_def)[i].identity = s->identity;
	if (!is_new)
		b->rules.count = before;
	return 0;
}

/* sets ----------------------------------------------------------------------------- */

static uint32_t hash_members(const struct member *m, size_t n)
{
	uint64_t h = n;

	for (size_t i = 0; i < n; i++) {
		uint64_t w[2];

		_Static_assert(sizeof(*m) == 12, "no hidden padding");
		w[0] = (uint64_t)m[i].profile << 32 | (uint32_t)m[i].lo << 16 | m[i].hi;
		w[1] = (uint64_t)m[i].direction << 16 | (uint32_t)m[i].proto << 8 | m[i].verdict;
		h = (h ^ w[0]) * UINT64_C(0x9e3779b97f4a7c15);
		h = (h ^ h >> 29 ^ w[1]) * UINT64_C(0xbf58476d1ce4e5b9);
	}
	return (uint32_t)(h ^ h >> 32);
}

static int grow_sets(struct builder *b)
{
	size_t slots = b->set_slots ? b->set_slots * 2 : 1024;

	if (b->sets.count * 2 < b->set_slots)
		return 0;
	free(b->set_slot);
	b->set_slot = calloc(slots, sizeof(*b->set_slot));
	if (!b->set_slot)
		return zg_err_set(b->e, ENOMEM, "out of memory");
	b->set_slots = slots;
	for (size_t i = 0; i < b->sets.count; i++) {
		size_t at = ROWS(b->sets, struct set)[i].hash & (slots - 1);

		while (b->set_slot[at])
			at = (at + 1) & (slots - 1);
		b->set_slot[at] = (uint32_t)i + 1;
	}
	return 0;
}

static bool same_members(const struct builder *b, const struct set *s, const struct member *m)
{
	const struct member *all = b->members.at;

	/* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): it was pushed with them */
	return !s->count || memcmp(all + s->first, m, s->count * sizeof(*m)) == 0;
}

/* The number of the set that holds exactly what scratch holds. */
static int intern(struct builder *b, uint32_t *number)
{
	const struct member *m = b->scratch.at;
	const size_t n = b->scratch.count;
	const uint32_t hash = hash_members(m, n);
	struct member *kept;
	struct set *s;
	size_t at;
	int r = grow_sets(b);

	if (r < 0)
		return r;
	for (at = hash & (b->set_slots - 1); b->set_slot[at]; at = (at + 1) & (b->set_slots - 1)) {
		s = &ROWS(b->sets, struct set)[b->set_slot[at] - 1];
		if (s->hash == hash && s->count == n && same_members(b, s, m)) {
			*number = b->set_slot[at] - 1;
			return 0;
		}
	}
	s = push(&b->sets, 1);
	kept = n ? push(&b->members, n) : NULL;
	if (!s || (n && !kept))
		return zg_err_set(b->e, ENOMEM, "the allow entries overlap too much");
	if (n)
		memcpy(kept, m, n * sizeof(*m));
	*s = (struct set){(uint32_t)(b->members.count - n), (uint32_t)n, hash, 0};
	b->set_slot[at] = (uint32_t)b->sets.count;
	*number = (uint32_t)b->sets.count - 1;
	return give_identity(b, s);
}

/* scratch = members of the covering set, merged with the block's own. */
static int merge(struct builder *b, const struct open_block *cover, enum heritage heritage,
		 const struct zg_grant *g, size_t n)
{
	const struct set *up =
		cover && heritage != NOTHING ? &ROWS(b->sets, struct set)[cover->set] : NULL;
	const struct member *m = up ? ROWS(b->members, struct member) + up->first : NULL;
	size_t left = up ? up->count : 0, used = 0;
	struct member *out;

	b->scratch.count = 0;
	out = push(&b->scratch, left + n);
	if (!out && left + n)
		return zg_err_set(b->e, ENOMEM, "out of memory");
	while (left || n) {
		struct member own = n ? member_of(g) : (struct member){0}, next;

		if (left && heritage == DENIALS && m->verdict != ZG_V_DENY) {
			m++;
			left--;
			continue;
		}
		if (!n || (left && member_order(m, &own) <= 0)) {
			next = *m++;
			left--;
		} else {
			next = own;
			g++;
			n--;
		}
		if (!used || member_order(&out[used - 1], &next) != 0)
			out[used++] = next;
	}
	b->scratch.count = used;
	return 0;
}

/* the pass --------------------------------------------------------------------------- */

static enum heritage heritage_of(const struct open_block *cover, const uint8_t addr[16],
				 uint32_t prefixlen)
{
	for (size_t i = 0; cover && i < CORNERS; i++) {
		const struct corner *k = &corners[i];

		if (cover->prefixlen < k->prefixlen &&
		    covers(k->addr, k->prefixlen, addr, prefixlen))
			return k->heritage;
	}
	return cover ? ALL : NOTHING;
}

/* One block with its n own grants (none: it only shuts out its cover). */
static int add_block(struct builder *b, const uint8_t addr[16], uint32_t prefixlen,
		     const struct zg_grant *g, size_t n)
{
	const struct open_block *cover = b->depth ? &b->stack[b->depth - 1] : NULL;
	const enum heritage heritage = heritage_of(cover, addr, prefixlen);
	struct zg_prefix_def *prefix;
	struct open_block *top;
	uint32_t set = 0;
	int r;

	r = merge(b, cover, heritage, g, n);
	if (r == 0)
		r = intern(b, &set);
	if (r < 0)
		return r;
	if (!cover || heritage == NOTHING ||
	    ROWS(b->sets, struct set)[set].identity !=
		    ROWS(b->sets, struct set)[cover->set].identity) {
		prefix = push(&b->prefixes, 1);
		if (!prefix)
			return zg_err_set(b->e, E2BIG, "more than %d address blocks",
					  ZG_PREFIXES_MAX);
		memcpy(prefix->addr, addr, sizeof(prefix->addr));
		prefix->prefixlen = prefixlen;
		/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): intern() made it */
		prefix->identity = ROWS(b->sets, struct set)[set].identity;
	}
	top = &b->stack[b->depth++];
	memcpy(top->addr, addr, sizeof(top->addr));
	top->prefixlen = prefixlen;
	top->set = set;
	return 0;
}

static void close_until(struct builder *b, const uint8_t addr[16], uint32_t prefixlen)
{
	while (b->depth && !covers(b->stack[b->depth - 1].addr, b->stack[b->depth - 1].prefixlen,
				   addr, prefixlen))
		b->depth--;
}

/* Before anything at or behind a corner (addr NULL: behind all): shut out the
 * block that covers it. */
static int close_corners(struct builder *b, const uint8_t addr[16], uint32_t prefixlen)
{
	for (; b->corner < CORNERS; b->corner++) {
		const struct corner *k = &corners[b->corner];
		int c = addr ? memcmp(addr, k->addr, sizeof(k->addr)) : 1, r = 0;

		if (c < 0 || (c == 0 && prefixlen < k->prefixlen))
			return 0;
		if (c == 0 && prefixlen == k->prefixlen)
			continue; /* the block itself does it */
		close_until(b, k->addr, k->prefixlen);
		if (b->depth)
			r = add_block(b, k->addr, k->prefixlen, NULL, 0);
		if (r < 0)
			return r;
	}
	return 0;
}

static int pass(struct builder *b, const struct zg_grant *g, size_t count, uint32_t *entry)
{
	int r = 0;

	for (size_t i = 0, j; i < count; i = j) {
		for (j = i; j < count && g[j].prefixlen == g[i].prefixlen &&
			    memcmp(g[j].addr, g[i].addr, sizeof(g[i].addr)) == 0;)
			j++;
		*entry = g[j - 1].entry;
		r = close_corners(b, g[i].addr, g[i].prefixlen);
		if (r < 0)
			return r;
		close_until(b, g[i].addr, g[i].prefixlen);
		r = add_block(b, g[i].addr, g[i].prefixlen, g + i, j - i);
		if (r < 0)
			return r;
	}
	return close_corners(b, NULL, 0);
}

static int by_member(const void *a, const void *b)
{
	return member_order(a, b);
}

/* What bind() asks for: the ports of all inbound grants, under identity 0. */
static int put_listens(struct builder *b, const struct zg_grant *g, size_t count)
{
	b->scratch.count = 0;
	for (size_t i = 0; i < count; i++) {
		struct member *m;

		if (g[i].direction != ZG_DIR_IN)
			continue;
		m = push(&b->scratch, 1);
		if (!m)
			return zg_err_set(b->e, ENOMEM, "out of memory");
		*m = member_of(&g[i]);
	}
	if (!b->scratch.count)
		return 0;
	qsort(b->scratch.at, b->scratch.count, sizeof(struct member), by_member);
	return put_rules(b, b->scratch.at, b->scratch.count);
}

int zg_gate_tables_build(struct zg_gate_tables *out, struct zg_grant *grants, size_t count,
			 uint32_t *entry, struct zg_err *e)
{
	struct builder b = {
		.members = {.max = MEMBERS_MAX, .row = sizeof(struct member)},
		.sets = {.max = ZG_ALLOW_ENTRIES_MAX, .row = sizeof(struct set)},
		.idents = {.max = ZG_ALLOW_ENTRIES_MAX, .row = sizeof(struct ident)},
		.prefixes = {.max = ZG_PREFIXES_MAX, .row = sizeof(struct zg_prefix_def)},
		.rules = {.max = ZG_RULES_MAX, .row = sizeof(struct zg_rule_def)},
		.scratch = {.max = MEMBERS_MAX, .row = sizeof(struct member)},
		.events = {.max = 2 * MEMBERS_MAX, .row = sizeof(struct event)},
		.e = e,
	};
	int r;

	if (count)
		qsort(grants, count, sizeof(*grants), by_grant);
	r = pass(&b, grants, count, entry);
	if (r == 0)
		r = put_listens(&b, grants, count);
	free(b.members.at);
	free(b.sets.at);
	free(b.idents.at);
	free(b.scratch.at);
	free(b.events.at);
	free(b.set_slot);
	free(b.ident_slot);
	if (r < 0) {
		free(b.prefixes.at);
		free(b.rules.at);
		return r;
	}
	*out = (struct zg_gate_tables){b.prefixes.at, b.prefixes.count, b.rules.at, b.rules.count};
	return 0;
}

void zg_gate_tables_release(struct zg_gate_tables *t)
{
	free(t->prefixes);
	free(t->rules);
	*t = (struct zg_gate_tables){0};
}
