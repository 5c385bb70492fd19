/* SPDX-License-Identifier: Apache-2.0 */
/* hosts.c - see hosts.h. Trust: parsed and bounded input; pure but for memory. */
#include "hosts.h"

#include <errno.h>
#include <netinet/in.h>

static int by_pattern(const void *a, const void *b)
{
	const struct zg_name_def *x = a, *y = b;
	int c = (x->profile > y->profile) - (x->profile < y->profile);

	c = c ? c : strcmp(x->pattern, y->pattern);
	c = c ? c : (int)x->proto - (int)y->proto;
	c = c ? c : (int)x->deny - (int)y->deny;
	c = c ? c : (int)x->local - (int)y->local;
	c = c ? c : (int)x->server - (int)y->server;
	return c ? c : memcmp(&x->val, &y->val, sizeof(x->val));
}

#define PORT_HTTPS 443

static int by_lo(const void *a, const void *b)
{
	const struct zg_port_rule *x = a, *y = b;

	return x->lo == y->lo ? (int)x->hi - (int)y->hi : (int)x->lo - (int)y->lo;
}

/* Disjoint and sorted, as every zg_rule_val is. */
static void settle_ports(struct zg_rule_val *v)
{
	uint32_t n = 0;

	qsort(v->port, v->count, sizeof(v->port[0]), by_lo);
	for (uint32_t i = 0; i < v->count; i++) {
		if (n && v->port[i].lo <= v->port[n - 1].hi) {
			if (v->port[i].hi > v->port[n - 1].hi)
				v->port[n - 1].hi = v->port[i].hi;
			continue;
		}
		v->port[n++] = v->port[i];
	}
	for (uint32_t i = n; i < v->count; i++)
		v->port[i] = (struct zg_port_rule){0};
	v->count = n;
}

static int add_range(struct zg_rule_val *out, uint32_t lo, uint32_t hi, enum zg_verdict verdict)
{
	if (lo > hi)
		return 0;
	if (out->count == ZG_PORT_RULES_MAX)
		return -E2BIG;
	out->port[out->count++] = (struct zg_port_rule){
		.lo = (uint16_t)lo, .hi = (uint16_t)hi, .verdict = (uint8_t)verdict};
	return 0;
}

/* Which part of a range is TLS and goes through the gateway: the same port gets
 * the same verdict whatever range of the entry it stands in. */
static int add_part(struct zg_rule_val *out, struct zg_port_range r, const struct zg_entry *e,
		    bool verify)
{
	bool has_https = r.lo <= PORT_HTTPS && r.hi >= PORT_HTTPS;
	int rc;

	if (!verify || e->deny || e->tls == ZG_ET_OTHER)
		return add_range(out, r.lo, r.hi, ZG_V_ALLOW);
	if (e->tls == ZG_ET_TLS)
		return add_range(out, r.lo, r.hi, ZG_V_REDIRECT);
	if (!has_https)
		return add_range(out, r.lo, r.hi, ZG_V_ALLOW);
	rc = add_range(out, r.lo, PORT_HTTPS - 1, ZG_V_ALLOW);
	if (rc == 0)
		rc = add_range(out, PORT_HTTPS, PORT_HTTPS, ZG_V_REDIRECT);
	return rc < 0 ? rc : add_range(out, PORT_HTTPS + 1, r.hi, ZG_V_ALLOW);
}

/* -E2BIG: more ranges than one rule has. */
static int ports_of(const struct zg_entry *e, bool verify, struct zg_rule_val *out)
{
	int r = 0;

	for (size_t i = 0; i < e->port_count; i++) {
		struct zg_port_range part[2];
		size_t parts = e->deny ? 0 : zg_ports_without_dot(e->ports[i], part);

		if (e->deny)
			part[parts++] = e->ports[i];
		for (size_t p = 0; p < parts && r == 0; p++)
			r = add_part(out, part[p], e, verify);
	}
	settle_ports(out);
	return r;
}

static int put_entry(const struct zg_entry *e, uint32_t profile, bool verify, struct zg_buf *out)
{
	const uint8_t proto[] = {IPPROTO_TCP, IPPROTO_UDP};
	const bool wanted[] = {e->tcp, e->udp};
	struct zg_name_def d = {.profile = profile, .local = e->local, .deny = e->deny};

	(void)zg_str_cut(d.pattern, sizeof(d.pattern), e->text);
	for (size_t i = 0; i < 2; i++) {
		int r;

		if (!wanted[i])
			continue;
		d.val = (struct zg_rule_val){0};
		d.proto = proto[i];
		r = ports_of(e, verify && proto[i] == IPPROTO_TCP, &d.val);
		if (r < 0)
			return r;
		zg_buf_add(out, &d, sizeof(d));
	}
	return 0;
}

/* Whoever may use a server may ask where it is. */
static void put_server(const struct zg_entry_src *server, struct zg_buf *out)
{
	struct zg_name_def d = {.proto = IPPROTO_TCP, .server = 1};
	const struct zg_slice host = zg_slice_str(server->def.host);
	uint8_t literal[16];

	if (!host.len || zg_addr_parse(host, literal) == 0 ||
	    zg_slice_eq(host, ZG_SLICE("localhost")))
		return;
	(void)zg_str_cut(d.pattern, sizeof(d.pattern), host);
	for (size_t i = 0; i < server->policy.profile_count; i++) {
		d.profile = server->policy.profiles[i];
		zg_buf_add(out, &d, sizeof(d));
	}
}

int zg_hosts_build(const struct zg_settings_src *s, struct zg_entry_src *const *servers,
		   size_t server_count, struct zg_buf *out, const struct zg_entry **at)
{
	for (size_t i = 0; i < server_count; i++)
		put_server(servers[i], out);
	for (uint32_t i = 0; i < s->profile_count; i++) {
		for (const struct zg_entry *e = s->profiles[i].entries; e; e = e->next) {
			int r = e->kind == ZG_EK_NAME ? put_entry(e, ZG_PROFILE_FIRST + i,
								  s->profiles[i].verify_sni, out)
						      : 0;

			if (r < 0) {
				*at = e;
				return r;
			}
		}
	}
	if (zg_buf_ok(out) && out->len)
		qsort(out->ptr, out->len / sizeof(struct zg_name_def), sizeof(struct zg_name_def),
		      by_pattern);
	return out->error;
}

/* resolv.conf ---------------------------------------------------------------- */

static bool take_line(struct zg_slice *text, struct zg_slice *line)
{
	const char *end;

	if (!text->len)
		return false;
	end = memchr(text->ptr, '\n', text->len);
	*line = (struct zg_slice){text->ptr, end ? (size_t)(end - text->ptr) : text->len};
	text->ptr += line->len + (end != NULL);
	text->len -= line->len + (end != NULL);
	return true;
}

/* What the system's own resolver does not understand it passes over, and so is
 * it here: a comment, an option, an address with a zone. */
void zg_resolv_parse(struct zg_slice text, struct zg_settings *s)
{
	struct zg_slice line;

	while (s->dns_count < ZG_DNS_UPSTREAM_MAX && take_line(&text, &line)) {
		struct zg_listen *at = &s->dns[s->dns_count];
		struct zg_slice word = ZG_SLICE("nameserver");

		if (!zg_slice_starts(line, word) || line.len <= word.len ||
		    (line.ptr[word.len] != ' ' && line.ptr[word.len] != '\t'))
			continue;
		line = zg_slice_trim((struct zg_slice){line.ptr + word.len, line.len - word.len});
		if (zg_addr_parse(line, at->addr) < 0)
			continue;
		at->port = 53;
		s->dns_count++;
	}
}
