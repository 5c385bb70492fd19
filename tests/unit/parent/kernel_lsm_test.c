/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel_lsm_test.c - the security hooks: sockets of families that no layer
 * judges, sockets from outside, other processes, the gate's own pins. What was
 * refused must not have arrived; what an ungoverned process does in the same
 * way must still work, so that a test cannot pass because it is broken itself.
 */
#include "kernel_lab.h"

#include <linux/if_ether.h>
#include <linux/netlink.h>
#include <linux/vm_sockets.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>

#include <bpf/bpf.h>

#define IN_A   "a"
#define IN_B   "b" /* audit mode */
#define NOBODY "none"

static struct lab *lab;
static struct sink allowed_tcp, allowed_udp, denied_tcp, denied_udp;

static int open_gate(void **state)
{
	struct plan p;

	(void)state;
	lab = lab_open();
	allowed_tcp = sink_open(false, "127.0.0.1", 0);
	allowed_udp = sink_open(true, "127.0.0.1", 0);
	denied_tcp = sink_open(false, "127.0.0.1", 0);
	denied_udp = sink_open(true, "127.0.0.1", 0);
	plan_init(&p);
	plan_profile(&p, "a", ZG_MODE_ENFORCE);
	plan_profile(&p, "b", ZG_MODE_AUDIT);
	plan_prefix(&p, "127.0.0.1", 32, 7);
	plan_rule(&p, P_A, 7, IPPROTO_TCP, allowed_tcp.port, allowed_tcp.port, ZG_V_ALLOW);
	plan_rule(&p, P_A, 7, IPPROTO_UDP, allowed_udp.port, allowed_udp.port, ZG_V_ALLOW);
	lab_apply(lab, &p);
	lab_govern(lab, IN_A, P_A);
	lab_govern(lab, IN_B, P_B);
	(void)lab_cgroup(lab, NOBODY);
	return 0;
}

static int close_gate(void **state)
{
	return lab_teardown(state);
}

/* As root: lab_run() gives up its privileges. */
static int run_as_root(const char *below, int (*fn)(void *), void *arg)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		lab_join(lab, below);
		_exit(fn(arg));
	}
	return lab_wait(pid);
}

static struct zg_event last_event(void)
{
	return lab_events(lab).last;
}

/* families ---------------------------------------------------------------------- */

struct family {
	int family, type, protocol;
};

static int open_socket(void *arg)
{
	const struct family *f = arg;
	zg_autofd int s = socket(f->family, f->type | SOCK_CLOEXEC, f->protocol);

	return s < 0 ? errno : 0;
}

static void families_that_no_layer_judges(void **state)
{
	struct family refused[] = {
		{AF_PACKET, SOCK_RAW, htons(ETH_P_ALL)},
		{AF_VSOCK, SOCK_STREAM, 0},
		{AF_NETLINK, SOCK_DGRAM, NETLINK_USERSOCK},
		{AF_NETLINK, SOCK_DGRAM, NETLINK_GENERIC},
	};
	struct family passed[] = {
		{AF_NETLINK, SOCK_DGRAM, NETLINK_ROUTE},
		{AF_UNIX, SOCK_STREAM, 0},
		{AF_INET, SOCK_STREAM, 0},
		{AF_INET6, SOCK_DGRAM, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		int outside = run_as_root(NOBODY, open_socket, &refused[i]);

		if (refused[i].family == AF_VSOCK && outside == EAFNOSUPPORT)
			continue; /* not every kernel has it */
		assert_int_equal(outside, 0);
		(void)last_event();
		assert_int_equal(run_as_root(IN_A, open_socket, &refused[i]), EPERM);
		assert_int_equal(last_event().layer, ZG_L_LSM);
	}
	for (size_t i = 0; i < sizeof(passed) / sizeof(passed[0]); i++)
		assert_int_equal(run_as_root(IN_A, open_socket, &passed[i]), 0);
}

static void audit_mode_records_and_passes(void **state)
{
	struct family vsock = {AF_VSOCK, SOCK_STREAM, 0}, packet = {AF_PACKET, SOCK_RAW, 0}, *one;
	struct seen seen;

	(void)state;
	one = run_as_root(NOBODY, open_socket, &vsock) == EAFNOSUPPORT ? &packet : &vsock;
	(void)lab_events(lab);
	assert_int_equal(run_as_root(IN_B, open_socket, one), 0);
	seen = lab_events(lab);
	assert_int_equal(seen.count[ZG_E_WOULD_DENY], 1);
	assert_int_equal(seen.last.reason, ZG_GR_SOCKET);
	assert_int_equal(seen.last.detail, one->family);
}

/* sockets from outside ------------------------------------------------------------- */

struct use {
	int fd;
	uint16_t port; /* sendto() or connect() there; 0 = to its peer */
	bool connect;
};

static int use_socket(void *arg)
{
	const struct use *u = arg;
	struct endpoint to = endpoint_of("127.0.0.1", u->port);
	ssize_t n;

	if (u->connect)
		return connect(u->fd, (struct sockaddr *)&to.ss, to.bytes) < 0 ? errno : 0;
	n = u->port ? sendto(u->fd, "x", 1, 0, (struct sockaddr *)&to.ss, to.bytes)
		    : write(u->fd, "x", 1);
	return n == 1 ? 0 : errno;
}

static int read_socket(void *arg)
{
	char byte;

	return recv(*(int *)arg, &byte, 1, MSG_DONTWAIT) < 0 ? errno : 0;
}

static int new_socket(int type)
{
	int s = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	assert_true(s >= 0);
	return s;
}

/* Connected by the test itself, which nobody governs; *peer is the other end. */
static int connected(struct sink *to, int *peer)
{
	struct endpoint ep = endpoint_of("127.0.0.1", to->port);
	int s = new_socket(to->udp ? SOCK_DGRAM : SOCK_STREAM);

	assert_int_equal(connect(s, (struct sockaddr *)&ep.ss, ep.bytes), 0);
	*peer = to->udp ? -1 : sink_accept(to);
	return s;
}

static int bytes_arrived(int peer)
{
	char byte[8];
	ssize_t n = recv(peer, byte, sizeof(byte), MSG_DONTWAIT);

	if (n < 0)
		assert_int_equal(errno, EAGAIN);
	return n < 0 ? 0 : (int)n;
}

static int bytes_come(int peer)
{
	wait_for(peer);
	return bytes_arrived(peer);
}

static void an_inherited_socket_that_is_not_connected(void **state)
{
	zg_autofd int udp = new_socket(SOCK_DGRAM), tcp = new_socket(SOCK_STREAM),
		      good = new_socket(SOCK_STREAM);
	struct use u = {.fd = udp, .port = denied_udp.port};

	(void)state;
	assert_int_equal(lab_run(lab, IN_A, use_socket, &u), EPERM);
	assert_int_equal(sink_drain(&denied_udp), 0);
	u.port = allowed_udp.port;
	assert_int_equal(lab_run(lab, IN_A, use_socket, &u), 0);
	sink_expect(&allowed_udp, 1);
	u = (struct use){.fd = tcp, .port = denied_tcp.port, .connect = true};
	assert_int_equal(lab_run(lab, IN_A, use_socket, &u), EPERM);
	assert_int_equal(sink_drain(&denied_tcp), 0);
	u = (struct use){.fd = good, .port = allowed_tcp.port, .connect = true};
	assert_int_equal(lab_run(lab, IN_A, use_socket, &u), 0);
	sink_expect(&allowed_tcp, 1);
}

static void an_inherited_connection(void **state)
{
	int peer, none;
	zg_autofd int tcp = connected(&denied_tcp, &peer);
	zg_autofd int udp = connected(&denied_udp, &none);
	struct use u = {.fd = tcp};

	(void)state;
	(void)lab_events(lab);
	assert_int_equal(lab_run(lab, IN_A, use_socket, &u), EPERM);
	assert_int_equal(bytes_arrived(peer), 0);
	assert_int_equal(last_event().layer, ZG_L_LSM);
	assert_int_equal(lab_run(lab, NOBODY, use_socket, &u), 0);
	assert_int_equal(bytes_come(peer), 1);
	assert_int_equal(write(peer, "y", 1), 1);
	assert_int_equal(lab_run(lab, IN_A, read_socket, &tcp), EPERM);
	assert_int_equal(lab_run(lab, NOBODY, read_socket, &tcp), 0);
	u.fd = udp;
	assert_int_equal(lab_run(lab, IN_A, use_socket, &u), EPERM);
	assert_int_equal(sink_drain(&denied_udp), 0);
	(void)close(peer);
}

static void an_inherited_connection_to_what_is_allowed(void **state)
{
	int peer;
	zg_autofd int tcp = connected(&allowed_tcp, &peer);
	struct use u = {.fd = tcp};

	(void)state;
	assert_int_equal(lab_run(lab, IN_A, use_socket, &u), 0);
	assert_int_equal(bytes_come(peer), 1);
	(void)close(peer);
}

/* passing --------------------------------------------------------------------------- */

static void pass_fd(int through, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = {0}, byte = 'p';
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = control,
			   .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	assert_int_equal(sendmsg(through, &m, 0), 1);
}

/* 0: a descriptor came and a byte could be sent through it. */
static int take_fd_and_write(void *arg)
{
	char control[CMSG_SPACE(sizeof(int))] = {0}, byte;
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = control,
			   .msg_controllen = sizeof(control)};
	struct cmsghdr *c;
	int fd;

	if (recvmsg(*(int *)arg, &m, 0) != 1)
		return errno;
	c = CMSG_FIRSTHDR(&m);
	if (!c || c->cmsg_len != CMSG_LEN(sizeof(int)))
		return ENODATA;
	memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return write(fd, "x", 1) == 1 ? 0 : errno;
}

static int pass_to(const char *below, struct sink *to, int *arrived)
{
	int pair[2], peer, r;
	zg_autofd int s = connected(to, &peer);

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	pass_fd(pair[0], s);
	r = lab_run(lab, below, take_fd_and_write, &pair[1]);
	*arrived = r == 0 ? bytes_come(peer) : bytes_arrived(peer);
	(void)close(peer);
	(void)close(pair[0]);
	(void)close(pair[1]);
	return r;
}

static void a_connection_that_is_passed(void **state)
{
	int arrived;

	(void)state;
	(void)lab_events(lab);
	assert_int_equal(pass_to(IN_A, &denied_tcp, &arrived), ENODATA);
	assert_int_equal(arrived, 0);
	assert_int_equal(last_event().reason, ZG_GR_PASSED);
	assert_int_equal(pass_to(IN_A, &allowed_tcp, &arrived), 0);
	assert_int_equal(arrived, 1);
	assert_int_equal(pass_to(NOBODY, &denied_tcp, &arrived), 0);
	assert_int_equal(arrived, 1);
}

/* other processes ------------------------------------------------------------------- */

static int sleep_for_ever(void *arg)
{
	(void)prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
	(void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	if (write(*(int *)arg, "r", 1) != 1)
		return 1;
	for (;;)
		(void)pause();
}

static char secret[16] = "secret";

static int read_memory(void *arg)
{
	char out[sizeof(secret)];
	struct iovec local = {.iov_base = out, .iov_len = sizeof(out)},
		     remote = {.iov_base = secret, .iov_len = sizeof(secret)};

	return process_vm_readv(*(pid_t *)arg, &local, 1, &remote, 1, 0) < 0 ? errno : 0;
}

static pid_t start_target(const char *below)
{
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = lab_start(lab, below, sleep_for_ever, &ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	(void)close(ready[0]);
	(void)close(ready[1]);
	return pid;
}

static void end_target(pid_t pid)
{
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void a_process_outside_the_profile(void **state)
{
	pid_t outside = start_target(NOBODY), inside = start_target(IN_A);

	(void)state;
	(void)lab_events(lab);
	assert_int_equal(lab_run(lab, NOBODY, read_memory, &outside), 0);
	assert_int_equal(lab_run(lab, IN_A, read_memory, &outside), EPERM);
	assert_int_equal(last_event().reason, ZG_GR_PTRACE);
	assert_int_equal(lab_run(lab, IN_A, read_memory, &inside), 0);
	end_target(outside);
	end_target(inside);
}

/* the gate itself -------------------------------------------------------------------- */

static int open_pin(void *arg)
{
	zg_autofd int fd = bpf_obj_get(arg);

	return fd < 0 ? errno : 0;
}

static int remove_pin(void *arg)
{
	return unlink(arg) < 0 ? errno : 0;
}

static void a_governed_root_cannot_touch_the_gate(void **state)
{
	char pin[LAB_PATH + 32];
	struct zg_err e = {0};

	(void)state;
	(void)snprintf(pin, sizeof(pin), "%s/zg_ctl", lab->pins);
	assert_int_equal(run_as_root(NOBODY, open_pin, pin), 0);
	(void)lab_events(lab);
	assert_int_equal(run_as_root(IN_A, open_pin, pin), EPERM);
	assert_int_equal(last_event().reason, ZG_GR_TAMPER);
	assert_int_equal(run_as_root(IN_B, open_pin, pin), EPERM); /* audit mode too */
	(void)snprintf(pin, sizeof(pin), "%s/link_zg_connect4", lab->pins);
	assert_int_equal(run_as_root(IN_A, remove_pin, pin), EPERM);
	assert_int_equal(access(pin, F_OK), 0);
	assert_int_equal(zg_kernel_verify(lab->kernel, &e), 0);
}

/* unix sockets ------------------------------------------------------------------------- */

struct un {
	const char *name; /* "@..." = abstract */
	int type;
};

static struct sockaddr_un un_of(const char *name, socklen_t *bytes)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};

	(void)snprintf(un.sun_path, sizeof(un.sun_path), "%s", name);
	*bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name) +
			     (name[0] != '@'));
	if (name[0] == '@')
		un.sun_path[0] = '\0';
	return un;
}

static int un_listen(const struct un *u)
{
	int s = socket(AF_UNIX, u->type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	socklen_t bytes;
	struct sockaddr_un un = un_of(u->name, &bytes);

	assert_true(s >= 0);
	if (u->name[0] == '/')
		(void)unlink(u->name); /* what a run that was ended left */
	assert_int_equal(bind(s, (struct sockaddr *)&un, bytes), 0);
	if (u->name[0] == '/')
		assert_int_equal(chmod(u->name, 0777), 0);
	if (u->type == SOCK_STREAM)
		assert_int_equal(listen(s, 8), 0);
	return s;
}

static int un_dial(void *arg)
{
	const struct un *u = arg;
	zg_autofd int s = socket(AF_UNIX, u->type | SOCK_CLOEXEC, 0);
	socklen_t bytes;
	struct sockaddr_un un = un_of(u->name, &bytes);

	if (u->type == SOCK_STREAM)
		return connect(s, (struct sockaddr *)&un, bytes) < 0 ? errno : 0;
	return sendto(s, "x", 1, 0, (struct sockaddr *)&un, bytes) == 1 ? 0 : errno;
}

static bool un_reached(int s, int type)
{
	char byte;
	zg_autofd int c = type == SOCK_STREAM ? accept4(s, NULL, NULL, SOCK_CLOEXEC) : -1;

	return c >= 0 || (type != SOCK_STREAM && recv(s, &byte, 1, 0) == 1);
}

static void unix_sockets_are_judged_by_their_own_names(void **state)
{
	struct un un[] = {
		{"/tmp/zg-lsm-no.sock", SOCK_STREAM},
		{"/tmp/zg-lsm-no.dgram", SOCK_DGRAM},
		{"@zg-lsm-no", SOCK_STREAM},
		{"/tmp/zg-lsm-yes.sock", SOCK_STREAM},
	};
	struct un link_to_no = {"/tmp/zg-lsm-yes.link", SOCK_STREAM};
	struct zg_unix_def defs[] = {
		{.path = "/tmp/zg-lsm-yes.link", .profile = P_A, .verdict = ZG_V_ALLOW},
		{.path = "/tmp/zg-lsm-yes.sock", .profile = P_A, .verdict = ZG_V_ALLOW},
	};
	struct plan p;

	(void)state;
	plan_init(&p);
	plan_profile(&p, "a", ZG_MODE_ENFORCE);
	plan_profile(&p, "b", ZG_MODE_AUDIT);
	p.s.unixes = defs;
	p.s.unix_count = 2;
	lab_apply(lab, &p);
	for (size_t i = 0; i < 4; i++) {
		bool yes = strstr(un[i].name, "yes") != NULL;
		int s = un_listen(&un[i]);

		(void)lab_events(lab);
		assert_int_equal(lab_run(lab, IN_A, un_dial, &un[i]), yes ? 0 : EPERM);
		assert_int_equal(un_reached(s, un[i].type), yes);
		if (!yes) {
			struct zg_event ev = last_event();

			assert_int_equal(ev.reason, ZG_GR_UNIX);
			assert_int_equal(ev.family, AF_UNIX);
			assert_string_equal(ev.path, un[i].name);
		}
		assert_int_equal(lab_run(lab, NOBODY, un_dial, &un[i]), 0);
		assert_true(un_reached(s, un[i].type));
		if (i == 0) {
			(void)unlink(link_to_no.name);
			assert_int_equal(symlink(un[0].name, link_to_no.name), 0);
			assert_int_equal(lab_run(lab, IN_A, un_dial, &link_to_no), EPERM);
			assert_false(un_reached(s, SOCK_STREAM));
			(void)unlink(link_to_no.name);
		}
		(void)close(s);
		if (un[i].name[0] == '/')
			(void)unlink(un[i].name);
	}
}

/* executables -------------------------------------------------------------------------- */

static char tool[64] = "/tmp/zg-exec-XXXXXX", linked[80];

static int run_program(void *path)
{
	(void)execl(path, path, "true", NULL);
	return errno;
}

static void copy_program(const char *from, int to)
{
	zg_autofd int fd = open(from, O_RDONLY | O_CLOEXEC);
	char bytes[65536];
	ssize_t n;

	assert_true(fd >= 0);
	while ((n = read(fd, bytes, sizeof(bytes))) > 0)
		assert_int_equal(write(to, bytes, (size_t)n), n);
	assert_int_equal(fchmod(to, 0755), 0);
	assert_int_equal(close(to), 0);
}

/* "true", whatever it is called: of coreutils, or busybox by its own name. */
static void an_executable_that_is_denied(void **state)
{
	struct zg_exec_def denied = {.profile = P_A};
	struct plan p;

	(void)state;
	copy_program(access("/bin/busybox", X_OK) == 0 ? "/bin/busybox" : "/bin/true",
		     mkstemp(tool));
	(void)snprintf(linked, sizeof(linked), "%s.link", tool);
	assert_int_equal(link(tool, linked), 0);
	plan_init(&p);
	plan_profile(&p, "a", ZG_MODE_ENFORCE);
	plan_profile(&p, "b", ZG_MODE_AUDIT);
	assert_int_equal(lab_run(lab, IN_A, run_program, linked) != EPERM, 1);
	(void)snprintf(denied.path, sizeof(denied.path), "%s", tool);
	p.s.execs = &denied;
	p.s.exec_count = 1;
	lab_apply(lab, &p);
	(void)lab_events(lab);
	/* by any of its names: it is the file that is denied */
	assert_int_equal(lab_run(lab, IN_A, run_program, linked), EPERM);
	assert_int_equal(last_event().reason, ZG_GR_EXEC);
	assert_int_equal(lab_run(lab, IN_A, run_program, tool), EPERM);
	assert_string_equal(last_event().path, tool);
	assert_int_not_equal(lab_run(lab, NOBODY, run_program, tool), EPERM);
	p.s.exec_count = 0;
	lab_apply(lab, &p);
	assert_int_not_equal(lab_run(lab, IN_A, run_program, tool), EPERM);
	(void)unlink(tool);
	(void)unlink(linked);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(families_that_no_layer_judges),
		cmocka_unit_test(audit_mode_records_and_passes),
		cmocka_unit_test(an_inherited_socket_that_is_not_connected),
		cmocka_unit_test(an_inherited_connection),
		cmocka_unit_test(an_inherited_connection_to_what_is_allowed),
		cmocka_unit_test(a_connection_that_is_passed),
		cmocka_unit_test(a_process_outside_the_profile),
		cmocka_unit_test(a_governed_root_cannot_touch_the_gate),
		cmocka_unit_test(unix_sockets_are_judged_by_their_own_names),
		cmocka_unit_test(an_executable_that_is_denied),
	};
	int possible = lab_possible();
	const char *why;

	if (possible <= 0)
		return possible < 0;
	(void)signal(SIGPIPE, SIG_IGN);
	(void)open_gate(NULL);
	if (zg_kernel_layer_state(lab->kernel, ZG_KL_LSM, &why) != ZG_LAYER_ATTACHED) {
		(void)fprintf(stderr, "SKIP: lsm: %s\n", why);
		(void)close_gate(NULL);
		return getenv("ZG_REQUIRE_LSM") ? 1 : 0;
	}
	return cmocka_run_group_tests(tests, NULL, close_gate);
}
