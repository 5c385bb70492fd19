/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stdio.c - `zerogate stdio ID`: what a client starts in the place of a local
 * server's command. It hands its standard input and output to the agent, says
 * which of its variables the registry asks for, and waits for the end: when it
 * dies, so does the server. Trust: runs as the calling user in a governed cgroup;
 * the agent decides by the kernel's word for who asks.
 *
 * Exit status: 0 the session ended in order; 1 refused, or the server failed;
 * 2 usage, or no such server; 3 the agent cannot be reached or served no longer.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "cli.h"
#include "slice.h"

/* What the agent takes: a pipe or a stream socket. Anything else is copied. */
struct copy {
	int from, to; /* -1 = nothing is to be copied */
};

static bool is_pipe(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode));
}

/* The descriptor for the agent, and what is left to do here. */
static int prepare(int fd, bool input, struct copy *c)
{
	int ends[2];

	*c = (struct copy){-1, -1};
	if (is_pipe(fd))
		return fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -1;
	*c = input ? (struct copy){fcntl(fd, F_DUPFD_CLOEXEC, 3), ends[1]}
		   : (struct copy){ends[0], fcntl(fd, F_DUPFD_CLOEXEC, 3)};
	return input ? ends[0] : ends[1];
}

static void end_copy(struct copy *c)
{
	zg_close_(&c->from);
	zg_close_(&c->to);
	*c = (struct copy){-1, -1};
}

static void copy_some(struct copy *c)
{
	char bytes[65536];
	ssize_t n = read(c->from, bytes, sizeof(bytes)), done = 0;

	while (n > 0 && done < n) {
		ssize_t k = write(c->to, bytes + done, (size_t)(n - done));

		if (k <= 0)
			break;
		done += k;
	}
	if (n <= 0 || done < n)
		end_copy(c);
}

/* The end of the session; rows have been dealt with. */
static int wait_for_end(int sock, struct copy copies[2])
{
	struct zg_msg m = {.fd = -1};
	int status = ZG_EXIT_DAEMON;

	for (;;) {
		struct pollfd p[3] = {{.fd = sock, .events = POLLIN},
				      {.fd = copies[0].from, .events = POLLIN},
				      {.fd = copies[1].from, .events = POLLIN}};
		int rc;

		if (poll(p, 3, -1) < 0 && errno != EINTR)
			return ZG_EXIT_DAEMON;
		/* output first: what came before the end belongs to it */
		if (p[2].revents)
			copy_some(&copies[1]);
		else if (p[1].revents)
			copy_some(&copies[0]);
		else if (p[0].revents) {
			rc = zg_ctl_next(sock, &m, &status);
			zg_msg_release(&m);
			if (rc <= 0)
				return rc < 0 ? ZG_EXIT_DAEMON : status;
		}
	}
}

/* One variable that the registry lets a client set. 0, or the exit status. */
static int tell_variable(int sock, const struct zg_msg_ctl_stdio_ask *ask)
{
	struct zg_msg_ctl_stdio_env env = {0};
	const char *value;

	memcpy(env.name, ask->name, sizeof(env.name));
	ZG_MSG_TEXT(env.name);
	value = getenv(env.name);
	if (!value)
		return 0;
	if (!zg_str_cut(env.value, sizeof(env.value), zg_slice_str(value))) {
		fputs("zerogate: the variable ", stderr);
		zg_print_safe(stderr, env.name);
		fprintf(stderr, " is longer than %d bytes\n", ZG_STDIO_ENV_LEN - 1);
		return ZG_EXIT_NO;
	}
	return zg_ctl_request(sock, ZG_MSG_CTL_STDIO_ENV, &env) < 0 ? ZG_EXIT_DAEMON : 0;
}

/* -1: go on; else the exit status. */
static int answer_questions(int sock)
{
	struct zg_msg m = {.fd = -1};
	int status = ZG_EXIT_DAEMON;

	for (;;) {
		const struct zg_msg_ctl_stdio_ask *ask = (const void *)m.body;
		int rc = zg_ctl_next(sock, &m, &status);

		zg_msg_release(&m);
		if (rc <= 0)
			return rc < 0 ? ZG_EXIT_DAEMON : status;
		if (m.type != ZG_MSG_CTL_STDIO_ASK)
			continue;
		if (ask->last)
			return -1;
		rc = tell_variable(sock, ask);
		if (rc)
			return rc;
	}
}

static int send_end(int sock, enum zg_msg_type type, const void *body, int fd)
{
	int rc = fd < 0 ? -errno : zg_msg_send(sock, type, body, fd);

	if (rc < 0)
		fprintf(stderr, "zerogate: cannot pass a descriptor to the agent: %s\n",
			strerror(-rc));
	zg_close_(&fd);
	return rc;
}

static int serve(int sock, const char *server)
{
	const struct zg_msg_ctl_stdio_go go = {0};
	struct zg_msg_ctl_stdio ask = {0};
	struct copy copies[2] = {{-1, -1}, {-1, -1}};
	int null, status;

	if (!zg_str_cut(ask.server, sizeof(ask.server), zg_slice_str(server))) {
		fputs("zerogate: no server has so long an id\n", stderr);
		return ZG_EXIT_USAGE;
	}
	if (send_end(sock, ZG_MSG_CTL_STDIO, &ask, prepare(STDIN_FILENO, true, &copies[0])) < 0)
		return ZG_EXIT_DAEMON;
	status = answer_questions(sock);
	if (status >= 0)
		return status;
	if (send_end(sock, ZG_MSG_CTL_STDIO_GO, &go, prepare(STDOUT_FILENO, false, &copies[1])) < 0)
		return ZG_EXIT_DAEMON;
	/* the agent has them; the client must see the end of what it holds */
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0)
		return ZG_EXIT_DAEMON;
	(void)close(null);
	status = wait_for_end(sock, copies);
	while (copies[1].from >= 0)
		copy_some(&copies[1]);
	return status;
}

int zg_verb_stdio(struct zg_cli *cli, int argc, char **argv)
{
	int sock, status;

	if (argc != 2 || argv[1][0] == '-') {
		fputs("usage: zerogate stdio SERVER\n", stderr);
		return ZG_EXIT_USAGE;
	}
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		return ZG_EXIT_DAEMON;
	sock = zg_ctl_connect(cli);
	if (sock < 0)
		return ZG_EXIT_DAEMON;
	status = serve(sock, argv[1]);
	(void)close(sock);
	return status;
}
