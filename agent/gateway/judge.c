/* SPDX-License-Identifier: Apache-2.0 */
/*
 * judge.c - classification and decision, timed. What is not registered, not
 * classified or not granted to the caller's profile never gets past here.
 */
#include <errno.h>

#include "request.h"

struct zg_envelope zg_request_envelope(const struct zg_request *r, const struct zg_rpc *m)
{
	const bool call = zg_slice_eq(m->method, ZG_SLICE("tools/call"));
	struct zg_envelope env = {
		.server = r->server_id,
		.method = m->method,
		.tool = m->tool,
		.arguments = call ? m->arguments : m->params,
		.time_sec = zg_real_sec(),
		.principal = &r->principal,
		.subject = zg_slice_str(r->subject),
	};

	zg_executable_fill(r, &env);
	return env;
}

/* What the shadow policy says is kept where it differs alone. */
static void judge_trial(struct zg_request *r, const struct zg_envelope *asked)
{
	struct zg_trial t;
	struct zg_trial *kept;

	zg_trial_judge(r->worker, r->live, asked, &r->decision, &t);
	kept = t.differs ? zg_arena_alloc(&r->arena, sizeof(*kept)) : NULL;
	if (!kept)
		return;
	*kept = t;
	r->trial = kept;
}

enum zg_next zg_step_judge(struct zg_request *r)
{
	const struct zg_policy *p = &r->live->policy;
	uint64_t begin = zg_now_ns();
	struct zg_envelope env = zg_request_envelope(r, &r->rpc);
	struct zg_slice todo;
	char rules[ZG_RULES_LEN], reason[ZG_REASON_LEN], tags[ZG_FINDINGS_LEN];
	char labels[ZG_REASON_LEN];
	struct zg_envelope asked;
	int rc;

	/* then the definition says something of the call */
	if (r->server && r->server->trust_annotations) {
		int next = zg_pin_know(r);

		if (next != ZG_NEXT)
			return (enum zg_next)next;
		env.read_only = r->pin_known && r->pin.state == ZG_PS_PINNED &&
				(r->pin.hints & ZG_PIN_READ_ONLY);
	}
	if (r->live->trial.bytes)
		asked = env;
	rc = zg_envelope_classify(p, &env);
	zg_decide(p, &env, &r->decision);
	r->judged = true;
	r->decide_ns = zg_now_ns() - begin;
	if (r->live->trial.bytes)
		judge_trial(r, &asked);
	zg_decision_rules_text(p, &r->decision, rules, sizeof(rules));
	zg_decision_reason_text(p, &env, &r->decision, reason, sizeof(reason));
	zg_envelope_tags_text(&env, tags, sizeof(tags));
	zg_decision_labels_text(p, &r->decision, labels, sizeof(labels));
	r->action = env.action;
	r->risk_tags = zg_request_keep(r, tags);
	r->rules = zg_request_keep(r, rules);
	r->reason = zg_request_keep(r, reason);
	r->labels = zg_request_keep(r, labels);
	if (rc == -ENOENT || !r->server) {
		r->decision.kind = ZG_D_DENY;
		return zg_answer_with(r, ZG_A_DENY, ZG_C_NOT_REGISTERED,
				      "zerogate: server \"%.*s\" is not registered",
				      (int)r->server_id.len, r->server_id.ptr);
	}
	if (r->rpc.kind == ZG_RPC_REQUEST && zg_era_modern(r->era) &&
	    (rc == -ENOTSUP || !zg_era_has(r->era, r->rpc.method))) {
		r->decision.kind = ZG_D_DENY;
		return zg_refuse(r, 404, ZG_RPC_METHOD_NOT_FOUND,
				 "zerogate: this version of the protocol has no method \"%.*s\"",
				 (int)r->rpc.method.len, r->rpc.method.ptr);
	}
	if (rc < 0 || r->decision.kind == ZG_D_DENY) {
		r->decision.kind = ZG_D_DENY;
		todo = zg_decision_remediation(p, &r->decision);
		return zg_answer_with(
			r, ZG_A_DENY, ZG_C_DENIED, "zerogate denied this call: %s%s%s%s%s%.*s",
			r->reason, r->rules[0] ? " [rules: " : "", r->rules, r->rules[0] ? "]" : "",
			todo.len ? ". What can be done: " : "", (int)todo.len, todo.ptr);
	}
	return ZG_NEXT;
}
