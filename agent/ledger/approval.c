/* SPDX-License-Identifier: Apache-2.0 */
/*
 * approval.c - see approval.h: the rules of approvals. Trust: what a gateway
 * says of a call is shown to the approver as it came, and is only good for the
 * binding it computed; who decides is the kernel's word, passed on by the
 * parent. Never talks to a socket.
 */
#include "approval_impl.h"

#include <errno.h>
#include <sys/random.h>

#include "log.h"
#include "notify.h"

#define ID_CHARACTERS 10 /* 50 random bits: not to be guessed within a lifetime of 1 h */
#define OF_ONE_USER   (ZG_APPROVALS_PENDING_MAX / 8)	/* pending: others find room */
#define KEEP_MS	      (UINT64_C(30) * 24 * 3600 * 1000) /* what ended stays listed for 30 days */

static uint64_t clock_ms(clockid_t clock)
{
	struct timespec now;

	(void)clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t zg_approvals_wall_ms(void)
{
	return clock_ms(CLOCK_REALTIME);
}

uint64_t zg_approvals_steady_ms(const struct zg_approvals *s)
{
	return s->base_ms + clock_ms(CLOCK_BOOTTIME);
}

int zg_approvals_open(struct zg_approvals *s, const char *path, struct zg_trail *trail,
		      struct zg_err *e)
{
	struct zg_approvals new = {.trail = trail, .ttl_sec = ZG_APPROVAL_TTL_SEC};
	int rc = zg_store_open(&new.store, path, e);

	if (rc < 0)
		return rc;
	new.voided = calloc(ZG_VOID_AT_ONCE, sizeof(*new.voided));
	new.records = calloc(ZG_VOID_AT_ONCE, sizeof(*new.records));
	if (!new.voided || !new.records) {
		zg_approvals_close(&new);
		return zg_err_at(e, ENOMEM, path, 0, 0, "no memory for the approvals");
	}
	new.base_ms = clock_ms(CLOCK_REALTIME) - clock_ms(CLOCK_BOOTTIME);
	rc = zg_store_pending(&new.store, &new.pending);
	if (rc == 0)
		rc = zg_store_change(&new.store, &new.change);
	if (rc == 0) {
		rc = zg_gates_open(&new.gates, new.store.db, trail, e);
		if (rc < 0) {
			zg_approvals_close(&new);
			return rc;
		}
	}
	if (rc < 0) {
		zg_approvals_close(&new);
		return zg_err_at(e, -rc, path, 0, 0, "cannot read the approvals: %s",
				 strerror(-rc));
	}
	*s = new;
	return 0;
}

void zg_approvals_close(struct zg_approvals *s)
{
	zg_gates_close(&s->gates);
	zg_store_close(&s->store);
	free(s->voided);
	free(s->records);
	s->voided = NULL;
	s->records = NULL;
}

void zg_approvals_policy(struct zg_approvals *s, const uint8_t snapshot[32], uint32_t ttl_sec,
			 const char *high_risk_tags)
{
	s->may_be_stale = true;
	(void)zg_str_cut(s->high_risk_tags, sizeof(s->high_risk_tags),
			 zg_slice_str(high_risk_tags));
	memcpy(s->snapshot, snapshot, sizeof(s->snapshot));
	s->ttl_sec = ttl_sec ? ttl_sec : ZG_APPROVAL_TTL_SEC;
}

/* --- evidence -------------------------------------------------------------------- */

void zg_approvals_describe(struct zg_record *r, enum zg_record_kind kind,
			   const struct zg_approval *a, const char *said)
{
	char message[ZG_NAME_LEN + ZG_TOOL_LEN + ZG_SERVER_LEN + 96];

	zg_record_init(r, kind);
	(void)snprintf(message, sizeof(message), "%s: %s on %s by uid %u %s", a->m.approval,
		       a->m.tool[0] ? a->m.tool : a->m.method, a->m.server, a->m.principal.uid,
		       said);
	zg_record_str(r, ZG_RF_message, zg_slice_str(message));
	zg_record_principal(r, &a->m.principal);
	zg_record_str(r, ZG_RF_server, zg_slice_str(a->m.server));
	zg_record_str(r, ZG_RF_method, zg_slice_str(a->m.method));
	zg_record_str(r, ZG_RF_tool, zg_slice_str(a->m.tool));
	zg_record_str(r, ZG_RF_risk_tags, zg_slice_str(a->m.risk_tags));
	zg_record_bytes(r, ZG_RF_args_sha256, a->m.args_sha256);
	ZG_REC_NUM(r, args_bytes, a->m.args_bytes);
	zg_record_str(r, ZG_RF_rules, zg_slice_str(a->m.rules));
	zg_record_bytes(r, ZG_RF_snapshot, a->m.snapshot);
	zg_record_str(r, ZG_RF_approval, zg_slice_str(a->m.approval));
	zg_record_str(r, ZG_RF_reason, zg_slice_str(a->m.reason));
	if (a->m.approvers > 1) {
		ZG_REC_NUM(r, approvers, a->m.approvers);
		ZG_REC_NUM(r, agreed, a->m.agreed);
	}
	if (a->conflict)
		zg_record_str(r, ZG_RF_conflict,
			      zg_slice_str(zg_approval_conflict((enum zg_conflict)a->conflict)));
	if (a->other[0])
		zg_record_str(r, ZG_RF_other_approval, zg_slice_str(a->other));
	if (a->m.decided_ms) {
		ZG_REC_NUM(r, approver_uid, a->m.approver_uid);
		ZG_REC_NUM(r, approver_pid, a->approver_pid);
		ZG_REC_NUM(r, waited_ms,
			   a->m.decided_ms > a->m.created_ms ? a->m.decided_ms - a->m.created_ms
							     : 0);
	}
}

int zg_approvals_set(struct zg_approvals *s, struct zg_approval *a, enum zg_approval_state from)
{
	a->m.change = ++s->change;
	return zg_store_set(&s->store, a, from);
}

/* One for each approval: its records stand together. */
static void take_back(struct zg_approvals *s, const struct zg_record *records, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct zg_record undo = records[i];

		if (i &&
		    strncmp(undo.approval, records[i - 1].approval, sizeof(undo.approval)) == 0)
			continue;
		undo.kind = ZG_RK_APPROVAL_REFUSE;
		zg_record_str(&undo, ZG_RF_reason, ZG_SLICE(ZG_APPROVAL_TAKEN_BACK));
		if (zg_trail_emit(s->trail, &undo, 1) < 0)
			zg_log(ZG_LOG_ERR,
			       "a step that could not be stored was not taken back in the log");
	}
}

int zg_approvals_conclude(struct zg_approvals *s, const struct zg_record *records, size_t n)
{
	bool told;
	int rc;

	if (s->notify)
		zg_notify_note(s->notify, records, n);
	rc = zg_trail_emit(s->trail, records, n);
	told = rc == 0;
	if (told)
		rc = zg_store_commit(&s->store);
	else
		zg_store_rollback(&s->store);
	if (s->notify)
		zg_notify_noted(s->notify, rc == 0);
	if (rc == 0 || !told)
		return rc;
	take_back(s, records, n);
	return rc;
}

/* --- holding --------------------------------------------------------------------- */

static enum zg_hold_state refuse(struct zg_approval *out, const char *why)
{
	*out = (struct zg_approval){0};
	(void)zg_str_cut(out->m.reason, sizeof(out->m.reason), zg_slice_str(why));
	return ZG_HOLD_REFUSED;
}

static int new_id(char out[ZG_NAME_LEN])
{
	static const char crockford[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
	uint8_t random[ID_CHARACTERS];

	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return -EIO;
	memcpy(out, "ap-", 3);
	for (int i = 0; i < ID_CHARACTERS; i++)
		out[3 + i] = crockford[random[i] & 31];
	out[3 + ID_CHARACTERS] = '\0';
	return 0;
}

static void from_hold(struct zg_approval *a, const struct zg_msg_hold *h)
{
	*a = (struct zg_approval){.m.state = ZG_AS_PENDING, .m.principal = h->principal};
	memcpy(a->m.server, h->server, sizeof(h->server));
	memcpy(a->m.method, h->method, sizeof(h->method));
	memcpy(a->m.tool, h->tool, sizeof(h->tool));
	memcpy(a->m.rules, h->rules, sizeof(h->rules));
	memcpy(a->m.risk_tags, h->risk_tags, sizeof(h->risk_tags));
	memcpy(a->m.args_sha256, h->args_sha256, sizeof(h->args_sha256));
	memcpy(a->m.snapshot, h->snapshot, sizeof(h->snapshot));
	memcpy(a->m.args_text, h->args_text, sizeof(h->args_text));
	memcpy(a->binding, h->binding, sizeof(h->binding));
	memcpy(a->m.definition_sha256, h->definition_sha256, sizeof(h->definition_sha256));
	memcpy(a->m.why, h->why, sizeof(h->why));
	a->m.args_bytes = h->args_bytes;
	a->m.action = h->action;
	a->m.approvers = h->approvers < 1 ? 1 : h->approvers;
}

/* What of the call is not as it was when it was asked for? */
static enum zg_conflict differs(const struct zg_approval *a, const struct zg_msg_hold *h)
{
	if (memcmp(a->binding, h->binding, sizeof(h->binding)) == 0)
		return ZG_CONFLICT_NONE;
	if (strcmp(a->m.server, h->server) != 0 || strcmp(a->m.tool, h->tool) != 0 ||
	    memcmp(a->m.args_sha256, h->args_sha256, sizeof(h->args_sha256)) != 0)
		return ZG_CONFLICT_ARGS_CHANGED;
	if (memcmp(a->m.definition_sha256, h->definition_sha256, sizeof(h->definition_sha256)) != 0)
		return ZG_CONFLICT_TOOL_CHANGED;
	if (memcmp(a->m.snapshot, h->snapshot, sizeof(h->snapshot)) != 0)
		return ZG_CONFLICT_POLICY_CHANGED;
	return ZG_CONFLICT_ARGS_CHANGED; /* another caller, or what is not shown of a name */
}

/* Why is this call asked for anew, though one much like it was decided, or waits? The
 * same call first; then one with other arguments that was approved, or waits. */
static void near_miss(struct zg_approvals *s, const struct zg_msg_hold *h, struct zg_approval *a)
{
	static const enum zg_approval_state near[] = {ZG_AS_APPROVED, ZG_AS_PENDING};
	struct zg_approval other;
	int rc = zg_store_same(&s->store, h, &other);

	if (rc == 0) {
		a->conflict = differs(&other, h);
		if (a->conflict == ZG_CONFLICT_NONE && other.m.state == ZG_AS_CONSUMED)
			a->conflict = ZG_CONFLICT_CONSUMED;
		else if (a->conflict == ZG_CONFLICT_NONE)
			a->conflict = ZG_CONFLICT_EXPIRED;
	}
	for (size_t i = 0; i < 2 && rc == -ENOENT; i++) {
		rc = zg_store_near(&s->store, h, near[i], &other);
		if (rc == 0)
			a->conflict = ZG_CONFLICT_ARGS_CHANGED;
	}
	if (rc == 0)
		memcpy(a->other, other.m.approval, sizeof(a->other));
	else if (rc != -ENOENT)
		zg_log(ZG_LOG_WARN, "earlier approvals could not be read: %s", strerror(-rc));
}

static enum zg_hold_state ask(struct zg_approvals *s, const struct zg_msg_hold *h,
			      struct zg_approval *out)
{
	struct zg_record r;
	int rc;

	if (s->pending >= ZG_APPROVALS_PENDING_MAX)
		return refuse(out, "too many approvals are pending on this host");
	rc = zg_store_asked(&s->store, h->principal.uid, OF_ONE_USER);
	if (rc < 0)
		return refuse(out, "the approvals cannot be read");
	if (rc > 0)
		return refuse(out, "too many approvals of this user are pending");
	from_hold(out, h);
	near_miss(s, h, out);
	out->m.change = ++s->change;
	if (memcmp(h->snapshot, s->snapshot, sizeof(s->snapshot)) != 0)
		s->may_be_stale = true;
	out->m.created_ms = clock_ms(CLOCK_REALTIME);
	out->m.expires_ms = zg_approvals_steady_ms(s) + (uint64_t)s->ttl_sec * 1000;
	rc = new_id(out->m.approval);
	if (rc == 0)
		rc = zg_store_begin(&s->store);
	if (rc < 0)
		return refuse(out, "the approval could not be stored");
	rc = zg_store_insert(&s->store, out);
	if (rc < 0) {
		zg_store_rollback(&s->store);
		return refuse(out, "the approval could not be stored");
	}
	zg_approvals_describe(&r, ZG_RK_APPROVAL_REQUEST, out, "waits for a decision");
	if (zg_approvals_conclude(s, &r, 1) < 0)
		return refuse(out, "the approval could not be stored");
	s->pending++;
	return ZG_HOLD_PENDING;
}

static enum zg_hold_state consume(struct zg_approvals *s, struct zg_approval *a)
{
	struct zg_record r;
	int rc = zg_store_begin(&s->store);

	if (rc < 0)
		return refuse(a, "the use of the approval could not be stored");
	a->m.state = ZG_AS_CONSUMED;
	rc = zg_approvals_set(s, a, ZG_AS_APPROVED);
	if (rc < 0) {
		zg_store_rollback(&s->store);
		return refuse(a, "the use of the approval could not be stored");
	}
	zg_approvals_describe(&r, ZG_RK_APPROVAL_CONSUME, a, "is executed now");
	if (zg_approvals_conclude(s, &r, 1) < 0)
		return refuse(a, "the use of the approval could not be stored");
	return ZG_HOLD_GRANTED;
}

static enum zg_hold_state conflict(struct zg_approval *a, enum zg_conflict which)
{
	a->conflict = which;
	(void)snprintf(a->m.reason, sizeof(a->m.reason), "%s: %s", zg_approval_conflict(which),
		       zg_approval_conflict_hint(which));
	return which == ZG_CONFLICT_CONSUMED ? ZG_HOLD_SUPERSEDED : ZG_HOLD_EXPIRED;
}

static int withdraw(struct zg_approvals *s, struct zg_approval *a);

/* Why it is void, by what make_void() has written. */
static enum zg_conflict why_void(const struct zg_approval *a)
{
	if (strcmp(a->m.reason, "policy_changed") == 0)
		return ZG_CONFLICT_POLICY_CHANGED;
	return strcmp(a->m.reason, "cancelled") == 0 ? ZG_CONFLICT_CANCELLED : ZG_CONFLICT_EXPIRED;
}

/* A call that names what it waits for: nothing else will do for it. */
static enum zg_hold_state claim(struct zg_approvals *s, const struct zg_msg_hold *h,
				struct zg_approval *a)
{
	int rc = zg_store_get(&s->store, h->approval, a);
	enum zg_approval_state state = (enum zg_approval_state)a->m.state;
	enum zg_conflict why;

	if (rc < 0 && rc != -ENOENT)
		return refuse(a, "the approvals cannot be read");
	if (rc < 0) {
		*a = (struct zg_approval){0}; /* ended so long ago that it is forgotten */
		return conflict(a, ZG_CONFLICT_EXPIRED);
	}
	why = differs(a, h);
	if (state == ZG_AS_CONSUMED)
		why = ZG_CONFLICT_CONSUMED;
	else if (why == ZG_CONFLICT_NONE && state == ZG_AS_EXPIRED)
		why = why_void(a);
	else if (why == ZG_CONFLICT_NONE && state != ZG_AS_DENIED &&
		 a->m.expires_ms <= zg_approvals_steady_ms(s))
		why = ZG_CONFLICT_EXPIRED; /* whether or not the tick has come to it */
	if (why != ZG_CONFLICT_NONE)
		return conflict(a, why);
	if (state == ZG_AS_DENIED)
		return ZG_HOLD_DENIED;
	if (h->question == ZG_HQ_WITHDRAW)
		return withdraw(s, a) == 0 ? conflict(a, ZG_CONFLICT_CANCELLED)
					   : refuse(a, "the withdrawal could not be stored");
	if (state == ZG_AS_PENDING)
		return ZG_HOLD_PENDING;
	return h->question == ZG_HQ_LOOK ? ZG_HOLD_READY : consume(s, a);
}

enum zg_hold_state zg_approvals_hold(struct zg_approvals *s, const struct zg_msg_hold *h,
				     struct zg_approval *out)
{
	int rc;

	if (s->trail->failed)
		return refuse(out, "the audit log cannot be written");
	if (h->approval[0])
		return claim(s, h, out);
	rc = zg_store_live(&s->store, h->binding, zg_approvals_steady_ms(s), out);
	if (rc == -ENOENT)
		return ask(s, h, out);
	if (rc < 0)
		return refuse(out, "the approvals cannot be read");
	switch ((enum zg_approval_state)out->m.state) {
	case ZG_AS_PENDING:
		return ZG_HOLD_PENDING;
	case ZG_AS_APPROVED:
		return h->question == ZG_HQ_LOOK ? ZG_HOLD_READY : consume(s, out);
	case ZG_AS_DENIED:
		return ZG_HOLD_DENIED;
	case ZG_AS_CONSUMED:
	case ZG_AS_EXPIRED:
		break;
	}
	return refuse(out, "the stored approval is in no usable state");
}

/* --- time ------------------------------------------------------------------------- */

/* In the caller's transaction; r is what it concludes with. */
static int become_void(struct zg_approvals *s, struct zg_approval *a, const char *why,
		       struct zg_record *r)
{
	enum zg_approval_state was = (enum zg_approval_state)a->m.state;

	a->m.state = ZG_AS_EXPIRED;
	(void)zg_str_cut(a->m.reason, sizeof(a->m.reason), zg_slice_str(why));
	zg_approvals_describe(r, ZG_RK_APPROVAL_EXPIRE, a, "is void");
	return zg_approvals_set(s, a, was);
}

static int make_void(struct zg_approvals *s, struct zg_approval *a, const char *why)
{
	bool waited = a->m.state == ZG_AS_PENDING;
	struct zg_record r;
	int rc = zg_store_begin(&s->store);

	if (rc < 0)
		return rc;
	rc = become_void(s, a, why, &r);
	if (rc < 0) {
		zg_store_rollback(&s->store);
		return rc;
	}
	rc = zg_approvals_conclude(s, &r, 1);
	if (rc == 0 && waited)
		s->pending--;
	return rc;
}

static int withdraw(struct zg_approvals *s, struct zg_approval *a)
{
	return make_void(s, a, "cancelled");
}

static int next_due(struct zg_approvals *s, struct zg_approval *out, const char **why)
{
	int rc = zg_store_due(&s->store, zg_approvals_steady_ms(s), out);

	*why = "expired";
	if (rc == -ENOENT && s->may_be_stale) {
		*why = "policy_changed";
		rc = zg_store_stale(&s->store, s->snapshot, out);
		s->may_be_stale = rc != -ENOENT;
	}
	return rc;
}

/* In one transaction. How many, or -errno and nothing is done. */
static int expire(struct zg_approvals *s, const char *why)
{
	uint64_t waited = 0;
	size_t n = 0;
	int rc = zg_store_begin(&s->store);

	if (rc < 0)
		return rc;
	do {
		waited += s->voided[n].m.state == ZG_AS_PENDING;
		rc = become_void(s, &s->voided[n], why, &s->records[n]);
		n++;
		if (rc == 0 && n < ZG_VOID_AT_ONCE)
			rc = next_due(s, &s->voided[n], &why);
	} while (rc == 0 && n < ZG_VOID_AT_ONCE);
	if (rc < 0 && rc != -ENOENT) {
		zg_store_rollback(&s->store);
		return rc;
	}
	s->backlog = rc == 0;
	rc = zg_approvals_conclude(s, s->records, n);
	if (rc < 0)
		return rc;
	s->pending -= waited;
	return (int)n;
}

int zg_approvals_expire(struct zg_approvals *s, const struct zg_approval **out)
{
	const char *why;
	int rc = next_due(s, &s->voided[0], &why);

	*out = s->voided;
	if (rc == 0)
		rc = expire(s, why);
	if (rc < 0 && rc != -ENOENT) {
		s->may_be_stale = true; /* what was seen to be gone stands as it stood */
		s->backlog = true;
		return rc;
	}
	if (rc == -ENOENT)
		s->backlog = false;
	return rc == -ENOENT ? 0 : rc;
}

int zg_approvals_void(struct zg_approvals *s, const struct zg_msg_hold *h, struct zg_approval *out)
{
	int rc = h->approval[0] ? zg_store_get(&s->store, h->approval, out)
				: zg_store_usable(&s->store, h->binding, out);

	if (rc < 0)
		return rc;
	if (out->m.state != ZG_AS_PENDING && out->m.state != ZG_AS_APPROVED)
		return -ENOENT;
	if (out->m.expires_ms <= zg_approvals_steady_ms(s))
		return make_void(s, out, "expired");
	if (memcmp(out->m.snapshot, s->snapshot, sizeof(s->snapshot)) != 0)
		return make_void(s, out, "policy_changed");
	return -ENOENT;
}

int zg_approvals_prune(struct zg_approvals *s)
{
	uint64_t now = zg_approvals_steady_ms(s);

	return now > KEEP_MS ? zg_store_prune(&s->store, now - KEEP_MS) : 0;
}

void zg_approvals_outcome(struct zg_approvals *s, const char *approval, const char *outcome)
{
	if (zg_store_outcome(&s->store, approval, outcome, ++s->change) < 0)
		zg_log(ZG_LOG_WARN, "what came of %s could not be noted; the log has it", approval);
}
