/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot_build.c - see build.h. Trust: file texts may be anything; their
 * readers refuse or bound it. Never opens a file and never talks to anybody.
 */
#include "build.h"

#include <errno.h>

#include "auth.h"
#include "hosts.h"
#include "proxy.h"
#include "snapshot_impl.h"
#include "stdio_build.h"
#include "unix_sockets.h"

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
		return; /* zg_build_check_signed counts them */
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
	struct zg_build_file *f = zg_arena_alloc(&b->arena, sizeof(*f));
	const char *copy = f ? zg_arena_copy(&b->arena, text) : NULL;

	if (!copy)
		return false;
	*f = (struct zg_build_file){kind, name, {copy, text.len}, NULL};
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

static int put_all(struct zg_build *b, struct zg_build_sections *s, uint8_t id[32],
		   struct zg_build_counts *counts)
{
	int r;

	zg_policy_check(&b->policy, &b->arena, b->diag);
	zg_registry_settle(&b->registry, b->settings.settings.files_submit, b->diag);
	zg_registry_check(&b->registry, b->diag);
	if (b->diag->errors)
		return -EINVAL;
	if (!zg_build_sort_servers(b))
		return -ENOMEM;
	r = zg_build_server_profiles(b);
	if (r < 0)
		return r;
	if (!zg_build_join_profiles(b))
		return -ENOMEM;
	zg_build_add_resolved(b);
	r = zg_proxy_check(&b->settings, b->server, b->registry.count, b->diag);
	if (r < 0)
		return r;
	zg_build_check_issuers(b);
	zg_build_check_webhook(b);
	zg_jwks_fetched(zg_build_settings(b), b->fetched, b->fetched_count, b->diag, &b->auth_keys);
	zg_build_put_profiles(b, s);
	zg_build_put_servers(b, s);
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
		r = zg_build_put_tables(b, s, counts);
	if (r == 0)
		r = zg_build_put_names(b, s);
	if (r == 0)
		r = zg_build_put_policy(b, s);
	if (r == 0)
		r = zg_build_id(b, id);
	if (r == 0)
		zg_build_check_signed(b, id);
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
				   .profile = zg_build_profile_names(b),
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

static int join(struct zg_build_sections *s, const uint8_t id[32], struct zg_buf *out)
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
	struct zg_build_sections s;
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
		r = zg_build_put_scandb(b, &s);
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
