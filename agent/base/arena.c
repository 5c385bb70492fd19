/* SPDX-License-Identifier: Apache-2.0 */
/* arena.c - see arena.h. Trust: sizes may come from a peer; capped here. */
#include "arena.h"

#include <stdalign.h>

#define FIRST_BYTES 512 /* blocks double from here, so that what idles stays small */
#define BLOCK_BYTES 4096

struct zg_arena_block {
	struct zg_arena_block *next;
	size_t used;
	size_t size;
	alignas(max_align_t) char data[];
};

void zg_arena_init(struct zg_arena *a, size_t max)
{
	*a = (struct zg_arena){.max = max};
}

void zg_arena_release(struct zg_arena *a)
{
	struct zg_arena_block *b = a->head, *next;

	for (; b; b = next) {
		next = b->next;
		free(b);
	}
	*a = (struct zg_arena){.max = a->max};
}

void *zg_arena_alloc(struct zg_arena *a, size_t n)
{
	const size_t align = alignof(max_align_t);
	struct zg_arena_block *b = a->head;
	void *p;

	if (a->overflow || n > a->max - a->used) {
		a->overflow = true;
		return NULL;
	}
	n = (n + align - 1) & ~(align - 1);
	if (!b || b->size - b->used < n) {
		size_t size = b ? 2 * b->size : FIRST_BYTES;

		size = size > BLOCK_BYTES ? BLOCK_BYTES : size;
		size = size > n ? size : n;
		b = calloc(1, sizeof(*b) + size);
		if (!b) {
			a->overflow = true;
			return NULL;
		}
		b->size = size;
		b->next = a->head;
		a->head = b;
	}
	p = b->data + b->used;
	b->used += n;
	a->used = n > a->max - a->used ? a->max : a->used + n;
	return p;
}

char *zg_arena_copy(struct zg_arena *a, struct zg_slice s)
{
	char *p = s.len < SIZE_MAX ? zg_arena_alloc(a, s.len + 1) : NULL;

	if (p && s.len)
		memcpy(p, s.ptr, s.len);
	return p;
}
