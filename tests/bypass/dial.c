/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dial.c - connections to where the profile may not go: by every call that
 * makes one, every spelling of the address, every copy of the socket.
 */
#include "bypass.h"

#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/syscall.h>

static int connect_4(struct stage *st ZG_UNUSED)
{
	return step_dial(OUT4, PORT);
}

static int connect_6(struct stage *st ZG_UNUSED)
{
	return step_dial(OUT6, PORT);
}

static int connect_local_port(struct stage *st ZG_UNUSED)
{
	return step_dial(LOCAL4, PORT);
}

static int connect_nonblocking(struct stage *st ZG_UNUSED)
{
	int fd = step_socket(OUT4, SOCK_STREAM | SOCK_NONBLOCK);
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	int r = step_connect(fd, OUT4, PORT);

	if (r && r != EINPROGRESS)
		return r;
	return poll(&p, 1, patience_ms) == 1 ? step_send(fd) : ETIMEDOUT;
}

#if defined(__x86_64__)
/* The 32-bit system call table of a 64-bit kernel; its pointers have 32 bits. */
static long call32(long number, long a, long b, long c)
{
	long r;

	__asm__ volatile("int $0x80"
			 : "=a"(r)
			 : "a"(number), "b"(a), "c"(b), "d"(c)
			 : "memory", "r8", "r9", "r10", "r11");
	return r;
}

#define CONNECT32 362
#define SENDTO32  369

static int connect_32bit(struct stage *st ZG_UNUSED)
{
	struct endpoint to = endpoint_of(OUT4, PORT);
	int fd = step_socket(OUT4, SOCK_STREAM);
	void *low = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	long r;

	if (low == MAP_FAILED)
		return errno;
	memcpy(low, &to.ss, to.bytes);
	r = call32(CONNECT32, fd, (long)low, (long)to.bytes);
	return r < 0 ? (int)-r : step_send(fd);
}
#endif

static int fast_open_sendto(struct stage *st ZG_UNUSED)
{
	return step_sendto(step_socket(OUT4, SOCK_STREAM), MSG_FASTOPEN, OUT4, PORT);
}

static int fast_open_6(struct stage *st ZG_UNUSED)
{
	return step_sendto(step_socket(OUT6, SOCK_STREAM), MSG_FASTOPEN, OUT6, PORT);
}

/* connect() answers at once, and the first write is what dials. */
static int fast_open_connect(struct stage *st ZG_UNUSED)
{
	int fd = step_socket(OUT4, SOCK_STREAM), one = 1, r;

	if (setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &one, sizeof(one)) < 0)
		return errno;
	r = step_connect(fd, OUT4, PORT);
	return r ? r : step_send(fd);
}

static int disconnect(int fd)
{
	const struct sockaddr none = {.sa_family = AF_UNSPEC};

	return connect(fd, &none, sizeof(none)) < 0 ? errno : 0;
}

static int reuse_tcp(struct stage *st ZG_UNUSED)
{
	int fd = step_socket(LOCAL4, SOCK_STREAM);
	int r = step_connect(fd, LOCAL4, PORT_OK);

	if (!r)
		r = disconnect(fd);
	if (!r)
		r = step_connect(fd, OUT4, PORT);
	return r ? r : step_send(fd);
}

static int reuse_udp(struct stage *st ZG_UNUSED)
{
	int fd = step_socket(LOCAL6, SOCK_DGRAM);
	int r = step_connect(fd, LOCAL6, PORT_OK);

	if (!r)
		r = step_connect(fd, OUT6, PORT);
	return r ? r : step_send(fd);
}

static int reuse_udp_sendto(struct stage *st ZG_UNUSED)
{
	int fd = step_socket(LOCAL4, SOCK_DGRAM);
	int r = step_connect(fd, LOCAL4, PORT_OK);

	return r ? r : step_sendto(fd, 0, OUT4, PORT);
}

/* Dialled, refused, and the socket used once more. */
static int reuse_after_refusal(struct stage *st ZG_UNUSED)
{
	int fd = step_socket(OUT4, SOCK_DGRAM);

	(void)step_connect(fd, OUT4, PORT);
	return step_send(fd);
}

static int spell_any4(struct stage *st ZG_UNUSED)
{
	return step_dial("0.0.0.0", PORT);
}

static int spell_any6(struct stage *st ZG_UNUSED)
{
	return step_dial("::", PORT);
}

static int spell_mapped(struct stage *st ZG_UNUSED)
{
	return step_dial("::ffff:" OUT4, PORT);
}

static int spell_mapped_any(struct stage *st ZG_UNUSED)
{
	return step_dial("::ffff:0.0.0.0", PORT);
}

static int spell_mapped_udp(struct stage *st ZG_UNUSED)
{
	return step_datagram("::ffff:" OUT4, PORT);
}

static int spell_nat64(struct stage *st ZG_UNUSED)
{
	return step_dial(NAT64, PORT);
}

static int spell_nat64_udp(struct stage *st ZG_UNUSED)
{
	return step_datagram(NAT64, PORT);
}

static int spell_6to4(struct stage *st ZG_UNUSED)
{
	return step_dial(SIXTO4, PORT);
}

/* An IPv4 address structure on an IPv6 socket. */
static int spell_v4_on_v6(struct stage *st ZG_UNUSED)
{
	struct endpoint to = endpoint_of(OUT4, PORT);
	int fd = step_socket(OUT6, SOCK_DGRAM), zero = 0;

	(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
	return sendto(fd, MARK, MARK_LEN, 0, (struct sockaddr *)&to.ss, to.bytes) < 0 ? errno : 0;
}

/* The kernel takes AF_UNSPEC for AF_INET in a datagram's address. */
static int spell_unspec(struct stage *st ZG_UNUSED)
{
	struct endpoint to = endpoint_of(OUT4, PORT);
	int fd = step_socket(OUT4, SOCK_DGRAM);

	to.ss.ss_family = AF_UNSPEC;
	return sendto(fd, MARK, MARK_LEN, 0, (struct sockaddr *)&to.ss, to.bytes) < 0 ? errno : 0;
}

/* The unspecified address means the address that the socket is bound to. */
static int spell_bound_any(struct stage *st ZG_UNUSED)
{
	struct endpoint from = endpoint_of(OUT4, 0);
	int fd = step_socket(OUT4, SOCK_STREAM), r;

	if (bind(fd, (struct sockaddr *)&from.ss, from.bytes) < 0)
		return errno;
	r = step_connect(fd, "0.0.0.0", PORT);
	return r ? r : step_send(fd);
}

static int meta_tcp(struct stage *st ZG_UNUSED)
{
	return step_dial(META4, PORT);
}

static int meta_udp(struct stage *st ZG_UNUSED)
{
	return step_datagram(META4, PORT);
}

static int meta_6(struct stage *st ZG_UNUSED)
{
	return step_dial(META6, PORT);
}

static int meta_mapped(struct stage *st ZG_UNUSED)
{
	return step_dial("::ffff:" META4, PORT);
}

static void *dial_in_thread(void *arg)
{
	*(int *)arg = step_dial(OUT4, PORT);
	return NULL;
}

static int copy_thread(struct stage *st ZG_UNUSED)
{
	pthread_t thread;
	int r;

	if (pthread_create(&thread, NULL, dial_in_thread, &r) || pthread_join(thread, NULL))
		return EAGAIN;
	return r;
}

/* A grandchild that nobody waits for, in a session of its own. */
static int copy_daemon(struct stage *st ZG_UNUSED)
{
	pid_t pid = fork();

	if (pid == 0) {
		if (setsid() < 0)
			_exit(errno);
		pid = fork();
		_exit(pid == 0 ? step_dial(OUT4, PORT) : lab_wait(pid));
	}
	return lab_wait(pid);
}

/* The parent's socket, dialled by its child, used by both. */
static int copy_shared(struct stage *st ZG_UNUSED)
{
	int fd = dup(step_socket(OUT4, SOCK_STREAM));
	pid_t pid = fork();

	if (pid == 0)
		_exit(step_connect(fd, OUT4, PORT));
	return lab_wait(pid) ? EPERM : step_send(fd);
}

static int copy_vfork(struct stage *st ZG_UNUSED)
{
	static volatile int r; /* the child has our memory */
	pid_t pid =
		(pid_t)syscall(SYS_clone, CLONE_FILES | CLONE_FS | SIGCHLD, NULL, NULL, NULL, 0);

	if (pid == 0)
		_exit(step_dial(OUT6, PORT));
	r = lab_wait(pid);
	return r;
}

static int direct(struct stage *st ZG_UNUSED)
{
	return step_dial(SERVER4, SERVER_PORT);
}

static int direct_mapped(struct stage *st ZG_UNUSED)
{
	return step_dial("::ffff:" SERVER4, SERVER_PORT);
}

static int direct_udp(struct stage *st ZG_UNUSED)
{
	return step_datagram(SERVER4, SERVER_PORT);
}

static const struct attempt dial_attempts_rows[] = {
	{"connect-4", T_DIAL, "connect over IPv4", connect_4},
	{"connect-6", T_DIAL, "connect over IPv6", connect_6},
	{"connect-port", T_DIAL, "another port of an allowed address", connect_local_port},
	{"connect-nonblocking", T_DIAL, "connect without waiting, then send", connect_nonblocking},
#if defined(__x86_64__)
	{"connect-32bit", T_DIAL, "connect by the 32-bit system call table", connect_32bit,
	 .optional = true},
#endif
	{"tfo-sendto", T_FAST_OPEN, "MSG_FASTOPEN", fast_open_sendto},
	{"tfo-sendto-6", T_FAST_OPEN, "MSG_FASTOPEN over IPv6", fast_open_6},
	{"tfo-connect", T_FAST_OPEN, "TCP_FASTOPEN_CONNECT", fast_open_connect},
	{"reuse-tcp", T_REUSE, "allowed, AF_UNSPEC, then elsewhere", reuse_tcp},
	{"reuse-udp", T_REUSE, "connected to the allowed, connected again", reuse_udp},
	{"reuse-udp-sendto", T_REUSE, "connected to the allowed, sendto another", reuse_udp_sendto},
	{"reuse-refused", T_REUSE, "send on a socket whose connect was refused",
	 reuse_after_refusal},
	{"spell-0.0.0.0", T_SPELLING, "0.0.0.0 for this host", spell_any4},
	{"spell-::", T_SPELLING, ":: for this host", spell_any6},
	{"spell-mapped", T_SPELLING, "IPv4 in an IPv6 socket", spell_mapped},
	{"spell-mapped-0", T_SPELLING, "::ffff:0.0.0.0 for this host", spell_mapped_any},
	{"spell-mapped-udp", T_SPELLING, "a datagram to a v4-mapped address", spell_mapped_udp},
	{"spell-nat64", T_SPELLING, "NAT64 prefix allowed, address inside not", spell_nat64},
	{"spell-nat64-udp", T_SPELLING, "the same by datagram", spell_nat64_udp},
	{"spell-6to4", T_SPELLING, "6to4 prefix allowed, address inside not", spell_6to4},
	{"spell-v4-on-v6", T_SPELLING, "an AF_INET address on an IPv6 socket", spell_v4_on_v6},
	{"spell-unspec", T_SPELLING, "a datagram to an AF_UNSPEC address", spell_unspec},
	{"spell-bound", T_SPELLING, "0.0.0.0 from a socket bound to an alias", spell_bound_any},
	{"meta-tcp", T_METADATA, "the network is allowed, metadata is not", meta_tcp},
	{"meta-udp", T_METADATA, "the same by datagram", meta_udp},
	{"meta-6", T_METADATA, "the IPv6 metadata address", meta_6},
	{"meta-mapped", T_METADATA, "the metadata address, v4-mapped", meta_mapped},
	{"copy-thread", T_COPIES, "from a thread", copy_thread},
	{"copy-daemon", T_COPIES, "from an orphan in a session of its own", copy_daemon},
	{"copy-shared", T_COPIES, "a child dials, the parent sends", copy_shared},
	{"copy-clone", T_COPIES, "a child that shares files and folders", copy_vfork},
	{"direct", T_DIRECT, "a registered server, dialled by address", direct},
	{"direct-mapped", T_DIRECT, "the same, v4-mapped", direct_mapped},
	{"direct-udp", T_DIRECT, "a datagram to a registered server", direct_udp},
};
ATTEMPTS(dial_attempts);
