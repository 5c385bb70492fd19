/* SPDX-License-Identifier: Apache-2.0 */
/*
 * settings.c - see settings.h. Trust: the file is the operator's; what it
 * cannot mean exactly is an error with a place. Opens and resolves nothing.
 */
#include "settings.h"

#include "auth.h"
#include "proxy.h"

#include <errno.h>

#include "model.h"

static void defaults(struct zg_settings *s)
{
	*s = (struct zg_settings){
		.policies = "policies",
		.servers = "servers",
		.state_dir = "/var/lib/zerogate",
		.runtime_dir = "/run/zerogate",
		.pin_dir = "/sys/fs/bpf/zerogate",
		.user = "zerogate",
		.ledger_user = "zerogate-ledger",
		.hold_sec = ZG_HOLD_DEFAULT_SEC,
		.approval_ttl_sec = ZG_APPROVAL_TTL_SEC,
		.high_risk_tags = "prod",
		.dns_ttl_min_sec = ZG_DNS_TTL_MIN_SEC,
		.dns_grace_sec = ZG_DNS_GRACE_SEC,
		.reload_on_change = 1,
	};
}

static bool loopback(const uint8_t addr[16])
{
	static const uint8_t v4[13] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127};
	static const uint8_t v6[16] = {[15] = 1};

	return memcmp(addr, v4, sizeof(v4)) == 0 || memcmp(addr, v6, sizeof(v6)) == 0;
}

/* "127.0.0.1:7411" or "[::1]:7411" */
static bool parse_socket(struct zg_slice s, struct zg_listen *out)
{
	size_t colon = s.len;
	struct zg_slice host, port;
	uint64_t n;

	while (colon && s.ptr[colon - 1] != ':')
		colon--;
	if (!colon)
		return false;
	host = (struct zg_slice){s.ptr, colon - 1};
	port = (struct zg_slice){s.ptr + colon, s.len - colon};
	if (host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']')
		host = (struct zg_slice){host.ptr + 1, host.len - 2};
	else if (memchr(host.ptr, ':', host.len))
		return false;
	if (zg_addr_parse(host, out->addr) < 0 || zg_slice_u64(port, UINT16_MAX, &n) < 0 || !n)
		return false;
	out->port = (uint16_t)n;
	return true;
}

static void ignore(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	(void)ctx;
	(void)y;
	(void)into;
}

static void add_listener(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct zg_settings *s = into;
	struct zg_listen l = {0};
	struct zg_slice text;

	if (!zg_yaml_text(ctx, y, &text))
		return;
	if (!parse_socket(text, &l)) {
		zg_yaml_error(ctx, y, "'%.*s' is not an address and port", ZG_FMT(text));
		zg_diag_hint(ctx->diag, "127.0.0.1:7411 or \"[::1]:7411\", port 1 to 65535");
		return;
	}
	if (!loopback(l.addr)) {
		zg_yaml_error(ctx, y, "'%.*s' is not a loopback address", ZG_FMT(text));
		zg_diag_hint(ctx->diag, "the gateway serves this machine only");
		return;
	}
	if (s->listen_count == ZG_LISTEN_MAX) {
		zg_yaml_error(ctx, y, "more than %d listeners", ZG_LISTEN_MAX);
		return;
	}
	for (uint32_t j = 0; j < s->listen_count; j++)
		if (memcmp(&s->listen[j], &l, sizeof(l)) == 0)
			zg_yaml_error(ctx, y, "'%.*s' is listed twice", ZG_FMT(text));
	s->listen[s->listen_count++] = l;
}

/* Of the listener that was added last: whatever stands first in the file. */
static void add_auth(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct zg_settings *s = into;

	zg_auth_parse(ctx, y, &s->auth[s->listen_count - 1]);
}

/* An address, or {address: ..., auth: ...}. */
static void parse_listener(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y,
			   struct zg_settings *s)
{
	static const struct zg_yaml_field address[] = {{"address", add_listener, true},
						       {"auth", ignore, false}};
	static const struct zg_yaml_field auth[] = {{"address", ignore, true},
						    {"auth", add_auth, true}};
	uint32_t before = s->listen_count;

	if (y->kind != ZG_Y_MAP)
		add_listener(ctx, y, s);
	else if (zg_yaml_map(ctx, y, "a listener", address, ZG_COUNT(address), s) &&
		 s->listen_count > before)
		(void)zg_yaml_map(ctx, y, "a listener", auth, ZG_COUNT(auth), s);
}

static void parse_listen(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct zg_settings *s = &((struct zg_settings_src *)into)->settings;

	if (y->kind != ZG_Y_LIST) {
		parse_listener(ctx, y, s);
		return;
	}
	for (const struct zg_yaml *one = y->first; one; one = one->next)
		parse_listener(ctx, one, s);
	if (!y->count)
		zg_yaml_error(ctx, y, "listen is an empty list");
}

/* Copies of one text each */
#define TEXT_FIELD(field)                                                                          \
	static void parse_##field(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y,          \
				  void *into)                                                      \
	{                                                                                          \
		struct zg_settings *s = &((struct zg_settings_src *)into)->settings;               \
                                                                                                   \
		(void)zg_yaml_copy(ctx, y, s->field, sizeof(s->field));                            \
	}
TEXT_FIELD(policies)
TEXT_FIELD(servers)
TEXT_FIELD(state_dir)
TEXT_FIELD(runtime_dir)
TEXT_FIELD(pin_dir)
TEXT_FIELD(user)
TEXT_FIELD(ledger_user)
TEXT_FIELD(shadow_policies)
#undef TEXT_FIELD

static void parse_cgroup_root(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct zg_settings *s = &((struct zg_settings_src *)into)->settings;

	if (!zg_yaml_copy(ctx, y, s->cgroup_root, sizeof(s->cgroup_root)))
		return;
	if (strcmp(s->cgroup_root, "auto") == 0)
		s->cgroup_root[0] = '\0';
	else if (s->cgroup_root[0] != '/')
		zg_yaml_error(ctx, y, "cgroup_root must be 'auto' or an absolute path");
}

static void parse_workers(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct zg_settings *s = &((struct zg_settings_src *)into)->settings;

	(void)zg_yaml_uint(ctx, y, 1, ZG_WORKERS_MAX, &s->workers);
}

static void parse_durability(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct zg_settings *s = &((struct zg_settings_src *)into)->settings;
	struct zg_slice t;

	if (!zg_yaml_text(ctx, y, &t))
		return;
	if (zg_slice_eq(t, ZG_SLICE("ordered"))) {
		s->durability = ZG_DURABILITY_ORDERED;
	} else if (zg_slice_eq(t, ZG_SLICE("sync"))) {
		s->durability = ZG_DURABILITY_SYNC;
	} else {
		zg_yaml_error(ctx, y, "'%.*s' is not a durability", ZG_FMT(t));
		zg_diag_hint(ctx->diag, "ordered or sync");
	}
}

static void parse_audit(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	static const struct zg_yaml_field fields[] = {{"durability", parse_durability, false}};

	(void)zg_yaml_map(ctx, y, "audit", fields, ZG_COUNT(fields), into);
}

/* An address alone stands for its port 53. */
static bool parse_server(struct zg_slice s, struct zg_listen *out)
{
	if (zg_addr_parse(s, out->addr) < 0)
		return parse_socket(s, out);
	out->port = 53;
	return true;
}

static void parse_upstream(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct zg_settings *s = &((struct zg_settings_src *)into)->settings;
	struct zg_texts t;

	if (!zg_yaml_texts(ctx, y, &t))
		return;
	if (t.count > ZG_DNS_UPSTREAM_MAX) {
		zg_yaml_error(ctx, y, "more than %d servers", ZG_DNS_UPSTREAM_MAX);
		return;
	}
	for (size_t i = 0; i < t.count; i++) {
		struct zg_listen at = {0};

		if (!parse_server(t.item[i], &at)) {
			zg_yaml_error(ctx, y, "'%.*s' is not the address of a server",
				      ZG_FMT(t.item[i]));
			zg_diag_hint(ctx->diag, "192.0.2.53, \"127.0.0.1:5353\" or "
						"\"[2001:db8::53]:53\"; a name cannot be resolved "
						"before there is a resolver");
			return;
		}
		s->dns[s->dns_count++] = at;
	}
}

static void parse_ttl_min(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct zg_settings *s = &((struct zg_settings_src *)into)->settings;

	(void)zg_yaml_uint(ctx, y, 0, ZG_DNS_TTL_MAX_SEC, &s->dns_ttl_min_sec);
}

static void parse_grace(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct zg_settings *s = &((struct zg_settings_src *)into)->settings;

	(void)zg_yaml_uint(ctx, y, 0, ZG_DNS_TTL_MAX_SEC, &s->dns_grace_sec);
}

static void parse_dns(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	static const struct zg_yaml_field fields[] = {{"upstream", parse_upstream, false},
						      {"ttl_min_sec", parse_ttl_min, false},
						      {"grace_sec", parse_grace, false}};

	(void)zg_yaml_map(ctx, y, "dns", fields, ZG_COUNT(fields), into);
}

static void parse_ca_file(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct zg_settings *s = &((struct zg_settings_src *)into)->settings;

	(void)zg_yaml_copy(ctx, y, s->ca_file, sizeof(s->ca_file));
}

static void parse_tls(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	static const struct zg_yaml_field fields[] = {{"ca_file", parse_ca_file, false}};

	(void)zg_yaml_map(ctx, y, "tls", fields, ZG_COUNT(fields), into);
}

static void parse_on_change(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct zg_settings *s = &((struct zg_settings_src *)into)->settings;
	bool on;

	if (zg_settings_flag(ctx, y, "on_change", &on))
		s->reload_on_change = on;
}

static void parse_reload(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	static const struct zg_yaml_field fields[] = {{"on_change", parse_on_change, false}};

	(void)zg_yaml_map(ctx, y, "reload", fields, ZG_COUNT(fields), into);
}

static void parse_profiles(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct zg_settings_src *s = into;

	zg_profiles_parse(ctx, y, s);
}

static void parse_proxy(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	zg_proxy_parse(ctx, y, into);
}

static const struct zg_yaml_field settings_fields[] = {
	{"version", zg_yaml_version, true},
	{"listen", parse_listen, false},
	{"policies", parse_policies, false},
	{"servers", parse_servers, false},
	{"state_dir", parse_state_dir, false},
	{"runtime_dir", parse_runtime_dir, false},
	{"pin_dir", parse_pin_dir, false},
	{"cgroup_root", parse_cgroup_root, false},
	{"user", parse_user, false},
	{"ledger_user", parse_ledger_user, false},
	{"workers", parse_workers, false},
	{"profiles", parse_profiles, true},
	{"approvers", zg_approvers_parse, false},
	{"owners", zg_owners_parse, false},
	{"registry", zg_registry_settings_parse, false},
	{"approvals", zg_approvals_parse, false},
	{"audit", parse_audit, false},
	{"dns", parse_dns, false},
	{"tls", parse_tls, false},
	{"proxy", parse_proxy, false},
	{"reload", parse_reload, false},
	{"notify", zg_notify_parse, false},
	{"shadow_policies", parse_shadow_policies, false},
	{"policy_signers", zg_signers_parse, false},
	{"require_signed", zg_require_signed_parse, false},
};

void zg_settings_parse(const struct zg_yaml_ctx *ctx, struct zg_slice text,
		       struct zg_settings_src *s)
{
	const struct zg_yaml *y = zg_yaml_read(ctx, text);

	s->file = ctx->file;
	defaults(&s->settings);
	if (!y || !zg_yaml_map(ctx, y, "the configuration", settings_fields,
			       ZG_COUNT(settings_fields), s))
		return;
	if (!s->settings.listen_count) {
		(void)parse_socket(ZG_SLICE("127.0.0.1:7411"), &s->settings.listen[0]);
		(void)parse_socket(ZG_SLICE("[::1]:7411"), &s->settings.listen[1]);
		s->settings.listen_count = 2;
	}
	zg_listen_check(ctx, s);
	zg_signers_check(ctx, y, &s->settings);
	if (strcmp(s->settings.user, s->settings.ledger_user) == 0) {
		zg_yaml_error(ctx, y, "user and ledger_user are the same");
		zg_diag_hint(ctx->diag, "a gateway must not be able to touch the ledger");
	}
}
