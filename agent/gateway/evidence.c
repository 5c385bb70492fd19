/* SPDX-License-Identifier: Apache-2.0 */
/*
 * evidence.c - what is written of each request: call.intent before anything is
 * dispatched (no record, no call), call.outcome after; call.deny or call.reject
 * for what was not. Never holds arguments, results or secrets.
 */
#include <errno.h>

#include "request.h"
#include "server_request.h"

static const char *const outcomes[] = {
#define X(NAME, text) [ZG_O_##NAME] = (text),
	ZG_OUTCOMES(X)
#undef X
};

/* What every record of a request says, but for what was asked. */
static void fill_who(const struct zg_request *r, struct zg_record *rec, enum zg_record_kind kind)
{
	struct zg_slice server = r->server ? zg_slice_str(r->server->id) : r->server_id;

	zg_record_init(rec, kind);
	if (r->principal.cgroup_id)
		zg_record_principal(rec, &r->principal);
	zg_record_str(rec, ZG_RF_server, server);
	zg_record_bytes(rec, ZG_RF_snapshot, r->live->snap.header->id);
	ZG_REC_NUM(rec, call, r->call);
	zg_record_str(rec, ZG_RF_subject, zg_slice_str(r->subject));
	ZG_REC_NUM(rec, worker, r->worker->index);
	ZG_REC_NUM(rec, transparent, r->origin.transparent);
}

static void fill(const struct zg_request *r, struct zg_record *rec, enum zg_record_kind kind)
{
	fill_who(r, rec, kind);
	zg_record_str(rec, ZG_RF_method, r->rpc.method);
	zg_record_str(rec, ZG_RF_tool, r->rpc.tool);
	if (r->digested) {
		zg_record_bytes(rec, ZG_RF_args_sha256, r->args_sha256);
		ZG_REC_NUM(rec, args_bytes, r->args_bytes);
	}
}

static void fill_judged(struct zg_record *rec, enum zg_action action, const char *tags,
			const struct zg_decision *d, const char *rules, const char *reason)
{
	zg_record_str(rec, ZG_RF_risk_tags, zg_slice_str(tags));
	zg_record_str(rec, ZG_RF_action,
		      action == ZG_ACTION_READ ? ZG_SLICE("read") : ZG_SLICE("write"));
	zg_record_str(rec, ZG_RF_decision, zg_slice_str(zg_decision_text(d->kind)));
	zg_record_str(rec, ZG_RF_rules, zg_slice_str(rules));
	zg_record_str(rec, ZG_RF_reason, zg_slice_str(reason));
}

static void fill_trial(struct zg_record *rec, const struct zg_trial *t)
{
	if (!t || !t->differs)
		return;
	zg_record_str(rec, ZG_RF_shadow_decision, zg_slice_str(zg_decision_text(t->kind)));
	zg_record_str(rec, ZG_RF_shadow_rules, zg_slice_str(t->rules));
}

static void fill_decision(const struct zg_request *r, struct zg_record *rec)
{
	fill_trial(rec, r->trial);
	fill_judged(rec, r->action, r->risk_tags, &r->decision, r->rules, r->reason);
	zg_record_str(rec, ZG_RF_labels, zg_slice_str(r->labels));
	ZG_REC_NUM(rec, decide_ns, r->decide_ns);
	zg_record_str(rec, ZG_RF_narrowed, zg_slice_str(r->narrowed));
	if (r->decision.constraints.max_runtime_sec)
		ZG_REC_NUM(rec, max_runtime_sec, r->decision.constraints.max_runtime_sec);
	if (r->quota.limit)
		zg_record_str(rec, ZG_RF_limit, zg_slice_str(r->quota.limit));
	if (r->hold.approval[0]) {
		zg_record_str(rec, ZG_RF_approval, zg_slice_str(r->hold.approval));
		if (r->hold.state == ZG_HOLD_GRANTED)
			ZG_REC_NUM(rec, approver_uid, r->hold.approver_uid);
		ZG_REC_NUM(rec, waited_ms, (zg_now_ns() - r->started_ns) / 1000000);
	}
}

int zg_evidence_server(struct zg_request *r, const struct zg_ask *a)
{
	struct zg_ring *ring = &r->worker->ring;
	char tags[ZG_FINDINGS_LEN];
	struct zg_record rec;

	fill_who(r, &rec, a->allowed ? ZG_RK_SERVER_REQUEST : ZG_RK_CALL_DENY);
	zg_record_str(&rec, ZG_RF_method, a->env.method);
	zg_record_str(&rec, ZG_RF_tool, a->env.tool);
	zg_record_str(&rec, ZG_RF_direction, ZG_SLICE("server"));
	zg_record_bytes(&rec, ZG_RF_args_sha256, a->args_sha256);
	ZG_REC_NUM(&rec, args_bytes, a->args_bytes);
	zg_envelope_tags_text(&a->env, tags, sizeof(tags));
	fill_judged(&rec, a->env.action, tags, &a->decision, a->rules, a->reason);
	fill_trial(&rec, &a->trial);
	/* in a callback of the exchange: never waits */
	if (zg_ring_room(ring) == 0)
		return -EAGAIN;
	return a->allowed ? zg_ring_push(ring, &rec) : zg_ring_push_always(ring, &rec);
}

static void on_ledger_time(evutil_socket_t fd ZG_UNUSED, short what ZG_UNUSED, void *arg)
{
	zg_request_run(arg);
}

/* The ledger is being restarted or has fallen behind: look again soon. */
static enum zg_next wait_for_ledger(struct zg_request *r)
{
	static const struct timeval soon = {0, 20000};

	if (event_initialized(&r->timer))
		(void)event_del(&r->timer);
	(void)event_assign(&r->timer, r->worker->base, -1, 0, on_ledger_time, r);
	(void)event_add(&r->timer, &soon);
	return ZG_WAIT;
}

enum zg_next zg_step_intent(struct zg_request *r)
{
	struct zg_ring *ring = &r->worker->ring;
	enum zg_ring_state state = zg_ring_state(ring);
	uint64_t now = zg_now_ns();
	struct zg_record rec;
	int rc = -ETIMEDOUT;

	if (!r->intent_since_ns)
		r->intent_since_ns = now;
	if (state == ZG_RING_OK && zg_ring_room(ring) > 0) {
		fill(r, &rec, ZG_RK_CALL_INTENT);
		fill_decision(r, &rec);
		rc = zg_ring_push(ring, &rec);
	} else if (state != ZG_RING_FAILED &&
		   now - r->intent_since_ns < ZG_RING_WAIT_MS * UINT64_C(1000000)) {
		return wait_for_ledger(r);
	}
	if (rc < 0)
		return zg_answer_with(r, ZG_A_FAIL, ZG_C_UNAVAILABLE,
				      "zerogate: the call was not executed because its evidence "
				      "cannot be recorded (%s)",
				      state == ZG_RING_FAILED ? "the audit log cannot be written"
							      : "the ledger does not answer");
	r->intent = true;
	return ZG_NEXT;
}

void zg_evidence_refusal(struct zg_request *r)
{
	bool judged = r->judged;
	struct zg_record rec;
	uint64_t skipped;

	if (r->quiet)
		return;
	/* refusals before judgement cost their sender nothing: bounded, counted */
	if (!judged && !zg_bucket_take(&r->worker->rejects, zg_now_ns(), &skipped))
		return;
	fill(r, &rec, judged ? ZG_RK_CALL_DENY : ZG_RK_CALL_REJECT);
	if (judged)
		fill_decision(r, &rec);
	else if (skipped)
		ZG_REC_NUM(&rec, count, skipped + 1);
	/* what the client is told, not the rules' text alone */
	zg_record_str(&rec, ZG_RF_reason,
		      zg_slice_str(r->recorded[0] ? r->recorded : r->answer.text));
	zg_record_str(&rec, ZG_RF_message, zg_slice_str(r->answer.text));
	ZG_REC_NUM(&rec, status, (uint64_t)r->answer.status);
	if (!r->principal.cgroup_id && r->origin.cgroup_id) {
		ZG_REC_NUM(&rec, cgroup_id, r->origin.cgroup_id);
		ZG_REC_NUM(&rec, pid, r->origin.pid);
		ZG_REC_NUM(&rec, uid, r->origin.uid);
	}
	if (zg_ring_push_always(&r->worker->ring, &rec) < 0)
		r->worker->unrecorded++;
}

static void fill_findings(const struct zg_request *r, struct zg_record *rec)
{
	struct zg_findings all = {0};
	char text[ZG_FINDINGS_LEN];

	memcpy(all.per_detector, r->output.found, sizeof(all.per_detector));
	zg_findings_text(&all, text, sizeof(text));
	zg_record_str(rec, ZG_RF_findings, zg_slice_str(text));
}

void zg_evidence_outcome(struct zg_request *r)
{
	const struct zg_output *o = &r->output;
	struct zg_record rec;
	uint64_t now = zg_now_ns();

	zg_quota_over(r, r->outcome == ZG_O_OK	       ? ZG_QE_DONE
			 : r->outcome == ZG_O_DEFERRED ? ZG_QE_NEUTRAL
						       : ZG_QE_FAILED);
	fill(r, &rec, ZG_RK_CALL_OUTCOME);
	fill_decision(r, &rec);
	zg_record_str(&rec, ZG_RF_outcome, zg_slice_str(outcomes[r->outcome]));
	if (o->status)
		ZG_REC_NUM(&rec, status, (uint64_t)o->status);
	ZG_REC_NUM(&rec, duration_us, (now - r->dispatched_ns) / 1000);
	ZG_REC_NUM(&rec, result_bytes, o->bytes);
	fill_findings(r, &rec);
	zg_record_str(&rec, ZG_RF_withheld, zg_slice_str(o->hidden));
	if (o->dropped)
		ZG_REC_NUM(&rec, dropped, o->dropped);
	if (r->answer.text[0])
		zg_record_str(&rec, ZG_RF_message, zg_slice_str(r->answer.text));
	if (zg_ring_push_always(&r->worker->ring, &rec) < 0)
		r->worker->unrecorded++;
}

void zg_evidence_late(const struct zg_request *stream, uint64_t call, enum zg_outcome outcome,
		      size_t result_bytes)
{
	struct zg_record rec;

	fill(stream, &rec, ZG_RK_CALL_OUTCOME);
	ZG_REC_NUM(&rec, call, call);
	zg_record_str(&rec, ZG_RF_outcome, zg_slice_str(outcomes[outcome]));
	ZG_REC_NUM(&rec, result_bytes, result_bytes);
	if (zg_ring_push_always(&stream->worker->ring, &rec) < 0)
		stream->worker->unrecorded++;
}
