/* SPDX-License-Identifier: Apache-2.0 */
/*
 * canonical.c - see canonical.h. Trust: parsed and checked input. Members are
 * written in sorted order by hand; keys that people choose are ASCII, so that
 * byte order is RFC 8785's order of UTF-16 units.
 */
#include "canonical.h"

#include <errno.h>
#include <inttypes.h>

#include "compile.h"
#include "stdio_build.h"

static int by_text(const void *a, const void *b)
{
	return zg_slice_order(*(const struct zg_slice *)a, *(const struct zg_slice *)b);
}

/* An array of texts as a set: sorted, each once. */
static void put_set(struct zg_buf *out, const struct zg_texts *t, struct zg_arena *arena)
{
	struct zg_slice *s = zg_arena_alloc(arena, (t->count + 1) * sizeof(*s));
	bool first = true;

	zg_buf_char(out, '[');
	if (s && t->count)
		memcpy(s, t->item, t->count * sizeof(*s));
	if (s)
		qsort(s, t->count, sizeof(*s), by_text);
	for (size_t i = 0; s && i < t->count; i++) {
		if (i && zg_slice_eq(s[i - 1], s[i]))
			continue;
		zg_buf_str(out, first ? "" : ",");
		zg_buf_json(out, s[i]);
		first = false;
	}
	zg_buf_char(out, ']');
}

static int by_key(const void *a, const void *b)
{
	return zg_slice_order(((const struct zg_label_src *)a)->key,
			      ((const struct zg_label_src *)b)->key);
}

static void put_labels(struct zg_buf *out, const struct zg_labels_src *l, struct zg_arena *arena)
{
	struct zg_label_src *s = zg_arena_alloc(arena, (l->count + 1) * sizeof(*s));

	zg_buf_char(out, '{');
	if (s && l->count)
		memcpy(s, l->item, l->count * sizeof(*s));
	if (s)
		qsort(s, l->count, sizeof(*s), by_key);
	for (size_t i = 0; s && i < l->count; i++) {
		zg_buf_str(out, i ? "," : "");
		zg_buf_json(out, s[i].key);
		zg_buf_char(out, ':');
		zg_buf_json(out, s[i].value);
	}
	zg_buf_char(out, '}');
}

static void put_number(struct zg_buf *out, struct zg_number n)
{
	if (n.is_integer)
		zg_buf_fmt(out, "%" PRId64, n.integer);
	else
		zg_buf_fmt(out, "%.17g", n.real);
}

static void put_scalar(struct zg_buf *out, const struct zg_scalar_src *s)
{
	static const char *const constant[ZG_SCALAR_MAX] = {
		[ZG_SCALAR_TRUE] = "true",
		[ZG_SCALAR_FALSE] = "false",
		[ZG_SCALAR_NULL] = "null",
	};

	if (s->kind == ZG_SCALAR_NUMBER) {
		put_number(out, s->number);
	} else if (s->kind == ZG_SCALAR_GLOB) {
		zg_buf_str(out, "{\"glob\":");
		zg_buf_json(out, s->text);
		zg_buf_char(out, '}');
	} else if (s->kind == ZG_SCALAR_TEXT) {
		zg_buf_json(out, s->text);
	} else {
		zg_buf_str(out, constant[s->kind]);
	}
}

static void put_window(struct zg_buf *out, const struct zg_window *w)
{
	zg_buf_fmt(out, "{\"days\":%u,\"from\":%u,\"offset\":%d,\"to\":%u}", w->days, w->from,
		   w->offset, w->to);
}

/* A list as a set: each item's text, sorted. put writes item i of c. */
static void put_items(struct zg_buf *out, const struct zg_cond_src *c, size_t n,
		      void (*put)(struct zg_buf *, const struct zg_cond_src *, size_t),
		      struct zg_arena *arena)
{
	zg_autobuf one = ZG_BUF(out->max);
	struct zg_slice *text = zg_arena_alloc(arena, (n + 1) * sizeof(*text));

	for (size_t i = 0; text && i < n; i++) {
		zg_buf_reset(&one);
		put(&one, c, i);
		text[i] = (struct zg_slice){zg_arena_copy(arena, zg_buf_slice(&one)), one.len};
		if (!zg_buf_ok(&one) || !text[i].ptr) {
			out->error = -ENOMEM;
			return;
		}
	}
	if (text)
		qsort(text, n, sizeof(*text), by_text);
	zg_buf_char(out, '[');
	for (size_t i = 0; text && i < n; i++) {
		zg_buf_str(out, i ? "," : "");
		zg_buf_add(out, text[i].ptr, text[i].len);
	}
	zg_buf_char(out, ']');
}

static void put_scalar_of(struct zg_buf *out, const struct zg_cond_src *c, size_t i)
{
	put_scalar(out, &c->scalar[i]);
}

static void put_window_of(struct zg_buf *out, const struct zg_cond_src *c, size_t i)
{
	put_window(out, &c->window[i]);
}

static void put_range_of(struct zg_buf *out, const struct zg_cond_src *c, size_t i)
{
	zg_buf_fmt(out, "[%u,%u]", c->range[i].min, c->range[i].max);
}

static void put_cond_at(struct zg_buf *out, const struct zg_conds_src *c, size_t i,
			struct zg_arena *arena)
{
	static const char *const kind[ZG_CK_MAX] = {
		[ZG_CK_LABEL] = "label",
		[ZG_CK_RISK_TAG] = "risk_tags",
		[ZG_CK_SERVER_NOT_IN] = "deny_servers_not_in",
		[ZG_CK_FACT] = "fact",
		[ZG_CK_UID] = "uid",
		[ZG_CK_USER] = "user",
		[ZG_CK_TIME] = "time",
		[ZG_CK_ARG_IS] = "arg_is",
		[ZG_CK_ARG_REGEX] = "arg_regex",
		[ZG_CK_ARG_RANGE] = "arg_range",
		[ZG_CK_ARG_PRESENT] = "arg_present",
		[ZG_CK_ARG_ABSENT] = "arg_absent",
	};
	const struct zg_cond_src *cond = &c->item[i];

	zg_buf_char(out, '{');
	if (cond->kind == ZG_CK_FACT)
		zg_buf_fmt(out, "\"fact\":%d,", cond->fact);
	zg_buf_str(out, "\"key\":");
	zg_buf_json(out, cond->key);
	zg_buf_fmt(out, ",\"kind\":\"%s\"", kind[cond->kind]);
	if (cond->has_max) {
		zg_buf_str(out, ",\"max\":");
		put_number(out, cond->max);
	}
	if (cond->has_min) {
		zg_buf_str(out, ",\"min\":");
		put_number(out, cond->min);
	}
	if (cond->range_count && cond->kind != ZG_CK_USER) { /* whose names say it all */
		zg_buf_str(out, ",\"ranges\":");
		put_items(out, cond, cond->range_count, put_range_of, arena);
	}
	if (cond->scalar_count) {
		zg_buf_str(out, ",\"scalars\":");
		put_items(out, cond, cond->scalar_count, put_scalar_of, arena);
	}
	zg_buf_str(out, ",\"values\":");
	put_set(out, &cond->values, arena);
	if (cond->window_count) {
		zg_buf_str(out, ",\"windows\":");
		put_items(out, cond, cond->window_count, put_window_of, arena);
	}
	zg_buf_char(out, '}');
}

/* Conditions all hold or do not: their order says nothing. */
static void put_conds(struct zg_buf *out, const struct zg_conds_src *c, struct zg_arena *arena)
{
	zg_autobuf one = ZG_BUF(out->max);
	struct zg_slice *text = zg_arena_alloc(arena, (c->count + 1) * sizeof(*text));

	for (size_t i = 0; text && i < c->count; i++) {
		zg_buf_reset(&one);
		put_cond_at(&one, c, i, arena);
		text[i] = (struct zg_slice){zg_arena_copy(arena, zg_buf_slice(&one)), one.len};
		if (!zg_buf_ok(&one) || !text[i].ptr) {
			out->error = -ENOMEM;
			return;
		}
	}
	if (text)
		qsort(text, c->count, sizeof(*text), by_text);
	zg_buf_char(out, '[');
	for (size_t i = 0; text && i < c->count; i++) {
		zg_buf_str(out, i ? "," : "");
		zg_buf_add(out, text[i].ptr, text[i].len);
	}
	zg_buf_char(out, ']');
}

/* Limits of one kind, in the words that people are told them in, as a set. */
static void put_limits(struct zg_buf *out, const struct zg_constraints_src *c,
		       enum zg_quota_kind kind, struct zg_arena *arena)
{
	char text[ZG_LIMITS_MAX][ZG_LIMIT_TEXT];
	struct zg_slice item[ZG_LIMITS_MAX];
	struct zg_texts t = {item, 0};

	for (size_t i = 0; i < c->limit_count; i++) {
		if (c->limit[i].kind != kind)
			continue;
		zg_limit_text(&c->limit[i], text[i], sizeof(text[i]));
		item[t.count++] = zg_slice_str(text[i]);
	}
	put_set(out, &t, arena);
}

static bool has_limit(const struct zg_constraints_src *c, enum zg_quota_kind kind)
{
	for (size_t i = 0; i < c->limit_count; i++)
		if (c->limit[i].kind == kind)
			return true;
	return false;
}

/* In sorted order; only what is set. */
static void put_constraints(struct zg_buf *out, const struct zg_constraints_src *c,
			    struct zg_arena *arena)
{
	const struct {
		const char *name;
		bool set;
		uint64_t number;
	} rows[] = {
		{"approvers", c->approvers > 1, c->approvers},
		{"max_concurrent", has_limit(c, ZG_QK_CONCURRENT), 0},
		{"max_output_bytes", c->max_output_bytes != 0, c->max_output_bytes},
		{"max_retries", c->has_max_retries, c->max_retries},
		{"max_runtime_sec", c->max_runtime_sec != 0, c->max_runtime_sec},
		{"network_allowlist", c->allowlist.count != 0, 0},
		{"rate", has_limit(c, ZG_QK_RATE), 0},
		{"redact", c->redact != ZG_REDACT_DEFAULT, 0},
	};
	const char *comma = "";

	zg_buf_str(out, "\"constraints\":{");
	for (size_t i = 0; i < ZG_COUNT(rows); i++) {
		if (!rows[i].set)
			continue;
		zg_buf_fmt(out, "%s\"%s\":", comma, rows[i].name);
		comma = ",";
		if (strcmp(rows[i].name, "network_allowlist") == 0)
			put_set(out, &c->allowlist, arena);
		else if (strcmp(rows[i].name, "rate") == 0)
			put_limits(out, c, ZG_QK_RATE, arena);
		else if (strcmp(rows[i].name, "max_concurrent") == 0)
			put_limits(out, c, ZG_QK_CONCURRENT, arena);
		else if (strcmp(rows[i].name, "redact") == 0)
			zg_buf_json(out, zg_slice_str(zg_redact_text_of(c->redact)));
		else
			zg_buf_u64(out, rows[i].number);
	}
	zg_buf_char(out, '}');
}

static void put_rule(struct zg_buf *out, const struct zg_rule_src *r, struct zg_arena *arena)
{
	zg_buf_char(out, '{');
	if (r->annotate.count) {
		zg_buf_str(out, "\"annotate\":");
		put_labels(out, &r->annotate, arena);
		zg_buf_char(out, ',');
	}
	put_constraints(out, &r->constraints, arena);
	zg_buf_fmt(out, ",\"decision\":\"%s\",\"id\":", zg_decision_text(r->decision));
	zg_buf_json(out, r->id);
	zg_buf_str(out, ",\"match\":");
	put_conds(out, &r->match, arena);
	zg_buf_str(out, ",\"reason\":");
	zg_buf_json(out, r->reason);
	if (r->remediation.len) {
		zg_buf_str(out, ",\"remediation\":");
		zg_buf_json(out, r->remediation);
	}
	if (r->has_unless) {
		zg_buf_str(out, ",\"unless\":");
		put_conds(out, &r->unless, arena);
	}
	zg_buf_char(out, '}');
}

static void put_class(struct zg_buf *out, const struct zg_class_src *c, struct zg_arena *arena)
{
	zg_buf_char(out, '{');
	if (c->has_action)
		zg_buf_fmt(out, "\"action\":\"%s\",",
			   c->action == ZG_ACTION_READ ? "read" : "write");
	zg_buf_str(out, "\"id\":");
	zg_buf_json(out, c->id);
	zg_buf_str(out, ",\"labels\":");
	put_labels(out, &c->labels, arena);
	zg_buf_str(out, ",\"match\":");
	put_conds(out, &c->match, arena);
	zg_buf_str(out, ",\"risk_tags\":");
	put_set(out, &c->risk_tags, arena);
	zg_buf_str(out, ",\"unless\":");
	put_conds(out, &c->unless, arena);
	zg_buf_char(out, '}');
}

/* Only where there are any: policies without them keep their digest. */
static void put_classes(struct zg_buf *out, const struct zg_policy_src *p, struct zg_arena *arena)
{
	const struct zg_class_src **class = zg_policy_class_order(p, arena);

	if (!p->class_count)
		return;
	zg_buf_str(out, "\"classify\":[");
	for (size_t i = 0; class && i < p->class_count; i++) {
		zg_buf_str(out, i ? "," : "");
		put_class(out, class[i], arena);
	}
	zg_buf_str(out, "],");
}

static int by_pattern(const void *a, const void *b)
{
	return zg_slice_order((*(const struct zg_tool_src *const *)a)->pattern,
			      (*(const struct zg_tool_src *const *)b)->pattern);
}

/* An array, not an object: tool names may be any text. */
static void put_tools(struct zg_buf *out, const struct zg_tool_src *src, size_t n,
		      struct zg_arena *arena)
{
	const struct zg_tool_src **tool =
		zg_arena_alloc(arena, (n + 1) * sizeof(const struct zg_tool_src *));

	zg_buf_char(out, '[');
	for (size_t i = 0; tool && i < n; i++)
		tool[i] = &src[i];
	if (tool)
		qsort(tool, n, sizeof(const struct zg_tool_src *), by_pattern);
	for (size_t i = 0; tool && i < n; i++) {
		zg_buf_fmt(out, "%s{\"action\":\"%s\",\"labels\":", i ? "," : "",
			   tool[i]->action == ZG_ACTION_READ ? "read" : "write");
		put_labels(out, &tool[i]->labels, arena);
		zg_buf_str(out, ",\"name\":");
		zg_buf_json(out, tool[i]->pattern);
		if (tool[i]->has_risk_tags) {
			zg_buf_str(out, ",\"risk_tags\":");
			put_set(out, &tool[i]->risk_tags, arena);
		}
		zg_buf_char(out, '}');
	}
	zg_buf_char(out, ']');
}

static void put_addresses(struct zg_buf *out, const struct zg_entry_src *s, struct zg_arena *arena)
{
	struct zg_slice item[ZG_ENDPOINTS_PER_SERVER];
	char text[ZG_ENDPOINTS_PER_SERVER][64];
	struct zg_texts t = {item, s->fixed_count};

	for (size_t i = 0; i < s->fixed_count; i++) {
		zg_addr_text(text[i], sizeof(text[i]), s->address[i]);
		item[i] = zg_slice_str(text[i]);
	}
	put_set(out, &t, arena);
}

/* Only what is set: entries without any of it keep their digest. */
static void put_auth(struct zg_buf *out, const struct zg_entry_src *s)
{
	for (size_t i = 0; i < s->credential_count; i++) {
		const struct zg_credential_def *c = &s->credential[i];

		zg_buf_fmt(out, "%s{\"header\":", i ? "," : ",\"auth\":[");
		zg_buf_json(out, zg_slice_str(c->header));
		zg_buf_fmt(out, ",\"kind\":%u,\"path\":", c->kind);
		zg_buf_json(out, zg_slice_str(c->path));
		zg_buf_str(out, ",\"value\":");
		zg_buf_json(out, zg_slice_str(c->value));
		zg_buf_str(out, "}");
	}
	zg_buf_str(out, s->credential_count ? "]" : "");
}

static void put_passthrough(struct zg_buf *out, const struct zg_entry_src *s)
{
	if (s->def.passthrough) {
		zg_buf_str(out, ",\"passthrough\":");
		zg_buf_json(out, zg_slice_str(s->def.passthrough_reason));
	}
}

static void put_pins(struct zg_buf *out, const struct zg_entry_src *s)
{
	if (s->def.pins[0]) {
		zg_buf_str(out, ",\"pins\":");
		zg_buf_json(out, zg_slice_str(s->def.pins));
	}
}

static void put_about(struct zg_buf *out, const char *what, const struct zg_tool_src *src, size_t n,
		      struct zg_arena *arena)
{
	if (!n)
		return;
	zg_buf_fmt(out, ",\"%s\":", what);
	put_tools(out, src, n, arena);
}

void zg_canonical_server(struct zg_buf *out, const struct zg_entry_src *s, struct zg_arena *arena)
{
	static const char *const transport[] = {
		[ZG_T_STREAMABLE_HTTP] = "streamable-http",
		[ZG_T_SSE] = "sse",
		[ZG_T_STDIO] = "stdio",
	};

	zg_buf_str(out, "{\"addresses\":");
	put_addresses(out, s, arena);
	put_auth(out, s);
	if (s->policy.method_count) {
		zg_buf_str(out, ",\"extensions\":");
		put_tools(out, s->policy.methods, s->policy.method_count, arena);
	}
	zg_buf_str(out, ",\"id\":");
	zg_buf_json(out, zg_slice_str(s->def.id));
	zg_buf_str(out, s->def.use == ZG_USE_KEYS ? ",\"keys\":true" : "");
	zg_buf_str(out, ",\"labels\":");
	put_labels(out, &s->policy.labels, arena);
	zg_buf_str(out, s->def.local ? ",\"local\":true" : "");
	zg_buf_str(out, ",\"name\":");
	zg_buf_json(out, zg_slice_str(s->def.name));
	zg_buf_str(out, ",\"namespace\":");
	zg_buf_json(out, zg_slice_str(s->def.prefix));
	zg_buf_str(out, ",\"owner\":");
	zg_buf_json(out, zg_slice_str(s->def.owner));
	put_passthrough(out, s);
	zg_buf_fmt(out, ",\"pinning\":\"%s\"",
		   s->def.pinning == ZG_PINNING_FIRST_USE ? "first-use" : "approval");
	put_pins(out, s);
	put_about(out, "prompts", s->policy.prompts, s->policy.prompt_count, arena);
	if (s->proxy != ZG_PW_UNSAID)
		zg_buf_fmt(out, ",\"proxy\":%s", s->proxy == ZG_PW_ALWAYS ? "true" : "false");
	put_about(out, "resources", s->policy.resources, s->policy.resource_count, arena);
	zg_buf_str(out, ",\"risk_tags\":");
	put_set(out, &s->policy.risk_tags, arena);
	if (s->command)
		zg_stdio_canonical(out, s->command);
	zg_buf_str(out, ",\"tools\":");
	put_tools(out, s->policy.tools, s->policy.tool_count, arena);
	zg_buf_fmt(out, ",\"transport\":\"%s\",\"trust_annotations\":%s,\"url\":",
		   transport[s->def.transport], s->def.trust_annotations ? "true" : "false");
	zg_buf_json(out, zg_slice_str(s->def.url));
	zg_buf_str(out, s->def.use == ZG_USE_WEBHOOK ? ",\"use\":\"webhook\"" : "");
	zg_buf_str(out, ",\"version\":");
	zg_buf_json(out, zg_slice_str(s->def.version));
	zg_buf_char(out, '}');
}

/* Who may use which server is part of what is decided. */
static void put_users(struct zg_buf *out, const struct zg_entry_src *s,
		      const struct zg_slice *profile_names, struct zg_arena *arena)
{
	struct zg_texts t = {
		zg_arena_alloc(arena, (s->policy.profile_count + 1) * sizeof(struct zg_slice)), 0};

	for (size_t i = 0; t.item && i < s->policy.profile_count; i++)
		t.item[t.count++] = profile_names[s->policy.profiles[i] - ZG_PROFILE_FIRST];
	put_set(out, &t, arena);
}

int zg_canonical(struct zg_buf *out, const struct zg_policy_src *p,
		 struct zg_entry_src *const *servers, size_t server_count,
		 const struct zg_slice *profile_names, struct zg_arena *arena)
{
	const struct zg_rule_src **rule = zg_policy_order(p, arena);

	if (!rule)
		return -ENOMEM;
	zg_buf_char(out, '{');
	put_classes(out, p, arena);
	zg_buf_fmt(out, "\"default_decision\":\"%s\",\"rules\":[",
		   zg_decision_text(p->default_decision));
	for (size_t i = 0; i < p->rule_count; i++) {
		zg_buf_str(out, i ? "," : "");
		put_rule(out, rule[i], arena);
	}
	zg_buf_str(out, "],\"servers\":[");
	for (size_t i = 0; i < server_count; i++) {
		zg_buf_str(out, i ? ",{\"entry\":" : "{\"entry\":");
		zg_canonical_server(out, servers[i], arena);
		zg_buf_str(out, ",\"profiles\":");
		put_users(out, servers[i], profile_names, arena);
		zg_buf_char(out, '}');
	}
	zg_buf_str(out, "],\"version\":\"v1\"}");
	return zg_arena_ok(arena) ? out->error : -ENOMEM;
}
