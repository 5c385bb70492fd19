/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hold.h - the links to the gateway workers, and calls that wait for a person:
 * one waiter per waiting call. Questions about definitions and limits come here, too. A waiter
 * lives as long as its gateway's connection; the approval it waits for outlives both.
 */
#ifndef ZG_HOLD_H
#define ZG_HOLD_H

#include "approval.h"
#include "notify.h"
#include "pin.h"
#include "quotas.h"
#include "token.h"

struct event;
struct event_base;
struct zg_holds;

#define ZG_HOLD_QUEUE_MAX 1024 /* answers to one gateway that does not read; then it is dropped */

struct zg_hold_answer {
	enum zg_msg_type type;
	union {
		struct zg_msg_hold_state hold;
		struct zg_msg_pin_state pin;
		struct zg_msg_quota_told quota;
	} body;
};

struct zg_hold_link {
	struct zg_holds *owner;
	int sock; /* -1 = no such worker now */
	struct event *reads;
	struct event *writes;
	struct zg_hold_answer *queue; /* answers its socket had no room for */
	size_t queued;
	struct zg_buf text; /* of the definition that it is telling of */
	uint8_t sha256[32]; /* its digest */
};

struct zg_waiter {
	uint32_t link;
	uint64_t call;
	uint64_t cgroup_id;
	char approval[ZG_NAME_LEN];
};

/* A question about limits waits until what was said before it has been heard,
 * by whichever worker: a call that is over gives its room to the next. */
struct zg_quota_question {
	uint32_t link;
	struct zg_msg_quota_ask ask;
};

struct zg_holds {
	struct event_base *base;
	struct zg_approvals *approvals;
	struct zg_tokens *tokens; /* NULL: every token is refused */
	struct zg_pins *pins;	  /* NULL: every definition is withheld */
	struct zg_notify *notify; /* NULL: no gateway has a say in it */
	uint32_t turn;		  /* which of them posts next */
	struct zg_quotas quotas;
	struct zg_quota_question *questions;
	size_t question_count;
	struct zg_hold_link link[ZG_LINK_PARENT + 1];
	struct zg_waiter *waiters; /* oldest first */
	size_t count;
	struct event *again;   /* more is due than was voided at once */
	struct event *changed; /* made active when an approval changed; NULL: nobody follows */
	uint64_t told;	       /* up to this change */
};

int zg_holds_init(struct zg_holds *h, struct event_base *base,
		  struct zg_approvals *approvals) ZG_MUST_CHECK;
void zg_holds_release(struct zg_holds *h);

/* A worker's socket, which is taken; its predecessor and its waiters are gone. */
int zg_holds_link(struct zg_holds *h, uint32_t worker, int sock) ZG_MUST_CHECK;

/* A person decides; whoever waits is told. As zg_approvals_decide. */
int zg_holds_decide(struct zg_holds *h, const struct zg_msg_ctl_approval_decide *d,
		    const struct zg_ctl_peer *peer, struct zg_approval *out,
		    struct zg_msg_ctl_end *end) ZG_MUST_CHECK;

/* A person accepts a definition; all gateways are told. As zg_pins_trust. */
int zg_holds_trust(struct zg_holds *h, const struct zg_msg_ctl_pin_trust *t,
		   const struct zg_ctl_peer *peer, struct zg_msg_ctl_end *end) ZG_MUST_CHECK;

/* To any gateway that takes it: 0 and which, or -ENOTCONN. */
int zg_holds_post(struct zg_holds *h, const struct zg_msg_notify *m, uint32_t *link) ZG_MUST_CHECK;

/* Void what is due, tell whoever waits. */
void zg_holds_tick(struct zg_holds *h);

#endif
