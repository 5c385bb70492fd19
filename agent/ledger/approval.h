/* SPDX-License-Identifier: Apache-2.0 */
/*
 * approval.h - who asked, who decided, and whether it was used: one SQLite
 * file, approvals.db (WAL, synchronous=FULL), in the ledger's folder.
 *
 * An approval is bound to one exact call (zg_msg_hold.binding). It goes
 * pending -> approved | denied | expired, approved -> consumed | expired, and
 * never back. Each step is one transaction; its audit record is on disk before
 * the transaction is, so that nothing is ever in force without evidence; and
 * "consumed" is on disk before anybody is told to execute. A crash between two
 * of these steps can lose an approval, never use it twice.
 */
#ifndef ZG_APPROVAL_H
#define ZG_APPROVAL_H

#include "trail.h"

struct sqlite3;
struct sqlite3_stmt;

struct zg_approval {
	struct zg_msg_ctl_approval m;
	uint8_t binding[32];
	uint32_t approver_pid;
	uint32_t conflict; /* enum zg_conflict: why a call does not find it; never stored */
	int64_t row;
};

enum zg_store_statement {
	ZG_ST_BEGIN = 0,
	ZG_ST_COMMIT,
	ZG_ST_ROLLBACK,
	ZG_ST_INSERT,
	ZG_ST_GET,
	ZG_ST_LIVE,
	ZG_ST_DUE,
	ZG_ST_STALE,
	ZG_ST_PAGE,
	ZG_ST_SET,
	ZG_ST_PENDING,
	ZG_ST_PRUNE,
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
/* any pending or approved one that is due at now, or bound to another snapshot */
int zg_store_due(struct zg_store *s, uint64_t now, struct zg_approval *out) ZG_MUST_CHECK;
int zg_store_stale(struct zg_store *s, const uint8_t snapshot[32],
		   struct zg_approval *out) ZG_MUST_CHECK;
/* the next one after a row number; all = decided and used ones too */
int zg_store_page(struct zg_store *s, int64_t after, bool all,
		  struct zg_approval *out) ZG_MUST_CHECK;
/* a's state, decision and reason, if the stored state is still from */
int zg_store_set(struct zg_store *s, const struct zg_approval *a,
		 enum zg_approval_state from) ZG_MUST_CHECK;
int zg_store_pending(struct zg_store *s, uint64_t *out) ZG_MUST_CHECK;
/* forget what came to its end before */
int zg_store_prune(struct zg_store *s, uint64_t before) ZG_MUST_CHECK;

/* approval.c: the rules. */
struct zg_approvals {
	struct zg_store store;
	struct zg_trail *trail;
	uint64_t base_ms; /* wall clock minus CLOCK_BOOTTIME at the start: later jumps do not count
			   */
	uint64_t pending;
	uint32_t ttl_sec;
	uint8_t snapshot[32]; /* in force */
};

int zg_approvals_open(struct zg_approvals *s, const char *path, struct zg_trail *trail,
		      struct zg_err *e) ZG_MUST_CHECK;
void zg_approvals_close(struct zg_approvals *s);

/* Look a held call up, or ask for it; the caller has expired what is due. GRANTED: consumed, on
 * disk. PENDING, DENIED: out is the approval. REFUSED: out->m.reason says why. A call that names
 * the approval it waits for (h->approval) is never asked for anew: if that does not hold any more
 * or is for another call, EXPIRED or SUPERSEDED and out->conflict. */
enum zg_hold_state zg_approvals_hold(struct zg_approvals *s, const struct zg_msg_hold *h,
				     struct zg_approval *out);

/* A person decides. waiting: a call waits for it, so approving uses it up at
 * once. 0: done, out is the approval (APPROVED, CONSUMED or DENIED). Else
 * -errno and end says why, first word self_approval, not_approver, governed,
 * not_found, already_decided, consumed, expired, policy_changed or storage. */
int zg_approvals_decide(struct zg_approvals *s, const struct zg_msg_ctl_approval_decide *d,
			const struct zg_ctl_peer *peer, bool waiting, struct zg_approval *out,
			struct zg_msg_ctl_end *end) ZG_MUST_CHECK;

/* Expire one that is due or whose policy is gone: 0 and out, -ENOENT if there
 * is none. */
int zg_approvals_expire(struct zg_approvals *s, struct zg_approval *out) ZG_MUST_CHECK;

/* Another policy is in force: what was bound to the old one is void. */
void zg_approvals_policy(struct zg_approvals *s, const uint8_t snapshot[32], uint32_t ttl_sec);

/* Forget what ended long ago. */
int zg_approvals_prune(struct zg_approvals *s) ZG_MUST_CHECK;

#endif
