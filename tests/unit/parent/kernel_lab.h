/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel_lab.h - a place to try the real kernel gate: a mount and a network
 * namespace of our own (loopback only, so nothing can leave), a bpffs, a
 * scratch cgroup as attach root, sinks that receive, and children that dial as
 * an unprivileged user from a cgroup. Everything ends with the process, but
 * for the cgroups, which lab_teardown removes.
 */
#ifndef ZG_KERNEL_LAB_H
#define ZG_KERNEL_LAB_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <ftw.h>
#include <grp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <linux/magic.h>

#include <cmocka.h>

#include "kernel.h"
#include "prefix_diff.h"
#include "slice.h"

#define LAB_UID	 65533
#define LAB_PATH 512

#define ARRIVES_MS 120000 /* patience for what must come */

/* profiles of every plan in these tests */
#define P_A (ZG_PROFILE_FIRST + 0)
#define P_B (ZG_PROFILE_FIRST + 1)

struct lab {
	char base[32];	     /* holds the bpffs */
	char pins[LAB_PATH]; /* the gate's pin folder on it */
	char root[LAB_PATH]; /* scratch cgroup: the attach root */
	int root_fd;
	struct zg_kernel *kernel;
	uint64_t generation;
};

/* A configuration written by hand. */
struct plan {
	struct zg_snapshot s;
	struct zg_profile_def profiles[4];
	struct zg_prefix_def prefixes[32];
	struct zg_rule_def rules[32];
};

static inline const char *lab_cgroup2_mount(void)
{
	static const char *const candidates[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
	struct statfs fs;

	for (size_t i = 0; i < sizeof(candidates) / sizeof(candidates[0]); i++)
		if (statfs(candidates[i], &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC)
			return candidates[i];
	return NULL;
}

static inline void lab_up_loopback(void)
{
	zg_autofd int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq r = {.ifr_name = "lo", .ifr_flags = IFF_UP};

	assert_true(s >= 0);
	assert_int_equal(ioctl(s, SIOCSIFFLAGS, &r), 0);
}

static inline void lab_open_gate(struct lab *lab)
{
	struct zg_kernel_options o = {.cgroup_root = lab->root_fd, .pin_dir = lab->pins};
	struct zg_err e = {0};

	if (zg_kernel_open(&lab->kernel, &o, &e) < 0)
		fail_msg("zg_kernel_open: %s (%s)", e.what, e.hint);
}

static struct lab *lab_current; /* lab_teardown's, also when a test fails */

/* Namespaces once a process; cgroup, pins and gate per lab. */
static inline struct lab *lab_open(void)
{
	static struct lab lab_one;
	static bool isolated;
	static unsigned int count;
	struct lab *lab = &lab_one;

	*lab = (struct lab){.root_fd = -1};
	if (!isolated) {
		assert_int_equal(unshare(CLONE_NEWNS | CLONE_NEWNET), 0);
		assert_int_equal(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
		lab_up_loopback();
		isolated = true;
	}
	(void)snprintf(lab->base, sizeof(lab->base), "/tmp/zg-kernel-XXXXXX");
	assert_non_null(mkdtemp(lab->base));
	assert_int_equal(mount("bpf", lab->base, "bpf", 0, NULL), 0);
	(void)snprintf(lab->pins, sizeof(lab->pins), "%.31s/gate", lab->base);
	(void)snprintf(lab->root, sizeof(lab->root), "%.64s/zg-kernel-test-%d-%u",
		       lab_cgroup2_mount(), (int)getpid(), count++);
	assert_int_equal(mkdir(lab->root, 0755), 0);
	lab->root_fd = open(lab->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(lab->root_fd >= 0);
	lab_current = lab;
	lab_open_gate(lab);
	return lab;
}

struct lab_path {
	char text[LAB_PATH + 256];
};

static inline struct lab_path lab_path(const struct lab *lab, const char *below)
{
	struct lab_path p;

	(void)snprintf(p.text, sizeof(p.text), "%s/%s", lab->root, below);
	return p;
}

/* Make a cgroup below the root (its parents must exist); returns its id. */
static inline uint64_t lab_cgroup(const struct lab *lab, const char *below)
{
	struct lab_path p = lab_path(lab, below);
	struct stat st;

	if (mkdir(p.text, 0755) < 0)
		assert_int_equal(errno, EEXIST);
	assert_int_equal(stat(p.text, &st), 0);
	return st.st_ino;
}

static inline void lab_govern(struct lab *lab, const char *below, uint32_t profile)
{
	assert_int_equal(zg_kernel_govern(lab->kernel, lab_cgroup(lab, below), profile), 0);
}

/* Some kernels still count a process in its cgroup when its parent has heard of its end. */
static inline void lab_remove(const char *path)
{
	int r = rmdir(path);

	for (int i = 0; r < 0 && errno == EBUSY && i < ARRIVES_MS / 5; i++) {
		(void)poll(NULL, 0, 5);
		r = rmdir(path);
	}
	assert_int_equal(r, 0);
}

static inline int lab_remove_one(const char *path, const struct stat *st ZG_UNUSED, int type,
				 struct FTW *at ZG_UNUSED)
{
	if (type == FTW_DP)
		lab_remove(path);
	return 0;
}

static inline void lab_remove_tree(const char *path)
{
	assert_int_equal(nftw(path, lab_remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

/* A failed test may leave children. */
static inline void lab_kill(const struct lab *lab)
{
	struct lab_path p = lab_path(lab, "cgroup.kill");
	zg_autofd int fd = open(p.text, O_WRONLY | O_CLOEXEC);

	if (fd >= 0)
		(void)!write(fd, "1", 1);
	while (waitpid(-1, NULL, 0) > 0)
		continue;
}

static inline int lab_teardown(void **state ZG_UNUSED)
{
	struct lab *lab = lab_current;
	struct zg_err e = {0};

	if (!lab)
		return 0;
	lab_current = NULL;
	lab_kill(lab);
	zg_kernel_close(lab->kernel);
	if (zg_kernel_detach(lab->pins, &e) < 0)
		fail_msg("zg_kernel_detach: %s", e.what);
	(void)close(lab->root_fd);
	lab_remove_tree(lab->root);
	assert_int_equal(umount2(lab->base, MNT_DETACH), 0);
	return rmdir(lab->base);
}

/* Skip (or fail when ZG_REQUIRE=1) where the kernel gate cannot run. */
static inline int lab_possible(void)
{
	const char *why = NULL;

	if (geteuid() != 0)
		why = "needs root";
	else if (access("/sys/kernel/btf/vmlinux", R_OK) != 0)
		why = "the kernel has no BTF";
	else if (!lab_cgroup2_mount())
		why = "no cgroup2 mount";
	if (!why)
		return 1;
	(void)fprintf(stderr, "SKIP: %s\n", why);
	return getenv("ZG_REQUIRE") ? -1 : 0;
}

#define LAB_TEST(f) cmocka_unit_test_teardown(f, lab_teardown)

/* only: the name of the tests to run, which may hold * and ?; NULL: all. */
static inline int lab_tests(const struct CMUnitTest *tests, size_t count, const char *only)
{
	int possible = lab_possible();
	size_t chosen = 0;

	(void)signal(SIGPIPE, SIG_IGN);
	if (possible <= 0)
		return possible < 0;
	for (size_t i = 0; i < count; i++)
		chosen += !only || fnmatch(only, tests[i].name, 0) == 0;
	if (!chosen) {
		(void)fprintf(stderr, "no test is called %s\n", only);
		return 2;
	}
	cmocka_set_test_filter(only);
	return _cmocka_run_group_tests("tests", tests, count, NULL, NULL);
}

#define LAB_TESTS(tests, only) lab_tests(tests, sizeof(tests) / sizeof((tests)[0]), only)

#define LAB_MAIN(tests)                                                                            \
	int main(int argc, char **argv)                                                            \
	{                                                                                          \
		return LAB_TESTS(tests, argc > 1 ? argv[1] : NULL);                                \
	}

/* plans --------------------------------------------------------------------- */

static inline void plan_init(struct plan *p)
{
	*p = (struct plan){0};
	p->s.profiles = p->profiles;
	p->s.prefixes = p->prefixes;
	p->s.rules = p->rules;
}

static inline void plan_profile(struct plan *p, const char *name, enum zg_mode mode)
{
	struct zg_profile_def *d = &p->profiles[p->s.profile_count++];

	(void)snprintf(d->name, sizeof(d->name), "%s", name);
	d->mode = (uint8_t)mode;
}

/* prefixlen counts from the text's own family */
static inline void plan_prefix(struct plan *p, const char *addr, uint32_t prefixlen,
			       uint32_t identity)
{
	struct zg_prefix_def *d = &p->prefixes[p->s.prefix_count++];

	assert_int_equal(zg_addr_parse(zg_slice_str(addr), d->addr), 0);
	d->prefixlen = strchr(addr, ':') ? prefixlen : 96 + prefixlen;
	d->identity = identity;
}

static inline struct zg_rule_def *plan_rule(struct plan *p, uint32_t profile, uint32_t identity,
					    uint32_t proto, uint16_t lo, uint16_t hi,
					    enum zg_verdict verdict)
{
	struct zg_rule_def *d = &p->rules[p->s.rule_count++];

	*d = (struct zg_rule_def){.profile = profile, .identity = identity, .proto = proto};
	d->val.count = 1;
	d->val.port[0] = (struct zg_port_rule){.lo = lo, .hi = hi, .verdict = (uint8_t)verdict};
	return d;
}

static inline int plan_order(const void *a, const void *b)
{
	return zg_prefix_order(a, b);
}

static inline void lab_apply(struct lab *lab, struct plan *p)
{
	struct zg_err e = {0};

	qsort(p->prefixes, p->s.prefix_count, sizeof(p->prefixes[0]), plan_order);
	if (zg_kernel_apply(lab->kernel, &p->s, ++lab->generation, &e) < 0)
		fail_msg("zg_kernel_apply: %s", e.what);
}

/* children ------------------------------------------------------------------ */

/* Move the caller into a cgroup, given by its whole path. */
static inline bool lab_enter(const char *dir)
{
	zg_autofd int at = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	zg_autofd int fd = openat(at, "cgroup.procs", O_WRONLY | O_CLOEXEC);

	return fd >= 0 && write(fd, "0", 1) == 1;
}

static inline void lab_join(const struct lab *lab, const char *below)
{
	if (!lab_enter(lab_path(lab, below).text))
		_exit(120);
}

static inline void lab_drop(void)
{
	if (setgroups(0, NULL) < 0 || setresgid(LAB_UID, LAB_UID, LAB_UID) < 0 ||
	    setresuid(LAB_UID, LAB_UID, LAB_UID) < 0)
		_exit(121);
}

/* Start fn in a cgroup below the root as an unprivileged user. */
static inline pid_t lab_start(const struct lab *lab, const char *below, int (*fn)(void *arg),
			      void *arg)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		lab_join(lab, below);
		lab_drop();
		_exit(fn(arg));
	}
	return pid;
}

static inline int lab_wait(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static inline int lab_run(const struct lab *lab, const char *below, int (*fn)(void *arg), void *arg)
{
	return lab_wait(lab_start(lab, below, fn, arg));
}

/* dialling -------------------------------------------------------------------- */

enum how {
	TCP_CONNECT,
	TCP_FASTOPEN_SENDTO,
	UDP_SENDTO,
	UDP_CONNECT,
	UDP_UNSPEC, /* sendto with AF_UNSPEC, which the kernel takes for AF_INET */
};

struct dial {
	enum how how;
	const char *addr; /* its text decides the socket's family */
	uint16_t port;
	const char *from; /* bind to this address first, or NULL */
};

struct endpoint {
	struct sockaddr_storage ss;
	socklen_t bytes;
};

static inline struct endpoint endpoint_of(const char *addr, uint16_t port)
{
	struct endpoint ep = {0};

	if (strchr(addr, ':')) {
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&ep.ss;

		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(port);
		(void)inet_pton(AF_INET6, addr, &in6->sin6_addr);
		ep.bytes = sizeof(*in6);
	} else {
		struct sockaddr_in *in = (struct sockaddr_in *)&ep.ss;

		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		(void)inet_pton(AF_INET, addr, &in->sin_addr);
		ep.bytes = sizeof(*in);
	}
	return ep;
}

static inline bool how_is_udp(enum how how)
{
	return how == UDP_SENDTO || how == UDP_CONNECT || how == UDP_UNSPEC;
}

/* Dial and send one byte; 0 or errno. The socket is left in *out if asked for. */
static inline int dial_keep(const struct dial *d, int *out)
{
	struct endpoint to = endpoint_of(d->addr, d->port);
	int type = how_is_udp(d->how) ? SOCK_DGRAM : SOCK_STREAM;
	zg_autofd int s = socket(to.ss.ss_family, type | SOCK_CLOEXEC, 0);

	if (s < 0)
		return errno;
	if (d->from) {
		struct endpoint from = endpoint_of(d->from, 0);

		if (bind(s, (struct sockaddr *)&from.ss, from.bytes) < 0)
			return errno;
	}
	if (d->how == UDP_UNSPEC)
		to.ss.ss_family = AF_UNSPEC;
	if (d->how == TCP_CONNECT || d->how == UDP_CONNECT) {
		if (connect(s, (struct sockaddr *)&to.ss, to.bytes) < 0)
			return errno;
		if (send(s, "x", 1, 0) != 1)
			return errno;
	} else if (sendto(s, "x", 1, d->how == TCP_FASTOPEN_SENDTO ? MSG_FASTOPEN : 0,
			  (struct sockaddr *)&to.ss, to.bytes) != 1) {
		return errno;
	}
	if (out)
		*out = zg_take_fd(&s);
	return 0;
}

static inline int dial(void *arg)
{
	return dial_keep(arg, NULL);
}

/* A receiver; the port is the kernel's choice where 0 is given. */
struct sink {
	int fd;
	bool udp;
	uint16_t port;
};

static inline struct sink sink_open(bool udp, const char *addr, uint16_t port)
{
	struct endpoint ep = endpoint_of(addr, port);
	struct sink s = {.udp = udp};
	int one = 1;

	s.fd = socket(ep.ss.ss_family, (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK, 0);
	assert_true(s.fd >= 0);
	(void)setsockopt(s.fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (ep.ss.ss_family == AF_INET6)
		(void)setsockopt(s.fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	assert_int_equal(bind(s.fd, (struct sockaddr *)&ep.ss, ep.bytes), 0);
	if (!udp)
		assert_int_equal(listen(s.fd, 64), 0);
	assert_int_equal(getsockname(s.fd, (struct sockaddr *)&ep.ss, &ep.bytes), 0);
	s.port = ntohs(((struct sockaddr_in *)&ep.ss)->sin_port);
	return s;
}

/* Loopback delivers before the sender's call returns, but for a kernel that is
 * busy: then a moment later. What must come is waited for. */
static inline void wait_for(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	assert_int_equal(poll(&p, 1, ARRIVES_MS), 1);
}

static inline int sink_accept(const struct sink *s)
{
	int fd;

	wait_for(s->fd);
	fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

/* How many connections or datagrams have come. */
static inline int sink_drain(struct sink *s)
{
	int n = 0;

	for (;; n++) {
		char byte;

		if (s->udp) {
			if (recv(s->fd, &byte, 1, 0) < 0)
				break;
		} else {
			zg_autofd int c = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC);

			if (c < 0)
				break;
		}
	}
	assert_int_equal(errno, EAGAIN);
	return n;
}

/* So many come, and no more. */
static inline void sink_expect(struct sink *s, int want)
{
	int n = sink_drain(s);

	while (n < want) {
		wait_for(s->fd);
		n += sink_drain(s);
	}
	assert_int_equal(n, want);
}

/* events ------------------------------------------------------------------------ */

struct seen {
	struct zg_event last;
	size_t count[ZG_E_MAX];
};

static inline int seen_event(const struct zg_event *ev, void *arg)
{
	struct seen *s = arg;

	assert_true(ev->kind < ZG_E_MAX);
	s->last = *ev;
	s->count[ev->kind]++;
	return 0;
}

static inline struct seen lab_events(struct lab *lab)
{
	struct seen s = {0};

	assert_true(zg_kernel_consume(lab->kernel, seen_event, &s) >= 0);
	return s;
}

/* The same, with at least one of this kind: of packets it is told where they arrive. */
static inline struct seen lab_events_with(struct lab *lab, enum zg_event_kind kind)
{
	struct seen s = lab_events(lab);

	for (int i = 0; !s.count[kind]; i++) {
		assert_true(i < ARRIVES_MS / 5);
		(void)poll(NULL, 0, 5);
		assert_true(zg_kernel_consume(lab->kernel, seen_event, &s) >= 0);
	}
	return s;
}

#endif
