/* SPDX-License-Identifier: Apache-2.0 */
/*
 * classify.c - what a call is, by the registry's word: its action, labels and
 * risk tags. Trust: server, method and tool come from a client; the section is
 * checked. Nothing a client sends becomes a label, and what nobody classified
 * is a write.
 */
#include "lookup.h"

#include <errno.h>

/* Methods that only read, or that carry no call of their own. */
static const char *const read_methods[] = {
	"initialize",
	"ping",
	"tools/list",
	"resources/list",
	"resources/templates/list",
	"resources/read",
	"resources/subscribe",
	"resources/unsubscribe",
	"prompts/list",
	"prompts/get",
	"completion/complete",
	"logging/setLevel",
	"response",	  /* a client's answer to a request of the server's */
	"stream/open",	  /* the transport's GET */
	"session/delete", /* the transport's DELETE */
};

enum zg_method_class zg_method_class(struct zg_slice method)
{
	if (zg_slice_eq(method, ZG_SLICE("tools/call")))
		return ZG_METHOD_TOOL;
	if (zg_slice_starts(method, ZG_SLICE("notifications/")) &&
	    method.len > strlen("notifications/"))
		return ZG_METHOD_READ;
	for (size_t i = 0; i < ZG_COUNT(read_methods); i++)
		if (zg_slice_eq(method, zg_slice_str(read_methods[i])))
			return ZG_METHOD_READ;
	return ZG_METHOD_UNKNOWN;
}

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

static const struct zg_row_tool *find_tool(const struct zg_policy_view *v,
					   const struct zg_row_server *s, struct zg_slice name)
{
	uint32_t lo = 0, hi = s->tools.count;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		const struct zg_row_tool *t = &v->tools[s->tools.first + mid];
		int c = zg_slice_order(zg_row_slice(v, t->pattern), name);

		if (c == 0)
			return t;
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (uint32_t i = 0; i < s->globs.count; i++) {
		const struct zg_row_tool *t = &v->tools[s->globs.first + i];

		if (zg_star_match(zg_row_slice(v, t->pattern), name))
			return t;
	}
	return NULL;
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

int zg_envelope_classify(const struct zg_policy *p, struct zg_envelope *env)
{
	const struct zg_policy_view v = zg_policy_view(p);
	const struct zg_row_server *s = zg_find_server(&v, env->server);
	const enum zg_method_class class = zg_method_class(env->method);
	const struct zg_row_tool *tool = NULL;

	env->action = class == ZG_METHOD_READ ? ZG_ACTION_READ : ZG_ACTION_WRITE;
	if (s) {
		add_labels(&v, s->labels, env);
		set_tags(&v, s->tags, env);
		if (class == ZG_METHOD_TOOL)
			tool = find_tool(&v, s, env->tool);
	}
	if (tool) {
		env->action = (enum zg_action)tool->action;
		add_labels(&v, tool->labels, env);
		if (tool->has_tags)
			set_tags(&v, tool->tags, env);
	}
	zg_envelope_label(env, ZG_SLICE("mcp.server"), env->server);
	zg_envelope_label(env, ZG_SLICE("mcp.method"), env->method);
	if (env->tool.len)
		zg_envelope_label(env, ZG_SLICE("mcp.tool"), env->tool);
	zg_envelope_label(env, ZG_SLICE("mcp.action"),
			  env->action == ZG_ACTION_READ ? ZG_SLICE("read") : ZG_SLICE("write"));
	if (!s)
		return -ENOENT;
	return class == ZG_METHOD_UNKNOWN ? -ENOTSUP : 0;
}
