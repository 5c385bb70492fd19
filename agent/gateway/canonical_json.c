/* SPDX-License-Identifier: Apache-2.0 */
/*
 * canonical_json.c - see canonical_json.h. Trust: the tree was read strictly, so
 * its depth is bounded. Written as jansson would (JSON_COMPACT, JSON_SORT_KEYS),
 * which does the rare part itself: escapes, fractions, objects of many members.
 */
#include "canonical_json.h"

#include <errno.h>

#define MEMBERS 16 /* more are sorted by jansson */

struct member {
	struct zg_slice name;
	const json_t *value;
};

static int append(const char *bytes, size_t n, void *arg)
{
	struct zg_buf *out = arg;

	zg_buf_add(out, bytes, n);
	return out->error;
}

static int by_jansson(const json_t *v, struct zg_buf *out)
{
	const size_t flags = JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY;

	if (json_dump_callback(v, append, out, flags) < 0 && !out->error)
		return -ENOMEM;
	return out->error;
}

static bool is_plain(struct zg_slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] < 0x20 || s.ptr[i] == '"' || s.ptr[i] == '\\')
			return false;
	return true;
}

static void quoted(struct zg_buf *out, struct zg_slice s)
{
	zg_buf_char(out, '"');
	/* NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage): all members were sorted */
	zg_buf_add(out, s.ptr, s.len);
	zg_buf_char(out, '"');
}

static bool is_before(struct zg_slice a, struct zg_slice b)
{
	int order = memcmp(a.ptr, b.ptr, a.len < b.len ? a.len : b.len);

	return order ? order < 0 : a.len < b.len;
}

/* The members in the order of their names; false: jansson must write them. */
static bool sort_members(json_t *object, struct member sorted[MEMBERS])
{
	const char *key;
	json_t *value;
	size_t n = 0;

	if (json_object_size(object) > MEMBERS)
		return false;
	json_object_foreach(object, key, value)
	{
		struct member m = {zg_slice_str(key), value};
		size_t at = n++;

		if (!is_plain(m.name))
			return false;
		for (; at && is_before(m.name, sorted[at - 1].name); at--)
			sorted[at] = sorted[at - 1];
		sorted[at] = m;
	}
	return true;
}

static int write_object(const json_t *v, struct zg_buf *out)
{
	struct member sorted[MEMBERS];
	int rc = 0;

	if (!sort_members((json_t *)(uintptr_t)v, sorted))
		return by_jansson(v, out);
	zg_buf_char(out, '{');
	for (size_t i = 0; i < json_object_size(v) && rc == 0; i++) {
		if (i)
			zg_buf_char(out, ',');
		quoted(out, sorted[i].name);
		zg_buf_char(out, ':');
		rc = zg_canonical_json(sorted[i].value, out);
	}
	zg_buf_char(out, '}');
	return rc < 0 ? rc : out->error;
}

static int write_string(const json_t *v, struct zg_buf *out)
{
	struct zg_slice s = {json_string_value(v), json_string_length(v)};

	if (!is_plain(s))
		return by_jansson(v, out);
	quoted(out, s);
	return out->error;
}

static int write_integer(json_int_t n, struct zg_buf *out)
{
	if (n < 0)
		zg_buf_char(out, '-');
	zg_buf_u64(out, n < 0 ? 0 - (uint64_t)n : (uint64_t)n);
	return out->error;
}

int zg_canonical_json(const json_t *v, struct zg_buf *out)
{
	if (json_is_object(v))
		return write_object(v, out);
	if (json_is_string(v))
		return write_string(v, out);
	if (json_is_integer(v))
		return write_integer(json_integer_value(v), out);
	return by_jansson(v, out);
}
