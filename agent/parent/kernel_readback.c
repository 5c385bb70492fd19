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

#include "kernel_gateway.h"
#include "kernel_unix.h"

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

/* One element that was meant: 1, 0 where its number stands for none, or -errno. */

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
	return 1;
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
	return 1;
}

/* Rows without a name are of the agent's own processes and canary, or nobody's. */
static int profile_there(struct pass *p, size_t i)
{
	const struct zg_profile *meant = &p->t->profile_meant[p->slot][i];
	uint32_t index = p->slot * ZG_PROFILES_MAX + (uint32_t)i;
	struct zg_profile v;

	if (zg_map_get(&p->t->profile, &index, &v) < 0)
		return differs(p->e, "a profile is missing in the kernel's table");
	if (v.contained != meant->contained)
		return differs(p->e, meant->contained
					     ? "a contained profile is open in the kernel's table"
					     : "a profile is contained in the kernel's table");
	if (v.dns4_port_be != meant->dns4_port_be || v.dns6_port_be != meant->dns6_port_be)
		return differs(p->e, "a profile has another resolver in the kernel's table");
	if (memcmp(&v, meant, sizeof(v)) != 0)
		return differs(p->e, "a profile is another one in the kernel's table");
	return 1;
}

static int unix_there(struct pass *p, size_t i)
{
	struct zg_unix_row row;
	struct zg_unix_val v;

	if (!zg_unix_row(p->intent->snapshot, p->t->control, p->slot, i, &row))
		return 0;
	if (zg_map_get(&p->t->unix_, &row.key, &v) < 0)
		return differs(p->e, "a unix socket is missing in the kernel's table");
	/* what covers the path, should the trie answer with that, is shorter */
	if (memcmp(&v, &row.val, sizeof(v)) != 0)
		return differs(p->e, "a unix socket has another entry in the kernel's table");
	return 1;
}

static int exec_there(struct pass *p, size_t i)
{
	uint32_t v;

	if (zg_map_get(&p->t->exec, &p->t->exec_meant[p->slot].key[i], &v) < 0)
		return differs(p->e, "a denied executable is missing in the kernel's table");
	return 1;
}

static int gateway_there(struct pass *p, size_t i ZG_UNUSED)
{
	if (!zg_tables_gateway_holds(p->t))
		return differs(p->e, "the gateway is elsewhere in the kernel's table");
	return 1;
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
	return 1;
}

static int signatures_there(struct pass *p, size_t i ZG_UNUSED)
{
	zg_autofree struct zg_automaton *wanted = calloc(1, sizeof(*wanted));
	int r = wanted ? zg_tables_signatures_hold(p->t, wanted) : -ENOMEM;

	if (r < 0)
		return zg_err_set(p->e, -r, "reading back what MCP looks like: %s", strerror(-r));
	return r ? 1 : differs(p->e, "what MCP looks like is another in the kernel's table");
}

/* How many numbers there are to look at. */

static size_t prefixes_meant(const struct pass *p)
{
	return p->intent->snapshot->prefix_count;
}

static size_t rules_meant(const struct pass *p)
{
	return p->intent->snapshot->rule_count;
}

static size_t profiles_meant(const struct pass *p ZG_UNUSED)
{
	return ZG_PROFILES_MAX;
}

static size_t unixes_meant(const struct pass *p)
{
	return zg_unix_rows(p->intent->snapshot, p->t->control);
}

static size_t execs_meant(const struct pass *p)
{
	return p->t->exec_meant[p->slot].count;
}

static size_t one_meant(const struct pass *p ZG_UNUSED)
{
	return 1;
}

static size_t members_meant(const struct pass *p)
{
	return p->intent->members;
}

/* What is of the other generation counts too: it would come into force with the
 * next flip. Profiles are an array, which holds nothing beside its elements. */
static const struct {
	size_t (*meant)(const struct pass *p);
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
	{unixes_meant,
	 unix_there,
	 {offsetof(struct zg_tables, unix_)},
	 1,
	 "the kernel's table of unix sockets does not have as many as it should"},
	{execs_meant,
	 exec_there,
	 {offsetof(struct zg_tables, exec)},
	 1,
	 "the kernel's table of denied executables does not have as many as it should"},
	{one_meant, gateway_there, {0}, 0, ""},
	{one_meant, signatures_there, {0}, 0, ""},
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
	size_t numbers = tables[p->at->table].meant(p);

	while (p->at->next < numbers) {
		int r = tables[p->at->table].there(p, p->at->next++);

		if (r < 0)
			return r;
		p->at->meant += (size_t)r;
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
	at->next = at->map = at->meant = at->counted = 0;
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
	if (tables[at->table].maps && at->counted != at->meant)
		return differs(p->e, tables[at->table].more);
	at->table++;
	begin_table(at);
	return 1;
}

int zg_tables_readback(const struct zg_tables *t, const struct zg_intent *intent,
		       struct zg_readback *at, struct zg_err *e)
{
	uint64_t until = now_ns() + ZG_READBACK_MS * 1000000;
	struct pass p = {.t = t, .intent = intent, .at = at, .slot = zg_tables_slot(t), .e = e};
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
