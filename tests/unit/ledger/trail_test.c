/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trail_test.c - records on their way from rings to the log: once each, in
 * order, across kill -9, full disks, forged records and replaced workers.
 */
#include <sys/mount.h>

#include "harness.h"

static int setup(void **state)
{
	static struct role r;

	role_init(&r);
	*state = &r;
	return 0;
}

static int teardown(void **state)
{
	role_release(*state);
	return 0;
}

/* The role's user owns its folder and may not walk to it. */
static void works_as_a_user_below_a_closed_folder(void **state)
{
	struct role *r = *state;
	struct zg_msg_hold h = held(r, 1, 5);
	int closed = r->state_dir;

	if (getuid() != 0)
		skip();
	assert_int_equal(fchmod(closed, 0700), 0);
	assert_int_equal(mkdirat(closed, "state", 0700), 0);
	assert_int_equal(fchownat(closed, "state", 65532, 65532, 0), 0);
	r->state_dir = openat(closed, "state", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	(void)close(closed);
	r->uid = 65532;
	role_start(r);
	(void)hold_gets(r, 0, &h, ZG_HOLD_PENDING);
	role_kill(r);
	/* the database's own recovery works there, too */
	role_start(r);
	h.call = 2;
	(void)hold_gets(r, 0, &h, ZG_HOLD_PENDING);
	assert_int_equal(role_stop(r), 0);
	assert_true(verified(r) >= 2);
}

/* Wait for the state of a worker's ring. */
static void ring_becomes(const struct role *r, int ring, enum zg_ring_state want)
{
	for (int i = 0; i < WAIT_MS / 5; i++) {
		if (zg_ring_state(&r->ring[ring]) == want)
			return;
		(void)poll(NULL, 0, 5);
	}
	fail_msg("ring %d never became %d", ring, want);
}

/* A full ring refuses what its ledger, however slow, does not take in time. */
static void await_room(const struct role *r, int ring, size_t records)
{
	for (int i = 0; zg_ring_room(&r->ring[ring]) < records; i++) {
		assert_true(i < WAIT_MS);
		(void)poll(NULL, 0, 1);
	}
}

static void push(struct role *r, int ring, uint64_t call)
{
	struct zg_record rec;

	await_room(r, ring, 1);
	sample(&rec, call);
	assert_int_equal(zg_ring_push(&r->ring[ring], &rec), 0);
}

/* "call":n stands in the log exactly once, for each n up to last. */
static void assert_each_once(const char *log, uint64_t first, uint64_t last)
{
	for (uint64_t n = first; n <= last; n++) {
		char want[40];

		(void)snprintf(want, sizeof(want), "\"call\":%llu,", (unsigned long long)n);
		assert_int_equal(occurrences(log, want), 1);
	}
}

static void everything_pushed_is_written_on_a_clean_stop(void **state)
{
	struct role *r = *state;
	char *log;

	role_start(r);
	for (uint64_t n = 1; n <= 3000; n++)
		push(r, 1 + (int)(n % 2), n);
	assert_int_equal(role_stop(r), 0);
	assert_int_equal(zg_ring_state(&r->ring[1]), ZG_RING_DOWN);
	assert_true(verified(r) >= 3000);
	log = slurp(r, FIRST_SEGMENT);
	assert_each_once(log, 1, 3000);
	/* the last word is signed */
	assert_non_null(strstr(strrchr(log, '{'), "\"kind\":\"audit.checkpoint\""));
	assert_true(occurrences(log, "audit.checkpoint") >= 3);
	free(log);
}

/* What a record says is what was put in, and its line ends where it should. */
static void a_hostile_text_stays_in_its_field(void **state)
{
	struct role *r = *state;
	struct zg_record rec;
	char *log;

	role_start(r);
	sample(&rec, 1);
	zg_record_str(&rec, ZG_RF_tool, ZG_SLICE("a\"}\n{\"kind\":\"approval.approve\"\x01\xff"));
	assert_int_equal(zg_ring_push(&r->ring[1], &rec), 0);
	sample(&rec, 2);
	memset(rec.server, 'S', sizeof(rec.server)); /* never ends */
	assert_int_equal(zg_ring_push(&r->ring[1], &rec), 0);
	assert_int_equal(role_stop(r), 0);
	(void)verified(r);
	log = slurp(r, FIRST_SEGMENT);
	assert_non_null(strstr(log, "\"tool\":\"a\\\"}\\n{\\\"kind\\\":\\\"approval.approve\\\""
				    "\\u0001\xef\xbf\xbd\""));
	assert_null(strstr(log, "SSSSSSSS\\"));
	assert_int_equal(occurrences(log, "\"server\":\"SSS"), 1);
	free(log);
}

/* kill -9 anywhere between reading, writing and committing. */
static void killed_ledgers_lose_and_double_nothing(void **state)
{
	struct role *r = *state;
	uint64_t n = 0;
	char *log;

	srand(2);
	for (int round = 0; round < 15; round++) {
		int before = rand() % 300;

		role_start(r);
		ring_becomes(r, 1, ZG_RING_OK);
		for (int i = 0; i < before; i++)
			push(r, 1, ++n);
		/* room for those that come while nobody takes them */
		await_room(r, 1, 100);
		role_kill(r);
		/* the parent says so at once; here it is left OK on purpose */
		for (int i = 0; i < 20; i++)
			push(r, 1, ++n);
	}
	role_start(r);
	assert_int_equal(role_stop(r), 0);
	assert_true(verified(r) >= n);
	log = slurp(r, FIRST_SEGMENT);
	assert_each_once(log, 1, n);
	free(log);
}

/* A crash between the write and the commit: the log has it, the ring does too. */
static void written_but_not_committed_is_not_written_twice(void **state)
{
	struct role *r = *state;
	struct zg_ring again;
	char *log;

	role_start(r);
	for (uint64_t n = 1; n <= 10; n++)
		push(r, 1, n);
	free(log_with(r, "\"kind\":\"call.intent\"", 10));
	role_kill(r);
	/* the commit that did not happen */
	assert_int_equal(zg_ring_attach(&again, r->ring_fd[1], -1), 0);
	zg_ring_commit(&again, 4);
	zg_ring_release(&again);
	role_start(r);
	push(r, 1, 11);
	assert_int_equal(role_stop(r), 0);
	log = slurp(r, FIRST_SEGMENT);
	assert_each_once(log, 1, 11);
	free(log);
	(void)verified(r);
}

static void a_replaced_worker_loses_nothing(void **state)
{
	struct role *r = *state;
	char *log;
	int old;

	role_start(r);
	for (uint64_t n = 1; n <= 900; n++)
		push(r, 1, n);
	old = dup(r->ring_fd[1]);
	new_ring(r, 1);
	give(r, ZG_FD_RING, 1, r->ring_fd[1]);
	link_gateway(r, 0);
	ring_becomes(r, 1, ZG_RING_OK);
	for (uint64_t n = 901; n <= 1000; n++)
		push(r, 1, n);
	assert_int_equal(role_stop(r), 0);
	(void)close(old);
	log = slurp(r, FIRST_SEGMENT);
	assert_each_once(log, 1, 1000);
	free(log);
	(void)verified(r);
}

static void a_gateway_cannot_forge_other_kinds(void **state)
{
	static const enum zg_record_kind forged[] = {ZG_RK_APPROVAL_APPROVE, ZG_RK_AUDIT_CHECKPOINT,
						     ZG_RK_AGENT_START, ZG_RK_NONE,
						     (enum zg_record_kind)4711};
	struct role *r = *state;
	struct zg_record rec;
	char *log;

	for (size_t i = 0; i < sizeof(forged) / sizeof(forged[0]); i++) {
		new_ring(r, 1);
		role_start(r);
		sample(&rec, 1);
		rec.kind = forged[i];
		assert_int_equal(zg_ring_push(&r->ring[1], &rec), 0);
		/* that ring is not served any more, the others are */
		ring_becomes(r, 1, ZG_RING_DOWN);
		push(r, 2, 100 + i);
		assert_int_equal(role_stop(r), 0);
	}
	log = slurp(r, FIRST_SEGMENT);
	assert_int_equal(occurrences(log, "\"call\":1,"), 0);
	assert_each_once(log, 100, 104);
	free(log);
	(void)verified(r);
}

/* --- a disk that does not take it ------------------------------------------------- */

/* Returns the number of the last record that was taken. */
static uint64_t refuse_and_recover(struct role *r, uint64_t last)
{
	struct zg_record rec;
	int rc;

	do { /* it works again for a moment, each time that it is tried and one record fits */
		ring_becomes(r, 1, ZG_RING_FAILED);
		sample(&rec, ++last);
		rc = zg_ring_push(&r->ring[1], &rec);
	} while (rc == 0);
	assert_int_equal(rc, -ENOTCONN);
	/* what already happened can still be told */
	assert_int_equal(zg_ring_push_always(&r->ring[1], &rec), 0);
	return last;
}

static void full_disk_refuses_calls_and_recovers(void **state)
{
	struct role *r = *state;
	struct zg_msg_hold h = held(r, 1, 5);
	char chunk[4096] = {0}, *log;
	uint64_t n = 0;
	int filler;

	if (mount("zg-test", r->dir, "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,mode=0700") < 0) {
		if (getenv("ZG_REQUIRE"))
			fail_msg("cannot mount a tmpfs");
		skip();
	}
	(void)close(r->state_dir);
	r->state_dir = open(r->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	role_start(r);
	filler = openat(r->state_dir, "filler", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	while (write(filler, chunk, sizeof(chunk)) > 0)
		;
	for (; n < 200 && zg_ring_state(&r->ring[1]) == ZG_RING_OK; n++) {
		struct zg_record rec;

		sample(&rec, n + 1);
		if (zg_ring_push(&r->ring[1], &rec) < 0)
			break;
	}
	n = refuse_and_recover(r, n);
	/* nor is anything granted or asked without evidence */
	(void)hold_gets(r, 0, &h, ZG_HOLD_REFUSED);
	assert_int_equal(ftruncate(filler, 0), 0);
	ring_becomes(r, 1, ZG_RING_OK);
	push(r, 1, ++n);
	h.call = 2;
	(void)hold_gets(r, 0, &h, ZG_HOLD_PENDING);
	assert_int_equal(role_stop(r), 0);
	log = slurp(r, FIRST_SEGMENT);
	assert_each_once(log, 1, n);
	assert_non_null(strstr(log, "\"kind\":\"audit.recover\""));
	assert_non_null(strstr(log, strerror(ENOSPC)));
	free(log);
	(void)verified(r);
	(void)close(filler);
	assert_int_equal(umount2(r->dir, MNT_DETACH), 0);
}

static void file_size_limit_refuses_calls_and_recovers(void **state)
{
	const struct rlimit none = {RLIM_INFINITY, RLIM_INFINITY};
	struct role *r = *state;
	char *log;
	uint64_t n = 0;

	/* more than SQLite's first page needs, less than these records */
	r->file_limit = 262144;
	role_start(r);
	while (zg_ring_state(&r->ring[1]) == ZG_RING_OK && n < 20000) {
		struct zg_record rec;

		/* room stays for what must be told while it fails */
		if (zg_ring_room(&r->ring[1]) < ZG_RECORD_SLOTS / 2) {
			(void)poll(NULL, 0, 1);
			continue;
		}
		sample(&rec, n + 1);
		if (zg_ring_push(&r->ring[1], &rec) < 0)
			break;
		n++;
	}
	n = refuse_and_recover(r, n);
	assert_int_equal(prlimit(r->pid, RLIMIT_FSIZE, &none, NULL), 0);
	ring_becomes(r, 1, ZG_RING_OK);
	assert_int_equal(role_stop(r), 0);
	log = slurp(r, FIRST_SEGMENT);
	assert_each_once(log, 1, n);
	free(log);
	(void)verified(r);
}

/* --- readers ---------------------------------------------------------------------- */

static int tail_of(const struct role *r, uint32_t records, bool follow)
{
	const struct zg_msg_ctl_audit_tail ask = {.records = records, .follow = follow};

	return control_as(r, ZG_MSG_CTL_AUDIT_TAIL, &ask, APPROVER);
}

/* The next line, put together from its parts. */
static void read_line(int sock, char *out, size_t size)
{
	struct zg_msg_ctl_audit_line part;
	size_t n = 0;
	struct zg_msg m;

	do {
		receive(sock, &m, ZG_MSG_CTL_AUDIT_LINE);
		memcpy(&part, m.body, sizeof(part));
		assert_true(part.bytes <= sizeof(part.text) && n + part.bytes < size);
		memcpy(out + n, part.text, part.bytes);
		n += part.bytes;
	} while (!part.last);
	out[n] = '\0';
}

static void tail_gives_the_last_lines_then_new_ones(void **state)
{
	struct role *r = *state;
	char line[32768];
	struct zg_msg m;
	int sock;

	role_start(r);
	for (uint64_t n = 1; n <= 300; n++)
		push(r, 1, n);
	free(log_with(r, "\"kind\":\"call.intent\"", 300));
	sock = tail_of(r, 3, false);
	for (int n = 298; n <= 300; n++) {
		char want[32];

		(void)snprintf(want, sizeof(want), "\"call\":%d,", n);
		read_line(sock, line, sizeof(line));
		assert_non_null(strstr(line, want));
	}
	receive(sock, &m, ZG_MSG_CTL_END);
	(void)close(sock);

	sock = tail_of(r, 100000, false);
	for (int n = 1; n <= 300; n++)
		read_line(sock, line, sizeof(line));
	receive(sock, &m, ZG_MSG_CTL_END);
	(void)close(sock);

	sock = tail_of(r, 1, true);
	read_line(sock, line, sizeof(line));
	assert_non_null(strstr(line, "\"call\":300,"));
	for (uint64_t n = 301; n <= 310; n++) {
		push(r, 2, n);
		read_line(sock, line, sizeof(line));
	}
	assert_non_null(strstr(line, "\"call\":310,"));
	(void)close(sock);
}

static void a_reader_that_does_not_read_holds_nobody_up(void **state)
{
	struct role *r = *state;
	char line[32768];
	int idle, other;

	role_start(r);
	push(r, 1, 0);
	free(log_with(r, "\"kind\":\"call.intent\"", 1));
	idle = tail_of(r, 1, true);
	read_line(idle, line, sizeof(line)); /* it follows from here on */
	for (uint64_t n = 1; n <= 4000; n++)
		push(r, 1, n);
	free(log_with(r, "\"kind\":\"call.intent\"", 4001));
	other = tail_of(r, 1, false);
	read_line(other, line, sizeof(line));
	/* it is behind, but nothing was dropped for it */
	for (int n = 1; n <= 4000; n++) {
		char want[32];

		do
			read_line(idle, line, sizeof(line));
		while (strstr(line, "audit.checkpoint"));
		(void)snprintf(want, sizeof(want), "\"call\":%d,", n);
		assert_non_null(strstr(line, want));
	}
	(void)close(idle);
	(void)close(other);
}

/* Requests that make no sense end with an error and harm nobody. */
static void hostile_handovers(void **state)
{
	struct role *r = *state;
	const struct {
		uint32_t type, bytes;
	} bad[] = {{ZG_MSG_CTL_AUDIT_TAIL, 3},
		   {ZG_MSG_HOLD, 0},
		   {4711, UINT32_MAX},
		   {ZG_MSG_CTL_APPROVAL_SHOW, 1u << 20}};

	role_start(r);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct zg_msg_ctl_handover h = {
			.peer = APPROVER, .type = bad[i].type, .bytes = bad[i].bytes};
		struct zg_msg m;
		int pair[2];

		assert_int_equal(zg_ipc_pair(pair, false), 0);
		assert_int_equal(zg_msg_send(r->channel, ZG_MSG_CTL_HANDOVER, &h, pair[1]), 0);
		(void)close(pair[1]);
		receive(pair[0], &m, ZG_MSG_CTL_END);
		assert_int_equal(((struct zg_msg_ctl_end *)m.body)->error, -EPROTO);
		(void)close(pair[0]);
	}
	assert_int_equal(role_stop(r), 0);
}

/* Whoever begins to hand in entries and says no more takes nobody's place. */
static void strangers_keep_nobody_out(void **state)
{
	const struct zg_ctl_peer stranger = {.pid = 98, .uid = AGENT_UID};
	struct zg_msg_ctl_server_submit m = {.id = "x", .owner = "o", .bytes = 1, .reason = "r"};
	const struct zg_msg_ctl_approvals_list list = {0};
	struct role *r = *state;
	int idle[ZG_CTL_CLIENTS_MAX];

	role_start(r);
	for (size_t i = 0; i < ZG_CTL_CLIENTS_MAX; i++)
		idle[i] = control_as(r, ZG_MSG_CTL_SERVER_SUBMIT, &m, stranger);
	assert_int_equal(ends(control_as(r, ZG_MSG_CTL_APPROVALS_LIST, &list, APPROVER)).error, 0);
	for (size_t i = 0; i < ZG_CTL_CLIENTS_MAX; i++)
		(void)close(idle[i]);
	assert_int_equal(role_stop(r), 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(works_as_a_user_below_a_closed_folder),
		T(everything_pushed_is_written_on_a_clean_stop),
		T(a_hostile_text_stays_in_its_field),
		T(killed_ledgers_lose_and_double_nothing),
		T(written_but_not_committed_is_not_written_twice),
		T(a_replaced_worker_loses_nothing),
		T(a_gateway_cannot_forge_other_kinds),
		T(full_disk_refuses_calls_and_recovers),
		T(file_size_limit_refuses_calls_and_recovers),
		T(tail_gives_the_last_lines_then_new_ones),
		T(a_reader_that_does_not_read_holds_nobody_up),
		T(hostile_handovers),
		T(strangers_keep_nobody_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
