/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store.c - approvals in SQLite: the schema and one statement per question.
 * Trust: the file is the ledger's own; the values come from gateways and
 * people and are bound, never pasted into SQL. No rule about approvals here.
 */
#include <errno.h>
#include <sqlite3.h>

#include "approval.h"
#include "sqlite.h"

/* name, type, member, constraint; the order of the table's columns */
#define FIRST_COLUMN(X) X(id, T_TEXT, m.approval, "TEXT NOT NULL UNIQUE CHECK (length(id) = 13)")
#define OTHER_COLUMNS(X)                                                                           \
	X(state, T_U32, m.state, "INTEGER NOT NULL CHECK (state BETWEEN 0 AND 4)")                 \
	X(binding, T_BLOB, binding, "BLOB NOT NULL CHECK (length(binding) = 32)")                  \
	X(snapshot, T_BLOB, m.snapshot, "BLOB NOT NULL CHECK (length(snapshot) = 32)")             \
	X(created_ms, T_U64, m.created_ms, "INTEGER NOT NULL")                                     \
	X(decided_ms, T_U64, m.decided_ms, "INTEGER NOT NULL")                                     \
	X(expires_ms, T_U64, m.expires_ms, "INTEGER NOT NULL")                                     \
	X(approver_uid, T_U32, m.approver_uid, "INTEGER NOT NULL")                                 \
	X(approver_pid, T_U32, approver_pid, "INTEGER NOT NULL")                                   \
	X(reason, T_TEXT, m.reason, "TEXT NOT NULL")                                               \
	X(cgroup_id, T_U64, m.principal.cgroup_id, "INTEGER NOT NULL")                             \
	X(start_ns, T_U64, m.principal.start_ns, "INTEGER NOT NULL")                               \
	X(pid, T_U32, m.principal.pid, "INTEGER NOT NULL")                                         \
	X(uid, T_U32, m.principal.uid, "INTEGER NOT NULL")                                         \
	X(gid, T_U32, m.principal.gid, "INTEGER NOT NULL")                                         \
	X(profile_id, T_U32, m.principal.profile_id, "INTEGER NOT NULL")                           \
	X(profile, T_TEXT, m.principal.profile, "TEXT NOT NULL")                                   \
	X(cgroup, T_TEXT, m.principal.cgroup, "TEXT NOT NULL")                                     \
	X(comm, T_TEXT, m.principal.comm, "TEXT NOT NULL")                                         \
	X(server, T_TEXT, m.server, "TEXT NOT NULL")                                               \
	X(method, T_TEXT, m.method, "TEXT NOT NULL")                                               \
	X(tool, T_TEXT, m.tool, "TEXT NOT NULL")                                                   \
	X(rules, T_TEXT, m.rules, "TEXT NOT NULL")                                                 \
	X(risk_tags, T_TEXT, m.risk_tags, "TEXT NOT NULL")                                         \
	X(args_sha256, T_BLOB, m.args_sha256, "BLOB NOT NULL CHECK (length(args_sha256) = 32)")    \
	X(args_bytes, T_U64, m.args_bytes, "INTEGER NOT NULL")                                     \
	X(args_text, T_TEXT, m.args_text, "TEXT NOT NULL")

#define DEFINE_FIRST(name, type, member, sql) #name " " sql
#define DEFINE(name, type, member, sql)	      ", " #name " " sql
#define NAME_FIRST(name, type, member, sql)   #name
#define NAME(name, type, member, sql)	      ", " #name
#define MARK(name, type, member, sql)	      ", ?"
#define ROW(name, type, member, sql)                                                               \
	{type, offsetof(struct zg_approval, member), sizeof(((struct zg_approval *)0)->member)},
#define COLUMNS FIRST_COLUMN(NAME_FIRST) OTHER_COLUMNS(NAME)

static const struct zg_sqlite_column columns[] = {FIRST_COLUMN(ROW) OTHER_COLUMNS(ROW)};

#define COLUMN_COUNT (sizeof(columns) / sizeof(columns[0]))

/* at most one approval of a binding can still lead to an execution */
static const char schema[] = "CREATE TABLE approval (" FIRST_COLUMN(DEFINE_FIRST) OTHER_COLUMNS(
	DEFINE) ") STRICT;"
		"CREATE UNIQUE INDEX approval_usable ON approval (binding) WHERE state IN (0, 1);"
		"CREATE INDEX approval_binding ON approval (binding);"
		"CREATE INDEX approval_due ON approval (expires_ms) WHERE state IN (0, 1);"
		"PRAGMA user_version = 1;";

#define SELECT "SELECT rowid, " COLUMNS " FROM approval "

static const char *const sql[ZG_ST_MAX] = {
	[ZG_ST_BEGIN] = "BEGIN IMMEDIATE",
	[ZG_ST_COMMIT] = "COMMIT",
	[ZG_ST_ROLLBACK] = "ROLLBACK",
	[ZG_ST_INSERT] = "INSERT INTO approval (" COLUMNS ") VALUES (?" OTHER_COLUMNS(MARK) ")",
	[ZG_ST_GET] = SELECT "WHERE id = ?1",
	[ZG_ST_LIVE] = SELECT "WHERE binding = ?1 AND state IN (0, 1, 2) AND expires_ms > ?2 "
			      "ORDER BY state = 2, rowid DESC LIMIT 1",
	[ZG_ST_DUE] = SELECT "WHERE state IN (0, 1) AND expires_ms <= ?1 LIMIT 1",
	[ZG_ST_STALE] = SELECT "WHERE state IN (0, 1) AND snapshot <> ?1 LIMIT 1",
	[ZG_ST_PAGE] = SELECT "WHERE rowid > ?1 AND (?2 OR state IN (0, 1)) ORDER BY rowid LIMIT 1",
	[ZG_ST_SET] = "UPDATE approval SET state = ?2, decided_ms = ?3, approver_uid = ?4, "
		      "approver_pid = ?5, reason = ?6 WHERE id = ?1 AND state = ?7",
	[ZG_ST_PENDING] = "SELECT count(*) FROM approval WHERE state = 0",
	[ZG_ST_PRUNE] = "DELETE FROM approval WHERE state NOT IN (0, 1) AND expires_ms < ?1",
};

/* --- opening ------------------------------------------------------------------- */

static int set_up(struct zg_store *s, const char *path)
{
	int rc = zg_sqlite_open(&s->db, path, schema, "PRAGMA synchronous = FULL;");

	for (int i = 0; i < ZG_ST_MAX && rc == SQLITE_OK; i++)
		rc = sqlite3_prepare_v3(s->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT,
					&s->statement[i], NULL);
	return rc;
}

int zg_store_open(struct zg_store *out, const char *path, struct zg_err *e)
{
	struct zg_store s = {0};
	int rc = set_up(&s, path);

	if (rc == SQLITE_OK) {
		*out = s;
		return 0;
	}
	if (rc == SQLITE_MISMATCH) {
		(void)zg_err_at(e, EPROTO, path, 0, 0, "written by another version of zerogate");
		zg_err_hint(e, "run that version, or move the file away: pending approvals are "
			       "asked for again");
		rc = -EPROTO;
	} else {
		(void)zg_err_at(e, EIO, path, 0, 0, "cannot open the approvals: %s",
				s.db ? sqlite3_errmsg(s.db) : sqlite3_errstr(rc));
		rc = zg_sqlite_error(rc);
	}
	zg_store_close(&s);
	return rc;
}

void zg_store_close(struct zg_store *s)
{
	for (int i = 0; i < ZG_ST_MAX; i++)
		(void)sqlite3_finalize(s->statement[i]);
	(void)sqlite3_close(s->db);
	*s = (struct zg_store){0};
}

/* --- rows ------------------------------------------------------------------------ */

/* Step a bound statement that yields one row, or none. */
static int one(sqlite3_stmt *st, int bound, struct zg_approval *out)
{
	int rc = bound == SQLITE_OK ? sqlite3_step(st) : bound;
	bool found = rc == SQLITE_ROW;

	if (found) {
		*out = (struct zg_approval){.row = sqlite3_column_int64(st, 0)};
		for (size_t i = 0; i < COLUMN_COUNT; i++)
			zg_sqlite_read(st, (int)i + 1, &columns[i], out);
	}
	rc = zg_sqlite_finish(st, rc);
	return rc == 0 && !found ? -ENOENT : rc;
}

static int run(struct zg_store *s, enum zg_store_statement which)
{
	sqlite3_stmt *st = s->statement[which];

	return zg_sqlite_finish(st, sqlite3_step(st));
}

int zg_store_begin(struct zg_store *s)
{
	return run(s, ZG_ST_BEGIN);
}

int zg_store_commit(struct zg_store *s)
{
	int rc = run(s, ZG_ST_COMMIT);

	if (rc < 0)
		zg_store_rollback(s);
	return rc;
}

void zg_store_rollback(struct zg_store *s)
{
	/* SQLite may have rolled back by itself (disk full) */
	if (!sqlite3_get_autocommit(s->db))
		(void)run(s, ZG_ST_ROLLBACK);
}

int zg_store_insert(struct zg_store *s, const struct zg_approval *a)
{
	sqlite3_stmt *st = s->statement[ZG_ST_INSERT];
	int rc = SQLITE_OK;

	for (size_t i = 0; i < COLUMN_COUNT && rc == SQLITE_OK; i++)
		rc = zg_sqlite_bind(st, (int)i + 1, &columns[i], a);
	return zg_sqlite_finish(st, rc == SQLITE_OK ? sqlite3_step(st) : rc);
}

int zg_store_get(struct zg_store *s, const char *id, struct zg_approval *out)
{
	sqlite3_stmt *st = s->statement[ZG_ST_GET];

	return one(st, sqlite3_bind_text(st, 1, id, -1, SQLITE_STATIC), out);
}

int zg_store_live(struct zg_store *s, const uint8_t binding[32], uint64_t now,
		  struct zg_approval *out)
{
	sqlite3_stmt *st = s->statement[ZG_ST_LIVE];
	int rc = sqlite3_bind_blob(st, 1, binding, 32, SQLITE_STATIC);

	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(st, 2, (sqlite3_int64)now);
	return one(st, rc, out);
}

int zg_store_due(struct zg_store *s, uint64_t now, struct zg_approval *out)
{
	sqlite3_stmt *st = s->statement[ZG_ST_DUE];

	return one(st, sqlite3_bind_int64(st, 1, (sqlite3_int64)now), out);
}

int zg_store_stale(struct zg_store *s, const uint8_t snapshot[32], struct zg_approval *out)
{
	sqlite3_stmt *st = s->statement[ZG_ST_STALE];

	return one(st, sqlite3_bind_blob(st, 1, snapshot, 32, SQLITE_STATIC), out);
}

int zg_store_page(struct zg_store *s, int64_t after, bool all, struct zg_approval *out)
{
	sqlite3_stmt *st = s->statement[ZG_ST_PAGE];
	int rc = sqlite3_bind_int64(st, 1, after);

	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int(st, 2, all);
	return one(st, rc, out);
}

int zg_store_set(struct zg_store *s, const struct zg_approval *a, enum zg_approval_state from)
{
	sqlite3_stmt *st = s->statement[ZG_ST_SET];
	const sqlite3_int64 numbers[] = {(sqlite3_int64)a->m.state, (sqlite3_int64)a->m.decided_ms,
					 a->m.approver_uid, a->approver_pid};
	int rc = sqlite3_bind_text(st, 1, a->m.approval, -1, SQLITE_STATIC);

	for (int i = 0; i < 4 && rc == SQLITE_OK; i++)
		rc = sqlite3_bind_int64(st, i + 2, numbers[i]);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_text(st, 6, a->m.reason, -1, SQLITE_STATIC);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int(st, 7, (int)from);
	rc = zg_sqlite_finish(st, rc == SQLITE_OK ? sqlite3_step(st) : rc);
	return rc == 0 && sqlite3_changes(s->db) != 1 ? -ENOENT : rc;
}

int zg_store_pending(struct zg_store *s, uint64_t *out)
{
	sqlite3_stmt *st = s->statement[ZG_ST_PENDING];
	int rc = sqlite3_step(st);

	if (rc == SQLITE_ROW)
		*out = (uint64_t)sqlite3_column_int64(st, 0);
	return zg_sqlite_finish(st, rc);
}

int zg_store_prune(struct zg_store *s, uint64_t before)
{
	sqlite3_stmt *st = s->statement[ZG_ST_PRUNE];
	int rc = sqlite3_bind_int64(st, 1, (sqlite3_int64)before);

	return zg_sqlite_finish(st, rc == SQLITE_OK ? sqlite3_step(st) : rc);
}
