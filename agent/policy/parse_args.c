/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parse_args.c - conditions on a call's arguments: {"/pointer": matcher}.
 * Types are never guessed: what is quoted is text, what is not is a JSON
 * number, true, false or null if it reads like one, and what two readers could
 * take for different things is refused. Never opens a file.
 */
#include "parse_impl.h"

/* One pointer's matcher on its way in. */
struct arg_ctx {
	struct zg_match_ctx *match;
	struct zg_slice pointer;
	struct zg_texts steps;
	struct zg_number min, max;
	const struct zg_yaml *is, *text, *min_at, *max_at, *absent;
};

/* Whatever some YAML reader takes for a number or a boolean. */
static bool ambiguous(struct zg_slice s)
{
	static const char *const words[] = {"true", "false", "null", ".inf", ".nan"};
	size_t i = 0, dots = 0;

	if (s.len && (s.ptr[0] == '+' || s.ptr[0] == '-'))
		s = (struct zg_slice){s.ptr + 1, s.len - 1};
	for (size_t w = 0; w < ZG_COUNT(words); w++)
		if (zg_slice_ieq(s, zg_slice_str(words[w])))
			return true;
	if (s.len > 2 && s.ptr[0] == '0' && strchr("xXoObB", s.ptr[1]))
		return true;
	while (i < s.len &&
	       (s.ptr[i] == '.' || s.ptr[i] == '_' || (s.ptr[i] >= '0' && s.ptr[i] <= '9')))
		dots += s.ptr[i++] == '.';
	if (dots > 1 || i == dots)
		return false;
	if (i < s.len && (s.ptr[i] == 'e' || s.ptr[i] == 'E')) {
		i += i + 1 < s.len && (s.ptr[i + 1] == '+' || s.ptr[i + 1] == '-') ? 2 : 1;
		while (i < s.len && s.ptr[i] >= '0' && s.ptr[i] <= '9')
			i++;
	}
	return i == s.len;
}

static bool parse_scalar(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, bool globs,
			 struct zg_scalar_src *out)
{
	const bool bare = y->kind == ZG_Y_SCALAR && y->plain;

	*out = (struct zg_scalar_src){0};
	if (bare && zg_slice_eq(y->text, ZG_SLICE("null")))
		out->kind = ZG_SCALAR_NULL;
	else if (bare && zg_slice_eq(y->text, ZG_SLICE("true")))
		out->kind = ZG_SCALAR_TRUE;
	else if (bare && zg_slice_eq(y->text, ZG_SLICE("false")))
		out->kind = ZG_SCALAR_FALSE;
	else if (bare && zg_number_parse(y->text, &out->number))
		out->kind = ZG_SCALAR_NUMBER;
	else if (!zg_yaml_text(ctx, y, &out->text))
		return false;
	else if (bare && ambiguous(y->text)) {
		zg_yaml_error(ctx, y, "'%.*s' is neither a JSON value nor clearly text",
			      ZG_FMT(y->text));
		zg_diag_hint(ctx->diag, "quote it if it is text; numbers are written as in JSON, "
					"within 64 bits");
		return false;
	} else if (out->text.len > ZG_PATTERN_LEN) {
		zg_yaml_wrong(ctx, y, "compare a part of it, by glob or regex",
			      "a value here has at most %d bytes", ZG_PATTERN_LEN);
		return false;
	} else if (globs && zg_is_glob(out->text)) {
		out->kind = ZG_SCALAR_GLOB;
	}
	return true;
}

static struct zg_cond_src *add(const struct zg_yaml_ctx *ctx, struct arg_ctx *a,
			       const struct zg_yaml *y, enum zg_cond_kind kind)
{
	struct zg_cond_src *c = zg_cond_add(ctx, a->match, y, kind);

	if (c) {
		c->key = a->pointer;
		c->steps = a->steps;
	}
	return c;
}

/* A scalar or a list of them. */
static void take_scalars(const struct zg_yaml_ctx *ctx, struct arg_ctx *a, const struct zg_yaml *y,
			 bool globs)
{
	const struct zg_yaml *item = y->kind == ZG_Y_LIST ? y->first : y;
	size_t n = y->kind == ZG_Y_LIST ? y->count : 1;
	struct zg_scalar_src *s;
	struct zg_cond_src *c;

	if (!n) {
		zg_yaml_wrong(ctx, y, "name one at least, or {present: true}", "the list is empty");
		return;
	}
	s = zg_parse_alloc(ctx, y, n, sizeof(*s));
	if (!s)
		return;
	for (size_t i = 0; i < n; i++, item = item->next)
		if (!parse_scalar(ctx, item, globs, &s[i]))
			return;
	c = add(ctx, a, y, ZG_CK_ARG_IS);
	if (c) {
		c->scalar = s;
		c->scalar_count = n;
	}
}

static void parse_is(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct arg_ctx *a = into;

	a->is = y;
	take_scalars(ctx, a, y, false);
}

static void parse_glob(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct arg_ctx *a = into;
	struct zg_texts texts;
	struct zg_cond_src *c;

	a->text = y;
	if (!zg_yaml_texts(ctx, y, &texts))
		return;
	c = add(ctx, a, y, ZG_CK_ARG_IS);
	if (!c)
		return;
	c->scalar = zg_parse_alloc(ctx, y, texts.count, sizeof(*c->scalar));
	for (size_t i = 0; c->scalar && i < texts.count; i++) {
		if (texts.item[i].len > ZG_PATTERN_LEN)
			zg_yaml_wrong(ctx, y, "compare a part of it, by glob or regex",
				      "a value here has at most %d bytes", ZG_PATTERN_LEN);
		c->scalar[c->scalar_count++] =
			(struct zg_scalar_src){.kind = ZG_SCALAR_GLOB, .text = texts.item[i]};
	}
}

static void parse_regex(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct arg_ctx *a = into;
	struct zg_texts texts;
	struct zg_cond_src *c;

	a->text = y;
	if (!zg_yaml_texts(ctx, y, &texts))
		return;
	for (size_t i = 0; i < texts.count; i++)
		if (!texts.item[i].len || texts.item[i].len > ZG_PATTERN_LEN) {
			zg_yaml_error(ctx, y, "a regex has 1 to %d bytes", ZG_PATTERN_LEN);
			zg_diag_hint(ctx->diag,
				     "an expression such as \"^ab+\"; a list may hold several");
			return;
		}
	c = add(ctx, a, y, ZG_CK_ARG_REGEX); /* zg_policy_check compiles it */
	if (c)
		c->values = texts;
}

static bool bound(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, struct zg_number *out)
{
	if (y->kind == ZG_Y_SCALAR && y->plain && zg_number_parse(y->text, out))
		return true;
	zg_yaml_error(ctx, y, "a bound must be a number as in JSON, within 64 bits");
	zg_diag_hint(ctx->diag, "min: 1, without quotes");
	return false;
}

static void parse_min(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct arg_ctx *a = into;

	if (bound(ctx, y, &a->min))
		a->min_at = y;
}

static void parse_max(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct arg_ctx *a = into;

	if (bound(ctx, y, &a->max))
		a->max_at = y;
}

static void parse_present(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct arg_ctx *a = into;
	struct zg_scalar_src s;

	if (!parse_scalar(ctx, y, false, &s))
		return;
	if (s.kind == ZG_SCALAR_TRUE) {
		(void)add(ctx, a, y, ZG_CK_ARG_PRESENT);
	} else if (s.kind == ZG_SCALAR_FALSE) {
		a->absent = y;
		(void)add(ctx, a, y, ZG_CK_ARG_ABSENT);
	} else {
		zg_yaml_error(ctx, y, "present is true or false");
		zg_diag_hint(ctx->diag, "true: there is something; false: there is not");
	}
}

static const struct zg_yaml_field matcher_fields[] = {
	{"is", parse_is, false},   {"glob", parse_glob, false}, {"regex", parse_regex, false},
	{"min", parse_min, false}, {"max", parse_max, false},	{"present", parse_present, false},
};

/* What each part allows by itself, but not together. */
static void check_matcher(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y,
			  const struct arg_ctx *a)
{
	const struct zg_yaml *range = a->min_at ? a->min_at : a->max_at;
	const char *why = NULL;

	if (!y->count)
		why = "a matcher without a condition";
	else if (a->absent && (a->is || a->text || range))
		why = "an argument that is not present has no value";
	else if (a->is && (a->text || range))
		why = "'is' says all there is to say of a value";
	else if (a->text && range)
		why = "no value is both text and a number";
	else if (a->min_at && a->max_at && zg_number_order(a->min, a->max) > 0)
		why = "min is larger than max";
	if (why) {
		zg_yaml_error(ctx, y, "%s: the condition could never hold as written", why);
		zg_diag_hint(ctx->diag,
			     "drop one of its members; see Arguments in zerogate-policy(5)");
	}
}

static void parse_matcher(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, struct arg_ctx *a)
{
	struct zg_cond_src *c;

	if (!zg_yaml_map(ctx, y, "a matcher", matcher_fields, ZG_COUNT(matcher_fields), a))
		return;
	check_matcher(ctx, y, a);
	if (!a->min_at && !a->max_at)
		return;
	c = add(ctx, a, y, ZG_CK_ARG_RANGE);
	if (!c)
		return;
	c->has_min = a->min_at != NULL;
	c->has_max = a->max_at != NULL;
	c->min = a->min;
	c->max = a->max;
}

/* One token of a pointer, unescaped in place. False: it is none. */
static bool unescape(struct zg_slice *token, char *out)
{
	size_t n = 0;

	for (size_t i = 0; i < token->len; i++) {
		char c = token->ptr[i];

		if (c == '~') {
			if (++i == token->len || (token->ptr[i] != '0' && token->ptr[i] != '1'))
				return false;
			c = token->ptr[i] == '0' ? '~' : '/';
		}
		out[n++] = c;
	}
	*token = (struct zg_slice){out, n};
	return true;
}

/* NULL, or what is wrong with a pointer (RFC 6901). */
static const char *parse_pointer(const struct zg_yaml_ctx *ctx, struct zg_slice s,
				 struct zg_texts *out)
{
	char *copy = zg_arena_copy(ctx->arena, s);
	struct zg_slice *step = zg_arena_alloc(ctx->arena, ZG_POINTER_STEPS * sizeof(*step));
	size_t n = 0, at = 1;

	if (!copy || !step)
		return "needs too much memory";
	if (!s.len || s.ptr[0] != '/')
		return "does not begin with '/'";
	if (s.len > ZG_PATTERN_LEN)
		return "is too long";
	while (at <= s.len) {
		const char *slash = at < s.len ? memchr(s.ptr + at, '/', s.len - at) : NULL;
		size_t end = slash ? (size_t)(slash - s.ptr) : s.len;
		struct zg_slice token = {s.ptr + at, end - at};

		if (n == ZG_POINTER_STEPS)
			return "has too many parts";
		if (!unescape(&token, copy + at))
			return "has a '~' that is not '~0' or '~1'";
		if (zg_slice_eq(token, ZG_SLICE("-")))
			return "has '-', the place behind an array's end, where nothing ever is";
		step[n++] = token;
		at = end + 1;
	}
	*out = (struct zg_texts){step, n};
	return NULL;
}

static void parse_arg(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y,
		      struct zg_match_ctx *m)
{
	struct arg_ctx a = {.match = m, .pointer = y->key};
	const char *why = parse_pointer(ctx, y->key, &a.steps);

	if (why) {
		zg_diag_error(ctx->diag, ctx->file, y->key_line, y->key_column,
			      "the pointer '%.*s' %s", ZG_FMT(y->key), why);
		zg_diag_hint(ctx->diag, "a JSON pointer such as \"/path\" or \"/items/0/name\"; "
					"'~1' is a '/' in a name, '~0' a '~'");
	} else if (y->kind == ZG_Y_MAP) {
		parse_matcher(ctx, y, &a);
	} else {
		take_scalars(ctx, &a, y, true);
	}
}

static bool begins(const struct zg_texts *longer, const struct zg_texts *with)
{
	if (longer->count <= with->count)
		return false;
	for (size_t i = 0; i < with->count; i++)
		if (!zg_slice_eq(longer->item[i], with->item[i]))
			return false;
	return true;
}

/* What is a scalar, or absent, has nothing below it. */
static void check_below(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y,
			const struct zg_conds_src *c, size_t first)
{
	for (size_t i = first; i < c->count; i++)
		for (size_t j = first; j < c->count; j++) {
			const struct zg_cond_src *below = &c->item[j], *above = &c->item[i];

			if (above->kind == ZG_CK_ARG_PRESENT || below->kind == ZG_CK_ARG_ABSENT ||
			    !begins(&below->steps, &above->steps))
				continue;
			zg_diag_error(ctx->diag, ctx->file, below->line, below->column,
				      "'%.*s' cannot be there if '%.*s' is as this rule says",
				      ZG_FMT(below->key), ZG_FMT(above->key));
			zg_diag_hint(ctx->diag, "both stand in the args of line %u", y->key_line);
			return;
		}
}

void zg_args_parse(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct zg_match_ctx *m = into;
	const size_t first = m->into->count;

	if (y->kind != ZG_Y_MAP || !y->count) {
		zg_yaml_error(ctx, y, "args must be a map: \"/pointer\": value");
		zg_diag_hint(ctx->diag, "args: {\"/path\": \"/srv/*\"}");
		return;
	}
	for (const struct zg_yaml *arg = y->first; arg; arg = arg->next)
		parse_arg(ctx, arg, m);
	check_below(ctx, y, m->into, first);
}
