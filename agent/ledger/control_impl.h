/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control_impl.h - a control client, shared by the files that answer verbs:
 * control.c (connections, definitions, the log) and control_approvals.c. A verb
 * starts by setting what produces its messages, or how it ends.
 */
#ifndef ZG_CONTROL_IMPL_H
#define ZG_CONTROL_IMPL_H

#include "control.h"

/* Put the next message into the client's slot: 1 there is one, 0 nothing now
 * (following), -ENODATA after the last, -errno. */
typedef int zg_ctl_next_fn(struct zg_ctl_client *client);

struct zg_ctl_client {
	struct zg_controls *owner;
	struct zg_ctl_client *next;
	struct zg_ctl_client **link;
	int sock;
	struct event *reads;  /* only to see it go away */
	struct event *writes; /* with a timeout: no room in its socket */
	zg_ctl_next_fn *produce;
	bool waiting; /* follows and has seen all there is */
	bool follow;  /* the log as it grows; of definitions: their texts, too */
	bool all;
	int64_t row;
	struct zg_msg_ctl_pin_show pins; /* which definitions */
	unsigned texts;			 /* of the row: 2 and 1 are still to be sent */
	size_t offset;			 /* in the one that is */
	int log;			 /* open segment */
	struct zg_audit_place place;
	enum zg_msg_type type; /* ZG_MSG_NONE = the slot is empty */
	union {
		struct zg_msg_ctl_approval approval;
		struct zg_msg_ctl_approvals_now now;
		struct zg_msg_ctl_approval_vote vote;
		struct zg_msg_ctl_gate gate;
		struct zg_msg_ctl_audit_line line;
		struct zg_msg_ctl_pin pin;
		struct zg_msg_ctl_pin_text pin_text;
		struct zg_msg_ctl_end end;
	} slot;
};

/* The end of the request, instead of a message. error is an errno, 0 = all is well. */
void zg_ctl_set_end(struct zg_ctl_client *k, int error, const char *what, const char *hint);

/* Verbs of control_approvals.c. */
void zg_ctl_approvals_list(struct zg_ctl_client *k, const struct zg_msg_ctl_handover *h);
void zg_ctl_approval_show(struct zg_ctl_client *k, const struct zg_msg_ctl_handover *h);
void zg_ctl_approval_decide(struct zg_ctl_client *k, const struct zg_msg_ctl_handover *h);

#endif
