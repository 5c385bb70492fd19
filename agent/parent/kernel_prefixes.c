/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel_prefixes.c - see kernel_prefixes.h; why any subset of the changes may
 * be in the tables is said in prefix_diff.h. Trust: runs as root.
 */
#include "kernel_prefixes.h"

#include <errno.h>
#include <string.h>

#define CHUNK 4096 /* prefixes converted at a time */

static bool phase_keeps(enum zg_phase phase, const struct zg_prefix_change *c)
{
	switch (phase) {
	case ZG_PREPARE:
		return true;
	case ZG_SETTLE:
		return c->in_new;
	case ZG_UNDO:
		return c->in_old;
	}
	return true;
}

static struct zg_addr_val phase_value(enum zg_phase phase, const struct zg_change_set *set,
				      const struct zg_prefix_change *c)
{
	struct zg_addr_val v;

	v.identity[set->old] = phase == ZG_SETTLE || (set->at_once && phase == ZG_PREPARE)
				       ? c->new_identity
				       : c->old_identity;
	v.identity[set->new] = phase == ZG_UNDO ? c->old_identity : c->new_identity;
	return v;
}

/* Whole addresses are in a hash, for speed; they can never cover another. */
static bool map_holds(const struct zg_tables *t, const struct zg_map *m,
		      const struct zg_prefix_change *c)
{
	return (m == &t->host) == (c->key.prefixlen == 128);
}

static int delete_prefixes(const struct zg_tables *t, const struct zg_map *m,
			   const struct zg_change_set *set, enum zg_phase phase)
{
	zg_autofree struct zg_addr_key *key = calloc(CHUNK, sizeof(*key));
	size_t n = 0;

	if (!key)
		return -ENOMEM;
	for (size_t i = 0; i < set->prefix_count; i++) {
		const struct zg_prefix_change *c = &set->prefix[i];

		if (map_holds(t, m, c) && !phase_keeps(phase, c))
			key[n++] = c->key;
		if (n && (n == CHUNK || i + 1 == set->prefix_count)) {
			int r = zg_map_delete(m, key, n);

			if (r < 0)
				return r;
			n = 0;
		}
	}
	return 0;
}

static int put_prefixes(const struct zg_tables *t, const struct zg_map *m,
			const struct zg_change_set *set, enum zg_phase phase)
{
	zg_autofree struct zg_addr_key *key = calloc(CHUNK, sizeof(*key));
	zg_autofree struct zg_addr_val *value = calloc(CHUNK, sizeof(*value));
	size_t n = 0;

	if (!key || !value)
		return -ENOMEM;
	for (size_t i = 0; i < set->prefix_count; i++) {
		const struct zg_prefix_change *c = &set->prefix[i];

		if (map_holds(t, m, c) && phase_keeps(phase, c)) {
			key[n] = c->key;
			value[n++] = phase_value(phase, set, c);
		}
		if (n && (n == CHUNK || i + 1 == set->prefix_count)) {
			int r = zg_map_put(m, key, value, n);

			if (r < 0)
				return r;
			n = 0;
		}
	}
	return 0;
}

/* What was put for both slots is as it stays. */
static bool settled(const struct zg_change_set *set, enum zg_phase phase)
{
	return set->at_once && phase == ZG_SETTLE;
}

/* Deletions first: a full trie refuses even to replace an element. */
int zg_prefixes_write(const struct zg_tables *t, const struct zg_change_set *set,
		      enum zg_phase phase)
{
	const struct zg_map *maps[] = {&t->host, &t->addr};

	for (size_t i = 0; i < 2; i++) {
		int r = delete_prefixes(t, maps[i], set, phase);

		if (r == 0 && !settled(set, phase))
			r = put_prefixes(t, maps[i], set, phase);
		if (r < 0)
			return r;
	}
	return 0;
}

struct read_back {
	struct zg_prefix_def *prefix;
	size_t count;
	size_t room;
	uint32_t slot;
	struct zg_change_set stale; /* elements whose slots differ, to be settled */
	size_t stale_room;
};

static int read_prefix(const void *key, const void *value, void *arg)
{
	struct zg_prefix_change *stale;
	struct zg_prefix_def *prefix;
	struct read_back *b = arg;
	struct zg_addr_key k;
	struct zg_addr_val v;

	memcpy(&k, key, sizeof(k));
	memcpy(&v, value, sizeof(v));
	prefix = zg_map_list_room(b->prefix, b->count, &b->room, sizeof(*prefix));
	if (!prefix)
		return -ENOMEM;
	b->prefix = prefix;
	prefix += b->count++;
	*prefix = (struct zg_prefix_def){.prefixlen = k.prefixlen, .identity = v.identity[b->slot]};
	memcpy(prefix->addr, k.addr, sizeof(prefix->addr));
	if (v.identity[0] == v.identity[1])
		return 0;
	stale = zg_map_list_room(b->stale.prefix, b->stale.prefix_count, &b->stale_room,
				 sizeof(*stale));
	if (!stale)
		return -ENOMEM;
	b->stale.prefix = stale;
	stale[b->stale.prefix_count++] = (struct zg_prefix_change){
		.key = k, .new_identity = prefix->identity, .in_old = true, .in_new = true};
	return 0;
}

static int by_prefix(const void *a, const void *b)
{
	return zg_prefix_order(a, b);
}

int zg_prefixes_read(const struct zg_tables *t, uint32_t slot, struct zg_prefix_def **out,
		     size_t *count)
{
	struct read_back b = {.slot = slot, .stale.new = 1};
	int r = zg_map_each(&t->addr, read_prefix, &b);

	if (r == 0)
		r = zg_map_each(&t->host, read_prefix, &b);
	if (r == 0)
		r = zg_prefixes_write(t, &b.stale, ZG_SETTLE);
	free(b.stale.prefix);
	if (r < 0) {
		free(b.prefix);
		return r;
	}
	if (b.count)
		qsort(b.prefix, b.count, sizeof(*b.prefix), by_prefix);
	*out = b.prefix;
	*count = b.count;
	return 0;
}
