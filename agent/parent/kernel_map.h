/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel_map.h - many elements of one BPF map at a time. Keys and values are
 * contiguous arrays of the map's own sizes. 0 or -errno.
 */
#ifndef ZG_KERNEL_MAP_H
#define ZG_KERNEL_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cleanup.h"

struct zg_map {
	int fd; /* borrowed */
	size_t key_bytes;
	size_t value_bytes;
};

/* Insert or replace, in order; what came before a failure stays. */
int zg_map_put(const struct zg_map *m, const void *keys, const void *values,
	       size_t count) ZG_MUST_CHECK;
/* One element that is there; -ENOENT. */
int zg_map_replace(const struct zg_map *m, const void *key, const void *value) ZG_MUST_CHECK;
/* Keys that are not there are passed over. */
int zg_map_delete(const struct zg_map *m, const void *keys, size_t count) ZG_MUST_CHECK;

/* One element; -ENOENT. */
int zg_map_get(const struct zg_map *m, const void *key, void *value) ZG_MUST_CHECK;

/* Call fn for each element, until it fails. It must not change the map. */
int zg_map_each(const struct zg_map *m, int (*fn)(const void *key, const void *value, void *arg),
		void *arg) ZG_MUST_CHECK;

/* Delete the elements whose key goes says, once all were read. */
int zg_map_delete_if(const struct zg_map *m, bool (*goes)(const void *key, const void *arg),
		     const void *arg) ZG_MUST_CHECK;

/* Room for one more element of a list that grows while a map is read: the
 * list, moved or not; NULL without memory, and the old one stays. */
void *zg_map_list_room(void *list, size_t count, size_t *room, size_t bytes) ZG_MUST_CHECK;

#endif
