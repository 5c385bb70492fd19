/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel_packet_test.c - what no system call is asked about: connections older
 * than their governing, withdrawn rules, listeners, ways around the gateway.
 * Everything is asserted where it would arrive; each way is shown to work for
 * whoever is not governed. And what is allowed must arrive whole.
 */
#include "kernel_task.h"

#include <netinet/tcp.h>
#include <time.h>

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
	bytes_expect(fd, 1);
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
		bytes_expect(fd, 1);
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
	bytes_expect(fd, 1);
	assert_int_equal(lab_events(lab).count[ZG_E_DENY], 0);
	allow_nothing(lab);
	assert_int_equal(task_do(t, do_send), 0);
	assert_int_equal(bytes_at(fd), 0);
	assert_true(lab_events(lab).count[ZG_E_DENY] >= 1);
	allow_port(lab, "127.0.0.1", s.port);
	bytes_expect(fd, 1);
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
	sink_expect(&s, 1);
	allow_nothing(lab);
	assert_int_equal(task_do(t, do_send), EPERM);
	assert_int_equal(sink_drain(&s), 0);
	allow_port(lab, "127.0.0.1", s.port);
	assert_int_equal(task_do(t, do_send), 0);
	sink_expect(&s, 1);
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
	bytes_expect(fd, 10);
	seen = lab_events(lab);
	assert_int_equal(seen.count[ZG_E_WOULD_DENY], 1);
	assert_int_equal(seen.count[ZG_E_DENY], 0);
	(void)close(fd);
	(void)close(s.fd);
	task_end(t);
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
		bytes_expect(fd, 1);
		allow_nothing(lab);
		lab_govern(lab, "agent", P_A);
		assert_int_equal(task_do(t, do_send), 0);
		assert_int_equal(bytes_at(fd), 0);
		(void)close(fd);
	}
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
		if (!governed) {
			struct pollfd p = {.fd = fd, .events = POLLOUT};

			assert_int_equal(poll(&p, 1, ARRIVES_MS), 1);
		}
		r = connect(fd, (struct sockaddr *)&to.ss, to.bytes) < 0 ? errno : 0;
		assert_int_equal(r, governed ? EALREADY : 0);
		do /* its end of what is open here may need a moment */
			r = task_do(t, do_accept);
		while (!governed && r == EAGAIN);
		assert_int_equal(r, governed ? EAGAIN : 0);
		seen = governed ? lab_events_with(lab, ZG_E_DENY) : lab_events(lab);
		if (!governed)
			assert_int_equal(seen.count[ZG_E_DENY], 0);
		if (governed) {
			assert_int_equal(seen.last.layer, ZG_L_INGRESS);
			assert_int_equal(seen.last.reason, ZG_GR_INBOUND);
		}
		(void)close(fd);
		task_end(t);
		assert_int_equal(lab_teardown(NULL), 0);
	}
}

static int do_await(struct task *t)
{
	struct pollfd p = {.fd = t->fd, .events = POLLIN};

	return poll(&p, 1, ARRIVES_MS) == 1 ? do_receive(t) : ETIMEDOUT;
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
		sink_expect(&server, 1);
		(void)sendto(other.fd, "x", 1, 0, (struct sockaddr *)&to.ss, to.bytes);
		assert_int_equal(lab_events_with(lab, ZG_E_DENY).last.layer, ZG_L_INGRESS);
		assert_int_equal(task_do(t, do_receive), EAGAIN);
		assert_int_equal(sendto(server.fd, "x", 1, 0, (struct sockaddr *)&to.ss, to.bytes),
				 1);
		assert_int_equal(task_do(t, do_await), 0);
		(void)close(server.fd);
		(void)close(other.fd);
		task_end(t);
		assert_int_equal(lab_teardown(NULL), 0);
	}
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
	bytes_expect(fd, 1);
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
	t->other = sink_accept(&s);
	wait_for(t->other);
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
		fd = sink_accept(&s);
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
		wait_for(s.fd);
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
	LAB_TEST(test_mptcp_connection),
	LAB_TEST(test_listen_without_bind),
	LAB_TEST(test_datagrams_in),
	LAB_TEST(test_around_the_gateway),
	LAB_TEST(test_the_gateways_address_elsewhere),
	LAB_TEST(test_bulk_transfer),
	LAB_TEST(test_large_datagrams),
};

LAB_MAIN(tests)
