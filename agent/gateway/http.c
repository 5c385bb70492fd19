/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http.c - see http.h. Trust: the peer is any process that reached a listener.
 * What it may make us hold is bounded by watermarks, what time it may take by
 * one timer: ZG_HTTP_IDLE_SEC for a whole request to arrive, the same for a
 * reader that takes nothing.
 */
#include "http.h"

#include <assert.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <sys/socket.h>

#include "flow_record.h"
#include "http_impl.h"
#include "tls.h"

static void conn_free(struct zg_conn *c)
{
	assert(!c->request);
	zg_admit_held(&c->worker->admission, c->origin.cgroup_id, &c->unsent, 0);
	zg_admit_end(&c->worker->admission, c->origin.cgroup_id, ZG_ADMIT_CONNECTION);
	LIST_REMOVE(c, link);
	(void)event_del(&c->timer);
	(void)event_del(&c->quiet);
	bufferevent_free(c->bev);
	free(c);
}

void zg_conn_arm(struct zg_conn *c)
{
	(void)event_add(&c->timer, c->worker->idle);
}

void zg_conn_kill(struct zg_conn *c)
{
	struct zg_request *r = c->request;

	if (c->state == CONN_DEAD)
		return;
	c->state = CONN_DEAD;
	c->request = NULL;
	if (r)
		zg_request_client_gone(r);
}

void zg_conn_drop(struct zg_conn *c)
{
	zg_conn_kill(c);
	if (!c->driving)
		conn_free(c);
}

/* Our side ends; read what the client still sends so that it gets the answer. */
static void linger(struct zg_conn *c)
{
	static const struct timeval wait = {ZG_LINGER_SEC, 0};

	c->state = CONN_LINGER;
	if (c->tls) { /* its end is said, too; what is not taken now is not worth a wait */
		(void)SSL_shutdown(bufferevent_openssl_get_ssl(c->bev));
		ERR_clear_error();
	}
	if (shutdown(c->fd, SHUT_WR) < 0) {
		zg_conn_kill(c);
		return;
	}
	(void)event_add(&c->timer, &wait);
	(void)bufferevent_enable(c->bev, EV_READ);
}

void zg_conn_answered(struct zg_conn *c)
{
	bool outer = c->driving;

	c->driving = true;
	(void)event_del(&c->quiet);
	c->request = NULL;
	c->streaming = false;
	c->state = c->close || !c->body_taken ? CONN_FLUSH : CONN_HEAD;
	zg_conn_arm(c);
	if (c->state == CONN_FLUSH && !evbuffer_get_length(bufferevent_get_output(c->bev)))
		linger(c);
	c->driving = outer;
	if (!outer)
		zg_conn_drive(c);
}

void zg_conn_drive(struct zg_conn *c)
{
	bool more = true;

	c->driving = true;
	while (more) {
		switch (c->state) {
		case CONN_HEAD:
			more = zg_conn_take_head(c);
			break;
		case CONN_BODY:
			more = c->request->head.chunked ? zg_conn_take_chunks(c)
							: zg_conn_take_body(c);
			break;
		case CONN_LINGER:
			(void)evbuffer_drain(bufferevent_get_input(c->bev), SIZE_MAX);
			more = false;
			break;
		case CONN_BUSY:
		case CONN_FLUSH:
		case CONN_DEAD:
			more = false;
			break;
		}
	}
	c->driving = false;
	if (c->state == CONN_DEAD)
		conn_free(c);
}

static void on_read(struct bufferevent *bev ZG_UNUSED, void *arg)
{
	zg_conn_drive(arg);
}

static void on_write(struct bufferevent *bev ZG_UNUSED, void *arg)
{
	struct zg_conn *c = arg;

	/* everything queued has been taken; under TLS this is told a turn of the loop
	 * later, when there may be more */
	zg_conn_count_unsent(c);
	if (c->state == CONN_FLUSH && !zg_client_backlog(&c->client)) {
		linger(c);
		zg_conn_drive(c);
	} else if (c->request && c->streaming) {
		zg_request_client_drained(c->request);
	}
}

/* A client that does not believe the gateway, or cannot speak with it, never
 * gets to ask: that is the only trace of it. */
static void tell_handshake(struct zg_conn *c, unsigned long error)
{
	char why[ZG_NAME_LEN * 2], text[ZG_REASON_LEN];

	zg_tls_failure(error, why, sizeof(why));
	if (!error)
		return;
	(void)snprintf(text, sizeof(text), "the TLS handshake with the client failed: %s", why);
	zg_flow_refused(c->worker, &c->origin, text);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
	struct zg_conn *c = arg;

	if (what & BEV_EVENT_CONNECTED) {
		c->greeted = true;
		zg_conn_arm(c);
		return;
	}
	if (c->tls && !c->greeted)
		tell_handshake(c, bufferevent_get_openssl_error(bev));
	zg_conn_drop(c);
}

/*
 * What the timer means depends on the state: too slow a request, an idle
 * connection, the end of lingering; in a stream, a client that did not empty
 * its backlog since the timer was armed. A request that runs has a time of its own.
 */
static void on_timer(evutil_socket_t fd ZG_UNUSED, short what ZG_UNUSED, void *arg)
{
	struct zg_conn *c = arg;

	if ((c->state == CONN_BUSY || c->state == CONN_BODY) && c->request && c->body_taken) {
		if (c->streaming && zg_client_backlog(&c->client))
			zg_conn_drop(c);
		return;
	}
	zg_conn_drop(c);
}

/* What stands between us and the client must not take the stream for dead. */
static void on_quiet(evutil_socket_t fd ZG_UNUSED, short what ZG_UNUSED, void *arg)
{
	struct zg_conn *c = arg;

	if (!c->streaming || !c->request)
		return;
	if (zg_client_backlog(&c->client))
		(void)event_add(&c->quiet, c->worker->quiet);
	else
		zg_client_stream_write(&c->client, ZG_SLICE(":\n\n"));
}

static struct bufferevent *bev_new(struct zg_worker *w, int fd, SSL *tls)
{
	if (!tls)
		return bufferevent_socket_new(w->base, fd, BEV_OPT_CLOSE_ON_FREE);
	return bufferevent_openssl_socket_new(w->base, fd, tls, BUFFEREVENT_SSL_ACCEPTING,
					      BEV_OPT_CLOSE_ON_FREE);
}

int zg_conn_new(struct zg_worker *w, int fd, const struct zg_origin *origin, SSL *tls)
{
	static const struct timeval handshake = {ZG_TLS_HANDSHAKE_SEC, 0};
	struct zg_conn *c = calloc(1, sizeof(*c));
	int on = 1;

	if (!c) {
		SSL_free(tls);
		return -ENOMEM;
	}
	c->tls = tls != NULL;
	c->client.ops = &zg_conn_ops;
	c->worker = w;
	c->fd = fd;
	c->attested = origin != NULL;
	if (origin)
		c->origin = *origin;
	/* fails on what is not TCP, where there is nothing to gain from it */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	c->bev = bev_new(w, fd, tls); /* it frees tls when it fails */
	if (!c->bev) {
		free(c);
		return -ENOMEM;
	}
	bufferevent_setcb(c->bev, on_read, on_write, on_event, c);
	bufferevent_setwatermark(c->bev, EV_READ, 0, 4 * ZG_HTTP_HEADER_BYTES);
	(void)event_assign(&c->timer, w->base, -1, 0, on_timer, c);
	(void)event_assign(&c->quiet, w->base, -1, 0, on_quiet, c);
	LIST_INSERT_HEAD(&w->conns, c, link);
	(void)event_add(&c->timer, tls ? &handshake : w->idle);
	(void)bufferevent_enable(c->bev, EV_READ | EV_WRITE);
	return 0;
}

void zg_conns_release(struct zg_worker *w)
{
	struct zg_conn *c;

	while ((c = LIST_FIRST(&w->conns))) {
		if (c->request)
			c->request->client = NULL;
		c->request = NULL;
		conn_free(c);
	}
}
