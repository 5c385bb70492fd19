/* SPDX-License-Identifier: Apache-2.0 */
/* store_test.c - approvals on disk: power cuts at every byte of the write-ahead log and of the
 * audit log, files of the first version, questions that scan nothing, 10,000 that wait, and many
 * that are void at once. */
#include "harness.h"

#include <sqlite3.h>

#include "approval.h"
#include "approval_row.h"
#include "audit.h"

#define MANY	       10000
#define MANY_MESSAGES  (MANY / 30)
#define PAGE_BYTES     512 /* the smallest: fewer bytes to cut at */
#define WAL_HEAD_BYTES 32
#define FRAME_BYTES    (24 + PAGE_BYTES)

static char folder[64];

static int setup(void **state)
{
	(void)state;
	(void)snprintf(folder, sizeof(folder), "/dev/shm/zg-store.XXXXXX");
	assert_non_null(mkdtemp(folder));
	return chdir(folder);
}

static int teardown(void **state)
{
	char command[96];

	(void)state;
	(void)snprintf(command, sizeof(command), "cd / && rm -rf %s", folder);
	return system(command) | chdir("/");
}

static void put(const char *name, const char *bytes, size_t n)
{
	zg_autofile FILE *f = fopen(name, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, n, f), n);
}

static size_t file_size(const struct role *r, const char *name)
{
	struct stat st;

	return fstatat(r->state_dir, name, &st, 0) == 0 ? (size_t)st.st_size : 0;
}

/* An empty database with small pages, which the ledger then makes its own. */
static void small_pages(const struct role *r)
{
	static const char sql[] = "PRAGMA page_size = 512; CREATE TABLE t (x); DROP TABLE t;";
	sqlite3 *db;

	assert_int_equal(fchdir(r->state_dir), 0);
	assert_int_equal(sqlite3_open("approvals.db", &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	assert_int_equal(chdir(folder), 0);
}

/* 0 no such approval, then pending, approved, consumed. */
static int step(bool found, uint32_t state)
{
	static const int steps[] = {[ZG_AS_PENDING] = 1,
				    [ZG_AS_APPROVED] = 2,
				    [ZG_AS_DENIED] = -1,
				    [ZG_AS_CONSUMED] = 3,
				    [ZG_AS_EXPIRED] = -1};

	return found ? steps[state] : 0;
}

/* Which step a power cut left, as the ledger would find it. */
static int step_in_store(const char *id)
{
	struct zg_approval a;
	struct zg_store s;
	struct zg_err e;
	int rc;

	if (zg_store_open(&s, "cut.db", &e) < 0)
		fail_msg("%s", e.what);
	rc = zg_store_get(&s, id, &a);
	zg_store_close(&s);
	assert_true(rc == 0 || rc == -ENOENT);
	return step(rc == 0, a.m.state);
}

/* The same by one question, so that there is time for every byte; and who said yes. */
static int step_in_file(const char *id, int *votes)
{
	static const char sql[] = "SELECT state, (SELECT count(*) FROM vote WHERE approval = ?1)"
				  " FROM approval WHERE id = ?1";
	sqlite3_stmt *st = NULL;
	sqlite3 *db;
	int rc, at;

	assert_int_equal(sqlite3_open("cut.db", &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_bind_text(st, 1, id, -1, SQLITE_STATIC), SQLITE_OK);
	rc = sqlite3_step(st);
	assert_true(rc == SQLITE_ROW || rc == SQLITE_DONE);
	at = step(rc == SQLITE_ROW, (uint32_t)sqlite3_column_int(st, 0));
	*votes = rc == SQLITE_ROW ? sqlite3_column_int(st, 1) : 0;
	assert_int_equal(sqlite3_finalize(st), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	return at;
}

/* What a disk holds after the power went away. */
struct disk {
	char *db, *wal, *log;
	size_t db_bytes, wal_bytes, log_bytes;
	size_t acked_wal[4], acked_log[4]; /* when each step was answered */
	char id[ZG_NAME_LEN];
};

static void note(struct disk *d, const struct role *r, int answered)
{
	d->acked_wal[answered] = file_size(r, "approvals.db-wal");
	d->acked_log[answered] = file_size(r, FIRST_SEGMENT);
	assert_true(d->acked_wal[answered] > d->acked_wal[answered - 1]);
	assert_true(d->acked_log[answered] > d->acked_log[answered - 1]);
}

/* One call asks, is approved when it does not wait any more, and uses it. */
static void live_through(struct disk *d, struct role *r)
{
	struct zg_msg_hold h = held(r, 1, 5);

	memcpy(d->id, hold_gets(r, 0, &h, ZG_HOLD_PENDING).approval, sizeof(d->id));
	note(d, r, 1);
	let_go(r, 0, 1);
	assert_int_equal(decide_as(r, d->id, true, APPROVER).error, 0);
	note(d, r, 2);
	h.call = 3;
	(void)hold_gets(r, 0, &h, ZG_HOLD_GRANTED);
	note(d, r, 3);
	role_kill(r);
	d->db_bytes = file_size(r, "approvals.db");
	d->wal_bytes = file_size(r, "approvals.db-wal");
	d->log_bytes = file_size(r, FIRST_SEGMENT);
	d->db = slurp(r, "approvals.db");
	d->wal = slurp(r, "approvals.db-wal");
	d->log = slurp(r, FIRST_SEGMENT);
}

static void free_disk(struct disk *d)
{
	free(d->db);
	free(d->wal);
	free(d->log);
}

static void cut(const struct disk *d, size_t n)
{
	put("cut.db", d->db, d->db_bytes);
	put("cut.db-wal", d->wal, n);
	(void)unlink("cut.db-shm");
}

static void a_power_cut_at_every_byte_loses_nothing_that_was_answered(void **state)
{
	struct disk d = {0};
	struct zg_msg_hold h;
	struct role r;
	int before = 0;

	(void)state;
	role_init(&r);
	small_pages(&r);
	role_start(&r);
	live_through(&d, &r);
	assert_int_equal((d.wal_bytes - WAL_HEAD_BYTES) % FRAME_BYTES, 0);
	for (size_t n = d.acked_wal[1]; n <= d.wal_bytes; n++) {
		int least = n >= d.acked_wal[3] ? 3 : n >= d.acked_wal[2] ? 2 : 1;
		int votes, now;

		cut(&d, n);
		now = step_in_file(d.id, &votes);
		/* what was answered holds; "consumed" was, so that none is used twice */
		if (now < least || now < before)
			fail_msg("cut at byte %zu: step %d after %d", n, now, before);
		assert_int_equal(votes, now > 1); /* a decision and who made it are one */
		before = now;
		if ((n - WAL_HEAD_BYTES) % FRAME_BYTES <= 1) {
			cut(&d, n);
			assert_int_equal(step_in_store(d.id), now);
		}
	}
	assert_int_equal(before, 3);
	role_start(&r);
	h = held(&r, 9, 5);
	assert_string_not_equal(hold_gets(&r, 0, &h, ZG_HOLD_PENDING).approval, d.id);
	assert_int_equal(role_stop(&r), 0);
	(void)verified(&r);
	free_disk(&d);
	role_release(&r);
}

static void copy(const struct role *r, const char *name)
{
	char *bytes = slurp(r, name);

	put(name, bytes, file_size(r, name));
	free(bytes);
}

static uint64_t lines_in(const char *text, size_t n)
{
	uint64_t lines = 0;

	for (size_t i = 0; i < n; i++)
		lines += text[i] == '\n';
	return lines;
}

/* The log as the power cut left it at byte n, opened by the next ledger. */
static void reopen_log(const struct disk *d, size_t n)
{
	bool whole = n == 0 || d->log[n - 1] == '\n';
	zg_autofd int dir = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const struct role here = {.state_dir = dir};
	struct zg_audit *a;
	struct zg_err e;
	uint64_t lines;
	char *log;

	put(FIRST_SEGMENT, d->log, n);
	if (zg_audit_open(&a, dir, &e) < 0)
		fail_msg("cut at byte %zu: %s", n, e.what);
	zg_audit_free(a);
	lines = verified_at(dir);
	if (lines != lines_in(d->log, n) + !whole)
		fail_msg("cut at byte %zu: %llu lines", n, (unsigned long long)lines);
	if (whole)
		return;
	log = slurp(&here, FIRST_SEGMENT);
	assert_int_equal(occurrences(log, "\"kind\":\"audit.recover\""), 1);
	assert_int_equal(occurrences(log, "\"reason\":\"torn tail\""), 1);
	free(log);
}

/* However much of the log is there, it opens, says what it lost, and holds as a chain. */
static void a_power_cut_at_every_byte_of_the_log_is_told(void **state)
{
	static const char *const kinds[] = {"", "approval.request", "approval.approve",
					    "approval.consume"};
	struct disk d = {0};
	struct role r;

	(void)state;
	role_init(&r);
	role_start(&r);
	live_through(&d, &r);
	/* what was answered had its evidence there before */
	for (int i = 1; i <= 3; i++) {
		const char *found = strstr(d.log, kinds[i]);

		assert_true(found && (size_t)(found - d.log) < d.acked_log[i]);
		assert_int_equal(d.log[d.acked_log[i] - 1], '\n');
	}
	assert_int_equal(occurrences(d.log, "\"kind\":\"approval.consume\""), 1);
	assert_int_equal(mkdir("audit", 0700), 0);
	copy(&r, "audit.key");
	copy(&r, "audit/audit.pub");
	for (size_t n = 0; n <= d.log_bytes; n++)
		reopen_log(&d, n);
	free_disk(&d);
	role_release(&r);
}

/* The disk of a ledger that died after it wrote so much. */
static void restore(const struct role *r, const struct disk *d, size_t wal, size_t log)
{
	assert_int_equal(fchdir(r->state_dir), 0);
	put("approvals.db", d->db, d->db_bytes);
	put("approvals.db-wal", d->wal, wal);
	(void)unlink("approvals.db-shm");
	put(FIRST_SEGMENT, d->log, log);
	assert_int_equal(chdir(folder), 0);
}

/* Killed between the record of a step and its transaction: the log says that the step
 * is void, once, so that whoever counts uses counts what happened. */
static void a_step_that_died_before_it_held_is_taken_back(void **state)
{
	static const char back[] = "\"reason\":\"storage: the step before could not be stored";
	struct disk d = {0};
	struct zg_msg_hold h;
	struct role r;
	char *log;

	(void)state;
	role_init(&r);
	role_start(&r);
	live_through(&d, &r);
	for (int i = 1; i <= 3; i++) {
		restore(&r, &d, d.acked_wal[i - 1], d.acked_log[i]);
		for (int again = 0; again < 2; again++) {
			role_start(&r);
			log = log_with(&r, back, 1);
			assert_int_equal(occurrences(log, back), 1);
			assert_non_null(strstr(strstr(log, back), d.id));
			free(log);
			if (!again)
				role_kill(&r);
		}
		h = held(&r, 7, 5);
		h.call += (uint64_t)i;
		if (i < 3) {
			role_kill(&r);
			continue;
		}
		/* what was approved and not used is used now */
		(void)hold_gets(&r, 0, &h, ZG_HOLD_GRANTED);
		log = log_with(&r, "\"kind\":\"approval.consume\"", 2);
		assert_int_equal(occurrences(log, back), 1);
		free(log);
		assert_int_equal(role_stop(&r), 0);
	}
	/* and nothing is taken back that holds */
	restore(&r, &d, d.wal_bytes, d.log_bytes);
	role_start(&r);
	assert_int_equal(role_stop(&r), 0);
	(void)verified(&r);
	log = slurp(&r, FIRST_SEGMENT);
	assert_int_equal(occurrences(log, back), 0);
	free(log);
	free_disk(&d);
	role_release(&r);
}

static void files_of_the_first_version_are_read(void **state)
{
	static const char first[] =
		"CREATE TABLE approval (id TEXT NOT NULL UNIQUE, state INTEGER NOT NULL, binding "
		"BLOB"
		", snapshot BLOB, created_ms INTEGER, decided_ms INTEGER, expires_ms INTEGER"
		", approver_uid INTEGER, approver_pid INTEGER, reason TEXT, cgroup_id INTEGER"
		", start_ns INTEGER, pid INTEGER, uid INTEGER, gid INTEGER, profile_id INTEGER"
		", profile TEXT, cgroup TEXT, comm TEXT, server TEXT, method TEXT, tool TEXT"
		", rules TEXT, risk_tags TEXT, args_sha256 BLOB, args_bytes INTEGER"
		", args_text TEXT) STRICT;"
		"CREATE UNIQUE INDEX approval_usable ON approval (binding) WHERE state IN (0, 1);"
		"CREATE INDEX approval_binding ON approval (binding);"
		"CREATE INDEX approval_due ON approval (expires_ms) WHERE state IN (0, 1);"
		"PRAGMA user_version = 1;"
		"INSERT INTO approval VALUES ('ap-0123456789', 0, zeroblob(32), zeroblob(32), 5, 0"
		", 9, 0, 0, '', 1, 1, 1, 7, 7, 1, 'agent', 'x', 'node', 'github', 'tools/call'"
		", 'create_issue', 'r', 'prod', zeroblob(32), 2, '{}');";
	struct zg_approval a;
	struct zg_store s;
	struct zg_err e;
	sqlite3 *db;

	(void)state;
	assert_int_equal(sqlite3_open("old.db", &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, first, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	for (int i = 0; i < 2; i++) { /* the second time nothing is left to do */
		assert_int_equal(zg_store_open(&s, "old.db", &e), 0);
		assert_int_equal(zg_store_get(&s, "ap-0123456789", &a), 0);
		assert_int_equal(a.m.state, ZG_AS_PENDING);
		assert_int_equal(a.m.approvers, 1);
		assert_string_equal(a.m.tool, "create_issue");
		zg_store_close(&s);
	}
	assert_int_equal(sqlite3_open("old.db", &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "PRAGMA user_version = 9", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	assert_int_equal(zg_store_open(&s, "old.db", &e), -EPROTO);
}

/* Neither each row, nor each of those that wait (but to count them at the start, and to
 * void those of another policy). All that is prepared on the connection, the gates'
 * statements, too. */
static void no_question_looks_at_every_row(void **state)
{
	struct zg_approvals s;
	struct zg_err e;
	sqlite3_stmt *of = NULL;
	size_t n = 0;

	(void)state;
	assert_int_equal(zg_approvals_open(&s, "plan.db", NULL, &e), 0);
	while ((of = sqlite3_next_stmt(s.store.db, of))) {
		zg_autobuf text = ZG_BUF(16384);
		sqlite3_stmt *st;
		bool few, whole;

		n++;
		zg_buf_fmt(&text, "EXPLAIN QUERY PLAN %s", sqlite3_sql(of));
		assert_int_equal(sqlite3_prepare_v2(s.store.db, text.ptr, (int)text.len, &st, NULL),
				 SQLITE_OK);
		few = strstr(text.ptr, "binding = ?1") || strstr(text.ptr, "FROM vote");
		whole = strstr(text.ptr, "count(*)") || strstr(text.ptr, "snapshot <> ?1");
		while (sqlite3_step(st) == SQLITE_ROW) {
			const char *does = (const char *)sqlite3_column_text(st, 3);

			if (strstr(does, "SCAN") || (strstr(does, "TEMP B-TREE") && !few) ||
			    (strstr(does, "approval_state (state=?)") && !whole))
				fail_msg("%s: %s", text.ptr, does);
		}
		(void)sqlite3_finalize(st);
		of = NULL;
		for (size_t i = 0; i < n; i++) /* the list has lost st, its newest */
			of = sqlite3_next_stmt(s.store.db, of);
	}
	assert_true(n > ZG_ST_MAX); /* more than the approvals' own */
	zg_approvals_close(&s);
}

/* Whoever asks again and again, each time for something else, leaves others room. */
static void one_user_does_not_take_all_the_room(void **state)
{
	zg_autofd int dir = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct zg_msg_hold h = {.principal = {.uid = AGENT_UID}, .server = "github", .tool = "x"};
	struct zg_approval a = {.m.approvers = 1, .m.principal.uid = AGENT_UID};
	struct zg_approvals s;
	struct zg_audit *audit;
	struct zg_trail trail;
	struct zg_err e;

	(void)state;
	assert_int_equal(zg_audit_open(&audit, dir, &e), 0);
	assert_int_equal(zg_trail_init(&trail, audit, "/nonexistent"), 0);
	assert_int_equal(zg_approvals_open(&s, "room.db", &trail, &e), 0);
	assert_int_equal(zg_store_begin(&s.store), 0);
	a.m.expires_ms = ((uint64_t)time(NULL) + 3600) * 1000;
	for (uint32_t i = 1; i < ZG_APPROVALS_PENDING_MAX / 8; i++) {
		(void)snprintf(a.m.approval, sizeof(a.m.approval), "ap-%010u", i);
		memcpy(a.binding, &i, sizeof(i));
		assert_int_equal(zg_store_insert(&s.store, &a), 0);
	}
	assert_int_equal(zg_store_commit(&s.store), 0);
	h.binding[31] = 1;
	assert_int_equal(zg_approvals_hold(&s, &h, &a), ZG_HOLD_PENDING);
	h.binding[31] = 2;
	assert_int_equal(zg_approvals_hold(&s, &h, &a), ZG_HOLD_REFUSED);
	assert_non_null(strstr(a.m.reason, "of this user"));
	h.binding[31] = 1; /* what waits already is no new one */
	assert_int_equal(zg_approvals_hold(&s, &h, &a), ZG_HOLD_PENDING);
	h.principal.uid = AGENT_UID - 1;
	h.binding[31] = 3;
	assert_int_equal(zg_approvals_hold(&s, &h, &a), ZG_HOLD_PENDING);
	zg_approvals_close(&s);
	zg_trail_release(&trail);
}

/* As many calls as if they had been asked for one by one. */
static void fill(const struct role *r, const uint8_t snapshot[32], uint32_t count)
{
	struct zg_approval a = {.m.approvers = 1, .m.principal.uid = AGENT_UID};
	struct zg_store s;
	struct zg_err e;

	assert_int_equal(fchdir(r->state_dir), 0);
	assert_int_equal(zg_store_open(&s, "approvals.db", &e), 0);
	assert_int_equal(zg_store_begin(&s), 0);
	memcpy(a.m.snapshot, snapshot, 32);
	a.m.created_ms = (uint64_t)time(NULL) * 1000;
	a.m.expires_ms = a.m.created_ms + 3600000;
	(void)snprintf(a.m.server, sizeof(a.m.server), "github");
	(void)snprintf(a.m.tool, sizeof(a.m.tool), "create_issue");
	memset(a.m.args_text, 'x', 1000);
	for (uint32_t i = 0; i < count; i++) {
		a.m.state = i + 1 == count ? ZG_AS_APPROVED : ZG_AS_PENDING;
		(void)snprintf(a.m.approval, sizeof(a.m.approval), "ap-%010u", i);
		memcpy(a.binding, &i, sizeof(i));
		memcpy(a.m.args_sha256, &i, sizeof(i));
		a.m.change = i + 1;
		assert_int_equal(zg_store_insert(&s, &a), 0);
	}
	assert_int_equal(zg_store_commit(&s), 0);
	zg_store_close(&s);
}

/* Every one is listed once, many in a message; and one of them can be decided. How long
 * that takes is measured by tests/bench/approval_bench.c. */
static void ten_thousand_wait(void **state)
{
	const struct zg_msg_ctl_approvals_list list = {0};
	size_t rows = 0, messages = 0;
	struct zg_msg m;
	struct role r;
	int sock;

	(void)state;
	role_init(&r);
	fill(&r, r.snapshot, MANY + 1);
	role_start(&r);
	sock = control_as(&r, ZG_MSG_CTL_APPROVALS_LIST, &list, APPROVER);
	for (;; messages++) {
		struct pollfd p = {.fd = sock, .events = POLLIN};
		struct zg_msg_ctl_approval_rows some;
		struct zg_msg_ctl_approval a;
		size_t at = 0;

		assert_int_equal(poll(&p, 1, WAIT_MS), 1);
		assert_int_equal(zg_msg_recv(sock, &m), 0);
		if (m.type == ZG_MSG_CTL_END)
			break;
		assert_int_equal(m.type, ZG_MSG_CTL_APPROVAL_ROWS);
		memcpy(&some, m.body, sizeof(some));
		while (zg_approval_rows_next(&some, &at, &a) == 1) {
			char id[ZG_NAME_LEN];

			(void)snprintf(id, sizeof(id), "ap-%010zu", rows++);
			assert_string_equal(a.approval, id);
		}
	}
	(void)close(sock);
	assert_int_equal(rows, MANY + 1);
	assert_true(messages <= MANY_MESSAGES);
	assert_int_equal(decide_as(&r, "ap-0000000000", true, APPROVER).error, 0);
	assert_int_equal(show(&r, "ap-0000000000").state, ZG_AS_APPROVED);
	assert_int_equal(chdir(folder), 0);
	role_release(&r);
}

/* Another policy voids all that wait, some at once: others are answered in between, and
 * what was approved under the old one is of no use although its turn has not come. */
static void many_are_void_at_once(void **state)
{
	enum { VOID = 20 * ZG_VOID_AT_ONCE };
	const uint8_t old[32] = {1};
	const uint32_t last = VOID - 1;
	struct zg_msg_hold h;
	struct role r;
	char *log;

	(void)state;
	role_init(&r);
	fill(&r, old, VOID);
	role_start(&r);
	h = held(&r, 1, 5);
	memset(h.binding, 0, sizeof(h.binding));
	memcpy(h.binding, &last, sizeof(last)); /* of the approved one */
	(void)hold_gets(&r, 0, &h, ZG_HOLD_PENDING);
	log = log_with(&r, "\"kind\":\"approval.expire\"", VOID);
	assert_int_equal(occurrences(log, "\"kind\":\"approval.expire\""), VOID);
	assert_int_equal(occurrences(log, "\"reason\":\"policy_changed\""), VOID);
	assert_int_equal(occurrences(log, "\"kind\":\"approval.consume\""), 0);
	free(log);
	assert_int_equal(show(&r, "ap-0000000000").state, ZG_AS_EXPIRED);
	role_release(&r);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_power_cut_at_every_byte_loses_nothing_that_was_answered),
		T(a_power_cut_at_every_byte_of_the_log_is_told),
		T(a_step_that_died_before_it_held_is_taken_back),
		T(files_of_the_first_version_are_read),
		T(no_question_looks_at_every_row),
		T(one_user_does_not_take_all_the_room),
		T(ten_thousand_wait),
		T(many_are_void_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
