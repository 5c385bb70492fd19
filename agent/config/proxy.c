/* SPDX-License-Identifier: Apache-2.0 */
/* proxy.c - see proxy.h. Trust: as settings.c. Resolves nothing, and decides by
 * what is written alone: no answer of the network turns a server's way. */
#include "proxy.h"

#include <errno.h>

#include "hostname.h"
#include "url.h"

static void parse_url(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct zg_proxy *p = &((struct zg_settings_src *)into)->settings.proxy;
	struct zg_server_def d = {0};
	struct zg_slice text;
	const char *wrong;

	if (!zg_yaml_text(ctx, y, &text))
		return;
	wrong = zg_url_parse(text, &d);
	if (!wrong && (d.tls || strcmp(d.path, "/") != 0))
		wrong = d.tls ? "the proxy itself is spoken to over http" : "a path means nothing";
	if (wrong) {
		zg_yaml_error(ctx, y, "url: %s", wrong);
		zg_diag_hint(ctx->diag, "http://proxy.example:3128; user and password belong into "
					"credentials_file");
		return;
	}
	memcpy(p->host, d.host, sizeof(p->host));
	p->port = d.port;
}

static void parse_addresses(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct zg_proxy *p = &((struct zg_settings_src *)into)->settings.proxy;
	struct zg_texts t;

	if (!zg_yaml_texts(ctx, y, &t))
		return;
	if (t.count > ZG_ENDPOINTS_PER_SERVER) {
		zg_yaml_error(ctx, y, "more than %d addresses", ZG_ENDPOINTS_PER_SERVER);
		return;
	}
	for (size_t i = 0; i < t.count; i++)
		if (zg_addr_parse(t.item[i], p->addr[p->address_count++]) < 0)
			zg_yaml_error(ctx, y, "'%.*s' is not an address", ZG_FMT(t.item[i]));
}

static void parse_credentials(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct zg_proxy *p = &((struct zg_settings_src *)into)->settings.proxy;

	(void)zg_yaml_copy(ctx, y, p->credentials_file, sizeof(p->credentials_file));
}

static bool read_exception(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y,
			   struct zg_slice text, struct zg_no_proxy *out)
{
	const bool wild = zg_slice_starts(text, ZG_SLICE("*."));
	const struct zg_slice name = {text.ptr + 2 * wild, text.len - 2 * wild};

	if (memchr(text.ptr, '/', text.len))
		return zg_entry_block(ctx, y, text, out->addr, &out->prefixlen);
	out->prefixlen = 128;
	if (zg_addr_parse(text, out->addr) == 0)
		return true;
	out->name = text;
	if (zg_hostname_ok(name))
		return true;
	zg_yaml_error(ctx, y, "'%.*s' is not a host or an address block", ZG_FMT(text));
	zg_diag_hint(ctx->diag, "host.example, \"*.internal\" or 10.0.0.0/8");
	return false;
}

static void parse_no_proxy(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct zg_settings_src *s = into;
	struct zg_texts t;

	if (!zg_yaml_texts(ctx, y, &t))
		return;
	if (t.count > ZG_NO_PROXY_MAX) {
		zg_yaml_error(ctx, y, "more than %d of them", ZG_NO_PROXY_MAX);
		return;
	}
	s->no_proxy = zg_arena_alloc(ctx->arena, t.count * sizeof(*s->no_proxy));
	if (!s->no_proxy) {
		zg_yaml_error(ctx, y, "the file needs too much memory");
		return;
	}
	for (size_t i = 0; i < t.count; i++)
		if (read_exception(ctx, y, t.item[i], &s->no_proxy[s->no_proxy_count]))
			s->no_proxy_count++;
}

void zg_proxy_parse(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y,
		    struct zg_settings_src *s)
{
	static const struct zg_yaml_field fields[] = {
		{"url", parse_url, true},
		{"addresses", parse_addresses, false},
		{"credentials_file", parse_credentials, false},
		{"no_proxy", parse_no_proxy, false},
	};
	struct zg_proxy *p = &s->settings.proxy;
	uint8_t literal[16];

	if (!zg_yaml_map(ctx, y, "proxy", fields, ZG_COUNT(fields), s))
		return;
	if (zg_addr_parse(zg_slice_str(p->host), literal) == 0) {
		if (p->address_count)
			zg_yaml_error(ctx, y,
				      "the URL's host is an address, so 'addresses' must go");
		memcpy(p->addr[0], literal, sizeof(literal));
		p->address_count = 1;
	}
	p->by_name = !p->address_count;
}

void zg_proxy_add_resolved(struct zg_proxy *p, const char *host, const uint8_t addr[16])
{
	if (p->by_name && p->address_count < ZG_ENDPOINTS_PER_SERVER && strcmp(p->host, host) == 0)
		memcpy(p->addr[p->address_count++], addr, 16);
}

static bool in_block(const uint8_t addr[16], const struct zg_no_proxy *n)
{
	uint32_t bytes = n->prefixlen / 8, rest = n->prefixlen % 8;

	return memcmp(addr, n->addr, bytes) == 0 &&
	       (!rest || (addr[bytes] ^ n->addr[bytes]) >> (8 - rest) == 0);
}

static bool is_excepted(const struct zg_settings_src *s, const struct zg_entry_src *e)
{
	const struct zg_slice host = zg_slice_str(e->def.host);

	for (size_t i = 0; i < s->no_proxy_count; i++) {
		const struct zg_no_proxy *n = &s->no_proxy[i];

		if (n->name.ptr && zg_hostname_matches(n->name, host))
			return true;
		for (size_t a = 0; !n->name.ptr && a < e->fixed_count; a++)
			if (in_block(e->address[a], n))
				return true;
	}
	return false;
}

/* A proxy is the way to elsewhere. */
static bool is_near(const struct zg_entry_src *e)
{
	for (size_t a = 0; a < e->fixed_count; a++)
		if (zg_hostname_addr(e->address[a], false) != ZG_NR_NONE)
			return true;
	return e->def.local;
}

static bool is_proxied(const struct zg_settings_src *s, const struct zg_entry_src *e)
{
	if (!s->settings.proxy.host[0] || e->command || !e->def.host[0])
		return false;
	if (e->proxy != ZG_PW_UNSAID)
		return e->proxy == ZG_PW_ALWAYS;
	return e->def.tls && !is_excepted(s, e) && !is_near(e);
}

int zg_proxy_check(const struct zg_settings_src *s, struct zg_entry_src *const *servers,
		   size_t count, struct zg_diag *diag)
{
	int r = 0;

	for (size_t i = 0; i < count; i++) {
		struct zg_entry_src *e = servers[i];

		e->def.proxied = is_proxied(s, e);
		if (e->proxy != ZG_PW_ALWAYS || s->settings.proxy.host[0])
			continue;
		zg_diag_error(diag, e->file, 0, 0,
			      "server '%s' is to be dialled by way of a proxy, and there is none",
			      e->def.id);
		zg_diag_hint(diag, "proxy: {url: ...} in zerogate.yaml");
		r = -EINVAL;
	}
	return r;
}
