/* SPDX-License-Identifier: Apache-2.0 */
/*
 * denial_bench.c - a workload that does nothing but be refused: how many
 * denials a second there are, and that each is told or counted as lost. Needs
 * root. It fails when one is missing.
 */
#include "../unit/parent/kernel_lab.h"

#include <time.h>

#define DIALLERS 2
#define SECONDS	 2

struct tally { /* shared with the children */
	uint64_t refused[DIALLERS];
	int next;
};

static uint64_t now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static int be_refused(void *arg)
{
	struct tally *t = arg;
	uint64_t *count = &t->refused[__atomic_fetch_add(&t->next, 1, __ATOMIC_SEQ_CST)];
	struct endpoint to = endpoint_of("127.0.0.1", 9);
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint64_t until = now_ns() + SECONDS * UINT64_C(1000000000);

	while (now_ns() < until)
		for (int i = 0; i < 64; i++, ++*count)
			if (connect(s, (struct sockaddr *)&to.ss, to.bytes) == 0 || errno != EPERM)
				return 1;
	return 0;
}

static bool runs(pid_t pid)
{
	siginfo_t info = {0};

	return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && !info.si_pid;
}

static uint64_t told_and_lost(struct lab *lab, uint64_t *told, uint64_t *lost)
{
	uint64_t by_kind[ZG_E_MAX];

	*told += lab_events(lab).count[ZG_E_DENY];
	assert_int_equal(zg_kernel_lost(lab->kernel, by_kind), 0);
	*lost = by_kind[ZG_E_DENY];
	return *told + *lost;
}

static void bench(void **state ZG_UNUSED)
{
	struct tally *t =
		mmap(NULL, sizeof(*t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t told = 0, lost = 0, refused = 0;
	struct lab *lab = lab_open();
	pid_t child[DIALLERS];
	struct plan p;

	assert_ptr_not_equal(t, MAP_FAILED);
	plan_init(&p);
	plan_profile(&p, "a", ZG_MODE_ENFORCE);
	lab_apply(lab, &p);
	lab_govern(lab, "agent", P_A);
	for (int i = 0; i < DIALLERS; i++)
		child[i] = lab_start(lab, "agent", be_refused, t);
	for (int i = 0; i < DIALLERS; i++) {
		while (runs(child[i]))
			(void)told_and_lost(lab, &told, &lost);
		assert_int_equal(lab_wait(child[i]), 0);
	}
	for (int i = 0; i < DIALLERS; i++)
		refused += t->refused[i];
	assert_int_equal(told_and_lost(lab, &told, &lost), refused);
	(void)printf("denials: %.0f a second by %d processes; %llu = %llu told + %llu counted as "
		     "lost\n",
		     (double)refused / SECONDS, DIALLERS, (unsigned long long)refused,
		     (unsigned long long)told, (unsigned long long)lost);
}

static const struct CMUnitTest tests[] = {LAB_TEST(bench)};

LAB_MAIN(tests)
