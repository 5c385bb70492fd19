/* SPDX-License-Identifier: Apache-2.0 */
/*
 * canary.c - the canary role: a workload of the agent's own, in a cgroup that
 * is governed and allowed nothing. On request it tries every door of
 * tbl/canary.h once and says what came of it. Its first rounds run before its
 * cgroup is governed: they show that the doors exist, and leave sockets that
 * were connected before. Trust: unprivileged, sandboxed; what it says is held
 * against what the parent's sinks received. Never interprets what it receives.
 */
#include "canary.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <seccomp.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "ipc.h"
#include "log.h"
#include "sandbox.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

#define TRY_USEC   300000 /* a SYN that is dropped is answered by nobody */
#define MAX_FILES  32
#define MAX_MEMORY (64u << 20)

struct canary {
	struct zg_msg_canary_round round;
	/* made before the cgroup was governed; -1 = not yet */
	int old[2]; /* connected to the sink */
	int ear[2]; /* hears anybody */
};

static const int families[2] = {AF_INET, AF_INET6};

/* 127.0.0.1 or ::1. */
static socklen_t loopback(struct sockaddr_storage *out, int family, uint16_t port)
{
	*out = (struct sockaddr_storage){.ss_family = (sa_family_t)family};
	if (family == AF_INET) {
		struct sockaddr_in *in = (void *)out;

		in->sin_port = htons(port);
		in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		return sizeof(*in);
	}
	struct sockaddr_in6 *in6 = (void *)out;

	in6->sin6_port = htons(port);
	in6->sin6_addr = in6addr_loopback;
	return sizeof(*in6);
}

static struct zg_canary_token token(const struct canary *c, uint32_t door)
{
	struct zg_canary_token t = {.door = door};

	memcpy(t.nonce, c->round.nonce, sizeof(t.nonce));
	return t;
}

/* What was meant to be refused happens as a workload would do it: one socket,
 * one destination, one message. */
static int dial(struct canary *c, uint32_t door, int type, const struct sockaddr_storage *to,
		socklen_t bytes)
{
	const struct timeval limit = {.tv_usec = TRY_USEC};
	struct zg_canary_token t = token(c, door);
	zg_autofd int s = socket(to->ss_family, type | SOCK_CLOEXEC, 0);

	if (s < 0 || setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0)
		return errno;
	if (type == SOCK_DGRAM)
		return sendto(s, &t, sizeof(t), 0, (const struct sockaddr *)to, bytes) < 0 ? errno
											   : 0;
	if (connect(s, (const struct sockaddr *)to, bytes) < 0)
		return errno;
	return send(s, &t, sizeof(t), MSG_NOSIGNAL) < 0 ? errno : 0;
}

static int try_tcp(struct canary *c, uint32_t door, int v6)
{
	struct sockaddr_storage to;
	socklen_t bytes = loopback(&to, families[v6], c->round.tcp_port[v6]);

	return dial(c, door, SOCK_STREAM, &to, bytes);
}

static int try_udp(struct canary *c, uint32_t door, int v6)
{
	struct sockaddr_storage to;
	socklen_t bytes = loopback(&to, families[v6], c->round.udp_port[v6]);

	return dial(c, door, SOCK_DGRAM, &to, bytes);
}

/* The sink has that port: whoever may bind is told EADDRINUSE. */
static int try_bind(struct canary *c, uint32_t door ZG_UNUSED, int v6)
{
	struct sockaddr_storage at;
	socklen_t bytes = loopback(&at, families[v6], c->round.tcp_port[v6]);
	zg_autofd int s = socket(families[v6], SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (s < 0)
		return errno;
	if (bind(s, (struct sockaddr *)&at, bytes) < 0)
		return errno == EADDRINUSE ? 0 : errno;
	return 0;
}

static int try_mptcp(struct canary *c ZG_UNUSED, uint32_t door ZG_UNUSED, int v6 ZG_UNUSED)
{
	zg_autofd int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_MPTCP);

	return s < 0 ? errno : 0;
}

static int try_old(struct canary *c, uint32_t door, int v6)
{
	struct zg_canary_token t = token(c, door);

	return send(c->old[v6], &t, sizeof(t), 0) < 0 ? errno : 0;
}

/* The parent has sent it before this round was asked for. */
static int try_in(struct canary *c, uint32_t door, int v6)
{
	struct zg_canary_token want = token(c, door), got;

	for (;;) {
		ssize_t n = recv(c->ear[v6], &got, sizeof(got), MSG_DONTWAIT);

		if (n < 0)
			return errno;
		if (n == sizeof(got) && memcmp(&got, &want, sizeof(got)) == 0)
			return 0;
	}
}

static int try_unix(struct canary *c, uint32_t door, int v6 ZG_UNUSED)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	size_t n = strnlen(c->round.unix_name, sizeof(c->round.unix_name));
	struct sockaddr_storage at = {0};

	memcpy(to.sun_path + 1, c->round.unix_name, n);
	memcpy(&at, &to, sizeof(to));
	return dial(c, door, SOCK_STREAM, &at,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + n));
}

static const struct {
	int (*try)(struct canary *c, uint32_t door, int v6);
	int v6;
} doors[ZG_CD_MAX] = {
	[ZG_CD_TCP4] = {try_tcp, 0},	[ZG_CD_TCP6] = {try_tcp, 1},
	[ZG_CD_UDP4] = {try_udp, 0},	[ZG_CD_UDP6] = {try_udp, 1},
	[ZG_CD_BIND4] = {try_bind, 0},	[ZG_CD_BIND6] = {try_bind, 1},
	[ZG_CD_MPTCP] = {try_mptcp, 0}, [ZG_CD_OLD4] = {try_old, 0},
	[ZG_CD_OLD6] = {try_old, 1},	[ZG_CD_IN4] = {try_in, 0},
	[ZG_CD_IN6] = {try_in, 1},	[ZG_CD_UNIX] = {try_unix, 0},
};

/* Once, in the first round, which tells the parent where the ears are. Where a
 * family is not there its doors answer EBADF in every round. */
static void open_early(struct canary *c)
{
	for (int v6 = 0; v6 < 2; v6++) {
		struct zg_canary_token t = token(c, v6 ? ZG_CD_IN6 : ZG_CD_IN4);
		struct sockaddr_storage to;
		socklen_t bytes = loopback(&to, families[v6], c->round.udp_port[v6]);

		if (c->old[v6] >= 0)
			continue;
		c->old[v6] = socket(families[v6], SOCK_DGRAM | SOCK_CLOEXEC, 0);
		c->ear[v6] = socket(families[v6], SOCK_DGRAM | SOCK_CLOEXEC, 0);
		/* what fails here fails as a door that was never open */
		(void)!connect(c->old[v6], (struct sockaddr *)&to, bytes);
		(void)!sendto(c->ear[v6], &t, sizeof(t), 0, (struct sockaddr *)&to, bytes);
	}
}

static int one_round(struct canary *c, int sock)
{
	struct zg_msg_canary_result result = {.round = c->round.round};

	open_early(c);
	for (uint32_t door = 0; door < ZG_CD_MAX; door++)
		result.error[door] = doors[door].try(c, door, doors[door].v6);
	return zg_msg_send(sock, ZG_MSG_CANARY_RESULT, &result, -1);
}

/* No Landlock: its refusals would look like the gate's. */
static int enter_sandbox(void)
{
	static const int syscalls[] = {SCMP_SYS(socket), SCMP_SYS(connect), SCMP_SYS(bind)};
	const struct zg_sandbox sandbox = {.role = "canary",
					   .syscalls = syscalls,
					   .syscall_count = sizeof(syscalls) / sizeof(syscalls[0]),
					   .max_files = MAX_FILES,
					   .max_memory = MAX_MEMORY};
	struct zg_err e = {0};
	int rc = zg_sandbox_enter(&sandbox, &e);

	if (rc < 0)
		zg_log_err(ZG_LOG_ERR, "start", &e);
	return rc;
}

int zg_canary_main(int sock)
{
	const struct zg_msg_ready ready = {.pid = (uint32_t)getpid()};
	struct canary c = {.old = {-1, -1}, .ear = {-1, -1}};
	struct zg_msg m = {.fd = -1};
	int rc;

	zg_log_init("canary");
	rc = enter_sandbox();
	if (rc == 0)
		rc = zg_msg_send(sock, ZG_MSG_READY, &ready, -1);
	while (rc == 0) {
		rc = zg_msg_recv(sock, &m);
		if (rc == 0 && m.type == ZG_MSG_CANARY_ROUND) {
			memcpy(&c.round, m.body, sizeof(c.round));
			rc = one_round(&c, sock);
		} else if (rc == 0) {
			rc = -EPROTO;
		}
		zg_msg_release(&m);
	}
	return rc == -EPIPE ? 0 : 1; /* the parent is gone, or something is wrong */
}
