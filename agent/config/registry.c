/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry.c - see registry.h. Trust: registry files are the operator's, but
 * often copied from elsewhere: strict JSON, every member known. Opens and
 * resolves nothing.
 */
#include "registry_impl.h"

#include <errno.h>
#include <stdarg.h>

#include "digest.h"

#define META "dev.zerogate/registry"

void zg_registry_bad(struct zg_registry_reader *r, const struct zg_json_path *at, const char *fmt,
		     ...)
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
	if (t == JSON_NULL)
		return true;
	return t == JSON_TRUE ? json_is_boolean(j) : json_typeof(j) == t;
}

bool zg_registry_members(struct zg_registry_reader *r, const json_t *j,
			 const struct zg_json_path *at, const char *what,
			 const struct zg_registry_member *known, size_t count)
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
			zg_registry_bad(r, &here, "unknown member '%.128s' in %s", key, what);
			zg_diag_hint(r->ctx->diag, "remove it; the server.json schema of "
						   "2025-12-11 and zerogate.yaml(5) say what is "
						   "known");
		} else if (!is_type(value, known[i].type)) {
			zg_registry_bad(r, &here, "'%s' must be %s", key, type_name(known[i].type));
			zg_diag_hint(r->ctx->diag,
				     "zerogate.yaml(5) shows each member of an entry");
		} else if (known[i].take) {
			known[i].take(r, value, &here);
		}
	}
	for (size_t i = 0; i < count; i++)
		if (known[i].required && !json_object_get(j, known[i].key)) {
			zg_registry_bad(r, at, "%s has no '%s'", what, known[i].key);
			zg_diag_hint(r->ctx->diag,
				     "zerogate.yaml(5) shows an entry with what is required");
		}
	return r->ctx->diag->errors == before;
}

struct zg_slice zg_registry_keep(struct zg_registry_reader *r, struct zg_slice s,
				 const struct zg_json_path *at)
{
	char *copy = zg_arena_copy(r->ctx->arena, s);

	if (!copy)
		zg_registry_bad(r, at, "the file needs too much memory");
	return (struct zg_slice){copy, copy ? s.len : 0};
}

void zg_registry_copy(struct zg_registry_reader *r, const json_t *j, const struct zg_json_path *at,
		      char *out, size_t size)
{
	if (!zg_str_cut(out, size, zg_registry_text(j))) {
		zg_registry_bad(r, at, "longer than %zu bytes", size - 1);
		zg_diag_hint(r->ctx->diag, "shorten it");
	}
}

#define COPY(field)                                                                                \
	static void take_##field(struct zg_registry_reader *r, const json_t *j,                    \
				 const struct zg_json_path *at)                                    \
	{                                                                                          \
		zg_registry_copy(r, j, at, r->entry->def.field, sizeof(r->entry->def.field));      \
	}
COPY(name)
COPY(version)
COPY(owner)
#undef COPY

static void take_id(struct zg_registry_reader *r, const json_t *j, const struct zg_json_path *at)
{
	struct zg_slice id = zg_registry_text(j);

	if (!zg_word_ok(id, ZG_SERVER_LEN - 1) || strpbrk(json_string_value(j), "/:")) {
		zg_registry_bad(r, at, "'%.*s' is not a server id", ZG_FMT(id));
		zg_diag_hint(r->ctx->diag,
			     "letters, digits and . _ -, at most %d: it stands in a URL",
			     ZG_SERVER_LEN - 1);
		return;
	}
	(void)zg_str_cut(r->entry->def.id, sizeof(r->entry->def.id), id);
	r->entry->policy.id = zg_registry_keep(r, id, at);
}

static void take_meta(struct zg_registry_reader *r, const json_t *j, const struct zg_json_path *at)
{
	static const struct zg_registry_member known[] = {
		{"id", JSON_STRING, true, take_id},
		{"owner", JSON_STRING, false, take_owner},
		{"labels", JSON_OBJECT, false, zg_registry_take_labels},
		{"prompts", JSON_OBJECT, false, zg_registry_take_prompts},
		{"resources", JSON_OBJECT, false, zg_registry_take_resources},
		{"risk_tags", JSON_ARRAY, false, zg_registry_take_tags},
		{"trust_annotations", JSON_TRUE, false, zg_registry_take_trust},
		{"pinning", JSON_STRING, false, zg_registry_take_pinning},
		{"namespace", JSON_STRING, false, zg_registry_take_namespace},
		{"tools", JSON_OBJECT, false, zg_registry_take_tools},
		{"extensions", JSON_OBJECT, false, zg_registry_take_extensions},
		{"addresses", JSON_ARRAY, false, zg_registry_take_addresses},
		{"command", JSON_STRING, false, zg_registry_take_command},
		{"args", JSON_ARRAY, false, zg_registry_take_args},
		{"env", JSON_OBJECT, false, zg_registry_take_env},
		{"env_pass", JSON_ARRAY, false, zg_registry_take_env_pass},
		{"user", JSON_STRING, false, zg_registry_take_user},
		{"cwd", JSON_STRING, false, zg_registry_take_cwd},
		{"private_tmp", JSON_TRUE, false, zg_registry_take_private_tmp},
		{"limits", JSON_OBJECT, false, zg_registry_take_limits},
		{"network", JSON_ARRAY, false, zg_registry_take_network},
		{"restart", JSON_STRING, false, zg_registry_take_restart},
		{"sha256", JSON_STRING, false, zg_registry_take_sha256},
		{"local", JSON_TRUE, false, zg_registry_take_local},
		{"proxy", JSON_TRUE, false, zg_registry_take_proxy},
		{"use", JSON_STRING, false, zg_registry_take_use},
		{"auth", JSON_NULL, false, zg_registry_take_auth},
		{"ca_file", JSON_STRING, false, zg_registry_take_ca_file},
		{"pins", JSON_ARRAY, false, zg_registry_take_pins},
		{"passthrough", JSON_OBJECT, false, zg_registry_take_passthrough},
	};
	const struct zg_json_path here = {.up = at, .key = META};
	const json_t *ours = json_object_get(j, META);

	if (!json_is_object(ours)) {
		zg_registry_bad(r, at, "_meta has no object '%s'", META);
		zg_diag_hint(r->ctx->diag, "{\"id\": \"github\", \"tools\": {...}}: what policies "
					   "need to know of it");
		return;
	}
	(void)zg_registry_members(r, ours, &here, META, known, ZG_COUNT(known));
}

static void finish(struct zg_registry_reader *r)
{
	struct zg_entry_src *e = r->entry;

	if (!r->remote && !r->packages && !r->command) {
		zg_registry_bad(r, NULL,
				"the server has neither remotes nor packages nor a command");
		zg_diag_hint(r->ctx->diag,
			     "a server.json has remotes; a local server a command under _meta");
		return;
	}
	if (e->def.use == ZG_USE_KEYS && !r->remote) {
		zg_registry_bad(r, NULL, "\"use\": \"keys\" needs a remote, from which they come");
		zg_diag_hint(
			r->ctx->diag,
			"remotes: [{\"type\": \"streamable-http\", \"url\": \"https://...\"}]");
	}
	if (e->def.use == ZG_USE_WEBHOOK && !r->remote) {
		zg_registry_bad(r, NULL, "\"use\": \"webhook\" needs a remote, to which they go");
		zg_diag_hint(
			r->ctx->diag,
			"remotes: [{\"type\": \"streamable-http\", \"url\": \"https://...\"}]");
	}
	if (r->remote && r->command) {
		zg_registry_bad(r, NULL, "a server is remote or started by a command, not both");
		zg_diag_hint(r->ctx->diag, "remove remotes, or the command under _meta");
		return;
	}
	if (r->remote && r->packages)
		zg_diag_notice(r->ctx->diag, r->ctx->file, 0, 0,
			       "server '%s' has packages, too: its remote is used", e->def.id);
	if (r->remote)
		zg_registry_finish_remote(r);
	else
		zg_registry_finish_command(r);
}

static const struct zg_registry_member server_members[] = {
	{"$schema", JSON_STRING, false, NULL},
	{"name", JSON_STRING, true, take_name},
	{"title", JSON_STRING, false, NULL},
	{"description", JSON_STRING, true, NULL},
	{"version", JSON_STRING, true, take_version},
	{"websiteUrl", JSON_STRING, false, NULL},
	{"repository", JSON_OBJECT, false, NULL},
	{"icons", JSON_ARRAY, false, NULL},
	{"packages", JSON_ARRAY, false, zg_registry_take_packages},
	{"remotes", JSON_ARRAY, false, zg_registry_take_remotes},
	{"_meta", JSON_OBJECT, true, take_meta},
};

void zg_registry_parse(const struct zg_yaml_ctx *ctx, struct zg_slice text,
		       struct zg_registry_src *registry)
{
	struct zg_registry_reader r = {.ctx = ctx, .text = text};
	json_error_t error;
	json_t *root;

	if (text.len > ZG_CONFIG_FILE_BYTES) {
		zg_diag_error(ctx->diag, ctx->file, 0, 0, "larger than %d bytes",
			      ZG_CONFIG_FILE_BYTES);
		zg_diag_hint(ctx->diag, "a server.json is a few kilobytes");
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
		zg_diag_hint(ctx->diag, "JSON as in RFC 8259: UTF-8, no key twice, no comments");
	} else if (!json_is_object(root)) {
		zg_diag_error(ctx->diag, ctx->file, 1, 1, "a registry file holds one JSON object");
		zg_diag_hint(ctx->diag,
			     "{\"name\": ..., \"_meta\": {...}}: one server in each file");
	} else {
		r.entry->file = ctx->file;
		r.entry->text_bytes = text.len;
		zg_sha256(r.entry->text_sha256, text.ptr, text.len);
		r.entry->def.pinning = ZG_PINNING_FIRST_USE;
		if (zg_registry_members(&r, root, NULL, "a server", server_members,
					ZG_COUNT(server_members)))
			finish(&r);
		r.entry->next = registry->servers;
		registry->servers = r.entry;
		registry->count++;
	}
	json_decref(root);
}

void zg_registry_describe(struct zg_msg_ctl_server_submit *out, const struct zg_entry_src *e)
{
	*out = (struct zg_msg_ctl_server_submit){.bytes = (uint32_t)e->text_bytes};
	memcpy(out->id, e->def.id, sizeof(out->id));
	memcpy(out->owner, e->def.owner, sizeof(out->owner));
	memcpy(out->version, e->def.version, sizeof(out->version));
	(void)zg_str_cut(out->transport, sizeof(out->transport),
			 e->command			? ZG_SLICE("stdio")
			 : e->def.transport == ZG_T_SSE ? ZG_SLICE("sse")
							: ZG_SLICE("streamable-http"));
	(void)zg_str_cut(out->endpoint, sizeof(out->endpoint),
			 e->command ? e->command->path : zg_slice_str(e->def.url));
	memcpy(out->sha256, e->text_sha256, sizeof(out->sha256));
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
	if (r->count > ZG_SERVERS_MAX) {
		zg_diag_error(diag, "", 0, 0, "more than %d servers", ZG_SERVERS_MAX);
		zg_diag_hint(diag, "remove entries that nobody uses");
	}
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
			} else if (a->def.host[0] && a->def.port == b->def.port &&
				   strcmp(a->def.host, b->def.host) == 0) {
				zg_diag_error(diag, a->file, 0, 0,
					      "servers '%s' and '%s' share a host and port",
					      a->def.id, b->def.id);
				zg_diag_hint(diag,
					     "a redirected connection could be meant for "
					     "either; also in %s",
					     b->file);
			}
		}
	}
}
