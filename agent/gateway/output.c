/* SPDX-License-Identifier: Apache-2.0 */
/*
 * output.c - nothing that the server says reaches the client unscanned. What
 * cannot be read (compressed, not strict JSON, too large) is withheld, and the
 * client is told so. Bytes in which nothing was found go on as they came.
 */
#include <errno.h>

#include "endpoint.h"
#include "listing.h"
#include "request.h"
#include "server_message.h"

#define TOO_MUCH "too much is under way for its client at once"

static void count_findings(struct zg_request *r, const struct zg_findings *f)
{
	for (size_t i = 0; i < sizeof(f->per_detector) / sizeof(f->per_detector[0]); i++)
		r->output.found[i] += f->per_detector[i];
}

/* event streams ------------------------------------------------------------- */

/* Another stream would not be held to what this call is held to. */
static bool keeps_its_stream(const struct zg_request *r)
{
	return r->rpc.kind == ZG_RPC_REQUEST &&
	       (r->decision.constraints.max_output_bytes || r->decision.constraints.redact);
}

/* Send an event on: as it came, if neither its data nor its id has changed. */
static int pass_event(struct zg_request *r, const struct zg_sse_event *ev,
		      const struct zg_slice *data)
{
	struct zg_buf *event = &r->worker->scratch;
	struct zg_slice id = {0};
	int rc = 0;

	if (ev->id.len && keeps_its_stream(r)) {
		id = ZG_SLICE("");
	} else if (ev->id.len) {
		r->output.resumable = !zg_era_modern(r->era); /* which has no resumption */
		rc = zg_session_event_id(r, ev->id, &id);
	}
	if (rc < 0)
		return zg_withhold(r, rc, "an event id could not be sealed");
	if (!r->client)
		return 0;
	if (!data && !id.ptr) {
		zg_client_stream_write(r->client, ev->raw);
		return 0;
	}
	zg_buf_reset(event);
	zg_sse_rewrite(ev, id.ptr ? &id : NULL, data, event);
	if (!zg_buf_ok(event))
		return zg_withhold(r, event->error, "it could not be rebuilt");
	zg_client_stream_write(r->client, zg_buf_slice(event));
	return 0;
}

/* Of a comment, a retry time or an id alone; or an empty object, as which event
 * stores replay the id that opened a stream. */
static bool says_nothing(const struct zg_sse_event *ev)
{
	return !ev->data.len || zg_slice_eq(ev->data, ZG_SLICE("{}"));
}

/* An event without a message: passed on if it is clean. */
static int pass_plain(struct zg_request *r, const struct zg_sse_event *ev)
{
	struct zg_findings *f = &r->worker->findings;
	int rc;

	zg_findings_reset(f);
	rc = zg_scan_text(r->live->scanner, ev->raw, f);
	if (rc < 0)
		return zg_withhold(r, rc, "it could not be scanned");
	count_findings(r, f);
	return f->count == 0 ? pass_event(r, ev, NULL) : 0;
}

static int on_event(void *arg, const struct zg_sse_event *ev)
{
	struct zg_request *r = arg;
	struct zg_server_message m;
	int rc;

	if (says_nothing(ev))
		return pass_plain(r, ev);
	if (r->door == ZG_DOOR_SSE && zg_slice_eq(ev->type, ZG_SLICE("endpoint"))) {
		rc = zg_endpoint_event(r, ev, &r->worker->scratch);
		if (rc == 0 && r->client)
			zg_client_stream_write(r->client, zg_buf_slice(&r->worker->scratch));
		return rc;
	}
	rc = zg_server_message(r, ev->data, &m);
	if (rc < 0 || m.drop)
		return rc;
	/* before its client can make the next call */
	if (r->output.answered)
		zg_quota_over(r, r->outcome == ZG_O_OK ? ZG_QE_DONE : ZG_QE_FAILED);
	if (r->door == ZG_DOOR_SSE && (m.facts.result.ptr || m.facts.error.ptr))
		zg_relay_answered(r, &m.facts);
	return pass_event(r, ev, m.changed ? &m.text : NULL);
}

void zg_output_head(struct zg_request *r)
{
	struct zg_output *o = &r->output;

	if (r->fetch) {
		/* whatever it is called: it is read elsewhere, or by nobody */
		o->media = r->head.method == ZG_HM_GET ? ZG_MEDIA_JSON : ZG_MEDIA_OTHER;
		o->encoded = o->encoded && r->head.method == ZG_HM_GET;
		return;
	}
	if (o->session.ptr && zg_session_seal(r) < 0) {
		(void)zg_withhold(r, -EBADMSG, "its session id is malformed or too long");
		return;
	}
	if (o->status != 200 || o->media != ZG_MEDIA_SSE || o->encoded)
		return;
	o->streaming = true;
	if (r->client && !r->hold.streaming)
		zg_client_stream_begin(r->client, o->session);
}

/* Counted over the whole call, as its server sent it. */
static bool over_cap(struct zg_request *r)
{
	uint64_t most = r->decision.constraints.max_output_bytes;

	if (!most || r->output.bytes <= most)
		return false;
	r->output.too_large = true;
	r->output.withheld =
		zg_request_text(r, "it has more than %llu bytes (max_output_bytes) [rules: %s]",
				(unsigned long long)most, r->rules);
	return true;
}

int zg_output_feed(struct zg_request *r, struct zg_slice bytes)
{
	struct zg_output *o = &r->output;
	int rc;

	o->bytes += bytes.len;
	if (o->withheld)
		return -EBADMSG; /* by its head */
	if (over_cap(r))
		return -EFBIG;
	if (o->encoded)
		return zg_withhold(r, -EBADMSG, "it is compressed");
	if (o->streaming) {
		rc = zg_sse_feed(&o->sse, bytes, on_event, r);
		if (rc == -EFBIG && !o->withheld)
			return zg_withhold(r, rc, "an event or the stream is too large");
		if (rc == 0 && !zg_request_afford(r, 0))
			return zg_withhold(r, -ENOBUFS, TOO_MUCH);
		return rc;
	}
	if (o->media != ZG_MEDIA_JSON) /* never released: only its size matters */
		return o->bytes > ZG_RESPONSE_BYTES ? zg_withhold(r, -EFBIG, "it is too large") : 0;
	zg_buf_add(&o->body, bytes.ptr, bytes.len);
	if (!zg_request_afford(r, 0))
		return zg_withhold(r, -ENOBUFS, TOO_MUCH);
	return zg_buf_ok(&o->body) ? 0 : zg_withhold(r, o->body.error, "it is larger than 16 MiB");
}

/* the step ------------------------------------------------------------------ */

/* A document for ourselves. */
static enum zg_next fetched(struct zg_request *r)
{
	struct zg_output *o = &r->output;
	const bool good = r->head.method == ZG_HM_GET
				  ? o->status == 200 && !o->encoded && o->body.len
				  : o->status >= 200 && o->status < 300;
	const bool whole = good && !o->withheld && !r->failure[0] && !r->cut;

	r->outcome = whole ? ZG_O_OK : ZG_O_UPSTREAM_ERROR;
	r->answer.kind = ZG_A_FORWARD;
	r->answer.status = !whole && o->status >= 200 && o->status < 300 ? 502 : o->status;
	return ZG_ANSWER;
}

static enum zg_next upstream_failed(struct zg_request *r, const char *what)
{
	r->outcome = ZG_O_UPSTREAM_ERROR;
	return zg_answer_with(r, ZG_A_FAIL, ZG_C_UPSTREAM, "zerogate: server %s %s", r->server->id,
			      what);
}

static enum zg_next withheld(struct zg_request *r)
{
	if (r->output.denied) { /* the answer says what, and why */
		r->outcome = ZG_O_ASK_DENIED;
		return ZG_ANSWER;
	}
	r->outcome = r->output.too_large ? ZG_O_TOO_LARGE : ZG_O_QUARANTINED;
	return zg_answer_with(r, ZG_A_FAIL, ZG_C_WITHHELD,
			      "zerogate: the output of server %s was withheld: %s", r->server->id,
			      r->output.withheld);
}

/* Statuses that mean something to MCP clients: they go on as they are. */
static bool tells_client(int status)
{
	return status == 400 || status == 404 || status == 405 || status == 409;
}

/* The server answered with a status and nothing that could be released. */
static enum zg_next bare_status(struct zg_request *r)
{
	int status = r->output.status;
	char what[ZG_REASON_LEN];

	if (status == 202 || status == 204 || (status == 200 && r->rpc.kind != ZG_RPC_REQUEST)) {
		r->outcome = ZG_O_OK;
		zg_buf_reset(&r->output.body);
		r->answer.kind = ZG_A_FORWARD;
		r->answer.status = status;
		return ZG_ANSWER;
	}
	if (tells_client(status)) { /* the text is ours */
		r->outcome = ZG_O_RPC_ERROR;
		return zg_refuse(r, status, ZG_C_UPSTREAM, "server %s answered with HTTP %d",
				 r->server->id, status);
	}
	(void)snprintf(what, sizeof(what), "answered with HTTP %d%s%s", status,
		       status >= 300 && status < 400 ? " (redirects are not followed)" : "",
		       r->server->proxied && !r->server->tls ? " (it, or the proxy before it)"
							     : "");
	return upstream_failed(r, what);
}

static enum zg_next json_body(struct zg_request *r)
{
	struct zg_output *o = &r->output;
	struct zg_server_message m;

	r->outcome = o->status < 300 ? ZG_O_OK : ZG_O_RPC_ERROR;
	if (zg_server_message(r, zg_buf_slice(&o->body), &m) < 0)
		return o->status < 300 ? withheld(r) : bare_status(r);
	if (r->rpc.kind == ZG_RPC_REQUEST && !o->answered && o->status < 300) {
		o->withheld = "it is not the response";
		return withheld(r);
	}
	if (zg_listing_waits(r))
		return ZG_WAIT;
	if (m.drop)
		zg_buf_reset(&o->body);
	o->changed = m.changed && !m.drop;
	if (o->status >= 300 && !tells_client(o->status))
		return bare_status(r);
	r->answer.kind = ZG_A_FORWARD;
	r->answer.status = o->status;
	return ZG_ANSWER;
}

static enum zg_next stream_over(struct zg_request *r)
{
	bool missing = r->rpc.kind == ZG_RPC_REQUEST && !r->output.answered;

	r->output.broken = r->failure[0] != '\0';
	if (r->output.withheld)
		(void)withheld(r);
	else if (r->cut)
		r->outcome = r->head.method == ZG_HM_GET ? ZG_O_OK : ZG_O_TIMEOUT;
	else if (missing && r->output.resumable)
		r->outcome = ZG_O_DEFERRED; /* the client asks again from the last id it saw */
	else if (missing)
		(void)upstream_failed(r, "ended the stream without a response");
	else if (!r->output.answered)
		r->outcome = ZG_O_OK;
	r->answer.kind = ZG_A_STREAMED;
	return ZG_ANSWER;
}

static void answer_cut(struct zg_request *r)
{
	(void)zg_answer_with(r, ZG_A_DENY, ZG_C_DENIED,
			     "zerogate: the call was cut after %u seconds "
			     "(max_runtime_sec%s%s%s)",
			     r->runtime_sec, r->rules[0] ? ", rules: " : "", r->rules,
			     r->decision.constraints.max_runtime_sec ? "" : ", default");
}

/* A POST of HTTP+SSE: what its body says is for nobody, the answer comes on the
 * stream, or a cut is said there. */
static enum zg_next posted(struct zg_request *r)
{
	struct zg_buf *cut = &r->output.released;

	if (r->output.status >= 300)
		return bare_status(r);
	r->outcome = ZG_O_OK;
	if (r->rpc.kind == ZG_RPC_REQUEST) {
		r->outcome = ZG_O_DEFERRED;
		answer_cut(r);
		zg_reply_body(r, cut);
		if (zg_buf_ok(cut))
			zg_relay_expect(r, zg_buf_slice(cut));
	} else if (zg_slice_eq(r->rpc.method, ZG_SLICE("notifications/cancelled"))) {
		zg_relay_cancelled(r);
	}
	zg_buf_reset(&r->output.body);
	r->output.changed = false;
	r->answer = (struct zg_answer){.kind = ZG_A_FORWARD, .status = 202, .text = ""};
	return ZG_ANSWER;
}

/* A list that waited for the ledger, and is not withheld. */
static enum zg_next list_body(struct zg_request *r)
{
	struct zg_slice text = zg_listing_text(r);
	struct zg_output *o = &r->output;

	zg_buf_reset(&o->released);
	zg_buf_add(&o->released, text.ptr, text.len);
	if (!zg_buf_ok(&o->released)) {
		o->withheld = "it is too large";
		return withheld(r);
	}
	o->changed = true;
	r->answer.kind = ZG_A_FORWARD;
	r->answer.status = o->status;
	return ZG_ANSWER;
}

enum zg_next zg_step_output(struct zg_request *r)
{
	struct zg_output *o = &r->output;

	if (r->fetch)
		return fetched(r);
	if (zg_listing_waits(r))
		return ZG_WAIT;
	if (r->cut && r->head.method == ZG_HM_POST && !o->answered)
		answer_cut(r);
	r->cancelled |= r->cancel_asked && !o->answered && !o->body.len;
	if (r->cancelled) {
		r->outcome = ZG_O_CANCELLED;
		if (!o->streaming && r->client)
			return zg_answer_with(r, ZG_A_FAIL, ZG_C_CANCELLED,
					      "zerogate: the call was cancelled by its client");
		r->answer.kind = ZG_A_STREAMED;
		return ZG_ANSWER;
	}
	if (o->streaming)
		return stream_over(r);
	if (r->cut) {
		r->outcome = ZG_O_TIMEOUT;
		return ZG_ANSWER;
	}
	if (o->withheld)
		return withheld(r);
	if (r->failure[0])
		return upstream_failed(r, r->failure);
	if (r->door == ZG_DOOR_MESSAGES)
		return posted(r);
	if (o->encoded && o->status < 300) {
		o->withheld = "it is compressed";
		return withheld(r);
	}
	if (zg_listing_text(r).ptr)
		return list_body(r);
	if (o->media == ZG_MEDIA_JSON && o->body.len)
		return json_body(r);
	if (o->bytes && o->status < 300) {
		o->withheld = "it is neither JSON nor an event stream";
		return withheld(r);
	}
	return bare_status(r);
}
