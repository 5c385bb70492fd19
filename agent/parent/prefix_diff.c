/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prefix_diff.c - see prefix_diff.h. Trust: the new table was written by the
 * unprivileged config role. Never touches the kernel.
 */
#include "prefix_diff.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <string.h>

#define BITS 128
#define WORD 64

/* The entries of one table that cover the place where the walk is. */
struct cover {
	const struct zg_prefix_def *table;
	size_t count;
	size_t next;
	const struct zg_prefix_def *stack[BITS + 1]; /* one per length at most */
	size_t depth;
};

static uint64_t word(const uint8_t *at)
{
	uint64_t w;

	memcpy(&w, at, sizeof(w));
	return be64toh(w);
}

/* The first bits of a word, and the ones behind them. */
static uint64_t head(uint64_t w, uint32_t bits)
{
	return bits >= WORD ? w : bits ? w >> (WORD - bits) : 0;
}

static uint64_t tail(uint64_t w, uint32_t bits)
{
	return bits >= WORD ? 0 : w << bits;
}

/* How many of the first bits lie in the second word. */
static uint32_t second(uint32_t bits)
{
	return bits > WORD ? bits - WORD : 0;
}

int zg_prefix_order(const struct zg_prefix_def *a, const struct zg_prefix_def *b)
{
	uint64_t x = word(a->addr), y = word(b->addr);

	if (x == y) {
		x = word(a->addr + WORD / 8);
		y = word(b->addr + WORD / 8);
	}
	if (x == y) {
		x = a->prefixlen;
		y = b->prefixlen;
	}
	return (x > y) - (x < y);
}

static bool masked(const struct zg_prefix_def *p)
{
	return p->prefixlen <= BITS && !tail(word(p->addr), p->prefixlen) &&
	       !tail(word(p->addr + WORD / 8), second(p->prefixlen));
}

int zg_prefix_check(const struct zg_prefix_def *table, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!masked(&table[i]) || (i && zg_prefix_order(&table[i - 1], &table[i]) >= 0))
			return -EBADMSG;
	return 0;
}

static bool covers(const struct zg_prefix_def *p, const struct zg_prefix_def *q)
{
	uint32_t bits = p->prefixlen;

	return bits <= q->prefixlen && !head(word(p->addr) ^ word(q->addr), bits) &&
	       !head(word(p->addr + WORD / 8) ^ word(q->addr + WORD / 8), second(bits));
}

static const struct zg_prefix_def *cover_next(const struct cover *c)
{
	return c->next < c->count ? &c->table[c->next] : NULL;
}

/* Move to p, which is not before the last one; held: the table holds it. */
static void cover_advance(struct cover *c, const struct zg_prefix_def *p, bool held)
{
	while (c->depth && !covers(c->stack[c->depth - 1], p))
		c->depth--;
	if (held)
		c->stack[c->depth++] = &c->table[c->next++];
}

static uint32_t cover_identity(const struct cover *c)
{
	return c->depth ? c->stack[c->depth - 1]->identity : 0;
}

static int append(struct zg_prefix_change **list, size_t *count, size_t *room,
		  const struct zg_prefix_change *change)
{
	if (*count == *room) {
		size_t more = *room ? 2 * *room : 256;
		struct zg_prefix_change *grown = reallocarray(*list, more, sizeof(**list));

		if (!grown)
			return -ENOMEM;
		*list = grown;
		*room = more;
	}
	(*list)[(*count)++] = *change;
	return 0;
}

/* Which of the two comes first, as zg_prefix_order; a table's end comes last. */
static int order_of(const struct zg_prefix_def *p, const struct zg_prefix_def *q)
{
	return p && q ? zg_prefix_order(p, q) : p ? -1 : 1;
}

int zg_prefix_diff(const struct zg_prefix_def *old, size_t old_count,
		   const struct zg_prefix_def *new, size_t new_count, struct zg_prefix_change **out,
		   size_t *count)
{
	struct cover before = {.table = old, .count = old_count};
	struct cover after = {.table = new, .count = new_count};
	zg_autofree struct zg_prefix_change *list = NULL;
	size_t n = 0, room = 0;

	assert((old || !old_count) && (new || !new_count));
	while (before.next < before.count || after.next < after.count) {
		const struct zg_prefix_def *p = cover_next(&before), *q = cover_next(&after);
		int order = order_of(p, q);
		struct zg_prefix_change change = {.in_old = order <= 0, .in_new = order >= 0};

		p = change.in_old ? p : q;
		cover_advance(&before, p, change.in_old);
		cover_advance(&after, p, change.in_new);
		change.old_identity = cover_identity(&before);
		change.new_identity = cover_identity(&after);
		if (change.in_old == change.in_new && change.old_identity == change.new_identity)
			continue;
		change.key.prefixlen = p->prefixlen;
		memcpy(change.key.addr, p->addr, sizeof(change.key.addr));
		if (append(&list, &n, &room, &change) < 0)
			return -ENOMEM;
	}
	*out = ZG_TAKE(list);
	*count = n;
	return 0;
}
