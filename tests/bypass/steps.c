/* SPDX-License-Identifier: Apache-2.0 */
/* steps.c - see bypass.h: what many attempts are made of. */
#include "bypass.h"

#include <poll.h>

int patience_ms;

struct timeval patience(void)
{
	return (struct timeval){.tv_sec = patience_ms / 1000, .tv_usec = patience_ms % 1000 * 1000};
}

int step_socket(const char *addr, int type)
{
	const struct timeval limit = patience();
	int fd = socket(strchr(addr, ':') ? AF_INET6 : AF_INET, type | SOCK_CLOEXEC, 0);

	if (fd < 0)
		_exit(errno);
	/* what the gate drops would be sent again and again */
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	return fd;
}

int step_connect(int fd, const char *addr, uint16_t port)
{
	struct endpoint to = endpoint_of(addr, port);

	return connect(fd, (struct sockaddr *)&to.ss, to.bytes) < 0 ? errno : 0;
}

int step_send(int fd)
{
	return send(fd, MARK, MARK_LEN, MSG_NOSIGNAL) < 0 ? errno : 0;
}

int step_sendto(int fd, int flags, const char *addr, uint16_t port)
{
	struct endpoint to = endpoint_of(addr, port);
	ssize_t n = sendto(fd, MARK, MARK_LEN, flags | MSG_NOSIGNAL, (struct sockaddr *)&to.ss,
			   to.bytes);

	return n < 0 ? errno : 0;
}

int step_dial(const char *addr, uint16_t port)
{
	int fd = step_socket(addr, SOCK_STREAM);
	int r = step_connect(fd, addr, port);

	return r ? r : step_send(fd);
}

int step_datagram(const char *addr, uint16_t port)
{
	return step_sendto(step_socket(addr, SOCK_DGRAM), 0, addr, port);
}

int step_receive(struct stage *st, int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char buf[512];
	ssize_t n;

	if (poll(&p, 1, patience_ms) != 1)
		return ETIMEDOUT;
	n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
	if (n < 0)
		return errno;
	if (memmem(buf, (size_t)n, MARK, MARK_LEN))
		st->told->arrived = 1;
	return 0;
}

void step_ready(struct stage *st)
{
	st->told->outside = getpid();
	if (write(st->ready, "r", 1) != 1)
		_exit(errno);
}

union control {
	char room[CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
};

int step_pass(int over, int fd)
{
	char byte = 'f';
	struct iovec io = {&byte, 1};
	union control control = {{0}};
	struct msghdr m = {.msg_iov = &io,
			   .msg_iovlen = 1,
			   .msg_control = control.room,
			   .msg_controllen = sizeof(control.room)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	return sendmsg(over, &m, 0) < 0 ? errno : 0;
}

int step_take(int over)
{
	char byte;
	struct iovec io = {&byte, 1};
	union control control = {{0}};
	struct msghdr m = {.msg_iov = &io,
			   .msg_iovlen = 1,
			   .msg_control = control.room,
			   .msg_controllen = sizeof(control.room)};
	struct cmsghdr *c;
	int fd = -1;

	if (recvmsg(over, &m, MSG_CMSG_CLOEXEC) < 0)
		return -1;
	c = CMSG_FIRSTHDR(&m);
	if (c && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(fd)))
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

struct in_addr step_group4(const struct stage *st)
{
	return (struct in_addr){htonl(0xef424200U | st->told->run)}; /* 239.66.66.x */
}

struct in_addr step_source4(const struct stage *st)
{
	return (struct in_addr){htonl(0x42424200U | st->told->run)}; /* 66.66.66.x */
}

struct in6_addr step_group6(const struct stage *st)
{
	return (struct in6_addr){.s6_addr = {0xff, 0x15, [13] = 0x66, 0x66, st->told->run}};
}
