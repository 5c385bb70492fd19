/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_tree.c - see json_tree.h. Trust: every byte is the client's. What can be
 * read in one way only is read here: structure, plain ASCII strings, short
 * integers. The rest (escapes, UTF-8, fractions, long numbers) is cut out by
 * its bytes and read by jansson.
 */
#include "json_tree.h"

#include "zg_limits.h"

#define INTEGER_DIGITS 18 /* so many fit in 64 bits, whatever they are */
#define PLAIN_NAME     64 /* a longer name is jansson's to read, too */

struct reader {
	const char *p, *end;
	unsigned depth;
};

static json_t *read_value(struct reader *r);

static void skip_space(struct reader *r)
{
	while (r->p < r->end && (*r->p == ' ' || *r->p == '\n' || *r->p == '\r' || *r->p == '\t'))
		r->p++;
}

/* After blanks; false: something else, or the end. */
static bool take(struct reader *r, char c)
{
	skip_space(r);
	if (r->p == r->end || *r->p != c)
		return false;
	r->p++;
	return true;
}

static json_t *by_jansson(const char *from, const char *to)
{
	return json_loadb(from, (size_t)(to - from), JSON_DECODE_ANY, NULL);
}

/* The string whose opening quote is at p. Plain: its bytes are what it means. */
static bool take_string(struct reader *r, struct zg_slice *raw, bool *plain)
{
	const char *p = r->p + 1;
	unsigned char odd = 0;

	for (; p < r->end && *p != '"'; p++) {
		unsigned char c = (unsigned char)*p;

		if (c < 0x20)
			return false;
		odd |= c & 0x80;
		if (c != '\\')
			continue;
		odd = 0x80;
		if (++p == r->end)
			return false;
	}
	if (p == r->end)
		return false;
	*raw = (struct zg_slice){r->p, (size_t)(p + 1 - r->p)};
	*plain = !odd;
	r->p = p + 1;
	return true;
}

static json_t *read_string(struct reader *r)
{
	struct zg_slice raw;
	bool plain;

	if (!take_string(r, &raw, &plain))
		return NULL;
	return plain ? json_stringn_nocheck(raw.ptr + 1, raw.len - 2)
		     : by_jansson(raw.ptr, raw.ptr + raw.len);
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static json_t *read_number(struct reader *r)
{
	const char *from = r->p, *digits = from + (*from == '-');
	const char *p = digits;
	json_int_t n = 0;

	for (; p < r->end && p - digits < INTEGER_DIGITS && is_digit(*p); p++)
		n = n * 10 + (*p - '0');
	r->p = p;
	while (r->p < r->end && (is_digit(*r->p) || memchr(".eE+-", *r->p, 5)))
		r->p++;
	if (r->p > p || p == digits || (*digits == '0' && p - digits > 1))
		return by_jansson(from, r->p);
	return json_integer(*from == '-' ? -n : n);
}

static json_t *read_literal(struct reader *r)
{
	static const struct zg_slice words[] = {{"true", 4}, {"false", 5}, {"null", 4}};
	struct zg_slice rest = {r->p, (size_t)(r->end - r->p)};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (!zg_slice_starts(rest, words[i]))
			continue;
		r->p += words[i].len;
		return i == 0 ? json_true() : i == 1 ? json_false() : json_null();
	}
	return NULL;
}

static bool read_member(struct reader *r, json_t *object)
{
	size_t before = json_object_size(object);
	json_t *decoded = NULL, *value;
	char plain_name[PLAIN_NAME];
	const char *name = plain_name;
	struct zg_slice raw;
	bool plain, ok = false;

	skip_space(r);
	if (r->p == r->end || *r->p != '"' || !take_string(r, &raw, &plain))
		return false;
	if (plain && raw.len - 2 < sizeof(plain_name)) {
		memcpy(plain_name, raw.ptr + 1, raw.len - 2);
		plain_name[raw.len - 2] = '\0';
	} else {
		decoded = by_jansson(raw.ptr, raw.ptr + raw.len);
		name = json_string_value(decoded);
	}
	value = name && take(r, ':') ? read_value(r) : NULL;
	/* of two with one name the first is replaced, and there are no more than before */
	if (value)
		ok = json_object_set_new_nocheck(object, name, value) == 0 &&
		     json_object_size(object) > before;
	json_decref(decoded);
	return ok;
}

static bool read_element(struct reader *r, json_t *array)
{
	json_t *value = read_value(r);

	return value && json_array_append_new(array, value) == 0;
}

static json_t *read_container(struct reader *r)
{
	bool object = *r->p++ == '{', ok = ++r->depth <= ZG_JSON_DEPTH;
	json_t *c = object ? json_object() : json_array();
	char end = object ? '}' : ']';

	ok = ok && c;
	if (ok && !take(r, end)) {
		do
			ok = object ? read_member(r, c) : read_element(r, c);
		while (ok && take(r, ','));
		ok = ok && take(r, end);
	}
	r->depth--;
	if (ok)
		return c;
	json_decref(c);
	return NULL;
}

static json_t *read_value(struct reader *r)
{
	skip_space(r);
	if (r->p == r->end)
		return NULL;
	switch (*r->p) {
	case '{':
	case '[':
		return read_container(r);
	case '"':
		return read_string(r);
	case '-':
	case '0' ... '9':
		return read_number(r);
	default:
		return read_literal(r);
	}
}

json_t *zg_json_tree(struct zg_slice text)
{
	struct reader r = {.p = text.ptr, .end = text.ptr + text.len};
	json_t *root = text.len ? read_value(&r) : NULL;

	skip_space(&r);
	if (r.p == r.end)
		return root;
	json_decref(root);
	return NULL;
}
