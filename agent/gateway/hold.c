/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hold.c - see hold.h. Trust: the ledger's word is final; anything that is not
 * a clear yes from it is a no.
 */
#include "hold.h"

#include <errno.h>

#include "digest.h"
#include "hold_way.h"
#include "ipc.h"

static void add_part(struct zg_buf *b, const void *bytes, size_t n)
{
	uint64_t length = n;

	zg_buf_add(b, &length, sizeof(length));
	zg_buf_add(b, bytes, n);
}

int zg_hold_binding(const struct zg_request *r, uint8_t out[32])
{
	const struct zg_principal *p = &r->principal;
	zg_autobuf b = ZG_BUF(ZG_REQUEST_BYTES);

	add_part(&b, p->profile, strlen(p->profile));
	add_part(&b, &p->uid, sizeof(p->uid));
	add_part(&b, p->cgroup, strlen(p->cgroup));
	add_part(&b, r->subject, strlen(r->subject));
	add_part(&b, r->server_id.ptr, r->server_id.len);
	add_part(&b, r->rpc.method.ptr, r->rpc.method.len);
	add_part(&b, r->rpc.tool.ptr, r->rpc.tool.len); /* whole, however it is shown */
	add_part(&b, r->args_sha256, sizeof(r->args_sha256));
	add_part(&b, r->pin.sha256, sizeof(r->pin.sha256)); /* another definition, another call */
	add_part(&b, r->live->snap.header->id, sizeof(r->live->snap.header->id));
	if (!zg_buf_ok(&b))
		return b.error;
	zg_sha256(out, b.ptr, b.len);
	return 0;
}

/* The canonical arguments with secrets taken out, for the approver's eyes. */
static int show_arguments(struct zg_request *r, char *out, size_t size)
{
	struct zg_worker *w = r->worker;
	zg_autobuf masked = ZG_BUF(2 * ZG_RESPONSE_BYTES);
	bool changed = false;
	int rc;

	zg_buf_reset(&w->scratch);
	rc = zg_arguments_text(&r->rpc, &w->scratch);
	if (rc < 0)
		return rc;
	zg_findings_reset(&w->findings);
	rc = zg_scan_json(r->live->scanner, zg_buf_slice(&w->scratch), &w->findings, &masked,
			  &changed, NULL, NULL);
	if (rc < 0)
		return rc;
	(void)zg_str_cut(out, size, zg_buf_slice(changed ? &masked : &w->scratch));
	return 0;
}

static int send_hold(struct zg_request *r)
{
	struct zg_msg_hold m = {.call = r->call, .principal = r->principal};
	int rc;

	if (r->worker->ledger < 0)
		return -ENOTCONN;
	(void)zg_str_cut(m.server, sizeof(m.server), r->server_id);
	(void)zg_str_cut(m.method, sizeof(m.method), r->rpc.method);
	(void)zg_str_cut(m.tool, sizeof(m.tool), r->rpc.tool);
	(void)zg_str_cut(m.rules, sizeof(m.rules), zg_slice_str(r->rules));
	(void)zg_str_cut(m.risk_tags, sizeof(m.risk_tags), zg_slice_str(r->risk_tags));
	zg_decision_why_text(&r->live->policy, &r->decision, m.why, sizeof(m.why));
	rc = zg_hold_binding(r, r->hold.binding);
	if (rc == 0)
		rc = show_arguments(r, m.args_text, sizeof(m.args_text));
	if (rc < 0)
		return rc;
	memcpy(m.binding, r->hold.binding, sizeof(m.binding));
	memcpy(m.args_sha256, r->args_sha256, sizeof(m.args_sha256));
	memcpy(m.snapshot, r->live->snap.header->id, sizeof(m.snapshot));
	memcpy(m.definition_sha256, r->pin.sha256, sizeof(m.definition_sha256));
	m.approvers = r->decision.constraints.approvers;
	m.action = (uint32_t)r->action;
	m.args_bytes = r->args_bytes;
	memcpy(m.approval, r->hold.claim, sizeof(m.approval));
	m.question = r->hold.question;
	return zg_msg_send(r->worker->ledger, ZG_MSG_HOLD, &m, -1);
}

/* waiting -------------------------------------------------------------------- */

static void on_hold_time(evutil_socket_t fd, short what, void *arg);

static int release(struct zg_request *r)
{
	struct zg_msg_hold_release m = {.call = r->call};

	r->hold.released = true;
	return r->worker->ledger < 0 ? -ENOTCONN
				     : zg_msg_send(r->worker->ledger, ZG_MSG_HOLD_RELEASE, &m, -1);
}

/* Till the end of the wait, or till the client is to hear of it again. */
static void arm(struct zg_request *r)
{
	uint64_t now = zg_now_ns();
	uint64_t left_us = r->hold.until_ns > now ? (r->hold.until_ns - now) / 1000 : 0;
	struct timeval wait = {(time_t)(left_us / 1000000), (suseconds_t)(left_us % 1000000)};

	if (r->hold.way->tick && left_us > ZG_HOLD_TICK_SEC * UINT64_C(1000000))
		wait = (struct timeval){ZG_HOLD_TICK_SEC, 0};
	(void)event_add(&r->timer, &wait);
}

static void on_hold_time(evutil_socket_t fd ZG_UNUSED, short what ZG_UNUSED, void *arg)
{
	static const struct timeval grace = {ZG_HOLD_GRACE_SEC, 0};
	struct zg_request *r = arg;

	/* a yes that is on its way counts: it has been consumed */
	zg_worker_read_ledger(r->worker);
	if (r->hold.state != ZG_HOLD_PENDING)
		return;
	if (zg_now_ns() < r->hold.until_ns) {
		if (r->hold.way->tick)
			r->hold.way->tick(r);
		arm(r);
		return;
	}
	/* nor must one get lost that is being said just now: the ledger has the last word */
	if (!r->hold.released && !r->hold.way->at_once && release(r) == 0) {
		(void)event_add(&r->timer, &grace);
		return;
	}
	r->hold.expired = true;
	zg_request_run(r);
}

enum zg_next zg_hold_ask(struct zg_request *r)
{
	int rc;

	r->hold.way = zg_way_of(r);
	/* who does not wait must not be told of a decision that it would not hear */
	if (!r->hold.sent && r->hold.way->at_once && r->hold.question == ZG_HQ_USE)
		r->hold.question = ZG_HQ_LOOK;
	rc = send_hold(r);
	if (rc < 0)
		return zg_answer_with(r, ZG_A_FAIL, ZG_C_UNAVAILABLE,
				      "zerogate: the approval queue cannot be reached (%s)",
				      strerror(-rc));
	r->hold.sent = true;
	r->hold.expired = false;
	r->hold.state = ZG_HOLD_PENDING;
	r->hold.until_ns = zg_now_ns() + r->hold.way->seconds(r) * UINT64_C(1000000000);
	if (event_initialized(&r->timer)) /* earlier steps have waited with it */
		(void)event_del(&r->timer);
	(void)event_assign(&r->timer, r->worker->base, -1, 0, on_hold_time, r);
	arm(r);
	return ZG_WAIT;
}

static enum zg_next begin_hold(struct zg_request *r)
{

	/* a response or notification cannot be told to retry */
	if (r->rpc.kind != ZG_RPC_REQUEST)
		return zg_answer_with(r, ZG_A_DENY, ZG_C_DENIED,
				      "zerogate: only a request can wait for approval");
	r->hold.counted = zg_admit(&r->worker->admission, r->origin.cgroup_id, ZG_ADMIT_HOLD);
	if (!r->hold.counted)
		return zg_answer_with(r, ZG_A_DENY, ZG_C_BUSY,
				      "zerogate: too many calls of this cgroup wait for approval");
	return zg_hold_ask(r);
}

/* The step -------------------------------------------------------------------- */

enum zg_next zg_step_resume(struct zg_request *r)
{
	enum zg_next next = r->server ? zg_task_resume(r) : ZG_NEXT;

	return next == ZG_NEXT && r->server ? zg_rounds_resume(r) : next;
}

/* The approval that it waited for, or asked for, does not hold. */
static enum zg_next in_vain(struct zg_request *r, const char *what)
{
	if (r->hold.conflict)
		return zg_answer_with(r, ZG_A_DENY, ZG_C_DENIED,
				      "zerogate: approval %s does not hold for this call: %s",
				      r->hold.approval[0] ? r->hold.approval : r->hold.claim,
				      zg_conflict_text(r->hold.conflict));
	return zg_answer_with(r, ZG_A_DENY, ZG_C_DENIED, "zerogate: approval %s %s",
			      r->hold.approval, what);
}

/* A person said no: why, and what the rule's author says can be done. */
static enum zg_next denied(struct zg_request *r)
{
	struct zg_slice todo = zg_decision_remediation(&r->live->policy, &r->decision);

	return zg_answer_with(
		r, ZG_A_DENY, ZG_C_DENIED, "zerogate: approval %s was denied%s%s [rules: %s]%s%.*s",
		r->hold.approval, r->hold.reason[0] ? ": " : "", r->hold.reason, r->rules,
		todo.len ? ". What can be done: " : "", (int)todo.len, todo.ptr);
}

enum zg_next zg_step_hold(struct zg_request *r)
{
	enum zg_next next = ZG_NEXT;

	/* a task runs by its approval alone: a policy that allows it now is another one */
	if (r->decision.kind != ZG_D_REQUIRE_APPROVAL && !r->hold.task)
		return ZG_NEXT;
	if (!r->hold.sent)
		return begin_hold(r);
	if (r->hold.task && r->hold.state != ZG_HOLD_PENDING)
		next = zg_task_heard(r);
	if (next != ZG_NEXT)
		return next;
	switch (r->hold.state) {
	case ZG_HOLD_PENDING:
		return r->hold.expired ? r->hold.way->over(r) : ZG_WAIT;
	case ZG_HOLD_GRANTED:
		(void)event_del(&r->timer);
		return ZG_NEXT;
	case ZG_HOLD_DENIED:
		return denied(r);
	case ZG_HOLD_EXPIRED:
		return in_vain(r, "expired undecided");
	case ZG_HOLD_SUPERSEDED:
		return in_vain(r, "was used by another request");
	case ZG_HOLD_READY: /* approved before it was asked for: now it is used */
		r->hold.question = ZG_HQ_USE;
		return zg_hold_ask(r);
	case ZG_HOLD_RELEASED:
	case ZG_HOLD_REFUSED:
		break;
	}
	return zg_answer_with(r, ZG_A_FAIL, ZG_C_UNAVAILABLE,
			      "zerogate: this call cannot wait for approval%s%s",
			      r->hold.reason[0] ? ": " : "", r->hold.reason);
}

void zg_hold_message(struct zg_worker *w, struct zg_msg_hold_state *m)
{
	struct zg_request *r = zg_request_of(w, m->call);

	ZG_MSG_TEXT(m->approval);
	ZG_MSG_TEXT(m->reason);
	ZG_MSG_TEXT(m->other);
	if (!r || !r->hold.sent || r->hold.state != ZG_HOLD_PENDING)
		return;
	if (m->state == ZG_HOLD_RELEASED) {
		r->hold.expired = r->hold.released;
		zg_request_run(r);
		return;
	}
	/* an unknown state is no yes */
	r->hold.state = m->state <= ZG_HOLD_READY ? (enum zg_hold_state)m->state : ZG_HOLD_REFUSED;
	r->hold.approver_uid = m->approver_uid;
	memcpy(r->hold.approval, m->approval, sizeof(r->hold.approval));
	r->hold.reason = zg_request_keep(r, m->reason);
	r->hold.other = zg_request_keep(r, m->other);
	r->hold.conflict = m->conflict < ZG_CONFLICT_MAX ? m->conflict : ZG_CONFLICT_NONE;
	r->hold.approvers = m->approvers;
	r->hold.agreed = m->agreed;
	if (r->hold.state == ZG_HOLD_PENDING && !r->hold.way->at_once) {
		if (r->hold.way->tick)
			r->hold.way->tick(r);
		return;
	}
	r->hold.expired = r->hold.state == ZG_HOLD_PENDING;
	zg_request_run(r);
}

void zg_hold_resend(struct zg_worker *w)
{
	struct zg_request *r, *next;

	for (r = TAILQ_FIRST(&w->requests); r; r = next) {
		next = TAILQ_NEXT(r, link);
		if (!r->hold.sent || r->hold.state != ZG_HOLD_PENDING)
			continue;
		r->hold.released = false;
		if (send_hold(r) == 0)
			continue;
		r->hold.state = ZG_HOLD_REFUSED;
		zg_request_run(r);
	}
}

void zg_hold_end(struct zg_request *r)
{
	/* if this fails the ledger has lost us anyway, and knows it */
	if (r->hold.sent && r->hold.state == ZG_HOLD_PENDING && !r->hold.released && release(r) < 0)
		r->hold.state = ZG_HOLD_REFUSED;
	if (r->hold.counted)
		zg_admit_end(&r->worker->admission, r->origin.cgroup_id, ZG_ADMIT_HOLD);
	r->hold.counted = false;
	r->hold.sent = false;
}
