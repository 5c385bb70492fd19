/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quota.c - see quota.h. Trust: the ledger's word is final; without it, or in
 * time, there is no call. What is counted together is told by a digest, so that
 * the ledger holds no names.
 */
#include "quota.h"

#include <errno.h>

#include "digest.h"
#include "ipc.h"
#include "limit.h"
#include "request.h"

static void add_part(struct zg_buf *b, const void *bytes, size_t n)
{
	uint64_t length = n;

	zg_buf_add(b, &length, sizeof(length));
	zg_buf_add(b, bytes, n);
}

static void add_text(struct zg_buf *b, const char *s)
{
	add_part(b, s, strlen(s));
}

/* Not by cgroup: whoever may start runs would have as many budgets. */
static void add_principal(struct zg_buf *b, const struct zg_request *r)
{
	add_text(b, r->principal.profile);
	add_part(b, &r->principal.uid, sizeof(r->principal.uid));
	add_text(b, r->subject);
}

static void add_tool(struct zg_buf *b, const struct zg_request *r)
{
	add_part(b, r->rpc.method.ptr, r->rpc.method.len);
	add_part(b, r->rpc.tool.ptr, r->rpc.tool.len);
}

/* By the rule's name: a reload that leaves it alone, or changes its number, does
 * not give back what was used. */
static void put_limit(const struct zg_request *r, const struct zg_limit *l, struct zg_buf *b,
		      struct zg_quota_limit *out)
{
	struct zg_slice rule = zg_policy_rule_id(&r->live->policy, (uint16_t)l->rule);

	*out = (struct zg_quota_limit){.kind = l->kind, .calls = l->calls, .sec = l->sec};
	zg_buf_reset(b);
	add_text(b, "limit");
	add_part(b, rule.ptr, rule.len);
	add_part(b, &l->by, sizeof(l->by));
	if (l->by & ZG_LB_PRINCIPAL)
		add_principal(b, r);
	if (l->by & ZG_LB_CGROUP)
		add_text(b, r->principal.cgroup);
	if (l->by & ZG_LB_SERVER)
		add_text(b, r->server->id);
	if (l->by & ZG_LB_TOOL)
		add_tool(b, r);
	if (zg_buf_ok(b))
		zg_sha256(out->key, b->ptr, b->len);
}

/* The same call: another argument makes another. */
static void put_retries(const struct zg_request *r, struct zg_buf *b, struct zg_quota_limit *out)
{
	*out = (struct zg_quota_limit){.kind = ZG_QK_RETRIES,
				       .calls = r->decision.constraints.max_retries,
				       .sec = ZG_RETRY_WINDOW_SEC};
	zg_buf_reset(b);
	add_text(b, "retries");
	add_principal(b, r);
	add_text(b, r->server->id);
	add_tool(b, r);
	add_part(b, r->args_sha256, sizeof(r->args_sha256));
	if (zg_buf_ok(b))
		zg_sha256(out->key, b->ptr, b->len);
}

static uint64_t owner_of(const struct zg_request *r, struct zg_buf *b)
{
	uint8_t digest[32];
	uint64_t owner = 0;

	zg_buf_reset(b);
	add_principal(b, r);
	if (zg_buf_ok(b)) {
		zg_sha256(digest, b->ptr, b->len);
		memcpy(&owner, digest, sizeof(owner));
	}
	return owner;
}

/* 0 or -errno. */
static int send_ask(struct zg_request *r, enum zg_quota_mode mode)
{
	const struct zg_constraints *c = &r->decision.constraints;
	struct zg_msg_quota_ask m = {
		.call = r->call, .mode = mode, .lease_sec = r->runtime_sec + ZG_QUOTA_LEASE_SEC};
	struct zg_buf *b = &r->worker->scratch;
	int error = 0;

	for (uint16_t i = 0; i < c->limit_count; i++) {
		struct zg_limit l = zg_policy_limit(&r->live->policy, c->limit[i]);

		put_limit(r, &l, b, &m.limit[m.count++]);
		error = error ? error : b->error;
	}
	if (c->has_max_retries)
		put_retries(r, b, &m.limit[m.count++]);
	m.owner = owner_of(r, b);
	error = error ? error : b->error;
	if (error)
		return error;
	return r->worker->ledger < 0 ? -ENOTCONN
				     : zg_msg_send(r->worker->ledger, ZG_MSG_QUOTA_ASK, &m, -1);
}

bool zg_quota_limited(const struct zg_request *r)
{
	const struct zg_constraints *c = &r->decision.constraints;

	return (c->limit_count || c->has_max_retries) && r->rpc.kind == ZG_RPC_REQUEST;
}

/* the end ------------------------------------------------------------------------- */

static bool holds(const struct zg_request *r)
{
	const struct zg_quota *q = &r->quota;

	return q->sent && q->mode == ZG_QM_TAKE && !q->over &&
	       (!q->told || q->word == ZG_QS_GRANTED);
}

void zg_quota_late(struct zg_worker *w, uint64_t call, enum zg_quota_end end)
{
	struct zg_msg_quota_done m = {.call = call, .end = end};

	if (w->ledger >= 0 && zg_msg_send(w->ledger, ZG_MSG_QUOTA_DONE, &m, -1) < 0)
		return; /* lost, it ends with the call's time */
}

void zg_quota_over(struct zg_request *r, enum zg_quota_end end)
{
	if (!holds(r))
		return;
	r->quota.over = true;
	if (!r->quota.elsewhere)
		zg_quota_late(r->worker, r->call, end);
}

/* the question --------------------------------------------------------------------- */

static void on_time(evutil_socket_t fd ZG_UNUSED, short what ZG_UNUSED, void *arg)
{
	struct zg_request *r = arg;

	zg_worker_read_ledger(r->worker); /* a word that is on its way counts */
	if (r->quota.told)
		return;
	zg_quota_over(r, ZG_QE_NEUTRAL); /* of a grant that comes too late */
	r->quota.told = true;		 /* refused */
	zg_request_run(r);
}

static enum zg_next ask(struct zg_request *r, enum zg_quota_mode mode)
{
	static const struct timeval wait = {ZG_QUOTA_WAIT_MS / 1000,
					    (ZG_QUOTA_WAIT_MS % 1000) * 1000};

	r->quota = (struct zg_quota){.mode = mode, .sent = true};
	if (event_initialized(&r->timer))
		(void)event_del(&r->timer);
	(void)event_assign(&r->timer, r->worker->base, -1, 0, on_time, r);
	(void)event_add(&r->timer, &wait);
	/* one that is lost is asked again when there is a ledger, or refused in time */
	(void)send_ask(r, mode);
	return ZG_WAIT;
}

/* Which limit it is; "" if the ledger named none of ours. */
static void limit_text(const struct zg_request *r, char *out, size_t size)
{
	const struct zg_constraints *c = &r->decision.constraints;
	char text[ZG_LIMIT_TEXT];
	struct zg_slice rule;
	struct zg_limit l;

	out[0] = '\0';
	if (r->quota.which < c->limit_count) {
		l = zg_policy_limit(&r->live->policy, c->limit[r->quota.which]);
		rule = zg_policy_rule_id(&r->live->policy, (uint16_t)l.rule);
		zg_limit_text(&l, text, sizeof(text));
		(void)snprintf(out, size, "%.*s: %s", (int)rule.len, rule.ptr, text);
	} else if (c->has_max_retries) {
		(void)snprintf(out, size, "max_retries: %u", c->max_retries);
	}
}

static enum zg_next refuse(struct zg_request *r)
{
	const bool retries = r->quota.which >= r->decision.constraints.limit_count;
	char limit[ZG_FINDINGS_LEN], when[64] = "";

	switch (r->quota.word) {
	case ZG_QS_GRANTED:
		return ZG_NEXT;
	case ZG_QS_EXCEEDED:
		break;
	case ZG_QS_FULL:
		return zg_answer_with(r, ZG_A_FAIL, ZG_C_BUSY,
				      "zerogate: this call is under a limit, and too much is "
				      "counted already; nothing was executed [rules: %s]",
				      r->rules);
	case ZG_QS_REFUSED:
		return zg_answer_with(r, ZG_A_FAIL, ZG_C_UNAVAILABLE,
				      "zerogate: this call is under a limit, and the ledger, which "
				      "counts, does not answer; nothing was executed [rules: %s]",
				      r->rules);
	}
	limit_text(r, limit, sizeof(limit));
	r->quota.limit = zg_request_text(r, "%s", limit);
	if (r->quota.wait_ms)
		(void)snprintf(when, sizeof(when), "; retry in %llu s",
			       (unsigned long long)((r->quota.wait_ms + 999) / 1000));
	else
		(void)snprintf(when, sizeof(when), "; retry when another call is over");
	if (retries)
		return zg_answer_with(r, ZG_A_DENY, ZG_C_LIMIT,
				      "zerogate denied this call: it failed before and max_retries "
				      "is %u%s [rules: %s]",
				      r->decision.constraints.max_retries, when, r->rules);
	return zg_answer_with(r, ZG_A_DENY, ZG_C_LIMIT,
			      "zerogate denied this call: rule %s%s. Nothing was executed", limit,
			      when);
}

static enum zg_next settle(struct zg_request *r, enum zg_quota_mode mode)
{
	if (!r->quota.sent || r->quota.mode != mode)
		return ask(r, mode);
	if (!r->quota.told)
		return ZG_WAIT;
	(void)event_del(&r->timer);
	return refuse(r);
}

enum zg_next zg_step_probe(struct zg_request *r)
{
	if (r->decision.kind != ZG_D_REQUIRE_APPROVAL || !zg_quota_limited(r))
		return ZG_NEXT;
	return settle(r, ZG_QM_PROBE);
}

enum zg_next zg_step_quota(struct zg_request *r)
{
	return zg_quota_limited(r) ? settle(r, ZG_QM_TAKE) : ZG_NEXT;
}

void zg_quota_message(struct zg_worker *w, const struct zg_msg_quota_told *m)
{
	struct zg_request *r = zg_request_of(w, m->call);

	if (!r || !r->quota.sent || r->quota.told)
		return;
	r->quota.told = true;
	/* an unknown state is no grant */
	r->quota.word = m->state <= ZG_QS_GRANTED ? (enum zg_quota_state)m->state : ZG_QS_REFUSED;
	r->quota.which = m->which;
	r->quota.wait_ms = m->wait_ms;
	zg_request_run(r);
}

void zg_quota_resend(struct zg_worker *w)
{
	struct zg_request *r;

	/* what fails is found out by its time, or costs room that nobody has lost */
	TAILQ_FOREACH(r, &w->requests, link)
	if (holds(r) || (r->quota.sent && !r->quota.told))
		(void)send_ask(r, r->quota.told ? ZG_QM_CLAIM : r->quota.mode);
}

void zg_quota_end(struct zg_request *r)
{
	zg_quota_over(r, ZG_QE_NEUTRAL);
}
