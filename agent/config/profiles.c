/* SPDX-License-Identifier: Apache-2.0 */
/*
 * profiles.c - the profiles of zerogate.yaml: who is governed, and what they
 * may reach. Trust: as settings.c. Names are kept as names: nothing is
 * resolved here.
 */
#include "settings.h"

#include <errno.h>

#include "model.h"
#include "unix_sockets.h"

/* One allow or deny entry on its way in. */
struct entry_ctx {
	struct zg_entry *e;
	const struct zg_yaml *target; /* cidr, host or unix */
	const struct zg_yaml *local;
	const struct zg_yaml *tls;
	bool localhost;
	bool twice;
};

static bool one_target(struct entry_ctx *in, const struct zg_yaml *y)
{
	in->twice |= in->target != NULL;
	in->target = y;
	return !in->twice;
}

static bool bits_clear(const uint8_t addr[16], uint32_t prefixlen)
{
	for (uint32_t bit = prefixlen; bit < 128; bit++)
		if (addr[bit / 8] & (0x80u >> (bit % 8)))
			return false;
	return true;
}

static void clear_bits(uint8_t addr[16], uint32_t prefixlen)
{
	for (uint32_t bit = prefixlen; bit < 128; bit++)
		addr[bit / 8] = (uint8_t)(addr[bit / 8] & ~(0x80u >> (bit % 8)));
}

bool zg_entry_block(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, struct zg_slice text,
		    uint8_t addr[16], uint32_t *prefixlen)
{
	const char *slash = memchr(text.ptr, '/', text.len);
	struct zg_slice host = {text.ptr, slash ? (size_t)(slash - text.ptr) : text.len}, len;
	bool v4 = !memchr(host.ptr, ':', host.len);
	uint64_t bits = 0;
	char fixed[64];

	if (slash)
		len = (struct zg_slice){slash + 1, text.len - host.len - 1};
	if (!slash || zg_addr_parse(host, addr) < 0 ||
	    zg_slice_u64(len, v4 ? 32 : 128, &bits) < 0) {
		zg_yaml_error(ctx, y, "'%.*s' is not an address block", ZG_FMT(text));
		zg_diag_hint(ctx->diag, "10.20.0.0/16, 10.30.0.1/32 or fd00::/8");
		return false;
	}
	*prefixlen = (uint32_t)bits + (v4 ? 96 : 0);
	if (bits_clear(addr, *prefixlen))
		return true;
	clear_bits(addr, *prefixlen);
	zg_addr_text(fixed, sizeof(fixed), addr);
	zg_yaml_error(ctx, y, "'%.*s' has address bits beyond its prefix", ZG_FMT(text));
	zg_diag_hint(ctx->diag, "%s/%u, or /%d for one address", fixed, (unsigned)bits,
		     v4 ? 32 : 128);
	return false;
}

static void parse_cidr(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct entry_ctx *in = into;
	struct zg_slice s;

	if (one_target(in, y) && zg_yaml_text(ctx, y, &s))
		(void)zg_entry_block(ctx, y, s, in->e->addr, &in->e->prefixlen);
}

static void parse_host(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct entry_ctx *in = into;
	struct zg_slice s;

	if (!one_target(in, y) || !zg_yaml_text(ctx, y, &s))
		return;
	if (zg_addr_parse(s, in->e->addr) == 0) {
		in->e->prefixlen = 128;
		return;
	}
	if (zg_slice_eq(s, ZG_SLICE("localhost"))) {
		in->localhost = true;
		return;
	}
	if (!zg_host_ok(s, true)) {
		zg_yaml_error(ctx, y, "'%.*s' is not a host", ZG_FMT(s));
		zg_diag_hint(ctx->diag, "a name in lower case or an address, without scheme, port "
					"or path");
		return;
	}
	in->e->kind = ZG_EK_NAME;
	in->e->text = s;
}

bool zg_settings_flag(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, const char *what,
		      bool *out)
{
	struct zg_slice s;

	if (!zg_yaml_text(ctx, y, &s))
		return false;
	*out = y->plain && zg_slice_eq(s, ZG_SLICE("true"));
	if (*out || (y->plain && zg_slice_eq(s, ZG_SLICE("false"))))
		return true;
	zg_yaml_error(ctx, y, "%s is true or false", what);
	return false;
}

static void parse_local(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct entry_ctx *in = into;

	in->local = y;
	(void)zg_settings_flag(ctx, y, "local", &in->e->local);
}

static void parse_entry_tls(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct entry_ctx *in = into;
	bool tls;

	in->tls = y;
	if (zg_settings_flag(ctx, y, "tls", &tls))
		in->e->tls = tls ? ZG_ET_TLS : ZG_ET_OTHER;
}

static void parse_unix(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct entry_ctx *in = into;

	if (!one_target(in, y) || !zg_yaml_text(ctx, y, &in->e->text))
		return;
	in->e->kind = ZG_EK_UNIX;
	zg_unix_check(ctx, y, in->e->text);
}

static bool parse_range(struct zg_slice s, struct zg_port_range *out)
{
	const char *dash = memchr(s.ptr, '-', s.len);
	size_t n = dash ? (size_t)(dash - s.ptr) : s.len;
	uint64_t lo, hi;

	if (zg_slice_u64((struct zg_slice){s.ptr, n}, UINT16_MAX, &lo) < 0)
		return false;
	hi = lo;
	if (dash && zg_slice_u64((struct zg_slice){dash + 1, s.len - n - 1}, UINT16_MAX, &hi) < 0)
		return false;
	if (!lo || lo > hi)
		return false;
	*out = (struct zg_port_range){(uint16_t)lo, (uint16_t)hi};
	return true;
}

bool zg_entry_ports(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, struct zg_entry *e)
{
	struct zg_texts t;

	if (!zg_yaml_texts(ctx, y, &t))
		return false;
	e->ports = zg_arena_alloc(ctx->arena, t.count * sizeof(*e->ports));
	if (!e->ports) {
		zg_yaml_error(ctx, y, "the file needs too much memory");
		return false;
	}
	for (size_t i = 0; i < t.count; i++) {
		if (parse_range(t.item[i], &e->ports[e->port_count++]))
			continue;
		zg_yaml_error(ctx, y, "'%.*s' is not a port", ZG_FMT(t.item[i]));
		zg_diag_hint(ctx->diag, "1 to 65535, a range \"8000-8099\", or a list of them");
		return false;
	}
	return true;
}

static void parse_port(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	(void)zg_entry_ports(ctx, y, ((struct entry_ctx *)into)->e);
}

bool zg_entry_protos(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, struct zg_entry *e)
{
	struct zg_texts t;

	if (!zg_yaml_texts(ctx, y, &t))
		return false;
	e->tcp = e->udp = false;
	for (size_t i = 0; i < t.count; i++) {
		if (zg_slice_eq(t.item[i], ZG_SLICE("tcp"))) {
			e->tcp = true;
		} else if (zg_slice_eq(t.item[i], ZG_SLICE("udp"))) {
			e->udp = true;
		} else {
			zg_yaml_error(ctx, y, "'%.*s' is not a protocol", ZG_FMT(t.item[i]));
			zg_diag_hint(ctx->diag, "tcp or udp; nothing else is let through");
			return false;
		}
	}
	return true;
}

static void parse_proto(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	(void)zg_entry_protos(ctx, y, ((struct entry_ctx *)into)->e);
}

static const struct zg_yaml_field entry_fields[] = {
	{"cidr", parse_cidr, false},	 {"host", parse_host, false},
	{"unix", parse_unix, false},	 {"port", parse_port, false},
	{"proto", parse_proto, false},	 {"local", parse_local, false},
	{"tls", parse_entry_tls, false},
};

static void push(struct zg_profile_src *p, struct zg_entry *e)
{
	e->next = p->entries;
	p->entries = e;
	p->entry_count++;
}

static void parse_entry(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y,
			struct zg_profile_src *p, bool deny)
{
	struct zg_entry *e = zg_arena_alloc(ctx->arena, 2 * sizeof(*e));
	struct entry_ctx in = {.e = e};

	if (!e) {
		zg_yaml_error(ctx, y, "the file needs too much memory");
		return;
	}
	*e = (struct zg_entry){.deny = deny, .tcp = true, .line = y->line, .column = y->column};
	if (!zg_yaml_map(ctx, y, "an entry", entry_fields, ZG_COUNT(entry_fields), &in))
		return;
	if (!in.target || in.twice) {
		zg_yaml_error(ctx, y, "an entry names exactly one of cidr, host, unix");
		return;
	}
	if ((e->kind == ZG_EK_UNIX) != !e->port_count) {
		zg_yaml_error(ctx, y,
			      e->port_count ? "a unix socket has no port"
					    : "an entry needs a port");
		if (!e->port_count)
			zg_diag_hint(ctx->diag, "port: 443, or port: \"1-65535\" for all");
		return;
	}
	if (in.local && (e->kind != ZG_EK_NAME || deny)) {
		zg_yaml_error(ctx, in.local, "local is for allow entries that name a host");
		return;
	}
	if (in.tls && (e->kind != ZG_EK_NAME || deny)) {
		zg_yaml_error(ctx, in.tls, "tls is for allow entries that name a host");
		return;
	}
	if (in.localhost) {
		(void)zg_addr_parse(ZG_SLICE("::1"), e->addr);
		e->prefixlen = 128;
		e[1] = e[0];
		(void)zg_addr_parse(ZG_SLICE("127.0.0.1"), e[1].addr);
		push(p, &e[1]);
	}
	push(p, e);
}

void zg_entries_parse(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y,
		      struct zg_profile_src *p, bool deny)
{
	if (y->kind != ZG_Y_LIST) {
		zg_yaml_error(ctx, y, "%s must be a list of entries", deny ? "deny" : "allow");
		zg_diag_hint(ctx->diag, "- {cidr: \"10.20.0.0/16\", port: 443}");
		return;
	}
	for (const struct zg_yaml *item = y->first; item; item = item->next)
		parse_entry(ctx, item, p, deny);
}

static void parse_allow(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	zg_entries_parse(ctx, y, into, false);
}

static void parse_deny(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	zg_entries_parse(ctx, y, into, true);
}

/* Every component has a name: "a/" or "a//b" would match nothing and so govern nobody. */
static bool names_cgroups(struct zg_slice glob)
{
	size_t from = 0;

	for (size_t i = 0; i <= glob.len; i++) {
		struct zg_slice part = {glob.ptr + from, i - from};

		if (i < glob.len && glob.ptr[i] != '/')
			continue;
		if (!part.len || zg_slice_eq(part, ZG_SLICE(".")) ||
		    zg_slice_eq(part, ZG_SLICE("..")))
			return false;
		from = i + 1;
	}
	return glob.len < ZG_CGROUP_LEN;
}

static void parse_cgroups(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct zg_profile_src *p = into;

	if (!zg_yaml_texts(ctx, y, &p->cgroups))
		return;
	for (size_t i = 0; i < p->cgroups.count; i++) {
		struct zg_slice g = p->cgroups.item[i];

		if (names_cgroups(g))
			continue;
		zg_yaml_error(ctx, y, "'%.*s' is not a cgroup below cgroup_root", ZG_FMT(g));
		zg_diag_hint(ctx->diag, "a relative path or glob such as zerogate.slice/*");
	}
}

static void parse_mode(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct zg_profile_src *p = into;
	struct zg_slice s;

	if (!zg_yaml_text(ctx, y, &s))
		return;
	if (zg_slice_eq(s, ZG_SLICE("enforce"))) {
		p->mode = ZG_MODE_ENFORCE;
	} else if (zg_slice_eq(s, ZG_SLICE("audit"))) {
		p->mode = ZG_MODE_AUDIT;
	} else {
		zg_yaml_error(ctx, y, "'%.*s' is not a mode", ZG_FMT(s));
		zg_diag_hint(ctx->diag, "enforce or audit");
	}
}

static void parse_shadow(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, uint8_t *mode)
{
	static const char *const texts[] = {
		[ZG_SHADOW_KILL] = "kill",
		[ZG_SHADOW_AUDIT] = "audit",
		[ZG_SHADOW_OFF] = "off",
	};
	struct zg_slice s;

	if (!zg_yaml_text(ctx, y, &s))
		return;
	for (size_t i = 0; i < ZG_COUNT(texts); i++) {
		if (zg_slice_eq(s, zg_slice_str(texts[i]))) {
			*mode = (uint8_t)i;
			return;
		}
	}
	zg_yaml_error(ctx, y, "'%.*s' says not what happens to shadow servers", ZG_FMT(s));
	zg_diag_hint(ctx->diag, "kill, audit or off");
}

static void parse_shadow_wire(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	parse_shadow(ctx, y, &((struct zg_profile_src *)into)->shadow_wire);
}

static void parse_shadow_stdio(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	parse_shadow(ctx, y, &((struct zg_profile_src *)into)->shadow_stdio);
}

static void parse_shadow_mcp(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	static const struct zg_yaml_field fields[] = {
		{"wire", parse_shadow_wire, false},
		{"stdio", parse_shadow_stdio, false},
	};

	(void)zg_yaml_map(ctx, y, "shadow_mcp", fields, ZG_COUNT(fields), into);
}

static void parse_sni(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct zg_profile_src *p = into;
	struct zg_slice s;

	if (!zg_yaml_text(ctx, y, &s))
		return;
	p->verify_sni = zg_slice_eq(s, ZG_SLICE("verify"));
	if (!p->verify_sni && !zg_slice_eq(s, ZG_SLICE("off"))) {
		zg_yaml_error(ctx, y, "'%.*s' says not what happens to server names", ZG_FMT(s));
		zg_diag_hint(ctx->diag, "off or verify");
	}
}

static void parse_tls(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	static const struct zg_yaml_field fields[] = {{"sni", parse_sni, false}};

	(void)zg_yaml_map(ctx, y, "tls", fields, ZG_COUNT(fields), into);
}

/* What only holds beside the rest of the profile. */
static void check_tls(const struct zg_yaml_ctx *ctx, const struct zg_profile_src *p)
{
	for (const struct zg_entry *e = p->entries; e; e = e->next) {
		bool https = e->tls == ZG_ET_TLS;

		for (size_t i = 0; i < e->port_count && e->tls == ZG_ET_UNSAID; i++)
			https = https || (e->ports[i].lo <= 443 && e->ports[i].hi >= 443);
		if (e->kind != ZG_EK_NAME || e->deny)
			continue;
		if (e->tls != ZG_ET_UNSAID && !p->verify_sni)
			zg_diag_error(ctx->diag, ctx->file, e->line, e->column,
				      "tls counts only in a profile with tls: {sni: verify}");
		if (p->verify_sni && e->udp && https) {
			zg_diag_error(ctx->diag, ctx->file, e->line, e->column,
				      "QUIC hides its server name: udp cannot be verified");
			zg_diag_hint(ctx->diag, "an entry of its own with tls: false opens it");
		}
	}
}

static void parse_ask(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	(void)zg_settings_flag(ctx, y, "ask", &((struct zg_profile_src *)into)->ask);
}

static void parse_servers(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct zg_profile_src *p = into;

	p->servers_line = y->line;
	p->servers_column = y->column;
	if (y->kind == ZG_Y_LIST && !y->count)
		return; /* none: a profile without MCP */
	(void)zg_yaml_texts(ctx, y, &p->servers);
}

static const struct zg_yaml_field profile_fields[] = {
	{"cgroups", parse_cgroups, false},
	{"mode", parse_mode, false},
	{"allow", parse_allow, false},
	{"deny", parse_deny, false},
	{"servers", parse_servers, false},
	{"listen", zg_listen_parse, false},
	{"shadow_mcp", parse_shadow_mcp, false},
	{"exec", zg_exec_parse, false},
	{"tls", parse_tls, false},
	{"ask", parse_ask, false},
};

void zg_profiles_parse(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y,
		       struct zg_settings_src *s)
{
	const struct zg_yaml *m;

	if (y->kind != ZG_Y_MAP || !y->count) {
		zg_yaml_error(ctx, y, "profiles must be a map: name: {...}, with at least one");
		return;
	}
	if (y->count > ZG_PROFILE_CANARY - ZG_PROFILE_FIRST) {
		zg_yaml_error(ctx, y, "more than %d profiles",
			      ZG_PROFILE_CANARY - ZG_PROFILE_FIRST);
		return;
	}
	s->profiles = zg_arena_alloc(ctx->arena, y->count * sizeof(*s->profiles));
	if (!s->profiles) {
		zg_yaml_error(ctx, y, "the file needs too much memory");
		return;
	}
	for (m = y->first; m; m = m->next) {
		struct zg_profile_src *p = &s->profiles[s->profile_count++];

		p->name = m->key;
		p->shadow_wire = ZG_SHADOW_KILL;
		p->shadow_stdio = ZG_SHADOW_OFF;
		p->line = m->key_line;
		p->column = m->key_column;
		if (!zg_word_ok(p->name, ZG_NAME_LEN - 1) || memchr(p->name.ptr, '/', p->name.len))
			zg_diag_error(ctx->diag, ctx->file, p->line, p->column,
				      "'%.*s' is not a profile name", ZG_FMT(p->name));
		(void)zg_yaml_map(ctx, m, "a profile", profile_fields, ZG_COUNT(profile_fields), p);
		check_tls(ctx, p);
	}
}
