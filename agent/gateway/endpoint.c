/* SPDX-License-Identifier: Apache-2.0 */
/*
 * endpoint.c - see endpoint.h. Trust: the event is the server's, and must not
 * lead anywhere but to itself; the token is the client's until it is opened.
 */
#include "endpoint.h"

#include <errno.h>

#include "request.h"
#include "server_message.h"

/* Before the path in a token's payload: the stream's number and its worker. */
#define WHERE_BYTES (sizeof(uint64_t) + sizeof(uint32_t))

static bool cut(struct zg_slice *s, struct zg_slice prefix)
{
	if (s->len < prefix.len || !zg_slice_ieq((struct zg_slice){s->ptr, prefix.len}, prefix))
		return false;
	s->ptr += prefix.len;
	s->len -= prefix.len;
	return true;
}

/* "host:port" or "[v6]:port" is the server's; the scheme's own port may be left out. */
static bool is_authority(const struct zg_server_def *s, struct zg_slice text)
{
	bool v6 = strchr(s->host, ':') != NULL;
	uint64_t port = s->tls ? 443 : 80;

	if ((v6 && !cut(&text, ZG_SLICE("["))) || !cut(&text, zg_slice_str(s->host)) ||
	    (v6 && !cut(&text, ZG_SLICE("]"))))
		return false;
	if (text.len && (!cut(&text, ZG_SLICE(":")) || zg_slice_u64(text, UINT16_MAX, &port) < 0))
		return false;
	return port == s->port;
}

static const char *cut_origin(const struct zg_server_def *s, struct zg_slice *text)
{
	struct zg_slice authority = *text;
	size_t n = 0;

	if (!cut(&authority, s->tls ? ZG_SLICE("https://") : ZG_SLICE("http://")))
		return "its endpoint has another scheme";
	while (n < authority.len && authority.ptr[n] != '/' && authority.ptr[n] != '?')
		n++;
	if (!is_authority(s, (struct zg_slice){authority.ptr, n}))
		return "its endpoint is not on the registered host and port";
	*text = (struct zg_slice){authority.ptr + n, authority.len - n};
	return NULL;
}

/* What a reference without a slash in front is relative to: the registered
 * path up to its last slash, or, for a query alone, all of it. */
static struct zg_slice base_of(const struct zg_server_def *s, bool query)
{
	/* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): a member, not a pointer */
	struct zg_slice path = {s->path, strcspn(s->path, "?")};

	while (!query && path.len && path.ptr[path.len - 1] != '/')
		path.len--;
	return path;
}

/* A scheme stands before a colon that comes before any slash. */
static bool is_absolute(struct zg_slice text)
{
	size_t n = 0;

	while (n < text.len && !strchr(":/?", text.ptr[n]))
		n++;
	return n < text.len && text.ptr[n] == ':';
}

static bool is_url_text(struct zg_slice text)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.ptr[i] < 0x21 || text.ptr[i] > 0x7e || strchr("#\\\"<>", text.ptr[i]))
			return false;
	return text.len > 0;
}

const char *zg_endpoint_path(const struct zg_server_def *s, struct zg_slice text,
			     struct zg_buf *out)
{
	size_t from = out->len, path = 0;
	struct zg_slice base = {0};

	if (!is_url_text(text))
		return "its endpoint is no URL";
	if (zg_slice_starts(text, ZG_SLICE("//")))
		return "its endpoint leaves the registered origin";
	if (is_absolute(text)) {
		const char *why = cut_origin(s, &text);

		if (why)
			return why;
		if (!text.len || text.ptr[0] != '/')
			base = ZG_SLICE("/");
	} else if (text.ptr[0] != '/') {
		base = base_of(s, text.ptr[0] == '?');
	}
	zg_buf_add(out, base.ptr, base.len);
	zg_buf_add(out, text.ptr, text.len);
	if (!zg_buf_ok(out) || out->len - from >= ZG_PATH_LEN)
		return "its endpoint is too long";
	while (from + path < out->len && out->ptr[from + path] != '?')
		path++;
	/* what dots mean is the server's to say, not ours to guess */
	if (memmem(out->ptr + from, path, "/..", 3))
		return "its endpoint climbs";
	return NULL;
}

int zg_endpoint_event(struct zg_request *r, const struct zg_sse_event *ev, struct zg_buf *out)
{
	const struct zg_seal_owner owner = {zg_slice_str(r->server->id), &r->principal};
	char room[WHERE_BYTES + ZG_PATH_LEN + 8], target[ZG_SERVER_LEN + 32];
	struct zg_buf payload = {.ptr = room, .cap = sizeof(room), .max = sizeof(room) - 1};
	struct zg_buf *url = &r->worker->token;
	const char *why, *copy;
	int rc;

	if (r->endpoint.path.ptr)
		return zg_withhold(r, -EBADMSG, "it names a second endpoint");
	zg_buf_add(&payload, &r->call, sizeof(r->call));
	zg_buf_add(&payload, &r->worker->index, sizeof(r->worker->index));
	why = zg_endpoint_path(r->server, ev->data, &payload);
	if (why)
		return zg_withhold(r, -EBADMSG, why);
	copy = zg_arena_copy(
		&r->arena, (struct zg_slice){payload.ptr + WHERE_BYTES, payload.len - WHERE_BYTES});
	if (!copy)
		return zg_withhold(r, -ENOMEM, "its endpoint could not be kept");
	r->endpoint.path = (struct zg_slice){copy, payload.len - WHERE_BYTES};
	(void)snprintf(target, sizeof(target), "/%s/messages?token=", r->server->id);
	zg_buf_reset(url);
	zg_buf_str(url, target);
	rc = zg_seal(&r->live->seal, ZG_SEAL_ENDPOINT, &owner, zg_real_sec(), ZG_SSE_OPEN_SEC,
		     zg_buf_slice(&payload), url);
	if (rc < 0)
		return zg_withhold(r, rc, "its endpoint could not be sealed");
	zg_buf_reset(out);
	zg_sse_rewrite(ev, NULL, &(struct zg_slice){url->ptr, url->len}, out);
	return zg_buf_ok(out) ? 0 : zg_withhold(r, out->error, "it could not be rebuilt");
}

enum zg_next zg_endpoint_open(struct zg_request *r)
{
	const struct zg_seal_owner owner = {zg_slice_str(r->server->id), &r->principal};
	struct zg_sealed s;
	const char *copy;
	enum zg_seal_verdict v =
		zg_seal_open(&r->live->seal, ZG_SEAL_ENDPOINT, &owner, zg_real_sec(),
			     ZG_SSE_OPEN_SEC, r->endpoint.token, &r->worker->token, &s);

	if (v != ZG_SEAL_OPEN || s.payload.len <= WHERE_BYTES)
		return zg_refuse_token(r, 404, "the endpoint", v);
	copy = zg_arena_copy(&r->arena, (struct zg_slice){s.payload.ptr + WHERE_BYTES,
							  s.payload.len - WHERE_BYTES});
	if (!copy)
		return zg_refuse(r, 503, ZG_C_UNAVAILABLE, "no memory for the endpoint");
	memcpy(&r->endpoint.stream, s.payload.ptr, sizeof(r->endpoint.stream));
	memcpy(&r->endpoint.worker, s.payload.ptr + sizeof(r->endpoint.stream),
	       sizeof(r->endpoint.worker));
	r->endpoint.path = (struct zg_slice){copy, s.payload.len - WHERE_BYTES};
	return ZG_NEXT;
}
