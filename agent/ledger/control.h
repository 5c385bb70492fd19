/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control.h - the verbs of the control socket that the ledger answers. The
 * parent accepted the connection, attested the peer and handed both over with
 * the first request; a connection carries one request.
 */
#ifndef ZG_CONTROL_H
#define ZG_CONTROL_H

#include "hold.h"

struct zg_ctl_client;
struct zg_servers;

struct zg_controls {
	struct event_base *base;
	struct zg_trail *trail;
	struct zg_approvals *approvals;
	struct zg_holds *holds;
	struct zg_servers *servers;
	void (*changed)(void *arg); /* a step of a server is to be in force */
	void *changed_arg;
	struct zg_ctl_client *clients;
	size_t count;
	size_t strangers; /* of them: without a role, or governed */
};

void zg_controls_init(struct zg_controls *c, struct event_base *base, struct zg_trail *trail,
		      struct zg_approvals *approvals, struct zg_holds *holds);
void zg_controls_release(struct zg_controls *c);

/* Answer a handed-over request on sock, which is taken. */
void zg_controls_accept(struct zg_controls *c, const struct zg_msg_ctl_handover *h, int sock);

/* Records were written: those who follow the log get them. */
void zg_controls_wake(struct zg_controls *c);

#endif
