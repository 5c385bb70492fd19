/* SPDX-License-Identifier: Apache-2.0 */
/*
 * configure_test.c - which files may become policy, and what comes back. The
 * config role is the real one: this binary, executed again.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "config.h"
#include "configure.h"
#include "slice.h"

struct place {
	char dir[64];
	char main[128], policies[128], servers[128];
	size_t reports;
	struct zg_configure c;
};

static const char settings[] = "version: v1\n"
			       "profiles:\n"
			       "  agent:\n"
			       "    cgroups: [\"zerogate.slice\"]\n";
static const char rules[] = "version: v1\n"
			    "rules:\n"
			    "  - id: r\n"
			    "    match:\n"
			    "      labels:\n"
			    "        mcp.action: read\n"
			    "    decision: ALLOW\n";

static void write_file(const char *dir, const char *name, const char *text, mode_t mode)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static int set_up(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	snprintf(p->dir, sizeof(p->dir), "/tmp/zg-configure-XXXXXX");
	if (!mkdtemp(p->dir))
		return -1;
	snprintf(p->main, sizeof(p->main), "%s/zerogate.yaml", p->dir);
	snprintf(p->policies, sizeof(p->policies), "%s/policies", p->dir);
	snprintf(p->servers, sizeof(p->servers), "%s/servers", p->dir);
	if (mkdir(p->policies, 0755) < 0 || mkdir(p->servers, 0755) < 0)
		return -1;
	write_file(p->dir, "zerogate.yaml", settings, 0644);
	write_file(p->policies, "rules.yaml", rules, 0644);
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	struct place *p = *state;
	char command[128];

	zg_configure_release(&p->c);
	snprintf(command, sizeof(command), "rm -rf %s", p->dir);
	if (system(command) != 0)
		return -1;
	free(p);
	return 0;
}

static void report(void *arg, const struct zg_err *e)
{
	struct place *p = arg;

	assert_true(e->what[0]);
	p->reports++;
}

static int run(struct place *p)
{
	const struct zg_configure_input in = {.main = p->main,
					      .policies = p->policies,
					      .servers = p->servers,
					      .drop = geteuid() == 0,
					      .cgroup = -1,
					      .report = report,
					      .arg = p};

	p->reports = 0;
	return zg_configure_run(&p->c, &in);
}

static void expect_refused(struct place *p, const char *file, const char *what)
{
	assert_true(run(p) < 0);
	assert_true(p->reports >= 1);
	assert_non_null(strstr(p->c.first.file, file));
	if (!strstr(p->c.first.what, what))
		fail_msg("'%s' does not say '%s'", p->c.first.what, what);
}

static void good_files_become_a_snapshot(void **state)
{
	struct place *p = *state;
	struct zg_snapshot s;
	struct zg_err e;

	assert_int_equal(run(p), 0);
	assert_int_equal(p->reports, 0);
	assert_int_equal(zg_snapshot_open(&s, p->c.snapshot, &e), 0);
	assert_int_equal(s.profile_count, 1);
	assert_string_equal(s.profiles[0].name, "agent");
	zg_snapshot_close(&s);
}

static void an_error_says_where(void **state)
{
	struct place *p = *state;

	write_file(p->policies, "more.yaml", "version: v1\nrulez: []\n", 0644);
	expect_refused(p, "policies/more.yaml", "rulez");
	assert_int_equal(p->c.first.line, 2);
	assert_int_equal(p->c.first.column, 1);
}

static void files_that_others_write_are_refused(void **state)
{
	struct place *p = *state;

	write_file(p->policies, "rules.yaml", rules, 0664);
	expect_refused(p, "rules.yaml", "others than its owner");
	write_file(p->policies, "rules.yaml", rules, 0644);
	assert_int_equal(chmod(p->policies, 0777), 0);
	expect_refused(p, "policies", "others than its owner");
	assert_int_equal(chmod(p->policies, 0755), 0);
	write_file(p->dir, "zerogate.yaml", settings, 0646);
	expect_refused(p, "zerogate.yaml", "others than its owner");
	if (geteuid() == 0) {
		write_file(p->dir, "zerogate.yaml", settings, 0644);
		assert_int_equal(chown(p->servers, 65534, 65534), 0);
		expect_refused(p, "servers", "neither to root nor to the owner");
	}
}

static void only_regular_files_are_read(void **state)
{
	struct place *p = *state;
	char link[256], fifo[256];

	snprintf(link, sizeof(link), "%s/link.yaml", p->policies);
	assert_int_equal(symlink("/etc/passwd", link), 0);
	expect_refused(p, "link.yaml", "symbolic link");
	assert_int_equal(unlink(link), 0);
	/* must not hang either */
	snprintf(fifo, sizeof(fifo), "%s/fifo.yaml", p->policies);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	expect_refused(p, "fifo.yaml", "not a regular file");
	assert_int_equal(unlink(fifo), 0);
	/* not ours by name */
	write_file(p->policies, "notes.txt", "anything", 0666);
	write_file(p->policies, ".hidden.yaml", "anything", 0666);
	assert_int_equal(run(p), 0);
}

static void missing_things_are_named(void **state)
{
	struct place *p = *state;

	assert_int_equal(rmdir(p->servers), 0);
	expect_refused(p, "servers", "cannot open it");
	assert_int_equal(unlink(p->main), 0);
	expect_refused(p, "zerogate.yaml", "cannot open it");
}

/* More files than the channel holds at once. */
static void many_files_arrive(void **state)
{
	struct place *p = *state;
	struct zg_snapshot s;
	struct zg_err e;

	for (int i = 0; i < 600; i++) {
		char name[64], text[512];

		snprintf(name, sizeof(name), "s%03d.json", i);
		snprintf(
			text, sizeof(text),
			"{\"name\":\"test.example/"
			"s%03d\",\"description\":\"d\",\"version\":\"1.0.0\","
			"\"remotes\":[{\"type\":\"streamable-http\",\"url\":\"http://127.0.0.1:%d/"
			"mcp\"}],"
			"\"_meta\":{\"dev.zerogate/registry\":{\"id\":\"s%03d\",\"owner\":\"t\"}}}",
			i, 20000 + i, i);
		write_file(p->servers, name, text, 0644);
	}
	assert_int_equal(run(p), 0);
	assert_int_equal(zg_snapshot_open(&s, p->c.snapshot, &e), 0);
	assert_int_equal(s.server_count, 600);
	zg_snapshot_close(&s);
}

/* Of the copies that this process holds. */
static off_t largest_kept(void)
{
	off_t most = 0;

	for (int fd = 3; fd < 256; fd++) {
		char link[32], to[64] = "";
		struct stat st;

		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		if (readlink(link, to, sizeof(to) - 1) > 0 && strstr(to, "zerogate-config") &&
		    fstat(fd, &st) == 0 && st.st_size > most)
			most = st.st_size;
	}
	return most;
}

/* One that grows while it is read is not read without end. */
static void a_growing_file_is_cut(void **state)
{
	struct place *p = *state;
	char shadow[128], path[160];
	const struct zg_configure_input in = {.main = p->main,
					      .policies = p->policies,
					      .servers = p->servers,
					      .shadow = shadow,
					      .drop = geteuid() == 0,
					      .cgroup = -1,
					      .report = report,
					      .arg = p};

	snprintf(shadow, sizeof(shadow), "%s/shadow", p->dir);
	snprintf(path, sizeof(path), "%s/grows.yaml", shadow);
	assert_int_equal(mkdir(shadow, 0755), 0);
	for (int i = 0; i < 10; i++) {
		int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0644);
		pid_t pid;

		assert_true(fd >= 0);
		assert_int_equal(ftruncate(fd, ZG_CONFIG_FILE_BYTES), 0);
		pid = fork();
		if (pid == 0) {
			static const char more[1 << 16];

			for (int k = 0; k < 512; k++)
				if (write(fd, more, sizeof(more)) < 0)
					_exit(1);
			_exit(0);
		}
		assert_int_equal(zg_configure_start(&p->c, &in), 0);
		assert_true(largest_kept() <= ZG_CONFIG_FILE_BYTES + 1);
		zg_configure_release(&p->c);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		close(fd);
	}
}

int main(int argc, char **argv)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	static const struct CMUnitTest tests[] = {
		CASE(good_files_become_a_snapshot),
		CASE(an_error_says_where),
		CASE(files_that_others_write_are_refused),
		CASE(only_regular_files_are_read),
		CASE(missing_things_are_named),
		CASE(many_files_arrive),
		CASE(a_growing_file_is_cut),
	};

	if (argc == 2 && strcmp(argv[1], "--role=config") == 0)
		return zg_config_main(3);
	return cmocka_run_group_tests_name("configure", tests, NULL, NULL);
}
