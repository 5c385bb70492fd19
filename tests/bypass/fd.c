/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fd.c - sockets that are older than their owner's governing, or come from
 * somebody else: inherited, passed, accepted; and every way to put bytes in.
 */
#include "bypass.h"

#include <netinet/tcp.h>
#include <poll.h>
#include <sys/sendfile.h>

/* sockets made before ----------------------------------------------------------- */

static int make_tcp(struct stage *st)
{
	st->fd = step_socket(OUT4, SOCK_STREAM);
	return 0;
}

static int make_udp(struct stage *st)
{
	st->fd = step_socket(OUT6, SOCK_DGRAM);
	return 0;
}

static int connect_tcp(struct stage *st)
{
	st->fd = step_socket(OUT4, SOCK_STREAM);
	return step_connect(st->fd, OUT4, PORT);
}

static int connect_tcp_6(struct stage *st)
{
	st->fd = step_socket(OUT6, SOCK_STREAM);
	return step_connect(st->fd, OUT6, PORT);
}

static int connect_udp(struct stage *st)
{
	st->fd = step_socket(OUT4, SOCK_DGRAM);
	return step_connect(st->fd, OUT4, PORT);
}

/* what the governed process does with them ------------------------------------------ */

static int use_connect(struct stage *st)
{
	int r = step_connect(st->fd, OUT4, PORT);

	return r ? r : step_send(st->fd);
}

static int use_sendto(struct stage *st)
{
	return step_sendto(st->fd, 0, OUT6, PORT);
}

static int use_send(struct stage *st)
{
	return step_send(st->fd);
}

static int use_write(struct stage *st)
{
	return write(st->fd, MARK, MARK_LEN) < 0 ? errno : 0;
}

static int file_of_mark(void)
{
	int fd = memfd_create("mark", MFD_CLOEXEC);

	if (fd < 0 || write(fd, MARK, MARK_LEN) != (ssize_t)MARK_LEN || lseek(fd, 0, SEEK_SET) < 0)
		_exit(errno);
	return fd;
}

static int use_sendfile(struct stage *st)
{
	return sendfile(st->fd, file_of_mark(), NULL, MARK_LEN) < 0 ? errno : 0;
}

static int use_splice(struct stage *st)
{
	int pipes[2];

	if (pipe2(pipes, O_CLOEXEC) < 0 || write(pipes[1], MARK, MARK_LEN) < 0)
		return errno;
	return splice(pipes[0], NULL, st->fd, NULL, MARK_LEN, 0) < 0 ? errno : 0;
}

static int use_vmsplice(struct stage *st)
{
	static char page[] = MARK;
	struct iovec io = {page, MARK_LEN};
	int pipes[2];

	if (pipe2(pipes, O_CLOEXEC) < 0 || vmsplice(pipes[1], &io, 1, 0) < 0)
		return errno;
	return splice(pipes[0], NULL, st->fd, NULL, MARK_LEN, 0) < 0 ? errno : 0;
}

static int use_zero_copy(struct stage *st)
{
	int one = 1;

	if (setsockopt(st->fd, SOL_SOCKET, SO_ZEROCOPY, &one, sizeof(one)) < 0)
		return errno;
	return send(st->fd, MARK, MARK_LEN, MSG_ZEROCOPY | MSG_NOSIGNAL) < 0 ? errno : 0;
}

static int use_corked(struct stage *st)
{
	int one = 1, zero = 0;

	if (setsockopt(st->fd, IPPROTO_TCP, TCP_CORK, &one, sizeof(one)) < 0 ||
	    send(st->fd, MARK, MARK_LEN, MSG_NOSIGNAL) < 0)
		return errno;
	return setsockopt(st->fd, IPPROTO_TCP, TCP_CORK, &zero, sizeof(zero)) < 0 ? errno : 0;
}

static int use_urgent(struct stage *st)
{
	return send(st->fd, MARK, MARK_LEN, MSG_OOB | MSG_NOSIGNAL) < 0 ? errno : 0;
}

/* The kernel's own last words must not carry it either. */
static int use_linger(struct stage *st)
{
	struct linger linger = {.l_onoff = 1, .l_linger = 1};

	(void)setsockopt(st->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	(void)step_send(st->fd);
	return shutdown(st->fd, SHUT_WR) < 0 ? errno : 0;
}

/* what a process outside passes in ------------------------------------------------------ */

static int pass_new(struct stage *st)
{
	int r = step_pass(st->link[1], step_socket(OUT4, SOCK_STREAM));

	step_ready(st);
	return r;
}

static int pass_connected(struct stage *st)
{
	int r = connect_tcp(st);

	r = r ? r : step_pass(st->link[1], st->fd);
	step_ready(st);
	return r;
}

static int pass_connected_udp(struct stage *st)
{
	int r = connect_udp(st);

	r = r ? r : step_pass(st->link[1], st->fd);
	step_ready(st);
	return r;
}

static int take_connect(struct stage *st)
{
	st->fd = step_take(st->link[0]);
	return st->fd < 0 ? EPERM : use_connect(st);
}

static int take_send(struct stage *st)
{
	st->fd = step_take(st->link[0]);
	return st->fd < 0 ? EPERM : step_send(st->fd);
}

/* reading is a way out of the jail too: the server's bytes come in ------------------------ */

#define ECHO_PORT 4445

static int echo_listener(struct stage *st)
{
	struct endpoint at = endpoint_of(OUT4, ECHO_PORT);
	int one = 1, fd = step_socket(OUT4, SOCK_STREAM), c;
	char byte;

	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&at.ss, at.bytes) < 0 || listen(fd, 4) < 0)
		return errno;
	step_ready(st);
	c = accept(fd, NULL, NULL);
	if (c < 0 || recv(st->link[1], &byte, 1, 0) != 1)
		return errno;
	return step_send(c);
}

static int connect_echo(struct stage *st)
{
	st->fd = step_socket(OUT4, SOCK_STREAM);
	return step_connect(st->fd, OUT4, ECHO_PORT);
}

static int read_server(struct stage *st)
{
	if (send(st->link[0], "x", 1, MSG_NOSIGNAL) != 1)
		return errno;
	return step_receive(st, st->fd);
}

/* As step_receive(), without a call that receives. */
static int splice_server(struct stage *st)
{
	struct pollfd p = {.fd = st->fd, .events = POLLIN};
	char buf[512];
	int pipes[2];
	ssize_t n;

	if (pipe2(pipes, O_CLOEXEC) < 0 || send(st->link[0], "x", 1, MSG_NOSIGNAL) != 1)
		return errno;
	if (poll(&p, 1, patience_ms) != 1)
		return ETIMEDOUT;
	if (splice(st->fd, NULL, pipes[1], NULL, sizeof(buf), SPLICE_F_NONBLOCK) < 0)
		return errno;
	n = read(pipes[0], buf, sizeof(buf));
	if (n > 0 && memmem(buf, (size_t)n, MARK, MARK_LEN))
		st->told->arrived = 1;
	return 0;
}

/* TCP_ZEROCOPY_RECEIVE copies what is too little to be mapped. */
static int map_server(struct stage *st)
{
	struct pollfd p = {.fd = st->fd, .events = POLLIN};
	char buf[512] = "";
	struct { /* linux/tcp.h and netinet/tcp.h cannot be had together */
		uint64_t address;
		uint32_t length, skip, inq, err;
		uint64_t copy;
		uint32_t copy_bytes, flags;
		uint64_t control, control_bytes;
		uint32_t message_flags, reserved;
	} z = {.copy = (uintptr_t)buf, .copy_bytes = sizeof(buf)};
	socklen_t bytes = sizeof(z);

	if (send(st->link[0], "x", 1, MSG_NOSIGNAL) != 1)
		return errno;
	if (poll(&p, 1, patience_ms) != 1)
		return ETIMEDOUT;
	if (getsockopt(st->fd, IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE, &z, &bytes) < 0)
		return errno;
	if (memmem(buf, sizeof(buf), MARK, MARK_LEN))
		st->told->arrived = 1;
	return 0;
}

/* a listener from outside: what it accepts is nobody's in here ---------------------------- */

static int make_listener(struct stage *st)
{
	struct endpoint at = endpoint_of(OUT4, 0);

	st->fd = step_socket(OUT4, SOCK_STREAM);
	if (bind(st->fd, (struct sockaddr *)&at.ss, at.bytes) < 0 || listen(st->fd, 4) < 0 ||
	    getsockname(st->fd, (struct sockaddr *)&at.ss, &at.bytes) < 0)
		return errno;
	st->told->port = ntohs(((struct sockaddr_in *)&at.ss)->sin_port);
	return 0;
}

static int dial_listener(struct stage *st)
{
	char byte;

	step_ready(st);
	if (recv(st->link[1], &byte, 1, 0) != 1)
		return errno;
	return step_dial(OUT4, st->told->port);
}

static int accept_inherited(struct stage *st)
{
	int c;

	if (send(st->link[0], "x", 1, MSG_NOSIGNAL) != 1)
		return errno;
	c = accept(st->fd, NULL, NULL);
	return c < 0 ? errno : step_receive(st, c);
}

static const struct attempt fd_attempts_rows[] = {
	{"fd-tcp", T_FD_OPEN, "an inherited socket, dialled inside", use_connect,
	 .before = make_tcp},
	{"fd-udp", T_FD_OPEN, "an inherited datagram socket", use_sendto, .before = make_udp},
	{"fd-passed", T_FD_OPEN, "a socket passed in, dialled inside", take_connect,
	 .outside = pass_new},
	{"older-tcp", T_FD_GOVERNED, "send on the older connection", use_send,
	 .before = connect_tcp, .later = true},
	{"older-tcp-6", T_FD_GOVERNED, "the same over IPv6", use_send, .before = connect_tcp_6,
	 .later = true},
	{"older-udp", T_FD_GOVERNED, "send on the older datagram socket", use_send,
	 .before = connect_udp, .later = true},
	{"older-read", T_FD_GOVERNED, "receive on the older connection", read_server,
	 .before = connect_echo, .outside = echo_listener, .later = true, .inbound = true},
	{"older-urgent", T_FD_GOVERNED, "urgent data", use_urgent, .before = connect_tcp,
	 .later = true},
	{"older-linger", T_FD_GOVERNED, "sent by the kernel after close", use_linger,
	 .before = connect_tcp, .later = true},
	{"older-removed", T_FD_GOVERNED, "sent again after process and cgroup are gone", use_send,
	 .before = connect_tcp, .later = true, .removed = true},
	{"older-sendfile", T_SEND_PATH, "sendfile on the older connection", use_sendfile,
	 .before = connect_tcp, .later = true},
	{"older-splice", T_SEND_PATH, "splice", use_splice, .before = connect_tcp, .later = true},
	{"older-vmsplice", T_SEND_PATH, "vmsplice, then splice", use_vmsplice,
	 .before = connect_tcp, .later = true},
	{"older-zerocopy", T_SEND_PATH, "MSG_ZEROCOPY", use_zero_copy, .before = connect_tcp,
	 .later = true},
	{"older-cork", T_SEND_PATH, "corked, then let go", use_corked, .before = connect_tcp,
	 .later = true},
	{"conn-write", T_FD_CONNECTED, "inherited: write", use_write, .before = connect_tcp},
	{"conn-udp", T_FD_CONNECTED, "inherited: datagrams", use_send, .before = connect_udp},
	{"conn-sendfile", T_FD_CONNECTED, "inherited: sendfile", use_sendfile,
	 .before = connect_tcp},
	{"conn-splice", T_FD_CONNECTED, "inherited: splice", use_splice, .before = connect_tcp},
	{"conn-read", T_FD_CONNECTED, "inherited: receive", read_server, .before = connect_echo,
	 .outside = echo_listener, .inbound = true},
	{"conn-splice-read", T_FD_CONNECTED, "inherited: splice, receiving", splice_server,
	 .before = connect_echo, .outside = echo_listener, .inbound = true},
	{"conn-map-read", T_FD_CONNECTED, "inherited: getsockopt that receives", map_server,
	 .before = connect_echo, .outside = echo_listener, .inbound = true},
	{"conn-passed", T_FD_CONNECTED, "passed in: send", take_send, .outside = pass_connected},
	{"conn-passed-udp", T_FD_CONNECTED, "passed in: datagrams", take_send,
	 .outside = pass_connected_udp},
	{"conn-accept", T_FD_CONNECTED, "accepted from an inherited listener", accept_inherited,
	 .before = make_listener, .outside = dial_listener, .inbound = true},
};
ATTEMPTS(fd_attempts);
