/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel_tables.c - see kernel_tables.h and the two-slot scheme of zg_abi.h.
 *
 * An application writes the idle slot only, so it can fail at any point before
 * the flip and nothing that is enforced has changed; what it wrote is taken
 * back. A crash leaves the same idle leftovers, which the next application
 * finds by reading the maps back. Trust: runs as root; the snapshot was bounds-
 * checked by zg_snapshot_open, its table order is checked here.
 */
#include "kernel_tables.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "kernel_names.h"
#include "kernel_prefixes.h"
#include "kernel_exec.h"
#include "kernel_unix.h"
#include "signature.h"

#define CHUNK 4096 /* rules converted at a time */

void zg_tables_release(struct zg_tables *t)
{
	free(t->prefix);
	t->prefix = NULL;
	free(t->contained);
	t->contained = NULL;
	t->contained_count = 0;
	for (size_t slot = 0; slot < 2; slot++) {
		free(t->exec_meant[slot].key);
		t->exec_meant[slot] = (struct zg_exec_list){0};
	}
}

static uint32_t slot_in_force(const struct zg_tables *t)
{
	return t->ctl->epoch & 1;
}

/* rules ---------------------------------------------------------------------- */

static bool rule_of(const void *key, const void *slot)
{
	return ((const struct zg_rule_key *)key)->slot == *(const uint32_t *)slot;
}

static bool unix_of(const void *key, const void *slot)
{
	return ((const struct zg_unix_key *)key)->slot == *(const uint32_t *)slot;
}

static bool exec_of(const void *key, const void *slot)
{
	return ((const struct zg_exec_key *)key)->slot == *(const uint32_t *)slot;
}

static bool name_of(const void *key, const void *slot)
{
	return ((const struct zg_name_key *)key)->slot == *(const uint32_t *)slot;
}

static bool grant_of_another_epoch(const void *key, const void *epoch)
{
	return ((const struct zg_grant_key *)key)->epoch != *(const uint32_t *)epoch;
}

/* They ended with their epoch; this makes room. */
static int purge_grants(struct zg_tables *t)
{
	const uint32_t epoch = t->ctl->epoch;

	return zg_map_delete_if(&t->grant, grant_of_another_epoch, &epoch);
}

/* What exists for one slot only. */
static int purge_slot(struct zg_tables *t, uint32_t slot)
{
	int r = zg_map_delete_if(&t->rule, rule_of, &slot);

	if (r == 0)
		r = zg_map_delete_if(&t->unix_, unix_of, &slot);
	if (r == 0)
		r = zg_map_delete_if(&t->exec, exec_of, &slot);
	return r < 0 ? r : zg_map_delete_if(&t->name, name_of, &slot);
}

static int put_rules(struct zg_tables *t, const struct zg_snapshot *s, uint32_t slot)
{
	zg_autofree struct zg_rule_key *key = calloc(CHUNK, sizeof(*key));
	zg_autofree struct zg_rule_val *value = calloc(CHUNK, sizeof(*value));

	if (!key || !value)
		return -ENOMEM;
	for (size_t done = 0; done < s->rule_count;) {
		size_t n = 0;
		int r;

		for (; n < CHUNK && done < s->rule_count; n++, done++) {
			const struct zg_rule_def *d = &s->rules[done];

			key[n] = (struct zg_rule_key){
				.profile = d->profile,
				.identity = d->identity,
				.proto = (uint8_t)d->proto,
				.slot = (uint8_t)slot,
				.direction = (uint8_t)d->direction,
			};
			value[n] = d->val;
		}
		r = zg_map_put(&t->rule, key, value, n);
		if (r < 0)
			return r;
	}
	return 0;
}

/* profiles and members ------------------------------------------------------- */

struct profiles {
	struct zg_profile old[ZG_PROFILES_MAX];
	struct zg_profile new[ZG_PROFILES_MAX];
	uint32_t index[ZG_PROFILES_MAX];
	uint32_t new_id[ZG_PROFILES_MAX]; /* by old id */
};

static int read_profile(const void *key, const void *value, void *arg)
{
	uint32_t index = *(const uint32_t *)key;
	struct profiles *p = arg;

	/* index[0] tells the first element of the slot that is asked for */
	if (index >= p->index[0] && index - p->index[0] < ZG_PROFILES_MAX)
		memcpy(&p->old[index - p->index[0]], value, sizeof(p->old[0]));
	return 0;
}

/* Where a name stands in the list of the contained; behind its end if it does not. */
static size_t find_contained(const struct zg_tables *t, const char *name)
{
	size_t i = 0;

	while (i < t->contained_count && strcmp(t->contained[i], name) != 0)
		i++;
	return i;
}

/* Pair by name, and let containment outlive the change. Before the first
 * generation there are no names: ids are already those of this snapshot. */
static void pair_profiles(struct profiles *p, const struct zg_tables *t,
			  const struct zg_snapshot *s)
{
	bool first = t->ctl->epoch == 0;

	for (uint32_t id = 0; id < ZG_PROFILES_MAX; id++)
		p->new_id[id] = id < ZG_PROFILE_FIRST || id == ZG_PROFILE_CANARY || first
					? id
					: ZG_PROFILE_GONE;
	for (size_t i = 0; i < s->profile_count; i++) {
		uint32_t id = (uint32_t)i + ZG_PROFILE_FIRST;
		struct zg_profile *to = &p->new[id];

		to->mode = s->profiles[i].mode;
		to->shadow_wire = s->profiles[i].shadow_wire;
		to->shadow_stdio = s->profiles[i].shadow_stdio;
		to->asks = s->profiles[i].asks;
		memcpy(to->name, s->profiles[i].name, sizeof(to->name));
		to->contained = find_contained(t, to->name) < t->contained_count;
		if (t->names) {
			to->dns4_port_be = htons(t->names->dns[id].port4);
			to->dns6_port_be = htons(t->names->dns[id].port6);
		}
		for (uint32_t was = ZG_PROFILE_FIRST; was < ZG_PROFILES_MAX; was++) {
			if (!p->old[was].name[0] || strcmp(p->old[was].name, to->name) != 0)
				continue;
			p->new_id[was] = id;
			break;
		}
	}
}

/* Whatever holds ids starts with a struct zg_membership. */
struct renumbered {
	const struct zg_change_set *set;
	const struct profiles *profiles;
	const struct zg_map *map;
	char *list; /* keys, each with its value */
	size_t count, room;
};

static int collect_renumbered(const void *key, const void *value, void *arg)
{
	struct renumbered *found = arg;
	size_t key_bytes = found->map->key_bytes, bytes = key_bytes + found->map->value_bytes;
	struct zg_membership m;
	uint32_t want;
	char *at;

	memcpy(&m, value, sizeof(m));
	want = m.profile[found->set->old];
	want = want < ZG_PROFILES_MAX ? found->profiles->new_id[want] : ZG_PROFILE_GONE;
	if (m.profile[found->set->new] == want)
		return 0;
	m.profile[found->set->new] = want;
	at = zg_map_list_room(found->list, found->count, &found->room, bytes);
	if (!at)
		return -ENOMEM;
	found->list = at;
	at += found->count++ * bytes;
	memcpy(at, key, key_bytes);
	memcpy(at + key_bytes, value, found->map->value_bytes);
	memcpy(at + key_bytes, &m, sizeof(m));
	return 0;
}

/* What has gone meanwhile stays gone. */
static int renumber(const struct zg_map *map, const struct zg_change_set *set,
		    const struct profiles *p)
{
	struct renumbered found = {.set = set, .profiles = p, .map = map};
	int r = zg_map_each(map, collect_renumbered, &found);

	for (size_t i = 0; r == 0 && i < found.count; i++) {
		const char *at = found.list + i * (map->key_bytes + map->value_bytes);

		r = zg_map_replace(map, at, at + map->key_bytes);
		if (r == -ENOENT)
			r = 0;
	}
	free(found.list);
	return r;
}

/* Whoever read an element that has been replaced reads again. */
static int member_changed(struct zg_tables *t, int result)
{
	__atomic_add_fetch(&t->ctl->members, 1, __ATOMIC_SEQ_CST);
	return result;
}

/* In the order in which one is made of another by the kernel: what is made of
 * an old id was found here, or is made again (zg_ctl.members). */
static int put_members(struct zg_tables *t, const struct zg_change_set *set,
		       const struct profiles *p)
{
	const struct zg_map *const maps[] = {&t->nursery, &t->member, &t->sticky};
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(maps) / sizeof(maps[0]); i++)
		r = member_changed(t, renumber(maps[i], set, p));
	return r;
}

static int put_profiles(struct zg_tables *t, const struct zg_snapshot *s,
			const struct zg_change_set *set)
{
	zg_autofree struct profiles *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	p->index[0] = set->old * ZG_PROFILES_MAX;
	r = zg_map_each(&t->profile, read_profile, p);
	if (r < 0)
		return r;
	pair_profiles(p, t, s);
	memcpy(t->profile_meant[set->new], p->new, sizeof(p->new));
	for (uint32_t id = 0; id < ZG_PROFILES_MAX; id++)
		p->index[id] = set->new *ZG_PROFILES_MAX + id;
	r = zg_map_put(&t->profile, p->index, p->new, ZG_PROFILES_MAX);
	return r < 0 ? r : put_members(t, set, p);
}

/* generations ---------------------------------------------------------------- */

/* Learn what is in force from the maps, and remove what an application that
 * did not end has left in the idle slot. */
static int resync(struct zg_tables *t)
{
	struct zg_prefix_def *prefix;
	size_t count;
	int r = zg_prefixes_read(t, slot_in_force(t), &prefix, &count);

	if (r == 0)
		r = purge_slot(t, !slot_in_force(t));
	else
		prefix = NULL;
	if (r < 0) {
		free(prefix);
		return r;
	}
	free(t->prefix);
	t->prefix = prefix;
	t->prefix_count = t->prefix_room = count;
	t->known = true;
	return 0;
}

/* Before anything is written: afterwards nothing may fail. */
static int make_room(struct zg_tables *t, size_t count)
{
	struct zg_prefix_def *grown;

	if (count <= t->prefix_room)
		return 0;
	grown = reallocarray(t->prefix, count, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	t->prefix = grown;
	t->prefix_room = count;
	return 0;
}

static int refuse(struct zg_err *e, int r, const char *table)
{
	if (r == -ENOSPC || r == -E2BIG)
		return zg_err_set(e, ENOSPC, "the kernel's table of %s is full", table);
	return zg_err_set(e, -r, "writing the kernel's table of %s: %s", table, strerror(-r));
}

static int fill_idle_slot(struct zg_tables *t, const struct zg_snapshot *s,
			  const struct zg_change_set *set, struct zg_err *e)
{
	int r = put_rules(t, s, set->new);

	if (r < 0)
		return refuse(e, r, "rules");
	r = zg_unix_put(&t->unix_, s, set->new, t->control);
	if (r < 0)
		return refuse(e, r, "unix sockets");
	r = zg_exec_put(&t->exec, s, set->new, &t->exec_meant[set->new]);
	if (r < 0)
		return refuse(e, r, "denied executables");
	r = zg_tables_put_names(t, set->new);
	if (r < 0)
		return refuse(e, r, "learned names");
	r = put_profiles(t, s, set);
	if (r < 0)
		return refuse(e, r, "profiles");
	r = zg_prefixes_write(t, set, ZG_PREPARE);
	if (r < 0)
		return refuse(e, r, "addresses");
	return 0;
}

int zg_tables_apply(struct zg_tables *t, const struct zg_snapshot *s, uint64_t generation,
		    struct zg_err *e)
{
	struct zg_change_set set = {.old = slot_in_force(t), .new = !slot_in_force(t)};
	int r;

	if (zg_prefix_check(s->prefixes, s->prefix_count) < 0)
		return zg_err_set(e, EBADMSG, "the snapshot's prefixes are not in order");
	r = t->known ? 0 : resync(t);
	if (r < 0)
		return refuse(e, r, "addresses");
	r = make_room(t, s->prefix_count);
	if (r == 0)
		r = zg_prefix_diff(t->prefix, t->prefix_count, s->prefixes, s->prefix_count,
				   &set.prefix, &set.prefix_count);
	if (r < 0)
		return zg_err_set(e, -r, "no memory to compare the tables of addresses");
	/* before the first flip no rule makes anything of an identity */
	set.at_once = t->ctl->epoch == 0;
	r = fill_idle_slot(t, s, &set, e);
	if (r < 0) {
		/* taken back now, or by the read-back before the next application */
		t->known = zg_prefixes_write(t, &set, ZG_UNDO) == 0 && purge_slot(t, set.new) == 0;
		free(set.prefix);
		return r;
	}
	__atomic_store_n(&t->ctl->epoch, t->ctl->epoch + 1, __ATOMIC_SEQ_CST);
	__atomic_store_n(&t->ctl->generation, generation, __ATOMIC_SEQ_CST);
	t->known = zg_prefixes_write(t, &set, ZG_SETTLE) == 0 && purge_slot(t, set.old) == 0 &&
		   purge_grants(t) == 0;
	free(set.prefix);
	if (s->prefix_count)
		memcpy(t->prefix, s->prefixes, s->prefix_count * sizeof(*t->prefix));
	t->prefix_count = s->prefix_count;
	return 0;
}

/* single writes ---------------------------------------------------------------- */

static bool same_listener(const uint8_t addr[16], uint16_t port_be, const uint8_t to[16],
			  uint16_t to_port_be)
{
	return memcmp(addr, to, 16) == 0 && port_be == to_port_be;
}

/* No port means no listener, so the address is never seen half written. */
static void set_listener(uint8_t addr[16], uint16_t *port_be, const uint8_t to[16],
			 uint16_t to_port_be)
{
	if (same_listener(addr, *port_be, to, to_port_be))
		return;
	__atomic_store_n(port_be, 0, __ATOMIC_SEQ_CST);
	memcpy(addr, to, 16);
	__atomic_store_n(port_be, to_port_be, __ATOMIC_SEQ_CST);
}

static void put_gateway(struct zg_tables *t)
{
	const struct zg_ctl *to = &t->gateway_meant;

	__atomic_store_n(&t->ctl->netns_cookie, to->netns_cookie, __ATOMIC_SEQ_CST);
	set_listener(t->ctl->gateway4, &t->ctl->gateway4_port_be, to->gateway4,
		     to->gateway4_port_be);
	set_listener(t->ctl->gateway6, &t->ctl->gateway6_port_be, to->gateway6,
		     to->gateway6_port_be);
}

void zg_tables_set_gateway(struct zg_tables *t, uint64_t netns_cookie, const struct zg_listen *v4,
			   const struct zg_listen *v6)
{
	struct zg_ctl *to = &t->gateway_meant;

	to->netns_cookie = netns_cookie;
	memcpy(to->gateway4, v4->addr, sizeof(to->gateway4));
	memcpy(to->gateway6, v6->addr, sizeof(to->gateway6));
	to->gateway4_port_be = htons(v4->port);
	to->gateway6_port_be = htons(v6->port);
	put_gateway(t);
}

void zg_tables_own_listener(struct zg_tables *t, bool v4, uint64_t cookie)
{
	*(v4 ? &t->gateway_meant.gateway4_cookie : &t->gateway_meant.gateway6_cookie) = cookie;
	__atomic_store_n(v4 ? &t->ctl->gateway4_cookie : &t->ctl->gateway6_cookie, cookie,
			 __ATOMIC_SEQ_CST);
}

/* A cookie says nothing where no listener is: a former agent's may be there. */
bool zg_tables_gateway_holds(const struct zg_tables *t)
{
	const struct zg_ctl *to = &t->gateway_meant, *is = t->ctl;

	return is->netns_cookie == to->netns_cookie &&
	       same_listener(is->gateway4, is->gateway4_port_be, to->gateway4,
			     to->gateway4_port_be) &&
	       same_listener(is->gateway6, is->gateway6_port_be, to->gateway6,
			     to->gateway6_port_be) &&
	       (!to->gateway4_port_be || is->gateway4_cookie == to->gateway4_cookie) &&
	       (!to->gateway6_port_be || is->gateway6_cookie == to->gateway6_cookie);
}

void zg_tables_restore_gateway(struct zg_tables *t)
{
	zg_tables_own_listener(t, true, t->gateway_meant.gateway4_cookie);
	zg_tables_own_listener(t, false, t->gateway_meant.gateway6_cookie);
	put_gateway(t);
}

int zg_tables_signatures_hold(const struct zg_tables *t, struct zg_automaton *wanted)
{
	zg_autofree struct zg_automaton *had = calloc(1, sizeof(*had));
	const uint32_t key = 0;
	int r = had ? zg_signature_build(wanted) : -ENOMEM;

	if (r == 0)
		r = zg_map_get(&t->automaton, &key, had);
	return r < 0 ? r : memcmp(had, wanted, sizeof(*had)) == 0;
}

/* One that is the same stays: connections are in the midst of it. */
int zg_tables_set_signatures(const struct zg_tables *t)
{
	zg_autofree struct zg_automaton *wanted = calloc(1, sizeof(*wanted));
	const uint32_t key = 0;
	int r = wanted ? zg_tables_signatures_hold(t, wanted) : -ENOMEM;

	return r == 0 ? zg_map_put(&t->automaton, &key, wanted, 1) : r < 0 ? r : 0;
}

static bool profile_valid(uint32_t profile)
{
	return profile >= ZG_PROFILE_GATEWAY && profile < ZG_PROFILES_MAX;
}

/* A profile of the slot in force, by its name. */
struct by_name {
	const char *name;
	uint32_t first; /* of the slot */
	uint32_t index;
	struct zg_profile profile;
	bool found;
};

static int match_name(const void *key, const void *value, void *arg)
{
	uint32_t index = *(const uint32_t *)key;
	struct by_name *b = arg;
	struct zg_profile p;

	memcpy(&p, value, sizeof(p));
	if (index < b->first + ZG_PROFILE_FIRST || index >= b->first + ZG_PROFILES_MAX ||
	    strncmp(p.name, b->name, sizeof(p.name)) != 0)
		return 0;
	b->index = index;
	b->profile = p;
	b->found = true;
	return 0;
}

static int find_profile(const struct zg_tables *t, const char *name, struct by_name *out)
{
	*out = (struct by_name){.name = name, .first = slot_in_force(t) * ZG_PROFILES_MAX};
	return zg_map_each(&t->profile, match_name, out);
}

/* Remember a name for the generations to come, or forget it. */
static int list_contained(struct zg_tables *t, const char *name, bool contained)
{
	size_t at = find_contained(t, name);
	char(*grown)[ZG_NAME_LEN];

	if (contained == (at < t->contained_count))
		return 0;
	if (!contained) {
		memmove(t->contained[at], t->contained[--t->contained_count], ZG_NAME_LEN);
		return 0;
	}
	if (t->contained_count == ZG_PROFILES_MAX)
		return -ENOSPC;
	grown = reallocarray(t->contained, t->contained_count + 1, ZG_NAME_LEN);
	if (!grown)
		return -ENOMEM;
	t->contained = grown;
	memset(grown[t->contained_count], 0, ZG_NAME_LEN);
	memcpy(grown[t->contained_count++], name, strlen(name));
	return 0;
}

static int adopt_contained(const void *key, const void *value, void *arg)
{
	uint32_t index = *(const uint32_t *)key;
	struct zg_tables *t = arg;
	struct zg_profile p;

	memcpy(&p, value, sizeof(p));
	if (index / ZG_PROFILES_MAX != slot_in_force(t) || !p.contained || !p.name[0] ||
	    !memchr(p.name, '\0', sizeof(p.name)))
		return 0;
	return list_contained(t, p.name, true);
}

int zg_tables_adopt_contained(struct zg_tables *t)
{
	return zg_map_each(&t->profile, adopt_contained, t);
}

int zg_tables_contain(struct zg_tables *t, const char *name, bool contained)
{
	struct by_name b;
	int r = strlen(name) < ZG_NAME_LEN && name[0] ? find_profile(t, name, &b) : -EINVAL;

	if (r == 0 && contained)
		r = list_contained(t, name, true);
	if (r == 0 && b.found) {
		b.profile.contained = contained;
		r = member_changed(t, zg_map_put(&t->profile, &b.index, &b.profile, 1));
		if (r == 0)
			t->profile_meant[slot_in_force(t)][b.index - b.first].contained = contained;
	}
	return r < 0 || contained ? r : list_contained(t, name, false);
}

int zg_tables_grant(struct zg_tables *t, struct zg_grant_key key, uint64_t expires_ns)
{
	const struct zg_grant_val value = {.expires_ns = expires_ns};

	key.epoch = t->ctl->epoch;
	return expires_ns ? zg_map_put(&t->grant, &key, &value, 1)
			  : zg_map_delete(&t->grant, &key, 1);
}

bool zg_tables_contained(const struct zg_tables *t, const char *name)
{
	return find_contained(t, name) < t->contained_count;
}

int zg_tables_govern(struct zg_tables *t, uint64_t cgroup_id, uint32_t profile)
{
	struct zg_membership m = {.profile = {profile, profile}};

	if (!profile_valid(profile))
		return -EINVAL;
	return member_changed(t, zg_map_put(&t->member, &cgroup_id, &m, 1));
}

int zg_tables_release_member(struct zg_tables *t, uint64_t cgroup_id)
{
	return member_changed(t, zg_map_delete(&t->member, &cgroup_id, 1));
}

/* nursery ----------------------------------------------------------------------- */

struct kept {
	const struct zg_nursery_key *key;
	size_t count;
};

static bool not_kept(const void *key, const void *arg)
{
	const struct kept *kept = arg;

	for (size_t i = 0; i < kept->count; i++)
		if (memcmp(&kept->key[i], key, sizeof(kept->key[i])) == 0)
			return false;
	return true;
}

int zg_tables_nursery(struct zg_tables *t, const struct zg_nursery_key *keys,
		      const struct zg_nursery *values, size_t count)
{
	struct kept kept = {keys, count};
	int r = zg_map_put(&t->nursery, keys, values, count);

	return r < 0 ? r : zg_map_delete_if(&t->nursery, not_kept, &kept);
}

/* reading back ------------------------------------------------------------------ */

struct members {
	uint32_t slot;
	int (*fn)(uint64_t id, uint32_t profile, void *arg);
	void *arg;
};

static int one_member(const void *key, const void *value, void *arg)
{
	struct members *m = arg;
	struct zg_membership v;
	uint64_t id;

	memcpy(&id, key, sizeof(id));
	memcpy(&v, value, sizeof(v));
	return m->fn(id, v.profile[m->slot], m->arg);
}

int zg_tables_members(struct zg_tables *t, int (*fn)(uint64_t id, uint32_t profile, void *arg),
		      void *arg)
{
	struct members m = {slot_in_force(t), fn, arg};

	return zg_map_each(&t->member, one_member, &m);
}
