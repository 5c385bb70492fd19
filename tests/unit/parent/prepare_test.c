/* SPDX-License-Identifier: Apache-2.0 */
/* prepare_test.c - what the parent gives up before it reads anything. Each in a
 * process of its own: it is given up for good. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "prepare.h"

enum { GET_MDWE = 66 };

static bool can_write_and_execute(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);

	if (p == MAP_FAILED)
		return false;
	(void)munmap(p, 4096);
	return true;
}

/* What fn returns in a process that has given its privileges up. */
static int afterwards(int (*fn)(void))
{
	pid_t pid = fork();
	int status = -1;

	if (pid == 0) {
		struct zg_err e = {0};

		_exit(zg_prepare_privileges(&e) < 0 ? 100 : fn());
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int executes_itself(void)
{
	return can_write_and_execute();
}

static int child_executes(void)
{
	pid_t pid = fork();
	int status = -1;

	if (pid == 0)
		_exit(can_write_and_execute());
	return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status)
									       : 101;
}

static int dumps_core(void)
{
	struct rlimit r;

	return getrlimit(RLIMIT_CORE, &r) < 0 || r.rlim_cur || r.rlim_max;
}

static void test_no_new_code(void **state)
{
	(void)state;
	if (prctl(GET_MDWE, 0, 0, 0, 0) < 0) {
		print_message("this kernel cannot refuse memory that is written and executed\n");
		assert_null(getenv("ZG_REQUIRE"));
		skip();
	}
	assert_int_equal(afterwards(executes_itself), 0);
	/* a local server compiles at run time */
	assert_int_equal(afterwards(child_executes), 1);
}

static void test_no_core(void **state)
{
	(void)state;
	assert_int_equal(afterwards(dumps_core), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_new_code),
		cmocka_unit_test(test_no_core),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
