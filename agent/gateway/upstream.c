/* SPDX-License-Identifier: Apache-2.0 */
/*
 * upstream.c - see upstream.h. Trust: the server is hostile; status, headers
 * and body are read here and judged in output.c. libcurl may never pick a
 * destination, a proxy or a second attempt by itself.
 */
#include "upstream.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>

#include "http_line.h"
#include "local.h"
#include "multi.h"
#include "plain.h"
#include "proxy.h"
#include "redirect.h"
#include "request.h"
#include "trust.h"

/* headers that only we speak for; an empty value keeps libcurl from adding its own */
static const char *const fixed_headers[] = {"Expect:", "User-Agent: zerogate/" ZG_VERSION};

/* where it is --------------------------------------------------------------- */

/* Where the server is now: names lead elsewhere while a call waits, and only what
 * is in force can be dialled. */
static const struct zg_server_def *whereabouts(const struct zg_request *r, struct zg_live **live)
{
	const struct zg_server_def *s;

	*live = r->live;
	if ((!r->server->by_name && !r->server->proxied) || r->live == r->worker->live)
		return r->server;
	s = zg_snapshot_server(&r->worker->live->snap, r->server_id);
	if (!s || memcmp(s->sha256, r->server->sha256, sizeof(s->sha256)) != 0)
		return r->server;
	*live = r->worker->live;
	return s;
}

static void note_answer(const struct zg_transfer *t, const struct zg_request *r)
{
	const struct zg_server_def *s;
	struct zg_live *live;

	if (r->origin.transparent || t->proxied)
		return;
	s = whereabouts(r, &live);
	zg_live_endpoint_answered(live, s, t->first + t->nth);
}

/* reading the answer -------------------------------------------------------- */

/* Where it was sent on to, where a server of HTTP+SSE wants its messages, or
 * where it is registered. */
static struct zg_slice path_of(const struct zg_transfer *t, const struct zg_request *r)
{
	if (t->path.ptr)
		return t->path;
	return r->endpoint.path.ptr ? r->endpoint.path : zg_slice_str(r->server->path);
}

static enum zg_media media_of(struct zg_slice type)
{
	const char *end = type.len ? memchr(type.ptr, ';', type.len) : NULL;

	if (end)
		type.len = (size_t)(end - type.ptr);
	type = zg_slice_trim(type);
	if (zg_slice_ieq(type, ZG_SLICE("application/json")))
		return ZG_MEDIA_JSON;
	return zg_slice_ieq(type, ZG_SLICE("text/event-stream")) ? ZG_MEDIA_SSE : ZG_MEDIA_OTHER;
}

static struct zg_slice keep(struct zg_arena *arena, struct zg_slice s)
{
	const char *copy = zg_arena_copy(arena, s);

	return (struct zg_slice){copy, copy ? s.len : 0};
}

static bool is_visible(struct zg_slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] < 0x20 || s.ptr[i] > 0x7e)
			return false;
	return true;
}

static void take_header(struct zg_transfer *t, struct zg_slice name, struct zg_slice value)
{
	struct zg_request *r = t->request;
	struct zg_output *o = &r->output;

	if (zg_slice_ieq(name, ZG_SLICE("content-type")))
		o->media = media_of(value);
	else if (zg_slice_ieq(name, ZG_SLICE("content-encoding")))
		o->encoded = !zg_slice_ieq(value, ZG_SLICE("identity"));
	else if (!is_visible(value))
		return;
	else if (zg_slice_ieq(name, ZG_SLICE("mcp-session-id")))
		o->session = keep(&r->arena, value);
	else if (zg_slice_ieq(name, ZG_SLICE("allow")))
		o->allow = keep(&r->arena, value);
	else if (zg_slice_ieq(name, ZG_SLICE("location")))
		t->location = keep(&t->arena, value);
}

/*
 * A server that redirects has not done what it was asked. 307 and 308 say that
 * the same request may be made elsewhere: done, while "elsewhere" is the
 * registered origin. All else would be a server that nobody has registered, or
 * another request.
 */
static bool is_followed(struct zg_transfer *t, long status)
{
	struct zg_request *r = t->request;
	const bool moved = status == 301 || status == 302 || status == 303;
	const bool again = status == 307 || status == 308;
	struct zg_redirect to;

	if (!moved && !again)
		return false;
	if (!zg_redirect_read(&to, r->server, path_of(t, r), t->location)) {
		r->failure = "redirects to something that is no URL";
		return false;
	}
	if (again && to.same_origin && t->redirects < ZG_UPSTREAM_REDIRECTS_MAX) {
		t->path = keep(&t->arena, zg_slice_str(to.path));
		return t->path.ptr != NULL;
	}
	r->failure = zg_request_text(
		r,
		to.same_origin ? "redirects %s%.180s"
			       : "redirects %s%.180s, which is not its registered origin: not "
				 "followed",
		!to.same_origin ? "to "
		: again		? "too often, at last within "
				: "a call by a status that turns it into another, within ",
		to.origin);
	return false;
}

/*
 * libcurl is lenient where http_reply.h is not; so each line that it takes for one
 * is put to our own reading, and the head ends the exchange if that is another.
 * HTTP/2 has no framing in its fields, which nghttp2 has checked: they are counted.
 */
static int judge_line(struct zg_transfer *t, struct zg_slice line, struct zg_slice *name,
		      struct zg_slice *value)
{
	struct zg_http_reply *head = &t->reply;

	if (line.len < 2 || memcmp(line.ptr + line.len - 2, "\r\n", 2) != 0)
		return -EBADMSG;
	line.len -= 2;
	if (zg_slice_starts(line, ZG_SLICE("HTTP/")))
		*head = (struct zg_http_reply){0};
	if (!line.len)
		return t->h2 ? 0 : zg_http_reply_end(head);
	if (!head->lines)
		t->h2 = zg_slice_starts(line, ZG_SLICE("HTTP/2 "));
	if (!t->h2)
		return zg_http_reply_line(head, line, name, value);
	if (head->lines++ == 0)
		return 0;
	return head->lines > ZG_HTTP_HEADERS_MAX + 1 || zg_http_split_field(line, name, value)
		       ? -EBADMSG
		       : 1;
}

/* The head is complete. */
static void take_head(struct zg_transfer *t)
{
	struct zg_request *r = t->request;
	long status = 0;

	(void)curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
	if (status < 200)
		return; /* 100 Continue and its like */
	t->follow = is_followed(t, status);
	if (t->follow)
		return;
	r->output.status = (int)status;
	zg_output_head(r);
}

static size_t on_header(char *line, size_t one, size_t n, void *arg)
{
	struct zg_transfer *t = arg;
	struct zg_request *r = t->request;
	struct zg_slice s = {line, n * one}, name, value;
	int rc;

	t->header_bytes += s.len;
	if (t->header_bytes > ZG_HTTP_HEADER_BYTES) {
		t->unfit = true;
		return 0;
	}
	if (!r || r->output.status || t->follow)
		return s.len; /* nobody waits, or a trailer: never passed on */
	rc = judge_line(t, s, &name, &value);
	if (rc < 0) {
		t->unfit = true;
		return 0;
	}
	if (rc > 0)
		take_header(t, name, value);
	else if (s.len == 2)
		take_head(t);
	return s.len;
}

/* What a redirect says beside its target is read, so that its connection can be
 * used again. */
static bool is_bearable(struct zg_transfer *t, size_t n)
{
	t->dropped += n;
	return t->dropped <= ZG_RESPONSE_BYTES;
}

static bool client_is_behind(const struct zg_request *r)
{
	return r->client && r->output.streaming &&
	       zg_client_backlog(r->client) > ZG_CLIENT_BACKLOG_BYTES;
}

static size_t on_body(char *bytes, size_t one, size_t n, void *arg)
{
	struct zg_transfer *t = arg;
	struct zg_request *r = t->request;

	n *= one;
	if (!r)
		return n;
	if (t->follow)
		return is_bearable(t, n) ? n : 0;
	if (client_is_behind(r)) {
		t->paused = true;
		return CURL_WRITEFUNC_PAUSE;
	}
	return zg_output_feed(r, (struct zg_slice){bytes, n}) < 0 ? 0 : n;
}

/* Called before a request is sent on a connection. A second time would be a
 * second execution: libcurl repeats what went out on a connection that died. */
static int on_send(void *arg, char *ip ZG_UNUSED, char *local ZG_UNUSED, int port ZG_UNUSED,
		   int local_port ZG_UNUSED)
{
	struct zg_transfer *t = arg;
	struct zg_request *r = t->request;

	if (r)
		note_answer(t, r);
	return t->sends++ ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

/* the same of a plain exchange ---------------------------------------------- */

static void on_plain_field(void *arg, struct zg_slice name, struct zg_slice value)
{
	struct zg_transfer *t = arg;

	if (t->request)
		take_header(t, name, value);
}

static void on_plain_head(void *arg, int status)
{
	struct zg_transfer *t = arg;
	struct zg_request *r = t->request;

	if (!r)
		return;
	note_answer(t, r);
	t->follow = is_followed(t, status);
	if (t->follow)
		return;
	r->output.status = status;
	zg_output_head(r);
}

static int on_plain_body(void *arg, struct zg_slice bytes)
{
	struct zg_transfer *t = arg;
	int rc;

	if (!t->request)
		return 0;
	if (t->follow)
		return is_bearable(t, bytes.len) ? 0 : -EFBIG;
	rc = zg_output_feed(t->request, bytes);
	if (rc < 0)
		return rc;
	t->paused = client_is_behind(t->request);
	return t->paused;
}

/* In libcurl's terms, so that each failure has one text. */
static void on_plain_done(void *arg, int rc, bool sent)
{
	struct zg_transfer *t = arg;
	int code = CURLE_WRITE_ERROR; /* output.c says why */

	if (rc == 0)
		code = CURLE_OK;
	else if (!sent)
		code = CURLE_COULDNT_CONNECT;
	else if (rc == -EBADMSG || rc == -EFBIG)
		code = t->request && t->request->output.status ? CURLE_WRITE_ERROR
							       : CURLE_WEIRD_SERVER_REPLY;
	else if (rc == -ECONNRESET)
		code = CURLE_RECV_ERROR;
	t->plain = NULL;
	t->sends += sent;
	zg_transfer_done(t, code);
}

const struct zg_plain_calls zg_transfer_plain = {on_plain_field, on_plain_head, on_plain_body,
						 on_plain_done};

CURL *zg_transfer_easy(struct zg_transfer *t)
{
	CURL *e = curl_easy_init();

	if (!e)
		return NULL;
	/* options that never change; a failure here shows as a failed transfer */
	if (curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https") != CURLE_OK ||
	    curl_easy_setopt(e, CURLOPT_PROXY, "") != CURLE_OK ||
	    curl_easy_setopt(e, CURLOPT_NOPROXY, "*") != CURLE_OK ||
	    curl_easy_setopt(e, CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE) != CURLE_OK ||
	    curl_easy_setopt(e, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L) != CURLE_OK ||
	    curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L) != CURLE_OK ||
	    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L) != CURLE_OK ||
	    curl_easy_setopt(e, CURLOPT_PATH_AS_IS, 1L) != CURLE_OK ||
	    curl_easy_setopt(e, CURLOPT_TCP_NODELAY, 1L) != CURLE_OK ||
	    curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) != CURLE_OK ||
	    curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT, (long)ZG_UPSTREAM_CONNECT_SEC) !=
		    CURLE_OK ||
	    curl_easy_setopt(e, CURLOPT_MAXAGE_CONN, (long)ZG_UPSTREAM_IDLE_SEC) != CURLE_OK ||
	    curl_easy_setopt(e, CURLOPT_PREREQFUNCTION, on_send) != CURLE_OK ||
	    curl_easy_setopt(e, CURLOPT_PREREQDATA, t) != CURLE_OK ||
	    curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header) != CURLE_OK ||
	    curl_easy_setopt(e, CURLOPT_HEADERDATA, t) != CURLE_OK ||
	    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body) != CURLE_OK ||
	    curl_easy_setopt(e, CURLOPT_WRITEDATA, t) != CURLE_OK ||
	    curl_easy_setopt(e, CURLOPT_PRIVATE, t) != CURLE_OK) {
		curl_easy_cleanup(e);
		return NULL;
	}
	return e;
}

/* sending the request ------------------------------------------------------- */

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

/* note: only what binds a notification of ours to the client's session */
static void add_headers(struct zg_transfer *t, const struct zg_request *r, bool note)
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

/* Which address to dial: the one the client dialled, or the nth known one. */
static bool pick_address(const struct zg_transfer *t, const struct zg_request *r, uint8_t addr[16],
			 uint16_t *port)
{
	const struct zg_endpoint_def *ep;
	const struct zg_server_def *s;
	struct zg_live *live;

	if (r->origin.transparent) {
		memcpy(addr, r->origin.dst, 16);
		*port = ntohs(r->origin.dst_port_be);
		return t->nth == 0;
	}
	s = whereabouts(r, &live);
	ep = zg_live_endpoint(live, s, t->first, t->nth);
	if (!ep)
		return false;
	memcpy(addr, ep->addr, 16);
	*port = ep->port;
	return true;
}

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
	const struct zg_server_def *s = whereabouts(r, &live);
	char to[INET6_ADDRSTRLEN + 16], ip[INET6_ADDRSTRLEN];

	if (t->set && t->proxied != s->proxied)
		return false;
	t->proxied = s->proxied;
	t->set = true;
	if (t->proxied)
		return zg_transfer_handle(t) && zg_proxy_apply(t->easy, live, t->nth);
	if (!pick_address(t, r, t->addr, &t->port))
		return false;
	if (is_plain(t, r))
		return true;
	zg_addr_text(ip, sizeof(ip), t->addr);
	(void)snprintf(to, sizeof(to), strchr(ip, ':') ? "::[%s]:%u" : "::%s:%u", ip, t->port);
	t->connect_to = (struct curl_slist){zg_arena_copy(&t->arena, zg_slice_str(to)), NULL};
	return zg_arena_ok(&t->arena) && zg_transfer_handle(t) &&
	       curl_easy_setopt(t->easy, CURLOPT_CONNECT_TO, &t->connect_to) == CURLE_OK;
}

static bool set_destination(struct zg_transfer *t, const struct zg_request *r)
{
	const struct zg_server_def *s = r->server;
	bool v6 = strchr(s->host, ':') != NULL;
	const struct zg_slice path = path_of(t, r);
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

/* The head of a plain request; a header that is there to be left out ends in ':'. */
static bool set_plain(struct zg_transfer *t, const struct zg_request *r, enum zg_http_method method,
		      struct zg_slice body)
{
	static const char *const names[] = {
		[ZG_HM_POST] = "POST", [ZG_HM_GET] = "GET", [ZG_HM_DELETE] = "DELETE"};
	const struct zg_server_def *s = r->server;
	const struct zg_slice path = path_of(t, r);
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

static bool set_message(struct zg_transfer *t, const struct zg_request *r,
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

/* The first address that takes the connection, from t->nth on. */
static bool dial(struct zg_transfer *t, const struct zg_request *r)
{
	while (zg_transfer_start(t) < 0) {
		t->nth++;
		if (!set_destination(t, r))
			return false;
	}
	return true;
}

static struct zg_transfer *new_transfer(struct zg_request *r)
{
	struct zg_transfer *t = zg_transfer_new(r->worker);
	const struct zg_server_def *s;
	struct zg_live *live;

	if (t) {
		s = whereabouts(r, &live);
		t->live = zg_live_ref(r->live);
		t->first = zg_live_endpoint_good(live, s);
	}
	return t;
}

static int start(struct zg_request *r)
{
	struct zg_transfer *t = new_transfer(r);

	if (!t)
		return -ENOMEM;
	t->request = r;
	add_headers(t, r, false);
	if (!set_destination(t, r) || !set_message(t, r, r->head.method, zg_buf_slice(&r->body)) ||
	    !dial(t, r)) {
		zg_transfer_free(t);
		return -EHOSTUNREACH;
	}
	r->upstream = t;
	return 0;
}

/* the end of an exchange ---------------------------------------------------- */

static const char *failure_of(int code)
{
	switch (code) {
	case CURLE_COULDNT_CONNECT:
		return "cannot be reached: it refused the connection or did not take it in time";
	case CURLE_OPERATION_TIMEDOUT:
		return "did not take the connection in time";
	case CURLE_GOT_NOTHING:
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR:
	case CURLE_PARTIAL_FILE:
	case CURLE_ABORTED_BY_CALLBACK:
	case CURLE_HTTP2:
	case CURLE_HTTP2_STREAM:
		return "closed the connection before it had answered; whether the call was "
		       "executed is not known";
	case CURLE_WEIRD_SERVER_REPLY:
		return "answered with what is no well-formed HTTP";
	default:
		return curl_easy_strerror((CURLcode)code);
	}
}

/* The same request to where the server has sent us; its answer is the first. */
static bool go_on(struct zg_transfer *t)
{
	struct zg_request *r = t->request;
	struct zg_output *o = &r->output;

	t->follow = false;
	t->redirects++;
	t->sends = 0;
	t->header_bytes = t->dropped = 0;
	o->media = ZG_MEDIA_NONE;
	o->encoded = false;
	o->session = o->allow = (struct zg_slice){0};
	if (set_destination(t, r) && set_message(t, r, r->head.method, zg_buf_slice(&r->body)) &&
	    dial(t, r))
		return true;
	r->failure = "redirects to where no request can be sent";
	return false;
}

void zg_transfer_done(struct zg_transfer *t, int code)
{
	struct zg_request *r = t->request;
	char why[ZG_REASON_LEN];

	if (!r) {
		zg_transfer_free(t);
		return;
	}
	/* nothing was sent: the next address of the same server may be tried */
	if (code == CURLE_COULDNT_CONNECT && !t->sends) {
		t->nth++;
		if (set_destination(t, r) && dial(t, r))
			return;
	}
	if (code == CURLE_OK && t->follow && go_on(t))
		return;
	r->upstream = NULL;
	if (t->unfit && !r->output.status)
		code = CURLE_WEIRD_SERVER_REPLY;
	if (code != CURLE_OK)
		r->failure = zg_trust_failure(t->easy, (CURLcode)code, why, sizeof(why)) ||
					     (t->proxied && !t->sends &&
					      zg_proxy_failure(t->easy, (CURLcode)code, why,
							       sizeof(why)))
				     ? zg_request_text(r, "%s", why)
				     : failure_of(code);
	zg_transfer_free(t);
	zg_request_upstream_done(r);
}

void zg_upstream_abort(struct zg_request *r)
{
	if (!r->upstream)
		return;
	zg_transfer_free(r->upstream);
	r->upstream = NULL;
}

void zg_upstream_stop(struct zg_request *r)
{
	zg_upstream_abort(r);
	zg_request_upstream_done(r);
}

void zg_upstream_resume(struct zg_request *r)
{
	struct zg_transfer *t = r->upstream;

	if (!t || !t->paused)
		return;
	t->paused = false;
	if (t->plain) {
		zg_plain_resume(t->plain);
		return;
	}
	if (curl_easy_pause(t->easy, CURLPAUSE_CONT) != CURLE_OK)
		zg_upstream_stop(r);
}

static void on_note(evutil_socket_t fd ZG_UNUSED, short what ZG_UNUSED, void *arg)
{
	struct zg_transfer *t = arg;

	if (zg_transfer_limit(t, ZG_CANCEL_SEC) < 0 || zg_transfer_start(t) < 0)
		zg_transfer_free(t);
}

void zg_upstream_note(struct zg_request *r, struct zg_slice message)
{
	static const struct timeval now = {0, 0};
	struct zg_transfer *t;
	const char *copy;

	if (r->local) {
		zg_local_note(r, message);
		return;
	}
	t = new_transfer(r);
	if (!t)
		return;
	copy = zg_arena_copy(&t->arena, message);
	add_headers(t, r, true);
	/* begun from the loop: libcurl takes no transfer in its callbacks */
	if (!copy || !set_destination(t, r) ||
	    !set_message(t, r, ZG_HM_POST, (struct zg_slice){copy, message.len}) ||
	    event_base_once(r->worker->base, -1, EV_TIMEOUT, on_note, t, &now) < 0)
		zg_transfer_free(t);
}

void zg_upstream_cancel(struct zg_request *r, const char *id)
{
	zg_autobuf body = ZG_BUF(4096);

	/* where closing the stream says the same */
	if (zg_era_modern(r->era))
		return;
	zg_buf_fmt(&body,
		   "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":"
		   "{\"requestId\":%s,\"reason\":\"max_runtime_sec is over\"}}",
		   id);
	if (zg_buf_ok(&body))
		zg_upstream_note(r, zg_buf_slice(&body));
}

static void on_runtime(evutil_socket_t fd ZG_UNUSED, short what ZG_UNUSED, void *arg)
{
	struct zg_request *r = arg;

	if (r->cancel_asked) { /* it had its grace */
		r->cancelled = true;
		zg_upstream_stop(r);
		return;
	}
	r->cut = true;
	if (r->rpc.kind == ZG_RPC_REQUEST)
		zg_upstream_cancel(r, r->rpc.id);
	zg_upstream_stop(r);
}

/* The name that leads nowhere yet; NULL: there is an address, or none is looked for. */
static const char *unresolved_name(const struct zg_request *r)
{
	struct zg_live *live;
	const struct zg_server_def *s = whereabouts(r, &live);
	const struct zg_proxy *proxy = &live->snap.settings->proxy;

	if (s->proxied)
		return proxy->by_name && !proxy->address_count ? proxy->host : NULL;
	return s->by_name && !r->origin.transparent && !zg_live_endpoint(live, s, 0, 0) ? s->host
											: NULL;
}

static bool is_nowhere(const struct zg_request *r)
{
	const char *name = unresolved_name(r);

	return name && zg_nowhere_known(&r->worker->nowhere, name, zg_now_ns());
}

void zg_upstream_nowhere(struct zg_worker *w)
{
	struct zg_request *r, *next;

	for (r = TAILQ_FIRST(&w->requests); r; r = next) {
		next = TAILQ_NEXT(r, link);
		if (r->resolving == ZG_RS_WAITS && is_nowhere(r))
			zg_request_run(r);
	}
}

static void on_unresolved(evutil_socket_t fd ZG_UNUSED, short what ZG_UNUSED, void *arg)
{
	struct zg_request *r = arg;

	r->resolving = ZG_RS_OVER;
	zg_request_run(r);
}

/* The resolver is asking for it: a new configuration brings the answer, or the
 * word comes that there is none. */
static enum zg_next wait_for_address(struct zg_request *r)
{
	static const struct timeval limit = {ZG_SERVER_RESOLVE_SEC, 0};

	if (r->resolving == ZG_RS_WAITS)
		return ZG_WAIT;
	r->resolving = ZG_RS_WAITS;
	if (event_initialized(&r->timer))
		(void)event_del(&r->timer);
	(void)event_assign(&r->timer, r->worker->base, -1, 0, on_unresolved, r);
	(void)event_add(&r->timer, &limit);
	return ZG_WAIT;
}

enum zg_next zg_step_upstream(struct zg_request *r)
{
	struct timeval limit = {r->runtime_sec, 0};
	int rc;

	if (r->server->transport == ZG_T_STDIO)
		return zg_local_dispatch(r);
	if (r->upstream_done) {
		(void)event_del(&r->timer);
		return ZG_NEXT;
	}
	if (r->upstream)
		return ZG_WAIT;
	if (r->resolving != ZG_RS_OVER && unresolved_name(r) && !is_nowhere(r))
		return wait_for_address(r);
	if (event_initialized(&r->timer))
		(void)event_del(&r->timer);
	r->resolving = ZG_RS_OVER;
	r->dispatched_ns = zg_now_ns();
	if (r->head.method == ZG_HM_GET)
		zg_request_slim(r);
	rc = start(r);
	if (rc < 0) {
		r->failure = r->server->proxied ? "cannot be reached: the proxy has no address "
						  "that may be dialled"
			     : r->server->by_name
				     ? "cannot be reached: its name has no address that may be "
				       "dialled"
				     : "has no address that could be dialled";
		return ZG_NEXT;
	}
	(void)event_assign(&r->timer, r->worker->base, -1, 0, on_runtime, r);
	(void)event_add(&r->timer, &limit);
	return ZG_WAIT;
}
