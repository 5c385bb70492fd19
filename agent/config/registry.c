/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry.c - see registry.h. Trust: registry files are the operator's, but
 * often copied from elsewhere: strict JSON, every member known. Opens and
 * resolves nothing.
 */
#include "registry.h"

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>

#include "json_place.h"
#include "url.h"

#define META "dev.zerogate/registry"

struct reader {
	const struct zg_yaml_ctx *ctx;
	struct zg_slice text;
	struct zg_entry_src *entry;
	bool remote; /* has a URL to dial */
	bool packages;
	bool command;
};

typedef void member_fn(struct reader *r, const json_t *j, const struct zg_json_path *at);

struct member {
	const char *key;
	json_type type;
	bool required;
	member_fn *take; /* NULL: documentation, of no effect here */
};

ZG_PRINTF(3, 4)
static void bad(struct reader *r, const struct zg_json_path *at, const char *fmt, ...)
{
	char what[ZG_REASON_LEN * 2];
	uint32_t line, column;
	va_list ap;

	va_start(ap, fmt);
	if (vsnprintf(what, sizeof(what), fmt, ap) < 0)
		what[0] = '\0';
	va_end(ap);
	zg_json_place(r->text, at, &line, &column);
	zg_diag_error(r->ctx->diag, r->ctx->file, line, column, "%s", what);
}

static const char *type_name(json_type t)
{
	switch (t) {
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "an array";
	case JSON_STRING:
		return "a string";
	case JSON_INTEGER:
	case JSON_REAL:
		return "a number";
	case JSON_TRUE:
	case JSON_FALSE:
		return "true or false";
	case JSON_NULL:
		break;
	}
	return "null";
}

static bool is_type(const json_t *j, json_type t)
{
	return t == JSON_TRUE ? json_is_boolean(j) : json_typeof(j) == t;
}

static struct zg_slice text_of(const json_t *j)
{
	return (struct zg_slice){json_string_value(j), json_string_length(j)};
}

/* Every member of an object to its handler; the rest is an error. */
static bool members(struct reader *r, const json_t *j, const struct zg_json_path *at,
		    const char *what, const struct member *known, size_t count)
{
	const size_t before = r->ctx->diag->errors;
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)j, key, value)
	{
		const struct zg_json_path here = {.up = at, .key = key};
		size_t i = 0;

		while (i < count && strcmp(known[i].key, key) != 0)
			i++;
		if (i == count) {
			bad(r, &here, "unknown member '%.128s' in %s", key, what);
			zg_diag_hint(r->ctx->diag, "remove it; the server.json schema of "
						   "2025-12-11 and zerogate.yaml(5) say what is "
						   "known");
		} else if (!is_type(value, known[i].type)) {
			bad(r, &here, "'%s' must be %s", key, type_name(known[i].type));
		} else if (known[i].take) {
			known[i].take(r, value, &here);
		}
	}
	for (size_t i = 0; i < count; i++)
		if (known[i].required && !json_object_get(j, known[i].key))
			bad(r, at, "%s has no '%s'", what, known[i].key);
	return r->ctx->diag->errors == before;
}

static struct zg_slice keep(struct reader *r, struct zg_slice s, const struct zg_json_path *at)
{
	char *copy = zg_arena_copy(r->ctx->arena, s);

	if (!copy)
		bad(r, at, "the file needs too much memory");
	return (struct zg_slice){copy, copy ? s.len : 0};
}

static void copy(struct reader *r, const json_t *j, const struct zg_json_path *at, char *out,
		 size_t size)
{
	if (!zg_str_cut(out, size, text_of(j)))
		bad(r, at, "longer than %zu bytes", size - 1);
}

#define COPY(field)                                                                                \
	static void take_##field(struct reader *r, const json_t *j, const struct zg_json_path *at) \
	{                                                                                          \
		copy(r, j, at, r->entry->def.field, sizeof(r->entry->def.field));                  \
	}
COPY(name)
COPY(version)
COPY(owner)
#undef COPY

static void take_id(struct reader *r, const json_t *j, const struct zg_json_path *at)
{
	struct zg_slice id = text_of(j);

	if (!zg_word_ok(id, ZG_SERVER_LEN - 1) || strpbrk(json_string_value(j), "/:")) {
		bad(r, at, "'%.*s' is not a server id", ZG_FMT(id));
		zg_diag_hint(r->ctx->diag,
			     "letters, digits and . _ -, at most %d: it stands in a URL",
			     ZG_SERVER_LEN - 1);
		return;
	}
	(void)zg_str_cut(r->entry->def.id, sizeof(r->entry->def.id), id);
	r->entry->policy.id = keep(r, id, at);
}

static void read_labels(struct reader *r, const json_t *j, const struct zg_json_path *at,
			struct zg_labels_src *out)
{
	size_t n = json_object_size(j);
	const char *key;
	json_t *value;

	if (n > ZG_LABELS_MAX - 4) {
		bad(r, at, "more than %d labels", ZG_LABELS_MAX - 4);
		return;
	}
	out->item = zg_arena_alloc(r->ctx->arena, (n + 1) * sizeof(*out->item));
	if (!out->item) {
		bad(r, at, "the file needs too much memory");
		return;
	}
	json_object_foreach((json_t *)(uintptr_t)j, key, value)
	{
		const struct zg_json_path here = {.up = at, .key = key};
		struct zg_slice k = zg_slice_str(key);

		if (!json_is_string(value)) {
			bad(r, &here, "the value of a label must be a string");
			continue;
		}
		if (!zg_word_ok(k, 128) || zg_slice_starts(k, ZG_SLICE("mcp."))) {
			bad(r, &here, "'%.128s' is not a label that a registry may set", key);
			zg_diag_hint(r->ctx->diag, "letters, digits and . _ - / :; mcp.* is the "
						   "agent's own");
			continue;
		}
		out->item[out->count].key = keep(r, k, &here);
		out->item[out->count++].value = keep(r, text_of(value), &here);
	}
}

static void read_tags(struct reader *r, const json_t *j, const struct zg_json_path *at,
		      struct zg_texts *out)
{
	size_t n = json_array_size(j), i;
	json_t *value;

	if (n > ZG_RISK_TAGS_MAX) {
		bad(r, at, "more than %d risk tags", ZG_RISK_TAGS_MAX);
		return;
	}
	out->item = zg_arena_alloc(r->ctx->arena, (n + 1) * sizeof(*out->item));
	if (!out->item) {
		bad(r, at, "the file needs too much memory");
		return;
	}
	json_array_foreach((json_t *)(uintptr_t)j, i, value)
	{
		const struct zg_json_path here = {.up = at, .index = i};

		if (!json_is_string(value) || !zg_word_ok(text_of(value), 128)) {
			bad(r, &here, "a risk tag is a string of letters, digits and . _ - / :");
			continue;
		}
		out->item[out->count++] = keep(r, text_of(value), &here);
	}
}

static void take_labels(struct reader *r, const json_t *j, const struct zg_json_path *at)
{
	read_labels(r, j, at, &r->entry->policy.labels);
}

static void take_tags(struct reader *r, const json_t *j, const struct zg_json_path *at)
{
	read_tags(r, j, at, &r->entry->policy.risk_tags);
}

static void take_trust(struct reader *r, const json_t *j, const struct zg_json_path *at)
{
	if (!json_is_true(j))
		return;
	bad(r, at, "trust_annotations: true is not implemented in this version");
	zg_diag_hint(r->ctx->diag, "classify the server's tools under \"tools\"");
}

/* One tool's class; jansson gives them in file order, compile.c sorts them. */
static void take_tool(struct reader *r, struct zg_tool_src *tool, const json_t *j,
		      const struct zg_json_path *at)
{
	const char *key;
	json_t *value;

	if (!json_is_object(j)) {
		bad(r, at, "a tool's class must be an object");
		return;
	}
	json_object_foreach((json_t *)(uintptr_t)j, key, value)
	{
		const struct zg_json_path here = {.up = at, .key = key};
		struct zg_slice text = json_is_string(value) ? text_of(value) : ZG_SLICE("");

		if (strcmp(key, "action") == 0) {
			if (zg_slice_eq(text, ZG_SLICE("read")))
				tool->action = ZG_ACTION_READ;
			else if (!zg_slice_eq(text, ZG_SLICE("write")))
				bad(r, &here, "an action is \"read\" or \"write\"");
		} else if (strcmp(key, "risk_tags") == 0 && json_is_array(value)) {
			tool->has_risk_tags = true;
			read_tags(r, value, &here, &tool->risk_tags);
		} else if (strcmp(key, "labels") == 0 && json_is_object(value)) {
			read_labels(r, value, &here, &tool->labels);
		} else {
			bad(r, &here, "unknown or misshapen member '%.128s' in a tool's class",
			    key);
			zg_diag_hint(r->ctx->diag, "action, risk_tags [..], labels {..}");
		}
	}
	if (!json_object_get(j, "action"))
		bad(r, at, "a tool's class has no 'action'");
}

static void take_tools(struct reader *r, const json_t *j, const struct zg_json_path *at)
{
	struct zg_server_src *s = &r->entry->policy;
	const char *key;
	json_t *value;

	s->tools = zg_arena_alloc(r->ctx->arena, (json_object_size(j) + 1) * sizeof(*s->tools));
	if (!s->tools) {
		bad(r, at, "the file needs too much memory");
		return;
	}
	json_object_foreach((json_t *)(uintptr_t)j, key, value)
	{
		const struct zg_json_path here = {.up = at, .key = key};
		struct zg_tool_src *tool = &s->tools[s->tool_count];

		if (!key[0] || strlen(key) >= ZG_TOOL_LEN) {
			bad(r, &here, "a tool's name has 1 to %d bytes", ZG_TOOL_LEN - 1);
			continue;
		}
		tool->pattern = keep(r, zg_slice_str(key), &here);
		take_tool(r, tool, value, &here);
		s->tool_count++;
	}
}

static void take_addresses(struct reader *r, const json_t *j, const struct zg_json_path *at)
{
	struct zg_entry_src *e = r->entry;
	json_t *value;
	size_t i;

	if (json_array_size(j) > ZG_ENDPOINTS_PER_SERVER) {
		bad(r, at, "more than %d addresses", ZG_ENDPOINTS_PER_SERVER);
		return;
	}
	json_array_foreach((json_t *)(uintptr_t)j, i, value)
	{
		const struct zg_json_path here = {.up = at, .index = i};

		if (!json_is_string(value) ||
		    zg_addr_parse(text_of(value), e->address[e->address_count]) < 0)
			bad(r, &here, "an address is a string such as \"127.0.0.1\" or \"::1\"");
		else
			e->address_count++;
	}
}

static void take_command(struct reader *r, const json_t *j, const struct zg_json_path *at)
{
	r->command = true;
	if (!json_string_length(j))
		bad(r, at, "the command is empty");
}

static void take_packages(struct reader *r, const json_t *j, const struct zg_json_path *at)
{
	(void)at;
	r->packages = json_array_size(j) > 0;
}

static void take_sha256(struct reader *r, const json_t *j, const struct zg_json_path *at)
{
	const char *s = json_string_value(j);

	if (strlen(s) != 64 || strspn(s, "0123456789abcdef") != 64)
		bad(r, at, "sha256 must be 64 lower-case hex digits");
}

static void take_meta(struct reader *r, const json_t *j, const struct zg_json_path *at)
{
	static const struct member known[] = {
		{"id", JSON_STRING, true, take_id},
		{"owner", JSON_STRING, false, take_owner},
		{"labels", JSON_OBJECT, false, take_labels},
		{"risk_tags", JSON_ARRAY, false, take_tags},
		{"trust_annotations", JSON_TRUE, false, take_trust},
		{"tools", JSON_OBJECT, false, take_tools},
		{"addresses", JSON_ARRAY, false, take_addresses},
		{"command", JSON_STRING, false, take_command},
		{"args", JSON_ARRAY, false, NULL},
		{"sha256", JSON_STRING, false, take_sha256},
	};
	const struct zg_json_path here = {.up = at, .key = META};
	const json_t *ours = json_object_get(j, META);

	if (!json_is_object(ours)) {
		bad(r, at, "_meta has no object '%s'", META);
		zg_diag_hint(r->ctx->diag, "{\"id\": \"github\", \"tools\": {...}}: what policies "
					   "need to know of it");
		return;
	}
	(void)members(r, ours, &here, META, known, ZG_COUNT(known));
}

static void take_url(struct reader *r, const json_t *j, const struct zg_json_path *at)
{
	const char *wrong = zg_url_parse(text_of(j), &r->entry->def);

	if (!wrong)
		return;
	bad(r, at, "url: %s", wrong);
	zg_diag_hint(r->ctx->diag, "https://host[:port]/path");
}

static void take_remotes(struct reader *r, const json_t *j, const struct zg_json_path *at)
{
	static const struct member known[] = {
		{"type", JSON_STRING, true, NULL},
		{"url", JSON_STRING, true, take_url},
		{"headers", JSON_ARRAY, false, NULL},
	};
	const char *type;

	if (json_array_size(j) == 1) {
		const struct zg_json_path here = {.up = at, .index = 0};
		const json_t *remote = json_array_get(j, 0);

		if (!json_is_object(remote)) {
			bad(r, &here, "a remote must be an object");
			return;
		}
		r->remote = true;
		if (!members(r, remote, &here, "a remote", known, ZG_COUNT(known)))
			return;
		type = json_string_value(json_object_get(remote, "type"));
		if (strcmp(type, "sse") == 0)
			r->entry->def.transport = ZG_T_SSE;
		else if (strcmp(type, "streamable-http") != 0)
			bad(r, &here, "a remote's type is \"streamable-http\" or \"sse\"");
	} else if (json_array_size(j) > 1) {
		bad(r, at, "more than one remote");
		zg_diag_hint(r->ctx->diag,
			     "keep the one that is to be used: each opens an endpoint");
	}
}

/* Addresses that need no resolver. */
static void find_addresses(struct reader *r)
{
	struct zg_entry_src *e = r->entry;
	struct zg_slice host = zg_slice_str(e->def.host);
	uint8_t literal[16];

	if (zg_addr_parse(host, literal) == 0) {
		if (e->address_count)
			bad(r, NULL, "the URL's host is an address, so 'addresses' must go");
		memcpy(e->address[0], literal, sizeof(literal));
		e->address_count = 1;
	} else if (!e->address_count && zg_slice_eq(host, ZG_SLICE("localhost"))) {
		(void)zg_addr_parse(ZG_SLICE("127.0.0.1"), e->address[0]);
		(void)zg_addr_parse(ZG_SLICE("::1"), e->address[1]);
		e->address_count = 2;
	}
}

static void finish(struct reader *r)
{
	struct zg_entry_src *e = r->entry;

	if (!r->remote && !r->packages && !r->command) {
		bad(r, NULL, "the server has neither remotes nor packages nor a command");
		return;
	}
	if (r->remote && r->command) {
		bad(r, NULL, "a server is remote or started by a command, not both");
		zg_diag_hint(r->ctx->diag, "remove remotes, or the command under _meta");
		return;
	}
	if (r->remote && r->packages)
		zg_diag_notice(r->ctx->diag, r->ctx->file, 0, 0,
			       "server '%s' has packages, too: its remote is used", e->def.id);
	if (!r->remote) {
		e->def.transport = ZG_T_STDIO;
		zg_diag_notice(r->ctx->diag, r->ctx->file, 0, 0,
			       "server '%s' is local (stdio): not served yet", e->def.id);
		return;
	}
	find_addresses(r);
	if (!e->address_count) {
		zg_diag_notice(r->ctx->diag, r->ctx->file, 0, 0,
			       "server '%s' is unreachable: no address of '%s' is known", e->def.id,
			       e->def.host);
		zg_diag_hint(r->ctx->diag, "names are not resolved in this version; add "
					   "\"addresses\": [...] to its _meta");
	}
	if (e->def.transport == ZG_T_SSE)
		zg_diag_notice(r->ctx->diag, r->ctx->file, 0, 0,
			       "server '%s' speaks HTTP+SSE of 2024-11-05: not served yet",
			       e->def.id);
}

static const struct member server_members[] = {
	{"$schema", JSON_STRING, false, NULL},
	{"name", JSON_STRING, true, take_name},
	{"title", JSON_STRING, false, NULL},
	{"description", JSON_STRING, true, NULL},
	{"version", JSON_STRING, true, take_version},
	{"websiteUrl", JSON_STRING, false, NULL},
	{"repository", JSON_OBJECT, false, NULL},
	{"icons", JSON_ARRAY, false, NULL},
	{"packages", JSON_ARRAY, false, take_packages},
	{"remotes", JSON_ARRAY, false, take_remotes},
	{"_meta", JSON_OBJECT, true, take_meta},
};

void zg_registry_parse(const struct zg_yaml_ctx *ctx, struct zg_slice text,
		       struct zg_registry_src *registry)
{
	struct reader r = {.ctx = ctx, .text = text};
	json_error_t error;
	json_t *root;

	if (text.len > ZG_CONFIG_FILE_BYTES) {
		zg_diag_error(ctx->diag, ctx->file, 0, 0, "larger than %d bytes",
			      ZG_CONFIG_FILE_BYTES);
		return;
	}
	r.entry = zg_arena_alloc(ctx->arena, sizeof(*r.entry));
	root = r.entry ? json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES, &error) : NULL;
	if (!r.entry) {
		zg_diag_error(ctx->diag, ctx->file, 0, 0, "the file needs too much memory");
	} else if (!root) {
		zg_diag_error(ctx->diag, ctx->file, error.line > 0 ? (uint32_t)error.line : 1,
			      error.column > 0 ? (uint32_t)error.column : 1, "not JSON: %s",
			      error.text);
	} else if (!json_is_object(root)) {
		zg_diag_error(ctx->diag, ctx->file, 1, 1, "a registry file holds one JSON object");
	} else {
		r.entry->file = ctx->file;
		if (members(&r, root, NULL, "a server", server_members, ZG_COUNT(server_members)))
			finish(&r);
		r.entry->next = registry->servers;
		registry->servers = r.entry;
		registry->count++;
	}
	json_decref(root);
}

static bool share_endpoint(const struct zg_entry_src *a, const struct zg_entry_src *b)
{
	if (a->def.port != b->def.port)
		return false;
	for (size_t i = 0; i < a->address_count; i++)
		for (size_t j = 0; j < b->address_count; j++)
			if (memcmp(a->address[i], b->address[j], 16) == 0)
				return true;
	return false;
}

void zg_registry_check(const struct zg_registry_src *r, struct zg_diag *diag)
{
	if (r->count > ZG_SERVERS_MAX)
		zg_diag_error(diag, "", 0, 0, "more than %d servers", ZG_SERVERS_MAX);
	for (const struct zg_entry_src *a = r->servers; a; a = a->next) {
		for (const struct zg_entry_src *b = a->next; b; b = b->next) {
			if (zg_slice_ieq(a->policy.id, b->policy.id)) {
				zg_diag_error(diag, a->file, 0, 0,
					      "server id '%s' is registered twice", a->def.id);
				zg_diag_hint(diag, "also in %s (case does not count)", b->file);
			} else if (share_endpoint(a, b)) {
				zg_diag_error(diag, a->file, 0, 0,
					      "servers '%s' and '%s' share an address and port",
					      a->def.id, b->def.id);
				zg_diag_hint(diag,
					     "a redirected connection could be meant for "
					     "either; also in %s",
					     b->file);
			}
		}
	}
}
