/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gate.c - see gate.h. Trust: who lifts one is the kernel's word, passed on by
 * the parent. A gate alerts; it changes no decision by itself.
 */
#include "gate.h"

#include <errno.h>
#include <sqlite3.h>

#include "approval_impl.h"
#include "log.h"
#include "sqlite.h"

static const char schema[] =
	"CREATE TABLE IF NOT EXISTS gate (name TEXT NOT NULL PRIMARY KEY"
	", tripped INTEGER NOT NULL, trips INTEGER NOT NULL, uid INTEGER NOT NULL"
	", tripped_ms INTEGER NOT NULL, approval TEXT NOT NULL, reason TEXT NOT NULL"
	", lifted_ms INTEGER NOT NULL DEFAULT 0, lifted_uid INTEGER NOT NULL DEFAULT 0"
	", lifted_reason TEXT NOT NULL DEFAULT '') STRICT, WITHOUT ROWID";

static const char sql_get[] = "SELECT tripped, trips, uid, tripped_ms, approval, reason, lifted_ms,"
			      " lifted_uid, lifted_reason FROM gate WHERE name = ?1";
static const char sql_trip[] =
	"INSERT INTO gate (name, tripped, trips, uid, tripped_ms, approval, reason)"
	" VALUES (?1, 1, 1, ?2, ?3, ?4, ?5) ON CONFLICT (name) DO UPDATE SET trips = trips + 1"
	", tripped = 1, uid = ?2, tripped_ms = ?3, approval = ?4, reason = ?5";
static const char sql_lift[] = "UPDATE gate SET tripped = 0, trips = 0, lifted_ms = ?2"
			       ", lifted_uid = ?3, lifted_reason = ?4 WHERE name = ?1 AND tripped";

/* in the order of sql_get */
#define MEMBER(type, name)                                                                         \
	{                                                                                          \
		type, offsetof(struct zg_msg_ctl_gate, name),                                      \
			sizeof(((struct zg_msg_ctl_gate *)0)->name)                                \
	}
static const struct zg_sqlite_column columns[] = {
	MEMBER(T_U32, tripped),	   MEMBER(T_U32, trips),      MEMBER(T_U32, uid),
	MEMBER(T_U64, tripped_ms), MEMBER(T_TEXT, approval),  MEMBER(T_TEXT, reason),
	MEMBER(T_U64, lifted_ms),  MEMBER(T_U32, lifted_uid), MEMBER(T_TEXT, lifted_reason),
};

static const struct {
	const char *text, *what;
} gates[] = {
#define X(NAME, text, owner, what) [ZG_GATE_##NAME] = {text, what},
#include "tbl/gate.h"
#undef X
};

const char *zg_gate_text(uint32_t gate)
{
	return gate < ZG_GATES ? gates[gate].text : "unknown";
}

int zg_gates_open(struct zg_gates *g, struct sqlite3 *db, struct zg_trail *trail, struct zg_err *e)
{
	*g = (struct zg_gates){.db = db, .trail = trail};
	if (sqlite3_exec(db, schema, NULL, NULL, NULL) == SQLITE_OK &&
	    sqlite3_prepare_v2(db, sql_get, -1, &g->get, NULL) == SQLITE_OK &&
	    sqlite3_prepare_v2(db, sql_trip, -1, &g->trip, NULL) == SQLITE_OK &&
	    sqlite3_prepare_v2(db, sql_lift, -1, &g->lift, NULL) == SQLITE_OK)
		return 0;
	(void)zg_err_set(e, EIO, "gates: %s", sqlite3_errmsg(db));
	zg_gates_close(g);
	return -EIO;
}

void zg_gates_close(struct zg_gates *g)
{
	(void)sqlite3_finalize(g->get);
	(void)sqlite3_finalize(g->trip);
	(void)sqlite3_finalize(g->lift);
	*g = (struct zg_gates){0};
}

int zg_gates_get(struct zg_gates *g, enum zg_gate gate, struct zg_msg_ctl_gate *out)
{
	struct zg_msg_ctl_gate row = {.gate = gate};
	int rc = sqlite3_bind_text(g->get, 1, zg_gate_text(gate), -1, SQLITE_STATIC);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(g->get);
	if (rc == SQLITE_ROW)
		for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++)
			zg_sqlite_read(g->get, (int)i, &columns[i], &row);
	rc = zg_sqlite_finish(g->get, rc);
	if (rc == 0)
		*out = row;
	return rc;
}

int zg_gates_trip(struct zg_gates *g, enum zg_gate gate, uint32_t uid, const char *approval,
		  const char *reason)
{
	sqlite3_stmt *st = g->trip;
	int rc = sqlite3_bind_text(st, 1, zg_gate_text(gate), -1, SQLITE_STATIC);

	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(st, 2, uid);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(st, 3, (sqlite3_int64)zg_approvals_wall_ms());
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_text(st, 4, approval, -1, SQLITE_STATIC);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_text(st, 5, reason, -1, SQLITE_STATIC);
	return zg_sqlite_finish(st, rc == SQLITE_OK ? sqlite3_step(st) : rc);
}

void zg_gate_record(struct zg_record *r, enum zg_record_kind kind, enum zg_gate gate,
		    const struct zg_ctl_peer *peer, const char *reason)
{
	char message[ZG_REASON_LEN];

	zg_record_init(r, kind);
	(void)snprintf(message, sizeof(message), "gate %s %s uid %u: %s", zg_gate_text(gate),
		       kind == ZG_RK_GATE_TRIP ? "was tripped by" : "and", peer->uid,
		       kind == ZG_RK_GATE_TRIP ? gates[gate].what : "who lifts it");
	zg_record_str(r, ZG_RF_message, zg_slice_str(message));
	zg_record_str(r, ZG_RF_gate, zg_slice_str(zg_gate_text(gate)));
	zg_record_str(r, ZG_RF_reason, zg_slice_str(reason));
	ZG_REC_NUM(r, approver_uid, peer->uid);
	ZG_REC_NUM(r, approver_pid, peer->pid);
}

static int no(struct zg_msg_ctl_end *end, int error, enum zg_conflict conflict, const char *what,
	      const char *hint)
{
	*end = (struct zg_msg_ctl_end){.error = -error, .exit = 1, .conflict = conflict};
	(void)zg_str_cut(end->what, sizeof(end->what), zg_slice_str(what));
	(void)zg_str_cut(end->hint, sizeof(end->hint), zg_slice_str(hint));
	return -error;
}

static int may_lift(struct zg_gates *g, const struct zg_msg_ctl_gate_lift *m,
		    const struct zg_ctl_peer *peer, struct zg_msg_ctl_end *end)
{
	struct zg_msg_ctl_gate now = {0};
	int rc;

	if (peer->governed)
		return no(end, EPERM, ZG_CONFLICT_NOT_AUTHORISED,
			  "not_authorised: a process in a governed cgroup lifts no gate",
			  "lift it from a session outside");
	if (!(peer->roles & ZG_ROLE_SECURITY))
		return no(end, EPERM, ZG_CONFLICT_NOT_AUTHORISED,
			  "not_authorised: only root and the security group lift gates",
			  zg_approval_conflict_hint(ZG_CONFLICT_NOT_AUTHORISED));
	rc = zg_gates_get(g, (enum zg_gate)m->gate, &now);
	if (rc < 0)
		return no(end, -rc, ZG_CONFLICT_NONE, "storage: the gates cannot be read", "");
	if (!now.tripped)
		return no(end, EALREADY, ZG_CONFLICT_NONE, "already: it is not tripped", "");
	if (peer->uid && now.uid == peer->uid)
		return no(end, EPERM, ZG_CONFLICT_SELF_APPROVAL,
			  "self_approval: the user who tripped it cannot lift it",
			  "another member of the security group has to");
	if (!m->reason[0])
		return no(end, EINVAL, ZG_CONFLICT_NONE, "a gate is lifted with a reason",
			  "zerogate gates lift NAME --reason TEXT");
	return 0;
}

static int lift(struct zg_gates *g, const struct zg_msg_ctl_gate_lift *m,
		const struct zg_ctl_peer *peer)
{
	sqlite3_stmt *st = g->lift;
	int rc = sqlite3_bind_text(st, 1, zg_gate_text(m->gate), -1, SQLITE_STATIC);

	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(st, 2, (sqlite3_int64)zg_approvals_wall_ms());
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(st, 3, peer->uid);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_text(st, 4, m->reason, -1, SQLITE_STATIC);
	return zg_sqlite_finish(st, rc == SQLITE_OK ? sqlite3_step(st) : rc);
}

int zg_gates_lift(struct zg_gates *g, const struct zg_msg_ctl_gate_lift *m,
		  const struct zg_ctl_peer *peer, struct zg_msg_ctl_end *end)
{
	struct zg_record r;
	int rc;

	if (m->gate >= ZG_GATES)
		return no(end, ENOENT, ZG_CONFLICT_NONE, "not_found: there is no such gate",
			  "zerogate gates");
	rc = may_lift(g, m, peer, end);
	zg_gate_record(&r, ZG_RK_GATE_LIFT, (enum zg_gate)m->gate, peer,
		       rc < 0 ? end->what : m->reason);
	zg_record_str(&r, ZG_RF_decision, rc < 0 ? ZG_SLICE("DENY") : ZG_SLICE("ALLOW"));
	if (rc < 0 && end->conflict)
		zg_record_str(&r, ZG_RF_conflict,
			      zg_slice_str(zg_approval_conflict((enum zg_conflict)end->conflict)));
	if (zg_trail_emit(g->trail, &r, 1) < 0) {
		if (rc < 0)
			zg_log(ZG_LOG_ERR, "a refused lift of a gate could not be recorded");
		else
			rc = no(end, EIO, ZG_CONFLICT_NONE, "storage: the log cannot be written",
				"see zerogate status; is the disk full?");
	}
	if (rc < 0)
		return rc;
	rc = lift(g, m, peer);
	return rc < 0 ? no(end, -rc, ZG_CONFLICT_NONE, "storage: it could not be lifted",
			   "see zerogate status; is the disk full?")
		      : 0;
}
