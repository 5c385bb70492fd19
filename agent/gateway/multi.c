/* SPDX-License-Identifier: Apache-2.0 */
/* multi.c - see multi.h. Trust: sockets of hostile servers; only their readiness
 * is looked at here. */
#include "multi.h"

#include <errno.h>

#include "plain.h"
#include "proxy.h"
#include "request.h"
#include "trust.h"
#include "upstream.h"

struct zg_upstream {
	struct zg_worker *worker;
	CURLM *multi;
	struct zg_plain_pool *plain;
	struct event timer;
	LIST_HEAD(, zg_transfer) pool, used;
	size_t pooled;
	unsigned int depth; /* of run(): completions are read by the outermost */
};

struct socket_watch {
	struct zg_upstream *up;
	struct event event;
	int what; /* CURL_POLL_* */
};

/* Transfers that ended are taken one by one: their owners may start others. */
static void reap(struct zg_upstream *up)
{
	CURLMsg *msg;
	int left;

	while ((msg = curl_multi_info_read(up->multi, &left))) {
		CURLcode code = msg->data.result;
		struct zg_transfer *t = NULL;

		if (msg->msg != CURLMSG_DONE)
			continue;
		(void)curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&t);
		(void)curl_multi_remove_handle(up->multi, msg->easy_handle);
		t->running = false;
		zg_transfer_done(t, (int)code);
	}
}

static void run(struct zg_upstream *up, curl_socket_t s, int what)
{
	int running;

	up->depth++;
	(void)curl_multi_socket_action(up->multi, s, what, &running);
	if (--up->depth == 0)
		reap(up);
}

static void on_socket_event(evutil_socket_t fd, short what, void *arg)
{
	struct socket_watch *watch = arg;

	run(watch->up, fd,
	    (what & EV_READ ? CURL_CSELECT_IN : 0) | (what & EV_WRITE ? CURL_CSELECT_OUT : 0));
}

static void on_timer(evutil_socket_t fd ZG_UNUSED, short what ZG_UNUSED, void *arg)
{
	run(arg, CURL_SOCKET_TIMEOUT, 0);
}

static int on_timeout_change(CURLM *multi ZG_UNUSED, long ms, void *arg)
{
	struct zg_upstream *up = arg;
	struct timeval wait = {ms / 1000, (ms % 1000) * 1000};

	if (ms < 0)
		(void)event_del(&up->timer);
	else
		(void)event_add(&up->timer, &wait);
	return 0;
}

static int on_socket_change(CURL *easy ZG_UNUSED, curl_socket_t s, int what, void *arg,
			    void *socket_arg)
{
	struct zg_upstream *up = arg;
	struct socket_watch *watch = socket_arg;
	short events = EV_PERSIST;

	if (what == CURL_POLL_REMOVE) {
		if (watch) {
			(void)event_del(&watch->event);
			free(watch);
		}
		return 0;
	}
	if (!watch) {
		watch = calloc(1, sizeof(*watch));
		if (!watch)
			return -1;
		watch->up = up;
		(void)curl_multi_assign(up->multi, s, watch);
	} else if (watch->what == what) {
		return 0;
	} else {
		(void)event_del(&watch->event);
	}
	watch->what = what;
	events |= (short)((what & CURL_POLL_IN ? EV_READ : 0) |
			  (what & CURL_POLL_OUT ? EV_WRITE : 0));
	(void)event_assign(&watch->event, up->worker->base, s, events, on_socket_event, watch);
	return event_add(&watch->event, NULL) < 0 ? -1 : 0;
}

struct zg_transfer *zg_transfer_new(struct zg_worker *w)
{
	struct zg_upstream *up = w->upstream;
	struct zg_transfer *t = LIST_FIRST(&up->pool);

	if (t) {
		LIST_REMOVE(t, link);
		up->pooled--;
	} else {
		t = calloc(1, sizeof(*t));
		if (!t)
			return NULL;
	}
	*t = (struct zg_transfer){.easy = t->easy, .worker = w};
	zg_arena_init(&t->arena, 2 * ZG_REQUEST_ARENA_BYTES);
	LIST_INSERT_HEAD(&up->used, t, link);
	return t;
}

CURL *zg_transfer_handle(struct zg_transfer *t)
{
	if (!t->easy)
		t->easy = zg_transfer_easy(t);
	return t->easy;
}

int zg_transfer_start(struct zg_transfer *t)
{
	struct zg_upstream *up = t->worker->upstream;

	if (t->head.ptr) {
		t->plain = zg_plain_start(up->plain, t->addr, t->port, t->head, t->body,
					  &zg_transfer_plain, t);
		return t->plain ? 0 : -errno;
	}
	if (curl_multi_add_handle(up->multi, t->easy) != CURLM_OK)
		return -EIO;
	t->running = true;
	return 0;
}

static void on_limit(evutil_socket_t fd ZG_UNUSED, short what ZG_UNUSED, void *arg)
{
	zg_transfer_free(arg);
}

int zg_transfer_limit(struct zg_transfer *t, int sec)
{
	const struct timeval wait = {sec, 0};

	(void)event_assign(&t->limit, t->worker->base, -1, 0, on_limit, t);
	return event_add(&t->limit, &wait) < 0 ? -ENOMEM : 0;
}

/* Nothing borrowed may stay behind in the handle. */
static bool clean(CURL *e)
{
	return !e || (curl_easy_setopt(e, CURLOPT_HTTPHEADER, NULL) == CURLE_OK &&
		      curl_easy_setopt(e, CURLOPT_CONNECT_TO, NULL) == CURLE_OK &&
		      curl_easy_setopt(e, CURLOPT_POSTFIELDS, NULL) == CURLE_OK);
}

void zg_transfer_free(struct zg_transfer *t)
{
	struct zg_upstream *up = t->worker->upstream;

	if (t->running)
		(void)curl_multi_remove_handle(up->multi, t->easy);
	if (t->plain)
		zg_plain_abort(t->plain);
	if (event_initialized(&t->limit))
		(void)event_del(&t->limit);
	LIST_REMOVE(t, link);
	zg_arena_release(&t->arena);
	t->plain = NULL;
	t->running = false;
	t->request = NULL;
	if (up->pooled >= ZG_UPSTREAM_POOL_MAX || !clean(t->easy) ||
	    (t->tls && !zg_trust_clear(t->easy)) ||
	    (t->proxied && t->easy && !zg_proxy_clear(t->easy))) {
		curl_easy_cleanup(t->easy);
		zg_live_unref(t->live);
		free(t);
		return;
	}
	zg_live_unref(t->live);
	t->live = NULL;
	LIST_INSERT_HEAD(&up->pool, t, link);
	up->pooled++;
}

int zg_upstream_init(struct zg_worker *w)
{
	struct zg_upstream *up;

	/* another backend would look for CAs by itself (trust.c) */
	if (curl_global_sslset(CURLSSLBACKEND_OPENSSL, NULL, NULL) != CURLSSLSET_OK ||
	    curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return -EIO;
	up = calloc(1, sizeof(*up));
	if (!up)
		return -ENOMEM;
	up->worker = w;
	up->multi = curl_multi_init();
	up->plain = zg_plain_pool_new(w->base);
	if (!up->multi || !up->plain) {
		zg_plain_pool_free(up->plain);
		(void)curl_multi_cleanup(up->multi);
		free(up);
		return -ENOMEM;
	}
	(void)event_assign(&up->timer, w->base, -1, 0, on_timer, up);
	if (curl_multi_setopt(up->multi, CURLMOPT_SOCKETFUNCTION, on_socket_change) != CURLM_OK ||
	    curl_multi_setopt(up->multi, CURLMOPT_SOCKETDATA, up) != CURLM_OK ||
	    curl_multi_setopt(up->multi, CURLMOPT_TIMERFUNCTION, on_timeout_change) != CURLM_OK ||
	    curl_multi_setopt(up->multi, CURLMOPT_TIMERDATA, up) != CURLM_OK ||
	    curl_multi_setopt(up->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING) != CURLM_OK ||
	    curl_multi_setopt(up->multi, CURLMOPT_MAXCONNECTS, (long)ZG_UPSTREAM_POOL_MAX) !=
		    CURLM_OK) {
		zg_plain_pool_free(up->plain);
		(void)curl_multi_cleanup(up->multi);
		free(up);
		return -EIO;
	}
	w->upstream = up;
	return 0;
}

void zg_upstream_release(struct zg_worker *w)
{
	struct zg_upstream *up = w->upstream;
	struct zg_transfer *t;

	if (!up)
		return;
	/* requests have ended theirs: what is left, nobody waits for */
	while ((t = LIST_FIRST(&up->used)))
		zg_transfer_free(t);
	while ((t = LIST_FIRST(&up->pool))) {
		LIST_REMOVE(t, link);
		curl_easy_cleanup(t->easy);
		free(t);
	}
	zg_plain_pool_free(up->plain);
	(void)curl_multi_cleanup(up->multi);
	(void)event_del(&up->timer);
	free(up);
	w->upstream = NULL;
	curl_global_cleanup();
}
