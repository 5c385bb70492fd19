/* SPDX-License-Identifier: Apache-2.0 */
/*
 * document.c - see document.h. Trust: the text may be anything; depth, keys and memory
 * are capped, nothing recurses. Never opens a file.
 */
#include "document.h"

#include <errno.h>
#include <stdarg.h>
#include <yaml.h>

struct reader {
	const struct zg_yaml_ctx *ctx;
	struct zg_slice text;
	yaml_parser_t parser;
	struct zg_yaml *root;
	struct {
		struct zg_yaml *node;
		struct zg_yaml **tail;
		struct zg_yaml *key; /* map: the key whose value comes next */
	} open[ZG_YAML_DEPTH];
	size_t depth;
	bool done;
};

static uint32_t place(size_t n)
{
	return n < UINT32_MAX ? (uint32_t)n + 1 : UINT32_MAX;
}

static void error_v(const struct zg_yaml_ctx *ctx, uint32_t line, uint32_t column, const char *fmt,
		    va_list ap)
{
	char what[ZG_REASON_LEN * 2];

	if (vsnprintf(what, sizeof(what), fmt, ap) < 0)
		what[0] = '\0';
	zg_diag_error(ctx->diag, ctx->file, line, column, "%s", what);
}

void zg_yaml_error(const struct zg_yaml_ctx *ctx, const struct zg_yaml *at, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	error_v(ctx, at->line, at->column, fmt, ap);
	va_end(ap);
}

void zg_yaml_wrong(const struct zg_yaml_ctx *ctx, const struct zg_yaml *at, const char *hint,
		   const char *fmt, ...)
{
	char what[ZG_REASON_LEN * 2];
	va_list ap;

	va_start(ap, fmt);
	if (vsnprintf(what, sizeof(what), fmt, ap) < 0)
		what[0] = '\0';
	va_end(ap);
	if (at->key.len)
		zg_yaml_error(ctx, at, "%.*s: %s", ZG_FMT(at->key), what);
	else
		zg_yaml_error(ctx, at, "%s", what);
	zg_diag_hint(ctx->diag, "%s", hint);
}

ZG_PRINTF(3, 4)
static bool refuse(struct reader *r, const yaml_mark_t *at, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	error_v(r->ctx, place(at->line), place(at->column), fmt, ap);
	va_end(ap);
	return false;
}

static bool text_ok(struct zg_slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

static bool key_is_new(struct reader *r, const struct zg_yaml *map, const struct zg_yaml *key)
{
	if (map->count >= ZG_YAML_KEYS) {
		zg_yaml_error(r->ctx, key, "a map has more than %d keys", ZG_YAML_KEYS);
		zg_diag_hint(r->ctx->diag, "split it into several rules, or use lists of values");
		return false;
	}
	for (const struct zg_yaml *m = map->first; m; m = m->next) {
		if (!zg_slice_eq(m->key, key->text))
			continue;
		zg_yaml_error(r->ctx, key, "duplicate key '%.*s'", ZG_FMT(key->text));
		zg_diag_hint(r->ctx->diag, "it was first given in line %u; keep one", m->key_line);
		return false;
	}
	return true;
}

/* Hang a finished or just opened node where it belongs. */
static bool attach(struct reader *r, struct zg_yaml *y)
{
	struct zg_yaml *parent;

	if (!r->depth) {
		r->root = y;
		return true;
	}
	parent = r->open[r->depth - 1].node;
	if (parent->kind == ZG_Y_MAP && !r->open[r->depth - 1].key) {
		if (y->kind != ZG_Y_SCALAR) {
			zg_yaml_error(r->ctx, y, "a key must be text");
			zg_diag_hint(r->ctx->diag, "key: value");
			return false;
		}
		if (!key_is_new(r, parent, y))
			return false;
		r->open[r->depth - 1].key = y;
		return true;
	}
	if (parent->kind == ZG_Y_MAP) {
		y->key = r->open[r->depth - 1].key->text;
		y->key_line = r->open[r->depth - 1].key->line;
		y->key_column = r->open[r->depth - 1].key->column;
		r->open[r->depth - 1].key = NULL;
	} else { /* an item stands under the key of its list */
		y->key = parent->key;
		y->key_line = parent->key_line;
		y->key_column = parent->key_column;
	}
	*r->open[r->depth - 1].tail = y;
	r->open[r->depth - 1].tail = &y->next;
	parent->count++;
	return true;
}

static bool add(struct reader *r, const yaml_event_t *ev, enum zg_yaml_kind kind,
		const void *anchor, const void *tag)
{
	struct zg_yaml *y;

	if (anchor) {
		refuse(r, &ev->start_mark, "anchors are not supported");
		zg_diag_hint(r->ctx->diag, "write the value out where it is used");
		return false;
	}
	if (tag) {
		refuse(r, &ev->start_mark, "tags (!name) are not supported");
		zg_diag_hint(r->ctx->diag, "remove it: a text is what was written");
		return false;
	}
	y = zg_arena_alloc(r->ctx->arena, sizeof(*y));
	if (!y)
		return refuse(r, &ev->start_mark, "the file needs too much memory");
	y->kind = kind;
	y->line = place(ev->start_mark.line);
	y->column = place(ev->start_mark.column);
	if (kind == ZG_Y_SCALAR) {
		struct zg_slice s = {(const char *)ev->data.scalar.value, ev->data.scalar.length};

		if (!text_ok(s)) {
			refuse(r, &ev->start_mark, "control character in a text");
			zg_diag_hint(r->ctx->diag, "remove it, and the escape that it may come of");
			return false;
		}
		y->plain = ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
		y->text.ptr = zg_arena_copy(r->ctx->arena, s);
		y->text.len = s.len;
		if (!y->text.ptr)
			return refuse(r, &ev->start_mark, "the file needs too much memory");
		return attach(r, y);
	}
	if (!attach(r, y))
		return false;
	if (r->depth == ZG_YAML_DEPTH) {
		refuse(r, &ev->start_mark, "nested deeper than %d", ZG_YAML_DEPTH);
		zg_diag_hint(r->ctx->diag, "is a bracket or a brace missing?");
		return false;
	}
	r->open[r->depth].node = y;
	r->open[r->depth].tail = &y->first;
	r->open[r->depth].key = NULL;
	r->depth++;
	return true;
}

static bool take(struct reader *r, const yaml_event_t *ev)
{
	switch (ev->type) {
	case YAML_NO_EVENT:
	case YAML_STREAM_START_EVENT:
	case YAML_DOCUMENT_END_EVENT:
		return true;
	case YAML_STREAM_END_EVENT:
		r->done = true;
		return true;
	case YAML_DOCUMENT_START_EVENT:
		if (!r->root)
			return true;
		refuse(r, &ev->start_mark, "a second document in one file");
		zg_diag_hint(r->ctx->diag, "put it into a file of its own");
		return false;
	case YAML_ALIAS_EVENT:
		refuse(r, &ev->start_mark, "aliases are not supported");
		zg_diag_hint(r->ctx->diag, "write the value out");
		return false;
	case YAML_SCALAR_EVENT:
		return add(r, ev, ZG_Y_SCALAR, ev->data.scalar.anchor, ev->data.scalar.tag);
	case YAML_SEQUENCE_START_EVENT:
		return add(r, ev, ZG_Y_LIST, ev->data.sequence_start.anchor,
			   ev->data.sequence_start.tag);
	case YAML_MAPPING_START_EVENT:
		return add(r, ev, ZG_Y_MAP, ev->data.mapping_start.anchor,
			   ev->data.mapping_start.tag);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		r->depth--;
		return true;
	}
	return false;
}

/* What is not text at all has an offset, not a mark. */
static void encoding_error(struct reader *r)
{
	uint32_t line = 1, column = 1;

	for (size_t i = 0; i < r->parser.problem_offset && i < r->text.len; i++) {
		column++;
		if (r->text.ptr[i] == '\n') {
			line++;
			column = 1;
		}
	}
	zg_diag_error(r->ctx->diag, r->ctx->file, line, column, "not valid UTF-8 text: %s",
		      r->parser.problem ? r->parser.problem : "?");
	zg_diag_hint(r->ctx->diag, "save the file as UTF-8 without control characters");
}

static void parser_error(struct reader *r)
{
	const yaml_parser_t *p = &r->parser;
	const char *problem = p->problem ? p->problem : "cannot be read as YAML";

	if (p->error == YAML_READER_ERROR)
		encoding_error(r);
	else if (p->error == YAML_MEMORY_ERROR)
		zg_diag_error(r->ctx->diag, r->ctx->file, 0, 0, "out of memory");
	else {
		zg_diag_error(r->ctx->diag, r->ctx->file, place(p->problem_mark.line),
			      place(p->problem_mark.column), "%s%s%s", p->context ? p->context : "",
			      p->context ? ": " : "", problem);
		zg_diag_hint(r->ctx->diag, "YAML: blanks to indent, quotes around what begins with "
					   "a sign, every bracket closed");
	}
}

const struct zg_yaml *zg_yaml_read(const struct zg_yaml_ctx *ctx, struct zg_slice text)
{
	struct reader r = {.ctx = ctx, .text = text};
	bool ok = true;

	if (text.len > ZG_CONFIG_FILE_BYTES) {
		zg_diag_error(ctx->diag, ctx->file, 0, 0, "larger than %d bytes",
			      ZG_CONFIG_FILE_BYTES);
		zg_diag_hint(ctx->diag, "split it into several files of the folder");
		return NULL;
	}
	if (!yaml_parser_initialize(&r.parser)) {
		zg_diag_error(ctx->diag, ctx->file, 0, 0, "out of memory");
		return NULL;
	}
	yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&r.parser, (const unsigned char *)text.ptr, text.len);
	while (ok && !r.done) {
		yaml_event_t ev;

		if (!yaml_parser_parse(&r.parser, &ev)) {
			parser_error(&r);
			ok = false;
			break;
		}
		ok = take(&r, &ev);
		yaml_event_delete(&ev);
	}
	yaml_parser_delete(&r.parser);
	if (ok && !r.root) {
		zg_diag_error(ctx->diag, ctx->file, 1, 1, "the file is empty");
		zg_diag_hint(ctx->diag, "it needs version: v1 at least; see zerogate-policy(5) and "
					"zerogate.yaml(5)");
	}
	return ok ? r.root : NULL;
}

static bool is_null(const struct zg_yaml *y)
{
	return y->plain && (y->text.len == 0 || zg_slice_eq(y->text, ZG_SLICE("~")) ||
			    zg_slice_ieq(y->text, ZG_SLICE("null")));
}

bool zg_yaml_text(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, struct zg_slice *out)
{
	if (y->kind != ZG_Y_SCALAR) {
		zg_yaml_wrong(ctx, y, "one value stands here", "expected text, found a %s",
			      y->kind == ZG_Y_LIST ? "list" : "map");
		return false;
	}
	if (is_null(y)) {
		zg_yaml_wrong(ctx, y,
			      "give it one, or remove the key; a text such as \"null\" is "
			      "quoted",
			      "a value is missing here");
		return false;
	}
	*out = y->text;
	return true;
}

void zg_yaml_version(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct zg_slice s;

	(void)into;
	if (!zg_yaml_text(ctx, y, &s) || zg_slice_eq(s, ZG_SLICE("v1")))
		return;
	zg_yaml_error(ctx, y, "version '%.*s' is not supported", ZG_FMT(s));
	zg_diag_hint(ctx->diag, "version: v1");
}

bool zg_yaml_uint(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, uint32_t min,
		  uint32_t max, uint32_t *out)
{
	struct zg_slice s;
	uint64_t v;

	if (!zg_yaml_text(ctx, y, &s))
		return false;
	if (!y->plain || zg_slice_u64(s, UINT64_MAX, &v) == -EINVAL ||
	    (s.len > 1 && s.ptr[0] == '0')) {
		zg_yaml_wrong(ctx, y, "digits alone, without quotes",
			      "expected a whole number, found '%.*s'", ZG_FMT(s));
		return false;
	}
	if (zg_slice_u64(s, max, &v) < 0 || v < min) {
		zg_yaml_wrong(ctx, y, "", "%.*s is out of range", ZG_FMT(s));
		zg_diag_hint(ctx->diag, "from %u to %u", min, max);
		return false;
	}
	*out = (uint32_t)v;
	return true;
}

bool zg_yaml_texts(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, struct zg_texts *out)
{
	const struct zg_yaml *item = y->kind == ZG_Y_LIST ? y->first : y;
	size_t n = y->kind == ZG_Y_LIST ? y->count : 1;
	struct zg_texts t = {0};

	if (!n) {
		zg_yaml_wrong(ctx, y, "name one at least, or remove the key", "the list is empty");
		return false;
	}
	t.item = zg_arena_alloc(ctx->arena, n * sizeof(*t.item));
	if (!t.item) {
		zg_yaml_error(ctx, y, "the file needs too much memory");
		return false;
	}
	for (; t.count < n; item = item->next)
		if (!zg_yaml_text(ctx, item, &t.item[t.count++]))
			return false;
	*out = t;
	return true;
}

bool zg_yaml_copy(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, char *out, size_t size)
{
	struct zg_slice s;

	if (!zg_yaml_text(ctx, y, &s))
		return false;
	if (s.len >= size) {
		zg_yaml_wrong(ctx, y, "shorten it", "longer than %zu bytes", size - 1);
		return false;
	}
	(void)zg_str_cut(out, size, s);
	return true;
}

const struct zg_yaml *zg_yaml_member(const struct zg_yaml *map, const char *key)
{
	if (map->kind != ZG_Y_MAP)
		return NULL;
	for (const struct zg_yaml *m = map->first; m; m = m->next)
		if (zg_slice_eq(m->key, zg_slice_str(key)))
			return m;
	return NULL;
}

/* Those that fit, in out (ZG_REASON_LEN). */
static const char *known_keys(const struct zg_yaml_field *fields, size_t count, char *out)
{
	size_t used = 0;

	out[0] = '\0';
	for (size_t i = 0; i < count; i++) {
		int n = !fields[i].parse ? 0
					 : snprintf(out + used, ZG_REASON_LEN - used, "%s%s",
						    used ? ", " : "", fields[i].key);

		if (n < 0 || (size_t)n >= ZG_REASON_LEN - used)
			break;
		used += (size_t)n;
	}
	return out;
}

bool zg_yaml_map(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, const char *what,
		 const struct zg_yaml_field *fields, size_t count, void *into)
{
	const size_t before = ctx->diag->errors;
	char known[ZG_REASON_LEN];

	if (y->kind != ZG_Y_MAP) {
		zg_yaml_error(ctx, y, "%s must be a map (key: value)", what);
		zg_diag_hint(ctx->diag, "known: %s", known_keys(fields, count, known));
		return false;
	}
	for (const struct zg_yaml *m = y->first; m; m = m->next) {
		size_t i = 0;

		while (i < count && !zg_slice_eq(m->key, zg_slice_str(fields[i].key)))
			i++;
		if (i == count) {
			zg_diag_error(ctx->diag, ctx->file, m->key_line, m->key_column,
				      "unknown key '%.*s' in %s", ZG_FMT(m->key), what);
			zg_diag_hint(ctx->diag, "known: %s", known_keys(fields, count, known));
		} else if (!fields[i].parse) {
			zg_diag_error(ctx->diag, ctx->file, m->key_line, m->key_column,
				      "'%s' in %s is not implemented in this version",
				      fields[i].key, what);
			zg_diag_hint(ctx->diag,
				     "remove it: what cannot be enforced is never ignored");
		} else {
			fields[i].parse(ctx, m, into);
		}
	}
	for (size_t i = 0; i < count; i++)
		if (fields[i].required && !zg_yaml_member(y, fields[i].key)) {
			zg_yaml_error(ctx, y, "%s has no '%s'", what, fields[i].key);
			zg_diag_hint(ctx->diag, "add %s: ...; it is required", fields[i].key);
		}
	return ctx->diag->errors == before;
}
