/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cgroup_test.c - which cgroups are governed, on a real cgroup2 tree: a
 * scratch root of its own, made and removed by each test.
 */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "cgroup.h"
#include "slice.h"

#define AGENT ZG_PROFILE_FIRST
#define OTHER (ZG_PROFILE_FIRST + 1)

/* What the kernel gate would hold. */
struct gate {
	struct {
		uint64_t id;
		uint32_t profile;
	} member[64];
	size_t count;
};

struct scratch {
	char path[ZG_PATH_LEN];
	struct zg_cgroups c;
	struct gate gate;
};

static int govern(void *arg, uint64_t id, uint32_t profile)
{
	struct gate *g = arg;
	size_t i = 0;

	while (i < g->count && g->member[i].id != id)
		i++;
	if (i == 64)
		return -ENOSPC;
	g->member[i].id = id;
	g->member[i].profile = profile;
	g->count += i == g->count;
	return 0;
}

static int release_(void *arg, uint64_t id)
{
	struct gate *g = arg;

	for (size_t i = 0; i < g->count; i++) {
		if (g->member[i].id == id) {
			g->member[i] = g->member[--g->count];
			return 0;
		}
	}
	return -ENOENT;
}

static void make(struct scratch *s, const char *path)
{
	char full[2 * ZG_PATH_LEN];

	snprintf(full, sizeof(full), "%s/%s", s->path, path);
	assert_int_equal(mkdir(full, 0755), 0);
}

static void take_away(struct scratch *s, const char *path)
{
	char full[2 * ZG_PATH_LEN];

	snprintf(full, sizeof(full), "%s/%s", s->path, path);
	assert_int_equal(rmdir(full), 0);
}

static uint64_t id_of(struct scratch *s, const char *path)
{
	char full[2 * ZG_PATH_LEN];
	struct stat st;

	snprintf(full, sizeof(full), "%s/%s", s->path, path);
	assert_int_equal(stat(full, &st), 0);
	return st.st_ino;
}

/* As the gate sees it, ZG_PROFILE_NONE = not governed by name. */
static uint32_t held(struct scratch *s, const char *path)
{
	uint64_t id = id_of(s, path);

	for (size_t i = 0; i < s->gate.count; i++)
		if (s->gate.member[i].id == id)
			return s->gate.member[i].profile;
	return ZG_PROFILE_NONE;
}

static void follow(struct scratch *s, const struct zg_cgroup_def *defs, size_t n)
{
	struct zg_err e;

	assert_int_equal(zg_cgroups_follow(&s->c, defs, n, &e), 0);
}

/* Wait for inotify, then let it be handled. */
static void events(struct scratch *s)
{
	struct pollfd p = {.fd = s->c.inotify, .events = POLLIN};

	assert_int_equal(poll(&p, 1, 120000), 1);
	assert_int_equal(zg_cgroups_event(&s->c), 0);
}

static int set_up(void **state)
{
	struct scratch *s = calloc(1, sizeof(*s));
	const struct zg_cgroup_gate gate = {govern, release_, &s->gate};
	struct zg_err e = {0};
	struct zg_cgroups mount;

	*state = s;
	if (geteuid() != 0 || zg_cgroups_open(&mount, "", &e) < 0) {
		print_message("%s\n", e.what[0] ? e.what : "needs root");
		if (getenv("ZG_REQUIRE"))
			return -1;
		free(s);
		*state = NULL;
		return 0;
	}
	snprintf(s->path, sizeof(s->path), "%.400s/zg-cgroup-test-%d", mount.root_path, getpid());
	zg_cgroups_close(&mount);
	if (mkdir(s->path, 0755) < 0 || zg_cgroups_open(&s->c, s->path, &e) < 0)
		return -1;
	zg_cgroups_set_gate(&s->c, &gate);
	return 0;
}

static int tear_down(void **state)
{
	struct scratch *s = *state;
	char command[2 * ZG_PATH_LEN];

	if (!s)
		return 0;
	zg_cgroups_close(&s->c);
	snprintf(command, sizeof(command), "find %s -depth -type d -exec rmdir {} \\;", s->path);
	if (system(command) != 0)
		return -1;
	free(s);
	return 0;
}

#define SCRATCH(state)                                                                             \
	struct scratch *s = *(state);                                                              \
	if (!s)                                                                                    \
	skip()

static void globs_name_what_exists_and_what_appears(void **state)
{
	const struct zg_cgroup_def defs[] = {{.glob = "zerogate.slice", .profile = AGENT},
					     {.glob = "user-*/box", .profile = OTHER}};

	SCRATCH(state);
	make(s, "user-1");
	make(s, "user-1/box");
	make(s, "user-1/other");
	follow(s, defs, 2);
	assert_int_equal(held(s, "user-1/box"), OTHER);
	assert_int_equal(held(s, "user-1/other"), ZG_PROFILE_NONE);
	assert_int_equal(held(s, "user-1"), ZG_PROFILE_NONE);
	make(s, "zerogate.slice");
	events(s);
	assert_int_equal(held(s, "zerogate.slice"), AGENT);
	/* both at once: the second is found although its parent was not watched yet */
	make(s, "user-2");
	make(s, "user-2/box");
	events(s);
	assert_int_equal(held(s, "user-2/box"), OTHER);
	make(s, "somebody");
	make(s, "somebody/box");
	events(s);
	assert_int_equal(held(s, "somebody/box"), ZG_PROFILE_NONE);
}

static void a_cgroup_that_goes_is_released(void **state)
{
	const struct zg_cgroup_def defs[] = {{.glob = "a*", .profile = AGENT}};

	SCRATCH(state);
	make(s, "a1");
	follow(s, defs, 1);
	assert_int_equal(s->gate.count, 1);
	take_away(s, "a1");
	events(s);
	/* its connections may outlive it: not yet */
	assert_int_equal(s->gate.count, 1);
	follow(s, defs, 1);
	assert_int_equal(s->gate.count, 1);
	s->c.linger_sec = -1;
	follow(s, defs, 1);
	assert_int_equal(s->gate.count, 0);
	assert_int_equal(s->c.entries, 0);
	/* gone and back before anybody looked: the new one is governed */
	make(s, "a2");
	take_away(s, "a2");
	make(s, "a2");
	events(s);
	assert_int_equal(held(s, "a2"), AGENT);
	assert_int_equal(s->gate.count, 1);
}

/* A full gate lets go of what is gone longest, and of nothing else. */
static void those_that_live_come_first(void **state)
{
	const struct zg_cgroup_def defs[] = {{.glob = "a*", .profile = AGENT}};
	char name[16];

	SCRATCH(state);
	follow(s, defs, 1);
	for (int i = 0; i < 66; i++) { /* two more than the gate here holds */
		(void)snprintf(name, sizeof(name), "a%d", i);
		make(s, name);
		events(s);
		if (i == 65)
			break;
		take_away(s, name);
		events(s);
	}
	assert_int_equal(held(s, "a65"), AGENT);
	assert_int_equal(s->gate.count, 64);
}

static void a_reload_moves_and_releases(void **state)
{
	const struct zg_cgroup_def was[] = {{.glob = "a", .profile = AGENT},
					    {.glob = "b", .profile = AGENT}};
	const struct zg_cgroup_def now[] = {{.glob = "b", .profile = OTHER}};

	SCRATCH(state);
	make(s, "a");
	make(s, "b");
	follow(s, was, 2);
	assert_int_equal(zg_cgroups_govern(&s->c, 4711, "own/gateway", ZG_PROFILE_GATEWAY), 0);
	follow(s, now, 1);
	assert_int_equal(held(s, "a"), ZG_PROFILE_NONE);
	assert_int_equal(held(s, "b"), OTHER);
	assert_int_equal(s->gate.count, 2); /* the fixed one stays */
}

static void a_former_runs_members_are_kept_or_released(void **state)
{
	const struct zg_cgroup_def defs[] = {{.glob = "a", .profile = AGENT}};
	uint64_t a, b;

	SCRATCH(state);
	make(s, "a");
	make(s, "b");
	a = id_of(s, "a");
	b = id_of(s, "b");
	assert_int_equal(govern(&s->gate, a, AGENT), 0);
	assert_int_equal(govern(&s->gate, b, AGENT), 0);
	assert_int_equal(govern(&s->gate, 999999999, AGENT), 0); /* long gone */
	assert_int_equal(zg_cgroups_adopt(&s->c, a, AGENT), 0);
	assert_int_equal(zg_cgroups_adopt(&s->c, b, AGENT), 0);
	assert_int_equal(zg_cgroups_adopt(&s->c, 999999999, AGENT), 0);
	follow(s, defs, 1);
	assert_int_equal(held(s, "a"), AGENT);
	assert_int_equal(held(s, "b"), ZG_PROFILE_NONE);
	assert_int_equal(s->gate.count, 2); /* the one that is gone, for a while */
	/* renumbered by a reload, and then forgotten */
	assert_int_equal(zg_cgroups_adopt(&s->c, 999999999, OTHER), 0);
	assert_int_equal(s->c.entry[1].profile, OTHER);
	s->c.linger_sec = -1;
	follow(s, defs, 1);
	assert_int_equal(s->gate.count, 1);
}

static void the_nearest_ancestor_and_the_first_glob_win(void **state)
{
	const struct zg_cgroup_def defs[] = {{.glob = "a", .profile = AGENT},
					     {.glob = "a/inner", .profile = OTHER},
					     {.glob = "*", .profile = OTHER}};

	SCRATCH(state);
	make(s, "a");
	make(s, "a/inner");
	make(s, "ab");
	follow(s, defs, 3);
	assert_int_equal(zg_cgroups_profile(&s->c, "a"), AGENT);
	assert_int_equal(zg_cgroups_profile(&s->c, "a/x/y"), AGENT);
	assert_int_equal(zg_cgroups_profile(&s->c, "a/inner/y"), OTHER);
	assert_int_equal(zg_cgroups_profile(&s->c, "ab"), OTHER);
	assert_int_equal(zg_cgroups_profile(&s->c, "abc"), ZG_PROFILE_NONE);
	assert_int_equal(zg_cgroups_profile(&s->c, ""), ZG_PROFILE_NONE);
}

static void an_id_has_a_name_while_it_lives(void **state)
{
	char path[ZG_CGROUP_LEN], above[ZG_PATH_LEN];
	struct stat st;
	uint64_t id;

	SCRATCH(state);
	make(s, "a");
	make(s, "a/b");
	id = id_of(s, "a/b");
	assert_int_equal(zg_cgroups_path(&s->c, id, path), 0);
	assert_string_equal(path, "a/b");
	take_away(s, "a/b");
	assert_int_equal(zg_cgroups_path(&s->c, id, path), -ENOENT);
	assert_string_equal(path, "");
	/* not ours to name */
	snprintf(above, sizeof(above), "%.500s/..", s->path);
	assert_int_equal(stat(above, &st), 0);
	assert_int_equal(zg_cgroups_path(&s->c, st.st_ino, path), -EXDEV);
}

static void a_process_is_found_where_it_is(void **state)
{
	char path[ZG_CGROUP_LEN];
	int fds[2], status;
	char byte;
	pid_t pid;

	SCRATCH(state);
	assert_int_equal(zg_cgroups_of_pid(&s->c, getpid(), path), -EXDEV);
	make(s, "in");
	assert_int_equal(pipe(fds), 0);
	pid = fork();
	if (pid == 0) {
		char procs[2 * ZG_PATH_LEN];
		int fd;

		snprintf(procs, sizeof(procs), "%s/in/cgroup.procs", s->path);
		fd = open(procs, O_WRONLY);
		if (fd < 0 || write(fd, "0", 1) != 1 || write(fds[1], "x", 1) != 1)
			_exit(1);
		pause();
	}
	assert_int_equal(read(fds[0], &byte, 1), 1);
	assert_int_equal(zg_cgroups_of_pid(&s->c, pid, path), 0);
	assert_string_equal(path, "in");
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(zg_cgroups_of_pid(&s->c, pid, path), -ESRCH);
	close(fds[0]);
	close(fds[1]);
}

/* The agent's cgroups: found again, left again, removed again. */
static void it_settles_and_leaves(void **state)
{
	char path[ZG_CGROUP_LEN];
	uint64_t id;
	int status;
	pid_t pid;

	SCRATCH(state);
	pid = fork();
	if (pid == 0) {
		struct zg_err e;
		int fd;

		if (zg_cgroups_settle(&s->c, &e) < 0 ||
		    zg_cgroups_of_pid(&s->c, getpid(), path) < 0 ||
		    strcmp(path, "zerogate.agent/parent") != 0)
			_exit(1);
		fd = zg_cgroups_role(&s->c, "gateway", &id);
		if (fd < 0 || id != id_of(s, "zerogate.agent/gateway"))
			_exit(2);
		zg_cgroups_leave(&s->c);
		_exit(zg_cgroups_of_pid(&s->c, getpid(), path) == -EXDEV ? 0 : 3);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	snprintf(path, sizeof(path), "zerogate.agent");
	assert_int_equal(faccessat(s->c.root, path, F_OK, 0), -1);
}

static void only_what_it_made_is_swept(void **state)
{
	const struct zg_cgroup_def defs[] = {{.glob = "mine", .profile = AGENT},
					     {.glob = "theirs", .profile = AGENT},
					     {.glob = "pattern-*", .profile = AGENT}};
	int fd;

	SCRATCH(state);
	fd = zg_cgroups_make(&s->c, "mine/run-1", true);
	assert_true(fd >= 0);
	close(fd);
	make(s, "theirs");
	make(s, "theirs/run-2");
	make(s, "pattern-1");
	zg_cgroups_sweep(&s->c, defs, 3, false);
	assert_int_equal(faccessat(s->c.root, "mine/run-1", F_OK, 0), -1);
	assert_int_equal(faccessat(s->c.root, "theirs/run-2", F_OK, 0), -1);
	assert_int_equal(faccessat(s->c.root, "mine", F_OK, 0), 0);
	zg_cgroups_sweep(&s->c, defs, 3, true);
	assert_int_equal(faccessat(s->c.root, "mine", F_OK, 0), -1);
	assert_int_equal(faccessat(s->c.root, "theirs", F_OK, 0), 0);
	assert_int_equal(faccessat(s->c.root, "pattern-1", F_OK, 0), 0);
}

static void other_file_systems_are_refused(void **state)
{
	struct zg_cgroups c;
	struct zg_err e;

	(void)state;
	assert_true(zg_cgroups_open(&c, "/tmp", &e) < 0);
	assert_true(e.what[0] && e.hint[0]);
	zg_cgroups_close(&c);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	static const struct CMUnitTest tests[] = {
		CASE(globs_name_what_exists_and_what_appears),
		CASE(a_cgroup_that_goes_is_released),
		CASE(those_that_live_come_first),
		CASE(a_reload_moves_and_releases),
		CASE(a_former_runs_members_are_kept_or_released),
		CASE(the_nearest_ancestor_and_the_first_glob_win),
		CASE(an_id_has_a_name_while_it_lives),
		CASE(a_process_is_found_where_it_is),
		CASE(it_settles_and_leaves),
		CASE(only_what_it_made_is_swept),
		cmocka_unit_test(other_file_systems_are_refused),
	};

	return cmocka_run_group_tests_name("cgroup", tests, NULL, NULL);
}
