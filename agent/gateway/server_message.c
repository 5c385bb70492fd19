/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server_message.c - see server_message.h. Trust: the message is a hostile
 * server's; nothing of it is believed but its form.
 */
#include "server_message.h"

#include <errno.h>

#include "listing.h"
#include "request.h"
#include "server_request.h"
#include "state.h"

int zg_withhold(struct zg_request *r, int error, const char *why)
{
	r->output.withheld = why;
	return error;
}

bool zg_same_id(const struct zg_request *r, struct zg_slice raw)
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

static int judge_secrets(struct zg_request *r, struct zg_server_message *m)
{
	struct zg_findings *f = &r->worker->findings;
	struct zg_buf *released = &r->output.released;
	int rc;

	m->raw = m->text;
	zg_findings_reset(f);
	f->strict = r->decision.constraints.redact >= ZG_REDACT_STRICT;
	zg_buf_reset(released);
	rc = zg_scan_json(r->live->scanner, m->text, f, released, &m->changed, &m->facts, NULL);
	for (size_t i = 0; i < sizeof(f->per_detector) / sizeof(f->per_detector[0]); i++)
		r->output.found[i] += f->per_detector[i];
	if (rc < 0)
		return zg_withhold(r, rc,
				   rc == -EBADMSG ? "it is not strict JSON"
						  : "it could not be scanned");
	if (f->overflow || (f->count && zg_findings_verdict(f) == ZG_SV_QUARANTINE))
		return zg_withhold(r, -EPERM, "it was quarantined");
	if (f->count && r->decision.constraints.redact == ZG_REDACT_WITHHOLD)
		return zg_withhold(r, -EPERM,
				   zg_request_text(r,
						   "it holds what is not to get out (redact: "
						   "withhold) [rules: %s]",
						   r->rules));
	if (m->changed)
		m->text = zg_buf_slice(released);
	return 0;
}

/* What the message is to this request. */
static int judge_form(struct zg_request *r, struct zg_server_message *m)
{
	const struct zg_json_facts *facts = &m->facts;
	bool response = facts->result.ptr || facts->error.ptr;

	if (!facts->is_object || response == (facts->method.ptr != NULL) ||
	    (facts->result.ptr && facts->error.ptr))
		return zg_withhold(r, -EBADMSG, "it is not one JSON-RPC message");
	/* nothing follows the response: progress of what is over, a second answer */
	if (r->output.answered) {
		m->drop = true;
		r->output.dropped++;
		return 0;
	}
	/* a stream that was opened to listen may bring answers of lost ones */
	if (!response || r->rpc.kind != ZG_RPC_REQUEST)
		return 0;
	if (!zg_same_id(r, facts->id)) {
		/* the server could not even read which request it was */
		if (facts->error.ptr && r->output.status >= 400 &&
		    (!facts->id.ptr || zg_slice_eq(facts->id, ZG_SLICE("null"))))
			return 0;
		return zg_withhold(r, -EBADMSG, "it answers another request");
	}
	r->output.answered = true;
	r->outcome = facts->error.ptr  ? ZG_O_RPC_ERROR
		     : facts->is_error ? ZG_O_TOOL_ERROR
				       : ZG_O_OK;
	return 0;
}

/* In this order; each may end it, set drop, or put another text in the place of
 * m->text (then changed is set). */
static int (*const judges[])(struct zg_request *r, struct zg_server_message *m) = {
	zg_state_take,		/* what the client cannot read */
	judge_secrets,		/* scanned, and strict JSON from here on */
	judge_form,		/* one message, and an answer to this request */
	zg_judge_server_call,	/* what it asks or tells the client */
	zg_judge_server_result, /* and what it asks for in an answer */
	zg_state_put,		/* sealed */
	zg_task_result,		/* in the form that a task's client expects */
	zg_cache_private,	/* no cache may share it */
	zg_judge_listing,	/* what it says of itself; the last: it may wait */
};

int zg_server_message(struct zg_request *r, struct zg_slice text, struct zg_server_message *m)
{
	int rc = 0;

	*m = (struct zg_server_message){.text = text};
	for (size_t i = 0; i < sizeof(judges) / sizeof(judges[0]); i++) {
		rc = judges[i](r, m);
		if (rc < 0 || m->drop)
			break;
	}
	return rc;
}
