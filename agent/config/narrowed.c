/* SPDX-License-Identifier: Apache-2.0 */
/* narrowed.c - see narrowed.h. Trust: parsed and bounded input; pure but for memory. */
#include "narrowed.h"

#include <errno.h>

#include "hostname.h"
#include "narrow.h"

#define TOGETHER 3 /* lists of one profile at most */

struct list {
	struct zg_texts hosts; /* sorted, each once */
	struct zg_list_digest digest;
};

struct build {
	struct zg_settings_src *settings;
	struct zg_arena *arena;
	struct list *list; /* different ones of the whole policy */
	size_t lists;
	bool *applies; /* by server and list */
	bool failed;   /* no memory */
};

/* lists ------------------------------------------------------------------------- */

static int by_text(const void *a, const void *b)
{
	return zg_slice_order(*(const struct zg_slice *)a, *(const struct zg_slice *)b);
}

/* As the compiled policy holds it. */
static struct list list_of(struct build *b, const struct zg_texts *hosts)
{
	struct list l = {0};

	l.hosts.item = zg_arena_alloc(b->arena, hosts->count * sizeof(*l.hosts.item));
	if (!l.hosts.item) {
		b->failed = true;
		return l;
	}
	memcpy(l.hosts.item, hosts->item, hosts->count * sizeof(*l.hosts.item));
	qsort(l.hosts.item, hosts->count, sizeof(*l.hosts.item), by_text);
	for (size_t i = 0; i < hosts->count; i++) {
		if (i && zg_slice_eq(l.hosts.item[l.hosts.count - 1], l.hosts.item[i]))
			continue;
		l.hosts.item[l.hosts.count++] = l.hosts.item[i];
		zg_list_add(&l.digest, l.hosts.item[l.hosts.count - 1]);
	}
	return l;
}

static size_t intern(struct build *b, const struct zg_texts *hosts)
{
	struct list l = list_of(b, hosts);

	for (size_t i = 0; i < b->lists; i++)
		if (memcmp(&b->list[i].digest, &l.digest, sizeof(l.digest)) == 0)
			return i;
	b->list[b->lists] = l;
	return b->lists++;
}

/* Could the rule be about this server? Its other conditions are not looked at. */
static bool could_apply(const struct zg_rule_src *rule, struct zg_slice server)
{
	for (size_t i = 0; i < rule->match.count; i++) {
		const struct zg_cond_src *c = &rule->match.item[i];
		bool any = false;

		if (c->kind != ZG_CK_LABEL || !zg_slice_eq(c->key, ZG_SLICE("mcp.server")))
			continue;
		for (size_t v = 0; v < c->values.count && !any; v++)
			any = zg_star_match(c->values.item[v], server);
		if (!any)
			return false;
	}
	return true;
}

static bool is_narrowed(const struct zg_entry_src *server)
{
	return server->command && server->command->profile.entries;
}

static int read_lists(struct build *b, const struct zg_policy_src *policy,
		      struct zg_entry_src *const *servers, size_t count)
{
	size_t room = policy->rule_count + 1;
	bool any = false;

	for (size_t i = 0; i < count; i++)
		any = any || is_narrowed(servers[i]);
	if (!any)
		return 0;
	b->list = zg_arena_alloc(b->arena, room * sizeof(*b->list));
	b->applies = zg_arena_alloc(b->arena, (count + 1) * room * sizeof(*b->applies));
	if (!b->list || !b->applies)
		return -ENOMEM;
	for (const struct zg_rule_src *r = policy->rules; r; r = r->next) {
		size_t at;

		if (!r->constraints.allowlist.count)
			continue;
		at = intern(b, &r->constraints.allowlist);
		for (size_t i = 0; i < count; i++)
			if (is_narrowed(servers[i]) && could_apply(r, servers[i]->policy.id))
				b->applies[i * room + at] = true;
	}
	/* rows as long as there are lists */
	for (size_t i = 0; i < count; i++)
		memmove(b->applies + i * b->lists, b->applies + i * room,
			b->lists * sizeof(*b->applies));
	return b->failed ? -ENOMEM : 0;
}

/* entries ----------------------------------------------------------------------- */

static bool covers(struct zg_slice host, const struct zg_entry *e)
{
	static const char *const localhost[] = {"127.0.0.1", "::1"};
	uint8_t addr[16];

	if (e->kind == ZG_EK_NAME)
		return zg_slice_eq(host, e->text) || zg_hostname_matches(host, e->text);
	if (e->kind != ZG_EK_CIDR || e->prefixlen != 128)
		return false;
	if (zg_addr_parse(host, addr) == 0)
		return memcmp(addr, e->addr, sizeof(addr)) == 0;
	for (size_t i = 0; i < ZG_COUNT(localhost); i++)
		if (zg_slice_eq(host, ZG_SLICE("localhost")) &&
		    zg_addr_parse(zg_slice_str(localhost[i]), addr) == 0 &&
		    memcmp(addr, e->addr, sizeof(addr)) == 0)
			return true;
	return false;
}

static bool in_block(const uint8_t addr[16], const struct zg_entry *e)
{
	for (uint32_t bit = 0; bit < e->prefixlen; bit++)
		if ((addr[bit / 8] ^ e->addr[bit / 8]) & (0x80u >> (bit % 8)))
			return false;
	return true;
}

/* What the host is of a wider entry, as an entry. */
static bool part_of(struct zg_slice host, const struct zg_entry *e, struct zg_entry *out)
{
	uint8_t addr[16];
	bool literal = zg_addr_parse(host, addr) == 0;

	*out = *e;
	out->part = true;
	if (e->kind == ZG_EK_CIDR && literal) {
		memcpy(out->addr, addr, sizeof(addr));
		out->prefixlen = 128;
		return in_block(addr, e);
	}
	/* what a wildcard does not open, its parts do not */
	out->text = host;
	return e->kind == ZG_EK_NAME && !literal && !zg_hostname_is_doh(host) &&
	       zg_slice_starts(e->text, ZG_SLICE("*.")) && zg_hostname_matches(e->text, host);
}

static struct zg_entry **append(struct build *b, struct zg_entry **last, const struct zg_entry *e)
{
	struct zg_entry *copy = zg_arena_alloc(b->arena, sizeof(*copy));

	if (!copy) {
		b->failed = true;
		return last;
	}
	*copy = *e;
	copy->next = NULL;
	*last = copy;
	return &copy->next;
}

static struct zg_entry *intersect(struct build *b, const struct zg_entry *first,
				  const struct list *l)
{
	struct zg_entry *made = NULL, **last = &made, part;

	for (const struct zg_entry *e = first; e; e = e->next) {
		bool whole = false;

		for (size_t i = 0; i < l->hosts.count && !whole; i++)
			whole = covers(l->hosts.item[i], e);
		if (whole)
			last = append(b, last, e);
		for (size_t i = 0; i < l->hosts.count && !whole; i++)
			if (part_of(l->hosts.item[i], e, &part))
				last = append(b, last, &part);
	}
	return made;
}

/* profiles ----------------------------------------------------------------------- */

/* Those of a server that apply to it, in their order. */
static size_t lists_of(const struct build *b, size_t server, const struct list **out)
{
	size_t n = 0;

	for (size_t i = 0; i < b->lists; i++)
		if (b->applies[server * b->lists + i])
			out[n++] = &b->list[i];
	return n;
}

/* Sets of 1 to `most` of n; a count that is too large for any table is enough. */
static size_t sets(size_t n, size_t most)
{
	size_t sum = 0, k_of_n = 1;

	for (size_t k = 1; k <= most && k <= n && n < ZG_PROFILES_MAX; k++) {
		k_of_n = k_of_n * (n - k + 1) / k;
		sum += k_of_n;
	}
	return n < ZG_PROFILES_MAX ? sum : n;
}

static uint32_t id_of(const struct zg_settings_src *s, struct zg_slice name)
{
	for (uint32_t i = 0; i < s->profile_count; i++)
		if (zg_slice_eq(s->profiles[i].name, name))
			return ZG_PROFILE_FIRST + i;
	return ZG_PROFILE_NONE;
}

static void add_profile(struct build *b, const struct zg_entry_src *server,
			const struct list *const *list, size_t count)
{
	struct zg_settings_src *s = b->settings;
	struct zg_profile_src p = server->command->profile;
	struct zg_list_digest digest[TOGETHER];
	char name[ZG_NAME_LEN], *kept;

	p.narrows = id_of(s, p.name);
	for (size_t i = 0; i < count; i++) {
		p.entries = intersect(b, p.entries, list[i]);
		digest[i] = list[i]->digest;
	}
	p.entry_count = 0;
	for (const struct zg_entry *e = p.entries; e; e = e->next)
		p.entry_count++;
	zg_narrow_name(server->def.id, digest, count, name);
	kept = zg_arena_copy(b->arena, zg_slice_str(name));
	b->failed = b->failed || !kept;
	p.name = zg_slice_str(kept);
	s->profiles[s->profile_count++] = p;
}

/* Each set of k, and of fewer, that begins with the chosen ones. */
static void add_sets(struct build *b, const struct zg_entry_src *server,
		     const struct list *const *all, size_t n, size_t from,
		     const struct list **chosen, size_t count, size_t most)
{
	for (size_t i = from; i < n && count < most; i++) {
		chosen[count] = all[i];
		add_profile(b, server, chosen, count + 1);
		add_sets(b, server, all, n, i + 1, chosen, count + 1, most);
	}
}

static int add_all(struct build *b, struct zg_entry_src *const *servers, size_t count,
		   const struct list **scratch, size_t most, size_t total)
{
	struct zg_settings_src *s = b->settings;
	struct zg_profile_src *all =
		zg_arena_alloc(b->arena, (s->profile_count + total + 1) * sizeof(*all));
	const struct list *chosen[TOGETHER];

	if (!all)
		return -ENOMEM;
	if (s->profile_count)
		memcpy(all, s->profiles, s->profile_count * sizeof(*all));
	s->profiles = all;
	for (size_t i = 0; i < count && !b->failed; i++) {
		size_t n = lists_of(b, i, scratch);

		add_sets(b, servers[i], scratch, n, 0, chosen, 0, most);
	}
	return b->failed ? -ENOMEM : 0;
}

int zg_narrowed_build(struct zg_settings_src *s, const struct zg_policy_src *policy,
		      struct zg_entry_src *const *servers, size_t count, struct zg_arena *arena,
		      struct zg_diag *diag)
{
	const size_t room = ZG_PROFILE_CANARY - ZG_PROFILE_FIRST - s->profile_count;
	struct build b = {.settings = s, .arena = arena};
	size_t most = TOGETHER, total = 0, longest = 0;
	const struct list **scratch;
	int r = read_lists(&b, policy, servers, count);

	scratch = zg_arena_alloc(arena, (b.lists + 1) * sizeof(const struct list *));
	if (r < 0 || !scratch)
		return -ENOMEM;
	for (;; most--) {
		total = 0;
		for (size_t i = 0; i < count; i++) {
			size_t n = lists_of(&b, i, scratch);

			total += sets(n, most);
			longest = n > longest ? n : longest;
		}
		if (total <= room || !most)
			break;
	}
	if (longest > most && most < TOGETHER)
		zg_diag_notice(diag, s->file, 0, 0,
			       "there is no room for all profiles of local servers under "
			       "network_allowlist: a call to one under more than %zu of them is "
			       "denied",
			       most);
	return most ? add_all(&b, servers, count, scratch, most, total) : 0;
}
