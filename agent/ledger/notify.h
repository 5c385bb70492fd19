/* SPDX-License-Identifier: Apache-2.0 */
/*
 * notify.h - people are told of what waits for them (zerogate.yaml(5), notify): the
 * queue of events, a table of its own in approvals.db. An event is stored in the
 * transaction that it tells of, so that a crash loses none that happened and tells of
 * none that did not; it is forgotten when it was delivered or given up. Until then it
 * has one delivery id, by which a receiver knows it again.
 *
 * The parent starts the command, once an event; a gateway posts to the webhook, again
 * after a while if that fails. Neither changes a decision: what cannot be stored or
 * delivered is logged, counted and recorded (notify.fail).
 *
 * An event says what an approver's list says, and never an argument's value.
 */
#ifndef ZG_NOTIFY_H
#define ZG_NOTIFY_H

#include "approval.h"

enum zg_notify_way { ZG_NW_COMMAND = 0, ZG_NW_WEBHOOK, ZG_NW_MAX };

#define ZG_NOTIFY_NO_LINK UINT32_MAX

/* Hand m over, without waiting: 0, or -errno while nobody takes it. *link: which
 * gateway did. */
typedef int zg_notify_send_fn(void *arg, enum zg_notify_way way, const struct zg_msg_notify *m,
			      uint32_t *link);

struct zg_notify_flight { /* handed over and not answered */
	int64_t row;	  /* 0 = free */
	uint32_t tries;	  /* before this one */
	uint32_t link;
	uint64_t until_ms; /* then the answer is lost */
	char delivery[ZG_NAME_LEN];
	char approval[ZG_NAME_LEN];
};

struct zg_notify_failures { /* since the last record of them */
	uint64_t count;
	uint64_t told_ms;
	uint32_t status;
	char approval[ZG_NAME_LEN];
	char what[ZG_REASON_LEN];
};

struct zg_notify {
	struct zg_store *store;
	struct zg_trail *trail;
	struct sqlite3_stmt *insert, *count, *drop, *next[ZG_NW_MAX], *done[ZG_NW_MAX], *later,
		*sweep;
	zg_notify_send_fn *send;
	void *arg;
	uint32_t events; /* bits of enum zg_notify_event; 0 = nobody is told */
	bool on[ZG_NW_MAX];
	uint64_t patience_ms[ZG_NW_MAX];
	uint64_t dropping; /* in the transaction that is open */
	struct zg_notify_flight flight[ZG_NW_MAX][ZG_NOTIFY_AT_ONCE];
	struct zg_notify_failures failed[ZG_NW_MAX + 1]; /* the last: dropped */
	char host[ZG_HOST_LEN];
};

/* The store must outlive it. */
int zg_notify_open(struct zg_notify *n, struct zg_store *store, struct zg_trail *trail,
		   zg_notify_send_fn *send, void *arg, struct zg_err *e) ZG_MUST_CHECK;
void zg_notify_close(struct zg_notify *n);

/* What is configured now; what waits for a way that is no more is forgotten. */
void zg_notify_settings(struct zg_notify *n, const struct zg_notify_def *def);

/* Within the transaction that these records tell of, after its rows are written: keep
 * those that somebody is to hear of. Then how it ended. */
void zg_notify_note(struct zg_notify *n, const struct zg_record *records, size_t count);
void zg_notify_noted(struct zg_notify *n, bool committed);

/* Hand over what is due; now_ms is of CLOCK_MONOTONIC. */
void zg_notify_run(struct zg_notify *n, uint64_t now_ms);
/* An answer; link: of the gateway that gives it. */
void zg_notify_done(struct zg_notify *n, enum zg_notify_way way, uint32_t link,
		    struct zg_msg_notify_done *m, uint64_t now_ms);
/* That gateway is gone: what it had is another's. */
void zg_notify_link_gone(struct zg_notify *n, uint32_t link);

/* Of the try with that number, counted from 1: how long until the next; 0 = none. */
uint64_t zg_notify_backoff_ms(uint32_t tries);

#endif
