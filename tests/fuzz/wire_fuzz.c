/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire_fuzz.c - packets of a hostile gateway and of hostile control clients,
 * into the real receiver and the ledger's real handlers, over real sockets;
 * and hostile snapshots into the reader that root trusts.
 *
 * An input is a list of items: type, flags, length (2 bytes, little-endian),
 * bytes. A type is a message's number; its body is cut or filled with zeros to
 * the size that the type has, unless the flags say that the bytes are the whole
 * packet. Type 255 is a snapshot.
 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "control.h"
#include "ipc.h"
#include "snapshot.h"

#define SNAPSHOT 255
#define RAW	 1u
#define ONE_FD	 2u
#define TWO_FDS	 4u
#define ITEMS	 64

static struct {
	char dir[64];
	struct event_base *base;
	struct zg_trail trail;
	struct zg_approvals approvals;
	struct zg_holds holds;
	struct zg_controls controls;
	int null;
} world;

static void must(bool ok)
{
	if (!ok)
		abort();
}

static void clean_up(void)
{
	char command[128];

	zg_controls_release(&world.controls);
	zg_holds_release(&world.holds);
	zg_approvals_close(&world.approvals);
	zg_trail_release(&world.trail);
	event_base_free(world.base);
	(void)snprintf(command, sizeof(command), "rm -rf %s", world.dir);
	must(system(command) == 0);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const uint8_t snapshot[32] = {1};
	struct zg_audit *audit = NULL;
	int dir;

	(void)argc;
	(void)argv;
	(void)snprintf(world.dir, sizeof(world.dir), "/tmp/zg-fuzz.XXXXXX");
	must(mkdtemp(world.dir) != NULL);
	dir = open(world.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(dir >= 0);
	must(zg_audit_open(&audit, dir, NULL) == 0);
	(void)close(dir);
	must(zg_trail_init(&world.trail, audit, "/nonexistent") == 0);
	must(zg_approvals_open(&world.approvals, ":memory:", &world.trail, NULL) == 0);
	zg_approvals_policy(&world.approvals, snapshot, 3600, "prod");
	world.base = event_base_new();
	must(world.base && zg_holds_init(&world.holds, world.base, &world.approvals) == 0);
	zg_controls_init(&world.controls, world.base, &world.trail, &world.approvals, &world.holds);
	world.null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	must(world.null >= 0 && atexit(clean_up) == 0);
	return 0;
}

static void send_packet(int sock, const void *head, size_t head_bytes, const void *body,
			size_t body_bytes, size_t fds)
{
	struct iovec iov[2] = {{(void *)(uintptr_t)head, head_bytes},
			       {(void *)(uintptr_t)body, body_bytes}};
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(2 * sizeof(int))];
	} control = {0};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};

	if (fds) {
		struct cmsghdr *c = (struct cmsghdr *)control.space;

		msg.msg_control = control.space;
		msg.msg_controllen = CMSG_SPACE(fds * sizeof(int));
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(fds * sizeof(int));
		for (size_t i = 0; i < fds; i++)
			memcpy(CMSG_DATA(c) + i * sizeof(int), &world.null, sizeof(int));
	}
	if (sendmsg(sock, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return; /* the receiver dropped us */
}

static void try_snapshot(const uint8_t *bytes, size_t n)
{
	zg_autofd int fd = memfd_create("snapshot", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct zg_snapshot s;

	must(fd >= 0 && write(fd, bytes, n) == (ssize_t)n);
	must(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) == 0);
	if (zg_snapshot_open(&s, fd, NULL) < 0)
		return;
	(void)zg_snapshot_server(&s, ZG_SLICE("github"));
	(void)zg_snapshot_profile(&s, 2);
	zg_snapshot_close(&s);
}

/* As the parent would hand it over: the body's claims are the client's. */
static void try_handover(const struct zg_msg *m)
{
	struct zg_msg_ctl_handover h;
	int pair[2];

	memcpy(&h, m->body, sizeof(h));
	must(zg_ipc_pair(pair, true) == 0);
	zg_controls_accept(&world.controls, &h, pair[0]);
	(void)event_base_loop(world.base, EVLOOP_NONBLOCK);
	(void)close(pair[1]);
	(void)event_base_loop(world.base, EVLOOP_NONBLOCK);
}

static void try_packet(int gateway, uint8_t type, uint8_t flags, const uint8_t *bytes, size_t n)
{
	static uint8_t body[ZG_MSG_MAX_BYTES];
	struct zg_msg_header head = {ZG_MSG_MAGIC, type,
				     (uint32_t)zg_msg_bytes((enum zg_msg_type)type)};
	size_t fds = flags & TWO_FDS ? 2 : flags & ONE_FD ? 1 : 0;
	struct zg_msg m = {.fd = -1};
	int pair[2];

	memset(body, 0, sizeof(body));
	memcpy(body, bytes, n < sizeof(body) ? n : sizeof(body));
	must(zg_ipc_pair(pair, true) == 0);
	if (flags & RAW)
		send_packet(pair[0], bytes, n, body, 0, fds);
	else
		send_packet(pair[0], &head, sizeof(head), body, head.bytes, fds);
	if (zg_msg_recv(pair[1], &m) == 0) {
		if (m.type == ZG_MSG_CTL_HANDOVER)
			try_handover(&m);
		zg_msg_release(&m);
	}
	(void)close(pair[0]);
	(void)close(pair[1]);
	if (flags & RAW)
		send_packet(gateway, bytes, n, body, 0, fds);
	else
		send_packet(gateway, &head, sizeof(head), body, head.bytes, fds);
	(void)event_base_loop(world.base, EVLOOP_NONBLOCK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct zg_msg m = {.fd = -1};
	int pair[2];

	must(zg_ipc_pair(pair, true) == 0);
	must(zg_holds_link(&world.holds, 0, pair[1]) == 0);
	for (int i = 0; i < ITEMS && size >= 4; i++) {
		size_t n = (size_t)data[2] | (size_t)data[3] << 8;

		n = n < size - 4 ? n : size - 4;
		if (data[0] == SNAPSHOT)
			try_snapshot(data + 4, n);
		else
			try_packet(pair[0], data[0], data[1], data + 4, n);
		data += 4 + n;
		size -= 4 + n;
	}
	/* what the ledger answers keeps the contract, whatever it was asked */
	for (;;) {
		int rc = zg_msg_recv(pair[0], &m);

		if (rc < 0) {
			must(rc == -EAGAIN || rc == -EPIPE);
			break;
		}
		must(m.type == ZG_MSG_HOLD_STATE || m.type == ZG_MSG_PIN_STATE ||
		     m.type == ZG_MSG_TOKEN_USED || m.type == ZG_MSG_CALL_CANCELLED ||
		     m.type == ZG_MSG_QUOTA_TOLD);
		zg_msg_release(&m);
	}
	(void)close(pair[0]);
	(void)event_base_loop(world.base, EVLOOP_NONBLOCK);
	return 0;
}
