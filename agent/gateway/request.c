/* SPDX-License-Identifier: Apache-2.0 */
/*
 * request.c - the path of one call, as a table. Trust: what a step reads is
 * the client's until zg_step_judge has said otherwise, and the server's after
 * zg_step_upstream. Never blocks: a step that waits is called again.
 */
#include "request.h"

#include <errno.h>
#include <stdarg.h>

#include "endpoint.h"
#include "hold.h"
#include "local.h"
#include "listing.h"
#include "upstream.h"

#define SPARE_MAX	32    /* requests kept for their buffers */
#define SPARE_BUF_BYTES 16384 /* larger buffers are given back */

static enum zg_next step_body(struct zg_request *r)
{
	if (r->body_complete) /* also of what came by another way: pipes, batches */
		return zg_request_afford(r, 0)
			       ? ZG_NEXT
			       : zg_refuse(r, 429, ZG_C_BUSY, "too much is under way at once");
	zg_client_want_body(r->client);
	if (!r->client)
		return zg_refuse(r, 499, ZG_C_HTTP, "the client left");
	if (r->answer.status)
		return ZG_ANSWER; /* what was here already cannot be read */
	/* it may have been here already */
	return r->body_complete ? ZG_NEXT : ZG_WAIT;
}

static const struct {
	const char *name;
	enum zg_next (*run)(struct zg_request *r);
} steps[] = {
	{"origin", zg_step_origin},	  /* who calls: attested by the kernel */
	{"executable", zg_step_exe},	  /* what it executes, if policy asks */
	{"route", zg_step_route},	  /* to which server; Host and Origin */
	{"token", zg_step_token},	  /* of a listener that asks for one */
	{"body", step_body},		  /* read it, within caps and time */
	{"batch", zg_step_batch},	  /* several messages: each by itself */
	{"rpc", zg_step_rpc},		  /* one strict JSON-RPC message */
	{"era", zg_step_era},		  /* which version of the protocol */
	{"headers", zg_step_headers},	  /* they repeat the message */
	{"namespace", zg_step_namespace}, /* the server's own names from here on */
	{"resume", zg_step_resume},	  /* of a call that waited for a person */
	{"envelope", zg_step_envelope},	  /* server, method, tool, digest */
	{"session", zg_step_session},	  /* tokens that are not the caller's own */
	{"state", zg_step_state},	  /* of an earlier round, likewise */
	{"judge", zg_step_judge},	  /* the policy decision */
	{"pin", zg_step_pin},		  /* the definition it rests on */
	{"probe", zg_step_probe},	  /* no person is asked for what has no room */
	{"hold", zg_step_hold},		  /* a person's, if policy asks for it */
	{"constrain", zg_step_constrain}, /* hosts, run time */
	{"quota", zg_step_quota},	  /* rates, calls at once, retries */
	{"spend", zg_step_spend},	  /* such a state is used once */
	{"cancel", zg_step_cancel},	  /* what another call is told */
	{"narrow", zg_step_narrow},	  /* a local server is held to the call's hosts */
	{"intent", zg_step_intent},	  /* evidence before anything happens */
	{"upstream", zg_step_upstream},	  /* the server */
	{"output", zg_step_output},	  /* scanned before it is released */
};

static void finish(struct zg_request *r);

void zg_request_run(struct zg_request *r)
{
	enum zg_next next = ZG_NEXT;

	if (r->running)
		return;
	r->running = true;
	while (next == ZG_NEXT && r->step < sizeof(steps) / sizeof(steps[0])) {
		next = steps[r->step].run(r);
		if (next == ZG_NEXT)
			r->step++;
	}
	r->running = false;
	if (next != ZG_WAIT)
		finish(r);
}

void zg_request_fetch(struct zg_request *r, const struct zg_server_def *s,
		      enum zg_http_method method, uint32_t sec)
{
	r->fetch = r->quiet = true;
	r->server = s;
	r->server_id = zg_slice_str(s->id);
	r->head.method = method;
	r->runtime_sec = sec;
	while (steps[r->step].run != zg_step_upstream)
		r->step++;
	zg_request_run(r);
}

/* The low bits are the worker's (zg_worker_call). */
static struct zg_calls *bucket_of(const struct zg_worker *w, uint64_t call)
{
	return &w->calls_of[(call >> 4) % ZG_CALL_BUCKETS];
}

struct zg_request *zg_request_of(const struct zg_worker *w, uint64_t call)
{
	struct zg_request *r;

	LIST_FOREACH(r, bucket_of(w, call), by_call)
	if (r->call == call)
		return r;
	return NULL;
}

struct zg_request *zg_request_new(struct zg_worker *w, struct zg_client *c)
{
	struct zg_request *r = TAILQ_FIRST(&w->spare);

	if (r) {
		TAILQ_REMOVE(&w->spare, r, link);
		w->spare_count--;
	} else {
		r = calloc(1, sizeof(*r));
		if (!r)
			return NULL;
		r->head_bytes = ZG_BUF(ZG_HTTP_HEADER_BYTES);
		r->body = ZG_BUF(ZG_REQUEST_BYTES);
		r->output.body = ZG_BUF(ZG_RESPONSE_BYTES);
		r->output.released = ZG_BUF(2 * ZG_RESPONSE_BYTES);
		zg_sse_init(&r->output.sse);
	}
	r->worker = w;
	r->client = c;
	r->live = zg_live_ref(w->live);
	r->call = zg_worker_call(w);
	r->started_ns = zg_now_ns();
	r->subject = r->risk_tags = r->rules = r->reason = r->labels = r->failure = r->recorded =
		r->narrowed = r->hold.reason = r->hold.other = r->answer.text = "";
	zg_arena_init(&r->arena, ZG_REQUEST_ARENA_BYTES);
	TAILQ_INSERT_TAIL(&w->requests, r, link);
	LIST_INSERT_HEAD(bucket_of(w, r->call), r, by_call);
	return r;
}

static void shrink(struct zg_buf *b)
{
	if (b->cap > SPARE_BUF_BYTES)
		zg_buf_release(b);
	zg_buf_reset(b);
}

/* A stream may be open for hours: it keeps no buffer that another left behind. */
void zg_request_slim(struct zg_request *r)
{
	struct zg_buf *idle[] = {&r->body, &r->output.body, &r->output.released, &r->output.sse.raw,
				 &r->output.sse.data};

	for (size_t i = 0; i < sizeof(idle) / sizeof(idle[0]); i++)
		if (!idle[i]->len)
			zg_buf_release(idle[i]);
}

static void release_spare(struct zg_request *r)
{
	zg_buf_release(&r->head_bytes);
	zg_buf_release(&r->body);
	zg_buf_release(&r->output.body);
	zg_buf_release(&r->output.released);
	zg_sse_release(&r->output.sse);
	free(r);
}

/* A parsed message takes three times its text at worst (ZG_JSON_VALUES_MAX). */
#define TREE_COST 4

bool zg_request_afford(struct zg_request *r, uint64_t more)
{
	const struct zg_output *o = &r->output;

	if (!r->admitted)
		return true;
	return zg_admit_bytes(&r->worker->admission, r->origin.cgroup_id, &r->buffered,
			      TREE_COST * (r->body.cap + more) + o->body.cap + o->released.cap +
				      o->sse.raw.cap + o->sse.data.cap);
}

/* Give everything back; what is kept for the next request is emptied. */
static void retire(struct zg_request *r)
{
	struct zg_worker *w = r->worker;
	struct zg_buf kept[] = {r->head_bytes,	    r->body,	       r->output.body,
				r->output.released, r->output.sse.raw, r->output.sse.data};

	TAILQ_REMOVE(&w->requests, r, link);
	LIST_REMOVE(r, by_call);
	zg_hold_end(r);
	zg_quota_end(r);
	if (r->local)
		zg_local_forget(r);
	zg_relay_end(r);
	zg_listing_free(r);
	if (r->upstream)
		zg_upstream_abort(r);
	if (event_initialized(&r->timer))
		(void)event_del(&r->timer);
	zg_admit_held(&w->admission, r->origin.cgroup_id, &r->buffered, 0);
	if (r->admitted)
		zg_admit_end(&w->admission, r->origin.cgroup_id, ZG_ADMIT_REQUEST);
	zg_rpc_release(&r->rpc);
	zg_batch_free(r->batch);
	zg_arena_release(&r->arena);
	zg_live_unref(r->live);
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		shrink(&kept[i]);
	memset(r, 0, sizeof(*r));
	r->head_bytes = kept[0];
	r->body = kept[1];
	r->output.body = kept[2];
	r->output.released = kept[3];
	r->output.sse.raw = kept[4];
	r->output.sse.data = kept[5];
	TAILQ_INSERT_HEAD(&w->spare, r, link);
	if (++w->spare_count > SPARE_MAX) {
		struct zg_request *last = TAILQ_LAST(&w->spare, zg_requests);

		TAILQ_REMOVE(&w->spare, last, link);
		w->spare_count--;
		release_spare(last);
	}
}

static void finish(struct zg_request *r)
{
	if (r->intent)
		zg_evidence_outcome(r);
	else if (r->answer.kind != ZG_A_BATCH)
		zg_evidence_refusal(r);
	if (r->client)
		zg_reply(r);
	retire(r);
}

void zg_requests_release(struct zg_worker *w)
{
	struct zg_request *r;

	while ((r = TAILQ_FIRST(&w->requests))) {
		r->client = NULL;
		retire(r);
	}
	while ((r = TAILQ_FIRST(&w->spare))) {
		TAILQ_REMOVE(&w->spare, r, link);
		release_spare(r);
	}
	w->spare_count = 0;
}

bool zg_request_keep_extra(struct zg_request *r)
{
	size_t bytes = r->head.extra_count * sizeof(*r->head.extra);
	struct zg_http_pair *kept = bytes ? zg_arena_alloc(&r->arena, bytes) : NULL;

	if (bytes && !kept)
		return false;
	if (bytes)
		memcpy(kept, r->head.extra, bytes);
	r->head.extra = kept;
	return true;
}

void zg_request_body_complete(struct zg_request *r)
{
	r->body_complete = true;
	zg_request_run(r);
}

void zg_request_upstream_done(struct zg_request *r)
{
	r->upstream_done = true;
	zg_request_run(r);
}

void zg_request_end(struct zg_request *r)
{
	finish(r);
}

/*
 * In modern versions the client's departure is how it cancels. In legacy ones
 * it does not cancel a call that the server already has: that goes on, within
 * its time, and its outcome is recorded. Whatever has not been dispatched is
 * dropped, and a stream that only listens is closed.
 */
void zg_request_client_gone(struct zg_request *r)
{
	r->client = NULL;
	if (r->running)
		return; /* the step in progress sees it */
	if (r->batch)
		zg_batch_client_gone(r);
	if (r->intent && r->head.method == ZG_HM_POST && !zg_era_modern(r->era))
		return;
	if (r->intent) {
		r->cancelled = true;
		zg_upstream_stop(r);
		return;
	}
	(void)zg_refuse(r, 499, ZG_C_HTTP, "the client left before the call was dispatched");
	finish(r);
}

static bool still_granted(const struct zg_live *l, const struct zg_request *r)
{
	uint32_t profile = zg_snapshot_profile_id(&l->snap, zg_slice_str(r->principal.profile));

	return profile && zg_policy_may_use(&l->policy, r->server_id, profile);
}

/* Rules count when a call is made; the right to the server at every moment. */
void zg_requests_reconsider(struct zg_worker *w)
{
	static const char why[] = "was withdrawn while the call ran";
	struct zg_request *r, *next;

	for (r = TAILQ_FIRST(&w->requests); r; r = next) {
		next = TAILQ_NEXT(r, link);
		if (r->running || !(r->judged || r->fetch))
			continue;
		if (r->fetch || still_granted(w->live, r)) {
			if (r->resolving == ZG_RS_WAITS)
				zg_request_run(r);
			continue;
		}
		if (r->upstream) {
			r->failure = why;
			zg_upstream_stop(r);
		} else if (!r->intent) {
			(void)zg_answer_with(r, ZG_A_DENY, ZG_C_DENIED,
					     "zerogate denied this call: server \"%.*s\" %s",
					     (int)r->server_id.len, r->server_id.ptr, why);
			finish(r);
		}
	}
}

void zg_request_client_drained(struct zg_request *r)
{
	if (r->batch)
		zg_batch_drained(r);
	if (r->upstream)
		zg_upstream_resume(r);
}

const char *zg_request_keep(struct zg_request *r, const char *text)
{
	const char *kept = zg_arena_copy(&r->arena, zg_slice_str(text));

	return kept ? kept : "no memory to say why";
}

ZG_PRINTF(2, 0)
static const char *format(struct zg_request *r, const char *fmt, va_list ap)
{
	char text[ZG_TEXT_LEN] = "";

	(void)vsnprintf(text, sizeof(text), fmt, ap);
	return zg_request_keep(r, text);
}

const char *zg_request_text(struct zg_request *r, const char *fmt, ...)
{
	const char *text;
	va_list ap;

	va_start(ap, fmt);
	text = format(r, fmt, ap);
	va_end(ap);
	return text;
}

enum zg_next zg_refuse(struct zg_request *r, int status, int code, const char *fmt, ...)
{
	va_list ap;

	r->answer.kind = ZG_A_REFUSE;
	r->answer.status = status;
	r->answer.code = code;
	va_start(ap, fmt);
	r->answer.text = format(r, fmt, ap);
	va_end(ap);
	return ZG_ANSWER;
}

enum zg_next zg_answer_with(struct zg_request *r, enum zg_answer_kind kind, int code,
			    const char *fmt, ...)
{
	va_list ap;

	r->answer.kind = kind;
	r->answer.status = 200;
	r->answer.code = code;
	va_start(ap, fmt);
	r->answer.text = format(r, fmt, ap);
	va_end(ap);
	return ZG_ANSWER;
}
