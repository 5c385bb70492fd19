/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sandbox_test.c - what somebody who runs code inside a locked role can still
 * do. Each case runs in a child of its own, because the lock is one way.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "sandbox.h"

/* Run attack() in a locked child; its wait status. */
static int locked(const struct zg_sandbox *s, int (*attack)(void))
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		struct zg_err e;

		if (zg_sandbox_enter(s, &e) < 0)
			_exit(99);
		_exit(attack());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static const struct zg_sandbox strict = {
	.role = "test", .no_paths = true, .max_files = 64, .max_memory = UINT64_C(1) << 32};

static int do_nothing(void)
{
	return 0;
}

static int start_a_program(void)
{
	char *argv[] = {(char *)"true", NULL};

	(void)execv("/bin/true", argv);
	return 0;
}

static int load_bpf(void)
{
	(void)syscall(SYS_bpf, 0, NULL, 0);
	return 0;
}

static int make_a_socket(void)
{
	(void)socket(AF_INET, SOCK_STREAM, 0);
	return 0;
}

static int make_a_unix_socket(void)
{
	(void)socket(AF_UNIX, SOCK_STREAM, 0);
	return 0;
}

static int make_tcp_sockets(void)
{
	return socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0) < 0 ||
	       socket(AF_INET6, SOCK_STREAM, 0) < 0;
}

static int make_a_udp_socket(void)
{
	return socket(AF_INET, SOCK_DGRAM, 0) >= 0 || errno != EACCES;
}

static int signal_the_parent(void)
{
	(void)kill(getppid(), 0);
	return 0;
}

static int open_a_path(void)
{
	return open("/etc/passwd", O_RDONLY) >= 0 || errno != EACCES;
}

static int map_code(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
	       MAP_FAILED;
}

static int fork_bomb(void)
{
	(void)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	return 0;
}
static int many_files(void)
{

	for (int i = 0; i < 200; i++)
		if (fcntl(0, F_DUPFD_CLOEXEC, 3) < 0)
			return errno != EMFILE;
	return 1;
}

static void expect_killed(const struct zg_sandbox *s, int (*attack)(void))
{
	int status = locked(s, attack);

	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSYS);
}

static void expect_clean(const struct zg_sandbox *s, int (*attack)(void))
{
	int status = locked(s, attack);

	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void ordinary_work_goes_on(void **state)
{
	(void)state;
	expect_clean(&strict, do_nothing);
}

static void forbidden_calls_kill(void **state)
{
	(void)state;
	expect_killed(&strict, start_a_program);
	expect_killed(&strict, load_bpf);
	expect_killed(&strict, make_a_socket);
	expect_killed(&strict, signal_the_parent);
	expect_killed(&strict, fork_bomb);
}

static void sockets_only_as_declared(void **state)
{
	struct zg_sandbox net = strict;

	(void)state;
	net.inet = true;
	expect_clean(&net, make_tcp_sockets);
	expect_clean(&net, make_a_udp_socket);
	expect_killed(&net, make_a_unix_socket);
}

static void no_path_opens(void **state)
{
	static const int open_allowed[] = {SCMP_SYS(open), SCMP_SYS(openat)};
	struct zg_sandbox s = strict;

	(void)state;
	expect_clean(&s, open_a_path);
	/* the second wall alone: the filter would let it through */
	if (syscall(SYS_landlock_create_ruleset, NULL, 0, 1) < 0)
		return;
	s.syscalls = open_allowed;
	s.syscall_count = 2;
	expect_clean(&s, open_a_path);
}

static void a_role_that_needs_paths_has_them(void **state)
{
	static const int open_allowed[] = {SCMP_SYS(openat)};
	struct zg_sandbox s = strict;
	int status;

	(void)state;
	s.no_paths = false;
	s.syscalls = open_allowed;
	s.syscall_count = 1;
	status = locked(&s, open_a_path);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 1); /* it did open */
}

static void no_new_code(void **state)
{
	(void)state;
#ifdef __SANITIZE_ADDRESS__
	skip();
#endif
	expect_clean(&strict, map_code);
}

static void descriptors_are_bounded(void **state)
{
	(void)state;
	expect_clean(&strict, many_files);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(ordinary_work_goes_on),
		cmocka_unit_test(forbidden_calls_kill),
		cmocka_unit_test(sockets_only_as_declared),
		cmocka_unit_test(no_path_opens),
		cmocka_unit_test(a_role_that_needs_paths_has_them),
		cmocka_unit_test(no_new_code),
		cmocka_unit_test(descriptors_are_bounded),
	};

	return cmocka_run_group_tests_name("sandbox", tests, NULL, NULL);
}
