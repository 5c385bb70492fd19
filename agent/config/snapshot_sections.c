/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot_sections.c - see snapshot_impl.h: the sections that roles read, from
 * what was parsed. Trust: sources are parsed and checked by now; every string is
 * cut to its field, every section bounded by its buffer.
 */
#include "snapshot_impl.h"

#include <errno.h>

#include "canonical.h"
#include "compile.h"
#include "digest.h"
#include "grants.h"
#include "hosts.h"
#include "scan.h"
#include "tables.h"

void zg_build_put_profiles(const struct zg_build *b, struct zg_build_sections *s)
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

/* servers ---------------------------------------------------------------------- */

static int by_endpoint(const void *a, const void *b)
{
	const struct zg_endpoint_def *x = a, *y = b;
	int c = memcmp(x->addr, y->addr, sizeof(x->addr));

	return c ? c : (int)x->port - (int)y->port;
}

void zg_build_put_servers(struct zg_build *b, struct zg_build_sections *s)
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

/* the kernel ------------------------------------------------------------------- */

int zg_build_put_tables(struct zg_build *b, struct zg_build_sections *s,
			struct zg_build_counts *counts)
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

int zg_build_put_names(struct zg_build *b, struct zg_build_sections *s)
{
	const struct zg_entry *at = NULL;
	int r = zg_hosts_build(&b->settings, b->server, b->registry.count, &s->buf[ZG_S_NAMES],
			       &at);

	if (r == -E2BIG)
		zg_diag_error(b->diag, b->settings.file, at->line, at->column,
			      "more than %d ports and ranges for one host name", ZG_PORT_RULES_MAX);
	return r;
}

/* policies --------------------------------------------------------------------- */

struct zg_slice *zg_build_profile_names(struct zg_build *b)
{
	struct zg_slice *names =
		zg_arena_alloc(&b->arena, (b->settings.profile_count + 1) * sizeof(*names));

	for (size_t i = 0; names && i < b->settings.profile_count; i++)
		names[i] = b->settings.profiles[i].name;
	return names;
}

/* The policy on trial, with the registry in force. Whatever is wrong with it is
 * written down for people, and nothing else. */
static int put_shadow(struct zg_build *b, struct zg_build_sections *s, struct zg_server_src *server,
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

int zg_build_put_policy(struct zg_build *b, struct zg_build_sections *s)
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
	return r < 0 ? r : put_shadow(b, s, server, zg_build_profile_names(b));
}

/* what is looked for ----------------------------------------------------------- */

int zg_build_put_scandb(struct zg_build *b, struct zg_build_sections *s)
{
	struct zg_err e = {0};
	int r = zg_scandb_build(&s->buf[ZG_S_SCANDB], &e);

	if (r < 0)
		zg_diag_add(b->diag, &e);
	return r;
}
