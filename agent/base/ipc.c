/* SPDX-License-Identifier: Apache-2.0 */
/* ipc.c - see ipc.h. Trust: the peer may be a compromised role or any user. */
#include "ipc.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

static const struct {
	const char *name;
	size_t bytes;
	bool fd;
} table[ZG_MSG_MAX] = {
	[ZG_MSG_NONE] = {"none", 0, false},
#define X(NAME, lower, from, to, wants_fd)                                                         \
	[ZG_MSG_##NAME] = {#lower, sizeof(struct zg_msg_##lower), wants_fd},
#include "tbl/message.h"
#undef X
};

size_t zg_msg_bytes(enum zg_msg_type type)
{
	return (unsigned)type < ZG_MSG_MAX ? table[type].bytes : 0;
}

const char *zg_msg_name(enum zg_msg_type type)
{
	return (unsigned)type < ZG_MSG_MAX ? table[type].name : "unknown";
}

bool zg_msg_wants_fd(enum zg_msg_type type)
{
	return (unsigned)type < ZG_MSG_MAX && table[type].fd;
}

int zg_ipc_pair(int fds[2], bool nonblock)
{
	int type = SOCK_SEQPACKET | SOCK_CLOEXEC | (nonblock ? SOCK_NONBLOCK : 0);
	int pair[2];

	if (socketpair(AF_UNIX, type, 0, pair) < 0)
		return -errno;
	fds[0] = pair[0];
	fds[1] = pair[1];
	return 0;
}

int zg_msg_send(int sock, enum zg_msg_type type, const void *body, int fd)
{
	struct zg_msg_header head = {ZG_MSG_MAGIC, (uint16_t)type, (uint32_t)zg_msg_bytes(type)};
	struct iovec iov[2] = {{&head, sizeof(head)}, {(void *)(uintptr_t)body, head.bytes}};
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
	ssize_t n;

	if (!head.bytes || zg_msg_wants_fd(type) != (fd >= 0))
		return -EINVAL;
	if (fd >= 0) {
		struct cmsghdr *c;

		msg.msg_control = control.space;
		msg.msg_controllen = sizeof(control.space);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(int));
	}
	do
		n = sendmsg(sock, &msg, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == ECONNRESET || errno == ENOTCONN ? -EPIPE : -errno;
	return 0;
}

/* Keep the first descriptor, close all others; true if more than one came. */
static bool take_fds(struct msghdr *msg, int *out)
{
	bool extra = (msg->msg_flags & MSG_CTRUNC) != 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t count;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (*out < 0) {
				*out = fd;
			} else {
				(void)close(fd);
				extra = true;
			}
		}
	}
	return extra;
}

int zg_msg_recv(int sock, struct zg_msg *m)
{
	struct zg_msg_header head;
	struct iovec iov[2] = {{&head, sizeof(head)}, {m->body, sizeof(m->body)}};
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(4 * sizeof(int))];
	} control;
	struct msghdr msg = {.msg_iov = iov,
			     .msg_iovlen = 2,
			     .msg_control = control.space,
			     .msg_controllen = sizeof(control.space)};
	int fd = -1;
	bool extra;
	ssize_t n;

	do
		n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	if (n == 0)
		return -EPIPE;
	extra = take_fds(&msg, &fd);
	if (extra || (msg.msg_flags & MSG_TRUNC) || (size_t)n < sizeof(head) ||
	    head.magic != ZG_MSG_MAGIC || head.type >= ZG_MSG_MAX || !table[head.type].bytes ||
	    head.bytes != table[head.type].bytes || (size_t)n != sizeof(head) + head.bytes ||
	    table[head.type].fd != (fd >= 0)) {
		zg_close_(&fd);
		return -EPROTO;
	}
	m->type = (enum zg_msg_type)head.type;
	m->fd = fd;
	return 0;
}
