/* SPDX-License-Identifier: Apache-2.0 */
/*
 * executable_test.c - which file a process executes: this process and children
 * that execute a copy of a program, in mount namespaces of their own too.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "digest.h"
#include "executable.h"
#include "slice.h"

static char folder[32];
static char program[64];

struct world {
	struct event_base *loop;
	struct zg_executables *x;
	struct zg_msg_exe_answer last;
	size_t answers;
};

static void take(void *arg, uint32_t worker, const struct zg_msg_exe_answer *a)
{
	struct world *w = arg;

	assert_int_equal(worker, 7);
	w->last = *a;
	w->answers++;
}

static struct world world_open(void)
{
	return (struct world){.loop = event_base_new()};
}

static void world_start(struct world *w)
{
	assert_non_null(w->loop);
	assert_int_equal(zg_executables_new(&w->x, w->loop, take, w), 0);
}

static void world_end(struct world *w)
{
	zg_executables_free(w->x);
	event_base_free(w->loop);
}

/* A copy of cat, which runs until its input ends. */
static void make_program(void)
{
	zg_autofd int from = open("/bin/cat", O_RDONLY | O_CLOEXEC), to = -1;
	char buf[65536];
	ssize_t n;

	(void)snprintf(folder, sizeof(folder), "/tmp/zg-exe-XXXXXX");
	assert_non_null(mkdtemp(folder));
	(void)snprintf(program, sizeof(program), "%s/program", folder);
	to = open(program, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	while ((n = read(from, buf, sizeof(buf))) > 0)
		assert_int_equal(write(to, buf, (size_t)n), n);
}

static void remove_program(void)
{
	(void)unlink(program);
	(void)rmdir(folder);
}

struct child {
	pid_t pid;
	int input;
};

/* Its first answer says that it executes the program now. */
static struct child child_start(const char *path, bool elsewhere)
{
	int in[2], out[2];
	struct child c;
	char byte;

	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	c.pid = fork();
	assert_true(c.pid >= 0);
	if (c.pid == 0) {
		if (elsewhere && (unshare(CLONE_NEWNS) < 0 ||
				  mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
				  mount(program, path, NULL, MS_BIND, NULL) < 0))
			_exit(120);
		if (dup2(in[0], 0) < 0 || dup2(out[1], 1) < 0)
			_exit(121);
		(void)execl(path, path, (char *)NULL);
		_exit(122);
	}
	(void)close(in[0]);
	(void)close(out[1]);
	assert_int_equal(write(in[1], "x", 1), 1);
	assert_int_equal(read(out[0], &byte, 1), 1);
	(void)close(out[0]);
	c.input = in[1];
	return c;
}

static void child_end(struct child *c)
{
	(void)close(c->input);
	(void)kill(c->pid, SIGKILL);
	assert_int_equal(waitpid(c->pid, NULL, 0), c->pid);
}

/* As the gate attests it: the 22nd word of its stat, and the file. */
static struct zg_msg_exe_query query_of(pid_t pid, const char *file)
{
	struct zg_msg_exe_query q = {.pid = (uint32_t)pid};
	char path[64], text[1024], *word;
	zg_autofd int fd = -1;
	struct stat st;
	uint64_t ticks;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = read(fd, text, sizeof(text) - 1);
	assert_true(n > 0);
	text[n] = '\0';
	word = strrchr(text, ')') + 2;
	for (int i = 3; i < 22; i++)
		word = strchr(word, ' ') + 1;
	assert_int_equal(
		zg_slice_u64((struct zg_slice){word, strcspn(word, " ")}, UINT64_MAX, &ticks), 0);
	q.start_ns = ticks * (UINT64_C(1000000000) / (uint64_t)sysconf(_SC_CLK_TCK)) + 12345;
	assert_int_equal(stat(file, &st), 0);
	q.exe_ino = st.st_ino;
	q.exe_dev = major(st.st_dev) << 20 | minor(st.st_dev);
	return q;
}

static void ask(struct world *w, const struct zg_msg_exe_query *q)
{
	size_t before = w->answers;

	zg_executables_ask(w->x, 7, q);
	while (w->answers == before)
		assert_int_equal(event_base_loop(w->loop, EVLOOP_ONCE), 0);
	assert_memory_equal(&w->last.of, q, sizeof(*q));
}

static void digest_of(const char *file, uint8_t out[32])
{
	zg_autofd int fd = open(file, O_RDONLY | O_CLOEXEC);
	zg_autofree char *bytes = NULL;
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	bytes = malloc((size_t)st.st_size);
	assert_non_null(bytes);
	assert_int_equal(read(fd, bytes, (size_t)st.st_size), st.st_size);
	zg_sha256(out, bytes, (size_t)st.st_size);
}

static void a_process_is_known_by_path_and_digest(void **state)
{
	struct world w = world_open();
	struct child c = child_start(program, false);
	struct zg_msg_exe_query q = query_of(c.pid, program);
	uint8_t sha256[32];

	(void)state;
	world_start(&w);
	digest_of(program, sha256);
	for (int i = 0; i < 2; i++) { /* hashed, then remembered */
		ask(&w, &q);
		assert_string_equal(w.last.path, program);
		assert_true(w.last.hashed);
		assert_memory_equal(w.last.sha256, sha256, 32);
	}
	child_end(&c);
	ask(&w, &q); /* the process is gone */
	assert_string_equal(w.last.path, "");
	assert_false(w.last.hashed);
	world_end(&w);
}

/* A longer file than one piece, for two who ask at once. */
static void who_waits_for_the_same_file_is_answered_too(void **state)
{
	struct world w = world_open();
	struct child c;
	struct zg_msg_exe_query q;
	uint8_t sha256[32];

	(void)state;
	assert_int_equal(truncate(program, 5 * 1048576 + 3), 0);
	c = child_start(program, false);
	q = query_of(c.pid, program);
	world_start(&w);
	zg_executables_ask(w.x, 7, &q);
	zg_executables_ask(w.x, 7, &q);
	assert_int_equal(w.answers, 0); /* the loop is not held up */
	while (w.answers < 2)
		assert_int_equal(event_base_loop(w.loop, EVLOOP_ONCE), 0);
	digest_of(program, sha256);
	assert_true(w.last.hashed);
	assert_memory_equal(w.last.sha256, sha256, 32);
	child_end(&c);
	world_end(&w);
}

static void another_process_or_file_is_not_known(void **state)
{
	struct world w = world_open();
	struct child c = child_start(program, false);
	struct zg_msg_exe_query right = query_of(c.pid, program), wrong[4];

	(void)state;
	world_start(&w);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		wrong[i] = right;
	wrong[0].start_ns += UINT64_C(1000000000); /* of that number, but later */
	wrong[1].exe_ino++;			   /* it executes something else now */
	wrong[2].exe_dev++;
	wrong[3].exe_ino = 0; /* the gate could not tell */
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		ask(&w, &wrong[i]);
		assert_string_equal(w.last.path, "");
		assert_false(w.last.hashed);
	}
	child_end(&c);
	world_end(&w);
}

static void a_name_that_others_have_for_another_file_does_not_count(void **state)
{
	struct world w = world_open();
	struct child c;
	struct zg_msg_exe_query q;
	uint8_t sha256[32];

	(void)state;
	if (geteuid() != 0) {
		assert_null(getenv("ZG_REQUIRE"));
		(void)fprintf(stderr, "SKIP: needs root\n");
		skip();
	}
	world_start(&w);
	digest_of(program, sha256);
	/* in its own mount namespace, the program is called /bin/true */
	c = child_start("/bin/true", true);
	q = query_of(c.pid, program);
	ask(&w, &q);
	assert_string_equal(w.last.path, "");
	assert_true(w.last.hashed); /* what it is can be told all the same */
	assert_memory_equal(w.last.sha256, sha256, 32);
	child_end(&c);
	/* nor does the name of a file that was replaced */
	c = child_start(program, false);
	q = query_of(c.pid, program);
	assert_int_equal(unlink(program), 0);
	ask(&w, &q);
	assert_string_equal(w.last.path, "");
	assert_true(w.last.hashed);
	child_end(&c);
	world_end(&w);
}

static int before(void **state)
{
	(void)state;
	make_program();
	return 0;
}

static int after(void **state)
{
	(void)state;
	remove_program();
	return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, before, after)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_process_is_known_by_path_and_digest),
		TEST(who_waits_for_the_same_file_is_answered_too),
		TEST(another_process_or_file_is_not_known),
		TEST(a_name_that_others_have_for_another_file_does_not_count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
