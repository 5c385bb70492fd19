/* SPDX-License-Identifier: Apache-2.0 */
/* resource.c - see resource.h. Trust: the caller is attested, its token is not yet. */
#include "resource.h"

#include <arpa/inet.h>
#include <time.h>

#include "token.h"

#define WELL_KNOWN "/.well-known/oauth-protected-resource"

const struct zg_auth *zg_resource_of(const struct zg_snapshot *s, const struct zg_origin *o,
				     uint32_t *listener)
{
	const struct zg_settings *set = s->settings;

	if (o->transparent)
		return NULL;
	for (*listener = 0; *listener < set->listen_count; ++*listener)
		if (set->listen[*listener].port == ntohs(o->dst_port_be) &&
		    memcmp(set->listen[*listener].addr, o->dst, 16) == 0)
			return set->auth[*listener].resource[0] ? &set->auth[*listener] : NULL;
	return NULL;
}

bool zg_resource_host(const struct zg_auth *a, struct zg_slice host, bool scheme)
{
	struct zg_slice own = zg_slice_str(a->resource);
	/* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): a member, not a pointer */
	const char *at = strstr(a->resource, "://");
	const char *path = at ? strchr(at + 3, '/') : NULL;

	if (!path)
		return false;
	own.len = (size_t)(path - own.ptr);
	if (!scheme)
		own = (struct zg_slice){at + 3, (size_t)(path - at) - 3};
	return zg_slice_ieq(host, own);
}

bool zg_resource_metadata(struct zg_slice target, struct zg_slice *id)
{
	static const struct zg_slice known = {WELL_KNOWN, sizeof(WELL_KNOWN) - 1};
	static const struct zg_slice tail = {"/mcp", 4};
	struct zg_slice rest;

	if (!zg_slice_starts(target, known))
		return false;
	rest = (struct zg_slice){target.ptr + known.len, target.len - known.len};
	*id = (struct zg_slice){rest.ptr, 0};
	if (!rest.len)
		return true;
	if (rest.ptr[0] != '/' || rest.len <= 1 + tail.len ||
	    memcmp(rest.ptr + rest.len - tail.len, tail.ptr, tail.len) != 0)
		return false;
	*id = (struct zg_slice){rest.ptr + 1, rest.len - 1 - tail.len};
	return !memchr(id->ptr, '/', id->len);
}

/* "https://gw.example/" + "github/mcp"; the resource alone for no server. */
static void put_resource(struct zg_buf *out, const struct zg_auth *a, struct zg_slice id)
{
	zg_buf_str(out, a->resource);
	if (id.len)
		zg_buf_fmt(out, "%.*s/mcp", (int)id.len, id.ptr);
}

/* Where its metadata is: the well-known name between host and path (RFC 9728). */
static void put_metadata_url(struct zg_buf *out, const struct zg_auth *a, struct zg_slice id)
{
	const char *host = strstr(a->resource, "://");
	const char *path = host ? strchr(host + 3, '/') : NULL;

	if (!path)
		return;
	zg_buf_add(out, a->resource, (size_t)(path - a->resource));
	zg_buf_fmt(out, WELL_KNOWN "%s%.*s/mcp", path, (int)id.len, id.ptr);
}

static enum zg_next metadata(struct zg_request *r, const struct zg_auth *a, struct zg_slice id)
{
	struct zg_buf *out = &r->output.body, *url = &r->worker->scratch;
	struct zg_slice rest = zg_slice_str(a->scopes);

	if (r->head.method != ZG_HM_GET)
		return zg_refuse(r, 405, ZG_C_HTTP, "metadata are read with GET");
	if (id.len && !zg_snapshot_server(&r->live->snap, id))
		return zg_refuse(r, 404, ZG_C_HTTP, "no such server");
	zg_buf_reset(url);
	put_resource(url, a, id);
	zg_buf_str(out, "{\"resource\":");
	zg_buf_json(out, zg_buf_slice(url));
	zg_buf_str(out, ",\"authorization_servers\":[");
	for (uint32_t i = 0; i < a->issuer_count; i++) {
		zg_buf_str(out, i ? "," : "");
		zg_buf_json(out, zg_slice_str(a->issuer[i].issuer));
	}
	zg_buf_str(out, "],\"bearer_methods_supported\":[\"header\"]");
	for (const char *comma = ",\"scopes_supported\":["; rest.len; comma = ",") {
		const char *blank = memchr(rest.ptr, ' ', rest.len);
		size_t n = blank ? (size_t)(blank - rest.ptr) : rest.len;

		zg_buf_str(out, comma);
		zg_buf_json(out, (struct zg_slice){rest.ptr, n});
		n += blank != NULL;
		rest = (struct zg_slice){rest.ptr + n, rest.len - n};
	}
	zg_buf_str(out, a->scopes[0] ? "]}" : "}");
	if (!zg_buf_ok(out) || !zg_buf_ok(url))
		return zg_refuse(r, 503, ZG_C_UNAVAILABLE, "no memory");
	r->quiet = true;
	r->answer.kind = ZG_A_FORWARD;
	r->answer.status = 200;
	return ZG_ANSWER;
}

static enum zg_next challenge(struct zg_request *r, const struct zg_auth *a, int status,
			      const char *error, const char *why)
{
	zg_autobuf text = ZG_BUF(4096);
	const char *copy;

	zg_buf_str(&text, "Bearer resource_metadata=\"");
	put_metadata_url(&text, a, r->server_id);
	zg_buf_char(&text, '"');
	if (error)
		zg_buf_fmt(&text, ", error=\"%s\", error_description=\"%s\"", error, why);
	if (a->scopes[0])
		zg_buf_fmt(&text, ", scope=\"%s\"", a->scopes);
	copy = zg_buf_ok(&text) ? zg_arena_copy(&r->arena, zg_buf_slice(&text)) : NULL;
	if (copy)
		r->answer.challenge = zg_slice_str(copy);
	return zg_refuse(r, status, ZG_C_HTTP, "%s", why);
}

enum zg_next zg_step_token(struct zg_request *r)
{
	struct zg_slice id, token = zg_token_bearer(r->head.field[ZG_HF_AUTHORIZATION]);
	zg_autobuf resource = ZG_BUF(4096);
	enum zg_token_verdict v;
	struct zg_token_claims claims;
	const char *why = "";
	struct timespec now;
	uint32_t listener;
	const struct zg_auth *a = zg_resource_of(&r->live->snap, &r->origin, &listener);

	if (!a || r->local)
		return ZG_NEXT;
	if (zg_resource_metadata(r->head.target, &id))
		return metadata(r, a, id);
	if (!token.len)
		return challenge(r, a, 401, NULL, "an access token is required");
	put_resource(&resource, a, r->server_id);
	if (!zg_buf_ok(&resource))
		return zg_refuse(r, 503, ZG_C_UNAVAILABLE, "no memory");
	(void)clock_gettime(CLOCK_REALTIME, &now);
	v = zg_token_check(&r->live->snap, listener, token, zg_buf_slice(&resource),
			   (uint64_t)now.tv_sec, &claims, &why);
	if (v == ZG_TOKEN_SCOPE)
		return challenge(r, a, 403, "insufficient_scope", why);
	if (v == ZG_TOKEN_NO_KEY && zg_issuers_wanted(r->worker, &a->issuer[claims.issuer]))
		return zg_refuse(r, 503, ZG_C_UNAVAILABLE,
				 "the keys of the token's issuer are being fetched; try again");
	if (v != ZG_TOKEN_GOOD)
		return challenge(r, a, 401, "invalid_token", why);
	r->subject = zg_arena_copy(&r->arena, zg_slice_str(claims.subject));
	if (!r->subject)
		return zg_refuse(r, 503, ZG_C_UNAVAILABLE, "no memory");
	return ZG_NEXT;
}
