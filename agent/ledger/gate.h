/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gate.h - gates (tbl/gate.h): tripped by what must not happen, lifted by a
 * person. A table of its own in approvals.db, so that what trips one and the
 * gate are one transaction. A gate that cannot be read counts as tripped.
 */
#ifndef ZG_GATE_H
#define ZG_GATE_H

#include "trail.h"

struct sqlite3;
struct sqlite3_stmt;

struct zg_gates {
	struct sqlite3 *db; /* of the approvals */
	struct sqlite3_stmt *get, *trip, *lift;
	struct zg_trail *trail;
};

/* The database must outlive it. */
int zg_gates_open(struct zg_gates *g, struct sqlite3 *db, struct zg_trail *trail,
		  struct zg_err *e) ZG_MUST_CHECK;
void zg_gates_close(struct zg_gates *g);

/* How it stands. */
int zg_gates_get(struct zg_gates *g, enum zg_gate gate, struct zg_msg_ctl_gate *out) ZG_MUST_CHECK;

/* Within the caller's transaction, whose records hold zg_gate_record of it.
 * approval: what it is about. */
int zg_gates_trip(struct zg_gates *g, enum zg_gate gate, uint32_t uid, const char *approval,
		  const char *reason) ZG_MUST_CHECK;

void zg_gate_record(struct zg_record *r, enum zg_record_kind kind, enum zg_gate gate,
		    const struct zg_ctl_peer *peer, const char *reason);

/* A person lifts one: of the security group, outside, with a reason, and not who tripped
 * it unless that is root. Refused attempts are recorded too. 0, or -errno and end. */
int zg_gates_lift(struct zg_gates *g, const struct zg_msg_ctl_gate_lift *m,
		  const struct zg_ctl_peer *peer, struct zg_msg_ctl_end *end) ZG_MUST_CHECK;

const char *zg_gate_text(uint32_t gate);

#endif
