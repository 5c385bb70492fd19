/* SPDX-License-Identifier: Apache-2.0 */
/*
 * approval_bench.c - 10,000 calls wait for a person, in a real ledger over real
 * sockets, three times over: what it takes to ask, to list all of them, to decide
 * on each, and how the ledger's memory stands after each round. An answer is on
 * disk twice (evidence, then the transaction), so what two syncs of this disk cost
 * is measured beside it, in the same folder and the same minutes.
 *
 * ZG_BENCH_WAITING: another number of calls.
 */
#include "ledger/harness.h"

#include "approval_row.h"

#define ROUNDS	  3
#define LISTS	  5
#define SYNCS	  500
#define PRINCIPAL 32 /* calls of one cgroup; fewer than may wait at once */

static double now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static int by_size(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void tell(const char *what, double *ms, size_t n)
{
	qsort(ms, n, sizeof(*ms), by_size);
	printf("  %-34s p50 %8.2f   p99 %8.2f   max %8.2f ms\n", what, ms[n / 2], ms[n * 99 / 100],
	       ms[n - 1]);
}

/* What the process holds that is its own, in KiB. */
static long own_memory(pid_t pid)
{
	char path[64], line[256];
	zg_autofile FILE *f = NULL;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		uint64_t kib;
		char *digits = line + strcspn(line, "0123456789");

		if (strncmp(line, "RssAnon:", 8) == 0 &&
		    zg_slice_u64((struct zg_slice){digits, strspn(digits, "0123456789")}, INT32_MAX,
				 &kib) == 0)
			return (long)kib;
	}
	fail_msg("%s tells no memory", path);
	return 0;
}

/* The processor's time that the ledger had so far: what no other load changes. */
static double busy_ms(pid_t pid)
{
	char path[64], line[128];
	zg_autofile FILE *f = NULL;
	uint64_t ns = 0;

	(void)snprintf(path, sizeof(path), "/proc/%d/schedstat", (int)pid);
	f = fopen(path, "r");
	assert_true(f && fgets(line, sizeof(line), f));
	assert_int_equal(
		zg_slice_u64((struct zg_slice){line, strspn(line, "0123456789")}, UINT64_MAX, &ns),
		0);
	return (double)ns / 1e6;
}

static void syncs(const struct role *r, double *ms)
{
	static const char bytes[1500];
	zg_autofd int fd =
		openat(r->state_dir, "syncs", O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	for (size_t i = 0; i < SYNCS; i++) {
		double from = now_ms();

		assert_int_equal(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
		assert_int_equal(fdatasync(fd), 0);
		ms[i] = now_ms() - from;
	}
	tell("one append and its fdatasync", ms, SYNCS);
	assert_int_equal(unlinkat(r->state_dir, "syncs", 0), 0);
}

/* Every call waits, as one that was not decided beforehand does. */
static void ask(const struct role *r, size_t n, size_t round, char (*id)[ZG_NAME_LEN], double *ms)
{
	for (size_t i = 0; i < n; i++) {
		struct zg_msg_hold h = held(r, round * n + i + 1, 0);
		uint64_t key = h.call;
		double from;

		memcpy(h.binding, &key, sizeof(key));
		memcpy(h.args_sha256, &key, sizeof(key));
		h.principal.cgroup_id = 100 + i / PRINCIPAL;
		memset(h.args_text, 'x', 1000);
		from = now_ms();
		memcpy(id[i], hold_gets(r, (int)(i % 2), &h, ZG_HOLD_PENDING).approval,
		       ZG_NAME_LEN);
		ms[i] = now_ms() - from;
	}
	tell("ask", ms, n);
}

static void list(const struct role *r, size_t n)
{
	const struct zg_msg_ctl_approvals_list what = {0};
	size_t messages = 0;
	double ms[LISTS], busy = busy_ms(r->pid);

	for (size_t i = 0; i < LISTS; i++) {
		double from = now_ms();
		int sock = control_as(r, ZG_MSG_CTL_APPROVALS_LIST, &what, APPROVER);
		size_t rows = 0;
		struct zg_msg m;

		for (messages = 0;; messages++) {
			struct zg_msg_ctl_approval_rows some;
			struct zg_msg_ctl_approval a;
			size_t at = 0;

			assert_int_equal(zg_msg_recv(sock, &m), 0);
			if (m.type == ZG_MSG_CTL_END)
				break;
			memcpy(&some, m.body, sizeof(some));
			while (zg_approval_rows_next(&some, &at, &a) == 1)
				rows++;
		}
		ms[i] = now_ms() - from;
		assert_int_equal(rows, n);
		(void)close(sock);
	}
	busy = (busy_ms(r->pid) - busy) / LISTS;
	tell("list all of them", ms, LISTS);
	printf("  %-34s %.2f ms\n", "the ledger's processor time for it", busy);
	printf("  %-34s %zu for %zu rows\n", "messages of a list", messages, n);
}

/* One yes, one no; whoever waits is told. */
static void decide_all(const struct role *r, size_t n, char (*id)[ZG_NAME_LEN], double *ms)
{
	double busy = busy_ms(r->pid);

	for (size_t i = 0; i < n; i++) {
		bool yes = i % 4 < 2;
		double from = now_ms();

		assert_int_equal(decide_as(r, id[i], yes, APPROVER).error, 0);
		ms[i] = now_ms() - from;
		assert_int_equal(answer(r, (int)(i % 2)).state,
				 yes ? ZG_HOLD_GRANTED : ZG_HOLD_DENIED);
	}
	tell("decide", ms, n);
	printf("  %-34s %.3f ms\n", "the ledger's processor time for one",
	       (busy_ms(r->pid) - busy) / (double)n);
}

static void bench(void **state)
{
	const char *text = getenv("ZG_BENCH_WAITING");
	uint64_t n = 10000;
	char(*id)[ZG_NAME_LEN];
	double *ms, load = 0;
	struct role r;

	(void)state;
	if (text)
		assert_int_equal(zg_slice_u64(zg_slice_str(text), 16000, &n), 0);
	id = calloc(n, sizeof(*id));
	ms = calloc(n > SYNCS ? n : SYNCS, sizeof(*ms));
	assert_true(id && ms);
	role_init(&r);
	role_start(&r);
	(void)getloadavg(&load, 1);
	printf("approvals: %llu wait; load %.1f\n", (unsigned long long)n, load);
	printf("  %-34s %ld KiB\n", "the ledger's memory, idle", own_memory(r.pid));
	for (size_t round = 0; round < ROUNDS; round++) {
		printf("round %zu\n", round + 1);
		syncs(&r, ms);
		ask(&r, n, round, id, ms);
		list(&r, n);
		printf("  %-34s %ld KiB\n", "memory while they wait", own_memory(r.pid));
		decide_all(&r, n, id, ms);
		printf("  %-34s %ld KiB\n", "memory when all are decided", own_memory(r.pid));
	}
	(void)getloadavg(&load, 1);
	printf("load at the end %.1f\n", load);
	assert_int_equal(role_stop(&r), 0);
	role_release(&r);
	free(id);
	free(ms);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(bench)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
