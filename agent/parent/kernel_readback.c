/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel_readback.c - see kernel_readback.h. Two passes per table: every
 * element that was meant is looked up and compared, then the elements that are
 * there are counted. Keys are unique, so both together say that the table is
 * what was meant, no less and no more, without holding a copy of it. Trust:
 * runs as root; what it reads may have been written by another root.
 */
#include "kernel_readback.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include <bpf/bpf.h>

#define STEP  256  /* elements between two looks at the clock */
#define BATCH 1024 /* more than one bucket of a hash ever holds */

struct pass {
	const struct zg_tables *t;
	const struct zg_intent *intent;
	struct zg_readback *at;
	uint32_t slot;
	struct zg_err *e;
};

static int differs(struct zg_err *e, const char *what)
{
	return zg_err_set(e, EUCLEAN, "%s", what);
}

/* One element that was meant; 0 or -errno. */

static int prefix_there(struct pass *p, size_t i)
{
	const struct zg_prefix_def *d = &p->intent->snapshot->prefixes[i];
	struct zg_addr_key key = {.prefixlen = d->prefixlen};
	struct zg_addr_val v;

	memcpy(key.addr, d->addr, sizeof(key.addr));
	if (zg_map_get(d->prefixlen == 128 ? &p->t->host : &p->t->addr, &key, &v) < 0)
		return differs(p->e, "an address is missing in the kernel's table");
	/* a trie answers with what covers the key: its identity would be another */
	if (v.identity[p->slot] != d->identity)
		return differs(p->e, "an address has another identity in the kernel's table");
	return 0;
}

static int rule_there(struct pass *p, size_t i)
{
	const struct zg_rule_def *d = &p->intent->snapshot->rules[i];
	const struct zg_rule_key key = {.profile = d->profile,
					.identity = d->identity,
					.proto = (uint8_t)d->proto,
					.slot = (uint8_t)p->slot,
					.direction = (uint8_t)d->direction};
	struct zg_rule_val v;

	if (zg_map_get(&p->t->rule, &key, &v) < 0)
		return differs(p->e, "a rule is missing in the kernel's table");
	if (memcmp(&v, &d->val, sizeof(v)) != 0)
		return differs(p->e, "a rule is another one in the kernel's table");
	return 0;
}

static int profile_there(struct pass *p, size_t i)
{
	const struct zg_profile_def *d = &p->intent->snapshot->profiles[i];
	uint32_t index = p->slot * ZG_PROFILES_MAX + ZG_PROFILE_FIRST + (uint32_t)i;
	struct zg_profile v;

	if (zg_map_get(&p->t->profile, &index, &v) < 0 || v.mode != d->mode ||
	    v.shadow_wire != d->shadow_wire || v.shadow_stdio != d->shadow_stdio ||
	    memcmp(v.name, d->name, sizeof(v.name)) != 0)
		return differs(p->e, "a profile is another one in the kernel's table");
	return 0;
}

static int member_there(struct pass *p, size_t i)
{
	struct zg_membership v;
	uint32_t profile;
	uint64_t id;

	p->intent->member(p->intent->arg, i, &id, &profile);
	if (zg_map_get(&p->t->member, &id, &v) < 0)
		return differs(p->e, "a governed cgroup is missing in the kernel's table");
	if (v.profile[p->slot] != profile)
		return differs(p->e, "a governed cgroup has another profile in the kernel's table");
	return 0;
}

static size_t prefixes_meant(const struct zg_intent *in)
{
	return in->snapshot->prefix_count;
}

static size_t rules_meant(const struct zg_intent *in)
{
	return in->snapshot->rule_count;
}

static size_t profiles_meant(const struct zg_intent *in)
{
	return in->snapshot->profile_count;
}

static size_t members_meant(const struct zg_intent *in)
{
	return in->members;
}

/* Rules of the other generation count too: they would come into force with the
 * next flip. Profiles are an array, which holds nothing beside its elements. */
static const struct {
	size_t (*meant)(const struct zg_intent *in);
	int (*there)(struct pass *p, size_t i);
	size_t map[2]; /* offsets in struct zg_tables: where its elements are */
	size_t maps;
	const char *more;
} tables[] = {
	{prefixes_meant,
	 prefix_there,
	 {offsetof(struct zg_tables, host), offsetof(struct zg_tables, addr)},
	 2,
	 "the kernel's table of addresses does not have as many as it should"},
	{rules_meant,
	 rule_there,
	 {offsetof(struct zg_tables, rule)},
	 1,
	 "the kernel's table of rules does not have as many as it should"},
	{profiles_meant, profile_there, {0}, 0, ""},
	{members_meant,
	 member_there,
	 {offsetof(struct zg_tables, member)},
	 1,
	 "the kernel's table of governed cgroups does not have as many as it should"},
};
#define TABLES (sizeof(tables) / sizeof(tables[0]))

static uint64_t now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* 1: every element that was meant is there; 0: not all were looked at yet. */
static int compare(struct pass *p, uint64_t until)
{
	size_t meant = tables[p->at->table].meant(p->intent);

	while (p->at->next < meant) {
		int r = tables[p->at->table].there(p, p->at->next++);

		if (r < 0)
			return r;
		if (p->at->next % STEP == 0 && now_ns() >= until)
			return 0;
	}
	return 1;
}

static const struct zg_map *map_of(const struct pass *p)
{
	return (const void *)((const char *)p->t + tables[p->at->table].map[p->at->map]);
}

/* 1: the map was counted to its end. The cursor is a key, or the number of a
 * bucket: it stays good from one slice to the next. */
static int count(struct pass *p, uint64_t until)
{
	const struct zg_map *m = map_of(p);
	zg_autofree char *keys = calloc(BATCH, m->key_bytes);
	zg_autofree char *values = calloc(BATCH, m->value_bytes);
	unsigned char next[ZG_READBACK_CURSOR];

	if (!keys || !values)
		return zg_err_set(p->e, ENOMEM, "no memory to read the kernel's tables back");
	do {
		uint32_t n = BATCH;
		int r = bpf_map_lookup_batch(m->fd, p->at->counting ? p->at->cursor : NULL, next,
					     keys, values, &n, NULL);

		if (r < 0 && r != -ENOENT)
			return zg_err_set(p->e, -r, "reading the kernel's tables back: %s",
					  strerror(-r));
		p->at->counted += n;
		p->at->counting = r == 0;
		memcpy(p->at->cursor, next, sizeof(next));
	} while (p->at->counting && now_ns() < until);
	return !p->at->counting;
}

static void begin_table(struct zg_readback *at)
{
	at->next = at->map = at->counted = 0;
	at->counting = false;
}

static int one_table(struct pass *p, uint64_t until)
{
	struct zg_readback *at = p->at;
	int r = compare(p, until);

	while (r == 1 && at->map < tables[at->table].maps) {
		r = count(p, until);
		at->map += r == 1;
	}
	if (r != 1)
		return r;
	if (tables[at->table].maps && at->counted != tables[at->table].meant(p->intent))
		return differs(p->e, tables[at->table].more);
	at->table++;
	begin_table(at);
	return 1;
}

int zg_tables_readback(const struct zg_tables *t, const struct zg_intent *intent,
		       struct zg_readback *at, struct zg_err *e)
{
	uint64_t until = now_ns() + ZG_READBACK_MS * 1000000;
	struct pass p = {.t = t, .intent = intent, .at = at, .slot = t->ctl->epoch & 1, .e = e};
	int r = 1;

	if (!t->known)
		return differs(e, "the kernel's tables still hold parts of another generation");
	if (at->epoch != t->ctl->epoch)
		*at = (struct zg_readback){.epoch = t->ctl->epoch};
	while (r == 1 && at->table < TABLES) {
		/* the kernel governs what is made and forgets what goes, at any time */
		uint32_t members = __atomic_load_n(&t->ctl->members, __ATOMIC_SEQ_CST);

		if (tables[at->table].there == member_there && at->members != members) {
			begin_table(at);
			at->members = members;
		}
		r = one_table(&p, until);
	}
	if (r < 0)
		begin_table(at);
	return r;
}
