/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot_build.c - see build.h. Trust: file texts may be anything; their
 * readers refuse or bound it. Never opens a file and never talks to anybody.
 */
#include "build.h"

#include <errno.h>

#include "canonical.h"
#include "compile.h"
#include "digest.h"
#include "grants.h"
#include "hosts.h"
#include "narrowed.h"
#include "parse.h"
#include "proxy.h"
#include "registry.h"
#include "scan.h"
#include "settings.h"
#include "policy_signature.h"
#include "snapshot.h"
#include "auth.h"
#include "stdio_build.h"
#include "tables.h"
#include "unix_sockets.h"

struct zg_build {
	struct zg_arena arena;
	struct zg_diag *diag;
	struct zg_settings_src settings;
	struct zg_policy_src policy;
	struct zg_registry_src registry;
	struct zg_entry_src **server; /* sorted by id */
	struct zg_settings resolv;    /* dns alone, as resolv.conf says */
	size_t mains;
	const struct zg_host_address *resolved; /* by whoever asked */
	size_t resolved_count;
	struct zg_buf auth_keys; /* struct zg_auth_key[] */
	uint32_t jwks;		 /* files of keys that were read */
	const struct zg_fetched_keys *fetched;
	size_t fetched_count;
	struct zg_policy_src shadow;
	struct zg_diag shadow_diag; /* its errors are nobody else's */
	size_t shadows;		    /* files of it */
	uint8_t signer[ZG_SIGNERS_MAX][ZG_SIGN_KEY];
	uint32_t signers; /* files of them */
	struct zg_signatures signatures;
	const char *signed_in; /* the file of those; NULL = none */
	bool unsigned_will_do;
	struct zg_buf *canonical;	 /* whoever wants to read what the id is of */
	struct file_text *files, **last; /* in their order; the ledger's are not among them */
};

/* A file as it was read, for who must know what the files alone say. */
struct file_text {
	enum zg_config_file kind;
	const char *name;
	struct zg_slice text;
	struct file_text *next;
};

/* What is put together before the header is written. */
struct sections {
	struct zg_buf buf[ZG_S_MAX];
};

struct zg_build *zg_build_new(struct zg_diag *diag)
{
	struct zg_build *b = calloc(1, sizeof(*b));

	if (b) {
		zg_arena_init(&b->arena, ZG_BUILD_BYTES);
		b->diag = diag;
		b->last = &b->files;
		b->auth_keys = ZG_BUF(ZG_LISTEN_MAX * ZG_ISSUERS_MAX * ZG_AUTH_KEYS_MAX *
				      sizeof(struct zg_auth_key));
	}
	return b;
}

void zg_build_free(struct zg_build *b)
{
	if (!b)
		return;
	zg_buf_release(&b->auth_keys);
	zg_diag_release(&b->shadow_diag);
	zg_arena_release(&b->arena);
	free(b);
}

/* Keys in files, in the order in which the settings name them. */
static void add_signer(struct zg_build *b, const char *file, struct zg_slice text)
{
	if (b->signers == ZG_SIGNERS_MAX)
		return; /* check_signed counts them */
	if (zg_sign_key(text, b->signer[b->signers++]) < 0) {
		zg_diag_error(b->diag, file, 0, 0, "it is not the public key of a signer");
		zg_diag_hint(b->diag, "Ed25519: PEM, or 32 bytes in base64");
	}
}

static void add_signatures(struct zg_build *b, const char *file, struct zg_slice text)
{
	struct zg_err e;

	if (zg_signatures_read(text, file, &b->signatures, &e) == 0)
		b->signed_in = file;
	else if (b->settings.settings.require_signed)
		zg_diag_add(b->diag, &e);
}

static void add_shadow(struct zg_build *b, const struct zg_yaml_ctx *ctx, struct zg_slice text)
{
	const struct zg_yaml_ctx own = {ctx->file, ctx->arena, &b->shadow_diag};

	b->shadows++;
	zg_policy_parse(&own, text, &b->shadow);
}

static bool keep(struct zg_build *b, enum zg_config_file kind, const char *name,
		 struct zg_slice text)
{
	struct file_text *f = zg_arena_alloc(&b->arena, sizeof(*f));
	const char *copy = f ? zg_arena_copy(&b->arena, text) : NULL;

	if (!copy)
		return false;
	*f = (struct file_text){kind, name, {copy, text.len}, NULL};
	*b->last = f;
	b->last = &f->next;
	return true;
}

void zg_build_canonical(struct zg_build *b, struct zg_buf *out)
{
	b->canonical = out;
}

void zg_build_unsigned(struct zg_build *b)
{
	b->unsigned_will_do = true;
}

void zg_build_add(struct zg_build *b, enum zg_config_file kind, const char *name,
		  struct zg_slice text)
{
	struct zg_yaml_ctx ctx = {zg_arena_copy(&b->arena, zg_slice_str(name)), &b->arena, b->diag};

	if (!ctx.file ||
	    (kind != ZG_CF_REGISTRY && kind != ZG_CF_SHADOW && !keep(b, kind, ctx.file, text))) {
		zg_diag_error(b->diag, name, 0, 0, "the files need too much memory together");
		return;
	}
	switch (kind) {
	case ZG_CF_MAIN:
		if (b->mains++ == 0)
			zg_settings_parse(&ctx, text, &b->settings);
		else
			zg_diag_error(b->diag, name, 0, 0, "a second main configuration file");
		return;
	case ZG_CF_POLICY:
		zg_policy_parse(&ctx, text, &b->policy);
		return;
	case ZG_CF_SERVER:
		zg_registry_parse(&ctx, text, &b->registry);
		return;
	case ZG_CF_REGISTRY:
		zg_registry_state_parse(&ctx, text, &b->registry);
		return;
	case ZG_CF_RESOLV:
		zg_resolv_parse(text, &b->resolv);
		return;
	case ZG_CF_ADDRESSES:
		b->resolved = (const void *)zg_arena_copy(&b->arena, text);
		b->resolved_count = b->resolved ? text.len / sizeof(*b->resolved) : 0;
		return;
	case ZG_CF_JWKS:
		zg_jwks_parse(zg_build_settings(b), b->jwks++, ctx.file, text, b->diag,
			      &b->auth_keys);
		return;
	case ZG_CF_FETCHED:
		b->fetched = (const void *)zg_arena_copy(&b->arena, text);
		b->fetched_count = b->fetched ? text.len / sizeof(*b->fetched) : 0;
		return;
	case ZG_CF_SHADOW:
		add_shadow(b, &ctx, text);
		return;
	case ZG_CF_SIGNER:
		add_signer(b, ctx.file, text);
		return;
	case ZG_CF_SIGNATURE:
		add_signatures(b, ctx.file, text);
		return;
	case ZG_CF_KINDS:
		return;
	}
}

int zg_build_users(struct zg_build *b, zg_user_fn *find, void *arg)
{
	int r = b->diag->errors ? 0 : zg_policy_users(&b->policy, &b->arena, find, arg);

	if (r == 0 && !b->shadow_diag.errors)
		r = zg_policy_users(&b->shadow, &b->arena, find, arg);
	if (r == -E2BIG)
		zg_diag_error(b->diag, "", 0, 0, "the policies name more than %d users",
			      ZG_POLICY_USERS_MAX);
	return r == -E2BIG ? 0 : r;
}

const struct zg_settings *zg_build_settings(const struct zg_build *b)
{
	return &b->settings.settings;
}

bool zg_build_submitted(const struct zg_build *b, size_t n, struct zg_msg_config_server *out)
{
	const struct zg_entry_src *e = b->registry.submitted;
	struct zg_msg_ctl_server_submit *m = &out->entry;

	while (e && n--)
		e = e->next;
	if (!e)
		return false;
	*out = (struct zg_msg_config_server){0};
	zg_registry_describe(m, e);
	(void)zg_str_cut(m->reason, sizeof(m->reason), zg_slice_str(e->file));
	(void)zg_str_cut(out->file, sizeof(out->file), zg_slice_str(e->file));
	return true;
}

static int by_server(const void *a, const void *b)
{
	return strcmp((*(struct zg_entry_src *const *)a)->def.id,
		      (*(struct zg_entry_src *const *)b)->def.id);
}

static bool sort_servers(struct zg_build *b)
{
	size_t n = 0;

	b->server =
		zg_arena_alloc(&b->arena, (b->registry.count + 1) * sizeof(struct zg_entry_src *));
	if (!b->server)
		return false;
	for (struct zg_entry_src *s = b->registry.servers; s; s = s->next)
		b->server[n++] = s;
	qsort(b->server, n, sizeof(struct zg_entry_src *), by_server);
	return true;
}

/* Where the names of servers lead to; of the entry itself this is no part. */
static void add_resolved(struct zg_build *b)
{
	for (size_t i = 0; i < b->resolved_count; i++) {
		struct zg_host_address at;

		memcpy(&at, &b->resolved[i], sizeof(at));
		at.host[sizeof(at.host) - 1] = '\0';
		for (struct zg_entry_src *s = b->registry.servers; s; s = s->next)
			if (s->def.by_name && s->address_count < ZG_ENDPOINTS_PER_SERVER &&
			    strcmp(s->def.host, at.host) == 0)
				memcpy(s->address[s->address_count++], at.addr, sizeof(at.addr));
		zg_proxy_add_resolved(&b->settings.settings.proxy, at.host, at.addr);
	}
}

static bool profile_lists(const struct zg_profile_src *p, struct zg_slice id)
{
	for (size_t i = 0; i < p->servers.count; i++)
		if (zg_star_match(p->servers.item[i], id))
			return true;
	return false;
}

/* Each local server is governed by a profile of its own, behind those of the file. */
static int add_server_profiles(struct zg_build *b)
{
	struct zg_settings_src *s = &b->settings;
	struct zg_profile_src *all = zg_arena_alloc(
		&b->arena, (s->profile_count + b->registry.count + 1) * sizeof(*all));
	size_t n = s->profile_count;

	if (!all)
		return -ENOMEM;
	if (n)
		memcpy(all, s->profiles, n * sizeof(*all));
	for (size_t i = 0; i < b->registry.count; i++)
		if (b->server[i]->command)
			all[n++] = b->server[i]->command->profile;
	if (n > ZG_PROFILE_CANARY - ZG_PROFILE_FIRST) {
		zg_diag_error(b->diag, s->file, 0, 0, "more than %d profiles and local servers",
			      ZG_PROFILE_CANARY - ZG_PROFILE_FIRST);
		return -EINVAL;
	}
	s->profiles = all;
	s->profile_count = n;
	return zg_narrowed_build(s, &b->policy, b->server, b->registry.count, &b->arena, b->diag);
}

/* An entry may have been withdrawn: its issuer has no keys then. */
static void check_issuers(struct zg_build *b)
{
	const struct zg_settings *s = &b->settings.settings;

	for (uint32_t l = 0; l < s->listen_count; l++)
		for (uint32_t i = 0; i < s->auth[l].issuer_count; i++) {
			const struct zg_issuer *is = &s->auth[l].issuer[i];
			bool found = !is->server[0];

			for (size_t j = 0; j < b->registry.count && !found; j++)
				found = b->server[j]->def.use == ZG_USE_KEYS &&
					strcmp(b->server[j]->def.id, is->server) == 0;
			if (!found)
				zg_diag_notice(
					b->diag, b->settings.file, 0, 0,
					"no entry '%s' with \"use\": \"keys\" is registered: "
					"tokens of %s are refused",
					is->server, is->issuer);
		}
}

/* Likewise, of where notifications are posted. */
static void check_webhook(struct zg_build *b)
{
	const char *id = b->settings.settings.notify.server;
	bool found = !id[0];

	for (size_t i = 0; i < b->registry.count && !found; i++)
		found = b->server[i]->def.use == ZG_USE_WEBHOOK &&
			strcmp(b->server[i]->def.id, id) == 0;
	if (!found)
		zg_diag_notice(b->diag, b->settings.file, 0, 0,
			       "no entry '%s' with \"use\": \"webhook\" is registered: no "
			       "notification is posted",
			       id);
}

/* Who may use which server; a name that matches none is worth a word. */
static bool join_profiles(struct zg_build *b)
{
	const struct zg_settings_src *s = &b->settings;

	for (size_t i = 0; i < b->registry.count; i++) {
		struct zg_server_src *server = &b->server[i]->policy;

		server->profiles = zg_arena_alloc(&b->arena, (s->profile_count + 1) *
								     sizeof(*server->profiles));
		if (!server->profiles)
			return false;
		for (uint32_t p = 0; p < s->profile_count; p++)
			if (b->server[i]->def.use == ZG_USE_MCP &&
			    profile_lists(&s->profiles[p], server->id))
				server->profiles[server->profile_count++] = ZG_PROFILE_FIRST + p;
	}
	for (size_t p = 0; p < s->profile_count; p++) {
		for (size_t i = 0; i < s->profiles[p].servers.count; i++) {
			struct zg_slice pattern = s->profiles[p].servers.item[i];
			bool any = zg_slice_eq(pattern, ZG_SLICE("*"));

			for (size_t j = 0; j < b->registry.count && !any; j++)
				any = zg_star_match(pattern, b->server[j]->policy.id);
			if (!any)
				zg_diag_notice(b->diag, s->file, s->profiles[p].servers_line,
					       s->profiles[p].servers_column,
					       "no registered server matches '%.*s'",
					       ZG_FMT(pattern));
		}
	}
	return true;
}

static void put_profiles(const struct zg_build *b, struct sections *s)
{
	for (uint32_t i = 0; i < b->settings.profile_count; i++) {
		const struct zg_profile_src *p = &b->settings.profiles[i];
		struct zg_profile_def def = {.mode = p->mode,
					     .shadow_wire = p->shadow_wire,
					     .asks = p->ask,
					     .narrows = p->narrows,
					     .shadow_stdio = p->shadow_stdio};

		(void)zg_str_cut(def.name, sizeof(def.name), p->name);
		zg_buf_add(&s->buf[ZG_S_PROFILES], &def, sizeof(def));
		for (size_t j = 0; j < p->cgroups.count; j++) {
			struct zg_cgroup_def cg = {.profile = ZG_PROFILE_FIRST + i};

			(void)zg_str_cut(cg.glob, sizeof(cg.glob), p->cgroups.item[j]);
			zg_buf_add(&s->buf[ZG_S_CGROUPS], &cg, sizeof(cg));
		}
		for (size_t j = 0; j < p->exec_deny.count; j++) {
			struct zg_exec_def exec = {.profile = ZG_PROFILE_FIRST + i};

			(void)zg_str_cut(exec.path, sizeof(exec.path), p->exec_deny.item[j]);
			zg_buf_add(&s->buf[ZG_S_EXECS], &exec, sizeof(exec));
		}
	}
}

static int by_endpoint(const void *a, const void *b)
{
	const struct zg_endpoint_def *x = a, *y = b;
	int c = memcmp(x->addr, y->addr, sizeof(x->addr));

	return c ? c : (int)x->port - (int)y->port;
}

static void put_servers(struct zg_build *b, struct sections *s)
{
	struct zg_buf *endpoints = &s->buf[ZG_S_ENDPOINTS];
	zg_autobuf text = ZG_BUF(ZG_SNAPSHOT_BYTES);

	for (size_t i = 0; i < b->registry.count; i++) {
		struct zg_entry_src *e = b->server[i];

		zg_buf_reset(&text);
		zg_canonical_server(&text, e, &b->arena);
		zg_sha256(e->def.sha256, text.ptr, text.len);
		e->def.endpoint_count = (uint32_t)e->address_count;
		zg_buf_add(&s->buf[ZG_S_SERVERS], &e->def, sizeof(e->def));
		for (size_t j = 0; j < e->credential_count; j++) {
			e->credential[j].server = (uint32_t)i;
			zg_buf_add(&s->buf[ZG_S_CREDENTIALS], &e->credential[j],
				   sizeof(e->credential[j]));
		}
		for (size_t j = 0; j < e->address_count; j++) {
			struct zg_endpoint_def def = {.port = e->def.port, .server = (uint16_t)i};

			memcpy(def.addr, e->address[j], sizeof(def.addr));
			zg_buf_add(endpoints, &def, sizeof(def));
		}
	}
	if (zg_buf_ok(endpoints) && endpoints->len)
		qsort(endpoints->ptr, endpoints->len / sizeof(struct zg_endpoint_def),
		      sizeof(struct zg_endpoint_def), by_endpoint);
}

static int put_tables(struct zg_build *b, struct sections *s, struct zg_build_counts *counts)
{
	struct zg_grants grants = {0};
	struct zg_gate_tables t = {0};
	uint32_t number = UINT32_MAX;
	struct zg_err e;
	int r = zg_grants_build(&grants, &b->settings, b->server, b->registry.count, &e);

	if (r == 0)
		r = zg_gate_tables_build(&t, grants.item, grants.count, &number, &e);
	zg_grants_release(&grants);
	if (r < 0) {
		const struct zg_entry *at = zg_grants_entry(&b->settings, number);

		zg_diag_error(b->diag, b->settings.file, at ? at->line : 0, at ? at->column : 0,
			      "%s", e.what);
		return r;
	}
	zg_buf_add(&s->buf[ZG_S_PREFIXES], t.prefixes, t.prefix_count * sizeof(*t.prefixes));
	zg_buf_add(&s->buf[ZG_S_RULES], t.rules, t.rule_count * sizeof(*t.rules));
	counts->prefixes = t.prefix_count;
	counts->kernel_rules = t.rule_count;
	zg_gate_tables_release(&t);
	return 0;
}

static int put_names(struct zg_build *b, struct sections *s)
{
	const struct zg_entry *at = NULL;
	int r = zg_hosts_build(&b->settings, b->server, b->registry.count, &s->buf[ZG_S_NAMES],
			       &at);

	if (r == -E2BIG)
		zg_diag_error(b->diag, b->settings.file, at->line, at->column,
			      "more than %d ports and ranges for one host name", ZG_PORT_RULES_MAX);
	return r;
}

static struct zg_slice *profile_names(struct zg_build *b)
{
	struct zg_slice *names =
		zg_arena_alloc(&b->arena, (b->settings.profile_count + 1) * sizeof(*names));

	for (size_t i = 0; names && i < b->settings.profile_count; i++)
		names[i] = b->settings.profiles[i].name;
	return names;
}

/* The policy on trial, with the registry in force. Whatever is wrong with it is
 * written down for people, and nothing else. */
static int put_shadow(struct zg_build *b, struct sections *s, struct zg_server_src *server,
		      const struct zg_slice *names)
{
	struct zg_shadow_def def = {.rules = (uint32_t)b->shadow.rule_count};
	zg_autobuf section = ZG_BUF(ZG_SNAPSHOT_BYTES);
	zg_autobuf text = ZG_BUF(ZG_SNAPSHOT_BYTES);
	struct zg_err e = {0};

	if (!b->shadows)
		return 0;
	if (!names)
		return -ENOMEM;
	zg_policy_check(&b->shadow, &b->arena, &b->shadow_diag);
	if (!b->shadow_diag.errors &&
	    (zg_policy_compile(&b->shadow, server, b->registry.count, &b->arena, &section, &e) <
		     0 ||
	     zg_canonical(&text, &b->shadow, b->server, b->registry.count, names, &b->arena) < 0))
		zg_diag_add(&b->shadow_diag, &e);
	if (b->shadow_diag.errors) {
		const struct zg_err *first = &b->shadow_diag.item[0];

		for (size_t i = 0; i < b->shadow_diag.kept && b->shadow_diag.notice[i]; i++)
			first = &b->shadow_diag.item[i + 1];
		def.broken = 1;
		def.line = first->line;
		def.column = first->column;
		memcpy(def.file, first->file, sizeof(def.file));
		memcpy(def.what, first->what, sizeof(def.what));
		zg_diag_notice(b->diag, def.file, def.line, def.column, "shadow policy: %.200s",
			       def.what);
	} else {
		zg_sha256(def.id, text.ptr, text.len);
		zg_buf_add(&s->buf[ZG_S_SHADOW_POLICY], section.ptr, section.len);
	}
	zg_buf_add(&s->buf[ZG_S_SHADOW], &def, sizeof(def));
	return 0;
}

static int put_policy(struct zg_build *b, struct sections *s)
{
	struct zg_server_src *server =
		zg_arena_alloc(&b->arena, (b->registry.count + 1) * sizeof(*server));
	struct zg_err e;
	int r;

	if (!server)
		return -ENOMEM;
	for (size_t i = 0; i < b->registry.count; i++)
		server[i] = b->server[i]->policy;
	r = zg_policy_compile(&b->policy, server, b->registry.count, &b->arena,
			      &s->buf[ZG_S_POLICY], &e);
	if (r < 0)
		zg_diag_add(b->diag, &e);
	return r < 0 ? r : put_shadow(b, s, server, profile_names(b));
}

static int put_scandb(struct zg_build *b, struct sections *s)
{
	struct zg_err e = {0};
	int r = zg_scandb_build(&s->buf[ZG_S_SCANDB], &e);

	if (r < 0)
		zg_diag_add(b->diag, &e);
	return r;
}

static int snapshot_id(struct zg_build *b, uint8_t id[32])
{
	zg_autobuf text = ZG_BUF(ZG_SNAPSHOT_BYTES);
	struct zg_slice *names = profile_names(b);
	int r;

	if (!names)
		return -ENOMEM;
	r = zg_canonical(&text, &b->policy, b->server, b->registry.count, names, &b->arena);
	if (r == 0)
		zg_sha256(id, text.ptr, text.len);
	if (r == 0 && b->canonical)
		zg_buf_add(b->canonical, text.ptr, text.len);
	return r;
}

/* People sign files. What the ledger has decided since, the revocation of a server
 * above all, is in force without another signature. */
static int signed_id(struct zg_build *b, const uint8_t id[32], uint8_t out[32])
{
	zg_autobuf ignored = ZG_BUF(ZG_SNAPSHOT_BYTES);
	struct zg_diag diag = {0};
	struct zg_build *alone;
	int r = -ENOMEM;

	if (!b->registry.marks) {
		memcpy(out, id, 32);
		return 0;
	}
	alone = zg_build_new(&diag);
	if (alone) {
		zg_build_unsigned(alone);
		for (const struct file_text *f = b->files; f; f = f->next)
			zg_build_add(alone, f->kind, f->name, f->text);
		r = zg_build_finish(alone, ZG_BUILD_POLICY, &ignored, out, NULL);
	}
	zg_build_free(alone);
	zg_diag_release(&diag);
	return r;
}

/* Is what these files say what the required signers signed? */
static void check_signed(struct zg_build *b, const uint8_t id[32])
{
	const struct zg_settings *s = zg_build_settings(b);
	uint8_t key[ZG_SIGNERS_MAX][ZG_SIGN_KEY], of_files[32];
	uint32_t file = 0;
	size_t count;
	char hex[65];

	if (!s->require_signed || b->unsigned_will_do)
		return;
	for (uint32_t i = 0; i < s->signer_count; i++) {
		bool inline_key = zg_signer_is_key(s->signer[i]);

		if (inline_key && zg_sign_key(zg_slice_str(s->signer[i]), key[i]) == 0)
			continue;
		if (inline_key || file == b->signers) {
			file = UINT32_MAX;
			break;
		}
		memcpy(key[i], b->signer[file++], ZG_SIGN_KEY);
	}
	if (file != b->signers) {
		zg_diag_error(b->diag, b->settings.file, 0, 0,
			      "policy_signers has changed: restart zerogated");
		return;
	}
	if (signed_id(b, id, of_files) < 0) {
		zg_diag_error(b->diag, b->settings.file, 0, 0,
			      "what the files say without the registry cannot be told");
		return;
	}
	count = zg_signatures_count(&b->signatures, (const uint8_t(*)[ZG_SIGN_KEY])key,
				    s->signer_count, of_files);
	if (count >= s->require_signed)
		return;
	zg_hex(hex, of_files, 32);
	zg_diag_error(b->diag, b->signed_in ? b->signed_in : b->settings.file, 0, 0,
		      "snapshot %.16s... is signed by %zu of the %u signers that are required%s",
		      hex, count, s->require_signed,
		      b->signed_in ? "" : ": there is no " ZG_SIGNATURE_FILE);
	zg_diag_hint(b->diag, "review it, then: zerogate policy sign --key KEY --config %.128s",
		     b->settings.file);
}

static int put_all(struct zg_build *b, struct sections *s, uint8_t id[32],
		   struct zg_build_counts *counts)
{
	int r;

	zg_policy_check(&b->policy, &b->arena, b->diag);
	zg_registry_settle(&b->registry, b->settings.settings.files_submit, b->diag);
	zg_registry_check(&b->registry, b->diag);
	if (b->diag->errors)
		return -EINVAL;
	if (!sort_servers(b))
		return -ENOMEM;
	r = add_server_profiles(b);
	if (r < 0)
		return r;
	if (!join_profiles(b))
		return -ENOMEM;
	add_resolved(b);
	r = zg_proxy_check(&b->settings, b->server, b->registry.count, b->diag);
	if (r < 0)
		return r;
	check_issuers(b);
	check_webhook(b);
	zg_jwks_fetched(zg_build_settings(b), b->fetched, b->fetched_count, b->diag, &b->auth_keys);
	put_profiles(b, s);
	put_servers(b, s);
	zg_buf_add(&s->buf[ZG_S_AUTH_KEYS], b->auth_keys.ptr, b->auth_keys.len);
	if (b->auth_keys.error || b->jwks != zg_auth_files(zg_build_settings(b))) {
		zg_diag_error(b->diag, b->settings.file, 0, 0,
			      "the issuers of listeners have changed: restart zerogated");
		return -EINVAL;
	}
	zg_stdio_build(&b->settings, b->server, b->registry.count, &s->buf[ZG_S_STDIO],
		       &s->buf[ZG_S_TEXT]);
	r = zg_unix_build(&s->buf[ZG_S_UNIX], &b->settings, b->diag);
	if (r == 0)
		r = put_tables(b, s, counts);
	if (r == 0)
		r = put_names(b, s);
	if (r == 0)
		r = put_policy(b, s);
	if (r == 0)
		r = snapshot_id(b, id);
	if (r == 0)
		check_signed(b, id);
	counts->rules = b->policy.rule_count;
	counts->servers = b->registry.count;
	counts->profiles = b->settings.profile_count;
	return r;
}

int zg_build_lint(struct zg_build *b, const struct zg_lint_tool *seen, size_t seen_count,
		  struct zg_lint *out)
{
	struct zg_lint_server *server =
		zg_arena_alloc(&b->arena, (b->registry.count + 1) * sizeof(*server));
	struct zg_lint_input in = {.policy = &b->policy,
				   .server = server,
				   .server_count = b->registry.count,
				   .profile = profile_names(b),
				   .profile_count = b->settings.profile_count,
				   .seen = seen,
				   .seen_count = seen_count};

	if (!server || !in.profile)
		return -ENOMEM;
	for (size_t i = 0; i < b->registry.count; i++) {
		const struct zg_entry_src *e = b->server[i];

		server[i] = (struct zg_lint_server){.entry = &e->policy,
						    .file = e->file,
						    .trusts = e->def.trust_annotations,
						    .called = e->def.use == ZG_USE_MCP};
	}
	return zg_lint(out, &in);
}

static int join(struct sections *s, const uint8_t id[32], struct zg_buf *out)
{
	struct zg_snapshot_header h = {.magic = ZG_SNAPSHOT_MAGIC, .header_bytes = sizeof(h)};
	size_t offset = sizeof(h);

	_Static_assert(sizeof(h) % 8 == 0, "sections are aligned behind it");
	memcpy(h.id, id, sizeof(h.id));
	for (int i = 0; i < ZG_S_MAX; i++) {
		if (!zg_buf_ok(&s->buf[i]))
			return s->buf[i].error;
		h.section[i] = (struct zg_section_ref){offset, s->buf[i].len};
		offset += (s->buf[i].len + 7) & ~(size_t)7;
	}
	h.bytes = offset;
	zg_buf_add(out, &h, sizeof(h));
	for (int i = 0; i < ZG_S_MAX; i++) {
		zg_buf_add(out, s->buf[i].ptr, s->buf[i].len);
		zg_buf_add(out, "\0\0\0\0\0\0\0", -s->buf[i].len & 7);
	}
	return out->error;
}

int zg_build_finish(struct zg_build *b, enum zg_build_parts parts, struct zg_buf *out,
		    uint8_t id[32], struct zg_build_counts *counts)
{
	struct zg_build_counts ignored;
	struct sections s;
	uint8_t made[32] = {0};
	int r = 0;

	counts = counts ? counts : &ignored;
	*counts = (struct zg_build_counts){0};
	if (!b->mains)
		zg_diag_error(b->diag, "", 0, 0, "no main configuration file was given");
	if (b->diag->errors)
		return -EINVAL;
	for (int i = 0; i < ZG_S_MAX; i++)
		s.buf[i] = ZG_BUF(ZG_SNAPSHOT_BYTES);
	if (!b->settings.settings.dns_count) {
		memcpy(b->settings.settings.dns, b->resolv.dns, sizeof(b->resolv.dns));
		b->settings.settings.dns_count = b->resolv.dns_count;
	}
	if (parts != ZG_BUILD_SETTINGS)
		r = put_all(b, &s, made, counts);
	zg_buf_add(&s.buf[ZG_S_SETTINGS], &b->settings.settings, sizeof(b->settings.settings));
	if (r == 0 && parts == ZG_BUILD_ALL)
		r = put_scandb(b, &s);
	if (r == 0)
		r = join(&s, made, out);
	for (int i = 0; i < ZG_S_MAX; i++)
		zg_buf_release(&s.buf[i]);
	if (r < 0 && !b->diag->errors)
		zg_diag_error(b->diag, "", 0, 0,
			      r == -EFBIG ? "the snapshot would be too large" : "out of memory");
	if (b->diag->errors)
		return -EINVAL;
	memcpy(id, made, sizeof(made));
	return 0;
}
