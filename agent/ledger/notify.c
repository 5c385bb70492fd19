/* SPDX-License-Identifier: Apache-2.0 */
/*
 * notify.c - see notify.h: the queue and its retries. Trust: a gateway that lies about
 * a delivery can lose or repeat word of an event, which it could by not posting it;
 * it decides nothing. Never talks to a socket.
 */
#include "notify.h"

#include <sqlite3.h>
#include <sys/random.h>

#include "ipc.h"
#include "log.h"
#include "notify_impl.h"
#include "sqlite.h"

#define DROPPED ZG_NW_MAX

static const char schema[] =
	"CREATE TABLE IF NOT EXISTS notify (row INTEGER PRIMARY KEY AUTOINCREMENT"
	", delivery TEXT NOT NULL UNIQUE, event TEXT NOT NULL, approval TEXT NOT NULL"
	", body TEXT NOT NULL, command INTEGER NOT NULL, webhook INTEGER NOT NULL"
	", tries INTEGER NOT NULL DEFAULT 0, due_ms INTEGER NOT NULL DEFAULT 0) STRICT";

#define NEXT "SELECT row, delivery, event, approval, body, tries FROM notify WHERE row > ?1 AND "

static const char *const ways[] = {"command", "webhook", "queue"};

static const struct {
	enum zg_record_kind kind;
	enum zg_notify_event event;
} kinds[] = {
	{ZG_RK_APPROVAL_REQUEST, ZG_NE_REQUEST},  {ZG_RK_APPROVAL_VOTE, ZG_NE_VOTE},
	{ZG_RK_APPROVAL_APPROVE, ZG_NE_DECISION}, {ZG_RK_APPROVAL_DENY, ZG_NE_DECISION},
	{ZG_RK_APPROVAL_EXPIRE, ZG_NE_EXPIRY},	  {ZG_RK_APPROVAL_BREAK_GLASS, ZG_NE_BREAK_GLASS},
	{ZG_RK_GATE_TRIP, ZG_NE_GATE_TRIP},
};

/* coming and going ---------------------------------------------------------------- */

int zg_notify_open(struct zg_notify *n, struct zg_store *store, struct zg_trail *trail,
		   zg_notify_send_fn *send, void *arg, struct zg_err *e)
{
	sqlite3 *db = store->db;
	struct {
		sqlite3_stmt **st;
		const char *sql;
	} rows[] = {
		{&n->insert, "INSERT INTO notify (delivery, event, approval, body, command"
			     ", webhook) VALUES (?1, ?2, ?3, ?4, ?5, ?6)"},
		{&n->count, "SELECT count(*) FROM notify"},
		{&n->drop, "DELETE FROM notify WHERE row = (SELECT min(row) FROM notify)"},
		{&n->next[ZG_NW_COMMAND], NEXT "command AND ?2 ORDER BY row LIMIT 1"},
		{&n->next[ZG_NW_WEBHOOK], NEXT "webhook AND due_ms <= ?2 ORDER BY row LIMIT 1"},
		{&n->done[ZG_NW_COMMAND], "UPDATE notify SET command = 0 WHERE row = ?1"},
		{&n->done[ZG_NW_WEBHOOK], "UPDATE notify SET webhook = 0 WHERE row = ?1"},
		{&n->later, "UPDATE notify SET tries = ?2, due_ms = ?3 WHERE row = ?1"},
		{&n->sweep, "DELETE FROM notify WHERE NOT command AND NOT webhook"},
	};
	/* due times are of a clock that began anew */
	int rc = sqlite3_exec(db, schema, NULL, NULL, NULL);

	*n = (struct zg_notify){.store = store, .trail = trail, .send = send, .arg = arg};
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(db, "UPDATE notify SET due_ms = 0 WHERE due_ms", NULL, NULL,
				  NULL);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]) && rc == SQLITE_OK; i++)
		rc = sqlite3_prepare_v2(db, rows[i].sql, -1, rows[i].st, NULL);
	if (rc != SQLITE_OK) {
		(void)zg_err_set(e, EIO, "notifications: %s", sqlite3_errmsg(db));
		zg_notify_close(n);
		return -EIO;
	}
	if (gethostname(n->host, sizeof(n->host) - 1) < 0)
		n->host[0] = '\0';
	return 0;
}

void zg_notify_close(struct zg_notify *n)
{
	sqlite3_stmt *all[] = {n->insert,  n->count,   n->drop,	 n->next[0], n->next[1],
			       n->done[0], n->done[1], n->later, n->sweep};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		(void)sqlite3_finalize(all[i]);
	*n = (struct zg_notify){0};
}

static int step(sqlite3_stmt *st)
{
	return zg_sqlite_finish(st, sqlite3_step(st));
}

void zg_notify_settings(struct zg_notify *n, const struct zg_notify_def *def)
{
	static const char *const forget[] = {
		[ZG_NW_COMMAND] = "UPDATE notify SET command = 0 WHERE command",
		[ZG_NW_WEBHOOK] = "UPDATE notify SET webhook = 0 WHERE webhook",
	};

	n->events = def->events;
	n->on[ZG_NW_COMMAND] = def->command[0] != '\0';
	n->on[ZG_NW_WEBHOOK] = def->server[0] != '\0';
	n->patience_ms[ZG_NW_COMMAND] = (def->timeout_sec + ZG_NOTIFY_GRACE_SEC) * 1000u;
	n->patience_ms[ZG_NW_WEBHOOK] = (ZG_NOTIFY_POST_SEC + ZG_NOTIFY_GRACE_SEC) * 1000u;
	for (int w = 0; w < ZG_NW_MAX; w++)
		if (!n->on[w] && sqlite3_exec(n->store->db, forget[w], NULL, NULL, NULL))
			zg_log(ZG_LOG_WARN, "notifications that are not wanted any more stay");
	if (step(n->sweep) < 0)
		zg_log(ZG_LOG_WARN, "old notifications could not be deleted");
}

/* failures -------------------------------------------------------------------------- */

static void fail(struct zg_notify *n, int way, const char *approval, uint32_t status,
		 const char *what)
{
	struct zg_notify_failures *f = &n->failed[way];

	f->count++;
	f->status = status;
	(void)zg_str_cut(f->approval, sizeof(f->approval), zg_slice_str(approval));
	(void)zg_str_cut(f->what, sizeof(f->what), zg_slice_str(what));
}

/* The first at once, then all of a while in one. */
static void tell_failures(struct zg_notify *n, uint64_t now_ms)
{
	for (int w = 0; w <= DROPPED && !n->trail->failed; w++) {
		struct zg_notify_failures *f = &n->failed[w];
		char text[2 * ZG_REASON_LEN];
		struct zg_record r;

		if (!f->count || (f->told_ms && now_ms - f->told_ms < ZG_NOTIFY_FAIL_SEC * 1000u))
			continue;
		(void)snprintf(text, sizeof(text),
			       "%llu notifications were not delivered (%s), the last of %s: %s",
			       (unsigned long long)f->count, ways[w],
			       f->approval[0] ? f->approval : "no approval", f->what);
		zg_record_init(&r, ZG_RK_NOTIFY_FAIL);
		zg_record_str(&r, ZG_RF_message, zg_slice_str(text));
		zg_record_str(&r, ZG_RF_layer, zg_slice_str(ways[w]));
		zg_record_str(&r, ZG_RF_approval, zg_slice_str(f->approval));
		zg_record_str(&r, ZG_RF_reason, zg_slice_str(f->what));
		ZG_REC_NUM(&r, count, f->count);
		if (f->status)
			ZG_REC_NUM(&r, status, f->status);
		zg_log(ZG_LOG_WARN, "%s", text);
		if (zg_trail_emit(n->trail, &r, 1) < 0)
			return; /* counted on, and told when the log can be written */
		*f = (struct zg_notify_failures){.told_ms = now_ms};
	}
}

/* events ------------------------------------------------------------------------------ */

static int new_delivery(char out[ZG_NAME_LEN])
{
	static const char crockford[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
	uint8_t random[16];

	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return -EIO;
	memcpy(out, "nt-", 3);
	for (size_t i = 0; i < sizeof(random); i++)
		out[3 + i] = crockford[random[i] & 31];
	out[3 + sizeof(random)] = '\0';
	return 0;
}

static bool is_wanted(const struct zg_notify *n, uint32_t kind)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (kinds[i].kind == kind)
			return (n->events >> kinds[i].event & 1) != 0;
	return false;
}

static int insert(struct zg_notify *n, const struct zg_record *r, const char *delivery,
		  struct zg_slice body)
{
	const char *const texts[] = {delivery, zg_record_kind_text(r->kind), r->approval};
	sqlite3_stmt *st = n->insert;
	int rc = SQLITE_OK;

	for (int i = 0; i < 3 && rc == SQLITE_OK; i++)
		rc = sqlite3_bind_text(st, i + 1, texts[i], -1, SQLITE_STATIC);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_text(st, 4, body.ptr, (int)body.len, SQLITE_STATIC);
	for (int w = 0; w < ZG_NW_MAX && rc == SQLITE_OK; w++)
		rc = sqlite3_bind_int(st, 5 + w, n->on[w]);
	return zg_sqlite_finish(st, rc == SQLITE_OK ? sqlite3_step(st) : rc);
}

/* Room for one more: the oldest are told of last, if at all. */
static int make_room(struct zg_notify *n)
{
	uint64_t count = 0;
	int rc = sqlite3_step(n->count);

	if (rc == SQLITE_ROW)
		count = (uint64_t)sqlite3_column_int64(n->count, 0);
	rc = zg_sqlite_finish(n->count, rc);
	for (; rc == 0 && count >= ZG_NOTIFY_QUEUE; count--) {
		rc = step(n->drop);
		n->dropping += rc == 0;
	}
	return rc;
}

static int keep(struct zg_notify *n, const struct zg_record *r)
{
	zg_autobuf body = ZG_BUF(ZG_NOTIFY_BYTES);
	char delivery[ZG_NAME_LEN];
	struct zg_approval a = {0};
	int rc = zg_store_get(n->store, r->approval, &a);

	if (rc < 0 && rc != -ENOENT)
		return rc;
	rc = new_delivery(delivery);
	if (rc == 0)
		rc = zg_notify_text(&body, delivery, n->host, r, a.m.approval[0] ? &a : NULL);
	if (rc == 0)
		rc = make_room(n);
	return rc < 0 ? rc : insert(n, r, delivery, zg_buf_slice(&body));
}

void zg_notify_note(struct zg_notify *n, const struct zg_record *records, size_t count)
{
	if (!n->on[ZG_NW_COMMAND] && !n->on[ZG_NW_WEBHOOK])
		return;
	for (size_t i = 0; i < count; i++) {
		int rc = is_wanted(n, records[i].kind) ? keep(n, &records[i]) : 0;

		if (rc < 0)
			fail(n, DROPPED, records[i].approval, 0, "it could not be stored");
	}
}

void zg_notify_noted(struct zg_notify *n, bool committed)
{
	for (; n->dropping && committed; n->dropping--)
		fail(n, DROPPED, "", 0, "too many waited: the oldest were dropped");
	n->dropping = 0;
}

/* handing over -------------------------------------------------------------------------- */

uint64_t zg_notify_backoff_ms(uint32_t tries)
{
	static const uint32_t seconds[] = {1, 5, 30, 120};

	return tries && tries <= sizeof(seconds) / sizeof(seconds[0])
		       ? seconds[tries - 1] * UINT64_C(1000)
		       : 0;
}

static void over(struct zg_notify *n, enum zg_notify_way way, struct zg_notify_flight *f)
{
	sqlite3_stmt *st = n->done[way];
	int rc = sqlite3_bind_int64(st, 1, f->row);

	rc = zg_sqlite_finish(st, rc == SQLITE_OK ? sqlite3_step(st) : rc);
	if (rc == 0)
		rc = step(n->sweep);
	if (rc < 0)
		zg_log(ZG_LOG_WARN, "the delivery of %s is not noted: it may be told again",
		       f->delivery);
	*f = (struct zg_notify_flight){0};
}

static void again(struct zg_notify *n, struct zg_notify_flight *f, uint64_t due_ms)
{
	sqlite3_stmt *st = n->later;
	int rc = sqlite3_bind_int64(st, 1, f->row);

	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(st, 2, f->tries + 1);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(st, 3, (sqlite3_int64)due_ms);
	if (zg_sqlite_finish(st, rc == SQLITE_OK ? sqlite3_step(st) : rc) < 0)
		zg_log(ZG_LOG_WARN, "the failed delivery of %s is not noted", f->delivery);
	*f = (struct zg_notify_flight){0};
}

/* A command is started once: it may have done half of what it does. */
static void failed(struct zg_notify *n, enum zg_notify_way way, struct zg_notify_flight *f,
		   uint32_t status, const char *what, uint64_t now_ms)
{
	uint64_t wait = way == ZG_NW_WEBHOOK ? zg_notify_backoff_ms(f->tries + 1) : 0;

	if (wait) {
		zg_log(ZG_LOG_INFO, "%s is not delivered yet: %s; again in %llu s", f->delivery,
		       what, (unsigned long long)wait / 1000);
		again(n, f, now_ms + wait);
		return;
	}
	fail(n, way, f->approval, status, what);
	over(n, way, f);
}

static bool is_under_way(const struct zg_notify *n, enum zg_notify_way way, int64_t row)
{
	for (size_t i = 0; i < ZG_NOTIFY_AT_ONCE; i++)
		if (n->flight[way][i].row == row)
			return true;
	return false;
}

static void copy(char *out, size_t size, sqlite3_stmt *st, int column)
{
	const char *text = (const char *)sqlite3_column_text(st, column);

	(void)zg_str_cut(out, size, zg_slice_str(text ? text : ""));
}

/* The next that is due and not under way. 0: *f and m; -ENOENT. */
static int next(struct zg_notify *n, enum zg_notify_way way, uint64_t now_ms,
		struct zg_notify_flight *f, struct zg_msg_notify *m)
{
	sqlite3_stmt *st = n->next[way];
	int64_t row = 0;

	for (size_t i = 0; i <= ZG_NOTIFY_AT_ONCE; i++) {
		bool any = false;
		int rc = sqlite3_bind_int64(st, 1, row);

		if (rc == SQLITE_OK)
			rc = sqlite3_bind_int64(st, 2, (sqlite3_int64)now_ms);
		if (rc == SQLITE_OK)
			rc = sqlite3_step(st);
		if (rc == SQLITE_ROW) {
			any = true;
			*f = (struct zg_notify_flight){.row = sqlite3_column_int64(st, 0)};
			copy(f->delivery, sizeof(f->delivery), st, 1);
			copy(m->event, sizeof(m->event), st, 2);
			copy(f->approval, sizeof(f->approval), st, 3);
			copy(m->text, sizeof(m->text), st, 4);
			f->tries = (uint32_t)sqlite3_column_int64(st, 5);
		}
		rc = zg_sqlite_finish(st, rc);
		if (rc < 0 || !any)
			return rc < 0 ? rc : -ENOENT;
		row = f->row;
		if (!is_under_way(n, way, row)) {
			memcpy(m->delivery, f->delivery, sizeof(m->delivery));
			m->bytes = (uint32_t)strlen(m->text);
			return 0;
		}
	}
	return -ENOENT;
}

static void hand_over(struct zg_notify *n, enum zg_notify_way way, uint64_t now_ms)
{
	for (size_t i = 0; i < ZG_NOTIFY_AT_ONCE; i++) {
		struct zg_notify_flight *slot = &n->flight[way][i], f;
		struct zg_msg_notify m = {0};

		if (slot->row)
			continue;
		if (next(n, way, now_ms, &f, &m) < 0)
			return;
		f.link = ZG_NOTIFY_NO_LINK;
		f.until_ms = now_ms + n->patience_ms[way];
		if (n->send(n->arg, way, &m, &f.link) < 0)
			return; /* nobody is there now */
		*slot = f;
	}
}

void zg_notify_run(struct zg_notify *n, uint64_t now_ms)
{
	for (int w = 0; w < ZG_NW_MAX; w++) {
		enum zg_notify_way way = (enum zg_notify_way)w;

		for (size_t i = 0; i < ZG_NOTIFY_AT_ONCE; i++) {
			struct zg_notify_flight *f = &n->flight[way][i];

			if (f->row && now_ms >= f->until_ms)
				failed(n, way, f, 0, "nothing was heard of it in time", now_ms);
		}
		if (n->on[way])
			hand_over(n, way, now_ms);
	}
	tell_failures(n, now_ms);
}

void zg_notify_done(struct zg_notify *n, enum zg_notify_way way, uint32_t link,
		    struct zg_msg_notify_done *m, uint64_t now_ms)
{
	ZG_MSG_TEXT(m->delivery);
	ZG_MSG_TEXT(m->what);
	for (size_t i = 0; i < ZG_NOTIFY_AT_ONCE; i++) {
		struct zg_notify_flight *f = &n->flight[way][i];

		if (!f->row || f->link != link || strcmp(f->delivery, m->delivery) != 0)
			continue;
		if (m->delivered)
			over(n, way, f);
		else
			failed(n, way, f, m->status, m->what, now_ms);
		break;
	}
	zg_notify_run(n, now_ms);
}

void zg_notify_link_gone(struct zg_notify *n, uint32_t link)
{
	for (size_t i = 0; i < ZG_NOTIFY_AT_ONCE; i++)
		if (n->flight[ZG_NW_WEBHOOK][i].link == link)
			n->flight[ZG_NW_WEBHOOK][i] = (struct zg_notify_flight){0};
}
