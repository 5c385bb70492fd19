/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vote.c - people decide on what waits (approval.h). Trust: who decides is the
 * kernel's word, passed on by the parent; what they say is their reason and no
 * more. Every attempt is recorded, also one that comes to nothing.
 */
#include <errno.h>

#include "approval_impl.h"
#include "log.h"

static const struct {
	const char *text, *hint;
} conflicts[ZG_CONFLICT_MAX] = {
#define X(NAME, text, hint) [ZG_CONFLICT_##NAME] = {text, hint},
#include "tbl/conflict.h"
#undef X
};

const char *zg_approval_conflict(enum zg_conflict which)
{
	return which > ZG_CONFLICT_NONE && which < ZG_CONFLICT_MAX ? conflicts[which].text : "";
}

const char *zg_approval_conflict_hint(enum zg_conflict which)
{
	return which > ZG_CONFLICT_NONE && which < ZG_CONFLICT_MAX ? conflicts[which].hint : "";
}

static int no(struct zg_msg_ctl_end *end, int error, const char *what, const char *hint)
{
	*end = (struct zg_msg_ctl_end){.error = -error, .exit = 1};
	(void)zg_str_cut(end->what, sizeof(end->what), zg_slice_str(what));
	(void)zg_str_cut(end->hint, sizeof(end->hint), zg_slice_str(hint));
	return -error;
}

/* The first word is the conflict's text. */
static int conflict(struct zg_msg_ctl_end *end, enum zg_conflict which, int error, const char *said)
{
	char what[ZG_REASON_LEN];

	(void)snprintf(what, sizeof(what), "%s: %s", zg_approval_conflict(which), said);
	(void)no(end, error, what, zg_approval_conflict_hint(which));
	end->conflict = which;
	return -error;
}

/* An attempt that came to nothing; if even that cannot be written, the answer
 * to the person is the same. */
static void tell_refusal(struct zg_approvals *s, const struct zg_approval *a,
			 const struct zg_ctl_peer *peer, const struct zg_msg_ctl_end *end)
{
	struct zg_record r;

	zg_approvals_describe(&r, ZG_RK_APPROVAL_REFUSE, a, "was not decided");
	zg_record_str(&r, ZG_RF_reason, zg_slice_str(end->what));
	if (end->conflict)
		zg_record_str(&r, ZG_RF_conflict,
			      zg_slice_str(zg_approval_conflict((enum zg_conflict)end->conflict)));
	ZG_REC_NUM(&r, approver_uid, peer->uid);
	ZG_REC_NUM(&r, approver_pid, peer->pid);
	if (zg_trail_emit(s->trail, &r, 1) < 0)
		zg_log(ZG_LOG_ERR, "a refused decision on %s could not be recorded", a->m.approval);
}

static int authorised(const struct zg_msg_ctl_approval_decide *d, const struct zg_ctl_peer *peer,
		      struct zg_msg_ctl_end *end)
{
	uint32_t role = d->break_glass ? ZG_ROLE_BREAK_GLASS : ZG_ROLE_APPROVER;

	if (peer->governed)
		return conflict(end, ZG_CONFLICT_NOT_AUTHORISED, EPERM,
				"a process in a governed cgroup cannot decide");
	if (!(peer->roles & role))
		return conflict(end, ZG_CONFLICT_NOT_AUTHORISED, EPERM,
				d->break_glass ? "only root and the break-glass group decide alone"
					       : "only root and the approvers' group decide");
	return 0;
}

/* Is the tool what it was? Who cannot tell says no. */
static bool tool_changed(struct zg_approvals *s, const struct zg_approval *a)
{
	static const uint8_t none[32] = {0};
	struct zg_pin pin;
	int rc;

	if (!s->pins || memcmp(a->m.definition_sha256, none, sizeof(none)) == 0)
		return false; /* it was never bound to one */
	rc = zg_pins_get(s->pins, a->m.server, ZG_PIN_TOOL, a->m.tool, &pin);
	return rc < 0 || memcmp(pin.m.pinned_sha256, a->m.definition_sha256, sizeof(none)) != 0 ||
	       memcmp(pin.m.seen_sha256, a->m.definition_sha256, sizeof(none)) != 0;
}

/* Is there still something to decide, for this person? */
static int can_be_decided(struct zg_approvals *s, const struct zg_approval *a,
			  const struct zg_msg_ctl_approval_decide *d,
			  const struct zg_ctl_peer *peer, struct zg_msg_ctl_end *end)
{
	uint64_t before = 0;
	int rc;

	if (peer->uid == a->m.principal.uid)
		return conflict(end, ZG_CONFLICT_SELF_APPROVAL, EPERM,
				"the user who asked cannot decide");
	switch ((enum zg_approval_state)a->m.state) {
	case ZG_AS_APPROVED:
	case ZG_AS_DENIED:
		return conflict(end, ZG_CONFLICT_ALREADY_DECIDED, EALREADY,
				"somebody decided before");
	case ZG_AS_CONSUMED:
		return conflict(end, ZG_CONFLICT_CONSUMED, EALREADY,
				"it was approved and has been used");
	case ZG_AS_EXPIRED:
		if (strcmp(a->m.reason, "policy_changed") != 0)
			return conflict(end, ZG_CONFLICT_EXPIRED, ETIME, "it is void");
		return conflict(end, ZG_CONFLICT_POLICY_CHANGED, ESTALE,
				"the policy it was asked under is gone");
	case ZG_AS_PENDING:
		break;
	}
	rc = zg_store_voted(&s->store, a->m.approval, peer->uid, d->approve != 0, &before);
	if (rc < 0)
		return no(end, -rc, "storage: the approvals cannot be read", "");
	if (before && !d->break_glass)
		return conflict(end, ZG_CONFLICT_ALREADY_DECIDED, EALREADY,
				"you have agreed; others have to as well");
	if (a->m.expires_ms <= zg_approvals_steady_ms(s))
		return conflict(end, ZG_CONFLICT_EXPIRED, ETIME, "it was not decided in time");
	if (d->approve && tool_changed(s, a))
		return conflict(end, ZG_CONFLICT_TOOL_CHANGED, ESTALE,
				"the server shows another definition of the tool now");
	if (memcmp(a->m.snapshot, s->snapshot, sizeof(s->snapshot)) != 0)
		return conflict(end, ZG_CONFLICT_POLICY_CHANGED, ESTALE,
				"the policy it was asked under is gone");
	if (d->break_glass && (!d->approve || !d->reason[0]))
		return no(end, EINVAL, "breaking the glass is to approve, with a reason",
			  "zerogate approvals approve ID --break-glass --reason TEXT");
	return 0;
}

/* --- deciding -------------------------------------------------------------------- */

/* Do two lists of tags, by comma, have one in common? */
static bool share_a_tag(const char *a, const char *b)
{
	while (*a) {
		size_t n = strcspn(a, ",");

		for (const char *at = b; n && *at;) {
			size_t m = strcspn(at, ",");

			if (m == n && memcmp(a, at, n) == 0)
				return true;
			at += m + (at[m] == ',');
		}
		a += n + (a[n] == ',');
	}
	return false;
}

/* One person alone let a write through that is of high risk. Tags that were cut may
 * have held one. */
static bool trips(const struct zg_approvals *s, const struct zg_approval *a, uint64_t others)
{
	bool cut = strlen(a->m.risk_tags) >= sizeof(a->m.risk_tags) - 1;

	return !others && a->m.action == 0 &&
	       (cut || share_a_tag(a->m.risk_tags, s->high_risk_tags));
}

static enum zg_record_kind kind_of(const struct zg_msg_ctl_approval_decide *d, bool enough)
{
	if (!d->approve)
		return ZG_RK_APPROVAL_DENY;
	if (d->break_glass)
		return ZG_RK_APPROVAL_BREAK_GLASS;
	return enough ? ZG_RK_APPROVAL_APPROVE : ZG_RK_APPROVAL_VOTE;
}

/* The rows of one decision, in the caller's transaction. */
static int store(struct zg_approvals *s, const struct zg_msg_ctl_approval_decide *d,
		 const struct zg_ctl_peer *peer, bool trip, bool again, struct zg_approval *a)
{
	struct zg_msg_ctl_approval_vote v = {.uid = peer->uid,
					     .pid = peer->pid,
					     .approve = d->approve,
					     .break_glass = d->break_glass,
					     .time_ms = zg_approvals_wall_ms()};
	int rc = 0;

	memcpy(v.reason, d->reason, sizeof(v.reason));
	if (!again)
		rc = zg_store_vote(&s->store, a->m.approval, &v);
	if (rc == 0)
		rc = zg_approvals_set(s, a, ZG_AS_PENDING);
	if (rc == 0 && trip)
		rc = zg_gates_trip(&s->gates, ZG_GATE_GOVERNANCE, peer->uid, a->m.approval,
				   d->reason);
	return rc;
}

static void become(struct zg_approval *a, const struct zg_msg_ctl_approval_decide *d,
		   const struct zg_ctl_peer *peer, bool enough, bool used)
{
	if (!d->approve)
		a->m.state = ZG_AS_DENIED;
	else if (enough)
		a->m.state = used ? ZG_AS_CONSUMED : ZG_AS_APPROVED;
	a->m.break_glass = d->break_glass;
	a->m.approver_uid = peer->uid;
	a->approver_pid = peer->pid;
	(void)zg_str_cut(a->m.reason, sizeof(a->m.reason), zg_slice_str(d->reason));
	if (a->m.state != ZG_AS_PENDING)
		a->m.decided_ms = zg_approvals_wall_ms();
}

static int decide(struct zg_approvals *s, const struct zg_msg_ctl_approval_decide *d,
		  const struct zg_ctl_peer *peer, bool waiting, struct zg_approval *a)
{
	struct zg_record r[3];
	uint64_t again = 0; /* who agreed before may still break the glass */
	bool enough, trip;
	size_t n = 0;
	int rc = zg_store_voted(&s->store, a->m.approval, peer->uid, d->approve != 0, &again);

	if (rc < 0)
		return rc;
	trip = d->break_glass && trips(s, a, a->m.agreed - again);
	a->m.agreed += d->approve && !again;
	enough = d->approve && (d->break_glass || a->m.agreed >= a->m.approvers);
	become(a, d, peer, enough, waiting);
	zg_approvals_describe(&r[n], kind_of(d, enough), a,
			      !d->approve      ? "was denied"
			      : d->break_glass ? "was approved by one person alone"
			      : enough	       ? "was approved"
					       : "is agreed to; others have to as well");
	if (!a->m.decided_ms) {
		ZG_REC_NUM(&r[n], approver_uid, peer->uid);
		ZG_REC_NUM(&r[n], approver_pid, peer->pid);
	}
	n++;
	if (trip) {
		zg_gate_record(&r[n], ZG_RK_GATE_TRIP, ZG_GATE_GOVERNANCE, peer, d->reason);
		zg_record_str(&r[n++], ZG_RF_approval, zg_slice_str(a->m.approval));
	}
	if (a->m.state == ZG_AS_CONSUMED)
		zg_approvals_describe(&r[n++], ZG_RK_APPROVAL_CONSUME, a, "is executed now");
	rc = zg_store_begin(&s->store);
	if (rc < 0)
		return rc;
	rc = store(s, d, peer, trip, again != 0, a);
	if (rc < 0) {
		zg_store_rollback(&s->store);
		return rc;
	}
	rc = zg_approvals_conclude(s, r, n);
	if (rc == 0 && a->m.state != ZG_AS_PENDING)
		s->pending--;
	return rc;
}

int zg_approvals_decide(struct zg_approvals *s, const struct zg_msg_ctl_approval_decide *d,
			const struct zg_ctl_peer *peer, bool waiting, struct zg_approval *out,
			struct zg_msg_ctl_end *end)
{
	struct zg_approval a = {0};
	int rc = zg_store_get(&s->store, d->approval, &a), allowed = authorised(d, peer, end);

	/* nor does a stranger learn which ids exist */
	if (rc == -ENOENT && allowed == 0)
		return no(end, ENOENT, "not_found: there is no such approval",
			  "zerogate approvals list");
	if (rc == -ENOENT)
		return allowed;
	if (rc < 0)
		return no(end, -rc, "storage: the approvals cannot be read", "");
	rc = allowed < 0 ? allowed : can_be_decided(s, &a, d, peer, end);
	if (rc < 0) {
		tell_refusal(s, &a, peer, end);
		return rc;
	}
	rc = decide(s, d, peer, waiting, &a);
	if (rc < 0)
		return no(end, -rc, "storage: the decision could not be stored and does not hold",
			  "see zerogate status; is the disk full?");
	*out = a;
	return 0;
}
