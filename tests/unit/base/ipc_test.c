/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ipc_test.c - packets that keep the wire's contract arrive; all others are
 * refused, and no descriptor that came with them stays open.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <cmocka.h>

#include "ipc.h"

static int setup(void **state)
{
	static int pair[2];

	assert_int_equal(zg_ipc_pair(pair, true), 0);
	*state = pair;
	return 0;
}

static int teardown(void **state)
{
	int *pair = *state;

	(void)close(pair[0]);
	(void)close(pair[1]);
	return 0;
}

static size_t open_files(void)
{
	DIR *d = opendir("/proc/self/fd");
	size_t n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	(void)closedir(d);
	return n;
}

/* Any bytes, any number of descriptors. */
static void send_raw(int sock, const void *head, size_t head_bytes, size_t body_bytes, size_t fds)
{
	static char body[2 * ZG_MSG_MAX_BYTES];
	struct iovec iov[2] = {{(void *)(uintptr_t)head, head_bytes}, {body, body_bytes}};
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(16 * sizeof(int))];
	} control = {0};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};

	if (fds) {
		struct cmsghdr *c = (struct cmsghdr *)control.space;
		int fd = STDERR_FILENO;

		msg.msg_control = control.space;
		msg.msg_controllen = CMSG_SPACE(fds * sizeof(int));
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(fds * sizeof(int));
		for (size_t i = 0; i < fds; i++)
			memcpy(CMSG_DATA(c) + i * sizeof(int), &fd, sizeof(fd));
	}
	assert_true(sendmsg(sock, &msg, MSG_NOSIGNAL) >= 0);
}

static void every_type_arrives(void **state)
{
	static char body[ZG_MSG_MAX_BYTES];
	int *pair = *state;
	size_t before = open_files();
	struct zg_msg m;

	for (int type = 1; type < ZG_MSG_MAX; type++) {
		bool wants = zg_msg_wants_fd((enum zg_msg_type)type);

		memset(body, type, sizeof(body));
		assert_int_equal(zg_msg_send(pair[0], (enum zg_msg_type)type, body,
					     wants ? STDERR_FILENO : -1),
				 0);
		assert_int_equal(zg_msg_recv(pair[1], &m), 0);
		assert_int_equal(m.type, type);
		assert_memory_equal(m.body, body, zg_msg_bytes((enum zg_msg_type)type));
		assert_int_equal(m.fd >= 0, wants);
		if (wants)
			assert_true(fcntl(m.fd, F_GETFD) & FD_CLOEXEC);
		zg_msg_release(&m);
	}
	assert_int_equal(open_files(), before);
}

static void hostile_packets_are_refused(void **state)
{
	const uint32_t ready = sizeof(struct zg_msg_ready), give = sizeof(struct zg_msg_give_fd);
	const struct {
		struct zg_msg_header head;
		size_t head_bytes, body_bytes, fds;
	} bad[] = {
		{{0x1234, ZG_MSG_READY, ready}, 8, ready, 0},	  /* magic */
		{{ZG_MSG_MAGIC, ZG_MSG_MAX, ready}, 8, ready, 0}, /* type */
		{{ZG_MSG_MAGIC, ZG_MSG_NONE, 0}, 8, 0, 0},
		{{ZG_MSG_MAGIC, UINT16_MAX, ready}, 8, ready, 0},
		{{ZG_MSG_MAGIC, ZG_MSG_READY, ready - 1}, 8, ready, 0}, /* lengths that differ */
		{{ZG_MSG_MAGIC, ZG_MSG_READY, ready}, 8, ready - 1, 0},
		{{ZG_MSG_MAGIC, ZG_MSG_READY, ready}, 8, ready + 1, 0},
		{{ZG_MSG_MAGIC, ZG_MSG_READY, UINT32_MAX}, 8, ready, 0},
		{{ZG_MSG_MAGIC, ZG_MSG_HOLD, ready}, 8, ready, 0}, /* another type's size */
		{{ZG_MSG_MAGIC, ZG_MSG_READY, ready}, 8, 2 * ZG_MSG_MAX_BYTES, 0},
		{{ZG_MSG_MAGIC, ZG_MSG_READY, ready}, 3, 0, 0},	    /* half a header */
		{{ZG_MSG_MAGIC, ZG_MSG_READY, ready}, 8, ready, 1}, /* descriptors */
		{{ZG_MSG_MAGIC, ZG_MSG_GIVE_FD, give}, 8, give, 0},
		{{ZG_MSG_MAGIC, ZG_MSG_GIVE_FD, give}, 8, give, 2},
		{{ZG_MSG_MAGIC, ZG_MSG_GIVE_FD, give}, 8, give, 16},
	};
	int *pair = *state;
	size_t before = open_files();
	struct zg_msg m = {.fd = -1};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		send_raw(pair[0], &bad[i].head, bad[i].head_bytes, bad[i].body_bytes, bad[i].fds);
		if (zg_msg_recv(pair[1], &m) != -EPROTO)
			fail_msg("packet %zu was accepted", i);
		assert_int_equal(open_files(), before);
	}
	/* the socket itself is still in order */
	assert_int_equal(zg_msg_recv(pair[1], &m), -EAGAIN);
}

static void the_end_is_not_an_error(void **state)
{
	int *pair = *state;
	const struct zg_msg_ready ready = {0};
	struct zg_msg m;

	(void)close(pair[0]);
	assert_int_equal(zg_msg_recv(pair[1], &m), -EPIPE);
	assert_int_equal(zg_msg_send(pair[1], ZG_MSG_READY, &ready, -1), -EPIPE);
	pair[0] = -1;
}

static void a_sender_cannot_break_the_contract_by_mistake(void **state)
{
	int *pair = *state;
	const struct zg_msg_give_fd body = {0};

	assert_int_equal(zg_msg_send(pair[0], ZG_MSG_GIVE_FD, &body, -1), -EINVAL);
	assert_int_equal(zg_msg_send(pair[0], ZG_MSG_READY, &body, STDERR_FILENO), -EINVAL);
	assert_int_equal(zg_msg_send(pair[0], ZG_MSG_NONE, &body, -1), -EINVAL);
	assert_int_equal(zg_msg_send(pair[0], (enum zg_msg_type)4711, &body, -1), -EINVAL);
}

static void a_slow_reader_is_seen(void **state)
{
	static const struct zg_msg_ctl_approval body;
	int *pair = *state, rc, sent = 0;
	struct zg_msg m;

	while ((rc = zg_msg_send(pair[0], ZG_MSG_CTL_APPROVAL, &body, -1)) == 0)
		sent++;
	assert_int_equal(rc, -EAGAIN);
	for (; sent; sent--)
		assert_int_equal(zg_msg_recv(pair[1], &m), 0);
	assert_int_equal(zg_msg_recv(pair[1], &m), -EAGAIN);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(every_type_arrives),	    T(hostile_packets_are_refused),
		T(the_end_is_not_an_error), T(a_sender_cannot_break_the_contract_by_mistake),
		T(a_slow_reader_is_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
