/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arena.h - memory of one request: capped at init, released in one place.
 * Overflow is sticky: zg_arena_alloc returns NULL and zg_arena_ok turns false,
 * so that a request that ran out can never look complete.
 */
#ifndef ZG_ARENA_H
#define ZG_ARENA_H

#include "cleanup.h"
#include "slice.h"

struct zg_arena_block;

struct zg_arena {
	struct zg_arena_block *head;
	size_t used;
	size_t max;
	bool overflow;
};

void zg_arena_init(struct zg_arena *a, size_t max);
void zg_arena_release(struct zg_arena *a);

/* Zeroed, aligned for any type; NULL when the cap is reached. */
void *zg_arena_alloc(struct zg_arena *a, size_t n);

/* A NUL-terminated copy; the slice's length excludes the NUL. */
char *zg_arena_copy(struct zg_arena *a, struct zg_slice s);

static inline bool zg_arena_ok(const struct zg_arena *a)
{
	return !a->overflow;
}

#endif
