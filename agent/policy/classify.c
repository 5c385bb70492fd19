/* SPDX-License-Identifier: Apache-2.0 */
/*
 * classify.c - what a call is, by the registry's word and by that of classify
 * rules: its action, labels and risk tags. Trust: server, method and tool come from a client; the
 * section is checked. Nothing a client sends becomes a label, and what nobody classified is a
 * write.
 */
#include <errno.h>

#include "facts.h"
#include "lookup.h"
#include "uri.h"

enum asker { CLIENT = 1, SERVER = 2, BOTH = 3 };

static const struct {
	struct zg_slice text;
	enum asker asker;
	enum zg_method_class class;
} methods[] = {
#define X(text, asker, class, era) {{"" text, sizeof(text) - 1}, asker, ZG_METHOD_##class},
#include "tbl/mcp_method.h"
#undef X
};

const struct zg_row_server *zg_find_server(const struct zg_policy_view *v, struct zg_slice id)
{
	const uint32_t mask = v->header->table[ZG_PT_SERVER_SLOTS].count - 1;

	for (uint32_t i = zg_row_hash(0, id) & mask; v->server_slots[i]; i = (i + 1) & mask) {
		const struct zg_row_server *s = &v->servers[v->server_slots[i] - 1];

		if (zg_slice_eq(zg_row_slice(v, s->id), id))
			return s;
	}
	return NULL;
}

/* The class of a tool or an extension method by its name, then by pattern. */
static const struct zg_row_tool *find_class(const struct zg_policy_view *v,
					    struct zg_row_span exact, struct zg_row_span globs,
					    struct zg_slice name)
{
	uint32_t lo = 0, hi = exact.count;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		const struct zg_row_tool *t = &v->tools[exact.first + mid];
		int c = zg_slice_order(zg_row_slice(v, t->pattern), name);

		if (c == 0)
			return t;
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (uint32_t i = 0; i < globs.count; i++) {
		const struct zg_row_tool *t = &v->tools[globs.first + i];

		if (zg_star_match(zg_row_slice(v, t->pattern), name))
			return t;
	}
	return NULL;
}

enum zg_method_class zg_method_class(const struct zg_policy_view *v,
				     const struct zg_row_server *server,
				     const struct zg_envelope *env, const struct zg_row_tool **row)
{
	const enum asker asker = env->from_server ? SERVER : CLIENT;

	*row = NULL;
	for (size_t i = 0; i < ZG_COUNT(methods); i++)
		if (zg_slice_eq(env->method, methods[i].text))
			return methods[i].asker & asker ? methods[i].class : ZG_METHOD_UNKNOWN;
	if (server)
		*row = find_class(v, server->methods, server->method_globs, env->method);
	return *row ? ZG_METHOD_EXTENSION : ZG_METHOD_UNKNOWN;
}

void zg_envelope_label(struct zg_envelope *env, struct zg_slice key, struct zg_slice value)
{
	for (size_t i = 0; i < env->label_count; i++) {
		if (zg_slice_eq(env->labels[i].key, key)) {
			env->labels[i].value = value;
			return;
		}
	}
	if (env->label_count == ZG_LABELS_MAX) {
		env->overflow = true;
		return;
	}
	env->labels[env->label_count++] = (struct zg_label){key, value};
}

static void add_labels(const struct zg_policy_view *v, struct zg_row_span span,
		       struct zg_envelope *env)
{
	for (uint32_t i = 0; i < span.count; i++) {
		const struct zg_row_label *l = &v->labels[span.first + i];

		zg_envelope_label(env, zg_row_slice(v, l->key), zg_row_slice(v, l->value));
	}
}

static void set_tags(const struct zg_policy_view *v, struct zg_row_span span,
		     struct zg_envelope *env)
{
	env->risk_tag_count = 0;
	for (uint32_t i = 0; i < span.count; i++) {
		if (env->risk_tag_count == ZG_RISK_TAGS_MAX) {
			env->overflow = true;
			return;
		}
		env->risk_tags[env->risk_tag_count++] = zg_row_slice(v, v->tags[span.first + i]);
	}
}

static void add_tags(const struct zg_policy_view *v, struct zg_row_span span,
		     struct zg_envelope *env)
{
	for (uint32_t i = 0; i < span.count; i++) {
		const struct zg_slice tag = zg_row_slice(v, v->tags[span.first + i]);
		size_t at = 0;

		while (at < env->risk_tag_count && !zg_slice_eq(env->risk_tags[at], tag))
			at++;
		if (at < env->risk_tag_count)
			continue;
		if (env->risk_tag_count == ZG_RISK_TAGS_MAX) {
			env->overflow = true;
			return;
		}
		env->risk_tags[env->risk_tag_count++] = tag;
	}
}

/* What the matching classify rules say, all of them taken together. */
struct classes {
	struct zg_facts facts; /* before any of them */
	struct zg_envelope *env;
	struct zg_label label[ZG_LABELS_MAX];
	size_t label_count;
	uint32_t action; /* 1 + the strictest, 0 = none */
};

/* Two rules that set a label to different values leave the call without a class. */
static void set_label(struct classes *x, struct zg_slice key, struct zg_slice value)
{
	for (size_t i = 0; i < x->label_count; i++)
		if (zg_slice_eq(x->label[i].key, key)) {
			if (!zg_slice_eq(x->label[i].value, value))
				x->env->unclear = true;
			return;
		}
	if (x->label_count == ZG_LABELS_MAX)
		x->env->overflow = true;
	else
		x->label[x->label_count++] = (struct zg_label){key, value};
}

static void take_class(const struct zg_policy_view *v, struct classes *x, uint16_t number,
		       uint32_t but)
{
	const struct zg_row_class *c = &v->classes[number];
	enum zg_truth t = zg_rule_holds(v, &x->facts, c->match, c->unless, but);

	if (t == ZG_UNKNOWN && x->env->arguments_unknown)
		t = x->env->classes_met ? ZG_TRUE : ZG_FALSE;
	if (t == ZG_UNKNOWN && !x->env->preview)
		x->env->unclear = true;
	if (t != ZG_TRUE)
		return;
	if (c->action && (!x->action || c->action < x->action))
		x->action = c->action;
	for (uint32_t i = 0; i < c->labels.count; i++)
		set_label(x, zg_row_slice(v, v->labels[c->labels.first + i].key),
			  zg_row_slice(v, v->labels[c->labels.first + i].value));
	add_tags(v, c->tags, x->env);
}

static void visit_classes(const struct zg_policy_view *v, struct classes *x, uint32_t atom)
{
	struct zg_row_span span;

	if (atom == ZG_NO_INDEX)
		return;
	span = v->atoms[atom].classes;
	for (uint32_t i = 0; i < span.count; i++) {
		uint16_t number = v->postings[span.first + i];

		/* one that hangs at two tags is taken twice, which changes nothing */
		take_class(v, x, number, v->classes[number].pivot);
	}
}

/* They see what the registry says, never each other's word. */
static void apply_classes(const struct zg_policy *p, const struct zg_policy_view *v,
			  struct zg_envelope *env)
{
	struct classes x = {.env = env};

	zg_facts_gather(p, v, env, &x.facts);
	for (size_t i = 0; i < x.facts.label_count; i++)
		visit_classes(v, &x, x.facts.label[i].atom);
	for (size_t i = 0; i < x.facts.tag_count; i++)
		visit_classes(v, &x, x.facts.tag[i]);
	for (uint32_t i = 0; i < v->header->class_residual.count; i++)
		take_class(v, &x, v->postings[v->header->class_residual.first + i], ZG_NO_INDEX);
	for (size_t i = 0; i < x.label_count; i++)
		zg_envelope_label(env, x.label[i].key, x.label[i].value);
	if (x.action)
		env->action = (enum zg_action)(x.action - 1);
}

/* What a method is about, as a label and a class of the registry's. */
struct about {
	const char *method;
	const char *label;
	bool prompt;
};

static const struct about abouts[] = {
	{"resources/read", "mcp.resource", false},
	{"resources/subscribe", "mcp.resource", false},
	{"resources/unsubscribe", "mcp.resource", false},
	{"prompts/get", "mcp.prompt", true},
};

static const struct about *about_of(const struct zg_envelope *env)
{
	for (size_t i = 0; env->tool.len && i < ZG_COUNT(abouts); i++)
		if (zg_slice_eq(env->method, zg_slice_str(abouts[i].method)))
			return &abouts[i];
	return NULL;
}

/* The registry's class of what the call is about; NULL = it has none. */
static const struct zg_row_tool *class_of(const struct zg_policy_view *v,
					  const struct zg_row_server *s, enum zg_method_class class,
					  const struct about *about, const struct zg_envelope *env)
{
	if (class == ZG_METHOD_TOOL)
		return find_class(v, s->tools, s->globs, env->tool);
	if (!about)
		return NULL;
	return about->prompt ? find_class(v, s->prompts, s->prompt_globs, env->tool)
			     : find_class(v, s->resources, s->resource_globs, env->tool);
}

static void action_label(struct zg_envelope *env)
{
	zg_envelope_label(env, ZG_SLICE("mcp.action"),
			  env->action == ZG_ACTION_READ ? ZG_SLICE("read") : ZG_SLICE("write"));
}

static void own_labels(struct zg_envelope *env, const struct about *about)
{
	zg_envelope_label(env, ZG_SLICE("mcp.server"), env->server);
	zg_envelope_label(env, ZG_SLICE("mcp.method"), env->method);
	if (env->tool.len)
		zg_envelope_label(env, ZG_SLICE("mcp.tool"), env->tool);
	if (about)
		zg_envelope_label(env, zg_slice_str(about->label), env->tool);
	if (env->subject.len)
		zg_envelope_label(env, ZG_SLICE("mcp.subject"), env->subject);
	action_label(env);
	if (env->from_server)
		zg_envelope_label(env, ZG_SLICE("mcp.direction"), ZG_SLICE("server"));
}

static int classify(const struct zg_policy *p, struct zg_envelope *env)
{
	const struct zg_policy_view v = zg_policy_view(p);
	const struct zg_row_server *s = zg_find_server(&v, env->server);
	const struct about *about = about_of(env);
	const struct zg_row_tool *row;
	const enum zg_method_class class = zg_method_class(&v, s, env, &row);

	env->action = class == ZG_METHOD_READ ? ZG_ACTION_READ : ZG_ACTION_WRITE;
	if (s) {
		add_labels(&v, s->labels, env);
		set_tags(&v, s->tags, env);
		if (!row)
			row = class_of(&v, s, class, about, env);
	}
	if (class == ZG_METHOD_TOOL && env->read_only)
		env->action = ZG_ACTION_READ; /* a class of the registry's outweighs it */
	if (row) {
		env->action = (enum zg_action)row->action;
		add_labels(&v, row->labels, env);
		if (row->has_tags)
			set_tags(&v, row->tags, env);
	}
	own_labels(env, about);
	if (s && v.header->table[ZG_PT_CLASSES].count) {
		apply_classes(p, &v, env);
		action_label(env);
	}
	if (!s)
		return -ENOENT;
	return class == ZG_METHOD_UNKNOWN ? -ENOTSUP : 0;
}

bool zg_about_resource(const struct zg_envelope *env)
{
	const struct about *about = about_of(env);

	return about && !about->prompt;
}

bool zg_other_form(const struct zg_envelope *env, char *text, struct zg_slice *plain)
{
	*plain = (struct zg_slice){0};
	return !zg_uri_plain(env->tool, text, plain) || !zg_slice_eq(env->tool, *plain);
}

/* But for the labels that are the URI itself. */
static bool same_class(const struct zg_envelope *a, const struct zg_envelope *b)
{
	if (a->action != b->action || a->label_count != b->label_count ||
	    a->risk_tag_count != b->risk_tag_count || a->unclear != b->unclear)
		return false;
	for (size_t i = 0; i < a->label_count; i++)
		if (!zg_slice_eq(a->labels[i].key, b->labels[i].key) ||
		    (!zg_slice_eq(a->labels[i].key, ZG_SLICE("mcp.tool")) &&
		     !zg_slice_eq(a->labels[i].key, ZG_SLICE("mcp.resource")) &&
		     !zg_slice_eq(a->labels[i].value, b->labels[i].value)))
			return false;
	for (size_t i = 0; i < a->risk_tag_count; i++)
		if (!zg_slice_eq(a->risk_tags[i], b->risk_tags[i]))
			return false;
	return true;
}

static int classify_forms(const struct zg_policy *p, struct zg_envelope *env)
{
	char text[ZG_URI_BYTES];
	struct zg_slice plain;
	struct zg_envelope twin;
	int rc;

	if (!zg_other_form(env, text, &plain))
		return classify(p, env);
	twin = *env;
	twin.tool = plain;
	rc = classify(p, env);
	env->other_form = !plain.len || classify(p, &twin) != rc || !same_class(env, &twin);
	return rc;
}

int zg_envelope_classify(const struct zg_policy *p, struct zg_envelope *env)
{
	return zg_about_resource(env) ? classify_forms(p, env) : classify(p, env);
}
