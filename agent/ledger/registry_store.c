/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry_store.c - registered servers in SQLite: the schema and one statement
 * per question. Trust: the file is the ledger's own; entries and reasons are
 * what people handed in, bound and never pasted into SQL. No rule is here.
 */
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include "servers.h"
#include "sqlite.h"

#define FOLDER "registry"

/* name, type, member */
/* NOLINTBEGIN(bugprone-macro-parentheses): prefix is the name of a member */
#define ENTRY(X, prefix)                                                                           \
	X(prefix##_owner, T_TEXT, prefix.owner)                                                    \
	X(prefix##_version, T_TEXT, prefix.version)                                                \
	X(prefix##_transport, T_TEXT, prefix.transport)                                            \
	X(prefix##_endpoint, T_TEXT, prefix.endpoint)                                              \
	X(prefix##_sha256, T_BLOB, prefix.sha256)                                                  \
	X(prefix##_security_uid, T_U32, prefix.security_uid)                                       \
	X(prefix##_owner_uid, T_U32, prefix.owner_uid)                                             \
	X(prefix##_submitter_uid, T_U32, prefix.submitter_uid)
/* NOLINTEND(bugprone-macro-parentheses) */
#define COLUMNS(X)                                                                                 \
	X(id, T_TEXT, id)                                                                          \
	X(state, T_U32, state)                                                                     \
	X(pending, T_U32, pending)                                                                 \
	X(resuming, T_U32, resuming)                                                               \
	X(changed_ms, T_U64, changed_ms)                                                           \
	X(problem, T_TEXT, problem)                                                                \
	ENTRY(X, live)                                                                             \
	ENTRY(X, next)

static const struct zg_sqlite_column columns[] = {
#define X(name, type, member)                                                                      \
	{type, offsetof(struct zg_server_row, member), sizeof(((struct zg_server_row *)0)->member)},
	COLUMNS(X)
#undef X
};

#define STEP_COLUMNS(X)                                                                            \
	X(server, T_TEXT, id)                                                                      \
	X(what, T_TEXT, what)                                                                      \
	X(acted_as, T_TEXT, acted_as)                                                              \
	X(uid, T_U32, uid)                                                                         \
	X(pid, T_U32, pid)                                                                         \
	X(time_ms, T_U64, time_ms)                                                                 \
	X(sha256, T_BLOB, sha256)                                                                  \
	X(reason, T_TEXT, reason)

static const struct zg_sqlite_column step_columns[] = {
#define X(name, type, member)                                                                      \
	{type, offsetof(struct zg_msg_ctl_server_step, member),                                    \
	 sizeof(((struct zg_msg_ctl_server_step *)0)->member)},
	STEP_COLUMNS(X)
#undef X
};

#define COLUMN_COUNT		   ((int)(sizeof(columns) / sizeof(columns[0])))
#define STEP_COLUMN_COUNT	   ((int)(sizeof(step_columns) / sizeof(step_columns[0])))
#define NAME(name, type, member)   ", " #name
#define MARK(name, type, member)   ", ?"
#define UPDATE(name, type, member) ", " #name " = excluded." #name

#define ENTRY_SCHEMA(prefix)                                                                       \
	prefix "_owner TEXT NOT NULL, " prefix "_version TEXT NOT NULL, " prefix                   \
	       "_transport TEXT NOT NULL, " prefix "_endpoint TEXT NOT NULL, " prefix              \
	       "_sha256 BLOB NOT NULL CHECK (length(" prefix "_sha256) = 32), " prefix             \
	       "_security_uid INTEGER NOT NULL, " prefix "_owner_uid INTEGER NOT NULL, " prefix    \
	       "_submitter_uid INTEGER NOT NULL, " prefix "_text BLOB NOT NULL DEFAULT x''"

static const char schema[] =
	"CREATE TABLE server (nr INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE COLLATE NOCASE,"
	" state INTEGER NOT NULL, pending INTEGER NOT NULL, resuming INTEGER NOT NULL,"
	" changed_ms INTEGER NOT NULL, problem TEXT NOT NULL, " ENTRY_SCHEMA(
		"live") ", " ENTRY_SCHEMA("next") ") STRICT;"
						  "CREATE TABLE step (nr INTEGER PRIMARY KEY, "
						  "server TEXT NOT NULL COLLATE NOCASE,"
						  " what TEXT NOT NULL, acted_as TEXT NOT NULL, "
						  "uid INTEGER NOT NULL, pid INTEGER NOT NULL,"
						  " time_ms INTEGER NOT NULL, sha256 BLOB NOT NULL "
						  "CHECK (length(sha256) = 32),"
						  " reason TEXT NOT NULL) STRICT;"
						  "CREATE INDEX step_server ON step (server, nr);"
						  "CREATE TABLE use (server TEXT PRIMARY KEY, ms "
						  "INTEGER NOT NULL) STRICT;"
						  "PRAGMA user_version = 1;";

#define SELECT "SELECT nr" COLUMNS(NAME) " FROM server "

static const char *const sql[ZG_SQ_STATEMENTS] = {
	[ZG_SQ_BEGIN] = "BEGIN IMMEDIATE",
	[ZG_SQ_COMMIT] = "COMMIT",
	[ZG_SQ_ROLLBACK] = "ROLLBACK",
	[ZG_SQ_GET] = SELECT "WHERE id = ?1",
	[ZG_SQ_PUT] = "INSERT INTO server (nr" COLUMNS(NAME) ") VALUES (NULL" COLUMNS(
		MARK) ") ON CONFLICT (id) DO UPDATE SET nr = nr" COLUMNS(UPDATE),
	[ZG_SQ_NEXT_TEXT] = "UPDATE server SET next_text = ?2 WHERE id = ?1",
	[ZG_SQ_PROMOTE] = "UPDATE server SET live_text = next_text, next_text = x'' WHERE id = ?1",
	[ZG_SQ_TEXT] = "SELECT CASE ?2 WHEN 0 THEN live_text ELSE next_text END FROM server "
		       "WHERE id = ?1",
	[ZG_SQ_PAGE] = SELECT "WHERE nr > ?1 ORDER BY nr LIMIT 1",
	[ZG_SQ_COUNT] = "SELECT count(*) FROM server",
	[ZG_SQ_TRIAL] = SELECT "WHERE resuming <> 0 OR (pending = ?1 AND problem = '') "
			       "ORDER BY changed_ms LIMIT 1",
	[ZG_SQ_STEP] =
		"INSERT INTO step (nr" STEP_COLUMNS(NAME) ") VALUES (NULL" STEP_COLUMNS(MARK) ")",
	[ZG_SQ_FORGET_STEPS] = "DELETE FROM step WHERE server = ?1 AND nr <= (SELECT nr FROM step "
			       "WHERE server = ?1 ORDER BY nr DESC LIMIT 1 OFFSET ?2)",
	[ZG_SQ_STEPS] = "SELECT nr" STEP_COLUMNS(
		NAME) " FROM step WHERE server = ?1 AND nr > ?2 ORDER BY nr LIMIT 1",
	[ZG_SQ_USE] = "INSERT INTO use VALUES (?1, ?2) ON CONFLICT (server) DO UPDATE SET "
		      "ms = excluded.ms",
	[ZG_SQ_USED] = "SELECT ms FROM use WHERE server = ?1",
};

/* opening ---------------------------------------------------------------------- */

static int open_folder(int dir, struct zg_err *e)
{
	int fd;

	if (mkdirat(dir, FOLDER, 0700) < 0 && errno != EEXIST)
		return zg_err_at(e, errno, FOLDER, 0, 0, "cannot make the folder: %m");
	fd = openat(dir, FOLDER, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? zg_err_at(e, errno, FOLDER, 0, 0, "cannot open the folder: %m") : fd;
}

int zg_servers_open(struct zg_servers *out, const char *path, int dir, struct zg_trail *trail,
		    struct zg_err *e)
{
	struct zg_servers s = *out; /* the snapshot may have been there before */
	int rc;

	s.trail = trail;
	s.dir = open_folder(dir, e);
	if (s.dir < 0)
		return s.dir;
	rc = zg_sqlite_open(&s.db, path, schema, "PRAGMA synchronous = FULL;");
	for (int i = 0; i < ZG_SQ_STATEMENTS && rc == SQLITE_OK; i++)
		rc = sqlite3_prepare_v3(s.db, sql[i], -1, SQLITE_PREPARE_PERSISTENT,
					&s.statement[i], NULL);
	if (rc == SQLITE_OK) {
		*out = s;
		return 0;
	}
	if (rc == SQLITE_MISMATCH) {
		(void)zg_err_at(e, EPROTO, path, 0, 0, "written by another version of zerogate");
		zg_err_hint(e, "run that version, or move the file and registry/ away: all servers "
			       "that were approved, suspended or revoked are then forgotten");
		rc = -EPROTO;
	} else {
		(void)zg_err_at(e, EIO, path, 0, 0, "cannot open the registered servers: %s",
				s.db ? sqlite3_errmsg(s.db) : sqlite3_errstr(rc));
		rc = zg_sqlite_error(rc);
	}
	s.here = NULL; /* still the caller's */
	zg_servers_close(&s);
	return rc;
}

void zg_servers_close(struct zg_servers *s)
{
	for (int i = 0; i < ZG_SQ_STATEMENTS; i++)
		(void)sqlite3_finalize(s->statement[i]);
	(void)sqlite3_close(s->db);
	if (s->trail)
		(void)close(s->dir);
	free(s->here);
	*s = (struct zg_servers){0};
}

/* rows ------------------------------------------------------------------------- */

static int run(struct zg_servers *s, enum zg_server_statement which)
{
	return zg_sqlite_finish(s->statement[which], sqlite3_step(s->statement[which]));
}

int zg_servers_begin(struct zg_servers *s)
{
	return run(s, ZG_SQ_BEGIN);
}

void zg_servers_rollback(struct zg_servers *s)
{
	/* SQLite may have rolled back by itself (disk full) */
	if (!sqlite3_get_autocommit(s->db))
		(void)run(s, ZG_SQ_ROLLBACK);
}

int zg_servers_commit(struct zg_servers *s)
{
	int rc = run(s, ZG_SQ_COMMIT);

	if (rc < 0)
		zg_servers_rollback(s);
	return rc;
}

/* Step a bound statement that yields one row, or none. */
static int one(sqlite3_stmt *st, int bound, struct zg_server_row *out)
{
	int rc = bound == SQLITE_OK ? sqlite3_step(st) : bound;
	bool found = rc == SQLITE_ROW;

	if (found) {
		*out = (struct zg_server_row){.row = sqlite3_column_int64(st, 0)};
		for (int i = 0; i < COLUMN_COUNT; i++)
			zg_sqlite_read(st, i + 1, &columns[i], out);
	}
	rc = zg_sqlite_finish(st, rc);
	return rc == 0 && !found ? -ENOENT : rc;
}

static int bind_id(sqlite3_stmt *st, const char *id)
{
	return sqlite3_bind_text(st, 1, id, -1, SQLITE_STATIC);
}

int zg_servers_get(struct zg_servers *s, const char *id, struct zg_server_row *out)
{
	sqlite3_stmt *st = s->statement[ZG_SQ_GET];

	return one(st, bind_id(st, id), out);
}

int zg_servers_page(struct zg_servers *s, int64_t after, struct zg_server_row *out)
{
	sqlite3_stmt *st = s->statement[ZG_SQ_PAGE];

	return one(st, sqlite3_bind_int64(st, 1, after), out);
}

int zg_servers_candidate(struct zg_servers *s, struct zg_server_row *out)
{
	sqlite3_stmt *st = s->statement[ZG_SQ_TRIAL];

	return one(st, sqlite3_bind_int(st, 1, ZG_SP_APPROVED), out);
}

static int put(sqlite3_stmt *st, const struct zg_sqlite_column *c, int count, const void *base)
{
	int rc = SQLITE_OK;

	for (int i = 0; i < count && rc == SQLITE_OK; i++)
		rc = zg_sqlite_bind(st, i + 1, &c[i], base);
	return zg_sqlite_finish(st, rc == SQLITE_OK ? sqlite3_step(st) : rc);
}

int zg_servers_put(struct zg_servers *s, const struct zg_server_row *row)
{
	return put(s->statement[ZG_SQ_PUT], columns, COLUMN_COUNT, row);
}

int zg_servers_put_text(struct zg_servers *s, const char *id, struct zg_slice text)
{
	sqlite3_stmt *st = s->statement[ZG_SQ_NEXT_TEXT];
	int rc = bind_id(st, id);

	if (rc == SQLITE_OK)
		rc = sqlite3_bind_blob(st, 2, text.len ? text.ptr : "", (int)text.len,
				       SQLITE_STATIC);
	return zg_sqlite_finish(st, rc == SQLITE_OK ? sqlite3_step(st) : rc);
}

int zg_servers_promote(struct zg_servers *s, const char *id)
{
	sqlite3_stmt *st = s->statement[ZG_SQ_PROMOTE];
	int rc = bind_id(st, id);

	return zg_sqlite_finish(st, rc == SQLITE_OK ? sqlite3_step(st) : rc);
}

int zg_servers_text(struct zg_servers *s, const char *id, bool next, struct zg_buf *out)
{
	sqlite3_stmt *st = s->statement[ZG_SQ_TEXT];
	int rc = bind_id(st, id);

	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int(st, 2, next);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc == SQLITE_ROW && sqlite3_column_bytes(st, 0) > 0)
		zg_buf_add(out, sqlite3_column_blob(st, 0), (size_t)sqlite3_column_bytes(st, 0));
	rc = zg_sqlite_finish(st, rc);
	return rc < 0 ? rc : out->error;
}

static int number(sqlite3_stmt *st, int rc, uint64_t *out)
{
	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		*out = (uint64_t)sqlite3_column_int64(st, 0);
	return zg_sqlite_finish(st, rc);
}

int zg_servers_count(struct zg_servers *s, uint64_t *out)
{
	return number(s->statement[ZG_SQ_COUNT], SQLITE_OK, out);
}

/* steps and uses --------------------------------------------------------------- */

int zg_servers_step(struct zg_servers *s, const struct zg_msg_ctl_server_step *m)
{
	sqlite3_stmt *st = s->statement[ZG_SQ_FORGET_STEPS];
	int rc = put(s->statement[ZG_SQ_STEP], step_columns, STEP_COLUMN_COUNT, m);

	if (rc < 0)
		return rc;
	rc = bind_id(st, m->id);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int(st, 2, ZG_STEPS_MAX);
	return zg_sqlite_finish(st, rc == SQLITE_OK ? sqlite3_step(st) : rc);
}

int zg_servers_steps(struct zg_servers *s, const char *id, int64_t *row,
		     struct zg_msg_ctl_server_step *out)
{
	sqlite3_stmt *st = s->statement[ZG_SQ_STEPS];
	int rc = bind_id(st, id);
	bool found;

	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(st, 2, *row);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	found = rc == SQLITE_ROW;
	if (found) {
		*out = (struct zg_msg_ctl_server_step){0};
		*row = sqlite3_column_int64(st, 0);
		for (int i = 0; i < STEP_COLUMN_COUNT; i++)
			zg_sqlite_read(st, i + 1, &step_columns[i], out);
	}
	rc = zg_sqlite_finish(st, rc);
	return rc == 0 && !found ? -ENOENT : rc;
}

int zg_servers_put_use(struct zg_servers *s, const char *id, uint64_t ms)
{
	sqlite3_stmt *st = s->statement[ZG_SQ_USE];
	int rc = bind_id(st, id);

	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(st, 2, (sqlite3_int64)ms);
	return zg_sqlite_finish(st, rc == SQLITE_OK ? sqlite3_step(st) : rc);
}

uint64_t zg_servers_use(struct zg_servers *s, const char *id)
{
	sqlite3_stmt *st = s->statement[ZG_SQ_USED];
	uint64_t ms = 0;

	return number(st, bind_id(st, id), &ms) < 0 ? 0 : ms;
}
