/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel_task.h - for tests of packets: a process in a cgroup that does one
 * thing after the other as it is told, and what arrives at the other end.
 */
#ifndef ZG_KERNEL_TASK_H
#define ZG_KERNEL_TASK_H

#include "kernel_lab.h"

/* a process in a cgroup that does one thing after the other ------------------- */

struct task {
	pid_t pid;
	int order[2];
	int answer[2];
	/* what an order works on, in shared memory */
	int fd; /* the child's */
	int type;
	int protocol;
	const char *addr;
	uint16_t port;
	size_t bytes;
	int other;	     /* the child's end of a connection to itself */
	uint8_t packet[256]; /* an option or a datagram */
	socklen_t packet_bytes;
};

typedef int order_fn(struct task *t);

static inline int task_loop(struct task *t)
{
	order_fn *fn;
	int r;

	while (read(t->order[0], &fn, sizeof(fn)) == sizeof(fn)) {
		r = fn(t);
		if (write(t->answer[1], &r, sizeof(r)) != sizeof(r))
			return 1;
	}
	return 0;
}

static inline struct task *task_start(struct lab *lab, const char *cgroup, bool root)
{
	struct task *t =
		mmap(NULL, sizeof(*t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid;

	assert_true(t != MAP_FAILED);
	assert_int_equal(pipe2(t->order, O_CLOEXEC), 0);
	assert_int_equal(pipe2(t->answer, O_CLOEXEC), 0);
	t->fd = -1;
	t->type = SOCK_STREAM;
	(void)lab_cgroup(lab, cgroup);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)close(t->order[1]);
		lab_join(lab, cgroup);
		if (!root)
			lab_drop();
		_exit(task_loop(t));
	}
	t->pid = pid;
	return t;
}

/* 0 or errno, as the child saw it. */
static inline int task_do(struct task *t, order_fn *fn)
{
	int r;

	assert_int_equal(write(t->order[1], &fn, sizeof(fn)), sizeof(fn));
	assert_int_equal(read(t->answer[0], &r, sizeof(r)), sizeof(r));
	return r;
}

static inline void task_end(struct task *t)
{
	(void)close(t->order[1]);
	assert_int_equal(lab_wait(t->pid), 0);
	(void)close(t->order[0]);
	(void)close(t->answer[0]);
	(void)close(t->answer[1]);
	assert_int_equal(munmap(t, sizeof(*t)), 0);
}

static inline int do_open(struct task *t)
{
	struct endpoint to = endpoint_of(t->addr, t->port);

	if (t->fd >= 0)
		(void)close(t->fd);
	t->fd = socket(to.ss.ss_family, t->type, t->protocol);
	return t->fd < 0 ? errno : 0;
}

static inline int do_connect(struct task *t)
{
	struct endpoint to = endpoint_of(t->addr, t->port);

	return connect(t->fd, (struct sockaddr *)&to.ss, to.bytes) < 0 ? errno : 0;
}

static inline int do_send(struct task *t)
{
	return send(t->fd, "x", 1, 0) == 1 ? 0 : errno;
}

static inline int do_sendto(struct task *t)
{
	struct endpoint to = endpoint_of(t->addr, t->port);
	size_t bytes = t->packet_bytes ? t->packet_bytes : 8; /* a ping is 8 at least */

	return sendto(t->fd, t->packet, bytes, 0, (struct sockaddr *)&to.ss, to.bytes) < 0 ? errno
											   : 0;
}

static inline int do_receive(struct task *t)
{
	char byte;

	return recv(t->fd, &byte, 1, MSG_DONTWAIT) == 1 ? 0 : errno;
}

/* Bind to the loopback address, port 0; the port is left in t->port. */
static inline int do_bind_any(struct task *t)
{
	struct endpoint at = endpoint_of(t->addr, 0);

	if (bind(t->fd, (struct sockaddr *)&at.ss, at.bytes) < 0 ||
	    getsockname(t->fd, (struct sockaddr *)&at.ss, &at.bytes) < 0)
		return errno;
	t->port = ntohs(((struct sockaddr_in *)&at.ss)->sin_port);
	return 0;
}

static inline int do_listen(struct task *t)
{
	struct endpoint at = endpoint_of(t->addr, 0);

	if (listen(t->fd, 8) < 0 || getsockname(t->fd, (struct sockaddr *)&at.ss, &at.bytes) < 0)
		return errno;
	t->port = ntohs(((struct sockaddr_in *)&at.ss)->sin_port);
	return fcntl(t->fd, F_SETFL, O_NONBLOCK) < 0 ? errno : 0;
}

static inline int do_accept(struct task *t)
{
	return accept(t->fd, NULL, NULL) < 0 ? errno : 0;
}

/* the other end ---------------------------------------------------------------- */

static inline int accept_one(const struct sink *s)
{
	int fd = sink_accept(s);

	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	return fd;
}

/* Bytes that are there now. */
static inline size_t bytes_at(int fd)
{
	char buf[4096];
	size_t sum = 0;
	ssize_t n;

	while ((n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0)
		sum += (size_t)n;
	assert_true(n < 0 && errno == EAGAIN);
	return sum;
}

/* So many come, and no more. */
static inline void bytes_expect(int fd, size_t want)
{
	size_t n = bytes_at(fd);

	while (n < want) {
		wait_for(fd);
		n += bytes_at(fd);
	}
	assert_int_equal(n, want);
}

/* plans -------------------------------------------------------------------------- */

/* P_A may reach addr on ports lo..hi, by TCP and UDP. */
static inline void allow(struct lab *lab, enum zg_mode mode, const char *const addrs[], size_t n,
			 uint16_t lo, uint16_t hi)
{
	struct plan p;

	plan_init(&p);
	plan_profile(&p, "a", mode);
	for (size_t i = 0; i < n; i++)
		plan_prefix(&p, addrs[i], strchr(addrs[i], ':') ? 128 : 32, 10);
	if (n) {
		(void)plan_rule(&p, P_A, 10, IPPROTO_TCP, lo, hi, ZG_V_ALLOW);
		(void)plan_rule(&p, P_A, 10, IPPROTO_UDP, lo, hi, ZG_V_ALLOW);
	}
	lab_apply(lab, &p);
}

static inline void allow_port(struct lab *lab, const char *addr, uint16_t port)
{
	allow(lab, ZG_MODE_ENFORCE, &addr, 1, port, port);
}

static inline void allow_nothing(struct lab *lab)
{
	allow(lab, ZG_MODE_ENFORCE, NULL, 0, 0, 0);
}

static const char *const loopbacks[] = {"127.0.0.1", "::1"};

#endif
