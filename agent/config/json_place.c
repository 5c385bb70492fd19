/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_place.c - see json_place.h. Trust: reads only inside the text, whatever
 * it holds; no recursion, no allocation.
 */
#include "json_place.h"

#include "json_span.h"

/* From a container to its member or item; false: it has none. */
static bool step(struct zg_slice *value, const struct zg_json_path *p)
{
	size_t n = p->key ? strlen(p->key) : 0, at = 0, seen = 0;
	struct zg_json_item item;

	if (!value->len || value->ptr[0] != (p->key ? '{' : '['))
		return false;
	while (zg_json_next(*value, &at, &item)) {
		if (p->key ? item.name.len == n + 2 && memcmp(item.name.ptr + 1, p->key, n) == 0
			   : seen++ == p->index) {
			*value = item.value;
			return true;
		}
	}
	return false;
}

static bool walk(struct zg_slice *value, const struct zg_json_path *p)
{
	const struct zg_json_path *from = NULL;

	/* the path hangs from its end: go down one step further each time */
	while (from != p) {
		const struct zg_json_path *next = p;

		while (next->up != from)
			next = next->up;
		if (!step(value, next))
			return false;
		from = next;
	}
	return true;
}

void zg_json_place(struct zg_slice text, const struct zg_json_path *path, uint32_t *line,
		   uint32_t *column)
{
	struct zg_slice value = text;
	size_t at, start = 0;

	*line = 1;
	while (value.len && memchr(" \t\r\n", value.ptr[0], 4)) {
		value.ptr++;
		value.len--;
	}
	if (path)
		(void)walk(&value, path);
	at = (size_t)(value.ptr - text.ptr);
	for (size_t i = 0; i < at && i < text.len; i++) {
		if (text.ptr[i] != '\n')
			continue;
		++*line;
		start = i + 1;
	}
	*column = (uint32_t)(at - start) + 1;
}
