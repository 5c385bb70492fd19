/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uring.c - the same calls without calling: io_uring, by its raw interface, so
 * that neither a library nor its version decides what is tried.
 */
#include "bypass.h"

#include <linux/io_uring.h>
#include <stdatomic.h>
#include <sys/syscall.h>

struct ring {
	int fd;
	_Atomic unsigned int *sq_tail, *sq_flags, *cq_head, *cq_tail;
	unsigned int *sq_array, sq_mask, cq_mask;
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe;
	bool polled;
};

/* The kernel has no io_uring, or has it switched off. */
static void ring_lacking(void)
{
	_exit(errno);
}

static void *ring_map(const struct ring *r, size_t bytes, off_t what)
{
	void *at =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, r->fd, what);

	if (at == MAP_FAILED)
		ring_lacking();
	return at;
}

static struct ring ring_open(bool polled)
{
	struct io_uring_params p = {.flags = polled ? IORING_SETUP_SQPOLL : 0,
				    .sq_thread_idle = 1000};
	struct ring r = {.polled = polled};
	uint8_t *sq, *cq;

	r.fd = (int)syscall(SYS_io_uring_setup, 8, &p);
	if (r.fd < 0)
		ring_lacking();
	sq = ring_map(&r, p.sq_off.array + p.sq_entries * sizeof(unsigned int), IORING_OFF_SQ_RING);
	cq = ring_map(&r, p.cq_off.cqes + p.cq_entries * sizeof(*r.cqe), IORING_OFF_CQ_RING);
	r.sqe = ring_map(&r, p.sq_entries * sizeof(*r.sqe), IORING_OFF_SQES);
	r.sq_tail = (void *)(sq + p.sq_off.tail);
	r.sq_flags = (void *)(sq + p.sq_off.flags);
	r.sq_array = (void *)(sq + p.sq_off.array);
	r.sq_mask = *(unsigned int *)(void *)(sq + p.sq_off.ring_mask);
	r.cq_head = (void *)(cq + p.cq_off.head);
	r.cq_tail = (void *)(cq + p.cq_off.tail);
	r.cq_mask = *(unsigned int *)(void *)(cq + p.cq_off.ring_mask);
	r.cqe = (void *)(cq + p.cq_off.cqes);
	return r;
}

/* One operation, and its result (as a system call's: negative is an errno). */
static int ring_do(struct ring *r, const struct io_uring_sqe *op)
{
	unsigned int tail = atomic_load(r->sq_tail), head, flags = IORING_ENTER_GETEVENTS;
	int result;

	r->sqe[tail & r->sq_mask] = *op;
	r->sq_array[tail & r->sq_mask] = tail & r->sq_mask;
	atomic_store(r->sq_tail, tail + 1);
	if (r->polled && (atomic_load(r->sq_flags) & IORING_SQ_NEED_WAKEUP))
		flags |= IORING_ENTER_SQ_WAKEUP;
	if (syscall(SYS_io_uring_enter, r->fd, r->polled ? 0 : 1, 1, flags, NULL, 0) < 0)
		return -errno;
	head = atomic_load(r->cq_head);
	if (head == atomic_load(r->cq_tail))
		return -EAGAIN;
	result = r->cqe[head & r->cq_mask].res;
	atomic_store(r->cq_head, head + 1);
	return result;
}

static int ring_connect(struct ring *r, int fd, const char *addr)
{
	struct endpoint to = endpoint_of(addr, PORT);
	struct io_uring_sqe op = {
		.opcode = IORING_OP_CONNECT, .fd = fd, .addr = (uintptr_t)&to.ss, .off = to.bytes};

	return -ring_do(r, &op);
}

static int ring_send(struct ring *r, int fd)
{
	struct io_uring_sqe op = {.opcode = IORING_OP_SEND,
				  .fd = fd,
				  .addr = (uintptr_t)MARK,
				  .len = MARK_LEN,
				  .msg_flags = MSG_NOSIGNAL};
	int n = ring_do(r, &op);

	return n < 0 ? -n : 0;
}

static int ring_sendmsg(struct ring *r, uint8_t opcode, int fd, const char *addr)
{
	struct endpoint to = endpoint_of(addr, PORT);
	char mark[] = MARK;
	struct iovec io = {mark, MARK_LEN};
	struct msghdr m = {
		.msg_name = &to.ss, .msg_namelen = to.bytes, .msg_iov = &io, .msg_iovlen = 1};
	struct io_uring_sqe op = {.opcode = opcode, .fd = fd, .addr = (uintptr_t)&m, .len = 1};
	int n = ring_do(r, &op);

	return n < 0 ? -n : 0;
}

static int connect_and_send(bool polled, const char *addr)
{
	struct ring r = ring_open(polled);
	int fd = step_socket(addr, SOCK_STREAM);
	int e = ring_connect(&r, fd, addr);

	return e ? e : ring_send(&r, fd);
}

static int uring_connect(struct stage *st ZG_UNUSED)
{
	return connect_and_send(false, OUT4);
}

static int uring_connect_6(struct stage *st ZG_UNUSED)
{
	return connect_and_send(false, OUT6);
}

static int uring_polled_connect(struct stage *st ZG_UNUSED)
{
	return connect_and_send(true, OUT4);
}

static int uring_sendmsg(struct stage *st ZG_UNUSED)
{
	struct ring r = ring_open(false);

	return ring_sendmsg(&r, IORING_OP_SENDMSG, step_socket(OUT4, SOCK_DGRAM), OUT4);
}

static int uring_polled_sendmsg(struct stage *st ZG_UNUSED)
{
	struct ring r = ring_open(true);

	return ring_sendmsg(&r, IORING_OP_SENDMSG, step_socket(OUT6, SOCK_DGRAM), OUT6);
}

/* Operations newer than some headers: by number, as the kernel knows them. */
#define OP_SOCKET     45
#define OP_SENDMSG_ZC 48

static int uring_socket(struct stage *st ZG_UNUSED)
{
	struct ring r = ring_open(false);
	struct io_uring_sqe op = {.opcode = OP_SOCKET, .fd = AF_INET, .off = SOCK_STREAM};
	int fd = ring_do(&r, &op), e;

	if (fd < 0)
		return -fd;
	e = ring_connect(&r, fd, OUT4);
	return e ? e : ring_send(&r, fd);
}

static int uring_sendmsg_zc(struct stage *st ZG_UNUSED)
{
	struct ring r = ring_open(false);

	return ring_sendmsg(&r, OP_SENDMSG_ZC, step_socket(OUT4, SOCK_DGRAM), OUT4);
}

/* The ring was made, and its kernel thread started, while nobody governed it. */
static struct ring *early;

static int early_ring(struct stage *st)
{
	static struct ring r;

	r = ring_open(true);
	early = &r;
	st->fd = step_socket(OUT4, SOCK_STREAM);
	return 0;
}

static int uring_early(struct stage *st)
{
	int e = ring_connect(early, st->fd, OUT4);

	return e ? e : ring_send(early, st->fd);
}

/* The ring and its kernel thread are those of a process outside, which forked:
 * the thread dials with the files and the memory of that process. */
static struct {
	struct endpoint to;
	char mark[sizeof(MARK)];
} * both; /* in the memory of both */

static int outsiders_ring(struct stage *st)
{
	int r = early_ring(st);
	pid_t pid;

	both = mmap(NULL, sizeof(*both), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (r || both == MAP_FAILED)
		return errno;
	both->to = endpoint_of(OUT4, PORT);
	memcpy(both->mark, MARK, sizeof(MARK));
	pid = fork();
	if (pid > 0)
		_exit(lab_wait(pid));
	st->told->governed = getpid(); /* the attempt goes on in the child */
	return 0;
}

static int uring_inherited(struct stage *st)
{
	const struct io_uring_sqe dial = {.opcode = IORING_OP_CONNECT,
					  .fd = st->fd,
					  .addr = (uintptr_t)&both->to.ss,
					  .off = both->to.bytes};
	const struct io_uring_sqe send_ = {.opcode = IORING_OP_SEND,
					   .fd = st->fd,
					   .addr = (uintptr_t)both->mark,
					   .len = MARK_LEN,
					   .msg_flags = MSG_NOSIGNAL};
	int r = ring_do(early, &dial);

	if (r == 0)
		r = ring_do(early, &send_);
	return r < 0 ? -r : 0;
}

#define OP_COMMAND     46
#define CMD_SETSOCKOPT 3

/* setsockopt() as a command; its operands stand where others have addresses. */
static int uring_group(struct stage *st)
{
	struct ring r = ring_open(false);
	struct ip_mreqn m = {.imr_multiaddr = step_group4(st),
			     .imr_ifindex = (int)if_nametoindex(NET_DEV)};
	struct io_uring_sqe op = {.opcode = OP_COMMAND,
				  .fd = step_socket(LOCAL4, SOCK_DGRAM),
				  .off = CMD_SETSOCKOPT,
				  .addr = IPPROTO_IP | (uint64_t)IP_ADD_MEMBERSHIP << 32,
				  .splice_fd_in = sizeof(m)};
	uint64_t value = (uintptr_t)&m;

	memcpy((char *)&op + 48, &value, sizeof(value));
	return -ring_do(&r, &op);
}

static const struct attempt uring_attempts_rows[] = {
	{"uring-connect", T_URING, "connect as an operation", uring_connect, .optional = true},
	{"uring-connect-6", T_URING, "over IPv6", uring_connect_6, .optional = true},
	{"uring-poll-connect", T_URING, "submitted by a kernel thread", uring_polled_connect,
	 .optional = true},
	{"uring-sendmsg", T_URING, "sendmsg as an operation", uring_sendmsg, .optional = true},
	{"uring-poll-sendmsg", T_URING, "submitted by a kernel thread", uring_polled_sendmsg,
	 .optional = true},
	{"uring-socket", T_URING, "the socket made by the ring too", uring_socket,
	 .optional = true},
	{"uring-sendmsg-zc", T_URING, "sendmsg without a copy", uring_sendmsg_zc, .optional = true},
	{"uring-early", T_URING, "a ring whose thread is older than the governing", uring_early,
	 .before = early_ring, .optional = true},
	{"uring-inherited", T_FD_RING, "dialled by the thread of who made the ring",
	 uring_inherited, .before = outsiders_ring, .optional = true},
	{"uring-group", T_GROUP, "a group joined by a ring's command", uring_group,
	 .optional = true},
};
ATTEMPTS(uring_attempts);
