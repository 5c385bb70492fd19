/* SPDX-License-Identifier: Apache-2.0 */
/* json_span.c - see json_span.h. Trust: a peer's text that was found to be strict JSON. */
#include "json_span.h"

#include "engine.h"

static size_t skip_space(struct zg_slice s, size_t at)
{
	while (at < s.len &&
	       (s.ptr[at] == ' ' || s.ptr[at] == '\n' || s.ptr[at] == '\r' || s.ptr[at] == '\t'))
		at++;
	return at;
}

/* The end of the string that begins at `at`: a quote with an even number of
 * backslashes before it. Each is counted for one quote only. */
static size_t skip_string(struct zg_slice s, size_t at)
{
	size_t from = at + 1;

	for (at = from; at < s.len; at++) {
		const char *quote = memchr(s.ptr + at, '"', s.len - at);
		size_t slashes = 0;

		if (!quote)
			break;
		at = (size_t)(quote - s.ptr);
		while (at - slashes > from && quote[-1 - (ptrdiff_t)slashes] == '\\')
			slashes++;
		if (slashes % 2 == 0)
			return at + 1;
	}
	return s.len;
}

static size_t skip_value(struct zg_slice s, size_t at)
{
	size_t depth = 0;

	while (at < s.len) {
		char c = s.ptr[at];

		if (c == '"') {
			at = skip_string(s, at);
		} else if (c == '{' || c == '[') {
			depth++;
			at++;
		} else if (c == '}' || c == ']') {
			if (!depth)
				return at;
			depth--;
			at++;
		} else if (depth || (c != ',' && c != ':' && c != ' ' && c != '\n' && c != '\r' &&
				     c != '\t')) {
			at++;
			continue;
		} else {
			return at;
		}
		if (!depth)
			return at;
	}
	return s.len;
}

static struct zg_slice take(struct zg_slice s, size_t *at)
{
	size_t from = skip_space(s, *at);
	size_t to = skip_value(s, from);

	*at = skip_space(s, to);
	return (struct zg_slice){s.ptr + from, to - from};
}

bool zg_json_next(struct zg_slice c, size_t *at, struct zg_json_item *item)
{
	bool object = c.len && c.ptr[0] == '{';

	if (!object && (!c.len || c.ptr[0] != '['))
		return false;
	if (*at == 0)
		*at = skip_space(c, 1);
	else if (*at < c.len && c.ptr[*at] == ',')
		*at = skip_space(c, *at + 1);
	if (*at >= c.len || c.ptr[*at] == '}' || c.ptr[*at] == ']')
		return false;
	*item = (struct zg_json_item){0};
	if (object) {
		item->name = take(c, at);
		if (*at >= c.len || c.ptr[*at] != ':')
			return false;
		++*at;
	}
	item->value = take(c, at);
	return item->value.len > 0;
}

bool zg_json_text(struct zg_slice raw, struct zg_buf *out)
{
	const char *p, *end, *why;

	if (raw.len < 2 || raw.ptr[0] != '"' || raw.ptr[raw.len - 1] != '"')
		return false;
	p = raw.ptr + 1;
	end = raw.ptr + raw.len - 1;
	while (p < end) {
		char bytes[4], *o = bytes;
		size_t n = 0;

		while (p + n < end && p[n] != '\\')
			n++;
		zg_buf_add(out, p, n);
		p += n;
		if (p == end)
			break;
		p = zg_json_unescape(p, end, &o, &why);
		if (!p)
			return false;
		zg_buf_add(out, bytes, (size_t)(o - bytes));
	}
	return zg_buf_ok(out);
}

bool zg_json_is(struct zg_slice raw, const char *text)
{
	size_t n = strlen(text);

	if (raw.len < 2)
		return false;
	if (!memchr(raw.ptr, '\\', raw.len))
		return raw.len == n + 2 && memcmp(raw.ptr + 1, text, n) == 0;
	if (raw.len <= 6 * n + 2) { /* no escape of it is longer */
		zg_autobuf b = ZG_BUF(6 * n + 8);

		return zg_json_text(raw, &b) && zg_slice_eq(zg_buf_slice(&b), zg_slice_str(text));
	}
	return false;
}

struct zg_slice zg_json_member(struct zg_slice object, const char *name)
{
	struct zg_json_item item;
	size_t at = 0;

	if (object.len && object.ptr[0] == '{')
		while (zg_json_next(object, &at, &item))
			if (zg_json_is(item.name, name))
				return item.value;
	return (struct zg_slice){0};
}

void zg_json_splice(struct zg_slice text, struct zg_slice span, struct zg_slice with,
		    struct zg_buf *out)
{
	size_t at = (size_t)(span.ptr - text.ptr);

	zg_buf_add(out, text.ptr, at);
	zg_buf_add(out, with.ptr, with.len);
	zg_buf_add(out, span.ptr + span.len, text.len - at - span.len);
}
