/* SPDX-License-Identifier: Apache-2.0 */
/* sqlite.c - see sqlite.h. Trust: the files are the ledger's own. */
#include "sqlite.h"

#include <errno.h>
#include <sqlite3.h>

#include "slice.h"

int zg_sqlite_error(int rc)
{
	switch (rc & 0xff) {
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_CONSTRAINT:
		return -EEXIST;
	default:
		return -EIO;
	}
}

/* SQLite makes every path absolute first, which needs search permission on all
 * folders above the ledger's own; it works as well on the path as it stands. */
static int as_it_stands(sqlite3_vfs *vfs, const char *name, int size, char *out)
{
	(void)vfs;
	return zg_str_cut(out, (size_t)size, zg_slice_str(name)) ? SQLITE_OK : SQLITE_CANTOPEN;
}

static int plain_vfs(void)
{
	static sqlite3_vfs vfs;
	const sqlite3_vfs *unix_vfs = sqlite3_vfs_find(NULL);

	if (vfs.zName)
		return SQLITE_OK;
	if (!unix_vfs)
		return SQLITE_ERROR;
	vfs = *unix_vfs;
	vfs.zName = "zerogate";
	vfs.pNext = NULL;
	vfs.xFullPathname = as_it_stands;
	return sqlite3_vfs_register(&vfs, 0);
}

static int read_version(sqlite3 *db, int *out)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &st, NULL);

	if (rc == SQLITE_OK) {
		rc = sqlite3_step(st);
		if (rc == SQLITE_ROW)
			*out = sqlite3_column_int(st, 0);
	}
	(void)sqlite3_finalize(st);
	return rc == SQLITE_ROW ? SQLITE_OK : rc;
}

/* All steps that are missing, or none. */
static int make_schema(sqlite3 *db, const char *const *steps, int count)
{
	int version = 0, rc;

	rc = read_version(db, &version);
	if (rc != SQLITE_OK || version == count)
		return rc;
	if (version < 0 || version > count)
		return SQLITE_MISMATCH;
	rc = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
	for (int i = version; i < count && rc == SQLITE_OK; i++)
		rc = sqlite3_exec(db, steps[i], NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
	return rc;
}

int zg_sqlite_open(sqlite3 **db, const char *path, const char *schema, const char *pragmas)
{
	return zg_sqlite_open_steps(db, path, &schema, 1, pragmas);
}

int zg_sqlite_open_steps(sqlite3 **db, const char *path, const char *const *steps, int count,
			 const char *pragmas)
{
	static const char common[] = "PRAGMA journal_mode = WAL; PRAGMA trusted_schema = OFF;"
				     "PRAGMA temp_store = MEMORY; PRAGMA cell_size_check = ON;";
	int rc = plain_vfs();

	if (rc == SQLITE_OK)
		rc = sqlite3_open_v2(path, db,
				     SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE |
					     SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
				     "zerogate");
	if (rc == SQLITE_OK)
		rc = sqlite3_db_config(*db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(*db, common, NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(*db, pragmas, NULL, NULL, NULL);
	return rc == SQLITE_OK ? make_schema(*db, steps, count) : rc;
}

/* rows ------------------------------------------------------------------------- */

int zg_sqlite_finish(sqlite3_stmt *st, int rc)
{
	(void)sqlite3_reset(st);
	(void)sqlite3_clear_bindings(st);
	return rc == SQLITE_DONE || rc == SQLITE_ROW ? 0 : zg_sqlite_error(rc);
}

int zg_sqlite_bind(sqlite3_stmt *st, int at, const struct zg_sqlite_column *c, const void *base)
{
	const char *p = (const char *)base + c->offset;
	uint32_t u32;
	uint64_t u64;

	switch (c->type) {
	case T_TEXT:
		return sqlite3_bind_text(st, at, p, (int)strnlen(p, c->bytes), SQLITE_STATIC);
	case T_BLOB:
		return sqlite3_bind_blob(st, at, p, (int)c->bytes, SQLITE_STATIC);
	case T_U32:
		memcpy(&u32, p, sizeof(u32));
		return sqlite3_bind_int64(st, at, u32);
	case T_U64:
		memcpy(&u64, p, sizeof(u64));
		return sqlite3_bind_int64(st, at, (sqlite3_int64)u64);
	}
	return SQLITE_MISUSE;
}

void zg_sqlite_read(sqlite3_stmt *st, int at, const struct zg_sqlite_column *c, void *base)
{
	char *p = (char *)base + c->offset;
	size_t n = (size_t)sqlite3_column_bytes(st, at);
	uint32_t u32;
	uint64_t u64;

	switch (c->type) {
	case T_TEXT:
		(void)zg_str_cut(p, c->bytes,
				 (struct zg_slice){(const char *)sqlite3_column_text(st, at), n});
		return;
	case T_BLOB:
		if (n == c->bytes) /* the schema says so */
			memcpy(p, sqlite3_column_blob(st, at), n);
		return;
	case T_U32:
		u32 = (uint32_t)sqlite3_column_int64(st, at);
		memcpy(p, &u32, sizeof(u32));
		return;
	case T_U64:
		u64 = (uint64_t)sqlite3_column_int64(st, at);
		memcpy(p, &u64, sizeof(u64));
		return;
	}
}
