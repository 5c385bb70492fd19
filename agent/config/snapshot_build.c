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
#include "parse.h"
#include "proxy.h"
#include "registry.h"
#include "scan.h"
#include "settings.h"
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
	zg_arena_release(&b->arena);
	free(b);
}

void zg_build_add(struct zg_build *b, enum zg_config_file kind, const char *name,
		  struct zg_slice text)
{
	struct zg_yaml_ctx ctx = {zg_arena_copy(&b->arena, zg_slice_str(name)), &b->arena, b->diag};

	if (!ctx.file) {
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
	}
}

const struct zg_settings *zg_build_settings(const struct zg_build *b)
{
	return &b->settings.settings;
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
	return 0;
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
				found = b->server[j]->def.keys &&
					strcmp(b->server[j]->def.id, is->server) == 0;
			if (!found)
				zg_diag_notice(
					b->diag, b->settings.file, 0, 0,
					"no entry '%s' with \"use\": \"keys\" is registered: "
					"tokens of %s are refused",
					is->server, is->issuer);
		}
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
			if (!b->server[i]->def.keys && profile_lists(&s->profiles[p], server->id))
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
	return r;
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
	struct zg_slice *names =
		zg_arena_alloc(&b->arena, (b->settings.profile_count + 1) * sizeof(*names));
	int r;

	if (!names)
		return -ENOMEM;
	for (size_t i = 0; i < b->settings.profile_count; i++)
		names[i] = b->settings.profiles[i].name;
	r = zg_canonical(&text, &b->policy, b->server, b->registry.count, names, &b->arena);
	if (r == 0)
		zg_sha256(id, text.ptr, text.len);
	return r;
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
	counts->rules = b->policy.rule_count;
	counts->servers = b->registry.count;
	counts->profiles = b->settings.profile_count;
	return r;
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
