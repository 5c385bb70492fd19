/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel_inbound_test.c - who may dial a governed process, on the real kernel,
 * and that nobody but the agent is where the gateway listens. Sockets are made
 * in a cgroup and used from outside: packets are judged by their socket.
 */
#include "kernel_lab.h"

#include <stdio.h>
#include <sys/syscall.h>

#define PORT	20500 /* and the nine after it are listened on */
#define PATIENT 120   /* seconds for what must come */

/* What a child does in a cgroup, with our table of files: what it opens is ours,
 * and we never were in that cgroup. */
struct act {
	int type;
	const char *addr;
	uint16_t port;
	const char *to; /* NULL: listen */
	uint16_t to_port;
	int fd; /* made, or used by send_act */
	int error;
};

static struct act do_in(const struct lab *lab, const char *cgroup, void (*fn)(struct act *a),
			struct act what)
{
	struct act *a =
		mmap(NULL, sizeof(*a), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid;

	assert_true(a != MAP_FAILED);
	*a = what;
	pid = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, NULL);
	assert_true(pid >= 0);
	if (pid == 0) {
		lab_join(lab, cgroup);
		fn(a);
		_exit(0);
	}
	assert_int_equal(lab_wait(pid), 0);
	what = *a;
	assert_int_equal(munmap(a, sizeof(*a)), 0);
	return what;
}

static void open_act(struct act *a)
{
	struct endpoint at = endpoint_of(a->addr, a->port);
	struct endpoint to = endpoint_of(a->to ? a->to : a->addr, a->to_port);
	int one = 1;

	a->fd = socket(at.ss.ss_family, a->type | SOCK_NONBLOCK, 0);
	if (a->fd < 0 || setsockopt(a->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    (a->port && bind(a->fd, (struct sockaddr *)&at.ss, at.bytes) < 0) ||
	    (!a->to && a->type == SOCK_STREAM && listen(a->fd, 8) < 0) ||
	    (a->to && connect(a->fd, (struct sockaddr *)&to.ss, to.bytes) < 0))
		a->error = errno;
}

static void send_act(struct act *a)
{
	struct endpoint to = endpoint_of(a->to, a->to_port);

	if (sendto(a->fd, "a", 1, 0, (struct sockaddr *)&to.ss, to.bytes) != 1)
		a->error = errno;
}

/* A bound (and listening) socket of a cgroup; -errno. port 0: without bind(). */
static int serve(struct lab *lab, const char *cgroup, int type, const char *addr, uint16_t port)
{
	struct act a = do_in(lab, cgroup, open_act,
			     (struct act){.type = type, .addr = addr, .port = port});

	if (a.error)
		(void)close(a.fd);
	return a.error ? -a.error : a.fd;
}

static uint16_t port_of(int s)
{
	struct endpoint at = {.bytes = sizeof(at.ss)};

	assert_int_equal(getsockname(s, (struct sockaddr *)&at.ss, &at.bytes), 0);
	return ntohs(((struct sockaddr_in *)&at.ss)->sin_port);
}

/* A client outside; it does not wait for an answer that will not come. */
static int dial_from(const char *from, const char *addr, uint16_t port, int type)
{
	struct endpoint to = endpoint_of(addr, port), own = endpoint_of(from, 0);
	int s = socket(to.ss.ss_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(s >= 0);
	assert_int_equal(bind(s, (struct sockaddr *)&own.ss, own.bytes), 0);
	if (connect(s, (struct sockaddr *)&to.ss, to.bytes) < 0)
		assert_int_equal(errno, EINPROGRESS);
	return s;
}

static void patient(int s)
{
	struct timeval tv = {.tv_sec = PATIENT};

	assert_int_equal(fcntl(s, F_SETFL, 0), 0);
	assert_int_equal(setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)), 0);
}

static int accepted(int s)
{
	return sink_accept(&(struct sink){.fd = s});
}

static void receive(int s)
{
	char byte;

	wait_for(s);
	assert_int_equal(recv(s, &byte, 1, 0), 1);
}

static void talk(int a, int b)
{
	char byte = 0;

	patient(a);
	patient(b);
	assert_int_equal(send(a, "q", 1, 0), 1);
	assert_int_equal(recv(b, &byte, 1, 0), 1);
	assert_int_equal(send(b, "a", 1, 0), 1);
	assert_int_equal(recv(a, &byte, 1, 0), 1);
	assert_int_equal(byte, 'a');
}

/* plans ------------------------------------------------------------------------- */

/* P_A listens on PORT.. for 127.1.0.0/16 and ::1, both protocols. */
static void apply(struct lab *lab, enum zg_mode mode, bool listens, bool denied)
{
	static const uint32_t protos[] = {IPPROTO_TCP, IPPROTO_UDP};
	struct plan p;

	plan_init(&p);
	plan_profile(&p, "a", mode);
	plan_prefix(&p, "127.1.0.0", 16, 10);
	plan_prefix(&p, "::1", 128, 10);
	for (size_t i = 0; i < 2 && listens; i++) {
		plan_rule(&p, P_A, 10, protos[i], PORT, PORT + 9, ZG_V_ALLOW)->direction =
			ZG_DIR_IN;
		plan_rule(&p, P_A, 0, protos[i], PORT, PORT + 9, ZG_V_ALLOW)->direction = ZG_DIR_IN;
	}
	if (denied)
		(void)plan_rule(&p, P_A, 10, IPPROTO_TCP, 1, UINT16_MAX, ZG_V_DENY);
	lab_apply(lab, &p);
}

static struct lab *lab_listening(enum zg_mode mode)
{
	struct lab *lab = lab_open();

	(void)lab_cgroup(lab, "free");
	lab_govern(lab, "agent", P_A);
	apply(lab, mode, true, false);
	return lab;
}

static void expect(struct lab *lab, enum zg_event_kind kind, enum zg_layer layer,
		   enum zg_gate_reason reason)
{
	struct seen seen = lab_events_with(lab, kind);

	assert_int_equal(seen.last.layer, layer);
	assert_int_equal(seen.last.reason, reason);
}

static void nobody_came(int s)
{
	assert_int_equal(accept(s, NULL, NULL), -1);
	assert_int_equal(errno, EAGAIN);
}

/* who dials ------------------------------------------------------------------------ */

static const struct {
	const char *addr, *from;
	bool allowed;
} peers[] = {
	{"127.0.0.1", "127.1.2.3", true},
	{"127.0.0.1", "127.2.0.1", false},
	{"127.0.0.1", "127.0.0.1", false},
	{"::1", "::1", true},
};

static void test_who_is_named_may_dial(void **state ZG_UNUSED)
{
	struct lab *lab = lab_listening(ZG_MODE_ENFORCE);

	for (size_t i = 0; i < sizeof(peers) / sizeof(peers[0]); i++) {
		int s = serve(lab, "agent", SOCK_STREAM, peers[i].addr, PORT);
		int c = dial_from(peers[i].from, peers[i].addr, PORT, SOCK_STREAM);

		assert_true(s >= 0);
		if (peers[i].allowed) {
			int a = accepted(s);

			talk(c, a);
			assert_int_equal(lab_events(lab).count[ZG_E_DENY], 0);
			(void)close(a);
		} else {
			expect(lab, ZG_E_DENY, ZG_L_INGRESS, ZG_GR_INBOUND);
			nobody_came(s);
		}
		(void)close(c);
		(void)close(s);
	}
}

/* One socket for both families. */
static void test_a_listener_of_both_families(void **state ZG_UNUSED)
{
	struct lab *lab = lab_listening(ZG_MODE_ENFORCE);
	int s = serve(lab, "agent", SOCK_STREAM, "::", PORT + 1);
	int c = dial_from("127.1.0.1", "127.0.0.1", PORT + 1, SOCK_STREAM);
	int a = accepted(s);

	talk(c, a);
	(void)close(a);
	(void)close(c);
	c = dial_from("127.9.0.1", "127.0.0.1", PORT + 1, SOCK_STREAM);
	expect(lab, ZG_E_DENY, ZG_L_INGRESS, ZG_GR_INBOUND);
	nobody_came(s);
	(void)close(c);
	(void)close(s);
}

static int send_as(struct lab *lab, int s, const char *addr, uint16_t port)
{
	return do_in(lab, "agent", send_act, (struct act){.fd = s, .to = addr, .to_port = port})
		.error;
}

static void test_a_server_of_datagrams(void **state ZG_UNUSED)
{
	struct lab *lab = lab_listening(ZG_MODE_ENFORCE);
	int s = serve(lab, "agent", SOCK_DGRAM, "127.0.0.1", PORT);
	int near = dial_from("127.1.0.1", "127.0.0.1", PORT, SOCK_DGRAM);
	int far = dial_from("127.2.0.1", "127.0.0.1", PORT, SOCK_DGRAM);
	int any = serve(lab, "agent", SOCK_DGRAM, "127.0.0.1", 0);
	char byte;

	assert_int_equal(send(near, "q", 1, 0), 1);
	receive(s);
	assert_int_equal(send_as(lab, s, "127.1.0.1", port_of(near)), 0);
	receive(near);
	assert_int_equal(lab_events(lab).count[ZG_E_DENY], 0);
	/* others are neither heard nor answered */
	assert_int_equal(send(far, "q", 1, 0), 1);
	assert_int_equal(lab_events_with(lab, ZG_E_DENY).count[ZG_E_DENY], 1);
	assert_int_equal(recv(s, &byte, 1, 0), -1);
	assert_int_equal(send_as(lab, s, "127.2.0.1", port_of(far)), EPERM);
	/* and only from the port that is served on */
	assert_int_equal(send_as(lab, any, "127.1.0.1", port_of(near)), EPERM);
	assert_int_equal(recv(far, &byte, 1, 0), -1);
	assert_int_equal(recv(near, &byte, 1, 0), -1);
	(void)close(s);
	(void)close(near);
	(void)close(far);
	(void)close(any);
}

/* Being dialled is not dialling: not from the same port either. */
static void test_a_served_port_does_not_dial(void **state ZG_UNUSED)
{
	struct lab *lab = lab_listening(ZG_MODE_ENFORCE);
	struct sink sink = sink_open(false, "127.1.0.1", 0);
	struct endpoint to = endpoint_of("127.1.0.1", sink.port);
	struct act a = do_in(lab, "agent", open_act,
			     (struct act){.type = SOCK_STREAM,
					  .addr = "127.0.0.1",
					  .port = PORT + 5,
					  .to = "127.1.0.1",
					  .to_port = sink.port});

	assert_int_equal(port_of(a.fd), PORT + 5);
	assert_int_equal(a.error, EPERM);
	expect(lab, ZG_E_DENY, ZG_L_CONNECT, ZG_GR_NO_RULE);
	/* nor when the call is made by somebody else: then the packet is judged */
	(void)connect(a.fd, (struct sockaddr *)&to.ss, to.bytes);
	assert_int_equal(sink_drain(&sink), 0);
	expect(lab, ZG_E_DENY, ZG_L_EGRESS, ZG_GR_NO_RULE);
	(void)close(a.fd);
	(void)close(sink.fd);
}

static void test_ports_that_are_not_listed(void **state ZG_UNUSED)
{
	struct lab *lab = lab_listening(ZG_MODE_ENFORCE);
	uint16_t port;
	int s, c;

	assert_int_equal(serve(lab, "agent", SOCK_STREAM, "127.0.0.1", PORT + 10), -EPERM);
	expect(lab, ZG_E_DENY, ZG_L_BIND, ZG_GR_BIND);
	assert_int_equal(serve(lab, "agent", SOCK_DGRAM, "::1", PORT - 1), -EPERM);
	expect(lab, ZG_E_DENY, ZG_L_BIND, ZG_GR_BIND);
	/* listen() alone: the kernel gives it a port */
	s = serve(lab, "agent", SOCK_STREAM, "127.0.0.1", 0);
	assert_true(s >= 0);
	port = port_of(s);
	c = dial_from("127.1.0.1", "127.0.0.1", port, SOCK_STREAM);
	expect(lab, ZG_E_DENY, ZG_L_INGRESS, ZG_GR_INBOUND);
	nobody_came(s);
	(void)close(c);
	(void)close(s);
}

static void test_deny_wins_and_withdrawal(void **state ZG_UNUSED)
{
	struct lab *lab = lab_listening(ZG_MODE_ENFORCE);
	int s = serve(lab, "agent", SOCK_STREAM, "127.0.0.1", PORT);
	int c = dial_from("127.1.0.1", "127.0.0.1", PORT, SOCK_STREAM), other;
	int a = accepted(s);
	char byte;

	talk(c, a);
	apply(lab, ZG_MODE_ENFORCE, true, true);
	other = dial_from("127.1.0.1", "127.0.0.1", PORT, SOCK_STREAM);
	expect(lab, ZG_E_DENY, ZG_L_INGRESS, ZG_GR_RULE_DENY);
	nobody_came(s);
	(void)close(other);
	/* the port is taken away from the connection that is open */
	apply(lab, ZG_MODE_ENFORCE, false, false);
	assert_int_equal(send(c, "x", 1, 0), 1);
	assert_int_equal(recv(a, &byte, 1, MSG_DONTWAIT), -1);
	/* and given back: what waited is sent again */
	apply(lab, ZG_MODE_ENFORCE, true, false);
	assert_int_equal(recv(a, &byte, 1, 0), 1);
	(void)close(a);
	(void)close(c);
	(void)close(s);
}

static void test_audit_mode(void **state ZG_UNUSED)
{
	struct lab *lab = lab_listening(ZG_MODE_AUDIT);
	int s = serve(lab, "agent", SOCK_STREAM, "127.0.0.1", PORT + 20), c, a;

	assert_true(s >= 0);
	expect(lab, ZG_E_WOULD_DENY, ZG_L_BIND, ZG_GR_BIND);
	c = dial_from("127.9.0.1", "127.0.0.1", PORT + 20, SOCK_STREAM);
	a = accepted(s);
	(void)lab_events_with(lab, ZG_E_WOULD_DENY);
	talk(c, a);
	(void)close(a);
	(void)close(c);
	(void)close(s);
}

/* the gateway's port ------------------------------------------------------------------- */

static void set_gateway(struct lab *lab, uint16_t port)
{
	struct zg_listen v4 = {.port = port}, v6 = {.port = port};
	struct zg_err e;

	assert_int_equal(zg_addr_parse(ZG_SLICE("127.0.0.1"), v4.addr), 0);
	assert_int_equal(zg_addr_parse(ZG_SLICE("::1"), v6.addr), 0);
	assert_int_equal(zg_kernel_set_gateway(lab->kernel, &v4, &v6, &e), 0);
}

/* The agent is away, and somebody who is not governed takes its place. */
static void test_nobody_else_is_the_gateway(void **state ZG_UNUSED)
{
	static const struct {
		const char *bound, *dialled;
		bool ours; /* the gateway's own address */
	} rows[] = {
		{"127.0.0.1", "127.0.0.1", true},  {"0.0.0.0", "127.0.0.1", true},
		{"::", "127.0.0.1", true},	   {"::1", "::1", true},
		{"127.0.0.2", "127.0.0.2", false}, {"0.0.0.0", "127.0.0.3", false},
	};
	struct lab *lab = lab_listening(ZG_MODE_ENFORCE);
	struct zg_err e;

	set_gateway(lab, 20550);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char cgroup[16]; /* a cgroup's refusals are told once a second */
		int s, c;

		(void)snprintf(cgroup, sizeof(cgroup), "free%zu", i);
		(void)lab_cgroup(lab, cgroup);
		s = serve(lab, cgroup, SOCK_STREAM, rows[i].bound, 20550);
		c = dial_from(rows[i].dialled, rows[i].dialled, 20550, SOCK_STREAM);

		assert_true(s >= 0);
		if (!rows[i].ours) {
			(void)close(accepted(s));
		} else {
			struct seen seen = lab_events_with(lab, ZG_E_DENY);

			nobody_came(s);
			assert_int_equal(seen.last.reason, ZG_GR_GATEWAY);
			assert_int_equal(seen.last.layer, ZG_L_INGRESS);
			assert_int_equal(seen.last.profile, ZG_PROFILE_NONE);
			assert_int_equal(ntohs(seen.last.port_be), 20550);
			/* as soon as it is the agent's own, it is dialled */
			(void)close(c);
			assert_int_equal(zg_kernel_own_listener(lab->kernel, s, &e), 0);
			if (strcmp(rows[i].bound, rows[i].dialled) == 0) {
				c = dial_from(rows[i].dialled, rows[i].dialled, 20550, SOCK_STREAM);
				(void)close(accepted(s));
			} else {
				c = -1;
			}
		}
		if (c >= 0)
			(void)close(c);
		(void)close(s);
	}
}

/* A port that the profile listens on, and that then became the gateway's. */
static void test_a_listed_port_that_is_the_gateways(void **state ZG_UNUSED)
{
	struct lab *lab = lab_listening(ZG_MODE_AUDIT);

	set_gateway(lab, PORT);
	assert_int_equal(serve(lab, "agent", SOCK_STREAM, "127.0.0.1", PORT), -EPERM);
	expect(lab, ZG_E_DENY, ZG_L_BIND, ZG_GR_GATEWAY);
	assert_int_equal(serve(lab, "agent", SOCK_STREAM, "0.0.0.0", PORT), -EPERM);
	assert_int_equal(serve(lab, "agent", SOCK_STREAM, "::", PORT), -EPERM);
}

static const struct CMUnitTest tests[] = {
	LAB_TEST(test_who_is_named_may_dial),
	LAB_TEST(test_a_listener_of_both_families),
	LAB_TEST(test_a_server_of_datagrams),
	LAB_TEST(test_a_served_port_does_not_dial),
	LAB_TEST(test_ports_that_are_not_listed),
	LAB_TEST(test_deny_wins_and_withdrawal),
	LAB_TEST(test_audit_mode),
	LAB_TEST(test_nobody_else_is_the_gateway),
	LAB_TEST(test_a_listed_port_that_is_the_gateways),
};

LAB_MAIN(tests)
