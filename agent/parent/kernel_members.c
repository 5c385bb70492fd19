/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel_members.c - see kernel_members.h. Trust: runs as root; names come from
 * the checked snapshot, numbers from the maps. Containment outlives every
 * generation: it is taken back by name alone.
 */
#include "kernel_members.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "kernel_names.h"

/* profiles --------------------------------------------------------------------- */

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

/* members ---------------------------------------------------------------------- */

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

int zg_tables_put_profiles(struct zg_tables *t, const struct zg_snapshot *s,
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

static bool profile_valid(uint32_t profile)
{
	return profile >= ZG_PROFILE_GATEWAY && profile < ZG_PROFILES_MAX;
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
	struct members m = {zg_tables_slot(t), fn, arg};

	return zg_map_each(&t->member, one_member, &m);
}

/* containment ------------------------------------------------------------------ */

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
	*out = (struct by_name){.name = name, .first = zg_tables_slot(t) * ZG_PROFILES_MAX};
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
	if (index / ZG_PROFILES_MAX != zg_tables_slot(t) || !p.contained || !p.name[0] ||
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
			t->profile_meant[zg_tables_slot(t)][b.index - b.first].contained =
				contained;
	}
	return r < 0 || contained ? r : list_contained(t, name, false);
}

bool zg_tables_contained(const struct zg_tables *t, const char *name)
{
	return find_contained(t, name) < t->contained_count;
}

/* nursery ---------------------------------------------------------------------- */

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
