/* SPDX-License-Identifier: Apache-2.0 */
/*
 * upstream_send.c - the request as a server gets it. Trust: only listed headers
 * of the client's go on, and the secrets of a server to that server alone.
 * libcurl may never pick a destination or a proxy by itself.
 */
#include "upstream_impl.h"

#include <arpa/inet.h>

#include "proxy.h"
#include "trust.h"

/* headers that only we speak for; an empty value keeps libcurl from adding its own */
static const char *const fixed_headers[] = {"Expect:", "User-Agent: zerogate/" ZG_VERSION};

struct zg_slice zg_upstream_path(const struct zg_transfer *t, const struct zg_request *r)
{
	if (t->path.ptr)
		return t->path;
	return r->endpoint.path.ptr ? r->endpoint.path : zg_slice_str(r->server->path);
}

/* headers ---------------------------------------------------------------------- */

static void add_header(struct zg_transfer *t, struct zg_slice name, struct zg_slice value)
{
	struct curl_slist *node = zg_arena_alloc(&t->arena, sizeof(*node));
	char *line = zg_arena_alloc(&t->arena, name.len + value.len + 3);

	if (!node || !line)
		return; /* sticky: seen by zg_arena_ok */
	memcpy(line, name.ptr, name.len);
	memcpy(line + name.len, ": ", 2);
	if (value.len)
		memcpy(line + name.len + 2, value.ptr, value.len);
	node->data = line;
	node->next = t->headers;
	t->headers = node;
}

static void add_line(struct zg_transfer *t, struct zg_slice line)
{
	struct curl_slist *node = zg_arena_alloc(&t->arena, sizeof(*node));

	if (!node)
		return;
	node->data = zg_arena_copy(&t->arena, line);
	node->next = t->headers;
	t->headers = node;
}

/* What is the server's alone to see. The client's own proof of who it is goes on
 * only where the entry says so. */
static void add_proofs(struct zg_transfer *t, const struct zg_request *r)
{
	size_t count;
	const struct zg_proof *p = zg_trust_proofs(r->live, r->server, &count);

	for (size_t i = 0; i < count; i++) {
		if (p[i].kind == ZG_SK_AUTHORIZATION)
			add_header(t, ZG_SLICE("Authorization"), p[i].value);
		else if (p[i].kind == ZG_SK_HEADER)
			add_line(t, p[i].value);
	}
	if (r->server->passthrough && r->head.field[ZG_HF_AUTHORIZATION].ptr)
		add_header(t, ZG_SLICE("Authorization"), r->head.field[ZG_HF_AUTHORIZATION]);
}

void zg_upstream_headers(struct zg_transfer *t, const struct zg_request *r, bool note)
{
	static const enum zg_http_field of_note[] = {ZG_HF_MCP_SESSION_ID,
						     ZG_HF_MCP_PROTOCOL_VERSION};

	for (size_t i = 0; i < sizeof(fixed_headers) / sizeof(fixed_headers[0]); i++)
		add_line(t, zg_slice_str(fixed_headers[i]));
	add_proofs(t, r);
	if (note) {
		add_line(t, ZG_SLICE("Content-Type: application/json"));
		add_line(t, ZG_SLICE("Accept: application/json, text/event-stream"));
		for (size_t i = 0; i < sizeof(of_note) / sizeof(of_note[0]); i++)
			if (r->head.field[of_note[i]].ptr)
				add_header(t, zg_slice_str(zg_http_field_forward(of_note[i])),
					   r->head.field[of_note[i]]);
		return;
	}
	if (!r->head.field[ZG_HF_ACCEPT].ptr)
		add_line(t, ZG_SLICE("Accept:"));
	for (int f = 0; f < ZG_HF_MAX; f++) {
		const char *name = zg_http_field_forward((enum zg_http_field)f);

		if (name && r->head.field[f].ptr)
			add_header(t, zg_slice_str(name), r->head.field[f]);
	}
	for (size_t i = 0; i < r->head.extra_count; i++)
		add_header(t, r->head.extra[i].name, r->head.extra[i].value);
}

/* destination ------------------------------------------------------------------ */

/* Where libcurl is not needed: plain HTTP/1.1, dialled directly. */
static bool is_plain(const struct zg_transfer *t, const struct zg_request *r)
{
	return !r->server->tls && !t->proxied;
}

/* What is dialled: an address of the server, or of the proxy. A transfer that has
 * begun does not turn from one to the other. */
static bool set_way(struct zg_transfer *t, const struct zg_request *r)
{
	struct zg_live *live;
	const struct zg_server_def *s = zg_upstream_whereabouts(r, &live);
	char to[INET6_ADDRSTRLEN + 16], ip[INET6_ADDRSTRLEN];

	if (t->set && t->proxied != s->proxied)
		return false;
	t->proxied = s->proxied;
	t->set = true;
	if (t->proxied)
		return zg_transfer_handle(t) && zg_proxy_apply(t->easy, live, t->nth);
	if (!zg_upstream_address(t, r, t->addr, &t->port))
		return false;
	if (is_plain(t, r))
		return true;
	zg_addr_text(ip, sizeof(ip), t->addr);
	(void)snprintf(to, sizeof(to), strchr(ip, ':') ? "::[%s]:%u" : "::%s:%u", ip, t->port);
	t->connect_to = (struct curl_slist){zg_arena_copy(&t->arena, zg_slice_str(to)), NULL};
	return zg_arena_ok(&t->arena) && zg_transfer_handle(t) &&
	       curl_easy_setopt(t->easy, CURLOPT_CONNECT_TO, &t->connect_to) == CURLE_OK;
}

bool zg_upstream_aim(struct zg_transfer *t, const struct zg_request *r)
{
	const struct zg_server_def *s = r->server;
	bool v6 = strchr(s->host, ':') != NULL;
	const struct zg_slice path = zg_upstream_path(t, r);
	char url[3 * ZG_PATH_LEN];
	int n;

	if (!set_way(t, r))
		return false;
	if (is_plain(t, r))
		return true;
	n = snprintf(url, sizeof(url), "%s://%s%s%s:%u%.*s", s->tls ? "https" : "http",
		     v6 ? "[" : "", s->host, v6 ? "]" : "", s->port, (int)path.len, path.ptr);
	if (s->tls && !t->tls && !zg_trust_apply(t->live, s, t->easy))
		return false;
	t->tls = s->tls;
	return n > 0 && (size_t)n < sizeof(url) &&
	       curl_easy_setopt(t->easy, CURLOPT_URL, url) == CURLE_OK;
}

/* message ---------------------------------------------------------------------- */

/* The head of a plain request; a header that is there to be left out ends in ':'. */
static bool set_plain(struct zg_transfer *t, const struct zg_request *r, enum zg_http_method method,
		      struct zg_slice body)
{
	static const char *const names[] = {
		[ZG_HM_POST] = "POST", [ZG_HM_GET] = "GET", [ZG_HM_DELETE] = "DELETE"};
	const struct zg_server_def *s = r->server;
	const struct zg_slice path = zg_upstream_path(t, r);
	bool v6 = strchr(s->host, ':') != NULL;
	struct zg_buf *head = &t->worker->scratch;

	zg_buf_reset(head);
	zg_buf_str(head, names[method]);
	zg_buf_char(head, ' ');
	zg_buf_add(head, path.ptr, path.len);
	zg_buf_str(head, v6 ? " HTTP/1.1\r\nHost: [" : " HTTP/1.1\r\nHost: ");
	zg_buf_str(head, s->host);
	zg_buf_str(head, v6 ? "]:" : ":");
	zg_buf_u64(head, s->port);
	for (const struct curl_slist *h = t->headers; h; h = h->next) {
		size_t len = h->data ? strlen(h->data) : 0;

		if (!len || h->data[len - 1] == ':')
			continue;
		zg_buf_str(head, "\r\n");
		zg_buf_add(head, h->data, len);
	}
	if (method == ZG_HM_POST) {
		zg_buf_str(head, "\r\nContent-Length: ");
		zg_buf_u64(head, body.len);
		t->body = body;
	}
	zg_buf_str(head, "\r\n\r\n");
	t->head = (struct zg_slice){zg_arena_copy(&t->arena, zg_buf_slice(head)), head->len};
	return zg_buf_ok(head) && zg_arena_ok(&t->arena);
}

bool zg_upstream_message(struct zg_transfer *t, const struct zg_request *r,
			 enum zg_http_method method, struct zg_slice body)
{
	CURL *e = t->easy;

	if (is_plain(t, r))
		return set_plain(t, r, method, body);
	if (curl_easy_setopt(e, CURLOPT_HTTPHEADER, t->headers) != CURLE_OK ||
	    curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, method == ZG_HM_DELETE ? "DELETE" : NULL) !=
		    CURLE_OK)
		return false;
	if (method != ZG_HM_POST)
		return curl_easy_setopt(e, CURLOPT_HTTPGET, 1L) == CURLE_OK;
	return curl_easy_setopt(e, CURLOPT_POST, 1L) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_POSTFIELDS, body.ptr) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len) == CURLE_OK;
}
