/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stdio_bench.c - what watching for MCP servers on stdio costs everybody else: a
 * system call that writes nothing and one that writes, of a process that is not
 * governed, without and with the layer in one run. Needs root.
 */
#include "../unit/parent/kernel_lab.h"

#include <sys/syscall.h>
#include <time.h>

#define ROUNDS 41
#define CALLS  50000

static double now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double call_ns(int fd)
{
	double start = now_ns();

	for (int i = 0; i < CALLS; i++)
		if (fd < 0)
			(void)syscall(SYS_getppid);
		else
			(void)!write(fd, "x", 1);
	return (now_ns() - start) / CALLS;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void want(struct lab *lab, bool wanted)
{
	struct zg_err e = {0};

	if (zg_kernel_layer_want(lab->kernel, ZG_KL_STDIO, wanted, &e) < 0)
		fail_msg("the stdio layer: %s", e.what);
}

/* Interleaved, so that a busy machine disturbs both alike. */
static void measure(struct lab *lab, const char *text, int fd)
{
	static double without[ROUNDS], with[ROUNDS];

	for (int i = 0; i < ROUNDS; i++) {
		want(lab, false);
		without[i] = call_ns(fd);
		want(lab, true);
		with[i] = call_ns(fd);
	}
	qsort(without, ROUNDS, sizeof(without[0]), by_size);
	qsort(with, ROUNDS, sizeof(with[0]), by_size);
	(void)printf("%-20s %8.0f ns without, %8.0f ns with: %.2fx\n", text, without[ROUNDS / 2],
		     with[ROUNDS / 2], with[ROUNDS / 2] / without[ROUNDS / 2]);
}

static void test_the_tax(void **state ZG_UNUSED)
{
	struct lab *lab = lab_open();
	zg_autofd int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	const char *reason;

	assert_true(null >= 0);
	want(lab, true);
	(void)zg_kernel_layer_state(lab->kernel, ZG_KL_STDIO, &reason);
	(void)printf("watching stdio: %s\n", reason[0] ? reason : "by trampolines");
	measure(lab, "getppid()", -1);
	measure(lab, "write()", null);
}

static const struct CMUnitTest tests[] = {
	LAB_TEST(test_the_tax),
};

LAB_MAIN(tests)
