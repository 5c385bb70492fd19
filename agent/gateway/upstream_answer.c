/* SPDX-License-Identifier: Apache-2.0 */
/*
 * upstream_answer.c - what comes back, by libcurl or by plain.h. Trust: the
 * server is hostile; status, headers and body are read here, bounded, and judged
 * in output.c. libcurl may never pick a destination, a proxy or a second attempt
 * by itself.
 */
#include <errno.h>

#include "http_line.h"
#include "plain.h"
#include "redirect.h"
#include "upstream_impl.h"

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
	if (!zg_redirect_read(&to, r->server, zg_upstream_path(t, r), t->location)) {
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

/* by libcurl ------------------------------------------------------------------- */

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
		zg_upstream_reached(t, r);
	return t->sends++ ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

/* of a plain exchange ---------------------------------------------------------- */

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
	zg_upstream_reached(t, r);
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
