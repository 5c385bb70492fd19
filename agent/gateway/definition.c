/* SPDX-License-Identifier: Apache-2.0 */
/* definition.c - see definition.h. Trust: every byte is the server's. */
#include "definition.h"

#include "canonical_json.h"
#include "digest.h"
#include "poison.h"

json_t *zg_definition_parse(struct zg_slice text)
{
	json_t *v = json_loadb(text.ptr, text.len, JSON_DECODE_ANY, NULL);

	/* limits of unsigned 64-bit numbers stand in many schemas */
	return v ? v
		 : json_loadb(text.ptr, text.len, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, NULL);
}

struct reader {
	const struct zg_names *own;
	struct zg_msg_pin_seen *q;
	struct zg_buf work;
	size_t mentioned;
	int error;
};

static bool in_name(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || c == '-';
}

/* Could this word be the name of a tool, rather than a word? */
static bool is_distinctive(struct zg_slice w)
{
	unsigned dashes = 0;

	if (w.len < 6 || w.len >= ZG_TOOL_LEN)
		return false;
	for (size_t i = 1; i < w.len; i++) {
		dashes += w.ptr[i] == '-';
		if (w.ptr[i] == '_' || dashes == 2 ||
		    (w.ptr[i] >= 'A' && w.ptr[i] <= 'Z' && w.ptr[i - 1] >= 'a' &&
		     w.ptr[i - 1] <= 'z'))
			return true;
	}
	return false;
}

static bool holds_word(struct zg_slice list, struct zg_slice word)
{
	const char *at = list.ptr;

	while (list.len &&
	       (at = memmem(at, (size_t)(list.ptr + list.len - at), word.ptr, word.len))) {
		if ((at == list.ptr || at[-1] == ' ') &&
		    (at + word.len == list.ptr + list.len || at[word.len] == ' '))
			return true;
		at++;
	}
	return false;
}

static void mention(struct reader *r, struct zg_slice word)
{
	struct zg_slice so_far = {r->q->mentions, r->mentioned};

	if (!is_distinctive(word) || holds_word(zg_buf_slice(&r->own->text), word) ||
	    holds_word(so_far, word))
		return;
	if (r->mentioned + word.len + 2 > sizeof(r->q->mentions)) {
		r->q->findings |= ZG_POISON_BIT(CROWDED);
		return;
	}
	if (r->mentioned)
		r->q->mentions[r->mentioned++] = ' ';
	memcpy(r->q->mentions + r->mentioned, word.ptr, word.len);
	r->mentioned += word.len;
}

static void read_text(struct reader *r, struct zg_slice text, bool prose)
{
	int rc = zg_poison_text(text, &r->work, &r->q->findings);

	if (rc < 0)
		r->error = rc;
	for (size_t i = 0; prose && i < text.len;) {
		size_t n = 0;

		while (i + n < text.len && in_name(text.ptr[i + n]))
			n++;
		mention(r, (struct zg_slice){text.ptr + i, n});
		i += n + 1;
	}
}

/* Depth is bounded by the strict reader (ZG_JSON_DEPTH). */
static void walk(struct reader *r, const json_t *v)
{
	const char *key;
	json_t *child;
	size_t i;

	if (json_is_string(v)) {
		read_text(r, (struct zg_slice){json_string_value(v), json_string_length(v)}, true);
	} else if (json_is_array(v)) {
		json_array_foreach(v, i, child)
		{
			walk(r, child);
		}
	} else if (json_is_object(v)) {
		json_object_foreach((json_t *)(uintptr_t)v, key, child)
		{
			read_text(r, zg_slice_str(key), false);
			walk(r, child);
		}
	}
}

int zg_definition_read(const json_t *v, const struct zg_names *own, struct zg_buf *out,
		       struct zg_msg_pin_seen *q)
{
	struct reader r = {.own = own, .q = q, .work = ZG_BUF(ZG_RESPONSE_BYTES * 4)};
	size_t start = out->len;
	int rc = zg_canonical_json(v, out);

	if (rc == 0) {
		zg_sha256(q->sha256, out->ptr + start, out->len - start);
		if (json_is_true(
			    json_object_get(json_object_get(v, "annotations"), "readOnlyHint")))
			q->hints |= ZG_PIN_READ_ONLY;
		walk(&r, v);
		rc = r.error;
	}
	zg_buf_release(&r.work);
	return rc;
}
