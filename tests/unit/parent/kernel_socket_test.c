/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel_socket_test.c - which sockets a governed process may open and bind, on
 * the real kernel. Each attempt is made outside a governed cgroup too: where
 * the kernel itself has no such protocol, nothing is claimed.
 */
#include "kernel_lab.h"

#define PROTO_ANY     0
#define PROTO_MPTCP   262
#define PROTO_DCCP    33
#define PROTO_UDPLITE 136
#define PROTO_SCTP    132
#define SOCK_DCCP_    6

static const struct kind {
	const char *text;
	int family;
	int type;
	int protocol;
	bool allowed;
} kinds[] = {
	{"tcp", AF_INET, SOCK_STREAM, PROTO_ANY, true},
	{"tcp, named", AF_INET, SOCK_STREAM, IPPROTO_TCP, true},
	{"tcp 6", AF_INET6, SOCK_STREAM, PROTO_ANY, true},
	{"udp", AF_INET, SOCK_DGRAM, PROTO_ANY, true},
	{"udp, named", AF_INET, SOCK_DGRAM, IPPROTO_UDP, true},
	{"udp 6", AF_INET6, SOCK_DGRAM, IPPROTO_UDP, true},
	{"unix", AF_UNIX, SOCK_STREAM, PROTO_ANY, true}, /* not this layer's */
	{"mptcp", AF_INET, SOCK_STREAM, PROTO_MPTCP, false},
	{"mptcp 6", AF_INET6, SOCK_STREAM, PROTO_MPTCP, false},
	{"sctp", AF_INET, SOCK_STREAM, PROTO_SCTP, false},
	{"sctp, packets", AF_INET6, SOCK_SEQPACKET, PROTO_SCTP, false},
	{"dccp", AF_INET, SOCK_DCCP_, PROTO_DCCP, false},
	{"udp-lite", AF_INET, SOCK_DGRAM, PROTO_UDPLITE, false},
	{"udp-lite 6", AF_INET6, SOCK_DGRAM, PROTO_UDPLITE, false},
	{"ping", AF_INET, SOCK_DGRAM, IPPROTO_ICMP, false},
	{"ping 6", AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6, false},
	{"raw", AF_INET, SOCK_RAW, IPPROTO_RAW, false},
	{"raw icmp 6", AF_INET6, SOCK_RAW, IPPROTO_ICMPV6, false},
	{"raw tcp", AF_INET, SOCK_RAW, IPPROTO_TCP, false},
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static int open_kind(void *arg)
{
	const struct kind *k = arg;
	int s = socket(k->family, k->type | SOCK_CLOEXEC, k->protocol);

	return s < 0 ? errno : 0;
}

/* As root: an unprivileged user is refused raw sockets anyway. */
static int open_as_root(const struct lab *lab, const char *cgroup, struct kind k)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		lab_join(lab, cgroup);
		_exit(open_kind(&k));
	}
	return lab_wait(pid);
}

static void lab_allow_ping(void)
{
	zg_autofd int fd = open("/proc/sys/net/ipv4/ping_group_range", O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_true(write(fd, "0 65535", 7) == 7);
}

static void plan_one(struct lab *lab, enum zg_mode mode)
{
	struct plan p;

	plan_init(&p);
	plan_profile(&p, "a", mode);
	lab_apply(lab, &p);
}

static void test_only_tcp_and_udp(void **state ZG_UNUSED)
{
	struct lab *lab = lab_open();
	size_t possible = 0;

	lab_allow_ping();
	(void)lab_cgroup(lab, "free");
	lab_govern(lab, "agent", P_A);
	plan_one(lab, ZG_MODE_ENFORCE);
	for (size_t i = 0; i < KINDS; i++) {
		int outside = open_as_root(lab, "free", kinds[i]);
		int inside = open_as_root(lab, "agent", kinds[i]);
		struct seen seen = lab_events(lab);

		if (outside) { /* not in this kernel: no verdict needed, and none given */
			assert_int_equal(inside, outside);
			continue;
		}
		possible++;
		if (inside != (kinds[i].allowed ? 0 : EPERM))
			fail_msg("%s: %d", kinds[i].text, inside);
		assert_int_equal(seen.count[ZG_E_DENY], !kinds[i].allowed);
		if (kinds[i].allowed)
			continue;
		assert_int_equal(seen.last.layer, ZG_L_CREATE);
		assert_int_equal(seen.last.reason, ZG_GR_PROTOCOL);
		assert_int_equal(seen.last.family, kinds[i].family);
		assert_int_equal(seen.last.proto,
				 kinds[i].protocol == PROTO_MPTCP ? 0 : kinds[i].protocol);
		assert_int_equal(seen.last.profile, P_A);
	}
	assert_true(possible > 10); /* TCP, UDP, ping and raw are everywhere */
}

/* What an ordinary user may open without the gate. */
static void test_ping_of_an_ordinary_user(void **state ZG_UNUSED)
{
	struct kind ping = {.family = AF_INET, .type = SOCK_DGRAM, .protocol = IPPROTO_ICMP};
	struct lab *lab = lab_open();

	lab_allow_ping();
	(void)lab_cgroup(lab, "free");
	lab_govern(lab, "agent", P_A);
	assert_int_equal(lab_run(lab, "free", open_kind, &ping), 0);
	assert_int_equal(lab_run(lab, "agent", open_kind, &ping), EPERM);
}

static void test_audit_mode_and_containment(void **state ZG_UNUSED)
{
	const struct kind raw = {.family = AF_INET, .type = SOCK_RAW, .protocol = IPPROTO_TCP};
	struct lab *lab = lab_open();
	struct seen seen;

	lab_govern(lab, "agent", P_A);
	plan_one(lab, ZG_MODE_AUDIT);
	assert_int_equal(open_as_root(lab, "agent", raw), 0);
	seen = lab_events(lab);
	assert_int_equal(seen.count[ZG_E_WOULD_DENY], 1);
	assert_int_equal(seen.last.reason, ZG_GR_PROTOCOL);
	assert_int_equal(zg_kernel_contain(lab->kernel, "a", true), 0);
	assert_int_equal(open_as_root(lab, "agent", raw), EPERM);
	assert_int_equal(lab_events(lab).last.reason, ZG_GR_CONTAINED);
}

struct binding {
	const char *addr; /* its text decides the socket's family */
	int type;
	uint16_t port;
	bool reuse; /* with SO_REUSEADDR and SO_REUSEPORT */
};

static int bind_kind(void *arg)
{
	const struct binding *b = arg;
	struct endpoint at = endpoint_of(b->addr, b->port);
	zg_autofd int s = socket(at.ss.ss_family, b->type | SOCK_CLOEXEC, 0);
	int one = 1;

	if (s < 0)
		return errno;
	if (b->reuse && (setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
			 setsockopt(s, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) < 0))
		return errno;
	return bind(s, (struct sockaddr *)&at.ss, at.bytes) < 0 ? errno : 0;
}

static const char *const bind_addrs[] = {"127.0.0.1", "0.0.0.0",	  "::1",
					 "::",	      "::ffff:127.0.0.1", "::ffff:0.0.0.0"};
#define BIND_ADDRS (sizeof(bind_addrs) / sizeof(bind_addrs[0]))

/* Clients name an address to dial from; nobody chooses a port. */
static void test_bind(void **state ZG_UNUSED)
{
	struct lab *lab = lab_open();

	(void)lab_cgroup(lab, "free");
	lab_govern(lab, "agent", P_A);
	plan_one(lab, ZG_MODE_ENFORCE);
	for (size_t i = 0; i < 2 * BIND_ADDRS; i++) {
		struct binding any = {bind_addrs[i / 2], i % 2 ? SOCK_DGRAM : SOCK_STREAM, 0,
				      false};
		struct binding one = {any.addr, any.type, 20300, false};
		struct seen seen;

		assert_int_equal(lab_run(lab, "agent", bind_kind, &any), 0);
		assert_int_equal(lab_events(lab).count[ZG_E_DENY], 0);
		assert_int_equal(lab_run(lab, "agent", bind_kind, &one), EPERM);
		seen = lab_events(lab);
		assert_int_equal(seen.count[ZG_E_DENY], 1);
		assert_int_equal(seen.last.layer, ZG_L_BIND);
		assert_int_equal(seen.last.reason, ZG_GR_BIND);
		assert_int_equal(ntohs(seen.last.port_be), 20300);
		assert_int_equal(lab_run(lab, "free", bind_kind, &one), 0);
	}
}

/* The gateway is down for a moment, or shares its port: still nobody's, in
 * audit mode too. Its number means nothing to UDP. */
static void test_the_gateways_port(void **state ZG_UNUSED)
{
	struct lab *lab = lab_open();
	struct zg_listen v4 = {.port = 20310}, v6 = {.port = 20311};
	struct zg_err e;

	assert_int_equal(zg_addr_parse(ZG_SLICE("127.0.0.1"), v4.addr), 0);
	assert_int_equal(zg_addr_parse(ZG_SLICE("::1"), v6.addr), 0);
	assert_int_equal(zg_kernel_set_gateway(lab->kernel, &v4, &v6, &e), 0);
	lab_govern(lab, "agent", P_A);
	plan_one(lab, ZG_MODE_AUDIT);
	for (size_t i = 0; i < BIND_ADDRS; i++)
		for (uint16_t port = 20310; port <= 20311; port++) {
			struct binding b = {bind_addrs[i], SOCK_STREAM, port, true};

			assert_int_equal(lab_run(lab, "agent", bind_kind, &b), EPERM);
			assert_int_equal(lab_events(lab).last.reason, ZG_GR_GATEWAY);
			b.type = SOCK_DGRAM;
			assert_int_equal(lab_run(lab, "agent", bind_kind, &b), 0);
		}
}

static const struct CMUnitTest tests[] = {
	LAB_TEST(test_only_tcp_and_udp),	   LAB_TEST(test_ping_of_an_ordinary_user),
	LAB_TEST(test_audit_mode_and_containment), LAB_TEST(test_bind),
	LAB_TEST(test_the_gateways_port),
};

LAB_MAIN(tests)
