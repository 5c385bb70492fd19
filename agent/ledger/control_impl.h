/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control_impl.h - a control client, shared by the files that answer verbs:
 * control.c (connections, definitions, the log), control_approvals.c and
 * control_servers.c. A verb starts by setting what produces its messages, or how it
 * ends.
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
	struct event *reads;  /* to see it go away, or for take */
	struct event *writes; /* with a timeout: no room in its socket */
	zg_ctl_next_fn *produce;
	zg_ctl_next_fn *take; /* reads what the request goes on with; NULL = it is whole */
	bool stranger;	      /* nobody who decides */
	bool waiting;	      /* follows and has seen all there is */
	bool follow;	      /* the log as it grows; of definitions: their texts, too */
	bool all;
	int64_t row;
	uint32_t phase;			 /* of a verb: what comes next */
	uint64_t seen;			 /* of approvals: the changes up to this number */
	char approval[ZG_NAME_LEN];	 /* that is shown */
	struct zg_msg_ctl_pin_show pins; /* which definitions */
	unsigned texts;			 /* of the row: 2 and 1 are still to be sent */
	size_t offset;			 /* in the one that is */
	int log;			 /* open segment */
	struct zg_audit_place place;
	/* servers: control_servers.c */
	struct zg_ctl_peer peer;
	struct zg_msg_ctl_server_submit submit;
	struct zg_buf text; /* that is handed in, or sent */
	char id[ZG_SERVER_LEN];
	unsigned part;	       /* of what is shown of a server */
	int64_t step;	       /* likewise */
	size_t here;	       /* servers without a row that were sent */
	uint64_t change;       /* that is waited for */
	uint64_t until_ms;     /* CLOCK_MONOTONIC */
	enum zg_msg_type type; /* ZG_MSG_NONE = the slot is empty */
	union {
		struct zg_msg_ctl_approval approval;
		struct zg_msg_ctl_approval_rows rows;
		struct zg_msg_ctl_approvals_now now;
		struct zg_msg_ctl_approval_vote vote;
		struct zg_msg_ctl_gate gate;
		struct zg_msg_ctl_audit_line line;
		struct zg_msg_ctl_pin pin;
		struct zg_msg_ctl_pin_text pin_text;
		struct zg_msg_ctl_server server;
		struct zg_msg_ctl_server_text server_text;
		struct zg_msg_ctl_server_step server_step;
		struct zg_msg_ctl_end end;
	} slot;
};

/* The end of the request, instead of a message. error is an errno, 0 = all is well. */
void zg_ctl_set_end(struct zg_ctl_client *k, int error, const char *what, const char *hint);

/* Verbs of control_approvals.c. */
void zg_ctl_approvals_list(struct zg_ctl_client *k, const struct zg_msg_ctl_handover *h);
void zg_ctl_approval_show(struct zg_ctl_client *k, const struct zg_msg_ctl_handover *h);
void zg_ctl_approval_decide(struct zg_ctl_client *k, const struct zg_msg_ctl_handover *h);
/* Verbs of control_servers.c. */
void zg_ctl_servers_list(struct zg_ctl_client *k, const struct zg_msg_ctl_handover *h);
void zg_ctl_server_submit(struct zg_ctl_client *k, const struct zg_msg_ctl_handover *h);
void zg_ctl_server_decide(struct zg_ctl_client *k, const struct zg_msg_ctl_handover *h);
void zg_ctl_gates_list(struct zg_ctl_client *k, const struct zg_msg_ctl_handover *h);
void zg_ctl_gate_lift(struct zg_ctl_client *k, const struct zg_msg_ctl_handover *h);

#endif
