/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel_enforce_test.c - who may reach what, on the real kernel. Each
 * assertion is made where it matters: did the byte arrive, and what did the
 * caller see.
 */
#include "kernel_lab.h"

static const char *const how_text[] = {
	[TCP_CONNECT] = "tcp connect",
	[TCP_FASTOPEN_SENDTO] = "tcp fast open",
	[UDP_SENDTO] = "udp sendto",
	[UDP_CONNECT] = "udp connect",
	[UDP_UNSPEC] = "udp sendto, AF_UNSPEC",
};

/* Every way to the four loopback sinks of one port. */
static const struct {
	enum how how;
	const char *addr;
	bool v6;
} ways[] = {
	{TCP_CONNECT, "127.0.0.1", false},
	{TCP_CONNECT, "0.0.0.0", false},
	{TCP_CONNECT, "::ffff:127.0.0.1", false},
	{TCP_CONNECT, "::ffff:0.0.0.0", false},
	{TCP_CONNECT, "::1", true},
	{TCP_CONNECT, "::", true},
	{TCP_FASTOPEN_SENDTO, "127.0.0.1", false},
	{TCP_FASTOPEN_SENDTO, "::1", true},
	{UDP_SENDTO, "127.0.0.1", false},
	{UDP_SENDTO, "0.0.0.0", false},
	{UDP_SENDTO, "::ffff:127.0.0.1", false},
	{UDP_SENDTO, "::1", true},
	{UDP_SENDTO, "::", true},
	{UDP_UNSPEC, "127.0.0.1", false},
	{UDP_CONNECT, "127.0.0.1", false},
	{UDP_CONNECT, "::ffff:127.0.0.1", false},
	{UDP_CONNECT, "::1", true},
};
#define WAYS (sizeof(ways) / sizeof(ways[0]))

struct sinks {
	uint16_t port;
	struct sink tcp4, tcp6, udp4, udp6;
};

static struct sinks sinks_open(void)
{
	struct sinks s = {.tcp4 = sink_open(false, "127.0.0.1", 0)};

	s.port = s.tcp4.port;
	s.tcp6 = sink_open(false, "::1", s.port);
	s.udp4 = sink_open(true, "127.0.0.1", s.port);
	s.udp6 = sink_open(true, "::1", s.port);
	return s;
}

static void sinks_close(struct sinks *s)
{
	(void)close(s->tcp4.fd);
	(void)close(s->tcp6.fd);
	(void)close(s->udp4.fd);
	(void)close(s->udp6.fd);
}

/* What has come; with one that must, once it is there. */
static int sinks_drain(struct sinks *s, bool must)
{
	struct pollfd any[] = {{.fd = s->tcp4.fd, .events = POLLIN},
			       {.fd = s->tcp6.fd, .events = POLLIN},
			       {.fd = s->udp4.fd, .events = POLLIN},
			       {.fd = s->udp6.fd, .events = POLLIN}};

	if (must)
		assert_true(poll(any, 4, ARRIVES_MS) > 0);
	return sink_drain(&s->tcp4) + sink_drain(&s->tcp6) + sink_drain(&s->udp4) +
	       sink_drain(&s->udp6);
}

/* Every way from a cgroup: all must end in want (0 or errno). */
static void try_all_ways(struct lab *lab, const char *cgroup, struct sinks *s, int want)
{
	for (size_t i = 0; i < WAYS; i++) {
		struct dial d = {.how = ways[i].how, .addr = ways[i].addr, .port = s->port};
		int got = lab_run(lab, cgroup, dial, &d);
		int arrived = sinks_drain(s, got == 0 && want == 0);

		if (got != want || arrived != (want == 0))
			fail_msg("%s to %s: errno %d instead of %d, %d arrived", how_text[d.how],
				 d.addr, got, want, arrived);
	}
}

static void plan_loopback(struct plan *p, uint32_t profile, uint16_t lo, uint16_t hi)
{
	plan_prefix(p, "127.0.0.1", 32, 10);
	plan_prefix(p, "::1", 128, 11);
	for (uint32_t identity = 10; identity <= 11; identity++) {
		(void)plan_rule(p, profile, identity, IPPROTO_TCP, lo, hi, ZG_V_ALLOW);
		(void)plan_rule(p, profile, identity, IPPROTO_UDP, lo, hi, ZG_V_ALLOW);
	}
}

static void test_default_deny(void **state ZG_UNUSED)
{
	struct sinks s;
	struct lab *lab;
	struct plan p;

	lab = lab_open();
	s = sinks_open();
	(void)lab_cgroup(lab, "free");
	lab_govern(lab, "agent", P_A);
	/* before any policy was ever loaded, and with one that grants nothing */
	try_all_ways(lab, "agent", &s, EPERM);
	plan_init(&p);
	plan_profile(&p, "a", ZG_MODE_ENFORCE);
	lab_apply(lab, &p);
	try_all_ways(lab, "agent", &s, EPERM);
	assert_int_equal(lab_events(lab).count[ZG_E_DENY], 2 * WAYS);
	/* the same ways work for whoever is not governed */
	try_all_ways(lab, "free", &s, 0);
	assert_int_equal(lab_events(lab).count[ZG_E_DENY], 0);
	sinks_close(&s);
}

static void test_allow(void **state ZG_UNUSED)
{
	struct sinks s, other;
	struct lab *lab;
	struct plan p;

	lab = lab_open();
	s = sinks_open();
	other = sinks_open();
	lab_govern(lab, "agent", P_A);
	plan_init(&p);
	plan_profile(&p, "a", ZG_MODE_ENFORCE);
	plan_loopback(&p, P_A, s.port, s.port);
	lab_apply(lab, &p);
	try_all_ways(lab, "agent", &s, 0);
	try_all_ways(lab, "agent", &other, EPERM);
	assert_int_equal(lab_events(lab).last.reason, ZG_GR_PORT);
	sinks_close(&s);
	sinks_close(&other);
}

/* The kernel takes 0.0.0.0 for the address that the socket is bound to. */
static void test_unspecified_goes_where_it_was_judged(void **state ZG_UNUSED)
{
	struct dial d = {.how = TCP_CONNECT, .addr = "0.0.0.0", .from = "127.0.0.5"};
	struct sink there;
	struct lab *lab;
	struct plan p;

	lab = lab_open();
	there = sink_open(false, "127.0.0.5", 0);
	d.port = there.port;
	lab_govern(lab, "agent", P_A);
	plan_init(&p);
	plan_profile(&p, "a", ZG_MODE_ENFORCE);
	plan_loopback(&p, P_A, 1, UINT16_MAX);
	lab_apply(lab, &p);
	assert_int_equal(lab_run(lab, "agent", dial, &d), ECONNREFUSED);
	assert_int_equal(sink_drain(&there), 0);
	(void)close(there.fd);
}

static void test_nearest_governed_ancestor(void **state ZG_UNUSED)
{
	char deep[256] = "agent";
	struct sinks s;
	struct lab *lab;
	struct plan p;

	lab = lab_open();
	s = sinks_open();
	lab_govern(lab, "agent", P_A);
	lab_govern(lab, "open", P_B);
	lab_govern(lab, "open/tight", P_A);
	lab_govern(lab, "agent/loose", P_B);
	(void)lab_cgroup(lab, "agent/child");
	(void)lab_cgroup(lab, "agent/loose/child");
	(void)lab_cgroup(lab, "open/tight/child");
	plan_init(&p);
	plan_profile(&p, "a", ZG_MODE_ENFORCE);
	plan_profile(&p, "b", ZG_MODE_ENFORCE);
	plan_loopback(&p, P_B, 1, UINT16_MAX);
	lab_apply(lab, &p);
	try_all_ways(lab, "agent/child", &s, EPERM);
	try_all_ways(lab, "agent/loose/child", &s, 0);
	try_all_ways(lab, "open", &s, 0);
	try_all_ways(lab, "open/tight/child", &s, EPERM);
	/* deeper than the walk goes: still the ancestor's */
	for (int i = 0; i < ZG_CGROUP_DEPTH_MAX + 4; i++) {
		(void)snprintf(deep + strlen(deep), sizeof(deep) - strlen(deep), "/d");
		(void)lab_cgroup(lab, deep);
	}
	try_all_ways(lab, deep, &s, EPERM);
	/* and no longer governed when it is released */
	assert_int_equal(zg_kernel_release(lab->kernel, lab_cgroup(lab, "agent")), 0);
	try_all_ways(lab, "agent/child", &s, 0);
	sinks_close(&s);
}

static void test_rules(void **state ZG_UNUSED)
{
	static const struct {
		uint16_t offset; /* from the first port */
		enum how how;
		int want; /* EPERM, or what an open gate leads to */
		enum zg_gate_reason reason;
	} cases[] = {
		{0, TCP_CONNECT, EPERM, ZG_GR_PORT},	{1, TCP_CONNECT, ECONNREFUSED, 0},
		{2, TCP_CONNECT, ECONNREFUSED, 0},	{3, TCP_CONNECT, EPERM, ZG_GR_RULE_DENY},
		{4, TCP_CONNECT, ECONNREFUSED, 0},	{5, TCP_CONNECT, EPERM, ZG_GR_PORT},
		{1, UDP_CONNECT, EPERM, ZG_GR_NO_RULE},
	};
	const uint16_t base = 20000;
	struct zg_rule_def *r;
	struct lab *lab;
	struct plan p;

	lab = lab_open();
	lab_govern(lab, "agent", P_A);
	plan_init(&p);
	plan_profile(&p, "a", ZG_MODE_ENFORCE);
	plan_prefix(&p, "127.0.0.0", 8, 10);
	r = plan_rule(&p, P_A, 10, IPPROTO_TCP, base + 1, base + 2, ZG_V_ALLOW);
	r->val.count = 3;
	r->val.port[1] = (struct zg_port_rule){base + 3, base + 3, ZG_V_DENY, {0}};
	r->val.port[2] = (struct zg_port_rule){base + 4, base + 4, ZG_V_ALLOW, {0}};
	lab_apply(lab, &p);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct dial d = {.how = cases[i].how,
				 .addr = "127.1.2.3",
				 .port = (uint16_t)(base + cases[i].offset)};
		struct seen seen;

		assert_int_equal(lab_run(lab, "agent", dial, &d), cases[i].want);
		seen = lab_events(lab);
		assert_int_equal(seen.count[ZG_E_DENY], cases[i].want == EPERM);
		if (cases[i].want == EPERM)
			assert_int_equal(seen.last.reason, cases[i].reason);
	}
}

/* A longer prefix takes its addresses out of the shorter one's grant. */
static void test_longest_prefix(void **state ZG_UNUSED)
{
	struct dial in = {.how = TCP_CONNECT, .addr = "127.9.9.8", .port = 20100};
	struct dial out = {.how = TCP_CONNECT, .addr = "127.9.9.9", .port = 20100};
	struct lab *lab;
	struct plan p;

	lab = lab_open();
	lab_govern(lab, "agent", P_A);
	plan_init(&p);
	plan_profile(&p, "a", ZG_MODE_ENFORCE);
	plan_prefix(&p, "127.0.0.0", 8, 10);
	plan_prefix(&p, "127.9.9.9", 32, 12);
	(void)plan_rule(&p, P_A, 10, IPPROTO_TCP, 1, UINT16_MAX, ZG_V_ALLOW);
	lab_apply(lab, &p);
	assert_int_equal(lab_run(lab, "agent", dial, &in), ECONNREFUSED);
	assert_int_equal(lab_run(lab, "agent", dial, &out), EPERM);
	assert_int_equal(lab_events(lab).last.identity, 12);
}

/* NAT64 and 6to4 carry an IPv4 address, and that one is judged. */
static void test_embedded_v4(void **state ZG_UNUSED)
{
	static const char *const dials[][2] = {
		{"64:ff9b::7f01:203", "127.1.2.3"},
		{"2002:7f01:203::1", "127.1.2.3"},
	};
	struct lab *lab;
	struct plan p;

	lab = lab_open();
	lab_govern(lab, "agent", P_A);
	plan_init(&p);
	plan_profile(&p, "a", ZG_MODE_ENFORCE);
	plan_prefix(&p, "::", 0, 10);	     /* all of IPv6, and of IPv4 ... */
	plan_prefix(&p, "127.0.0.0", 8, 11); /* ... but for this */
	(void)plan_rule(&p, P_A, 10, IPPROTO_TCP, 1, UINT16_MAX, ZG_V_ALLOW);
	lab_apply(lab, &p);
	for (size_t i = 0; i < 2; i++) {
		struct dial d = {.how = TCP_CONNECT, .addr = dials[i][0], .port = 20200};
		char text[INET6_ADDRSTRLEN];
		struct seen seen;

		assert_int_equal(lab_run(lab, "agent", dial, &d), EPERM);
		seen = lab_events(lab);
		zg_addr_text(text, sizeof(text), seen.last.addr);
		assert_string_equal(text, dials[i][1]);
	}
}

static void test_audit_and_containment(void **state ZG_UNUSED)
{
	struct sinks s;
	struct seen seen;
	struct lab *lab;
	struct plan p;

	lab = lab_open();
	s = sinks_open();
	lab_govern(lab, "agent", P_A);
	plan_init(&p);
	plan_profile(&p, "a", ZG_MODE_AUDIT);
	lab_apply(lab, &p);
	try_all_ways(lab, "agent", &s, 0);
	seen = lab_events(lab);
	/* a v4-mapped connected datagram socket is judged at send() once more */
	assert_int_equal(seen.count[ZG_E_WOULD_DENY], WAYS + 1);
	assert_int_equal(seen.count[ZG_E_DENY], 0);
	/* containment beats audit mode, and every rule; a reload does not lift it */
	assert_int_equal(zg_kernel_contain(lab->kernel, "a", true), 0);
	plan_loopback(&p, P_A, 1, UINT16_MAX);
	lab_apply(lab, &p);
	try_all_ways(lab, "agent", &s, EPERM);
	assert_int_equal(lab_events(lab).last.reason, ZG_GR_CONTAINED);
	assert_int_equal(zg_kernel_contain(lab->kernel, "a", false), 0);
	try_all_ways(lab, "agent", &s, 0);
	sinks_close(&s);
}

/* The gateway's own cgroup is judged like any other. */
static void test_gateway_profile(void **state ZG_UNUSED)
{
	struct sinks s, other;
	struct lab *lab;
	struct plan p;

	lab = lab_open();
	s = sinks_open();
	other = sinks_open();
	lab_govern(lab, "gateway", ZG_PROFILE_GATEWAY);
	plan_init(&p);
	plan_loopback(&p, ZG_PROFILE_GATEWAY, s.port, s.port);
	lab_apply(lab, &p);
	try_all_ways(lab, "gateway", &s, 0);
	try_all_ways(lab, "gateway", &other, EPERM);
	sinks_close(&s);
	sinks_close(&other);
}

struct shared_socket {
	int fd;
	uint16_t port;
};

static int dial_shared(void *arg)
{
	const struct shared_socket *s = arg;
	struct endpoint to = endpoint_of("127.0.0.1", s->port);

	return connect(s->fd, (struct sockaddr *)&to.ss, to.bytes) < 0 ? errno : 0;
}

/* The socket was made outside; the task that dials is inside. */
static void test_socket_made_before_joining(void **state ZG_UNUSED)
{
	struct shared_socket shared;
	struct sink sink;
	struct lab *lab;
	pid_t pid;

	lab = lab_open();
	sink = sink_open(false, "127.0.0.1", 0);
	lab_govern(lab, "agent", P_A);
	/* made in a cgroup below the attach root, as all of a host's are */
	(void)lab_cgroup(lab, "free");
	shared.port = sink.port;
	pid = fork();
	if (pid == 0) {
		lab_join(lab, "free");
		shared.fd = socket(AF_INET, SOCK_STREAM, 0);
		lab_join(lab, "agent");
		lab_drop();
		_exit(dial_shared(&shared) == EPERM ? 0 : 1);
	}
	assert_int_equal(lab_wait(pid), 0);
	assert_int_equal(sink_drain(&sink), 0);
	(void)close(sink.fd);
}

static uint64_t start_ticks_of(pid_t pid)
{
	char path[64], text[1024], *field;
	zg_autofile FILE *f = NULL;
	size_t n;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	assert_non_null(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	field = strrchr(text, ')') + 2; /* field 3; the start time is field 22 */
	for (int i = 3; i < 22; i++)
		field = strchr(field, ' ') + 1;
	return strtoull(field, NULL, 10);
}

static void test_event(void **state ZG_UNUSED)
{
	struct dial d = {.how = TCP_CONNECT, .addr = "127.4.5.6", .port = 4567};
	char text[INET6_ADDRSTRLEN];
	uint64_t cgroup, ticks;
	siginfo_t info = {0};
	struct seen seen;
	struct lab *lab;
	pid_t pid;

	lab = lab_open();
	lab_govern(lab, "agent", P_A);
	cgroup = lab_cgroup(lab, "agent/inner");
	pid = lab_start(lab, "agent/inner", dial, &d);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	ticks = start_ticks_of(pid); /* a zombie still has its start time */
	assert_int_equal(lab_wait(pid), EPERM);
	seen = lab_events(lab);
	assert_int_equal(seen.count[ZG_E_DENY], 1);
	assert_int_equal(seen.last.pid, pid);
	assert_int_equal(seen.last.uid, LAB_UID);
	assert_int_equal(seen.last.gid, LAB_UID);
	assert_int_equal(seen.last.profile, P_A);
	assert_int_equal(seen.last.layer, ZG_L_CONNECT);
	assert_int_equal(seen.last.reason, ZG_GR_NO_IDENTITY);
	assert_int_equal(seen.last.proto, IPPROTO_TCP);
	assert_int_equal(seen.last.family, AF_INET);
	assert_int_equal(ntohs(seen.last.port_be), 4567);
	assert_true(seen.last.cgroup_id == cgroup);
	assert_true(seen.last.start_ns / (1000000000 / (uint64_t)sysconf(_SC_CLK_TCK)) == ticks);
	assert_int_equal(strncmp(seen.last.comm, program_invocation_short_name, 15), 0);
	assert_string_equal(seen.last.cgroup_name, "inner");
	zg_addr_text(text, sizeof(text), seen.last.addr);
	assert_string_equal(text, "127.4.5.6");
}

#define FLOOD (ZG_RING_DENY_BYTES / sizeof(struct zg_event) + 100)

static int flood(void *arg ZG_UNUSED)
{
	struct endpoint to = endpoint_of("127.0.0.1", 9);
	int s = socket(AF_INET, SOCK_DGRAM, 0);

	for (size_t i = 0; i < FLOOD; i++)
		if (sendto(s, "x", 1, 0, (struct sockaddr *)&to.ss, to.bytes) >= 0 ||
		    errno != EPERM)
			return 1;
	return 0;
}

/* A full ring loses records, never the verdict, and says how many. */
static void test_lost_events_are_counted(void **state ZG_UNUSED)
{
	uint64_t lost[ZG_E_MAX];
	struct seen seen;
	struct lab *lab;

	lab = lab_open();
	lab_govern(lab, "agent", P_A);
	assert_int_equal(lab_run(lab, "agent", flood, NULL), 0);
	seen = lab_events(lab);
	assert_int_equal(zg_kernel_lost(lab->kernel, lost), 0);
	assert_true(lost[ZG_E_DENY] > 0);
	assert_true(lost[ZG_E_DENY] + seen.count[ZG_E_DENY] == FLOOD);
	assert_true(lost[ZG_E_REDIRECT] == 0);
}

static const struct CMUnitTest tests[] = {
	LAB_TEST(test_default_deny),
	LAB_TEST(test_allow),
	LAB_TEST(test_unspecified_goes_where_it_was_judged),
	LAB_TEST(test_nearest_governed_ancestor),
	LAB_TEST(test_rules),
	LAB_TEST(test_longest_prefix),
	LAB_TEST(test_embedded_v4),
	LAB_TEST(test_audit_and_containment),
	LAB_TEST(test_gateway_profile),
	LAB_TEST(test_socket_made_before_joining),
	LAB_TEST(test_event),
	LAB_TEST(test_lost_events_are_counted),
};

LAB_MAIN(tests)
