/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control_approvals.c - what people ask about approvals and gates. Trust: as
 * control.c; who may decide is told by the rules in vote.c and gate.c, and
 * recorded there. A list is followed by the numbers of changes in the store, so
 * that a slow reader costs nothing and misses no state that still stands.
 */
#include "control_impl.h"

#include <errno.h>

#include "approval_row.h"
#include "ipc.h"

static void send_row(struct zg_ctl_client *k, const struct zg_approval *a)
{
	k->slot.approval = a->m;
	k->type = ZG_MSG_CTL_APPROVAL;
}

/* Without what only `show` tells. */
static int send_short(struct zg_ctl_client *k, const struct zg_approval *a)
{
	send_row(k, a);
	memset(k->slot.approval.args_text, 0, sizeof(k->slot.approval.args_text));
	memset(k->slot.approval.why, 0, sizeof(k->slot.approval.why));
	return 1;
}

/* --- the list, and what changes in it ---------------------------------------------- */

static void begin_rows(struct zg_ctl_client *k)
{
	k->slot.rows = (struct zg_msg_ctl_approval_rows){0};
	k->type = ZG_MSG_CTL_APPROVAL_ROWS;
}

static bool take_row(void *arg, const struct zg_approval *a)
{
	struct zg_ctl_client *k = arg;

	if (!zg_approval_rows_add(&k->slot.rows, &a->m))
		return false; /* it begins the next message */
	k->row = a->row;
	return true;
}

static bool take_change(void *arg, const struct zg_approval *a)
{
	struct zg_ctl_client *k = arg;

	if (!zg_approval_rows_add(&k->slot.rows, &a->m))
		return false;
	k->seen = a->m.change;
	return true;
}

static int next_changes(struct zg_ctl_client *k)
{
	int rc;

	begin_rows(k);
	rc = zg_store_changed(&k->owner->approvals->store, k->seen, take_change, k);
	if (rc == 0)
		return 1;
	k->type = ZG_MSG_NONE;
	return rc == -ENOENT ? 0 : rc;
}

static int end_of_list(struct zg_ctl_client *k)
{
	if (!k->follow)
		return -ENODATA;
	k->slot.now = (struct zg_msg_ctl_approvals_now){k->owner->approvals->pending};
	k->type = ZG_MSG_CTL_APPROVALS_NOW;
	k->produce = next_changes;
	return 1;
}

static int next_rows(struct zg_ctl_client *k)
{
	struct zg_store *store = &k->owner->approvals->store;
	int rc;

	begin_rows(k);
	if (k->all)
		rc = zg_store_page(store, k->row, take_row, k);
	else
		rc = zg_store_open_page(store, k->row, (enum zg_approval_state)k->phase, take_row,
					k);
	if (rc == 0)
		return 1;
	if (rc == -ENOENT && !k->all && k->phase == ZG_AS_PENDING) {
		k->phase = ZG_AS_APPROVED;
		k->row = 0;
		return next_rows(k);
	}
	k->type = ZG_MSG_NONE;
	return rc == -ENOENT ? end_of_list(k) : rc;
}

void zg_ctl_approvals_list(struct zg_ctl_client *k, const struct zg_msg_ctl_handover *h)
{
	struct zg_msg_ctl_approvals_list m;

	memcpy(&m, h->body, sizeof(m));
	k->all = m.all != 0;
	k->follow = m.follow != 0;
	k->phase = ZG_AS_PENDING;
	k->seen = k->owner->approvals->change;
	k->produce = next_rows;
}

/* --- one, with who said what and what was said before ------------------------------- */

static int next_past(struct zg_ctl_client *k)
{
	struct zg_store *store = &k->owner->approvals->store;
	struct zg_approval shown, a = {0};
	int rc = zg_store_get(store, k->approval, &shown);

	if (rc == 0 && k->phase < ZG_HISTORY_MAX)
		rc = zg_store_past(store, &shown, k->row ? k->row : shown.row, &a);
	else if (rc == 0)
		rc = -ENOENT;
	if (rc < 0)
		return rc == -ENOENT ? -ENODATA : rc;
	k->phase++;
	k->row = a.row;
	return send_short(k, &a);
}

static int next_vote(struct zg_ctl_client *k)
{
	int rc = zg_store_votes(&k->owner->approvals->store, k->approval, &k->row, &k->slot.vote);

	if (rc == 0) {
		k->type = ZG_MSG_CTL_APPROVAL_VOTE;
		return 1;
	}
	if (rc != -ENOENT)
		return rc;
	k->produce = next_past;
	k->row = 0;
	return next_past(k);
}

void zg_ctl_approval_show(struct zg_ctl_client *k, const struct zg_msg_ctl_handover *h)
{
	struct zg_msg_ctl_approval_show m;
	struct zg_approval a;
	int rc;

	memcpy(&m, h->body, sizeof(m));
	ZG_MSG_TEXT(m.approval);
	rc = zg_store_get(&k->owner->approvals->store, m.approval, &a);
	if (rc < 0) {
		zg_ctl_set_end(k, -rc,
			       rc == -ENOENT ? "not_found: there is no such approval"
					     : "storage: the approvals cannot be read",
			       "zerogate approvals list");
		return;
	}
	send_row(k, &a);
	memcpy(k->approval, a.m.approval, sizeof(k->approval));
	k->produce = next_vote;
}

/* --- decisions ---------------------------------------------------------------------- */

void zg_ctl_approval_decide(struct zg_ctl_client *k, const struct zg_msg_ctl_handover *h)
{
	struct zg_msg_ctl_approval_decide m;
	struct zg_msg_ctl_end end;
	struct zg_approval a;

	memcpy(&m, h->body, sizeof(m));
	ZG_MSG_TEXT(m.approval);
	ZG_MSG_TEXT(m.reason);
	if (zg_holds_decide(k->owner->holds, &m, &h->peer, &a, &end) < 0) {
		k->slot.end = end;
		k->type = ZG_MSG_CTL_END;
		return;
	}
	(void)send_short(k, &a);
}

/* --- gates -------------------------------------------------------------------------- */

static int next_gate(struct zg_ctl_client *k)
{
	int rc;

	if (k->phase == ZG_GATES)
		return -ENODATA;
	rc = zg_gates_get(&k->owner->approvals->gates, (enum zg_gate)k->phase, &k->slot.gate);
	if (rc < 0)
		return rc;
	k->phase++;
	k->type = ZG_MSG_CTL_GATE;
	return 1;
}

void zg_ctl_gates_list(struct zg_ctl_client *k, const struct zg_msg_ctl_handover *h)
{
	if (h->peer.governed)
		zg_ctl_set_end(k, EPERM, "not_authorised: not for a process in a governed cgroup",
			       "ask from a session outside");
	else
		k->produce = next_gate;
}

void zg_ctl_gate_lift(struct zg_ctl_client *k, const struct zg_msg_ctl_handover *h)
{
	struct zg_msg_ctl_gate_lift m;
	struct zg_msg_ctl_end end;

	memcpy(&m, h->body, sizeof(m));
	ZG_MSG_TEXT(m.reason);
	if (zg_gates_lift(&k->owner->approvals->gates, &m, &h->peer, &end) < 0) {
		k->slot.end = end;
		k->type = ZG_MSG_CTL_END;
	}
}
