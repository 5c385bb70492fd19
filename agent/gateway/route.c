/* SPDX-License-Identifier: Apache-2.0 */
/* route.c - see route.h. Trust: the head is the client's, the origin the kernel's. */
#include "route.h"

#include <arpa/inet.h>
#include <string.h>

#include "local.h"
#include "request.h"
#include "resource.h"

#define PORT_HTTP  80
#define PORT_HTTPS 443

/* The host in text (host, host:port or [v6]:port; without a port, usual is
 * meant), without brackets, if the port is the wanted one; else a NULL slice. */
static struct zg_slice host_at(struct zg_slice text, uint16_t port, uint16_t usual)
{
	bool v6 = text.len && text.ptr[0] == '[';
	const char *end = text.len ? memchr(text.ptr, v6 ? ']' : ':', text.len) : NULL;
	struct zg_slice host = text, rest = {0};
	uint64_t n = usual;

	if (v6 && !end)
		return (struct zg_slice){0};
	if (end) {
		host.len = (size_t)(end - text.ptr);
		rest = (struct zg_slice){end + v6, text.len - host.len - v6};
	}
	if (v6) {
		host.ptr++;
		host.len--;
	}
	if (rest.len) {
		if (rest.ptr[0] != ':')
			return (struct zg_slice){0};
		rest = (struct zg_slice){rest.ptr + 1, rest.len - 1};
		if (zg_slice_u64(rest, UINT16_MAX, &n) < 0)
			return (struct zg_slice){0};
	}
	/* brackets hold an IPv6 address and nothing else */
	if (n != port || v6 != (memchr(host.ptr, ':', host.len) != NULL))
		return (struct zg_slice){0};
	return host;
}

static bool names_host(struct zg_slice text, struct zg_slice host, uint16_t port, uint16_t usual)
{
	struct zg_slice at = host_at(text, port, usual);

	return at.ptr && zg_slice_ieq(at, host);
}

/* By value: one address has many spellings (::ffff:7f00:1 is 127.0.0.1). */
static bool names_addr(struct zg_slice text, const uint8_t addr[16], uint16_t port, uint16_t usual)
{
	struct zg_slice at = host_at(text, port, usual);
	uint8_t named[16];

	return at.ptr && zg_addr_parse(at, named) == 0 && memcmp(named, addr, sizeof(named)) == 0;
}

/* One of the gateway's own names: a listener's address, or localhost. */
static bool names_listener(struct zg_slice text, const struct zg_snapshot *s, uint16_t port)
{
	for (uint32_t i = 0; i < s->settings->listen_count; i++) {
		const struct zg_listen *l = &s->settings->listen[i];

		if (port && l->port != port)
			continue;
		if (names_addr(text, l->addr, l->port, PORT_HTTP) ||
		    names_host(text, ZG_SLICE("localhost"), l->port, PORT_HTTP))
			return true;
	}
	return false;
}

static uint16_t usual_port(const struct zg_server_def *server)
{
	return server->tls ? PORT_HTTPS : PORT_HTTP;
}

static bool names_server(struct zg_slice text, const struct zg_server_def *server)
{
	return names_host(text, zg_slice_str(server->host), server->port, usual_port(server));
}

static bool origin_ok(struct zg_slice origin, const struct zg_snapshot *s,
		      const struct zg_server_def *server)
{
	static const struct zg_slice plain = {"http://", 7}, secure = {"https://", 8};
	bool tls = zg_slice_starts(origin, secure);
	size_t n = tls ? secure.len : plain.len;

	if (!tls && !zg_slice_starts(origin, plain))
		return false;
	origin = (struct zg_slice){origin.ptr + n, origin.len - n};
	return (!tls && names_listener(origin, s, 0)) ||
	       (server && server->tls == tls && names_server(origin, server));
}

static bool is_id(struct zg_slice id)
{
	for (size_t i = 0; i < id.len; i++) {
		char c = id.ptr[i];

		if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
		      c == '-' || c == '_' || c == '.'))
			return false;
	}
	return id.len > 0 && id.len < ZG_SERVER_LEN;
}

/* "/<id>" and a door's tail; the id's own form was checked when the registry
 * was loaded. */
static bool read_target(struct zg_slice target, struct zg_route *out)
{
	static const struct {
		struct zg_slice tail;
		enum zg_door door;
	} doors[] = {
		{{"/mcp", 4}, ZG_DOOR_MCP},
		{{"/sse", 4}, ZG_DOOR_SSE},
		{{"/messages?token=", 16}, ZG_DOOR_MESSAGES},
	};
	const char *slash = target.len > 1 ? memchr(target.ptr + 1, '/', target.len - 1) : NULL;
	struct zg_slice id, tail;

	if (!slash || target.ptr[0] != '/')
		return false;
	id = (struct zg_slice){target.ptr + 1, (size_t)(slash - target.ptr) - 1};
	tail = (struct zg_slice){slash, target.len - id.len - 1};
	for (size_t i = 0; i < sizeof(doors) / sizeof(doors[0]); i++) {
		bool token = doors[i].door == ZG_DOOR_MESSAGES;

		if (!is_id(id) || !(token ? zg_slice_starts(tail, doors[i].tail)
					  : zg_slice_eq(tail, doors[i].tail)))
			continue;
		out->server_id = id;
		out->door = doors[i].door;
		if (token)
			out->token = (struct zg_slice){tail.ptr + doors[i].tail.len,
						       tail.len - doors[i].tail.len};
		return true;
	}
	return false;
}

/* Our own URL for messages, as a client was given it on that server's host. */
static bool own_messages(struct zg_slice target, struct zg_route *out)
{
	struct zg_route own = {0};

	if (out->server->transport != ZG_T_SSE || !read_target(target, &own) ||
	    own.door != ZG_DOOR_MESSAGES || !zg_slice_eq(own.server_id, out->server_id))
		return false;
	out->door = own.door;
	out->token = own.token;
	return true;
}

/* Which transport the server speaks is the registry's to say. Clients that do
 * not know try a POST first, and on a 4xx the older transport. */
static int judge_door(struct zg_route *r, enum zg_http_method method, const char **why)
{
	if (!r->server)
		return 0;
	if (r->server->transport != ZG_T_SSE) {
		*why = "the path is not /<server>/mcp";
		return r->door == ZG_DOOR_MCP ? 0 : 404;
	}
	if (r->door == ZG_DOOR_MCP)
		r->door = ZG_DOOR_SSE;
	*why = r->door == ZG_DOOR_SSE ? "this server speaks HTTP+SSE (2024-11-05): GET opens it"
				      : "messages are POSTed here";
	return (r->door == ZG_DOOR_SSE) == (method == ZG_HM_GET) && method != ZG_HM_DELETE ? 0
											   : 405;
}

/* Where several names lead to one address, the one that the client names. */
static const struct zg_server_def *find_endpoint(const struct zg_snapshot *s,
						 const uint8_t addr[16], uint16_t port,
						 struct zg_slice host)
{
	size_t count;
	const struct zg_endpoint_def *at = zg_snapshot_endpoints(s, addr, port, &count);

	for (size_t i = 0; i < count; i++)
		if (names_server(host, &s->servers[at[i].server]))
			return &s->servers[at[i].server];
	return count ? &s->servers[at->server] : NULL;
}

static int find_transparent(struct zg_route *out, const struct zg_http_head *h,
			    const struct zg_origin *o, const struct zg_snapshot *s,
			    const char **why)
{
	uint16_t port = ntohs(o->dst_port_be);
	struct zg_slice host = h->field[ZG_HF_HOST];

	out->server = find_endpoint(s, o->dst, port, host);
	if (!out->server) {
		*why = "the destination is not registered any more";
		return 403;
	}
	out->server_id = zg_slice_str(out->server->id);
	if (!zg_slice_eq(h->target, zg_slice_str(out->server->path)) &&
	    !own_messages(h->target, out)) {
		*why = "the path is not the registered server's";
		return 404;
	}
	if (!names_server(host, out->server) &&
	    !names_addr(host, o->dst, port, usual_port(out->server)) &&
	    !names_host(host, ZG_SLICE("localhost"), port, usual_port(out->server))) {
		*why = "Host does not name the registered server";
		return 403;
	}
	return 0;
}

int zg_route_find(struct zg_route *out, const struct zg_http_head *h, const struct zg_origin *o,
		  const struct zg_snapshot *s, const char **why)
{
	struct zg_slice origin = h->field[ZG_HF_ORIGIN];
	const struct zg_auth *auth = NULL;
	struct zg_route r = {0};
	uint32_t listener;
	int status;

	if (h->method == ZG_HM_OTHER) {
		*why = "only POST, GET and DELETE are known here";
		return 405;
	}
	if (o->transparent) {
		status = find_transparent(&r, h, o, s, why);
		if (status)
			return status;
	} else {
		auth = zg_resource_of(s, o, &listener);
		if (!names_listener(h->field[ZG_HF_HOST], s, ntohs(o->dst_port_be)) &&
		    !(auth && zg_resource_host(auth, h->field[ZG_HF_HOST], false))) {
			*why = "Host does not name this gateway";
			return 403;
		}
		if (!read_target(h->target, &r) &&
		    !(auth && zg_resource_metadata(h->target, &r.server_id))) {
			*why = "the path is not /<server>/mcp";
			return 404;
		}
		r.server = zg_snapshot_server(s, r.server_id);
	}
	if (origin.ptr && !origin_ok(origin, s, r.server) &&
	    !(auth && zg_resource_host(auth, origin, true))) {
		*why = "Origin is not allowed";
		return 403;
	}
	status = judge_door(&r, h->method, why);
	if (status)
		return status;
	*out = r;
	return 0;
}

static bool is_json(struct zg_slice type)
{
	const char *end = type.len ? memchr(type.ptr, ';', type.len) : NULL;

	if (end)
		type.len = (size_t)(end - type.ptr);
	return zg_slice_ieq(zg_slice_trim(type), ZG_SLICE("application/json"));
}

enum zg_next zg_step_route(struct zg_request *r)
{
	const char *why = "";
	struct zg_route route;
	int status;

	if (r->local)
		return zg_local_route(r);
	status = zg_route_find(&route, &r->head, &r->origin, &r->live->snap, &why);

	if (status)
		return zg_refuse(r, status, ZG_C_HTTP, "%s", why);
	if (r->origin.transparent && route.server->tls && !r->tls)
		return zg_refuse(r, 400, ZG_C_HTTP,
				 "the registered server speaks https, and this is plain http");
	if (r->tls_name.len && !zg_slice_ieq(r->tls_name, zg_slice_str(route.server->host)))
		return zg_refuse(r, 421, ZG_C_HTTP,
				 "Host names another server than the connection's TLS");
	r->server = route.server;
	r->server_id = route.server_id;
	r->door = route.door;
	r->endpoint.token = route.token;
	if (r->head.method == ZG_HM_POST && !is_json(r->head.field[ZG_HF_CONTENT_TYPE]))
		return zg_refuse(r, 415, ZG_C_HTTP, "Content-Type is not application/json");
	return ZG_NEXT;
}
