/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pin_store.c - definitions in SQLite: the schema and one statement per
 * question. Trust: the file is the ledger's own; the values were written by
 * servers, and are bound, never pasted into SQL. No rule about them here.
 */
#include <errno.h>
#include <sqlite3.h>

#include "pin.h"
#include "sqlite.h"

/* name, type, member */
#define COLUMNS(X)                                                                                 \
	X(server, T_TEXT, m.server)                                                                \
	X(kind, T_U32, m.kind)                                                                     \
	X(name, T_TEXT, m.name)                                                                    \
	X(skeleton, T_TEXT, skeleton)                                                              \
	X(state, T_U32, m.state)                                                                   \
	X(findings, T_U32, m.findings)                                                             \
	X(accepted_uid, T_U32, m.accepted_uid)                                                     \
	X(first_ms, T_U64, m.first_ms)                                                             \
	X(seen_ms, T_U64, m.seen_ms)                                                               \
	X(pinned_ms, T_U64, m.pinned_ms)                                                           \
	X(seen_sha256, T_BLOB, m.seen_sha256)                                                      \
	X(pinned_sha256, T_BLOB, m.pinned_sha256)                                                  \
	X(reason, T_TEXT, m.reason)                                                                \
	X(note, T_TEXT, m.note)                                                                    \
	X(seen_hints, T_U32, seen_hints)                                                           \
	X(pinned_hints, T_U32, pinned_hints)

static const struct zg_sqlite_column columns[] = {
#define X(name, type, member)                                                                      \
	{type, offsetof(struct zg_pin, member), sizeof(((struct zg_pin *)0)->member)},
	COLUMNS(X)
#undef X
};

#define COLUMN_COUNT		   ((int)(sizeof(columns) / sizeof(columns[0])))
#define NAME(name, type, member)   ", " #name
#define MARK(name, type, member)   ", ?"
#define UPDATE(name, type, member) ", " #name " = excluded." #name

static const char schema[] =
	"CREATE TABLE pin (id INTEGER PRIMARY KEY, server TEXT NOT NULL, kind INTEGER NOT NULL,"
	" name TEXT NOT NULL, skeleton TEXT NOT NULL, state INTEGER NOT NULL,"
	" findings INTEGER NOT NULL, accepted_uid INTEGER NOT NULL, first_ms INTEGER NOT NULL,"
	" seen_ms INTEGER NOT NULL, pinned_ms INTEGER NOT NULL,"
	" seen_sha256 BLOB NOT NULL CHECK (length(seen_sha256) = 32),"
	" pinned_sha256 BLOB NOT NULL CHECK (length(pinned_sha256) = 32),"
	" reason TEXT NOT NULL, note TEXT NOT NULL, seen_hints INTEGER NOT NULL,"
	" pinned_hints INTEGER NOT NULL, seen_text BLOB NOT NULL DEFAULT x'',"
	" pinned_text BLOB NOT NULL DEFAULT x'', seen_cut INTEGER NOT NULL DEFAULT 0,"
	" pinned_cut INTEGER NOT NULL DEFAULT 0, UNIQUE (server, kind, name)) STRICT;"
	"CREATE INDEX pin_name ON pin (name) WHERE kind = 0;"
	"CREATE INDEX pin_skeleton ON pin (skeleton) WHERE kind = 0;"
	"CREATE TABLE listing (server TEXT NOT NULL, kind INTEGER NOT NULL,"
	" began_ms INTEGER NOT NULL, over INTEGER NOT NULL, PRIMARY KEY (server, kind)) STRICT;"
	"PRAGMA user_version = 1;";

#define SELECT "SELECT id" COLUMNS(NAME) " FROM pin "
#define NAMESAKE                                                                                   \
	"SELECT server, name FROM pin AS other WHERE kind = 0 AND server <> ?1 AND NOT EXISTS "    \
	"(SELECT 1 FROM pin WHERE server = ?1 AND kind = 0 AND name = ?3) AND "

static const char *const sql[ZG_PT_STATEMENTS] = {
	[ZG_PT_BEGIN] = "BEGIN IMMEDIATE",
	[ZG_PT_COMMIT] = "COMMIT",
	[ZG_PT_ROLLBACK] = "ROLLBACK",
	[ZG_PT_GET] = SELECT "WHERE server = ?1 AND kind = ?2 AND name = ?3",
	[ZG_PT_PUT] = "INSERT INTO pin (id" COLUMNS(NAME) ") VALUES (NULL" COLUMNS(
		MARK) ") ON CONFLICT (server, kind, name) DO UPDATE SET id = id" COLUMNS(UPDATE),
	[ZG_PT_SEEN_TEXT] = "UPDATE pin SET seen_text = ?4, seen_cut = ?5 "
			    "WHERE server = ?1 AND kind = ?2 AND name = ?3",
	[ZG_PT_ACCEPT_TEXT] = "UPDATE pin SET pinned_text = seen_text, pinned_cut = seen_cut "
			      "WHERE server = ?1 AND kind = ?2 AND name = ?3",
	[ZG_PT_TEXT] = "SELECT substr(CASE ?2 WHEN 0 THEN pinned_text ELSE seen_text END, ?3, ?4),"
		       " CASE ?2 WHEN 0 THEN pinned_cut ELSE seen_cut END FROM pin WHERE id = ?1",
	[ZG_PT_PAGE] = SELECT "WHERE id > ?1 AND (?2 = '' OR server = ?2) ORDER BY id LIMIT 1",
	[ZG_PT_COUNT] = "SELECT count(*) FROM pin WHERE server = ?1",
	[ZG_PT_TALLY] = "SELECT count(*) FILTER (WHERE state = ?2), count(*) FILTER "
			"(WHERE state <> ?2) FROM pin WHERE server = ?1",
	[ZG_PT_SAME_NAME] = NAMESAKE "name = ?2 LIMIT 1",
	[ZG_PT_SAME_LOOK] = NAMESAKE "skeleton = ?2 LIMIT 1",
	[ZG_PT_LISTING] = "SELECT began_ms, over FROM listing WHERE server = ?1 AND kind = ?2",
	[ZG_PT_LIST] = "INSERT INTO listing VALUES (?1, ?2, ?3, ?4) ON CONFLICT (server, kind) "
		       "DO UPDATE SET over = excluded.over",
};

/* opening ---------------------------------------------------------------------- */

int zg_pins_open(struct zg_pins *out, const char *path, struct zg_trail *trail, struct zg_err *e)
{
	/* the registry may have been there before */
	struct zg_pins p = {
		.trail = trail, .servers = out->servers, .server_count = out->server_count};
	int rc = zg_sqlite_open(&p.db, path, schema, "PRAGMA synchronous = NORMAL;");

	for (int i = 0; i < ZG_PT_STATEMENTS && rc == SQLITE_OK; i++)
		rc = sqlite3_prepare_v3(p.db, sql[i], -1, SQLITE_PREPARE_PERSISTENT,
					&p.statement[i], NULL);
	if (rc == SQLITE_OK) {
		*out = p;
		return 0;
	}
	if (rc == SQLITE_MISMATCH) {
		(void)zg_err_at(e, EPROTO, path, 0, 0, "written by another version of zerogate");
		zg_err_hint(e, "run that version, or move the file away: definitions are then "
			       "pinned anew");
		rc = -EPROTO;
	} else {
		(void)zg_err_at(e, EIO, path, 0, 0, "cannot open the pinned definitions: %s",
				p.db ? sqlite3_errmsg(p.db) : sqlite3_errstr(rc));
		rc = zg_sqlite_error(rc);
	}
	p.servers = NULL; /* still the caller's */
	zg_pins_close(&p);
	return rc;
}

void zg_pins_close(struct zg_pins *p)
{
	for (int i = 0; i < ZG_PT_STATEMENTS; i++)
		(void)sqlite3_finalize(p->statement[i]);
	(void)sqlite3_close(p->db);
	free(p->servers);
	*p = (struct zg_pins){0};
}

/* rows ------------------------------------------------------------------------- */

/* Step a bound statement that yields one row, or none. */
static int one(sqlite3_stmt *st, int bound, struct zg_pin *out)
{
	int rc = bound == SQLITE_OK ? sqlite3_step(st) : bound;
	bool found = rc == SQLITE_ROW;

	if (found) {
		*out = (struct zg_pin){.row = sqlite3_column_int64(st, 0)};
		for (int i = 0; i < COLUMN_COUNT; i++)
			zg_sqlite_read(st, i + 1, &columns[i], out);
	}
	rc = zg_sqlite_finish(st, rc);
	return rc == 0 && !found ? -ENOENT : rc;
}

static int bind_key(sqlite3_stmt *st, const char *server, uint32_t kind, const char *name)
{
	int rc = sqlite3_bind_text(st, 1, server, -1, SQLITE_STATIC);

	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(st, 2, kind);
	if (rc == SQLITE_OK && name)
		rc = sqlite3_bind_text(st, 3, name, -1, SQLITE_STATIC);
	return rc;
}

static int run(struct zg_pins *p, enum zg_pin_statement which)
{
	return zg_sqlite_finish(p->statement[which], sqlite3_step(p->statement[which]));
}

int zg_pins_begin(struct zg_pins *p)
{
	return run(p, ZG_PT_BEGIN);
}

void zg_pins_rollback(struct zg_pins *p)
{
	/* SQLite may have rolled back by itself (disk full) */
	if (!sqlite3_get_autocommit(p->db))
		(void)run(p, ZG_PT_ROLLBACK);
}

int zg_pins_commit(struct zg_pins *p)
{
	int rc = run(p, ZG_PT_COMMIT);

	if (rc < 0)
		zg_pins_rollback(p);
	return rc;
}

int zg_pins_get(struct zg_pins *p, const char *server, uint32_t kind, const char *name,
		struct zg_pin *out)
{
	sqlite3_stmt *st = p->statement[ZG_PT_GET];

	return one(st, bind_key(st, server, kind, name), out);
}

int zg_pins_put(struct zg_pins *p, const struct zg_pin *pin)
{
	sqlite3_stmt *st = p->statement[ZG_PT_PUT];
	int rc = SQLITE_OK;

	for (int i = 0; i < COLUMN_COUNT && rc == SQLITE_OK; i++)
		rc = zg_sqlite_bind(st, i + 1, &columns[i], pin);
	return zg_sqlite_finish(st, rc == SQLITE_OK ? sqlite3_step(st) : rc);
}

int zg_pins_seen_text(struct zg_pins *p, const struct zg_pin *pin, struct zg_slice text, bool cut)
{
	sqlite3_stmt *st = p->statement[ZG_PT_SEEN_TEXT];
	int rc = bind_key(st, pin->m.server, pin->m.kind, pin->m.name);

	if (rc == SQLITE_OK)
		rc = sqlite3_bind_blob(st, 4, text.len ? text.ptr : "", (int)text.len,
				       SQLITE_STATIC);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int(st, 5, cut);
	return zg_sqlite_finish(st, rc == SQLITE_OK ? sqlite3_step(st) : rc);
}

int zg_pins_accept_text(struct zg_pins *p, const struct zg_pin *pin)
{
	sqlite3_stmt *st = p->statement[ZG_PT_ACCEPT_TEXT];
	int rc = bind_key(st, pin->m.server, pin->m.kind, pin->m.name);

	return zg_sqlite_finish(st, rc == SQLITE_OK ? sqlite3_step(st) : rc);
}

long zg_pins_text(struct zg_pins *p, int64_t row, bool seen, size_t offset, char *out, size_t size,
		  bool *cut)
{
	sqlite3_stmt *st = p->statement[ZG_PT_TEXT];
	const sqlite3_int64 numbers[] = {row, seen, (sqlite3_int64)offset + 1, (sqlite3_int64)size};
	int rc = SQLITE_OK;
	long n = 0;

	for (int i = 0; i < 4 && rc == SQLITE_OK; i++)
		rc = sqlite3_bind_int64(st, i + 1, numbers[i]);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc == SQLITE_ROW) {
		n = sqlite3_column_bytes(st, 0);
		if (n > 0 && (size_t)n <= size)
			memcpy(out, sqlite3_column_blob(st, 0), (size_t)n);
		*cut = sqlite3_column_int(st, 1) != 0;
	}
	rc = zg_sqlite_finish(st, rc);
	return rc < 0 ? rc : n;
}

int zg_pins_page(struct zg_pins *p, int64_t after, const char *server, struct zg_pin *out)
{
	sqlite3_stmt *st = p->statement[ZG_PT_PAGE];
	int rc = sqlite3_bind_int64(st, 1, after);

	if (rc == SQLITE_OK)
		rc = sqlite3_bind_text(st, 2, server, -1, SQLITE_STATIC);
	return one(st, rc, out);
}

int zg_pins_count(struct zg_pins *p, const char *server, uint64_t *out)
{
	sqlite3_stmt *st = p->statement[ZG_PT_COUNT];
	int rc = sqlite3_bind_text(st, 1, server, -1, SQLITE_STATIC);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		*out = (uint64_t)sqlite3_column_int64(st, 0);
	return zg_sqlite_finish(st, rc);
}

int zg_pins_tally(struct zg_pins *p, const char *server, uint64_t *pinned, uint64_t *withheld)
{
	sqlite3_stmt *st = p->statement[ZG_PT_TALLY];
	int rc = sqlite3_bind_text(st, 1, server, -1, SQLITE_STATIC);

	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int(st, 2, ZG_PS_PINNED);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc == SQLITE_ROW) {
		*pinned = (uint64_t)sqlite3_column_int64(st, 0);
		*withheld = (uint64_t)sqlite3_column_int64(st, 1);
	}
	return zg_sqlite_finish(st, rc);
}

int zg_pins_namesake(struct zg_pins *p, const char *server, const char *name, bool look,
		     char other[ZG_SERVER_LEN], char tool[ZG_TOOL_LEN])
{
	sqlite3_stmt *st = p->statement[look ? ZG_PT_SAME_LOOK : ZG_PT_SAME_NAME];
	/* two that look alike are told also if both are this server's */
	const char *own = look ? "" : name;
	int rc = sqlite3_bind_text(st, 1, server, -1, SQLITE_STATIC);
	bool found;

	if (rc == SQLITE_OK)
		rc = sqlite3_bind_text(st, 2, name, -1, SQLITE_STATIC);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_text(st, 3, own, -1, SQLITE_STATIC);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	found = rc == SQLITE_ROW;
	if (found) {
		(void)zg_str_cut(other, ZG_SERVER_LEN,
				 zg_slice_str((const char *)sqlite3_column_text(st, 0)));
		(void)zg_str_cut(tool, ZG_TOOL_LEN,
				 zg_slice_str((const char *)sqlite3_column_text(st, 1)));
	}
	rc = zg_sqlite_finish(st, rc);
	return rc == 0 && !found ? -ENOENT : rc;
}

int zg_pins_listing(struct zg_pins *p, const char *server, uint32_t kind, uint64_t *began_ms,
		    bool *over)
{
	sqlite3_stmt *st = p->statement[ZG_PT_LISTING];
	int rc = bind_key(st, server, kind, NULL);

	*began_ms = 0;
	*over = false;
	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc == SQLITE_ROW) {
		*began_ms = (uint64_t)sqlite3_column_int64(st, 0);
		*over = sqlite3_column_int(st, 1) != 0;
	}
	return zg_sqlite_finish(st, rc);
}

int zg_pins_list(struct zg_pins *p, const char *server, uint32_t kind, uint64_t began_ms, bool over)
{
	sqlite3_stmt *st = p->statement[ZG_PT_LIST];
	int rc = bind_key(st, server, kind, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(st, 3, (sqlite3_int64)began_ms);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int(st, 4, over);
	return zg_sqlite_finish(st, rc == SQLITE_OK ? sqlite3_step(st) : rc);
}
