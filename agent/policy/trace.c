/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trace.c - see trace.h. Trust: as decide.c; texts found in an envelope are
 * cut, and whoever prints them escapes them.
 */
#include "trace.h"

#include <inttypes.h>

#include "facts.h"

#define TEXT_MAX 2048 /* of what was expected, or found */
#define SHOWN	 160  /* bytes of one value */

struct texts {
	struct zg_buf what, expected, found;
};

size_t zg_trace_rules(const struct zg_policy *p)
{
	return zg_policy_view(p).header->table[ZG_PT_RULES].count;
}

static void add(struct zg_buf *b, struct zg_slice s)
{
	if (b->len)
		zg_buf_str(b, ", ");
	zg_buf_add(b, s.ptr, s.len > SHOWN ? SHOWN : s.len);
	if (s.len > SHOWN)
		zg_buf_str(b, "...");
}

static void put_number(struct zg_buf *b, const struct zg_number *n)
{
	if (n->is_integer)
		zg_buf_fmt(b, "%" PRId64, n->integer);
	else
		zg_buf_fmt(b, "%.17g", n->real);
}

static void expect_scalar(const struct zg_policy_view *v, const struct zg_row_scalar *s,
			  struct zg_buf *b)
{
	static const char *const constant[ZG_SCALAR_MAX] = {
		[ZG_SCALAR_TRUE] = "true",
		[ZG_SCALAR_FALSE] = "false",
		[ZG_SCALAR_NULL] = "null",
	};

	if (s->kind == ZG_SCALAR_NUMBER) {
		zg_buf_str(b, b->len ? ", " : "");
		put_number(b, &s->number);
	} else if (s->kind < ZG_SCALAR_MAX && constant[s->kind]) {
		add(b, zg_slice_str(constant[s->kind]));
	} else {
		zg_buf_str(b, b->len ? ", \"" : "\"");
		zg_buf_add(b, zg_row_slice(v, s->text).ptr, s->text.len);
		zg_buf_char(b, '"');
	}
}

static void expect_operands(const struct zg_policy_view *v, const struct zg_row_cond *c,
			    struct zg_buf *b)
{
	const uint32_t first = c->more.first;

	for (uint32_t i = 0; i < c->more.count; i++)
		switch ((enum zg_cond_kind)c->kind) {
		case ZG_CK_UID:
		case ZG_CK_USER:
			zg_buf_fmt(b, "%s%u-%u", b->len ? ", " : "", v->uids[first + i].min,
				   v->uids[first + i].max);
			break;
		case ZG_CK_TIME:
			zg_buf_fmt(b, "%swindow of days 0x%02x, minutes %u to %u, zone %+d min",
				   b->len ? ", " : "", v->windows[first + i].days,
				   v->windows[first + i].from, v->windows[first + i].to,
				   v->windows[first + i].offset);
			break;
		case ZG_CK_ARG_IS:
			expect_scalar(v, &v->scalars[first + i], b);
			break;
		case ZG_CK_ARG_REGEX:
			zg_buf_str(b, b->len ? ", /" : "/");
			zg_buf_add(b, zg_row_slice(v, v->regexes[v->refs[first + i]].pattern).ptr,
				   v->regexes[v->refs[first + i]].pattern.len);
			zg_buf_char(b, '/');
			break;
		case ZG_CK_ARG_RANGE:
			zg_buf_str(b, v->bounds[first + i].has_min ? "from " : "");
			if (v->bounds[first + i].has_min)
				put_number(b, &v->bounds[first + i].min);
			zg_buf_str(b, v->bounds[first + i].has_max ? " up to " : "");
			if (v->bounds[first + i].has_max)
				put_number(b, &v->bounds[first + i].max);
			break;
		case ZG_CK_LABEL:
		case ZG_CK_RISK_TAG:
		case ZG_CK_SERVER_NOT_IN:
		case ZG_CK_FACT:
		case ZG_CK_ARG_PRESENT:
		case ZG_CK_ARG_ABSENT:
		case ZG_CK_MAX:
			break;
		}
}

static void expect(const struct zg_policy_view *v, const struct zg_row_cond *c, struct zg_buf *b)
{
	if (c->kind == ZG_CK_ARG_PRESENT || c->kind == ZG_CK_ARG_ABSENT)
		zg_buf_str(b, c->kind == ZG_CK_ARG_PRESENT ? "present" : "absent");
	if (c->kind == ZG_CK_SERVER_NOT_IN)
		zg_buf_str(b, "none of ");
	for (uint32_t i = 0; i < c->atoms.count; i++)
		add(b, zg_row_slice(v, v->atoms[v->values[c->atoms.first + i]].value));
	for (uint32_t i = 0; i < c->globs.count; i++)
		add(b, zg_row_slice(v, v->globs[c->globs.first + i]));
	expect_operands(v, c, b);
}

/* Of an argument: what it is, and only offline how it reads. */
static void find_argument(const json_t *j, bool show, struct zg_buf *b)
{
	static const char *const type[] = {
		[JSON_OBJECT] = "an object", [JSON_ARRAY] = "an array", [JSON_STRING] = "text",
		[JSON_INTEGER] = "a number", [JSON_REAL] = "a number",	[JSON_TRUE] = "true",
		[JSON_FALSE] = "false",	     [JSON_NULL] = "null"};

	zg_buf_str(b, j ? type[json_typeof(j)] : "nothing");
	if (json_is_string(j))
		zg_buf_fmt(b, " of %zu bytes", json_string_length(j));
	if (!show)
		return;
	if (json_is_integer(j))
		zg_buf_fmt(b, " %" JSON_INTEGER_FORMAT, json_integer_value(j));
	if (json_is_real(j))
		zg_buf_fmt(b, " %.17g", json_real_value(j));
	if (json_is_string(j)) {
		struct zg_slice s = {json_string_value(j), json_string_length(j)};

		zg_buf_str(b, ": ");
		zg_buf_add(b, s.ptr, s.len > SHOWN ? SHOWN : s.len);
	}
}

static const char *const fact_names[ZG_FACT_MAX] = {
	[ZG_FACT_PROFILE] = "profile",
	[ZG_FACT_CGROUP] = "cgroup",
	[ZG_FACT_UNIT] = "unit",
	[ZG_FACT_USER] = "user",
	[ZG_FACT_UID] = "uid",
	[ZG_FACT_EXECUTABLE] = "executable",
	[ZG_FACT_SHA256] = "executable_sha256",
};

static void find_label(const struct zg_facts *f, uint32_t key, struct zg_buf *b)
{
	for (size_t i = 0; i < f->label_count; i++)
		if (f->label[i].key == key)
			add(b, f->label[i].value);
	if (!b->len)
		zg_buf_str(b, "no such label");
}

static void describe(const struct zg_policy_view *v, const struct zg_facts *f,
		     const struct zg_row_cond *c, bool show, struct texts *t)
{
	const enum zg_cond_kind kind = (enum zg_cond_kind)c->kind;

	if (kind == ZG_CK_LABEL) {
		zg_buf_str(&t->what, "label ");
		zg_buf_add(&t->what, zg_row_slice(v, v->keys[c->key].name).ptr,
			   v->keys[c->key].name.len);
		find_label(f, c->key, &t->found);
	} else if (kind == ZG_CK_RISK_TAG) {
		zg_buf_str(&t->what, "risk_tags");
		for (size_t i = 0; i < f->env->risk_tag_count; i++)
			add(&t->found, f->env->risk_tags[i]);
	} else if (kind == ZG_CK_SERVER_NOT_IN) {
		zg_buf_str(&t->what, "deny_servers_not_in");
		add(&t->found, f->env->server);
	} else if (kind == ZG_CK_TIME) {
		zg_buf_str(&t->what, "time");
		if (f->env->time_sec)
			zg_buf_u64(&t->found, f->env->time_sec);
		else
			zg_buf_str(&t->found, "not known");
	} else if (kind == ZG_CK_FACT || kind == ZG_CK_UID || kind == ZG_CK_USER) {
		const struct zg_fact_text *fact = &f->fact[c->key - ZG_KEY_FACTS];

		zg_buf_fmt(&t->what, "principal %s", fact_names[c->key - ZG_KEY_FACTS]);
		add(&t->found, !fact->known ? ZG_SLICE("not known")
			       : fact->none ? ZG_SLICE("none")
					    : fact->value);
	} else {
		zg_buf_str(&t->what, "argument ");
		zg_buf_add(&t->what, zg_row_slice(v, v->pointers[c->key].text).ptr,
			   v->pointers[c->key].text.len);
		find_argument(zg_arg_find(v, f->env, c->key), show, &t->found);
	}
	expect(v, c, &t->expected);
}

static enum zg_traced traced(enum zg_truth t)
{
	return t == ZG_TRUE ? ZG_TRACED_YES : t == ZG_FALSE ? ZG_TRACED_NO : ZG_TRACED_UNKNOWN;
}

static void trace_conds(const struct zg_policy_view *v, struct zg_facts *f, struct zg_row_span span,
			bool unless, bool show, zg_trace_fn *fn, void *arg)
{
	for (uint32_t i = 0; i < span.count; i++) {
		const struct zg_row_cond *c = &v->conds[span.first + i];
		char what[TEXT_MAX], expected[TEXT_MAX], found[TEXT_MAX];
		struct texts t = {
			{.ptr = what, .cap = TEXT_MAX, .max = TEXT_MAX},
			{.ptr = expected, .cap = TEXT_MAX, .max = TEXT_MAX},
			{.ptr = found, .cap = TEXT_MAX, .max = TEXT_MAX},
		};
		struct zg_trace_cond out = {.unless = unless};

		f->budget = ZG_MATCH_BYTES; /* of each condition by itself */
		out.holds = traced(zg_cond_holds(v, f, c));
		describe(v, f, c, show, &t);
		out.what = zg_buf_slice(&t.what);
		out.expected = zg_buf_slice(&t.expected);
		out.found = zg_buf_slice(&t.found);
		fn(arg, &out);
	}
}

enum zg_traced zg_trace_rule(const struct zg_policy *p, const struct zg_envelope *env,
			     uint16_t rule, bool show, zg_trace_fn *fn, void *arg)
{
	const struct zg_policy_view v = zg_policy_view(p);
	const struct zg_row_rule *r = &v.rules[rule];
	struct zg_facts f;

	if (rule >= v.header->table[ZG_PT_RULES].count)
		return ZG_TRACED_NO;
	zg_facts_gather(p, &v, env, &f);
	trace_conds(&v, &f, r->match, false, show, fn, arg);
	trace_conds(&v, &f, r->unless, true, show, fn, arg);
	f.budget = ZG_MATCH_BYTES;
	return traced(zg_rule_holds(&v, &f, r->match, r->unless, ZG_NO_INDEX));
}
