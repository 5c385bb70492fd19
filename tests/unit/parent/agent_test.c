/* SPDX-License-Identifier: Apache-2.0 */
/*
 * agent_test.c - a whole agent, asked through its control socket as root, as
 * an ordinary user, and from inside a governed cgroup. It runs in a mount and
 * a network namespace of its own; this binary is executed again as each role.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <grp.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "cgroup.h"
#include "canary.h"
#include "config.h"
#include "gateway.h"
#include "ipc.h"
#include "ledger.h"
#include "parent.h"
#include "resolver.h"
#include "slice.h"

#define USER	65533
#define PORT	17993 /* nobody listens there */
#define ROWS	8
#define WAIT_MS 300000 /* the kernel verifies the gate's programs first */

/* What one question brought. */
struct answer {
	bool connected;
	int broken; /* -errno of the connection, 0 = an end came */
	struct zg_msg_ctl_end end;
	struct zg_msg_ctl_status status;
	struct zg_msg_ctl_run_started run;
	struct zg_msg_ctl_run_denial denial[ROWS];
	size_t denials;
	int dial; /* errno of the connection tried after a run began, 0 = it opened */
	char cgroup[ZG_PATH_LEN];
};

static struct {
	char dir[32], config[64], socket[64];
	char root[ZG_PATH_LEN];
	int notify;
	pid_t agent;
	uint64_t start_ms;     /* what its last start took on this machine */
	struct answer *answer; /* shared with the children that ask */
} lab;

/* the place -------------------------------------------------------------------- */

static void write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void write_config(const char *extra)
{
	char text[2048];

	snprintf(text, sizeof(text),
		 "version: v1\n"
		 "listen: [\"127.0.0.1:17411\"]\n"
		 "state_dir: state\nruntime_dir: run\npin_dir: %s/bpf/pins\n"
		 "cgroup_root: %s\nuser: nobody\nledger_user: daemon\nworkers: 1\n"
		 "profiles:\n"
		 "  agent:\n    cgroups: [\"zerogate.slice\"]\n"
		 "  lax:\n    cgroups: [\"lax.slice\"]\n"
		 "    allow:\n      - {cidr: \"127.0.0.0/8\", port: %d}\n%s",
		 lab.dir, lab.root, PORT, extra);
	write_text(lab.config, text);
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void start_agent(void)
{
	struct pollfd p = {.fd = lab.notify, .events = POLLIN};
	uint64_t started = now_ms();
	struct zg_parent_options o = {.config = lab.config, .prefix = ""};
	char text[256];

	/* what a former agent said of its reloads */
	while (recv(lab.notify, text, sizeof(text), MSG_DONTWAIT) > 0)
		;
	lab.agent = fork();
	assert_true(lab.agent >= 0);
	if (lab.agent == 0)
		_exit(zg_parent_main(&o));
	for (;;) {
		ssize_t n;

		assert_int_equal(poll(&p, 1, WAIT_MS), 1);
		n = recv(lab.notify, text, sizeof(text) - 1, 0);
		assert_true(n > 0);
		text[n] = '\0';
		if (strstr(text, "READY=1"))
			break;
	}
	lab.start_ms = now_ms() - started;
}

static void end_agent(int sig)
{
	int status;

	assert_int_equal(kill(lab.agent, sig), 0);
	assert_int_equal(waitpid(lab.agent, &status, 0), lab.agent);
	assert_int_equal(sig == SIGKILL ? WTERMSIG(status) : status, sig == SIGKILL ? SIGKILL : 0);
	lab.agent = -1;
}

static int prepare(void)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	struct zg_cgroups mount_;
	struct zg_err e;
	char path[128];

	if (geteuid() != 0 || unshare(CLONE_NEWNS | CLONE_NEWNET) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -1;
	if (system("ip link set lo up") != 0 || zg_cgroups_open(&mount_, "", &e) < 0)
		return -1;
	snprintf(lab.dir, sizeof(lab.dir), "/tmp/zg-agent-XXXXXX");
	if (!mkdtemp(lab.dir) || chmod(lab.dir, 0755) < 0)
		return -1;
	snprintf(lab.root, sizeof(lab.root), "%.400s/zg-agent-test-%d", mount_.root_path, getpid());
	zg_cgroups_close(&mount_);
	snprintf(lab.config, sizeof(lab.config), "%s/zerogate.yaml", lab.dir);
	snprintf(lab.socket, sizeof(lab.socket), "%s/run/control.sock", lab.dir);
	snprintf(path, sizeof(path), "%s/bpf", lab.dir);
	if (mkdir(lab.root, 0755) < 0 || mkdir(path, 0755) < 0 ||
	    mount("bpf", path, "bpf", 0, NULL) < 0)
		return -1;
	snprintf(path, sizeof(path), "%s/policies", lab.dir);
	(void)mkdir(path, 0755);
	snprintf(path, sizeof(path), "%s/servers", lab.dir);
	(void)mkdir(path, 0755);
	snprintf(path, sizeof(path), "%s/policies/p.yaml", lab.dir);
	write_text(path, "version: v1\nrules:\n  - id: r\n    match:\n      labels:\n"
			 "        mcp.action: read\n    decision: ALLOW\n");
	snprintf(path, sizeof(path), "%s/notify", lab.dir);
	(void)zg_str_cut(at.sun_path, sizeof(at.sun_path), zg_slice_str(path));
	lab.notify = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	lab.answer = mmap(NULL, sizeof(*lab.answer), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (lab.notify < 0 || bind(lab.notify, (struct sockaddr *)&at, sizeof(at)) < 0 ||
	    lab.answer == MAP_FAILED || setenv("NOTIFY_SOCKET", path, 1) < 0)
		return -1;
	return 0;
}

static int group_set_up(void **state)
{
	(void)state;
	if (prepare() == 0) {
		write_config("");
		start_agent();
		return 0;
	}
	print_message("skipped: needs root, cgroup2 and a bpf file system\n");
	return getenv("ZG_REQUIRE") ? -1 : 0;
}

static int group_tear_down(void **state)
{
	char command[2 * ZG_PATH_LEN];

	(void)state;
	if (!lab.answer)
		return 0;
	if (lab.agent > 0)
		end_agent(SIGTERM);
	snprintf(command, sizeof(command),
		 "umount %s/bpf && rm -rf %s && find %s -depth -type d -exec rmdir {} \\;", lab.dir,
		 lab.dir, lab.root);
	return system(command) == 0 ? 0 : -1;
}

#define NEEDS_AGENT()                                                                              \
	do {                                                                                       \
		if (!lab.answer)                                                                   \
			skip();                                                                    \
	} while (0)

/* asking --------------------------------------------------------------------------- */

static int dial(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
				 .sin_port = htons(PORT),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int rc = connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0 ? errno : 0;

	close(fd);
	return rc;
}

static int reach_agent(void)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	(void)zg_str_cut(at.sun_path, sizeof(at.sun_path), zg_slice_str(lab.socket));
	if (connect(sock, (struct sockaddr *)&at, sizeof(at)) < 0) {
		close(sock);
		return -1;
	}
	return sock;
}

static void enter(const char *cgroup)
{
	char path[2 * ZG_PATH_LEN];
	int fd;

	snprintf(path, sizeof(path), "%s/%s/cgroup.procs", lab.root, cgroup);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "0", 1) != 1)
		_exit(90);
	close(fd);
}

static void read_rows(int sock, struct answer *a)
{
	struct zg_msg m = {.fd = -1};

	while ((a->broken = zg_msg_recv(sock, &m)) == 0) {
		switch ((int)m.type) {
		case ZG_MSG_CTL_END:
			memcpy(&a->end, m.body, sizeof(a->end));
			return;
		case ZG_MSG_CTL_STATUS:
			memcpy(&a->status, m.body, sizeof(a->status));
			break;
		case ZG_MSG_CTL_RUN_STARTED:
			memcpy(&a->run, m.body, sizeof(a->run));
			break;
		case ZG_MSG_CTL_RUN_DENIAL:
			if (a->denials < ROWS)
				memcpy(&a->denial[a->denials++], m.body, sizeof(a->denial[0]));
			break;
		default:
			a->broken = -EPROTO;
			return;
		}
	}
}

static void note_cgroup(struct answer *a)
{
	FILE *f = fopen("/proc/self/cgroup", "re");
	char line[ZG_PATH_LEN];

	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, "0::", 3) == 0)
			(void)zg_str_cut(a->cgroup, sizeof(a->cgroup),
					 (struct zg_slice){line + 3, strcspn(line + 3, "\n")});
	if (f)
		fclose(f);
}

/* Ask from a process of its own: as uid, from a cgroup ("" = where we are).
 * After a run began, it dials twice where it may not. */
static const struct answer *ask(uid_t uid, const char *cgroup, enum zg_msg_type type,
				const void *body)
{
	struct answer *a = lab.answer;
	int status;
	pid_t pid;

	memset(a, 0, sizeof(*a));
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		int sock;

		if (cgroup[0])
			enter(cgroup);
		if (uid && (setgroups(0, NULL) < 0 || setgid(uid) < 0 || setuid(uid) < 0))
			_exit(91);
		sock = reach_agent();
		a->connected = sock >= 0;
		if (sock < 0 || zg_msg_send(sock, type, body, -1) < 0)
			_exit(92);
		read_rows(sock, a);
		if (type == ZG_MSG_CTL_RUN) {
			note_cgroup(a);
			(void)dial();
			a->dial = dial();
		}
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	return a;
}

static const struct answer *status_now(void)
{
	static const struct zg_msg_ctl_status_get get;

	return ask(0, "", ZG_MSG_CTL_STATUS_GET, &get);
}

/* From a cgroup: what becomes of a connection? */
static int dial_from(const char *cgroup)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		enter(cgroup);
		_exit(dial());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WEXITSTATUS(status);
}

static void make_slice(const char *name)
{
	char path[2 * ZG_PATH_LEN];

	snprintf(path, sizeof(path), "%s/%s", lab.root, name);
	assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
	/* the agent sees it through inotify before it answers the next question */
	(void)status_now();
}

/* cases ------------------------------------------------------------------------------ */

static void it_enforces_and_says_so(void **state)
{
	const struct answer *a;

	(void)state;
	NEEDS_AGENT();
	a = status_now();
	/* which optional layers this kernel has is kernel_layers_test's matter */
	if (strncmp(a->status.enforcement, "degraded: ", strlen("degraded: ")) != 0)
		assert_string_equal(a->status.enforcement, "full");
	assert_int_equal(a->status.workers_ready, 1);
	assert_int_equal(a->status.ledger_ready, 1);
	assert_int_equal(a->status.profiles, 2);
	make_slice("zerogate.slice");
	make_slice("lax.slice");
	assert_int_equal(dial(), ECONNREFUSED);
	assert_int_equal(dial_from("zerogate.slice"), EPERM);
	assert_int_equal(dial_from("lax.slice"), ECONNREFUSED);
}

static void only_free_root_may_change_it(void **state)
{
	static const struct zg_msg_ctl_reload reload;
	static const struct zg_msg_ctl_detach detach;
	static const struct zg_msg_ctl_status_get get;

	(void)state;
	NEEDS_AGENT();
	assert_int_equal(ask(USER, "", ZG_MSG_CTL_RELOAD, &reload)->end.exit, 1);
	assert_int_equal(ask(USER, "", ZG_MSG_CTL_DETACH, &detach)->end.exit, 1);
	assert_int_equal(ask(0, "zerogate.slice", ZG_MSG_CTL_DETACH, &detach)->end.exit, 1);
	assert_int_equal(ask(0, "zerogate.slice", ZG_MSG_CTL_RELOAD, &reload)->end.exit, 1);
	assert_int_equal(ask(0, "zerogate.slice", ZG_MSG_CTL_STATUS_GET, &get)->end.exit, 1);
	assert_int_equal(ask(USER, "", ZG_MSG_CTL_STATUS_GET, &get)->end.exit, 0);
	assert_int_equal(dial_from("zerogate.slice"), EPERM);
}

static void a_run_is_governed_and_reported(void **state)
{
	struct zg_msg_ctl_run request = {.comm = "test"};
	struct zg_msg_ctl_run_report report = {.exit_status = 7};
	char path[2 * ZG_PATH_LEN], what[ZG_REFUSAL_LEN];
	const struct answer *a;
	uint64_t deadline;

	(void)state;
	NEEDS_AGENT();
	a = ask(USER, "", ZG_MSG_CTL_RUN, &request);
	assert_int_equal(a->end.exit, 0);
	assert_string_equal(a->run.profile, "agent");
	assert_non_null(strstr(a->cgroup, "/zerogate.slice/run-"));
	assert_int_equal(a->dial, EPERM);
	snprintf(path, sizeof(path), "%s/%s", lab.root, a->run.cgroup);
	report.run = a->run.run;
	/* somebody else's report is not told */
	assert_int_equal(ask(USER + 1, "", ZG_MSG_CTL_RUN_REPORT, &report)->end.exit, 1);
	a = ask(USER, "", ZG_MSG_CTL_RUN_REPORT, &report);
	assert_int_equal(a->end.exit, 0);
	assert_int_equal(a->denials, 1);
	(void)snprintf(what, sizeof(what), "tcp 127.0.0.1:%d", PORT);
	assert_string_equal(a->denial[0].what, what);
	assert_int_equal(a->denial[0].count, 2);
	/* its cgroup goes with its last process */
	for (deadline = now_ms() + WAIT_MS; access(path, F_OK) == 0 && now_ms() < deadline;)
		(void)status_now();
	assert_int_equal(access(path, F_OK), -1);
}

static void a_profile_cannot_be_changed_from_inside(void **state)
{
	struct zg_msg_ctl_run lax = {.profile = "lax"}, same = {.profile = "agent"},
			      none = {.profile = "nonesuch"};
	const struct answer *a;

	(void)state;
	NEEDS_AGENT();
	a = ask(USER, "zerogate.slice", ZG_MSG_CTL_RUN, &lax);
	assert_int_equal(a->end.exit, 1);
	assert_int_equal(a->dial, EPERM);
	a = ask(USER, "zerogate.slice", ZG_MSG_CTL_RUN, &same);
	assert_int_equal(a->end.exit, 0);
	assert_int_equal(a->dial, EPERM);
	a = ask(USER, "", ZG_MSG_CTL_RUN, &none);
	assert_int_equal(a->end.exit, 2);
	assert_null(strstr(a->cgroup, "run-"));
}

static void what_breaks_the_protocol_is_dropped(void **state)
{
	struct {
		struct zg_msg_header head;
		char body[64];
	} bad[] = {
		{.head = {0xdead, ZG_MSG_CTL_RELOAD, sizeof(struct zg_msg_ctl_reload)}},
		{.head = {ZG_MSG_MAGIC, ZG_MSG_CTL_RELOAD, 1 << 20}},
		{.head = {ZG_MSG_MAGIC, 999, 8}},
		/* well formed, but a child's to send, or the agent's */
		{.head = {ZG_MSG_MAGIC, ZG_MSG_READY, sizeof(struct zg_msg_ready)}},
		{.head = {ZG_MSG_MAGIC, ZG_MSG_SNAPSHOT_OK, sizeof(struct zg_msg_snapshot_ok)}},
	};

	(void)state;
	NEEDS_AGENT();
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int sock = reach_agent();
		char byte;

		assert_true(sock >= 0);
		assert_int_equal(send(sock, &bad[i], sizeof(bad[i].head) + 8, MSG_NOSIGNAL),
				 sizeof(bad[i].head) + 8);
		assert_int_equal(recv(sock, &byte, 1, 0), 0);
		close(sock);
	}
	assert_int_equal(status_now()->end.exit, 0);
}

static void a_flood_of_one_user_leaves_room(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	NEEDS_AGENT();
	pid = fork();
	if (pid == 0) {
		int open_ = 0, last = -1;
		char byte;

		if (setgid(USER) < 0 || setuid(USER) < 0)
			_exit(90);
		for (int i = 0; i < ZG_CTL_CLIENTS_MAX; i++) {
			last = reach_agent();
			open_ += last >= 0;
		}
		/* the last one was turned away */
		_exit(last >= 0 && recv(last, &byte, 1, 0) == 0 && open_ > 0 ? 0 : 1);
	}
	/* root is served meanwhile */
	assert_int_equal(status_now()->broken, 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* One workload may be many users, in a user namespace. */
static void a_flood_of_many_users_leaves_room(void **state)
{
	int ready[2], over[2], status;
	char byte = 0;
	pid_t pid;

	(void)state;
	NEEDS_AGENT();
	assert_int_equal(pipe2(ready, O_CLOEXEC) | pipe2(over, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		if (setgroups(0, NULL) < 0 || setegid(USER) < 0)
			_exit(90);
		for (uid_t u = 0; u < 8; u++) {
			if (seteuid(USER + u) < 0)
				_exit(91);
			for (int i = 0; i < ZG_CTL_CLIENTS_UID_MAX; i++)
				(void)reach_agent();
			if (seteuid(0) < 0)
				_exit(92);
		}
		(void)close(over[1]);
		_exit(write(ready[1], &byte, 1) == 1 && read(over[0], &byte, 1) == 0 ? 0 : 1);
	}
	(void)close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(status_now()->broken, 0); /* root is served */
	(void)close(over[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	(void)close(ready[0]);
	(void)close(over[0]);
}

/* The pid of the process that is a role's, from its cgroup. */
static pid_t role_pid(const char *role)
{
	char path[2 * ZG_PATH_LEN], text[64] = "";
	uint64_t pid;
	int fd;
	ssize_t n;

	snprintf(path, sizeof(path), "%s/zerogate.agent/%s/cgroup.procs", lab.root, role);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	if (n <= 0 || zg_slice_u64((struct zg_slice){text, strcspn(text, "\n")}, INT32_MAX, &pid))
		return -1;
	return (pid_t)pid;
}

static void a_dead_child_is_back_within_a_second(void **state)
{
	static const char *const roles[] = {"ledger", "gateway"};

	(void)state;
	NEEDS_AGENT();
	for (uint32_t i = 0; i < 2; i++) {
		pid_t was = role_pid(roles[i]);
		uint64_t died = now_ms();
		const struct answer *a;

		assert_true(was > 0);
		assert_int_equal(kill(was, SIGKILL), 0);
		do
			a = status_now();
		while ((a->status.restarts < i + 1 || !a->status.ledger_ready ||
			a->status.workers_ready < 1) &&
		       now_ms() - died < WAIT_MS);
		/* generous for a machine that does other things as well: beside what
		 * it needs itself, a role is not waited for */
		assert_true(now_ms() - died < 3000 + 2 * lab.start_ms);
		assert_true(role_pid(roles[i]) > 0 && role_pid(roles[i]) != was);
		assert_int_equal(dial_from("zerogate.slice"), EPERM);
	}
}

static void a_bad_reload_changes_nothing(void **state)
{
	static const struct zg_msg_ctl_reload reload;
	const struct answer *a;
	uint8_t id[32];

	(void)state;
	NEEDS_AGENT();
	memcpy(id, status_now()->status.snapshot, sizeof(id));
	write_config("nonsense: 1\n");
	a = ask(0, "", ZG_MSG_CTL_RELOAD, &reload);
	assert_int_equal(a->end.exit, 1);
	assert_non_null(strstr(a->end.what, "zerogate.yaml:"));
	assert_non_null(strstr(a->end.what, "nonsense"));
	a = status_now();
	assert_memory_equal(a->status.snapshot, id, sizeof(id));
	assert_non_null(strstr(a->status.last_reload_error, "nonsense"));
	assert_int_equal(dial_from("zerogate.slice"), EPERM);
	/* a profile before the others renumbers them; nobody changes sides */
	write_config("  aaa:\n    cgroups: [\"aaa.slice\"]\n");
	assert_int_equal(ask(0, "", ZG_MSG_CTL_RELOAD, &reload)->end.exit, 0);
	a = status_now();
	assert_int_equal(a->status.profiles, 3);
	assert_string_equal(a->status.last_reload_error, "");
	assert_int_equal(dial_from("zerogate.slice"), EPERM);
	assert_int_equal(dial_from("lax.slice"), ECONNREFUSED);
}

static void a_second_agent_is_refused(void **state)
{
	struct zg_parent_options o = {.config = lab.config, .prefix = ""};
	int status;
	pid_t pid;

	(void)state;
	NEEDS_AGENT();
	pid = fork();
	if (pid == 0)
		_exit(zg_parent_main(&o));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 2);
	assert_int_equal(status_now()->end.exit, 0);
}

static void enforcement_outlives_the_agent(void **state)
{
	static const struct zg_msg_ctl_detach detach;
	char pins[128];
	int status;

	(void)state;
	NEEDS_AGENT();
	end_agent(SIGKILL);
	assert_int_equal(dial_from("zerogate.slice"), EPERM);
	start_agent();
	assert_int_equal(dial_from("zerogate.slice"), EPERM);
	end_agent(SIGTERM);
	assert_int_equal(dial_from("zerogate.slice"), EPERM);
	start_agent();
	assert_int_equal(ask(0, "", ZG_MSG_CTL_DETACH, &detach)->end.exit, 0);
	assert_int_equal(waitpid(lab.agent, &status, 0), lab.agent);
	assert_int_equal(status, 0);
	lab.agent = -1;
	assert_int_equal(dial_from("zerogate.slice"), ECONNREFUSED);
	snprintf(pins, sizeof(pins), "%s/bpf/pins", lab.dir);
	assert_int_equal(access(pins, F_OK), -1);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_enforces_and_says_so),
		cmocka_unit_test(only_free_root_may_change_it),
		cmocka_unit_test(a_run_is_governed_and_reported),
		cmocka_unit_test(a_profile_cannot_be_changed_from_inside),
		cmocka_unit_test(what_breaks_the_protocol_is_dropped),
		cmocka_unit_test(a_flood_of_one_user_leaves_room),
		cmocka_unit_test(a_flood_of_many_users_leaves_room),
		cmocka_unit_test(a_dead_child_is_back_within_a_second),
		cmocka_unit_test(a_bad_reload_changes_nothing),
		cmocka_unit_test(a_second_agent_is_refused),
		cmocka_unit_test(enforcement_outlives_the_agent),
	};
	static const struct {
		const char *arg;
		int (*main)(int sock);
	} roles[] = {{"--role=canary", zg_canary_main},
		     {"--role=config", zg_config_main},
		     {"--role=gateway", zg_gateway_main},
		     {"--role=ledger", zg_ledger_main},
		     {"--role=resolver", zg_resolver_main}};

	for (size_t i = 0; argc == 2 && i < sizeof(roles) / sizeof(roles[0]); i++)
		if (strcmp(argv[1], roles[i].arg) == 0)
			return roles[i].main(3);
	return cmocka_run_group_tests_name("agent", tests, group_set_up, group_tear_down);
}
