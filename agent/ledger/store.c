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

/* name, type, member; the file has the same columns in an order of its own */
#define FIRST_COLUMN(X) X(id, T_TEXT, m.approval)
#define OTHER_COLUMNS(X)                                                                           \
	X(state, T_U32, m.state)                                                                   \
	X(binding, T_BLOB, binding)                                                                \
	X(snapshot, T_BLOB, m.snapshot)                                                            \
	X(created_ms, T_U64, m.created_ms)                                                         \
	X(decided_ms, T_U64, m.decided_ms)                                                         \
	X(expires_ms, T_U64, m.expires_ms)                                                         \
	X(approver_uid, T_U32, m.approver_uid)                                                     \
	X(approver_pid, T_U32, approver_pid)                                                       \
	X(reason, T_TEXT, m.reason)                                                                \
	X(cgroup_id, T_U64, m.principal.cgroup_id)                                                 \
	X(start_ns, T_U64, m.principal.start_ns)                                                   \
	X(pid, T_U32, m.principal.pid)                                                             \
	X(uid, T_U32, m.principal.uid)                                                             \
	X(gid, T_U32, m.principal.gid)                                                             \
	X(profile_id, T_U32, m.principal.profile_id)                                               \
	X(profile, T_TEXT, m.principal.profile)                                                    \
	X(cgroup, T_TEXT, m.principal.cgroup)                                                      \
	X(comm, T_TEXT, m.principal.comm)                                                          \
	X(server, T_TEXT, m.server)                                                                \
	X(method, T_TEXT, m.method)                                                                \
	X(tool, T_TEXT, m.tool)                                                                    \
	X(rules, T_TEXT, m.rules)                                                                  \
	X(risk_tags, T_TEXT, m.risk_tags)                                                          \
	X(args_sha256, T_BLOB, m.args_sha256)                                                      \
	X(args_bytes, T_U64, m.args_bytes)                                                         \
	X(definition_sha256, T_BLOB, m.definition_sha256)                                          \
	X(approvers, T_U32, m.approvers)                                                           \
	X(agreed, T_U32, m.agreed)                                                                 \
	X(action, T_U32, m.action)                                                                 \
	X(break_glass, T_U32, m.break_glass)                                                       \
	X(change, T_U64, m.change)                                                                 \
	X(outcome, T_TEXT, m.outcome)
/* that a list does without: they are most of a row */
#define LONG_COLUMNS(X) X(args_text, T_TEXT, m.args_text) X(why, T_TEXT, m.why)

#define NAME_FIRST(name, type, member) #name
#define NAME(name, type, member)       ", " #name
#define MARK(name, type, member)       ", ?"
#define ROW(name, type, member)                                                                    \
	{type, offsetof(struct zg_approval, member), sizeof(((struct zg_approval *)0)->member)},
#define ROW_COLUMNS FIRST_COLUMN(NAME_FIRST) OTHER_COLUMNS(NAME)
#define COLUMNS	    ROW_COLUMNS LONG_COLUMNS(NAME)

static const struct zg_sqlite_column columns[] = {FIRST_COLUMN(ROW) OTHER_COLUMNS(ROW)
							  LONG_COLUMNS(ROW)};

#define COLUMN_COUNT (sizeof(columns) / sizeof(columns[0]))

/* The first version, as it was; what came since is a step of its own. At most one
 * approval of a binding can still lead to an execution. */
static const char version_1[] =
	"CREATE TABLE approval (id TEXT NOT NULL UNIQUE CHECK (length(id) = 13)"
	", state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 4)"
	", binding BLOB NOT NULL CHECK (length(binding) = 32)"
	", snapshot BLOB NOT NULL CHECK (length(snapshot) = 32)"
	", created_ms INTEGER NOT NULL, decided_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL"
	", approver_uid INTEGER NOT NULL, approver_pid INTEGER NOT NULL, reason TEXT NOT NULL"
	", cgroup_id INTEGER NOT NULL, start_ns INTEGER NOT NULL, pid INTEGER NOT NULL"
	", uid INTEGER NOT NULL, gid INTEGER NOT NULL, profile_id INTEGER NOT NULL"
	", profile TEXT NOT NULL, cgroup TEXT NOT NULL, comm TEXT NOT NULL"
	", server TEXT NOT NULL, method TEXT NOT NULL, tool TEXT NOT NULL"
	", rules TEXT NOT NULL, risk_tags TEXT NOT NULL"
	", args_sha256 BLOB NOT NULL CHECK (length(args_sha256) = 32)"
	", args_bytes INTEGER NOT NULL, args_text TEXT NOT NULL) STRICT;"
	"CREATE UNIQUE INDEX approval_usable ON approval (binding) WHERE state IN (0, 1);"
	"CREATE INDEX approval_binding ON approval (binding);"
	"CREATE INDEX approval_due ON approval (expires_ms) WHERE state IN (0, 1);"
	"PRAGMA user_version = 1;";

/* Several approvers, conflicts of retries, a list that is followed; and no question
 * that looks at every row. */
static const char version_2[] =
	"ALTER TABLE approval ADD COLUMN definition_sha256 BLOB NOT NULL DEFAULT "
	"X'0000000000000000000000000000000000000000000000000000000000000000';"
	"ALTER TABLE approval ADD COLUMN approvers INTEGER NOT NULL DEFAULT 1;"
	"ALTER TABLE approval ADD COLUMN agreed INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE approval ADD COLUMN action INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE approval ADD COLUMN break_glass INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE approval ADD COLUMN change INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE approval ADD COLUMN outcome TEXT NOT NULL DEFAULT '';"
	"ALTER TABLE approval ADD COLUMN why TEXT NOT NULL DEFAULT '';"
	"CREATE INDEX approval_state ON approval (state);"
	"CREATE INDEX approval_ended ON approval (expires_ms) WHERE state IN (2, 3, 4);"
	"CREATE INDEX approval_same ON approval (args_sha256, cgroup, server, tool);"
	"CREATE INDEX approval_near ON approval (cgroup, server, tool, state);"
	"CREATE INDEX approval_tool ON approval (server, tool);"
	"CREATE INDEX approval_change ON approval (change);"
	"CREATE TABLE vote (approval TEXT NOT NULL, uid INTEGER NOT NULL, pid INTEGER NOT NULL"
	", time_ms INTEGER NOT NULL, approve INTEGER NOT NULL, break_glass INTEGER NOT NULL"
	", reason TEXT NOT NULL, UNIQUE (approval, uid, approve)) STRICT;"
	"CREATE TRIGGER approval_gone AFTER DELETE ON approval BEGIN "
	"DELETE FROM vote WHERE approval = OLD.id; END;"
	"PRAGMA user_version = 2;";

/* How many wait of one user. */
static const char version_3[] = "CREATE INDEX approval_asker ON approval (uid) WHERE state = 0;"
				"PRAGMA user_version = 3;";

static const char *const versions[] = {version_1, version_2, version_3};

#define VOTE(X)                                                                                    \
	X(uid, T_U32)                                                                              \
	X(pid, T_U32) X(time_ms, T_U64) X(approve, T_U32) X(break_glass, T_U32) X(reason, T_TEXT)
#define VOTE_ROW(name, type)                                                                       \
	{type, offsetof(struct zg_msg_ctl_approval_vote, name),                                    \
	 sizeof(((struct zg_msg_ctl_approval_vote *)0)->name)},
#define VOTE_NAME(name, type) ", " #name

static const struct zg_sqlite_column vote_columns[] = {VOTE(VOTE_ROW)};

#define VOTE_COLUMN_COUNT (sizeof(vote_columns) / sizeof(vote_columns[0]))

#define SELECT	    "SELECT rowid, " COLUMNS " FROM approval "
#define SELECT_ROWS "SELECT rowid, " ROW_COLUMNS " FROM approval "
#define SUBJECT                                                                                    \
	"cgroup = ?1 AND server = ?2 AND tool = ?3 AND method = ?4 AND profile = ?5 AND uid = ?6"
#define NEWEST " ORDER BY rowid DESC LIMIT 1"

static const char *const sql[ZG_ST_MAX] = {
	[ZG_ST_BEGIN] = "BEGIN IMMEDIATE",
	[ZG_ST_COMMIT] = "COMMIT",
	[ZG_ST_ROLLBACK] = "ROLLBACK",
	[ZG_ST_INSERT] = "INSERT INTO approval (" COLUMNS ") VALUES (?" OTHER_COLUMNS(MARK)
		LONG_COLUMNS(MARK) ")",
	[ZG_ST_GET] = SELECT "WHERE id = ?1",
	[ZG_ST_LIVE] = SELECT "WHERE binding = ?1 AND state IN (0, 1, 2) AND expires_ms > ?2 "
			      "ORDER BY state = 2, rowid DESC LIMIT 1",
	[ZG_ST_USABLE] = SELECT "WHERE binding = ?1 AND state IN (0, 1) LIMIT 1",
	/* named, for SQLite would rather look at each row of a state */
	[ZG_ST_DUE] = SELECT "INDEXED BY approval_due "
			     "WHERE state IN (0, 1) AND expires_ms <= ?1 LIMIT 1",
	[ZG_ST_STALE] = SELECT "WHERE state IN (0, 1) AND snapshot <> ?1 LIMIT 1",
	[ZG_ST_PAGE] = SELECT_ROWS "WHERE rowid > ?1 ORDER BY rowid",
	[ZG_ST_OPEN] = SELECT_ROWS "WHERE rowid > ?1 AND state = ?2 ORDER BY rowid",
	[ZG_ST_CHANGED] = SELECT_ROWS "WHERE change > ?1 ORDER BY change",
	[ZG_ST_PAST] = SELECT "WHERE rowid < ?1 AND server = ?2 AND tool = ?3 AND state > 0" NEWEST,
	[ZG_ST_SAME] = SELECT "WHERE " SUBJECT " AND args_sha256 = ?7" NEWEST,
	[ZG_ST_NEAR] = SELECT "WHERE " SUBJECT " AND state = ?7" NEWEST,
	[ZG_ST_SET] = "UPDATE approval SET state = ?2, decided_ms = ?3, approver_uid = ?4, "
		      "approver_pid = ?5, agreed = ?6, break_glass = ?7, change = ?8, reason = ?9 "
		      "WHERE id = ?1 AND state = ?10",
	[ZG_ST_OUTCOME] = "UPDATE approval SET outcome = ?2, change = ?3 "
			  "WHERE id = ?1 AND state = 3 AND outcome IN ('', 'deferred')",
	[ZG_ST_PENDING] = "SELECT count(*) FROM approval WHERE state = 0",
	[ZG_ST_ASKED] = "SELECT 1 FROM approval INDEXED BY approval_asker "
			"WHERE state = 0 AND uid = ?1 LIMIT 1 OFFSET ?2",
	[ZG_ST_CHANGE] = "SELECT coalesce(max(change), 0) FROM approval",
	[ZG_ST_PRUNE] = "DELETE FROM approval INDEXED BY approval_ended "
			"WHERE state IN (2, 3, 4) AND expires_ms < ?1",
	[ZG_ST_VOTE] =
		"INSERT INTO vote (approval" VOTE(VOTE_NAME) ") VALUES (?, ?, ?, ?, ?, ?, ?)",
	[ZG_ST_VOTES] =
		"SELECT rowid" VOTE(VOTE_NAME) " FROM vote WHERE approval = ?1 AND rowid > ?2 "
					       "ORDER BY rowid LIMIT 1",
	[ZG_ST_VOTED] =
		"SELECT count(*) FROM vote WHERE approval = ?1 AND uid = ?2 AND approve = ?3",
};

/* --- opening ------------------------------------------------------------------- */

static int set_up(struct zg_store *s, const char *path)
{
	int rc = zg_sqlite_open_steps(&s->db, path, versions, 3, "PRAGMA synchronous = FULL;");

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

static void read_row(sqlite3_stmt *st, struct zg_approval *out)
{
	*out = (struct zg_approval){.row = sqlite3_column_int64(st, 0)};
	for (int i = 1; i < sqlite3_column_count(st); i++)
		zg_sqlite_read(st, i, &columns[i - 1], out);
}

/* Step a bound statement that yields one row, or none. */
static int one(sqlite3_stmt *st, int bound, struct zg_approval *out)
{
	int rc = bound == SQLITE_OK ? sqlite3_step(st) : bound;
	bool found = rc == SQLITE_ROW;

	if (found)
		read_row(st, out);
	rc = zg_sqlite_finish(st, rc);
	return rc == 0 && !found ? -ENOENT : rc;
}

/* Step a bound statement as long as its rows are taken. */
static int some(sqlite3_stmt *st, int bound, zg_store_take_fn *take, void *arg)
{
	struct zg_approval a;
	bool found = false;
	int rc = bound;

	while (rc == SQLITE_OK || rc == SQLITE_ROW) {
		rc = sqlite3_step(st);
		if (rc != SQLITE_ROW)
			break;
		found = true;
		read_row(st, &a);
		if (!take(arg, &a))
			break;
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

int zg_store_usable(struct zg_store *s, const uint8_t binding[32], struct zg_approval *out)
{
	sqlite3_stmt *st = s->statement[ZG_ST_USABLE];

	return one(st, sqlite3_bind_blob(st, 1, binding, 32, SQLITE_STATIC), out);
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

int zg_store_page(struct zg_store *s, int64_t after, zg_store_take_fn *take, void *arg)
{
	sqlite3_stmt *st = s->statement[ZG_ST_PAGE];

	return some(st, sqlite3_bind_int64(st, 1, after), take, arg);
}

int zg_store_open_page(struct zg_store *s, int64_t after, enum zg_approval_state state,
		       zg_store_take_fn *take, void *arg)
{
	sqlite3_stmt *st = s->statement[ZG_ST_OPEN];
	int rc = sqlite3_bind_int64(st, 1, after);

	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int(st, 2, (int)state);
	return some(st, rc, take, arg);
}

int zg_store_changed(struct zg_store *s, uint64_t after, zg_store_take_fn *take, void *arg)
{
	sqlite3_stmt *st = s->statement[ZG_ST_CHANGED];

	return some(st, sqlite3_bind_int64(st, 1, (sqlite3_int64)after), take, arg);
}

static int bind_texts(sqlite3_stmt *st, int at, const char *const *texts, int n)
{
	int rc = SQLITE_OK;

	for (int i = 0; i < n && rc == SQLITE_OK; i++)
		rc = sqlite3_bind_text(st, at + i, texts[i], -1, SQLITE_STATIC);
	return rc;
}

int zg_store_past(struct zg_store *s, const struct zg_approval *of, int64_t before,
		  struct zg_approval *out)
{
	sqlite3_stmt *st = s->statement[ZG_ST_PAST];
	const char *const texts[] = {of->m.server, of->m.tool};
	int rc = sqlite3_bind_int64(st, 1, before);

	if (rc == SQLITE_OK)
		rc = bind_texts(st, 2, texts, 2);
	return one(st, rc, out);
}

/* Of the same principal, server and tool as a call; the seventh value is the caller's. */
static int bind_subject(sqlite3_stmt *st, const struct zg_msg_hold *h)
{
	const char *const texts[] = {h->principal.cgroup, h->server, h->tool, h->method,
				     h->principal.profile};
	int rc = bind_texts(st, 1, texts, 5);

	return rc == SQLITE_OK ? sqlite3_bind_int64(st, 6, h->principal.uid) : rc;
}

int zg_store_same(struct zg_store *s, const struct zg_msg_hold *h, struct zg_approval *out)
{
	sqlite3_stmt *st = s->statement[ZG_ST_SAME];
	int rc = bind_subject(st, h);

	if (rc == SQLITE_OK)
		rc = sqlite3_bind_blob(st, 7, h->args_sha256, sizeof(h->args_sha256),
				       SQLITE_STATIC);
	return one(st, rc, out);
}

int zg_store_near(struct zg_store *s, const struct zg_msg_hold *h, enum zg_approval_state state,
		  struct zg_approval *out)
{
	sqlite3_stmt *st = s->statement[ZG_ST_NEAR];
	int rc = bind_subject(st, h);

	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int(st, 7, (int)state);
	return one(st, rc, out);
}

int zg_store_set(struct zg_store *s, const struct zg_approval *a, enum zg_approval_state from)
{
	sqlite3_stmt *st = s->statement[ZG_ST_SET];
	const sqlite3_int64 numbers[] = {(sqlite3_int64)a->m.state,
					 (sqlite3_int64)a->m.decided_ms,
					 a->m.approver_uid,
					 a->approver_pid,
					 a->m.agreed,
					 a->m.break_glass,
					 (sqlite3_int64)a->m.change};
	const int count = sizeof(numbers) / sizeof(numbers[0]);
	int rc = sqlite3_bind_text(st, 1, a->m.approval, -1, SQLITE_STATIC);

	for (int i = 0; i < count && rc == SQLITE_OK; i++)
		rc = sqlite3_bind_int64(st, i + 2, numbers[i]);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_text(st, count + 2, a->m.reason, -1, SQLITE_STATIC);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int(st, count + 3, (int)from);
	rc = zg_sqlite_finish(st, rc == SQLITE_OK ? sqlite3_step(st) : rc);
	return rc == 0 && sqlite3_changes(s->db) != 1 ? -ENOENT : rc;
}

int zg_store_outcome(struct zg_store *s, const char *id, const char *outcome, uint64_t change)
{
	sqlite3_stmt *st = s->statement[ZG_ST_OUTCOME];
	const char *const texts[] = {id, outcome};
	int rc = bind_texts(st, 1, texts, 2);

	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(st, 3, (sqlite3_int64)change);
	return zg_sqlite_finish(st, rc == SQLITE_OK ? sqlite3_step(st) : rc);
}

/* A bound statement that yields one number. */
static int number(sqlite3_stmt *st, int bound, uint64_t *out)
{
	int rc = bound == SQLITE_OK ? sqlite3_step(st) : bound;

	if (rc == SQLITE_ROW)
		*out = (uint64_t)sqlite3_column_int64(st, 0);
	return zg_sqlite_finish(st, rc);
}

int zg_store_pending(struct zg_store *s, uint64_t *out)
{
	return number(s->statement[ZG_ST_PENDING], SQLITE_OK, out);
}

int zg_store_asked(struct zg_store *s, uint32_t uid, uint64_t most)
{
	sqlite3_stmt *st = s->statement[ZG_ST_ASKED];
	uint64_t found = 0;
	int rc = sqlite3_bind_int64(st, 1, uid);

	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(st, 2, (sqlite3_int64)most - 1);
	rc = number(st, rc, &found);
	return rc < 0 ? rc : found != 0;
}

int zg_store_change(struct zg_store *s, uint64_t *out)
{
	return number(s->statement[ZG_ST_CHANGE], SQLITE_OK, out);
}

int zg_store_prune(struct zg_store *s, uint64_t before)
{
	sqlite3_stmt *st = s->statement[ZG_ST_PRUNE];
	int rc = sqlite3_bind_int64(st, 1, (sqlite3_int64)before);

	return zg_sqlite_finish(st, rc == SQLITE_OK ? sqlite3_step(st) : rc);
}

/* --- votes ------------------------------------------------------------------------ */

int zg_store_vote(struct zg_store *s, const char *id, const struct zg_msg_ctl_approval_vote *v)
{
	sqlite3_stmt *st = s->statement[ZG_ST_VOTE];
	int rc = sqlite3_bind_text(st, 1, id, -1, SQLITE_STATIC);

	for (size_t i = 0; i < VOTE_COLUMN_COUNT && rc == SQLITE_OK; i++)
		rc = zg_sqlite_bind(st, (int)i + 2, &vote_columns[i], v);
	return zg_sqlite_finish(st, rc == SQLITE_OK ? sqlite3_step(st) : rc);
}

int zg_store_votes(struct zg_store *s, const char *id, int64_t *row,
		   struct zg_msg_ctl_approval_vote *out)
{
	sqlite3_stmt *st = s->statement[ZG_ST_VOTES];
	int rc = sqlite3_bind_text(st, 1, id, -1, SQLITE_STATIC);
	bool found;

	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(st, 2, *row);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	found = rc == SQLITE_ROW;
	if (found) {
		*out = (struct zg_msg_ctl_approval_vote){0};
		*row = sqlite3_column_int64(st, 0);
		for (size_t i = 0; i < VOTE_COLUMN_COUNT; i++)
			zg_sqlite_read(st, (int)i + 1, &vote_columns[i], out);
	}
	rc = zg_sqlite_finish(st, rc);
	return rc == 0 && !found ? -ENOENT : rc;
}

int zg_store_voted(struct zg_store *s, const char *id, uint32_t uid, bool approve, uint64_t *out)
{
	sqlite3_stmt *st = s->statement[ZG_ST_VOTED];
	int rc = sqlite3_bind_text(st, 1, id, -1, SQLITE_STATIC);

	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(st, 2, uid);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int(st, 3, approve);
	return number(st, rc, out);
}
