/* SPDX-License-Identifier: Apache-2.0 */
/* lines.c - see lines.h. Trust: every byte is a stranger's; nothing recurses. */
#include "lines.h"

#include <errno.h>
#include <string.h>

void zg_lines_init(struct zg_lines *l, size_t max)
{
	*l = (struct zg_lines){.line = ZG_BUF(max)};
}

void zg_lines_release(struct zg_lines *l)
{
	zg_buf_release(&l->line);
}

static int give(struct zg_slice line, bool cut, zg_lines_fn *fn, void *arg)
{
	/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): it has a length */
	if (line.len && line.ptr[line.len - 1] == '\r')
		line.len--;
	return line.len ? fn(arg, line, cut) : 0;
}

/* More of the line that is being read; what does not fit is told once. */
static int collect(struct zg_lines *l, struct zg_slice part, zg_lines_fn *fn, void *arg)
{
	size_t room = l->line.max - l->line.len;
	int rc;

	if (l->skip)
		return 0;
	l->skip = part.len > room;
	zg_buf_add(&l->line, part.ptr, l->skip ? room : part.len);
	if (!zg_buf_ok(&l->line)) {
		rc = l->line.error;
		zg_buf_reset(&l->line);
		return rc;
	}
	return l->skip ? give(zg_buf_slice(&l->line), true, fn, arg) : 0;
}

int zg_lines_feed(struct zg_lines *l, struct zg_slice bytes, zg_lines_fn *fn, void *arg)
{
	int rc = 0;

	while (bytes.len && rc == 0) {
		const char *end = memchr(bytes.ptr, '\n', bytes.len);
		struct zg_slice part = {bytes.ptr, end ? (size_t)(end - bytes.ptr) : bytes.len};
		bool whole = end && !l->skip;

		bytes.ptr += part.len + (end ? 1 : 0);
		bytes.len -= part.len + (end ? 1 : 0);
		if (whole && !l->line.len && part.len <= l->line.max) {
			rc = give(part, false, fn, arg); /* most come whole: no copy */
			continue;
		}
		rc = collect(l, part, fn, arg);
		if (rc < 0 || !end)
			continue;
		if (!l->skip)
			rc = give(zg_buf_slice(&l->line), false, fn, arg);
		zg_buf_reset(&l->line);
		l->skip = false;
	}
	return rc;
}

/* peek ---------------------------------------------------------------------- */

static size_t blanks(struct zg_slice s, size_t i)
{
	while (i < s.len && (s.ptr[i] == ' ' || s.ptr[i] == '\t' || s.ptr[i] == '\r'))
		i++;
	return i;
}

/* Behind the string that starts at i; s.len if it does not end. */
static size_t behind_string(struct zg_slice s, size_t i)
{
	for (i++; i < s.len && s.ptr[i] != '"'; i++)
		i += s.ptr[i] == '\\';
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
			if (!depth)
				return i;
			continue;
		}
		if (c == '{' || c == '[')
			depth++;
		else if ((c == '}' || c == ']' || c == ',') && !depth)
			return i;
		else if ((c == '}' || c == ']') && --depth == 0)
			return i + 1;
		i++;
	}
	return s.len;
}

static struct zg_slice without_blanks(struct zg_slice s)
{
	while (s.len &&
	       (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t' || s.ptr[s.len - 1] == '\r'))
		s.len--;
	return s;
}

static void take(struct zg_peek *out, struct zg_slice key, struct zg_slice value)
{
	if (zg_slice_eq(key, ZG_SLICE("\"id\"")) && !out->id.ptr)
		out->id = value;
	else if (zg_slice_eq(key, ZG_SLICE("\"method\"")) && !out->method.ptr)
		out->method = value;
	else if (zg_slice_eq(key, ZG_SLICE("\"result\"")) ||
		 zg_slice_eq(key, ZG_SLICE("\"error\"")))
		out->answer = true;
}

bool zg_peek(struct zg_slice line, struct zg_peek *out)
{
	size_t i = blanks(line, 0);

	*out = (struct zg_peek){0};
	if (i == line.len || line.ptr[i] != '{')
		return false;
	i = blanks(line, i + 1);
	while (i < line.len && line.ptr[i] == '"') {
		struct zg_slice key = {line.ptr + i, 0}, value;

		i = behind_string(line, i);
		key.len = (size_t)(line.ptr + i - key.ptr);
		i = blanks(line, i);
		if (i == line.len || line.ptr[i] != ':')
			return false;
		i = blanks(line, i + 1);
		value = (struct zg_slice){line.ptr + i, 0};
		i = behind_value(line, i);
		value.len = (size_t)(line.ptr + i - value.ptr);
		take(out, key, without_blanks(value));
		i = blanks(line, i);
		if (i == line.len || line.ptr[i] != ',')
			break;
		i = blanks(line, i + 1);
	}
	if (i == line.len || line.ptr[i] != '}')
		return false;
	return blanks(line, i + 1) == line.len;
}
