/* SPDX-License-Identifier: Apache-2.0 */
/*
 * approval.h - who asked, who decided, and whether it was used: one SQLite
 * file, approvals.db (WAL, synchronous=FULL), in the ledger's folder.
 *
 * As many different people as the policy says must agree; one no is no. One who may
 * break the glass is enough alone, and trips a gate where that is of high risk.
 *
 * An approval is bound to one exact call (zg_msg_hold.binding). It goes
 * pending -> approved | denied | expired, approved -> consumed | expired, and
 * never back. Each step is one transaction; its audit record is on disk before
 * the transaction is, so that nothing is ever in force without evidence; and
 * "consumed" is on disk before anybody is told to execute. A crash between two
 * of these steps can lose an approval, never use it twice; the record of a step that
 * was lost so is taken back by the next start, with approval.refuse.
 */
#ifndef ZG_APPROVAL_H
#define ZG_APPROVAL_H

#include "gate.h"
#include "pin.h"
#include "trail.h"

struct sqlite3;
struct sqlite3_stmt;
struct zg_notify;

struct zg_approval {
	struct zg_msg_ctl_approval m;
	uint8_t binding[32];
	uint32_t approver_pid;
	/* of a call that asks, never stored: why it does not find another one */
	uint32_t conflict; /* enum zg_conflict */
	char other[ZG_NAME_LEN];
	uint32_t for_sec; /* that a connection is granted for; never stored */
	int64_t row;
};

enum zg_store_statement {
	ZG_ST_BEGIN = 0,
	ZG_ST_COMMIT,
	ZG_ST_ROLLBACK,
	ZG_ST_INSERT,
	ZG_ST_GET,
	ZG_ST_LIVE,
	ZG_ST_USABLE,
	ZG_ST_DUE,
	ZG_ST_STALE,
	ZG_ST_PAGE,
	ZG_ST_OPEN,
	ZG_ST_CHANGED,
	ZG_ST_PAST,
	ZG_ST_SAME,
	ZG_ST_NEAR,
	ZG_ST_SET,
	ZG_ST_OUTCOME,
	ZG_ST_PENDING,
	ZG_ST_ASKED,
	ZG_ST_CHANGE,
	ZG_ST_PRUNE,
	ZG_ST_VOTE,
	ZG_ST_VOTES,
	ZG_ST_VOTED,
	ZG_ST_MAX
};

struct zg_store {
	struct sqlite3 *db;
	struct sqlite3_stmt *statement[ZG_ST_MAX];
};

/* store.c: rows. path is used as it stands, relative to the working folder, so
 * that no part of the way to it has to be readable. -ENOENT = no such row. */
int zg_store_open(struct zg_store *s, const char *path, struct zg_err *e) ZG_MUST_CHECK;
void zg_store_close(struct zg_store *s);
int zg_store_begin(struct zg_store *s) ZG_MUST_CHECK;
int zg_store_commit(struct zg_store *s) ZG_MUST_CHECK; /* rolls back if it fails */
void zg_store_rollback(struct zg_store *s);
int zg_store_insert(struct zg_store *s, const struct zg_approval *a) ZG_MUST_CHECK;
int zg_store_get(struct zg_store *s, const char *id, struct zg_approval *out) ZG_MUST_CHECK;
/* the newest pending, approved or denied one of a binding that lives at now */
int zg_store_live(struct zg_store *s, const uint8_t binding[32], uint64_t now,
		  struct zg_approval *out) ZG_MUST_CHECK;
/* the pending or approved one of a binding, also if it is due */
int zg_store_usable(struct zg_store *s, const uint8_t binding[32],
		    struct zg_approval *out) ZG_MUST_CHECK;
/* any pending or approved one that is due at now, or bound to another snapshot */
int zg_store_due(struct zg_store *s, uint64_t now, struct zg_approval *out) ZG_MUST_CHECK;
int zg_store_stale(struct zg_store *s, const uint8_t snapshot[32],
		   struct zg_approval *out) ZG_MUST_CHECK;
/* Those after a row number, of all or in one state, or after a number of change; without
 * `why` and `args_text`. The first that is not taken ends it; the store is not written
 * meanwhile. -ENOENT: there was none. */
typedef bool zg_store_take_fn(void *arg, const struct zg_approval *a);
int zg_store_page(struct zg_store *s, int64_t after, zg_store_take_fn *take,
		  void *arg) ZG_MUST_CHECK;
int zg_store_open_page(struct zg_store *s, int64_t after, enum zg_approval_state state,
		       zg_store_take_fn *take, void *arg) ZG_MUST_CHECK;
int zg_store_changed(struct zg_store *s, uint64_t after, zg_store_take_fn *take,
		     void *arg) ZG_MUST_CHECK;
/* the next older one about the same tool that does not wait any more */
int zg_store_past(struct zg_store *s, const struct zg_approval *of, int64_t before,
		  struct zg_approval *out) ZG_MUST_CHECK;
/* the newest of the same principal and tool as a call: with the same arguments, or in
 * one state */
int zg_store_same(struct zg_store *s, const struct zg_msg_hold *h,
		  struct zg_approval *out) ZG_MUST_CHECK;
int zg_store_near(struct zg_store *s, const struct zg_msg_hold *h, enum zg_approval_state state,
		  struct zg_approval *out) ZG_MUST_CHECK;
/* a's state, decision and reason, if the stored state is still from */
int zg_store_set(struct zg_store *s, const struct zg_approval *a,
		 enum zg_approval_state from) ZG_MUST_CHECK;
/* what came of it, once it was used */
int zg_store_outcome(struct zg_store *s, const char *id, const char *outcome,
		     uint64_t change) ZG_MUST_CHECK;
int zg_store_pending(struct zg_store *s, uint64_t *out) ZG_MUST_CHECK;
/* Do so many wait of what this user asked for? 1, 0 or -errno. */
int zg_store_asked(struct zg_store *s, uint32_t uid, uint64_t most) ZG_MUST_CHECK;
int zg_store_change(struct zg_store *s, uint64_t *out) ZG_MUST_CHECK; /* the last number */
/* forget what came to its end before */
int zg_store_prune(struct zg_store *s, uint64_t before) ZG_MUST_CHECK;
/* -EEXIST: this person has said that already */
int zg_store_vote(struct zg_store *s, const char *id,
		  const struct zg_msg_ctl_approval_vote *v) ZG_MUST_CHECK;
/* the next after *row, which moves; 0 = from the first */
int zg_store_votes(struct zg_store *s, const char *id, int64_t *row,
		   struct zg_msg_ctl_approval_vote *out) ZG_MUST_CHECK;
int zg_store_voted(struct zg_store *s, const char *id, uint32_t uid, bool approve,
		   uint64_t *out) ZG_MUST_CHECK;

#define ZG_VOID_AT_ONCE 32 /* in one step: each has two syncs, and others wait meanwhile */

/* approval.c: the rules. */
struct zg_approvals {
	struct zg_store store;
	struct zg_trail *trail;
	uint64_t base_ms; /* wall clock minus CLOCK_BOOTTIME at the start: later jumps do not count
			   */
	uint64_t pending;
	uint64_t change;	    /* the last number: every change of a row has a higher one */
	bool may_be_stale;	    /* one may be bound to another snapshot */
	bool backlog;		    /* some that are due may not be void yet */
	struct zg_approval *voided; /* ZG_VOID_AT_ONCE each */
	struct zg_record *records;
	uint32_t ttl_sec;
	uint8_t snapshot[32];		      /* in force */
	char high_risk_tags[ZG_FINDINGS_LEN]; /* by comma */
	struct zg_gates gates;
	struct zg_pins *pins;	  /* NULL: what became of a tool is not asked */
	struct zg_notify *notify; /* NULL: nobody is told */
};

int zg_approvals_open(struct zg_approvals *s, const char *path, struct zg_trail *trail,
		      struct zg_err *e) ZG_MUST_CHECK;
void zg_approvals_close(struct zg_approvals *s);

/* At the start, before anything else is recorded: if the log ends with a step that the
 * store does not hold, a record says that it is void (approval_recover.c). */
void zg_approvals_recover(struct zg_approvals *s);

/* Look a held call up, or ask for it; the caller has expired what is due. GRANTED: consumed, on
 * disk. PENDING, DENIED: out is the approval. REFUSED: out->m.reason says why. A call that names
 * the approval it waits for (h->approval) is never asked for anew: if that does not hold any more
 * or is for another call, EXPIRED or SUPERSEDED and out->conflict. */
enum zg_hold_state zg_approvals_hold(struct zg_approvals *s, const struct zg_msg_hold *h,
				     struct zg_approval *out);

/* A person decides (vote.c). waiting: a call waits for it, so that the last of those who
 * must agree uses it up at once. 0: done, out is the approval (PENDING while others have to
 * agree, APPROVED, CONSUMED or DENIED). Else -errno and end says why: its first word is
 * the text of a conflict, not_found or storage. */
int zg_approvals_decide(struct zg_approvals *s, const struct zg_msg_ctl_approval_decide *d,
			const struct zg_ctl_peer *peer, bool waiting, struct zg_approval *out,
			struct zg_msg_ctl_end *end) ZG_MUST_CHECK;

/* Void some that are due or whose policy is gone, in one step: how many, which *out then
 * has until the next time; or -errno. s->backlog: call it again. */
int zg_approvals_expire(struct zg_approvals *s, const struct zg_approval **out) ZG_MUST_CHECK;

/* While there is a backlog: void the one that a call would find or names, if it is due. 0
 * and out; -ENOENT: it is not; else the call cannot be looked up. */
int zg_approvals_void(struct zg_approvals *s, const struct zg_msg_hold *h,
		      struct zg_approval *out) ZG_MUST_CHECK;

/* Another policy is in force: what was bound to the old one is void. */
void zg_approvals_policy(struct zg_approvals *s, const uint8_t snapshot[32], uint32_t ttl_sec,
			 const char *high_risk_tags);

/* What came of an execution, for those who decide on the same tool later. */
void zg_approvals_outcome(struct zg_approvals *s, const char *approval, const char *outcome);

/* Forget what ended long ago. */
int zg_approvals_prune(struct zg_approvals *s) ZG_MUST_CHECK;

#endif
