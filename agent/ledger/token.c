/* SPDX-License-Identifier: Apache-2.0 */
/*
 * token.c - see token.h. Trust: a gateway names the token; one that lies can
 * only use up tokens, never make one fresh again.
 */
#include "token.h"

#include <errno.h>
#include <sqlite3.h>
#include <time.h>

#define PRUNE_SEC 30

static const char schema[] =
	"CREATE TABLE IF NOT EXISTS token ("
	"id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16), expires INTEGER NOT NULL"
	") STRICT, WITHOUT ROWID";

static uint64_t now_sec(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec;
}

static int count_rows(sqlite3 *db, uint64_t *count)
{
	sqlite3_stmt *s = NULL;
	int rc = sqlite3_prepare_v2(db, "SELECT count(*) FROM token", -1, &s, NULL);

	if (rc == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW)
		*count = (uint64_t)sqlite3_column_int64(s, 0);
	else
		rc = SQLITE_ERROR;
	(void)sqlite3_finalize(s);
	return rc;
}

int zg_tokens_open(struct zg_tokens *t, struct zg_store *store, struct zg_err *e)
{
	sqlite3 *db = store->db;

	*t = (struct zg_tokens){.store = store};
	if (sqlite3_exec(db, schema, NULL, NULL, NULL) != SQLITE_OK ||
	    count_rows(db, &t->count) != SQLITE_OK ||
	    sqlite3_prepare_v2(db, "INSERT INTO token (id, expires) VALUES (?1, ?2)", -1,
			       &t->insert, NULL) != SQLITE_OK ||
	    sqlite3_prepare_v2(db, "DELETE FROM token WHERE expires <= ?1", -1, &t->prune, NULL) !=
		    SQLITE_OK) {
		int rc = zg_err_set(e, EIO, "tokens: %s", sqlite3_errmsg(db));

		zg_tokens_close(t);
		return rc;
	}
	return 0;
}

void zg_tokens_close(struct zg_tokens *t)
{
	(void)sqlite3_finalize(t->insert);
	(void)sqlite3_finalize(t->prune);
	*t = (struct zg_tokens){0};
}

/* What has expired is refused by its age already. */
static void prune(struct zg_tokens *t, uint64_t now)
{
	t->pruned_at = now;
	if (sqlite3_bind_int64(t->prune, 1, (sqlite3_int64)now) == SQLITE_OK &&
	    sqlite3_step(t->prune) == SQLITE_DONE)
		t->count -= (uint64_t)sqlite3_changes(t->store->db);
	(void)sqlite3_reset(t->prune);
}

enum zg_token_state zg_tokens_use(struct zg_tokens *t, const uint8_t id[16], uint64_t expires)
{
	uint64_t now = now_sec();
	int rc;

	/* a clock that was set back must not keep them for ever */
	if (now - t->pruned_at >= PRUNE_SEC || now < t->pruned_at)
		prune(t, now);
	if (t->count >= ZG_STATES_MAX || expires > INT64_MAX)
		return ZG_TOKEN_REFUSED;
	rc = sqlite3_bind_blob(t->insert, 1, id, 16, SQLITE_STATIC);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(t->insert, 2, (sqlite3_int64)expires);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(t->insert);
	(void)sqlite3_reset(t->insert);
	(void)sqlite3_clear_bindings(t->insert);
	if (rc == SQLITE_DONE)
		t->count++;
	return rc == SQLITE_DONE		  ? ZG_TOKEN_FRESH
	       : (rc & 0xff) == SQLITE_CONSTRAINT ? ZG_TOKEN_USED_UP
						  : ZG_TOKEN_REFUSED;
}
