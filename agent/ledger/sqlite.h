/* SPDX-License-Identifier: Apache-2.0 */
/* sqlite.h - opening one of the ledger's databases, and what SQLite's errors mean. */
#ifndef ZG_SQLITE_H
#define ZG_SQLITE_H

struct sqlite3;

/* Open or make it; schema sets user_version = 1. path is used as it stands,
 * relative to the working folder. An SQLite result code: SQLITE_MISMATCH = it
 * was written by another version. *db must be closed in any case. */
int zg_sqlite_open(struct sqlite3 **db, const char *path, const char *schema, const char *pragmas);

int zg_sqlite_error(int rc); /* -errno */

#endif
