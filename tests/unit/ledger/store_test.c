/* SPDX-License-Identifier: Apache-2.0 */
/* store_test.c - approvals on disk: power cuts at every place of the write-ahead log, files of
 * the first version, questions that scan nothing, and 10,000 that wait. */
#include "harness.h"

#include <sqlite3.h>

#include "approval.h"

#define MANY 10000

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

/* Which step a power cut left: 0 none, then pending, approved, consumed. */
static int step_of(const char *id)
{
	static const int steps[] = {
		[ZG_AS_PENDING] = 1, [ZG_AS_APPROVED] = 2, [ZG_AS_CONSUMED] = 3};
	struct zg_approval a;
	struct zg_store s;
	struct zg_err e;
	int rc;

	if (zg_store_open(&s, "cut.db", &e) < 0)
		fail_msg("%s", e.what);
	rc = zg_store_get(&s, id, &a);
	zg_store_close(&s);
	assert_true(rc == 0 || rc == -ENOENT);
	return rc ? 0 : steps[a.m.state];
}

/* All of each frame's header, and a sample of its page, which is covered by a checksum. */
static size_t next_cut(size_t n)
{
	size_t at = n < 32 ? 0 : (n - 32) % 4120;

	return n + (at < 26 || at > 4118 ? 1 : at + 1021 > 4119 ? 4119 - at : 1021);
}

static void a_power_cut_loses_nothing_that_was_answered(void **state)
{
	const struct zg_msg_hold_release gone = {.call = 1};
	struct zg_msg_hold_state s;
	struct zg_msg_hold h;
	size_t acked[4] = {0}, db_size, wal_size;
	struct role r;
	char *db, *wal, *log;

	(void)state;
	role_init(&r);
	role_start(&r);
	h = held(&r, 1, 5);
	s = hold_gets(&r, 0, &h, ZG_HOLD_PENDING);
	acked[1] = file_size(&r, "approvals.db-wal");
	assert_int_equal(zg_msg_send(r.gateway[0], ZG_MSG_HOLD_RELEASE, &gone, -1), 0);
	h = held(&r, 2, 6);
	(void)hold_gets(&r, 0, &h, ZG_HOLD_PENDING);
	assert_int_equal(decide_as(&r, s.approval, true, APPROVER).error, 0);
	acked[2] = file_size(&r, "approvals.db-wal");
	h = held(&r, 3, 5);
	(void)hold_gets(&r, 0, &h, ZG_HOLD_GRANTED);
	acked[3] = file_size(&r, "approvals.db-wal");
	assert_true(acked[1] && acked[1] < acked[2] && acked[2] < acked[3]);
	role_kill(&r);
	db_size = file_size(&r, "approvals.db");
	wal_size = file_size(&r, "approvals.db-wal");
	db = slurp(&r, "approvals.db");
	wal = slurp(&r, "approvals.db-wal");
	log = slurp(&r, FIRST_SEGMENT);
	/* nothing is in force that the log does not tell of */
	assert_non_null(strstr(log, "\"kind\":\"approval.approve\""));
	assert_int_equal(occurrences(log, "\"kind\":\"approval.consume\""), 1);
	for (size_t n = acked[1]; n <= wal_size; n = next_cut(n)) {
		int least = n >= acked[3] ? 3 : n >= acked[2] ? 2 : 1;

		put("cut.db", db, db_size);
		put("cut.db-wal", wal, n);
		(void)unlink("cut.db-shm");
		/* what was answered holds; "consumed" was, so that none is used twice */
		assert_true(step_of(s.approval) >= least);
	}
	role_start(&r);
	h.call = 9;
	assert_string_not_equal(hold_gets(&r, 0, &h, ZG_HOLD_PENDING).approval, s.approval);
	assert_int_equal(role_stop(&r), 0);
	(void)verified(&r);
	free(db);
	free(wal);
	free(log);
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
		", args_text TEXT) STRICT; PRAGMA user_version = 1;"
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

static void no_question_looks_at_every_row(void **state)
{
	struct zg_store s;
	struct zg_err e;

	(void)state;
	assert_int_equal(zg_store_open(&s, "plan.db", &e), 0);
	for (int i = ZG_ST_INSERT; i < ZG_ST_MAX; i++) {
		zg_autobuf text = ZG_BUF(16384);
		sqlite3_stmt *st;

		if (i == ZG_ST_INSERT || i == ZG_ST_VOTE)
			continue;
		zg_buf_fmt(&text, "EXPLAIN QUERY PLAN %s",
			   zg_store_sql((enum zg_store_statement)i));
		assert_int_equal(sqlite3_prepare_v2(s.db, text.ptr, (int)text.len, &st, NULL),
				 SQLITE_OK);
		while (sqlite3_step(st) == SQLITE_ROW) {
			const char *step = (const char *)sqlite3_column_text(st, 3);

			if (strstr(step, "SCAN") ||
			    (strstr(step, "TEMP B-TREE") && i != ZG_ST_LIVE &&
			     i != ZG_ST_VOTES /* of one call */))
				fail_msg("%s: %s", zg_store_sql((enum zg_store_statement)i), step);
		}
		(void)sqlite3_finalize(st);
	}
	zg_store_close(&s);
}

static double ms_since(const struct timespec *from)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - from->tv_sec) * 1e3 +
	       (double)(now.tv_nsec - from->tv_nsec) / 1e6;
}

/* As many calls as if they had been asked for one by one. */
static void fill(const struct role *r)
{
	struct zg_approval a = {.m.approvers = 1, .m.principal.uid = AGENT_UID};
	struct zg_store s;
	struct zg_err e;

	assert_int_equal(fchdir(r->state_dir), 0);
	assert_int_equal(zg_store_open(&s, "approvals.db", &e), 0);
	assert_int_equal(zg_store_begin(&s), 0);
	memcpy(a.m.snapshot, r->snapshot, 32);
	a.m.created_ms = (uint64_t)time(NULL) * 1000;
	a.m.expires_ms = a.m.created_ms + 3600000;
	(void)snprintf(a.m.server, sizeof(a.m.server), "github");
	(void)snprintf(a.m.tool, sizeof(a.m.tool), "create_issue");
	memset(a.m.args_text, 'x', 1000);
	for (uint32_t i = 0; i < MANY; i++) {
		(void)snprintf(a.m.approval, sizeof(a.m.approval), "ap-%010u", i);
		memcpy(a.binding, &i, sizeof(i));
		memcpy(a.m.args_sha256, &i, sizeof(i));
		a.m.change = i + 1;
		assert_int_equal(zg_store_insert(&s, &a), 0);
	}
	assert_int_equal(zg_store_commit(&s), 0);
	zg_store_close(&s);
}

/* Bounds that only a question that scans would break, in a log that goes to disk. */
static void ten_thousand_wait(void **state)
{
	const struct zg_msg_ctl_approvals_list list = {0};
	struct timespec from;
	struct zg_msg m;
	struct role r;
	double listed;
	size_t n = 0;
	int sock;

	(void)state;
	role_init(&r);
	fill(&r);
	role_start(&r);
	(void)clock_gettime(CLOCK_MONOTONIC, &from);
	sock = control_as(&r, ZG_MSG_CTL_APPROVALS_LIST, &list, APPROVER);
	for (;; n++) {
		struct pollfd p = {.fd = sock, .events = POLLIN};

		assert_int_equal(poll(&p, 1, WAIT_MS), 1);
		assert_int_equal(zg_msg_recv(sock, &m), 0);
		if (m.type == ZG_MSG_CTL_END)
			break;
	}
	listed = ms_since(&from);
	(void)close(sock);
	assert_int_equal(n, MANY);
	(void)clock_gettime(CLOCK_MONOTONIC, &from);
	assert_int_equal(decide_as(&r, "ap-0000000000", true, APPROVER).error, 0);
	print_message("%d wait: listed in %.0f ms, one decided in %.1f ms\n", MANY, listed,
		      ms_since(&from));
	assert_true(listed < 5000 && ms_since(&from) < 2000);
	assert_int_equal(chdir(folder), 0);
	role_release(&r);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_power_cut_loses_nothing_that_was_answered),
		T(files_of_the_first_version_are_read),
		T(no_question_looks_at_every_row),
		T(ten_thousand_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
