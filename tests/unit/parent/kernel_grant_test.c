/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel_grant_test.c - a connection that a person has granted: to one
 * executable, by what the file is, to one destination, for a time. Whoever
 * dials is this program, or a copy of it, which is another executable.
 */
#include "kernel_lab.h"

#include <sys/sysmacros.h>
#include <time.h>

#define OPEN	"127.0.0.9" /* nobody's rule: what is granted */
#define ALLOWED "127.0.0.8"
#define DENIED	"127.0.0.7"
#define SECOND	UINT64_C(1000000000)

static char folder[] = "/tmp/zg-grant-XXXXXX";
static char own[64], copied[64]; /* executables that the unprivileged may run */

static uint64_t boot_ns(void)
{
	struct timespec t;

	assert_int_equal(clock_gettime(CLOCK_BOOTTIME, &t), 0);
	return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

static void copy_self(const char *to)
{
	zg_autofd int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	zg_autofd int fd = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
	char buf[65536];
	ssize_t n;

	assert_true(from >= 0 && fd >= 0);
	while ((n = read(from, buf, sizeof(buf))) > 0)
		assert_int_equal(write(fd, buf, (size_t)n), n);
	assert_int_equal(fchmod(fd, 0755), 0);
}

/* Once a process: copies are made below /tmp, where everybody may run them. */
static int make_executables(void)
{
	if (!mkdtemp(folder) || chmod(folder, 0755) < 0)
		return -1;
	(void)snprintf(own, sizeof(own), "%s/own", folder);
	(void)snprintf(copied, sizeof(copied), "%s/copied", folder);
	return 0;
}

static void remove_executables(void)
{
	(void)unlink(own);
	(void)unlink(copied);
	(void)rmdir(folder);
}

struct order {
	const char *exe;
	const char *how; /* tcp, udp, send: on the socket that it inherits */
	const char *addr;
	uint16_t port;
	int inherited; /* as descriptor 9, or -1 */
};

/* In the child, unprivileged and governed. */
static int execute(void *arg)
{
	const struct order *o = arg;
	char port[8];

	(void)snprintf(port, sizeof(port), "%u", o->port);
	if (o->inherited >= 0 && dup2(o->inherited, 9) < 0)
		return 122;
	(void)execl(o->exe, o->exe, "dial", o->how, o->addr, port, (char *)NULL);
	return 123;
}

static int go(struct lab *lab, const char *exe, const char *how, const char *addr, uint16_t port)
{
	struct order o = {exe, how, addr, port, -1};

	return lab_run(lab, "a", execute, &o);
}

static int go_with(struct lab *lab, const char *exe, const char *how, const char *addr,
		   uint16_t port, int inherited)
{
	struct order o = {exe, how, addr, port, inherited};

	return lab_run(lab, "a", execute, &o);
}

/* What the copies do. */
static int dial_main(char **argv)
{
	struct zg_slice text = zg_slice_str(argv[4]);
	struct dial d = {.how = strcmp(argv[2], "tcp") == 0 ? TCP_CONNECT : UDP_SENDTO,
			 .addr = argv[3]};
	struct endpoint to;
	uint64_t port;

	if (zg_slice_u64(text, UINT16_MAX, &port) < 0)
		return 124;
	d.port = (uint16_t)port;
	if (strcmp(argv[2], "tcp") == 0 || strcmp(argv[2], "udp") == 0)
		return dial(&d);
	to = endpoint_of(d.addr, d.port);
	if (strcmp(argv[2], "connect") == 0)
		return connect(9, (struct sockaddr *)&to.ss, to.bytes) < 0 ? errno : 0;
	if (strcmp(argv[2], "sendto") == 0)
		return sendto(9, "x", 1, 0, (struct sockaddr *)&to.ss, to.bytes) < 0 ? errno : 0;
	return 125;
}

static struct zg_grant_key key_of(const char *exe, uint32_t profile, const char *addr,
				  uint16_t port, uint8_t proto)
{
	struct zg_grant_key key = {.profile = profile, .port_be = htons(port), .proto = proto};
	struct stat st;

	assert_int_equal(zg_addr_parse(zg_slice_str(addr), key.addr), 0);
	if (exe) {
		assert_int_equal(stat(exe, &st), 0);
		key.exe_ino = st.st_ino;
		key.exe_dev = major(st.st_dev) << 20 | minor(st.st_dev);
	}
	return key;
}

/* As the parent does it: with the row of any executable. sec < 0: it is over;
 * 0: it is taken back. */
static void grant(struct lab *lab, struct zg_grant_key key, int sec)
{
	uint64_t until = sec ? boot_ns() + (uint64_t)(int64_t)sec * SECOND : 0;

	assert_int_equal(zg_kernel_grant(lab->kernel, &key, until), 0);
	key.exe_ino = 0;
	key.exe_dev = 0;
	assert_int_equal(zg_kernel_grant(lab->kernel, &key, until), 0);
}

static struct lab *open_lab(struct plan *p)
{
	struct lab *lab = lab_open();
	const uint8_t all[] = {IPPROTO_TCP, IPPROTO_UDP};

	copy_self(own);
	copy_self(copied);
	plan_init(p);
	plan_profile(p, "a", ZG_MODE_ENFORCE);
	plan_profile(p, "b", ZG_MODE_ENFORCE);
	p->profiles[0].asks = 1;
	plan_prefix(p, ALLOWED, 32, 1);
	plan_prefix(p, DENIED, 32, 2);
	for (size_t i = 0; i < sizeof(all); i++) {
		(void)plan_rule(p, P_A, 1, all[i], 1, 65535, ZG_V_ALLOW);
		(void)plan_rule(p, P_A, 2, all[i], 1, 65535, ZG_V_DENY);
	}
	lab_govern(lab, "a", P_A);
	lab_govern(lab, "b", P_B);
	lab_apply(lab, p);
	return lab;
}

static void a_grant_opens_its_destination_to_its_executable(void **state)
{
	struct plan p;
	struct lab *lab = open_lab(&p);
	struct sink tcp = sink_open(false, OPEN, 0), udp = sink_open(true, OPEN, 0);

	(void)state;
	assert_int_equal(go(lab, own, "tcp", OPEN, tcp.port), EPERM);
	assert_int_equal(go(lab, own, "udp", OPEN, udp.port), EPERM);
	grant(lab, key_of(own, P_A, OPEN, tcp.port, IPPROTO_TCP), 60);
	assert_int_equal(go(lab, own, "tcp", OPEN, tcp.port), 0);
	sink_expect(&tcp, 1);
	/* the same port number of the other protocol stays closed */
	assert_int_equal(go(lab, own, "udp", OPEN, tcp.port), EPERM);
	grant(lab, key_of(own, P_A, OPEN, udp.port, IPPROTO_UDP), 60);
	assert_int_equal(go(lab, own, "udp", OPEN, udp.port), 0);
	sink_expect(&udp, 1);
	(void)close(tcp.fd);
	(void)close(udp.fd);
}

static void nothing_else_is_opened(void **state)
{
	struct plan p;
	struct lab *lab = open_lab(&p);
	struct sink s = sink_open(false, OPEN, 0), port = sink_open(false, OPEN, 0);
	struct sink addr = sink_open(false, "127.0.0.10", s.port);
	struct sink denied = sink_open(false, DENIED, s.port);
	struct order other = {own, "tcp", OPEN, s.port, -1};

	(void)state;
	grant(lab, key_of(own, P_A, OPEN, s.port, IPPROTO_TCP), 60);
	/* the same bytes in another file are another executable */
	assert_int_equal(go(lab, copied, "tcp", OPEN, s.port), EPERM);
	assert_int_equal(go(lab, own, "tcp", OPEN, port.port), EPERM);
	assert_int_equal(go(lab, own, "tcp", "127.0.0.10", s.port), EPERM);
	assert_int_equal(lab_run(lab, "b", execute, &other), EPERM);
	/* an explicit deny stands above it */
	grant(lab, key_of(own, P_A, DENIED, s.port, IPPROTO_TCP), 60);
	assert_int_equal(go(lab, own, "tcp", DENIED, s.port), EPERM);
	/* a profile that may not ask has none */
	grant(lab, key_of(own, P_B, OPEN, s.port, IPPROTO_TCP), 60);
	assert_int_equal(lab_run(lab, "b", execute, &other), EPERM);
	assert_int_equal(
		sink_drain(&s) + sink_drain(&port) + sink_drain(&addr) + sink_drain(&denied), 0);
	/* a file that takes the place of the granted one is not it */
	copy_self(copied);
	assert_int_equal(rename(copied, own), 0);
	assert_int_equal(go(lab, own, "tcp", OPEN, s.port), EPERM);
	(void)close(s.fd);
	(void)close(port.fd);
	(void)close(addr.fd);
	(void)close(denied.fd);
}

static void the_refusal_says_which_executable(void **state)
{
	struct plan p;
	struct lab *lab = open_lab(&p);
	struct zg_grant_key key = key_of(own, P_A, OPEN, 9, IPPROTO_TCP);
	struct seen seen;

	(void)state;
	(void)lab_events(lab);
	assert_int_equal(go(lab, own, "tcp", OPEN, 9), EPERM);
	seen = lab_events(lab);
	assert_int_equal(seen.count[ZG_E_DENY], 1);
	assert_int_equal(seen.last.exe_ino, key.exe_ino);
	assert_int_equal(seen.last.exe_dev, key.exe_dev);
	assert_memory_equal(seen.last.addr, key.addr, sizeof(key.addr));
}

static void it_ends_with_its_time_and_its_generation(void **state)
{
	struct plan p;
	struct lab *lab = open_lab(&p);
	struct sink s = sink_open(false, OPEN, 0);
	struct zg_grant_key key = key_of(own, P_A, OPEN, s.port, IPPROTO_TCP);

	(void)state;
	grant(lab, key, -1);
	assert_int_equal(go(lab, own, "tcp", OPEN, s.port), EPERM);
	grant(lab, key, 60);
	assert_int_equal(go(lab, own, "tcp", OPEN, s.port), 0);
	grant(lab, key, 0);
	assert_int_equal(go(lab, own, "tcp", OPEN, s.port), EPERM);
	grant(lab, key, 60);
	lab_apply(lab, &p);
	assert_int_equal(go(lab, own, "tcp", OPEN, s.port), EPERM);
	/* nor does it come back when the slot does */
	lab_apply(lab, &p);
	assert_int_equal(go(lab, own, "tcp", OPEN, s.port), EPERM);
	(void)close(s.fd);
}

/* A socket of another executable, which it was given. */
static void who_dials_counts_and_not_whose_socket_it_is(void **state)
{
	struct plan p;
	struct lab *lab = open_lab(&p);
	struct sink s = sink_open(false, OPEN, 0), udp = sink_open(true, OPEN, 0);
	int tcp_fd[2], udp_fd;

	(void)state;
	(void)lab_cgroup(lab, "a");
	assert_true(lab_enter(lab_path(lab, "a").text));
	for (size_t i = 0; i < 2; i++)
		tcp_fd[i] = socket(AF_INET, SOCK_STREAM, 0);
	udp_fd = socket(AF_INET, SOCK_DGRAM, 0);
	assert_true(lab_enter(lab_cgroup2_mount()));
	grant(lab, key_of(own, P_A, OPEN, s.port, IPPROTO_TCP), 60);
	grant(lab, key_of(own, P_A, OPEN, udp.port, IPPROTO_UDP), 60);
	assert_int_equal(go_with(lab, own, "connect", OPEN, s.port, tcp_fd[0]), 0);
	assert_int_equal(go_with(lab, copied, "connect", OPEN, s.port, tcp_fd[1]), EPERM);
	/* nor does a socket that was used by the one carry the other's datagrams */
	assert_int_equal(go_with(lab, own, "sendto", OPEN, udp.port, udp_fd), 0);
	sink_expect(&udp, 1);
	assert_int_equal(go_with(lab, copied, "sendto", OPEN, udp.port, udp_fd), EPERM);
	assert_int_equal(sink_drain(&udp), 0);
	for (size_t i = 0; i < 2; i++)
		(void)close(tcp_fd[i]);
	(void)close(udp_fd);
	(void)close(s.fd);
	(void)close(udp.fd);
}

static bool live_question(struct lab *lab, const char *addr, uint16_t port, bool live)
{
	struct zg_question q = {
		.profile = P_A, .port_be = htons(port), .proto = IPPROTO_TCP, .live = live};

	assert_int_equal(zg_addr_parse(zg_slice_str(addr), q.addr), 0);
	assert_int_equal(zg_kernel_ask(lab->kernel, &q), 0);
	return q.verdict == ZG_V_ALLOW;
}

/* What was connected under a grant is cut when that ends: no byte more. */
static void an_open_connection_ends_with_its_grant(void **state)
{
	struct plan p;
	struct lab *lab = open_lab(&p);
	struct sink s = sink_open(false, OPEN, 0);
	struct zg_grant_key key = key_of(own, P_A, OPEN, s.port, IPPROTO_TCP);
	zg_autofd int peer = -1;
	char byte;
	int fd;

	(void)state;
	assert_true(lab_enter(lab_path(lab, "a").text));
	fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_true(lab_enter(lab_cgroup2_mount()));
	grant(lab, key, 60);
	assert_int_equal(go_with(lab, own, "connect", OPEN, s.port, fd), 0);
	peer = sink_accept(&s);
	assert_int_equal(send(fd, "1", 1, 0), 1);
	assert_int_equal(recv(peer, &byte, 1, 0), 1);
	assert_true(live_question(lab, OPEN, s.port, true));
	assert_false(live_question(lab, OPEN, s.port, false)); /* nobody in particular dials */
	grant(lab, key, -1);
	assert_false(live_question(lab, OPEN, s.port, true));
	(void)!send(fd, "2", 1, MSG_NOSIGNAL);
	assert_int_equal(recv(peer, &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
	(void)close(fd);
	(void)close(s.fd);
}

static const struct CMUnitTest tests[] = {
	LAB_TEST(a_grant_opens_its_destination_to_its_executable),
	LAB_TEST(nothing_else_is_opened),
	LAB_TEST(the_refusal_says_which_executable),
	LAB_TEST(it_ends_with_its_time_and_its_generation),
	LAB_TEST(who_dials_counts_and_not_whose_socket_it_is),
	LAB_TEST(an_open_connection_ends_with_its_grant),
};

int main(int argc, char **argv)
{
	int failed;

	if (argc == 5 && strcmp(argv[1], "dial") == 0)
		return dial_main(argv);
	if (make_executables() < 0)
		return 1;
	failed = LAB_TESTS(tests, argc > 1 ? argv[1] : NULL);
	remove_executables();
	return failed;
}
