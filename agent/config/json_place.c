/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_place.c - see json_place.h. Trust: reads only inside the text, whatever
 * it holds; no recursion, no allocation.
 */
#include "json_place.h"

static size_t blanks(struct zg_slice s, size_t i)
{
	while (i < s.len && memchr(" \t\r\n", s.ptr[i], 4))
		i++;
	return i;
}

/* Behind the string that starts at i. */
static size_t behind_string(struct zg_slice s, size_t i)
{
	for (i++; i < s.len && s.ptr[i] != '"'; i++)
		if (s.ptr[i] == '\\')
			i++;
	return i < s.len ? i + 1 : s.len;
}

/* Behind the value that starts at i. */
static size_t behind_value(struct zg_slice s, size_t i)
{
	size_t depth = 0;

	while (i < s.len) {
		char c = s.ptr[i];

		if (c == '"') {
			i = behind_string(s, i);
		} else {
			if (depth == 0 && memchr(",]} \t\r\n", c, 7))
				return i;
			depth += c == '{' || c == '[';
			if (c == '}' || c == ']')
				depth--;
			i++;
		}
		if (depth == 0 && memchr("\"}]", s.ptr[i - 1], 3))
			return i;
	}
	return s.len;
}

static bool member_is(struct zg_slice s, size_t from, size_t to, const char *key)
{
	size_t n = strlen(key);

	return to - from == n + 2 && memcmp(s.ptr + from + 1, key, n) == 0;
}

/* From the container at i to its member or item; false: it has none. */
static bool step(struct zg_slice s, size_t *at, const struct zg_json_path *p)
{
	size_t i = *at, seen = 0;

	if (i >= s.len || s.ptr[i] != (p->key ? '{' : '['))
		return false;
	for (i = blanks(s, i + 1); i < s.len && s.ptr[i] != '}' && s.ptr[i] != ']';) {
		bool found = !p->key && seen++ == p->index;

		if (p->key) {
			size_t end = behind_string(s, i);

			found = member_is(s, i, end, p->key);
			i = blanks(s, end);
			i = blanks(s, i < s.len ? i + 1 : i); /* the colon */
		}
		if (found) {
			*at = i;
			return true;
		}
		i = blanks(s, behind_value(s, i));
		if (i < s.len && s.ptr[i] == ',')
			i = blanks(s, i + 1);
		else
			break;
	}
	return false;
}

static bool walk(struct zg_slice s, size_t *at, const struct zg_json_path *p)
{
	const struct zg_json_path *from = NULL;

	/* the path hangs from its end: go down one step further each time */
	while (from != p) {
		const struct zg_json_path *next = p;

		while (next->up != from)
			next = next->up;
		if (!step(s, at, next))
			return false;
		from = next;
	}
	return true;
}

void zg_json_place(struct zg_slice text, const struct zg_json_path *path, uint32_t *line,
		   uint32_t *column)
{
	size_t at = blanks(text, 0), start = 0;

	*line = 1;
	if (path)
		(void)walk(text, &at, path);
	for (size_t i = 0; i < at && i < text.len; i++) {
		if (text.ptr[i] != '\n')
			continue;
		++*line;
		start = i + 1;
	}
	*column = (uint32_t)(at - start) + 1;
}
