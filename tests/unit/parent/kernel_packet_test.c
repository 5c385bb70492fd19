/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel_packet_test.c - what no system call is asked about: connections older
 * than their governing, withdrawn rules, packets with a route of their own,
 * listeners. Everything is asserted where it would arrive; each way is shown to
 * work for whoever is not governed. And what is allowed must arrive whole.
 */
#include "kernel_lab.h"

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/ipv6.h>
#include <linux/seg6.h>
#include <net/route.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <time.h>

#define ARRIVES_MS 10000 /* patience for what must come */

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

static int task_loop(struct task *t)
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

static struct task *task_start(struct lab *lab, const char *cgroup, bool root)
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
static int task_do(struct task *t, order_fn *fn)
{
	int r;

	assert_int_equal(write(t->order[1], &fn, sizeof(fn)), sizeof(fn));
	assert_int_equal(read(t->answer[0], &r, sizeof(r)), sizeof(r));
	return r;
}

static void task_end(struct task *t)
{
	(void)close(t->order[1]);
	assert_int_equal(lab_wait(t->pid), 0);
	(void)close(t->order[0]);
	(void)close(t->answer[0]);
	(void)close(t->answer[1]);
	assert_int_equal(munmap(t, sizeof(*t)), 0);
}

static int do_open(struct task *t)
{
	struct endpoint to = endpoint_of(t->addr, t->port);

	if (t->fd >= 0)
		(void)close(t->fd);
	t->fd = socket(to.ss.ss_family, t->type, t->protocol);
	return t->fd < 0 ? errno : 0;
}

static int do_connect(struct task *t)
{
	struct endpoint to = endpoint_of(t->addr, t->port);

	return connect(t->fd, (struct sockaddr *)&to.ss, to.bytes) < 0 ? errno : 0;
}

static int do_send(struct task *t)
{
	return send(t->fd, "x", 1, 0) == 1 ? 0 : errno;
}

static int do_sendto(struct task *t)
{
	struct endpoint to = endpoint_of(t->addr, t->port);
	size_t bytes = t->packet_bytes ? t->packet_bytes : 8; /* a ping is 8 at least */

	return sendto(t->fd, t->packet, bytes, 0, (struct sockaddr *)&to.ss, to.bytes) < 0 ? errno
											   : 0;
}

static int do_receive(struct task *t)
{
	char byte;

	return recv(t->fd, &byte, 1, MSG_DONTWAIT) == 1 ? 0 : errno;
}

/* Bind to the loopback address, port 0; the port is left in t->port. */
static int do_bind_any(struct task *t)
{
	struct endpoint at = endpoint_of(t->addr, 0);

	if (bind(t->fd, (struct sockaddr *)&at.ss, at.bytes) < 0 ||
	    getsockname(t->fd, (struct sockaddr *)&at.ss, &at.bytes) < 0)
		return errno;
	t->port = ntohs(((struct sockaddr_in *)&at.ss)->sin_port);
	return 0;
}

static int do_listen(struct task *t)
{
	struct endpoint at = endpoint_of(t->addr, 0);

	if (listen(t->fd, 8) < 0 || getsockname(t->fd, (struct sockaddr *)&at.ss, &at.bytes) < 0)
		return errno;
	t->port = ntohs(((struct sockaddr_in *)&at.ss)->sin_port);
	return fcntl(t->fd, F_SETFL, O_NONBLOCK) < 0 ? errno : 0;
}

static int do_accept(struct task *t)
{
	return accept(t->fd, NULL, NULL) < 0 ? errno : 0;
}

/* the other end ---------------------------------------------------------------- */

static int accept_one(const struct sink *s)
{
	int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	assert_true(fd >= 0);
	return fd;
}

/* Bytes that are there now; loopback delivers before send() returns. */
static size_t bytes_at(int fd)
{
	char buf[4096];
	size_t sum = 0;
	ssize_t n;

	while ((n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0)
		sum += (size_t)n;
	assert_true(n < 0 && errno == EAGAIN);
	return sum;
}

static void wait_for(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	assert_int_equal(poll(&p, 1, ARRIVES_MS), 1);
}

/* Packets of one protocol on the loopback device: the wire itself. */
static int wire_open(void)
{
	int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, htons(ETH_P_ALL));

	assert_true(fd >= 0);
	return fd;
}

static size_t wire_packets(int fd)
{
	char buf[128];
	size_t n = 0;

	while (recv(fd, buf, sizeof(buf), 0) >= 0)
		n++;
	assert_int_equal(errno, EAGAIN);
	return n;
}

/* Those of them that go to an IPv6 address. */
static size_t wire_packets_to(int fd, const char *addr)
{
	struct endpoint to = endpoint_of(addr, 0);
	struct ipv6hdr ip;
	size_t n = 0;

	while (recv(fd, &ip, sizeof(ip), 0) >= 0)
		n += ip.version == 6 &&
		     memcmp(&ip.daddr, &((struct sockaddr_in6 *)&to.ss)->sin6_addr, 16) == 0;
	assert_int_equal(errno, EAGAIN);
	return n;
}

static void put_sysctl(const char *name, const char *value)
{
	char path[128];
	zg_autofd int fd = -1;

	(void)snprintf(path, sizeof(path), "/proc/sys/net/%s", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_true(write(fd, value, strlen(value)) == (ssize_t)strlen(value));
}

static void add_address(const char *text)
{
	struct endpoint at = endpoint_of(text, 0);
	struct in6_ifreq r = {.ifr6_prefixlen = 128, .ifr6_ifindex = (int)if_nametoindex("lo")};
	zg_autofd int s = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	r.ifr6_addr = ((struct sockaddr_in6 *)&at.ss)->sin6_addr;
	if (ioctl(s, SIOCSIFADDR, &r) < 0)
		assert_int_equal(errno, EEXIST);
}

/* All multicast goes to the loopback device. */
static void add_multicast_routes(void)
{
	struct in6_rtmsg r6 = {.rtmsg_dst_len = 8,
			       .rtmsg_metric = 1,
			       .rtmsg_flags = RTF_UP,
			       .rtmsg_ifindex = (int)if_nametoindex("lo")};
	struct rtentry r4 = {.rt_flags = RTF_UP, .rt_dev = "lo"};
	zg_autofd int s4 = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	zg_autofd int s6 = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct endpoint dst = endpoint_of("224.0.0.0", 0), mask = endpoint_of("240.0.0.0", 0);

	memcpy(&r4.rt_dst, &dst.ss, sizeof(r4.rt_dst));
	memcpy(&r4.rt_genmask, &mask.ss, sizeof(r4.rt_genmask));
	r6.rtmsg_dst.s6_addr[0] = 0xff;
	assert_int_equal(ioctl(s4, SIOCADDRT, &r4), 0);
	assert_int_equal(ioctl(s6, SIOCADDRT, &r6), 0);
}

/* plans -------------------------------------------------------------------------- */

/* P_A may reach addr on ports lo..hi, by TCP and UDP. */
static void allow(struct lab *lab, enum zg_mode mode, const char *const addrs[], size_t n,
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

static void allow_port(struct lab *lab, const char *addr, uint16_t port)
{
	allow(lab, ZG_MODE_ENFORCE, &addr, 1, port, port);
}

static void allow_nothing(struct lab *lab)
{
	allow(lab, ZG_MODE_ENFORCE, NULL, 0, 0, 0);
}

static const char *const loopbacks[] = {"127.0.0.1", "::1"};

/* connections --------------------------------------------------------------------- */

/* A connection from "agent" to a sink, and the sink's end of it. */
static int connected(struct task *t, struct sink *s, const char *addr)
{
	int fd;

	*s = sink_open(false, addr, 0);
	t->addr = addr;
	t->port = s->port;
	assert_int_equal(task_do(t, do_open), 0);
	assert_int_equal(task_do(t, do_connect), 0);
	assert_int_equal(task_do(t, do_send), 0);
	fd = accept_one(s);
	assert_int_equal(bytes_at(fd), 1);
	return fd;
}

static void test_connection_older_than_its_governing(void **state ZG_UNUSED)
{
	for (size_t i = 0; i < 2; i++) {
		struct lab *lab = lab_open();
		struct task *t = task_start(lab, "agent", false);
		struct seen seen;
		struct sink s;
		int fd = connected(t, &s, loopbacks[i]);

		allow_nothing(lab);
		lab_govern(lab, "agent", P_A);
		assert_int_equal(task_do(t, do_send), 0); /* into its buffer */
		assert_int_equal(bytes_at(fd), 0);
		seen = lab_events(lab);
		assert_true(seen.count[ZG_E_DENY] >= 1);
		assert_int_equal(seen.last.layer, ZG_L_EGRESS);
		assert_int_equal(seen.last.reason, ZG_GR_NO_IDENTITY);
		assert_int_equal(seen.last.proto, IPPROTO_TCP);
		assert_int_equal(ntohs(seen.last.port_be), s.port);
		assert_int_equal(seen.last.uid, LAB_UID);
		assert_int_equal(seen.last.pid, 0);
		assert_true(seen.last.cgroup_id == lab_cgroup(lab, "agent"));
		/* and nothing reaches it */
		assert_int_equal(send(fd, "y", 1, 0), 1);
		assert_int_equal(task_do(t, do_receive), EAGAIN);
		/* the connection was stopped, not broken */
		allow_port(lab, loopbacks[i], s.port);
		wait_for(fd);
		assert_int_equal(bytes_at(fd), 1);
		(void)close(fd);
		(void)close(s.fd);
		task_end(t);
		assert_int_equal(lab_teardown(NULL), 0);
	}
}

static void test_withdrawn_rule_tcp(void **state ZG_UNUSED)
{
	struct lab *lab = lab_open();
	struct task *t = task_start(lab, "agent", false);
	struct sink s = sink_open(false, "127.0.0.1", 0);
	int fd;

	lab_govern(lab, "agent", P_A);
	allow_port(lab, "127.0.0.1", s.port);
	t->addr = "127.0.0.1";
	t->port = s.port;
	assert_int_equal(task_do(t, do_open), 0);
	assert_int_equal(task_do(t, do_connect), 0);
	assert_int_equal(task_do(t, do_send), 0);
	fd = accept_one(&s);
	assert_int_equal(bytes_at(fd), 1);
	assert_int_equal(lab_events(lab).count[ZG_E_DENY], 0);
	allow_nothing(lab);
	assert_int_equal(task_do(t, do_send), 0);
	assert_int_equal(bytes_at(fd), 0);
	assert_true(lab_events(lab).count[ZG_E_DENY] >= 1);
	allow_port(lab, "127.0.0.1", s.port);
	wait_for(fd);
	assert_int_equal(bytes_at(fd), 1);
	/* one write stops a whole profile */
	assert_int_equal(zg_kernel_contain(lab->kernel, "a", true), 0);
	assert_int_equal(task_do(t, do_send), 0);
	assert_int_equal(bytes_at(fd), 0);
	assert_int_equal(lab_events(lab).last.reason, ZG_GR_CONTAINED);
	(void)close(fd);
	(void)close(s.fd);
	task_end(t);
}

static void test_withdrawn_rule_udp(void **state ZG_UNUSED)
{
	struct lab *lab = lab_open();
	struct task *t = task_start(lab, "agent", false);
	struct sink s = sink_open(true, "127.0.0.1", 0);

	lab_govern(lab, "agent", P_A);
	allow_port(lab, "127.0.0.1", s.port);
	t->addr = "127.0.0.1";
	t->port = s.port;
	t->type = SOCK_DGRAM;
	assert_int_equal(task_do(t, do_open), 0);
	assert_int_equal(task_do(t, do_connect), 0);
	assert_int_equal(task_do(t, do_send), 0);
	assert_int_equal(sink_drain(&s), 1);
	allow_nothing(lab);
	assert_int_equal(task_do(t, do_send), EPERM);
	assert_int_equal(sink_drain(&s), 0);
	allow_port(lab, "127.0.0.1", s.port);
	assert_int_equal(task_do(t, do_send), 0);
	assert_int_equal(sink_drain(&s), 1);
	(void)close(s.fd);
	task_end(t);
}

/* A flow that is refused again and again is told of once a second. */
static void test_refusals_are_told_once(void **state ZG_UNUSED)
{
	struct lab *lab = lab_open();
	struct task *t = task_start(lab, "agent", false);
	struct sink s = sink_open(true, "127.0.0.1", 0);
	time_t start = time(NULL);

	t->addr = "127.0.0.1";
	t->port = s.port;
	t->type = SOCK_DGRAM;
	assert_int_equal(task_do(t, do_open), 0);
	assert_int_equal(task_do(t, do_connect), 0);
	lab_govern(lab, "agent", P_A);
	for (int i = 0; i < 500; i++)
		assert_int_equal(task_do(t, do_send), EPERM);
	assert_int_equal(sink_drain(&s), 0);
	assert_in_range(lab_events(lab).count[ZG_E_DENY], 1,
			(unsigned long)(time(NULL) - start) + 2);
	(void)close(s.fd);
	task_end(t);
}

/* In audit mode everything passes, and is told of. */
static void test_audit_mode(void **state ZG_UNUSED)
{
	struct lab *lab = lab_open();
	struct task *t = task_start(lab, "agent", false);
	struct seen seen;
	struct sink s;
	int fd = connected(t, &s, "127.0.0.1");

	allow(lab, ZG_MODE_AUDIT, NULL, 0, 0, 0);
	lab_govern(lab, "agent", P_A);
	for (int i = 0; i < 10; i++)
		assert_int_equal(task_do(t, do_send), 0);
	assert_int_equal(bytes_at(fd), 10);
	seen = lab_events(lab);
	assert_int_equal(seen.count[ZG_E_WOULD_DENY], 1);
	assert_int_equal(seen.count[ZG_E_DENY], 0);
	(void)close(fd);
	(void)close(s.fd);
	task_end(t);
}

/* inbound --------------------------------------------------------------------------- */

static void test_listen_without_bind(void **state ZG_UNUSED)
{
	for (size_t i = 0; i < 4; i++) {
		bool governed = i >= 2;
		struct lab *lab = lab_open();
		struct task *t = task_start(lab, "agent", false);
		struct endpoint to;
		struct seen seen;
		int fd, r;

		if (governed)
			lab_govern(lab, "agent", P_A);
		/* the profile may reach all of the host, which says nothing of the way in */
		allow(lab, ZG_MODE_ENFORCE, loopbacks, 2, 1, UINT16_MAX);
		t->addr = loopbacks[i % 2];
		assert_int_equal(task_do(t, do_open), 0);
		assert_int_equal(task_do(t, do_listen), 0);
		to = endpoint_of(t->addr, t->port);
		fd = socket(to.ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		r = connect(fd, (struct sockaddr *)&to.ss, to.bytes);
		assert_true(r < 0 && errno == EINPROGRESS);
		r = connect(fd, (struct sockaddr *)&to.ss, to.bytes) < 0 ? errno : 0;
		assert_int_equal(r, governed ? EALREADY : 0);
		assert_int_equal(task_do(t, do_accept), governed ? EAGAIN : 0);
		seen = lab_events(lab);
		assert_int_equal(seen.count[ZG_E_DENY], governed);
		if (governed) {
			assert_int_equal(seen.last.layer, ZG_L_INGRESS);
			assert_int_equal(seen.last.reason, ZG_GR_INBOUND);
		}
		(void)close(fd);
		task_end(t);
		assert_int_equal(lab_teardown(NULL), 0);
	}
}

/* A resolver's client: what it asked is answered, by whom it asked. */
static void test_datagrams_in(void **state ZG_UNUSED)
{
	for (size_t i = 0; i < 2; i++) {
		struct lab *lab = lab_open();
		struct task *t = task_start(lab, "agent", false);
		struct sink server = sink_open(true, loopbacks[i], 0);
		struct sink other = sink_open(true, loopbacks[i], 0);
		struct endpoint to;

		lab_govern(lab, "agent", P_A);
		allow_port(lab, loopbacks[i], server.port);
		t->addr = loopbacks[i];
		t->type = SOCK_DGRAM;
		assert_int_equal(task_do(t, do_open), 0);
		assert_int_equal(task_do(t, do_bind_any), 0);
		to = endpoint_of(t->addr, t->port);
		t->port = server.port;
		assert_int_equal(task_do(t, do_sendto), 0);
		assert_int_equal(sink_drain(&server), 1);
		(void)sendto(other.fd, "x", 1, 0, (struct sockaddr *)&to.ss, to.bytes);
		assert_int_equal(task_do(t, do_receive), EAGAIN);
		assert_int_equal(lab_events(lab).last.layer, ZG_L_INGRESS);
		assert_int_equal(sendto(server.fd, "x", 1, 0, (struct sockaddr *)&to.ss, to.bytes),
				 1);
		assert_int_equal(task_do(t, do_receive), 0);
		(void)close(server.fd);
		(void)close(other.fd);
		task_end(t);
		assert_int_equal(lab_teardown(NULL), 0);
	}
}

/* packets with a mind of their own ------------------------------------------------------ */

#define ALLOWED6 "2001:db8::a"
#define BEYOND6	 "2001:db8::b"

/* A segment routing header of one segment: the packet goes there first. */
static void make_route(struct task *t, const char *via)
{
	struct endpoint ep = endpoint_of(via, 0);
	struct ipv6_sr_hdr *h = (struct ipv6_sr_hdr *)t->packet;

	memset(t->packet, 0, sizeof(t->packet));
	h->hdrlen = 2;
	h->type = 4;
	memcpy(h + 1, &((struct sockaddr_in6 *)&ep.ss)->sin6_addr, 16);
	t->packet_bytes = sizeof(*h) + 16;
}

static int do_route_option(struct task *t)
{
	return setsockopt(t->fd, IPPROTO_IPV6, IPV6_RTHDR, t->packet, t->packet_bytes) < 0 ? errno
											   : 0;
}

/* The address that is named is allowed; the packet goes elsewhere. */
static void test_ipv6_routing_header(void **state ZG_UNUSED)
{
	for (int governed = 0; governed < 2; governed++) {
		struct lab *lab = lab_open();
		struct task *t = task_start(lab, "agent", false);
		zg_autofd int wire = wire_open();
		struct seen seen;
		char text[INET6_ADDRSTRLEN];

		add_address(ALLOWED6);
		add_address(BEYOND6);
		allow_port(lab, ALLOWED6, 20400);
		t->addr = ALLOWED6;
		t->port = 20400;
		t->type = SOCK_DGRAM;
		make_route(t, BEYOND6);
		assert_int_equal(task_do(t, do_open), 0);
		assert_int_equal(task_do(t, do_route_option), 0); /* from before */
		if (governed)
			lab_govern(lab, "agent", P_A);
		assert_int_equal(task_do(t, do_sendto), governed ? EPERM : 0);
		assert_int_equal(wire_packets_to(wire, BEYOND6) > 0, !governed);
		seen = lab_events(lab);
		assert_int_equal(seen.count[ZG_E_DENY], governed);
		if (governed) {
			assert_int_equal(seen.last.layer, ZG_L_EGRESS);
			assert_int_equal(seen.last.reason, ZG_GR_PACKET);
			zg_addr_text(text, sizeof(text), seen.last.addr);
			assert_string_equal(text, BEYOND6); /* where it would have gone */
		}
		task_end(t);
		assert_int_equal(lab_teardown(NULL), 0);
	}
}

static int do_source_route(struct task *t)
{
	/* no-op, loose source route: length 7, first hop at 4 */
	uint8_t option[8] = {1, 131, 7, 4, 127, 7, 7, 7};

	return setsockopt(t->fd, IPPROTO_IP, IP_OPTIONS, option, sizeof(option)) < 0 ? errno : 0;
}

/* IPv4 has the same trick; this kernel keeps it for root. */
static void test_ipv4_source_route(void **state ZG_UNUSED)
{
	for (int governed = 0; governed < 2; governed++) {
		struct lab *lab = lab_open();
		struct task *t = task_start(lab, "agent", true);
		zg_autofd int wire = wire_open();

		allow_port(lab, "127.0.0.1", 20401);
		t->addr = "127.0.0.1";
		t->port = 20401;
		t->type = SOCK_DGRAM;
		assert_int_equal(task_do(t, do_open), 0);
		assert_int_equal(task_do(t, do_source_route), 0); /* from before */
		if (governed)
			lab_govern(lab, "agent", P_A);
		assert_int_equal(task_do(t, do_sendto), governed ? EPERM : 0);
		assert_int_equal(wire_packets(wire) > 0, !governed);
		if (governed)
			assert_int_equal(lab_events(lab).last.reason, ZG_GR_PACKET);
		task_end(t);
		assert_int_equal(lab_teardown(NULL), 0);
	}
}

/* A UDP packet by hand, for a raw socket that was there before. */
static void make_packet(struct task *t, uint16_t fragment)
{
	struct iphdr *ip = (struct iphdr *)t->packet;
	struct udphdr *udp = (struct udphdr *)(ip + 1);

	memset(t->packet, 0, sizeof(t->packet));
	*ip = (struct iphdr){.version = 4,
			     .ihl = 5,
			     .ttl = 64,
			     .protocol = IPPROTO_UDP,
			     .frag_off = htons(fragment),
			     .daddr = htonl(INADDR_LOOPBACK)};
	udp->uh_sport = htons(20402);
	udp->uh_dport = htons(20402);
	udp->uh_ulen = htons(sizeof(*udp) + 8);
	t->packet_bytes = sizeof(*ip) + sizeof(*udp) + 8;
}

static void test_fragments_by_hand(void **state ZG_UNUSED)
{
	static const struct {
		uint16_t fragment;
		bool passes; /* to an address and port that are allowed */
	} cases[] = {{0, true}, {IP_DF, true}, {IP_MF, false}, {1, false}, {IP_MF | 1, false}};
	struct lab *lab = lab_open();
	struct task *t = task_start(lab, "agent", true);
	zg_autofd int wire = wire_open();

	t->addr = "127.0.0.1";
	t->type = SOCK_RAW;
	t->protocol = IPPROTO_RAW;
	assert_int_equal(task_do(t, do_open), 0);
	lab_govern(lab, "agent", P_A);
	allow_port(lab, "127.0.0.1", 20402);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		make_packet(t, cases[i].fragment);
		assert_int_equal(task_do(t, do_sendto), cases[i].passes ? 0 : EPERM);
		assert_int_equal(wire_packets(wire) > 0, cases[i].passes);
	}
	assert_int_equal(lab_events(lab).last.reason, ZG_GR_PACKET);
	task_end(t);
}

/* Sockets of other protocols, from before their cgroup was governed. */
static void test_other_protocols(void **state ZG_UNUSED)
{
	static const struct {
		int type;
		int protocol;
		const char *addr;
	} kinds[] = {
		{SOCK_DGRAM, IPPROTO_ICMP, "127.0.0.1"},
		{SOCK_DGRAM, IPPROTO_ICMPV6, "::1"},
		{SOCK_RAW, IPPROTO_ICMP, "127.0.0.1"},
		{SOCK_DGRAM, 136, "127.0.0.1"},
		{SOCK_RAW, 253, "127.0.0.1"},
		{SOCK_RAW, 253, "::1"},
	};
	size_t possible = 0;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct lab *lab = lab_open();
		struct task *t = task_start(lab, "agent", true);
		zg_autofd int wire = wire_open();

		put_sysctl("ipv4/ping_group_range", "0 65535");
		t->addr = kinds[i].addr;
		t->type = kinds[i].type;
		t->protocol = kinds[i].protocol;
		t->port = kinds[i].protocol == 136 ? 20403 : 0;
		t->packet[0] = strchr(t->addr, ':') ? 128 : 8; /* echo request */
		if (task_do(t, do_open) == 0) {
			possible++;
			assert_int_equal(task_do(t, do_sendto), 0);
			assert_true(wire_packets(wire) > 0);
			lab_govern(lab, "agent", P_A);
			allow(lab, ZG_MODE_ENFORCE, loopbacks, 2, 0, UINT16_MAX);
			(void)task_do(t, do_sendto); /* ICMPv6 does not tell its sender */
			assert_int_equal(wire_packets(wire), 0);
			assert_int_equal(lab_events(lab).last.reason, ZG_GR_NO_RULE);
		}
		task_end(t);
		assert_int_equal(lab_teardown(NULL), 0);
	}
	assert_true(possible >= 4);
}

/* Subflows are the kernel's sockets, made by the task. */
static void test_mptcp_connection(void **state ZG_UNUSED)
{
	struct lab *lab = lab_open();
	struct task *t = task_start(lab, "agent", false);
	struct sink s = sink_open(false, "127.0.0.1", 0);
	int fd;

	t->addr = "127.0.0.1";
	t->port = s.port;
	t->protocol = 262;
	if (task_do(t, do_open) == 0) {
		assert_int_equal(task_do(t, do_connect), 0);
		assert_int_equal(task_do(t, do_send), 0);
		fd = accept_one(&s);
		assert_int_equal(bytes_at(fd), 1);
		allow_nothing(lab);
		lab_govern(lab, "agent", P_A);
		assert_int_equal(task_do(t, do_send), 0);
		assert_int_equal(bytes_at(fd), 0);
		(void)close(fd);
	}
	(void)close(s.fd);
	task_end(t);
}

static int do_broadcast(struct task *t)
{
	struct in_addr lo = {htonl(INADDR_LOOPBACK)};
	int one = 1, index = (int)if_nametoindex("lo");
	bool v6 = strchr(t->addr, ':');

	if (setsockopt(t->fd, SOL_SOCKET, SO_BROADCAST, &one, sizeof(one)) < 0 ||
	    (v6 ? setsockopt(t->fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, &index, sizeof(index))
		: setsockopt(t->fd, IPPROTO_IP, IP_MULTICAST_IF, &lo, sizeof(lo))) < 0)
		return errno;
	return do_sendto(t);
}

/* Nobody asked for these, so nobody gets them; before and after governing. */
static void test_multicast_and_broadcast(void **state ZG_UNUSED)
{
	static const char *const addrs[] = {"127.255.255.255", "224.0.0.251", "239.1.2.3",
					    "ff02::fb", "ff01::1"};
	struct lab *lab = lab_open();
	struct task *t = task_start(lab, "agent", false);
	struct task *free_task = task_start(lab, "free", false);
	zg_autofd int wire = wire_open();

	add_multicast_routes();
	lab_govern(lab, "agent", P_A);
	allow(lab, ZG_MODE_ENFORCE, loopbacks, 2, 1, UINT16_MAX);
	for (size_t i = 0; i < sizeof(addrs) / sizeof(addrs[0]); i++) {
		struct task *both[] = {free_task, t};

		for (size_t k = 0; k < 2; k++) {
			both[k]->addr = addrs[i];
			both[k]->port = 20404;
			both[k]->type = SOCK_DGRAM;
			assert_int_equal(task_do(both[k], do_open), 0);
			assert_int_equal(task_do(both[k], do_broadcast), k ? EPERM : 0);
			/* loopback has no link-local address to send IPv6 from */
			if ((wire_packets(wire) > 0) != (!k && !strchr(addrs[i], ':')))
				fail_msg("%s to %s", k ? "arrived" : "did not arrive", addrs[i]);
		}
	}
	task_end(free_task); /* the later one: it holds the other's pipe too */
	task_end(t);
}

/* the gateway ------------------------------------------------------------------------------ */

/* Connected to a server before it was registered, or to something else where
 * the gateway would be: only the gateway itself is on the wire. */
static void test_around_the_gateway(void **state ZG_UNUSED)
{
	struct lab *lab = lab_open();
	struct task *t = task_start(lab, "agent", false);
	struct zg_listen v4 = {0}, v6 = {0};
	struct sink s;
	struct plan p;
	struct zg_err e;
	int fd = connected(t, &s, "127.0.0.1");

	plan_init(&p);
	plan_profile(&p, "a", ZG_MODE_ENFORCE);
	plan_prefix(&p, "127.0.0.1", 32, 20);
	(void)plan_rule(&p, P_A, 20, IPPROTO_TCP, 1, UINT16_MAX, ZG_V_REDIRECT);
	lab_apply(lab, &p);
	assert_int_equal(zg_addr_parse(ZG_SLICE("127.0.0.1"), v4.addr), 0);
	v4.port = (uint16_t)(s.port ^ 1);
	assert_int_equal(zg_kernel_set_gateway(lab->kernel, &v4, &v6, &e), 0);
	lab_govern(lab, "agent", P_A);
	assert_int_equal(task_do(t, do_send), 0);
	assert_int_equal(bytes_at(fd), 0);
	assert_int_equal(lab_events(lab).last.reason, ZG_GR_DIRECT);
	v4.port = s.port;
	assert_int_equal(zg_kernel_set_gateway(lab->kernel, &v4, &v6, &e), 0);
	wait_for(fd);
	assert_int_equal(bytes_at(fd), 1);
	(void)close(fd);
	(void)close(s.fd);
	task_end(t);
}

/* Another namespace has another 127.0.0.1. */
static int do_foreign_namespace(struct task *t)
{
	struct sink s;

	if (unshare(CLONE_NEWNET) < 0)
		return errno;
	lab_up_loopback();
	s = sink_open(false, "127.0.0.1", t->port);
	if (do_open(t) || do_connect(t) || do_send(t))
		return EIO;
	t->other = accept4(s.fd, NULL, NULL, SOCK_CLOEXEC);
	t->bytes = bytes_at(t->other);
	return 0;
}

static int do_send_and_drain(struct task *t)
{
	int r = do_send(t);

	t->bytes = bytes_at(t->other);
	return r;
}

static void test_the_gateways_address_elsewhere(void **state ZG_UNUSED)
{
	struct lab *lab = lab_open();
	struct task *t = task_start(lab, "agent", true);
	struct zg_listen v4 = {.port = 20405}, v6 = {0};
	struct plan p;
	struct zg_err e;

	assert_int_equal(zg_addr_parse(ZG_SLICE("127.0.0.1"), v4.addr), 0);
	assert_int_equal(zg_kernel_set_gateway(lab->kernel, &v4, &v6, &e), 0);
	plan_init(&p);
	plan_profile(&p, "a", ZG_MODE_ENFORCE);
	plan_prefix(&p, "127.0.0.1", 32, 20);
	(void)plan_rule(&p, P_A, 20, IPPROTO_TCP, 1, UINT16_MAX, ZG_V_REDIRECT);
	lab_apply(lab, &p);
	t->addr = "127.0.0.1";
	t->port = 20405;
	assert_int_equal(task_do(t, do_foreign_namespace), 0);
	assert_int_equal(t->bytes, 1);
	lab_govern(lab, "agent", P_A);
	assert_int_equal(task_do(t, do_send_and_drain), 0);
	assert_int_equal(t->bytes, 0);
	assert_int_equal(lab_events(lab).last.reason, ZG_GR_NETNS);
	task_end(t);
}

/* what must work ----------------------------------------------------------------------------- */

#define BULK (32u << 20)

static int do_bulk(struct task *t)
{
	static char block[65536];
	size_t sent = 0;

	while (sent < BULK) {
		ssize_t n = send(t->fd, block, sizeof(block), 0);

		if (n <= 0)
			return errno;
		sent += (size_t)n;
	}
	return shutdown(t->fd, SHUT_WR) < 0 ? errno : 0;
}

static void test_bulk_transfer(void **state ZG_UNUSED)
{
	for (size_t i = 0; i < 2; i++) {
		struct lab *lab = lab_open();
		struct task *t = task_start(lab, "agent", false);
		struct sink s = sink_open(false, loopbacks[i], 0);
		static char buf[65536];
		order_fn *bulk = do_bulk;
		size_t got = 0;
		ssize_t n;
		int fd, r;

		lab_govern(lab, "agent", P_A);
		allow_port(lab, loopbacks[i], s.port);
		t->addr = loopbacks[i];
		t->port = s.port;
		assert_int_equal(task_do(t, do_open), 0);
		assert_int_equal(task_do(t, do_connect), 0);
		fd = accept4(s.fd, NULL, NULL, SOCK_CLOEXEC);
		assert_true(fd >= 0);
		assert_int_equal(write(t->order[1], &bulk, sizeof(bulk)), sizeof(bulk));
		while ((n = recv(fd, buf, sizeof(buf), 0)) > 0)
			got += (size_t)n;
		assert_int_equal(read(t->answer[0], &r, sizeof(r)), sizeof(r));
		assert_int_equal(r, 0);
		assert_true(got >= BULK);
		assert_int_equal(lab_events(lab).count[ZG_E_DENY], 0);
		(void)close(fd);
		(void)close(s.fd);
		task_end(t);
		assert_int_equal(lab_teardown(NULL), 0);
	}
}

static void set_mtu(int mtu)
{
	zg_autofd int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq r = {.ifr_name = "lo", .ifr_mtu = mtu};

	assert_int_equal(ioctl(s, SIOCSIFMTU, &r), 0);
}

static int do_large(struct task *t)
{
	struct endpoint to = endpoint_of(t->addr, t->port);
	static char block[9000];

	return sendto(t->fd, block, t->bytes, 0, (struct sockaddr *)&to.ss, to.bytes) < 0 ? errno
											  : 0;
}

/* The kernel's own fragments, and a datagram that just fits. */
static void test_large_datagrams(void **state ZG_UNUSED)
{
	static const size_t sizes[] = {1452, 1472, 1473, 9000};
	struct lab *lab = lab_open();
	struct task *t = task_start(lab, "agent", false);

	set_mtu(1500);
	lab_govern(lab, "agent", P_A);
	for (size_t i = 0; i < 8; i++) {
		struct sink s = sink_open(true, loopbacks[i % 2], 0);
		static char buf[10000];

		allow_port(lab, loopbacks[i % 2], s.port);
		t->addr = loopbacks[i % 2];
		t->port = s.port;
		t->type = SOCK_DGRAM;
		t->bytes = sizes[i / 2];
		assert_int_equal(task_do(t, do_open), 0);
		assert_int_equal(task_do(t, do_large), 0);
		assert_int_equal(recv(s.fd, buf, sizeof(buf), 0), sizes[i / 2]);
		(void)close(s.fd);
	}
	assert_int_equal(lab_events(lab).count[ZG_E_DENY], 0);
	set_mtu(65536);
	task_end(t);
}

static const struct CMUnitTest tests[] = {
	LAB_TEST(test_connection_older_than_its_governing),
	LAB_TEST(test_withdrawn_rule_tcp),
	LAB_TEST(test_withdrawn_rule_udp),
	LAB_TEST(test_refusals_are_told_once),
	LAB_TEST(test_audit_mode),
	LAB_TEST(test_listen_without_bind),
	LAB_TEST(test_datagrams_in),
	LAB_TEST(test_ipv6_routing_header),
	LAB_TEST(test_ipv4_source_route),
	LAB_TEST(test_fragments_by_hand),
	LAB_TEST(test_other_protocols),
	LAB_TEST(test_mptcp_connection),
	LAB_TEST(test_multicast_and_broadcast),
	LAB_TEST(test_around_the_gateway),
	LAB_TEST(test_the_gateways_address_elsewhere),
	LAB_TEST(test_bulk_transfer),
	LAB_TEST(test_large_datagrams),
};

LAB_MAIN(tests)
