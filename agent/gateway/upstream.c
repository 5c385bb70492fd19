/* SPDX-License-Identifier: Apache-2.0 */
/*
 * upstream.c - see upstream.h: the life of an exchange, from its first dial to
 * its end. Trust: the server is hostile; nothing is sent twice, and where the
 * answer or the next hop cannot be told the exchange fails.
 */
#include "upstream.h"

#include <errno.h>

#include "local.h"
#include "plain.h"
#include "proxy.h"
#include "trust.h"
#include "upstream_impl.h"

/* begin ------------------------------------------------------------------------ */

/* The first address that takes the connection, from t->nth on. */
static bool dial(struct zg_transfer *t, const struct zg_request *r)
{
	while (zg_transfer_start(t) < 0) {
		t->nth++;
		if (!zg_upstream_aim(t, r))
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
		s = zg_upstream_whereabouts(r, &live);
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
	zg_upstream_headers(t, r, false);
	if (!zg_upstream_aim(t, r) ||
	    !zg_upstream_message(t, r, r->head.method, zg_buf_slice(&r->body)) || !dial(t, r)) {
		zg_transfer_free(t);
		return -EHOSTUNREACH;
	}
	r->upstream = t;
	return 0;
}

/* the end ---------------------------------------------------------------------- */

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
	if (zg_upstream_aim(t, r) &&
	    zg_upstream_message(t, r, r->head.method, zg_buf_slice(&r->body)) && dial(t, r))
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
		if (zg_upstream_aim(t, r) && dial(t, r))
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

/* messages of ours ------------------------------------------------------------- */

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
	zg_upstream_headers(t, r, true);
	/* begun from the loop: libcurl takes no transfer in its callbacks */
	if (!copy || !zg_upstream_aim(t, r) ||
	    !zg_upstream_message(t, r, ZG_HM_POST, (struct zg_slice){copy, message.len}) ||
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

/* the step --------------------------------------------------------------------- */

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
	if (zg_upstream_unresolved(r))
		return zg_upstream_wait(r);
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
