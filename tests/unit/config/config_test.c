/* SPDX-License-Identifier: Apache-2.0 */
/* The config role in a process of its own, as the parent talks to it. */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "config.h"
#include "ipc.h"
#include "policy/world.h"
#include "snapshot.h"

struct role {
	pid_t pid;
	int sock;
};

static void start(struct role *r)
{
	int fds[2];

	assert_int_equal(zg_ipc_pair(fds, false), 0);
	r->pid = fork();
	assert_true(r->pid >= 0);
	if (r->pid == 0) {
		(void)close(fds[0]);
		_exit(zg_config_main(fds[1]));
	}
	(void)close(fds[1]);
	r->sock = fds[0];
}

/* Its exit status; 128 + n when a signal ended it. */
static int end(struct role *r)
{
	int status;

	(void)close(r->sock);
	assert_int_equal(waitpid(r->pid, &status, 0), r->pid);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void give(struct role *r, enum zg_config_file kind, const char *name, const char *text)
{
	struct zg_msg_config_file m = {.kind = kind};
	zg_autofd int fd = memfd_create("file", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_true(zg_str_cut(m.name, sizeof(m.name), zg_slice_str(name)));
	assert_int_equal(zg_msg_send(r->sock, ZG_MSG_CONFIG_FILE, &m, fd), 0);
}

static void compile(struct role *r, uint32_t settings_only)
{
	struct zg_msg_config_compile m = {.settings_only = settings_only};

	assert_int_equal(zg_msg_send(r->sock, ZG_MSG_CONFIG_COMPILE, &m, -1), 0);
}

static void a_good_configuration_is_answered_by_a_snapshot(void **state)
{
	struct zg_msg m = {.fd = -1};
	struct zg_snapshot s;
	struct zg_policy p;
	struct zg_err e;
	struct role r;

	(void)state;
	start(&r);
	give(&r, ZG_CF_MAIN, "zerogate.yaml", WORLD_MAIN);
	give(&r, ZG_CF_POLICY, "a.yaml",
	     "version: v1\nrules: [{id: a, match: {}, decision: ALLOW}]\n");
	give(&r, ZG_CF_SERVER, "github.json", world_servers[0]);
	compile(&r, 0);
	assert_int_equal(zg_msg_recv(r.sock, &m), 0);
	assert_int_equal(m.type, ZG_MSG_CONFIG_DONE);
	assert_int_equal(zg_snapshot_open(&s, m.fd, &e), 0);
	assert_memory_equal(s.header->id, m.body, sizeof(s.header->id));
	assert_int_equal(zg_policy_open(&p, s.policy, s.policy_bytes, &e), 0);
	assert_int_equal(s.server_count, 1);
	assert_true(s.scandb_bytes > 0);
	/* nobody can change it any more */
	assert_true(write(m.fd, "x", 1) < 0);
	assert_true(ftruncate(m.fd, 0) < 0);
	zg_snapshot_close(&s);
	zg_msg_release(&m);
	assert_int_equal(end(&r), 0);
}

static void settings_come_first_and_alone(void **state)
{
	struct zg_msg m = {.fd = -1};
	struct zg_snapshot s;
	struct zg_err e;
	struct role r;

	(void)state;
	start(&r);
	give(&r, ZG_CF_MAIN, "zerogate.yaml", "version: v1\nuser: u1\nprofiles: {a: {}}\n");
	compile(&r, 1);
	assert_int_equal(zg_msg_recv(r.sock, &m), 0);
	assert_int_equal(m.type, ZG_MSG_CONFIG_DONE);
	assert_int_equal(zg_snapshot_open(&s, m.fd, &e), 0);
	assert_string_equal(s.settings->user, "u1");
	zg_snapshot_close(&s);
	zg_msg_release(&m);
	assert_int_equal(end(&r), 0);
}

static void every_error_is_sent(void **state)
{
	static const struct {
		const char *file, *what;
		uint32_t line, column;
	} want[] = {
		{"a.yaml", "'NO' is not a decision", 2, 42},
		{"b.yaml", "unknown key 'x' in a policy", 3, 1},
	};
	struct role r;

	(void)state;
	start(&r);
	give(&r, ZG_CF_MAIN, "zerogate.yaml", WORLD_MAIN);
	give(&r, ZG_CF_POLICY, "a.yaml",
	     "version: v1\nrules: [{id: a, match: {}, decision:     NO}]\n");
	give(&r, ZG_CF_POLICY, "b.yaml", "version: v1\nrules: []\nx: 1\n");
	compile(&r, 0);
	for (size_t i = 0; i < ZG_COUNT(want); i++) {
		struct zg_msg m = {.fd = -1};
		const struct zg_msg_config_error *e = (const void *)m.body;

		assert_int_equal(zg_msg_recv(r.sock, &m), 0);
		assert_int_equal(m.type, ZG_MSG_CONFIG_ERROR);
		assert_string_equal(e->file, want[i].file);
		assert_string_equal(e->what, want[i].what);
		assert_int_equal(e->line, want[i].line);
		assert_int_equal(e->column, want[i].column);
		assert_true(e->hint[0]);
	}
	assert_int_equal(end(&r), 1);
}

static void it_ends_when_nobody_asks(void **state)
{
	struct zg_msg_ready odd = {0};
	struct zg_msg m = {.fd = -1};
	struct role r;

	(void)state;
	start(&r);
	assert_int_equal(end(&r), 1); /* the parent is gone */
	start(&r);
	assert_int_equal(zg_msg_send(r.sock, ZG_MSG_READY, &odd, -1), 0);
	assert_int_equal(zg_msg_recv(r.sock, &m), -EPIPE);
	assert_int_equal(end(&r), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_configuration_is_answered_by_a_snapshot),
		cmocka_unit_test(settings_come_first_and_alone),
		cmocka_unit_test(every_error_is_sent),
		cmocka_unit_test(it_ends_when_nobody_asks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
