/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prefix_diff.c - see prefix_diff.h. Trust: the new table was written by the
 * unprivileged config role. Never touches the kernel.
 */
#include "prefix_diff.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define BITS 128

/* The entries of one table that cover the place where the walk is. */
struct cover {
	const struct zg_prefix_def *table;
	size_t count;
	size_t next;
	const struct zg_prefix_def *stack[BITS + 1]; /* one per length at most */
	size_t depth;
};

int zg_prefix_order(const struct zg_prefix_def *a, const struct zg_prefix_def *b)
{
	int order = memcmp(a->addr, b->addr, sizeof(a->addr));

	if (order)
		return order;
	return (a->prefixlen > b->prefixlen) - (a->prefixlen < b->prefixlen);
}

static bool masked(const struct zg_prefix_def *p)
{
	size_t whole = p->prefixlen / 8;

	if (p->prefixlen > BITS)
		return false;
	if (p->prefixlen % 8 && (p->addr[whole++] & (0xff >> p->prefixlen % 8)))
		return false;
	for (; whole < sizeof(p->addr); whole++)
		if (p->addr[whole])
			return false;
	return true;
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
	size_t whole = p->prefixlen / 8;
	unsigned int rest = p->prefixlen % 8;

	if (p->prefixlen > q->prefixlen || memcmp(p->addr, q->addr, whole) != 0)
		return false;
	return !rest || ((p->addr[whole] ^ q->addr[whole]) & (0xff00 >> rest) & 0xff) == 0;
}

/* Move to p, which is not before the last one; true if the table holds p. */
static bool cover_advance(struct cover *c, const struct zg_prefix_def *p)
{
	bool held = c->next < c->count && zg_prefix_order(&c->table[c->next], p) == 0;

	while (c->depth && !covers(c->stack[c->depth - 1], p))
		c->depth--;
	if (held)
		c->stack[c->depth++] = &c->table[c->next++];
	return held;
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

static const struct zg_prefix_def *first_of(const struct cover *a, const struct cover *b)
{
	const struct zg_prefix_def *p = a->next < a->count ? &a->table[a->next] : NULL;
	const struct zg_prefix_def *q = b->next < b->count ? &b->table[b->next] : NULL;

	if (!p || !q)
		return p ? p : q;
	return zg_prefix_order(p, q) <= 0 ? p : q;
}

int zg_prefix_diff(const struct zg_prefix_def *old, size_t old_count,
		   const struct zg_prefix_def *new, size_t new_count, struct zg_prefix_change **out,
		   size_t *count)
{
	struct cover before = {.table = old, .count = old_count};
	struct cover after = {.table = new, .count = new_count};
	zg_autofree struct zg_prefix_change *list = NULL;
	const struct zg_prefix_def *p;
	size_t n = 0, room = 0;

	assert((old || !old_count) && (new || !new_count));
	while ((p = first_of(&before, &after))) {
		struct zg_prefix_change change = {.key = {.prefixlen = p->prefixlen}};

		memcpy(change.key.addr, p->addr, sizeof(change.key.addr));
		change.in_old = cover_advance(&before, p);
		change.in_new = cover_advance(&after, p);
		change.old_identity = cover_identity(&before);
		change.new_identity = cover_identity(&after);
		if (change.in_old == change.in_new && change.old_identity == change.new_identity)
			continue;
		if (append(&list, &n, &room, &change) < 0)
			return -ENOMEM;
	}
	*out = ZG_TAKE(list);
	*count = n;
	return 0;
}
