/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry.c - see servers.h: who may take which step, and what it comes to.
 * Trust: an entry, its owner and all texts are what a person handed in; who that
 * is, and of which groups, is the kernel's word by way of the parent. Never reads
 * an entry.
 */
#include <errno.h>

#include "servers_impl.h"

/* who ---------------------------------------------------------------------------- */

bool zg_step_owns(const struct zg_servers *s, const struct zg_ctl_peer *peer, const char *owner)
{
	if (peer->uid == 0)
		return true;
	for (uint32_t i = 0; i < s->owner_count; i++)
		if (strcmp(s->owner[i].name, owner) == 0)
			return peer->owners >> i & 1;
	return false;
}

static bool secures(const struct zg_ctl_peer *peer)
{
	return peer->uid == 0 || (peer->roles & ZG_ROLE_SECURITY) != 0;
}

static const char *role_of(const struct zg_servers *s, const struct zg_ctl_peer *peer,
			   const char *owner)
{
	if (peer->roles & ZG_ROLE_SECURITY && peer->uid != 0)
		return "security";
	if (peer->uid == 0)
		return "root";
	return zg_step_owns(s, peer, owner) ? "owner" : "approver";
}

int zg_step_governed(struct zg_msg_ctl_end *end)
{
	return zg_step_no(end, EPERM, zg_step_conflict[ZG_CONFLICT_NOT_AUTHORISED].text,
			  "ask from a session outside governed cgroups",
			  "a process in a governed cgroup has no say over servers");
}

/* approve -------------------------------------------------------------------------- */

static int approve(struct zg_servers *s, struct zg_server_row *row,
		   const struct zg_msg_ctl_server_decide *m, const struct zg_ctl_peer *peer,
		   struct zg_step *st, struct zg_msg_ctl_end *end)
{
	struct zg_server_entry *e = &row->next;
	const bool as_security = m->security != 2 && secures(peer);
	const bool as_owner = m->security != 1 && zg_step_owns(s, peer, e->owner);

	if (!as_security && !as_owner)
		return zg_step_no(
			end, EPERM, CONFLICT(NOT_AUTHORISED),
			"an approval comes from the security group, the other from the owner's "
			"group");
	if (e->security_uid == peer->uid || e->owner_uid == peer->uid)
		return zg_step_no(end, EPERM, CONFLICT(SELF_APPROVAL),
				  "you have given one of the two approvals");
	if (as_security && e->security_uid == UINT32_MAX && peer->uid != e->submitter_uid) {
		e->security_uid = peer->uid;
		st->acted_as = "security";
	} else if (as_owner && e->owner_uid == UINT32_MAX) {
		e->owner_uid = peer->uid;
		st->acted_as = "owner";
	} else if (as_security && e->security_uid == UINT32_MAX) {
		return zg_step_no(end, EPERM, CONFLICT(SELF_APPROVAL),
				  "who submits a server does not give its security approval");
	} else {
		return zg_step_no(
			end, EALREADY, CONFLICT(ALREADY_DECIDED),
			"that approval was given by somebody else; the other one is missing");
	}
	if (e->security_uid != UINT32_MAX && e->owner_uid != UINT32_MAX)
		row->pending = ZG_SP_APPROVED;
	st->what = row->pending == ZG_SP_APPROVED ? "is approved by two people"
						  : "is approved by one of two people";
	return 0;
}

static int check_approve(struct zg_servers *s, struct zg_server_row *row,
			 const struct zg_msg_ctl_server_decide *m, const struct zg_ctl_peer *peer,
			 struct zg_step *st, struct zg_msg_ctl_end *end)
{
	int rc;

	st->of = &row->next;
	if (row->pending == ZG_SP_NONE)
		return zg_step_no(end, ENOENT, "not_found", "zerogate servers list",
				  "nothing is submitted under this id");
	rc = row->pending == ZG_SP_SUBMITTED ? approve(s, row, m, peer, st, end) : 0;
	if (rc < 0)
		return rc;
	if (st->acted_as[0] == '\0' && !row->problem[0])
		return zg_step_no(end, EALREADY, CONFLICT(ALREADY_DECIDED),
				  "two people approved it");
	if (st->acted_as[0] == '\0' && !secures(peer) && !zg_step_owns(s, peer, row->next.owner))
		return zg_step_no(end, EPERM, CONFLICT(NOT_AUTHORISED),
				  "only security and its owner try again");
	if (memcmp(row->next.sha256, m->sha256, sizeof(m->sha256)) != 0)
		return zg_step_no(end, ESTALE, CONFLICT(ENTRY_CHANGED),
				  "another entry was submitted since");
	if (st->acted_as[0] == '\0') {
		st->acted_as = secures(peer) ? "security" : "owner";
		st->what = "is tried once more";
	}
	row->problem[0] = '\0';
	return 0;
}

/* suspend, resume, revoke: approvals that were given before do not outlive a stop --- */

static int check_stop(struct zg_servers *s, struct zg_server_row *row,
		      const struct zg_msg_ctl_server_decide *m, const struct zg_ctl_peer *peer,
		      struct zg_step *st, struct zg_msg_ctl_end *end)
{
	const char *owner = row->live.owner[0] ? row->live.owner : row->next.owner;
	const bool revoke = m->verb == ZG_SV_REVOKE;

	if (!peer->roles && !secures(peer) && !zg_step_owns(s, peer, owner))
		return zg_step_no(end, EPERM, CONFLICT(NOT_AUTHORISED),
				  "only approvers, security and its owner stop a server");
	if (row->state == ZG_SS_REVOKED || (!revoke && row->state == ZG_SS_SUSPENDED))
		return zg_step_no(end, EALREADY, CONFLICT(ALREADY_DECIDED),
				  row->state == ZG_SS_REVOKED ? "it is revoked"
							      : "it is suspended");
	if (!revoke && row->state == ZG_SS_NONE && !zg_servers_here(s, row->id))
		return zg_step_no(end, ENOENT, "not_found",
				  "zerogate servers revoke drops a submission", "it is not live");
	st->acted_as = role_of(s, peer, owner);
	row->state = revoke ? ZG_SS_REVOKED : ZG_SS_SUSPENDED;
	row->resuming = 0;
	row->problem[0] = '\0';
	if (revoke) {
		if (!zg_entry_there(&row->live)) /* remembered: its file does not submit it again */
			row->live = row->next;
		row->pending = ZG_SP_NONE;
		row->next = zg_entry_none;
	} else if (row->pending != ZG_SP_NONE) { /* it does not go live behind the suspension */
		row->pending = ZG_SP_SUBMITTED;
		row->next.security_uid = UINT32_MAX;
		row->next.owner_uid = UINT32_MAX;
	}
	st->what = revoke ? "is revoked" : "is suspended";
	return 0;
}

static int check_resume(struct zg_servers *s, struct zg_server_row *row,
			const struct zg_ctl_peer *peer, struct zg_step *st,
			struct zg_msg_ctl_end *end)
{
	if (!secures(peer) && !zg_step_owns(s, peer, row->live.owner))
		return zg_step_no(end, EPERM, CONFLICT(NOT_AUTHORISED),
				  "only security and its owner resume a server");
	if (row->state != ZG_SS_SUSPENDED || row->resuming)
		return zg_step_no(end, EALREADY, CONFLICT(ALREADY_DECIDED), "it is not suspended");
	st->acted_as = role_of(s, peer, row->live.owner);
	row->resuming = 1;
	row->problem[0] = '\0';
	st->what = "is resumed";
	return 0;
}

static int find(struct zg_servers *s, const struct zg_msg_ctl_server_decide *m,
		struct zg_server_row *row, struct zg_msg_ctl_end *end)
{
	const struct zg_server_here *here = zg_servers_here(s, m->id);
	int rc = zg_servers_get(s, m->id, row);

	if (rc == -ENOENT && here) {
		*row = (struct zg_server_row){.live = zg_entry_none, .next = zg_entry_none};
		memcpy(row->id, here->shown.id, sizeof(row->id));
		rc = 0;
	}
	if (rc == -ENOENT)
		return zg_step_no(end, ENOENT, "not_found", "zerogate servers list",
				  "there is no such server");
	return rc < 0 ? zg_step_no(end, -rc, "storage", "", "the servers cannot be read") : 0;
}

static int check(struct zg_servers *s, struct zg_server_row *row,
		 const struct zg_msg_ctl_server_decide *m, const struct zg_ctl_peer *peer,
		 struct zg_step *st, struct zg_msg_ctl_end *end)
{
	int rc = peer->governed ? zg_step_governed(end) : zg_step_needs_reason(m->reason, end);

	if (rc == 0)
		rc = find(s, m, row, end);
	if (rc < 0)
		return rc;
	st->of = &row->live;
	switch (m->verb) {
	case ZG_SV_APPROVE:
		return check_approve(s, row, m, peer, st, end);
	case ZG_SV_SUSPEND:
	case ZG_SV_REVOKE:
		return check_stop(s, row, m, peer, st, end);
	case ZG_SV_RESUME:
		return check_resume(s, row, peer, st, end);
	default: /* a number from a message */
		return zg_step_no(end, EINVAL, "invalid", "", "there is no such step");
	}
}

static enum zg_record_kind kind_of(uint32_t verb)
{
	return verb == ZG_SV_SUSPEND  ? ZG_RK_SERVER_SUSPEND
	       : verb == ZG_SV_RESUME ? ZG_RK_SERVER_RESUME
	       : verb == ZG_SV_REVOKE ? ZG_RK_SERVER_REVOKE
				      : ZG_RK_SERVER_APPROVE;
}

int zg_servers_decide(struct zg_servers *s, const struct zg_msg_ctl_server_decide *m,
		      const struct zg_ctl_peer *peer, uint64_t *wait, struct zg_msg_ctl_end *end)
{
	struct zg_server_row row = {.live = zg_entry_none, .next = zg_entry_none};
	struct zg_step st = {.kind = kind_of(m->verb),
			     .acted_as = "",
			     .uid = peer->uid,
			     .pid = peer->pid,
			     .reason = m->reason,
			     .of = &row.live};
	int rc = check(s, &row, m, peer, &st, end);

	*wait = 0;
	if (rc < 0)
		return zg_step_refuse(s, m->id, st, end);
	rc = zg_step_conclude(s, &row, &st, ALONE, ZG_SLICE(""));
	if (rc < 0)
		return zg_step_no(end, -rc, "storage", "see zerogate status; is the disk full?",
				  "it could not be stored and does not hold");
	if (m->verb == ZG_SV_APPROVE && row.pending != ZG_SP_APPROVED)
		return 0;
	if ((m->verb == ZG_SV_REVOKE || m->verb == ZG_SV_SUSPEND) && zg_step_on_trial(s, &row) &&
	    zg_servers_end_trial(s) < 0)
		s->unsynced = true;
	zg_step_mirror(s, &row);
	*wait = s->change;
	return 0;
}
