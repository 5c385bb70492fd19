/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control_approvals.c - what people ask about approvals. Trust: as control.c; who
 * may decide is told by the rules in vote.c, and recorded there.
 */
#include "control_impl.h"

#include <errno.h>

#include "ipc.h"

static int next_row(struct zg_ctl_client *k)
{
	struct zg_approval a;
	int rc = zg_store_page(&k->owner->approvals->store, k->row, k->all, &a);

	if (rc < 0)
		return rc == -ENOENT ? -ENODATA : rc;
	k->row = a.row;
	k->slot.approval = a.m;
	memset(k->slot.approval.args_text, 0, sizeof(k->slot.approval.args_text));
	k->type = ZG_MSG_CTL_APPROVAL;
	return 1;
}

void zg_ctl_approvals_list(struct zg_ctl_client *k, const struct zg_msg_ctl_handover *h)
{
	struct zg_msg_ctl_approvals_list m;

	memcpy(&m, h->body, sizeof(m));
	k->all = m.all != 0;
	k->produce = next_row;
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
	k->slot.approval = a.m;
	k->type = ZG_MSG_CTL_APPROVAL;
}

void zg_ctl_approval_decide(struct zg_ctl_client *k, const struct zg_msg_ctl_handover *h)
{
	struct zg_msg_ctl_approval_decide m;
	struct zg_msg_ctl_end end;

	memcpy(&m, h->body, sizeof(m));
	ZG_MSG_TEXT(m.approval);
	ZG_MSG_TEXT(m.reason);
	if (zg_holds_decide(k->owner->holds, &m, &h->peer, &end) < 0) {
		k->slot.end = end;
		k->type = ZG_MSG_CTL_END;
	}
}
