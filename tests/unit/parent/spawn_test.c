/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spawn_test.c - what a role is left with. This binary is executed again as
 * the role, looks at itself, and answers over its channel.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "slice.h"
#include "spawn.h"

#define NOBODY 65534

struct seen {
	uid_t uid, euid;
	gid_t gid;
	int groups;
	int no_new_privs;
	int death_signal;
	int descriptors; /* open ones, the channel included */
	int ignored;	 /* signals that are not default, or blocked */
	int environment; /* variables */
	bool regained_root;
	uint64_t capabilities;
};

/* as the role ---------------------------------------------------------------- */

static int count_descriptors(void)
{
	int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static int count_signals(void)
{
	struct sigaction sa;
	sigset_t blocked;
	int n = 0;

	(void)sigprocmask(SIG_BLOCK, NULL, &blocked);
	for (int i = 1; i < SIGRTMIN; i++)
		n += (sigaction(i, NULL, &sa) == 0 && sa.sa_handler != SIG_DFL) ||
		     sigismember(&blocked, i) == 1;
	return n;
}

static uint64_t effective(void)
{
	zg_autofile FILE *f = fopen("/proc/self/status", "re");
	char line[256];
	unsigned long long caps = UINT64_MAX;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "CapPrm: %llx", &caps) == 1)
			break;
	return caps;
}

static int probe(void)
{
	struct seen s = {.uid = getuid(),
			 .euid = geteuid(),
			 .gid = getgid(),
			 .groups = getgroups(0, NULL),
			 .no_new_privs = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0),
			 .descriptors = count_descriptors(),
			 .ignored = count_signals(),
			 .capabilities = effective()};

	(void)prctl(PR_GET_PDEATHSIG, &s.death_signal, 0, 0, 0);
	for (char **e = environ; *e; e++)
		s.environment++;
	s.regained_root = setuid(0) == 0;
	return write(3, &s, sizeof(s)) != (ssize_t)sizeof(s);
}

/* as the test ------------------------------------------------------------------ */

static void need_root(void)
{
	if (geteuid() == 0)
		return;
	if (getenv("ZG_REQUIRE"))
		fail_msg("needs root");
	print_message("skipped: needs root\n");
	skip();
}

static void look(const struct zg_spawn *how, struct seen *out)
{
	struct pollfd p;
	struct zg_err e;
	int sock, status;
	pid_t pid;

	assert_int_equal(zg_spawn(how, &pid, &sock, &e), 0);
	p = (struct pollfd){.fd = sock, .events = POLLIN};
	assert_int_equal(poll(&p, 1, 120000), 1);
	assert_int_equal(recv(sock, out, sizeof(*out), 0), sizeof(*out));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(sock);
}

static const struct zg_spawn dropped = {.role = "probe",
					.cgroup = -1,
					.drop = true,
					.uid = NOBODY,
					.gid = NOBODY,
					.death_signal = SIGKILL};

static void a_child_has_no_privilege(void **state)
{
	struct seen s;

	(void)state;
	need_root();
	look(&dropped, &s);
	assert_int_equal(s.uid, NOBODY);
	assert_int_equal(s.euid, NOBODY);
	assert_int_equal(s.gid, NOBODY);
	assert_int_equal(s.groups, 0);
	assert_int_equal(s.capabilities, 0);
	assert_int_equal(s.no_new_privs, 1);
	assert_int_equal(s.death_signal, SIGKILL);
	assert_false(s.regained_root);
}

static void a_child_inherits_nothing_by_accident(void **state)
{
	int secret = open("/etc/passwd", O_RDONLY); /* not close-on-exec */
	sigset_t usr1, before;
	struct seen s;

	(void)state;
	need_root();
	assert_true(secret >= 0);
	assert_true(fcntl(secret, F_DUPFD, 200) >= 0);
	assert_int_equal(setenv("LD_PRELOAD", "/nonexistent", 1), 0);
	assert_int_equal(setenv("HTTP_PROXY", "http://127.0.0.1", 1), 0);
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	assert_int_equal(sigprocmask(SIG_BLOCK, &usr1, &before), 0);
	signal(SIGPIPE, SIG_IGN);
	look(&dropped, &s);
	assert_int_equal(s.descriptors, 4); /* three standard ones and the channel */
#ifndef __SANITIZE_ADDRESS__		    /* which handles some by itself */
	assert_int_equal(s.ignored, 0);
#endif
	assert_true(s.environment <= 5);
	unsetenv("LD_PRELOAD");
	unsetenv("HTTP_PROXY");
	sigprocmask(SIG_SETMASK, &before, NULL);
	close(200);
	close(secret);
}

/* A role never stays root because of a wrong number. */
static void root_is_refused(void **state)
{
	struct zg_spawn root = dropped;
	struct zg_err e;
	int sock, status;
	pid_t pid;

	(void)state;
	need_root();
	root.uid = 0;
	assert_int_equal(zg_spawn(&root, &pid, &sock, &e), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 127);
	close(sock);
}

/* The other end sees end of file when a child cannot be made what it must be. */
static void a_missing_cgroup_ends_the_child(void **state)
{
	zg_autofd int dir = open("/tmp", O_DIRECTORY | O_CLOEXEC);
	struct zg_spawn bad = dropped;
	struct pollfd p;
	struct zg_err e;
	char byte;
	int sock;
	pid_t pid;

	(void)state;
	need_root();
	bad.cgroup = dir; /* not a cgroup */
	assert_int_equal(zg_spawn(&bad, &pid, &sock, &e), 0);
	p = (struct pollfd){.fd = sock, .events = POLLIN};
	assert_int_equal(poll(&p, 1, 120000), 1);
	assert_int_equal(recv(sock, &byte, 1, 0), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	close(sock);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_child_has_no_privilege),
		cmocka_unit_test(a_child_inherits_nothing_by_accident),
		cmocka_unit_test(root_is_refused),
		cmocka_unit_test(a_missing_cgroup_ends_the_child),
	};

	if (argc == 2 && strcmp(argv[1], "--role=probe") == 0)
		return probe();
	return cmocka_run_group_tests_name("spawn", tests, NULL, NULL);
}
