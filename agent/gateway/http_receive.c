/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_receive.c - what a client says: the head of a request, then its body, each
 * within its cap. Trust: the peer is any process that reached a listener; what
 * could be read in two ways is refused and ends the connection.
 */
#include "http_impl.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <openssl/ssl.h>

/* An answer to something that never became a request. */
static void refuse_head(struct zg_conn *c, int status, const char *why)
{
	c->close = true;
	(void)zg_refuse(c->request, status, ZG_C_HTTP, "%s", why);
	c->request->step = UINT32_MAX; /* no step is run; it is recorded and answered */
	zg_request_run(c->request);
}

bool zg_conn_take_head(struct zg_conn *c)
{
	struct evbuffer *in = bufferevent_get_input(c->bev);
	size_t have = evbuffer_get_length(in);
	const char *why = "";
	struct zg_http_pair extra[ZG_HTTP_EXTRA_MAX];
	struct zg_request *r;
	ssize_t n;
	int status;

	if (!have)
		return false;
	have = have > ZG_HTTP_HEADER_BYTES ? ZG_HTTP_HEADER_BYTES : have;
	n = zg_http_head_end((struct zg_slice){(char *)evbuffer_pullup(in, (ssize_t)have), have});
	if (n == 0 && have < ZG_HTTP_HEADER_BYTES)
		return false;
	r = zg_request_new(c->worker, &c->client);
	if (!r) {
		zg_conn_kill(c);
		return false;
	}
	c->request = r;
	c->state = CONN_BUSY;
	c->body_taken = false;
	r->attested = c->attested;
	r->tls = c->tls;
	if (c->tls)
		r->tls_name = zg_slice_str(SSL_get_servername(bufferevent_openssl_get_ssl(c->bev),
							      TLSEXT_NAMETYPE_host_name));
	r->origin = c->origin;
	if (n <= 0) {
		refuse_head(c, n ? 400 : 431,
			    n ? "lines must end with CRLF and hold no NUL"
			      : "the head is too large");
		return false;
	}
	zg_buf_add(&r->head_bytes, evbuffer_pullup(in, n), (size_t)n);
	(void)evbuffer_drain(in, (size_t)n);
	if (!zg_buf_ok(&r->head_bytes)) {
		refuse_head(c, 503, "no memory");
		return false;
	}
	status = zg_http_head_parse(&r->head, zg_buf_slice(&r->head_bytes), extra, &why);
	if (!status && !zg_request_keep_extra(r)) {
		status = 503;
		why = "no memory";
	}
	if (status) {
		refuse_head(c, status, why);
		return false;
	}
	c->close |= r->head.close;
	c->body_taken = r->head.content_length == 0 && !r->head.chunked;
	c->chunk = (struct zg_http_chunk){0};
	r->body_complete = c->body_taken;
	zg_request_run(r);
	return true;
}

static void body_is_there(struct zg_conn *c)
{
	c->state = CONN_BUSY;
	c->body_taken = true;
	zg_request_body_complete(c->request);
}

/* What is there of a body is all that is taken of it. */
static void refuse_body(struct zg_conn *c, int rc)
{
	c->state = CONN_BUSY;
	switch (rc) {
	case -EFBIG:
		refuse_head(c, 413, "the message is larger than 4 MiB");
		break;
	case -ENOBUFS:
		refuse_head(c, 429, "too much is under way at once");
		break;
	case -EBADMSG:
		refuse_head(c, 400, "the chunked coding is malformed");
		break;
	default:
		refuse_head(c, 503, "no memory");
		break;
	}
}

/* Some of a body in the chunked coding; what cannot be read in one way alone
 * ends the connection. */
bool zg_conn_take_chunks(struct zg_conn *c)
{
	struct evbuffer *in = bufferevent_get_input(c->bev);
	struct zg_request *r = c->request;
	size_t have = evbuffer_get_contiguous_space(in);
	struct zg_slice bytes = {(char *)evbuffer_pullup(in, (ssize_t)have), have}, run;
	int rc = 0;

	while (bytes.len && rc == 0) {
		rc = zg_http_chunk_next(&c->chunk, &bytes, &run);
		if (rc < 0)
			break;
		if (run.len > ZG_REQUEST_BYTES - r->body.len) {
			rc = -EFBIG;
			break;
		}
		zg_buf_add(&r->body, run.ptr, run.len);
		if (!zg_request_afford(r, 0))
			rc = -ENOBUFS;
	}
	(void)evbuffer_drain(in, have - bytes.len);
	if (rc < 0 || !zg_buf_ok(&r->body)) {
		refuse_body(c, rc);
		return false;
	}
	if (rc == 1)
		body_is_there(c);
	return have > 0;
}

bool zg_conn_take_body(struct zg_conn *c)
{
	struct evbuffer *in = bufferevent_get_input(c->bev);
	struct zg_request *r = c->request;
	size_t want = r->head.content_length - r->body.len;
	size_t have = evbuffer_get_length(in);
	size_t n = have < want ? have : want;
	char *room;

	if (!n)
		return false;
	if (!zg_request_afford(r, n)) {
		refuse_body(c, -ENOBUFS);
		return false;
	}
	room = zg_buf_room(&r->body, n);
	if (!room) {
		zg_conn_kill(c);
		return false;
	}
	zg_buf_wrote(&r->body, (size_t)evbuffer_remove(in, room, n));
	if (r->body.len < r->head.content_length)
		return true;
	body_is_there(c);
	return true;
}
