/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel_map.c - see kernel_map.h. Batches, because a million system calls are
 * slow. Trust: runs as root, on maps of our own.
 */
#include "kernel_map.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#define BATCH 4096 /* elements; more than one hash bucket ever holds */

int zg_map_put(const struct zg_map *m, const void *keys, const void *values, size_t count)
{
	const char *key = keys, *value = values;

	for (size_t i = 0; i < count; i += BATCH) {
		uint32_t n = (uint32_t)(count - i < BATCH ? count - i : BATCH);
		int r = bpf_map_update_batch(m->fd, key + i * m->key_bytes,
					     value + i * m->value_bytes, &n, NULL);

		if (r < 0)
			return r;
	}
	return 0;
}

int zg_map_delete(const struct zg_map *m, const void *keys, size_t count)
{
	const char *key = keys;

	for (size_t i = 0; i < count;) {
		uint32_t n = (uint32_t)(count - i < BATCH ? count - i : BATCH);
		int r = bpf_map_delete_batch(m->fd, key + i * m->key_bytes, &n, NULL);

		if (r < 0 && r != -ENOENT)
			return r;
		i += n + (r == -ENOENT); /* n were deleted before the missing one */
	}
	return 0;
}

int zg_map_replace(const struct zg_map *m, const void *key, const void *value)
{
	return bpf_map_update_elem(m->fd, key, value, BPF_EXIST);
}

int zg_map_get(const struct zg_map *m, const void *key, void *value)
{
	return bpf_map_lookup_elem(m->fd, key, value);
}

int zg_map_each(const struct zg_map *m, int (*fn)(const void *key, const void *value, void *arg),
		void *arg)
{
	zg_autofree char *keys = calloc(BATCH, m->key_bytes);
	zg_autofree char *values = calloc(BATCH, m->value_bytes);
	/* the cursor is a key, or a bucket number where that is larger */
	size_t cursor_bytes = m->key_bytes > sizeof(uint64_t) ? m->key_bytes : sizeof(uint64_t);
	zg_autofree char *cursor = calloc(2, cursor_bytes);
	char *from = NULL;

	if (!keys || !values || !cursor)
		return -ENOMEM;
	for (int last = 0; !last;) {
		char *to = from == cursor ? cursor + cursor_bytes : cursor;
		uint32_t n = BATCH;
		int r = bpf_map_lookup_batch(m->fd, from, to, keys, values, &n, NULL);

		if (r < 0 && r != -ENOENT)
			return r;
		last = r == -ENOENT;
		for (uint32_t i = 0; i < n; i++) {
			r = fn(keys + i * m->key_bytes, values + i * m->value_bytes, arg);
			if (r < 0)
				return r;
		}
		from = to;
	}
	return 0;
}

void *zg_map_list_room(void *list, size_t count, size_t *room, size_t bytes)
{
	size_t more = *room ? 2 * *room : BATCH;
	void *grown;

	if (count < *room)
		return list;
	grown = reallocarray(list, more, bytes);
	if (grown)
		*room = more;
	return grown;
}

struct chosen {
	const struct zg_map *map;
	bool (*goes)(const void *key, const void *arg);
	const void *arg;
	char *keys;
	size_t count, room;
};

static int choose(const void *key, const void *value ZG_UNUSED, void *arg)
{
	struct chosen *c = arg;
	const size_t bytes = c->map->key_bytes;
	char *keys;

	if (!c->goes(key, c->arg))
		return 0;
	keys = zg_map_list_room(c->keys, c->count, &c->room, bytes);
	if (!keys)
		return -ENOMEM;
	c->keys = keys;
	memcpy(keys + c->count++ * bytes, key, bytes);
	return 0;
}

int zg_map_delete_if(const struct zg_map *m, bool (*goes)(const void *key, const void *arg),
		     const void *arg)
{
	struct chosen c = {.map = m, .goes = goes, .arg = arg};
	int r = zg_map_each(m, choose, &c);

	if (r == 0)
		r = zg_map_delete(m, c.keys, c.count);
	free(c.keys);
	return r;
}
