/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server_request.c - see server_request.h. Trust: all of it is a hostile
 * server's. What cannot be read completely is not passed on.
 */
#include "server_request.h"

#include <errno.h>

#include "constrain.h"
#include "digest.h"
#include "request.h"
#include "upstream.h"

#define TASKS "io.modelcontextprotocol/tasks"

static struct zg_slice text_of(const json_t *string)
{
	return (struct zg_slice){json_string_value(string), json_string_length(string)};
}

/* Decide: may q be put to the client? */
static void judge(const struct zg_request *r, const struct zg_rpc *q, struct zg_ask *a)
{
	const struct zg_policy *p = &r->live->policy;
	struct zg_envelope asked;
	char host[256];

	a->env = zg_request_envelope(r, q);
	a->env.from_server = true;
	asked = a->env;
	if (zg_envelope_classify(p, &a->env) < 0)
		a->env.action = ZG_ACTION_WRITE; /* and zg_decide denies it */
	zg_decide(p, &a->env, &a->decision);
	zg_trial_judge(r->worker, r->live, &asked, &a->decision, &a->trial);
	zg_decision_rules_text(p, &a->decision, a->rules, sizeof(a->rules));
	zg_decision_reason_text(p, &a->env, &a->decision, a->reason, sizeof(a->reason));
	a->allowed =
		a->decision.kind == ZG_D_ALLOW || a->decision.kind == ZG_D_ALLOW_WITH_CONSTRAINTS;
	if (a->allowed && !zg_hosts_allowed(r->live, &a->decision, q->params, host)) {
		a->allowed = false;
		(void)snprintf(a->reason, sizeof(a->reason),
			       "network_allowlist does not hold the host %.100s",
			       host[0] ? host : "(unreadable)");
	}
}

static int digest(struct zg_request *r, const struct zg_rpc *q, struct zg_ask *a)
{
	struct zg_buf *text = &r->worker->scratch;

	zg_buf_reset(text);
	if (zg_arguments_text(q, text) < 0)
		return -ENOMEM;
	zg_sha256(a->args_sha256, text->ptr, text->len);
	a->args_bytes = text->len;
	return 0;
}

/* Decide one request and record it; what cannot be recorded is not allowed. */
static bool ask(struct zg_request *r, const struct zg_rpc *q, struct zg_ask *a)
{
	*a = (struct zg_ask){0};
	judge(r, q, a);
	if (a->decision.kind ==
	    ZG_D_REQUIRE_APPROVAL) /* the model's words cannot wait in a stream */
		(void)snprintf(a->reason, sizeof(a->reason),
			       "it requires the approval of a person, for which a request of a "
			       "server cannot wait");
	if (digest(r, q, a) < 0 || zg_evidence_server(r, a) < 0) {
		if (!a->allowed)
			r->worker->unrecorded++;
		a->allowed = false;
		(void)snprintf(a->reason, sizeof(a->reason), "it cannot be recorded");
	}
	return a->allowed;
}

/* messages ------------------------------------------------------------------ */

/* The server is answered in the client's place. */
static void answer_denied(struct zg_request *r, const struct zg_rpc *q, const struct zg_ask *a)
{
	zg_autobuf body = ZG_BUF(8192);

	zg_buf_fmt(&body,
		   "{\"jsonrpc\":\"2.0\",\"id\":%s,\"error\":{\"code\":%d,\"message\":", q->id,
		   ZG_C_DENIED);
	zg_buf_json(&body, zg_slice_str(a->reason));
	zg_buf_str(&body, "}}");
	if (zg_buf_ok(&body))
		zg_upstream_note(r, zg_buf_slice(&body));
}

static void drop(struct zg_request *r, struct zg_server_message *m)
{
	m->drop = true;
	r->output.dropped++;
}

/* Input requests that a notification carries: all or none. */
static bool inputs_allowed(struct zg_request *r, const json_t *inputs, struct zg_ask *a);

static void judge_notification(struct zg_request *r, const struct zg_rpc *q,
			       struct zg_server_message *m)
{
	struct zg_ask a = {0};

	judge(r, q, &a);
	if (!a.allowed || !inputs_allowed(r, json_object_get(q->params, "inputRequests"), &a))
		drop(r, m);
}

int zg_judge_server_call(struct zg_request *r, struct zg_server_message *m)
{
	const char *why = "";
	struct zg_ask a;
	struct zg_rpc q;
	int rc = 0;

	if (!m->facts.method.ptr)
		return 0;
	if (zg_rpc_parse(&q, m->raw, &why))
		rc = zg_withhold(r, -EBADMSG, "it holds a request that cannot be read");
	else if (q.kind == ZG_RPC_NOTIFICATION)
		judge_notification(r, &q, m);
	else if (++r->output.asks > ZG_SERVER_ASKS_MAX)
		rc = zg_withhold(r, -EPERM, "its server asks too much");
	else if (zg_era_modern(r->era)) /* which has no requests of servers: nobody may answer */
		drop(r, m);
	else if (!ask(r, &q, &a)) {
		drop(r, m);
		answer_denied(r, &q, &a);
	}
	zg_rpc_release(&q);
	return rc;
}

/* results ------------------------------------------------------------------- */

static bool input_allowed(struct zg_request *r, struct zg_slice method, const json_t *params,
			  struct zg_ask *a)
{
	struct zg_rpc q = {.kind = ZG_RPC_REQUEST, .method = method, .params = params};

	if (++r->output.asks > ZG_SERVER_ASKS_MAX || (params && !json_is_object(params)) ||
	    zg_rpc_subject(&q)) {
		*a = (struct zg_ask){.env.method = method};
		(void)snprintf(a->reason, sizeof(a->reason), "it cannot be read");
		return false;
	}
	return ask(r, &q, a);
}

static bool inputs_allowed(struct zg_request *r, const json_t *inputs, struct zg_ask *a)
{
	const char *key;
	json_t *input;

	if (inputs && !json_is_object(inputs)) {
		(void)snprintf(a->reason, sizeof(a->reason), "it cannot be read");
		return false;
	}
	json_object_foreach((json_t *)(uintptr_t)inputs, key, input)
	{
		if (!input_allowed(r, text_of(json_object_get(input, "method")),
				   json_object_get(input, "params"), a))
			return false;
	}
	return true;
}

/* 2025-11-25: an error that sends the client to URLs. */
static bool elicitations_allowed(struct zg_request *r, const json_t *list, struct zg_ask *a)
{
	json_t *one;
	size_t i;

	json_array_foreach((json_t *)(uintptr_t)list, i, one)
	{
		if (!input_allowed(r, ZG_SLICE("elicitation/create"), one, a))
			return false;
	}
	return true;
}

/* Did the client say that it can be given a task? */
static bool wants_task(const struct zg_request *r)
{
	const json_t *meta = json_object_get(r->rpc.params, "_meta");
	const json_t *caps = json_object_get(meta, "io.modelcontextprotocol/clientCapabilities");

	return json_object_get(r->rpc.params, "task") ||
	       json_object_get(json_object_get(caps, "extensions"), TASKS);
}

static const char *unsolicited(const struct zg_request *r, const json_t *result)
{
	static const char *const may_ask[] = {"tools/call", "prompts/get", "resources/read"};
	struct zg_slice type = text_of(json_object_get(result, "resultType"));
	bool call = zg_slice_eq(r->rpc.method, ZG_SLICE("tools/call"));

	if ((zg_slice_eq(type, ZG_SLICE("task")) ||
	     (call && json_is_object(json_object_get(result, "task")))) &&
	    !wants_task(r))
		return "it is a task, for which the client did not ask";
	if (!zg_slice_eq(type, ZG_SLICE("input_required")))
		return NULL;
	for (size_t i = 0; i < sizeof(may_ask) / sizeof(may_ask[0]); i++)
		if (r->rpc.kind != ZG_RPC_REQUEST ||
		    zg_slice_eq(r->rpc.method, zg_slice_str(may_ask[i])))
			return NULL;
	return "it asks for input, which an answer to this method cannot";
}

static int deny(struct zg_request *r, const struct zg_ask *a)
{
	struct zg_slice method = a->env.method;

	r->output.denied = true;
	r->output.answered = false;
	(void)zg_answer_with(r, ZG_A_DENY, ZG_C_DENIED,
			     "zerogate denied what server %s asks for in answer to this call "
			     "(%.*s): %s%s%s%s",
			     r->server->id, method.len < ZG_METHOD_LEN ? (int)method.len : 0,
			     method.ptr ? method.ptr : "", a->reason,
			     a->rules[0] ? " [rules: " : "", a->rules, a->rules[0] ? "]" : "");
	return zg_withhold(r, -EACCES, "policy denies what it asks for");
}

static int judge_tree(struct zg_request *r, const json_t *tree, bool error)
{
	const json_t *task = json_object_get(tree, "task");
	const char *why = error ? NULL : unsolicited(r, tree);
	struct zg_ask a = {0};
	bool fine;

	if (why)
		return zg_withhold(r, -EBADMSG, why);
	if (error)
		fine = elicitations_allowed(
			r, json_object_get(json_object_get(tree, "data"), "elicitations"), &a);
	else
		fine = inputs_allowed(r, json_object_get(tree, "inputRequests"), &a) &&
		       inputs_allowed(r, json_object_get(task, "inputRequests"), &a);
	return fine ? 0 : deny(r, &a);
}

int zg_judge_server_result(struct zg_request *r, struct zg_server_message *m)
{
	const struct zg_json_facts *f = &m->facts;
	struct zg_slice text = f->error.ptr ? f->error : f->result;
	json_t *tree;
	int rc;

	/* nearly all: a result that is complete and asks for nothing */
	if (!text.ptr ||
	    (f->result.ptr && !f->asks &&
	     (!f->result_type.ptr || zg_slice_eq(f->result_type, ZG_SLICE("\"complete\"")))))
		return 0;
	tree = zg_rpc_tree(text);
	if (!tree)
		return zg_withhold(r, -EBADMSG, "it asks for more than can be read");
	rc = judge_tree(r, tree, f->error.ptr != NULL);
	json_decref(tree);
	return rc;
}
