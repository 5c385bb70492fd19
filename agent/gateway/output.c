/* SPDX-License-Identifier: Apache-2.0 */
/*
 * output.c - nothing that the server says reaches the client unscanned. What
 * cannot be read (compressed, not strict JSON, too large) is withheld, and the
 * client is told so. Bytes in which nothing was found go on as they came.
 */
#include <errno.h>

#include "request.h"

static int withhold(struct zg_request *r, int error, const char *why)
{
	r->output.withheld = why;
	return error;
}

static void count_findings(struct zg_request *r, const struct zg_findings *f)
{
	for (size_t i = 0; i < sizeof(f->per_detector) / sizeof(f->per_detector[0]); i++)
		r->output.found[i] += f->per_detector[i];
}

/* Is raw, an id as the server wrote it, the id of this request? */
static bool same_id(const struct zg_request *r, struct zg_slice raw)
{
	const json_t *own = json_object_get(r->rpc.root, "id");
	json_t *theirs;
	bool same;

	if (zg_slice_eq(raw, zg_slice_str(r->rpc.id)))
		return true;
	/* written in another way: 1.0 for 1, an escape for a letter */
	theirs = raw.ptr ? json_loadb(raw.ptr, raw.len, JSON_DECODE_ANY, NULL) : NULL;
	same = json_is_number(own) && json_is_number(theirs)
		       ? !(json_number_value(own) < json_number_value(theirs)) &&
				 !(json_number_value(own) > json_number_value(theirs))
		       : json_is_string(own) && json_equal(own, theirs);
	json_decref(theirs);
	return same;
}

/* What the message is to this request; -errno if it must not be passed on. */
static int judge_message(struct zg_request *r, const struct zg_json_facts *facts)
{
	bool response = facts->result.ptr || facts->error.ptr;

	if (!facts->is_object || response == (facts->method.ptr != NULL) ||
	    (facts->result.ptr && facts->error.ptr))
		return withhold(r, -EBADMSG, "it is not one JSON-RPC message");
	/* a stream that was opened to listen may bring answers of lost ones */
	if (!response || r->rpc.kind != ZG_RPC_REQUEST)
		return 0;
	if (!same_id(r, facts->id)) {
		/* the server could not even read which request it was */
		if (facts->error.ptr && r->output.status >= 400 &&
		    (!facts->id.ptr || zg_slice_eq(facts->id, ZG_SLICE("null"))))
			return 0;
		return withhold(r, -EBADMSG, "it answers another request");
	}
	r->output.answered = true;
	r->outcome = facts->error.ptr  ? ZG_O_RPC_ERROR
		     : facts->is_error ? ZG_O_TOOL_ERROR
				       : ZG_O_OK;
	return 0;
}

/* Scan one JSON-RPC message of the server. 0, or withheld with -errno. */
static int scan_message(struct zg_request *r, struct zg_slice text, bool *changed)
{
	struct zg_findings *f = &r->worker->findings;
	struct zg_json_facts facts = {0};
	int rc;

	zg_findings_reset(f);
	zg_buf_reset(&r->output.released);
	rc = zg_scan_json(r->live->scanner, text, f, &r->output.released, changed, &facts, NULL);
	count_findings(r, f);
	if (rc < 0)
		return withhold(r, rc,
				rc == -EBADMSG ? "it is not strict JSON"
					       : "it could not be scanned");
	if (f->overflow || (f->count && zg_findings_verdict(f) == ZG_SV_QUARANTINE))
		return withhold(r, -EPERM, "it was quarantined");
	return judge_message(r, &facts);
}

/* event streams ------------------------------------------------------------- */

/* An event without data (a comment, a retry time): passed on if it is clean. */
static int pass_plain(struct zg_request *r, const struct zg_sse_event *ev)
{
	struct zg_findings *f = &r->worker->findings;
	int rc;

	zg_findings_reset(f);
	rc = zg_scan_text(r->live->scanner, ev->raw, f);
	if (rc < 0)
		return withhold(r, rc, "it could not be scanned");
	count_findings(r, f);
	if (f->count == 0 && r->client)
		zg_client_stream_write(r->client, ev->raw);
	return 0;
}

static int on_event(void *arg, const struct zg_sse_event *ev)
{
	struct zg_request *r = arg;
	struct zg_buf *event = &r->worker->scratch;
	bool changed = false;
	int rc;

	if (!ev->data.len)
		return pass_plain(r, ev);
	rc = scan_message(r, ev->data, &changed);
	if (rc < 0 || !r->client)
		return rc;
	if (!changed) {
		zg_client_stream_write(r->client, ev->raw);
		return 0;
	}
	zg_buf_reset(event);
	zg_sse_rebuild(ev, zg_buf_slice(&r->output.released), event);
	if (!zg_buf_ok(event))
		return withhold(r, event->error, "it could not be rebuilt");
	zg_client_stream_write(r->client, zg_buf_slice(event));
	return 0;
}

void zg_output_head(struct zg_request *r)
{
	struct zg_output *o = &r->output;

	if (o->status != 200 || o->media != ZG_MEDIA_SSE || o->encoded)
		return;
	o->streaming = true;
	if (r->client)
		zg_client_stream_begin(r->client, o->session);
}

int zg_output_feed(struct zg_request *r, struct zg_slice bytes)
{
	struct zg_output *o = &r->output;
	int rc;

	o->bytes += bytes.len;
	if (o->encoded)
		return withhold(r, -EBADMSG, "it is compressed");
	if (o->streaming) {
		rc = zg_sse_feed(&o->sse, bytes, on_event, r);
		if (rc == -EFBIG && !o->withheld)
			return withhold(r, rc, "an event or the stream is too large");
		return rc;
	}
	if (o->media != ZG_MEDIA_JSON) /* never released: only its size matters */
		return o->bytes > ZG_RESPONSE_BYTES ? withhold(r, -EFBIG, "it is too large") : 0;
	zg_buf_add(&o->body, bytes.ptr, bytes.len);
	return zg_buf_ok(&o->body) ? 0 : withhold(r, o->body.error, "it is larger than 16 MiB");
}

/* the step ------------------------------------------------------------------ */

static enum zg_next upstream_failed(struct zg_request *r, const char *what)
{
	r->outcome = ZG_O_UPSTREAM_ERROR;
	return zg_answer_with(r, ZG_A_FAIL, ZG_C_UPSTREAM, "zerogate: server %s %s", r->server->id,
			      what);
}

static enum zg_next withheld(struct zg_request *r)
{
	r->outcome = ZG_O_QUARANTINED;
	return zg_answer_with(r, ZG_A_FAIL, ZG_C_WITHHELD,
			      "zerogate: the output of server %s was withheld: %s", r->server->id,
			      r->output.withheld);
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
	/* these mean something to MCP clients: the status goes on, the text is ours */
	if (status == 400 || status == 404 || status == 405) {
		r->outcome = ZG_O_RPC_ERROR;
		return zg_refuse(r, status, ZG_C_UPSTREAM, "server %s answered with HTTP %d",
				 r->server->id, status);
	}
	(void)snprintf(what, sizeof(what), "answered with HTTP %d%s", status,
		       status >= 300 && status < 400 ? " (redirects are not followed)" : "");
	return upstream_failed(r, what);
}

static enum zg_next json_body(struct zg_request *r)
{
	struct zg_output *o = &r->output;

	r->outcome = o->status < 300 ? ZG_O_OK : ZG_O_RPC_ERROR;
	if (scan_message(r, zg_buf_slice(&o->body), &o->changed) < 0)
		return o->status < 300 ? withheld(r) : bare_status(r);
	if (o->status >= 300 && o->status != 400 && o->status != 404 && o->status != 405)
		return bare_status(r);
	r->answer.kind = ZG_A_FORWARD;
	r->answer.status = o->status;
	return ZG_ANSWER;
}

static enum zg_next stream_over(struct zg_request *r)
{
	bool missing = r->rpc.kind == ZG_RPC_REQUEST && !r->output.answered;

	if (r->output.withheld)
		(void)withheld(r);
	else if (r->cut)
		r->outcome = r->head.method == ZG_HM_GET ? ZG_O_OK : ZG_O_TIMEOUT;
	else if (missing)
		(void)upstream_failed(r, "ended the stream without a response");
	else if (!r->output.answered)
		r->outcome = ZG_O_OK;
	r->answer.kind = ZG_A_STREAMED;
	return ZG_ANSWER;
}

enum zg_next zg_step_output(struct zg_request *r)
{
	struct zg_output *o = &r->output;

	if (r->cut && r->head.method == ZG_HM_POST && !o->answered)
		(void)zg_answer_with(r, ZG_A_DENY, ZG_C_DENIED,
				     "zerogate: the call was cut after %u seconds "
				     "(max_runtime_sec%s%s%s)",
				     r->runtime_sec, r->rules[0] ? ", rules: " : "", r->rules,
				     r->decision.constraints.max_runtime_sec ? "" : ", default");
	if (r->cancelled) {
		r->outcome = ZG_O_CANCELLED;
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
	if (o->encoded && o->status < 300) {
		o->withheld = "it is compressed";
		return withheld(r);
	}
	if (o->media == ZG_MEDIA_JSON && o->body.len)
		return json_body(r);
	if (o->bytes && o->status < 300) {
		o->withheld = "it is neither JSON nor an event stream";
		return withheld(r);
	}
	return bare_status(r);
}
