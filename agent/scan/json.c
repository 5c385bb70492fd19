/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json.c - the strict walk over one JSON text (RFC 8259, I-JSON's limits), all
 * of whose strings are decoded into one buffer and scanned there. Trust: the
 * text is hostile; depth, members and sizes are capped, nothing recurses, and
 * duplicate names cost a sort. Never builds a tree, never changes the text:
 * what was found is mapped back and replaced in a copy.
 */
#include <errno.h>
#include <math.h>

#include "engine.h"

struct walk {
	struct zg_scanner *s;
	const char *base, *p, *end;
	char *out;	    /* decoded strings go here */
	unsigned char high; /* 0x80: some string is not ASCII */
	unsigned depth;
	bool object[ZG_JSON_DEPTH + 1];
	size_t mark[ZG_JSON_DEPTH + 1]; /* where the object's members begin */
	struct zg_json_facts facts;
	struct zg_slice *fact;	/* the top-level member being read */
	struct zg_slice *inner; /* the member of result being read */
	bool is_error_next;	/* the value to come is that of result.isError */
	struct zg_err *e;
};

static int bad(struct walk *w, const char *at, const char *what)
{
	return zg_err_at(w->e, EBADMSG, "", 0, (uint32_t)(at - w->base) + 1, "JSON: %s", what);
}

static int too_big(struct walk *w, const char *what)
{
	return zg_err_at(w->e, EFBIG, "", 0, (uint32_t)(w->p - w->base) + 1, "JSON: %s", what);
}

static void skip_space(struct walk *w)
{
	while (w->p < w->end && (*w->p == ' ' || *w->p == '\n' || *w->p == '\r' || *w->p == '\t'))
		w->p++;
}

/* --- strings --- */

/* The string at p (its opening quote) is appended to the decoded text. */
static int walk_string(struct walk *w, struct zg_slice *decoded)
{
	const char *start = ++w->p, *why;
	unsigned char high = 0;
	char *from = w->out;

	for (;;) {
		w->p = zg_json_plain(w->p, w->end, &w->out, &high);
		if (w->p == w->end)
			return bad(w, start - 1, "a string that does not end");
		if (*w->p == '"')
			break;
		if (*w->p != '\\')
			return bad(w, w->p, "a control character inside a string");
		if (w->end - w->p > 1 && zg_json_short[(unsigned char)w->p[1]]) {
			*w->out++ = zg_json_short[(unsigned char)w->p[1]];
			w->p += 2;
			continue;
		}
		start = w->p;
		w->p = zg_json_unescape(w->p, w->end, &w->out, &why);
		if (!w->p) {
			w->p = start;
			return bad(w, start, why);
		}
		if (w->out[-1] & 0x80)
			w->high |= 0x80;
	}
	*decoded = (struct zg_slice){from, (size_t)(w->out - from)};
	if (high && !zg_utf8_valid(*decoded))
		return bad(w, w->p, "a string that is not UTF-8 ends here");
	if (decoded->len > ZG_JSON_STRING_BYTES)
		return too_big(w, "a string is too long");
	w->high |= high;
	*w->out++ = ZG_TEXT_END;
	w->p++;
	return 0;
}

/* --- names of members --- */

static int compare(const char *text, const struct zg_member *a, const struct zg_member *b)
{
	if (a->len != b->len)
		return a->len < b->len ? -1 : 1;
	return memcmp(text + a->text, text + b->text, a->len);
}

static void sift(const char *text, struct zg_member *m, size_t i, size_t n)
{
	for (;;) {
		size_t big = i, left = 2 * i + 1;
		struct zg_member swap;

		if (left < n && compare(text, &m[left], &m[big]) > 0)
			big = left;
		if (left + 1 < n && compare(text, &m[left + 1], &m[big]) > 0)
			big = left + 1;
		if (big == i)
			return;
		swap = m[i];
		m[i] = m[big];
		m[big] = swap;
		i = big;
	}
}

/* In place and without malloc or sysconf, which qsort(3) may call: a gateway's
 * system calls are few. */
static void sort_members(const char *text, struct zg_member *m, size_t n)
{
	for (size_t i = n / 2; i > 0; i--)
		sift(text, m, i - 1, n);
	for (size_t i = n; i > 1; i--) {
		struct zg_member last = m[i - 1];

		m[i - 1] = m[0];
		m[0] = last;
		sift(text, m, 0, i - 1);
	}
}

static int no_duplicates(struct walk *w, struct zg_member *m, size_t n)
{
	const char *text = w->s->text;

	if (n <= 8) {
		for (size_t i = 1; i < n; i++)
			for (size_t j = 0; j < i; j++)
				if (compare(text, &m[i], &m[j]) == 0)
					return bad(w, w->base + m[i].raw, "a duplicate name");
		return 0;
	}
	sort_members(text, m, n);
	for (size_t i = 1; i < n; i++)
		if (compare(text, &m[i], &m[i - 1]) == 0)
			return bad(w, w->base + (m[i].raw > m[i - 1].raw ? m[i].raw : m[i - 1].raw),
				   "a duplicate name");
	return 0;
}

static int add_member(struct walk *w, struct zg_slice name, const char *raw)
{
	struct zg_member m = {.text = (uint32_t)(name.ptr - w->s->text),
			      .len = (uint32_t)name.len,
			      .raw = (uint32_t)(raw - w->base)};

	zg_buf_add(&w->s->members, &m, sizeof(m));
	if (w->s->members.error == -EFBIG)
		return too_big(w, "too many members");
	return w->s->members.error;
}

static void note_name(struct walk *w, struct zg_slice name)
{
	struct zg_json_facts *f = &w->facts;

	if (w->depth == 2 && w->fact == &f->result && f->is_object) {
		w->is_error_next = zg_slice_eq(name, ZG_SLICE("isError"));
		w->inner = zg_slice_eq(name, ZG_SLICE("resultType")) ? &f->result_type : NULL;
		f->asks |= zg_slice_eq(name, ZG_SLICE("inputRequests")) ||
			   zg_slice_eq(name, ZG_SLICE("task"));
		return;
	}
	if (w->depth != 1 || !f->is_object)
		return;
	w->fact = zg_slice_eq(name, ZG_SLICE("id"))	  ? &f->id
		  : zg_slice_eq(name, ZG_SLICE("method")) ? &f->method
		  : zg_slice_eq(name, ZG_SLICE("result")) ? &f->result
		  : zg_slice_eq(name, ZG_SLICE("error"))  ? &f->error
							  : NULL;
}

/* A member's name and colon; p is before the name. */
static int walk_name(struct walk *w)
{
	const char *raw;
	struct zg_slice name;
	int r;

	skip_space(w);
	raw = w->p;
	if (w->p == w->end || *w->p != '"')
		return bad(w, w->p, "a member's name is missing");
	r = walk_string(w, &name);
	if (r == 0)
		r = add_member(w, name, raw);
	if (r < 0)
		return r;
	note_name(w, name);
	skip_space(w);
	if (w->p == w->end || *w->p != ':')
		return bad(w, w->p, "a colon is missing");
	w->p++;
	return 0;
}

/* --- numbers and literals --- */

static const char *digits(const char *p, const char *end)
{
	while (p < end && *p >= '0' && *p <= '9')
		p++;
	return p;
}

/* A number that overflows a double has no agreed meaning (RFC 8259, 6): one
 * reader fails, the next sees infinity. */
static bool fits_double(const char *start, size_t n)
{
	char text[ZG_JSON_NUMBER_LEN + 1];

	memcpy(text, start, n);
	text[n] = '\0';
	return isfinite(strtod(text, NULL));
}

static int walk_number(struct walk *w)
{
	const char *start = w->p, *p = w->p, *from;
	bool exponent = false;

	if (*p == '-')
		p++;
	from = p;
	p = digits(p, w->end);
	if (p == from || (*from == '0' && p - from > 1))
		return bad(w, start, "not a number");
	if (p < w->end && *p == '.') {
		from = ++p;
		p = digits(p, w->end);
		if (p == from)
			return bad(w, start, "not a number");
	}
	if (p < w->end && (*p == 'e' || *p == 'E')) {
		exponent = true;
		p++;
		if (p < w->end && (*p == '+' || *p == '-'))
			p++;
		from = p;
		p = digits(p, w->end);
		if (p == from)
			return bad(w, start, "not a number");
	}
	if (p - start > ZG_JSON_NUMBER_LEN)
		return too_big(w, "a number is too long");
	if ((exponent || p - start > 300) && !fits_double(start, (size_t)(p - start)))
		return bad(w, start, "a number is out of range");
	w->p = p;
	return 0;
}

static int walk_literal(struct walk *w)
{
	static const struct zg_slice words[] = {{"true", 4}, {"false", 5}, {"null", 4}};
	struct zg_slice rest = {w->p, (size_t)(w->end - w->p)};

	for (size_t i = 0; i < 3; i++) {
		if (!zg_slice_starts(rest, words[i]))
			continue;
		if (i == 0 && w->is_error_next && w->depth == 2)
			w->facts.is_error = true;
		w->p += words[i].len;
		return 0;
	}
	return bad(w, w->p, w->p == w->end ? "the text ends too early" : "not a JSON value");
}

/* --- structure --- */

static int open_container(struct walk *w)
{
	if (w->depth == ZG_JSON_DEPTH)
		return too_big(w, "nested too deeply");
	w->depth++;
	w->object[w->depth] = *w->p == '{';
	w->mark[w->depth] = w->s->members.len;
	w->p++;
	return 0;
}

static int close_container(struct walk *w)
{
	struct zg_buf *members = &w->s->members;
	size_t from = w->mark[w->depth], n = (members->len - from) / sizeof(struct zg_member);
	int r = n > 1 ? no_duplicates(w, (struct zg_member *)(void *)(members->ptr + from), n) : 0;

	members->len = from;
	w->depth--;
	w->p++;
	return r;
}

/* After a value: 1 another follows, 0 the text is over, < 0 an error. */
static int after_value(struct walk *w)
{
	for (;;) {
		char closing;
		int r;

		if (w->depth == 1 && w->fact) {
			w->fact->len = (size_t)(w->p - w->fact->ptr);
			w->fact = NULL;
		}
		if (w->depth == 2 && w->inner) {
			w->inner->len = (size_t)(w->p - w->inner->ptr);
			w->inner = NULL;
		}
		w->is_error_next = false;
		if (w->depth == 0)
			return 0;
		closing = w->object[w->depth] ? '}' : ']';
		skip_space(w);
		if (w->p == w->end)
			return bad(w, w->p, "the text ends too early");
		if (*w->p == ',') {
			w->p++;
			r = w->object[w->depth] ? walk_name(w) : 0;
			return r < 0 ? r : 1;
		}
		if (*w->p != closing)
			return bad(w, w->p, "a comma or a closing bracket is missing");
		r = close_container(w);
		if (r < 0)
			return r;
	}
}

/* A container was opened: 1 a value follows, 0 it is empty (closed), < 0. */
static int first_value(struct walk *w)
{
	int r;

	skip_space(w);
	if (w->p < w->end && *w->p == (w->object[w->depth] ? '}' : ']')) {
		r = close_container(w);
		return r;
	}
	r = w->object[w->depth] ? walk_name(w) : 0;
	return r < 0 ? r : 1;
}

static int walk_value(struct walk *w)
{
	struct zg_slice decoded;
	int r;

	skip_space(w);
	if (w->depth == 1 && w->fact)
		w->fact->ptr = w->p;
	if (w->depth == 2 && w->inner)
		w->inner->ptr = w->p;
	if (w->p == w->end)
		return bad(w, w->p, "the text ends too early");
	switch (*w->p) {
	case '{':
	case '[':
		r = open_container(w);
		return r < 0 ? r : first_value(w);
	case '"':
		return walk_string(w, &decoded);
	case '-':
	case '0' ... '9':
		return walk_number(w);
	default:
		return walk_literal(w);
	}
}

static int walk(struct walk *w)
{
	int more = 1;

	skip_space(w);
	w->facts.is_object = w->p < w->end && *w->p == '{';
	while (more > 0) {
		more = walk_value(w);
		if (more == 0)
			more = after_value(w);
	}
	if (more < 0)
		return more;
	skip_space(w);
	return w->p == w->end ? 0 : bad(w, w->p, "something follows the JSON text");
}

static int walk_all(struct zg_scanner *s, struct zg_slice raw, struct walk *w, struct zg_err *e)
{
	if (raw.len > ZG_SCAN_BYTES)
		return zg_err_set(e, EFBIG, "JSON: the text is too long");
	if (!raw.ptr)
		raw.ptr = ""; /* an empty text has no place to point at */
	if (s->text_cap < raw.len + 32) {
		size_t cap = raw.len + 32 > 65536 ? raw.len + 32 : 65536;
		char *grown = realloc(s->text, cap);

		if (!grown)
			return -ENOMEM;
		s->text = grown;
		s->text_cap = cap;
	}
	zg_buf_reset(&s->members);
	*w = (struct walk){.s = s,
			   .base = raw.ptr,
			   .p = raw.ptr,
			   .end = raw.ptr + raw.len,
			   .out = s->text,
			   .e = e};
	return walk(w);
}

void zg_scanner_shrink_json(struct zg_scanner *s, size_t keep_bytes)
{
	if (s->text_cap > keep_bytes) {
		free(ZG_TAKE(s->text));
		s->text_cap = 0;
	}
	if (s->members.cap > keep_bytes)
		zg_buf_release(&s->members);
}

/* --- back to the raw text --- */

/* A cursor that goes through the strings of a text that the walk accepted, one
 * decoded character at a time. */
struct cursor {
	const char *p, *end;
	size_t text; /* offset in the decoded text */
	bool inside;
};

/* Move to the decoded offset `to`, which is the start of a character. */
static void advance(struct cursor *c, size_t to)
{
	while (c->text < to || !c->inside) {
		char bytes[4], *out = bytes;
		const char *why;

		if (!c->inside) {
			c->p = memchr(c->p, '"', (size_t)(c->end - c->p));
			c->p++;
			c->inside = true;
		} else if (*c->p == '"') {
			c->p++;
			c->text++; /* ZG_TEXT_END */
			c->inside = false;
		} else if (*c->p == '\\') {
			c->p = zg_json_unescape(c->p, c->end, &out, &why);
			c->text += (size_t)(out - bytes);
		} else {
			c->p++;
			c->text++;
		}
	}
}

static void map_to_raw(struct zg_slice raw, struct zg_findings *f)
{
	struct cursor c = {.p = raw.ptr, .end = raw.ptr + raw.len};

	for (size_t i = 0; i < f->count; i++) {
		advance(&c, f->item[i].start);
		f->item[i].start = (size_t)(c.p - raw.ptr);
		advance(&c, f->item[i].end);
		f->item[i].end = (size_t)(c.p - raw.ptr);
	}
}

int zg_scan_json(struct zg_scanner *s, struct zg_slice raw, struct zg_findings *f,
		 struct zg_buf *out, bool *changed, struct zg_json_facts *facts, struct zg_err *e)
{
	struct zg_json_facts learnt;
	struct zg_slice text;
	struct walk w = {0};
	int r;

	zg_findings_reset(f);
	zg_buf_reset(out);
	r = walk_all(s, raw, &w, e);
	if (r < 0)
		goto done;
	text = (struct zg_slice){s->text, (size_t)(w.out - s->text)};
	r = zg_scan_layers(s, text, w.high == 0, f);
	if (r < 0)
		goto done;
	learnt = w.facts;
	if (f->count) {
		map_to_raw(raw, f);
		zg_redact_text(raw, f, out);
		/* two names may have become one; what leaves must hold the same rules */
		r = out->error ? out->error : walk_all(s, zg_buf_slice(out), &w, e);
	}
	if (r == 0) {
		*changed = f->count > 0;
		if (facts)
			*facts = learnt;
	}
done:
	zg_scanner_shrink(s);
	return r;
}
