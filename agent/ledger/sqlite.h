/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sqlite.h - opening one of the ledger's databases, rows that are members of a
 * struct, and what SQLite's errors mean.
 */
#ifndef ZG_SQLITE_H
#define ZG_SQLITE_H

#include <stddef.h>

struct sqlite3;
struct sqlite3_stmt;

/* Open or make it; schema sets user_version = 1. path is used as it stands,
 * relative to the working folder. An SQLite result code: SQLITE_MISMATCH = it
 * was written by another version. *db must be closed in any case. */
int zg_sqlite_open(struct sqlite3 **db, const char *path, const char *schema, const char *pragmas);

/* The same for a schema that grew: step n leads from version n to n + 1 and says so
 * in user_version. An older file takes the steps that it lacks, at once. */
int zg_sqlite_open_steps(struct sqlite3 **db, const char *path, const char *const *steps, int count,
			 const char *pragmas);

int zg_sqlite_error(int rc); /* -errno */

enum zg_sqlite_type { T_TEXT, T_BLOB, T_U32, T_U64 };

struct zg_sqlite_column { /* a member of the struct that a row is */
	enum zg_sqlite_type type;
	size_t offset;
	size_t bytes;
};

/* base is the struct; at counts as SQLite does: parameters from 1, columns from 0. */
int zg_sqlite_bind(struct sqlite3_stmt *st, int at, const struct zg_sqlite_column *c,
		   const void *base);
void zg_sqlite_read(struct sqlite3_stmt *st, int at, const struct zg_sqlite_column *c, void *base);
/* After a step that came to rc: ready for the next use. 0 or -errno. */
int zg_sqlite_finish(struct sqlite3_stmt *st, int rc);

#endif
