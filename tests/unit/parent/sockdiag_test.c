/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sockdiag_test.c - real sockets of processes in scratch cgroups, seen and
 * ended; both ends notice, and nobody else's do.
 */
#include <poll.h>

#include "kernel_lab.h"
#include "sockdiag.h"

/* A child in a cgroup that opens a connection, says so, and waits for the
 * verdict of its next read: 0 = the peer closed it, else errno. */
struct holder {
	pid_t pid;
	int told; /* one byte when it is connected; then the errno of its read */
	struct sink *sink;
	int peer; /* our end of a TCP connection */
};

struct hold {
	struct dial dial;
	int tell;
};

static int hold(void *arg)
{
	struct hold *h = arg;
	char byte = 0;
	int s = -1, r = dial_keep(&h->dial, &s);

	if (write(h->tell, "c", 1) != 1 || r)
		return 1;
	r = recv(s, &byte, 1, 0) < 0 ? errno : 0;
	byte = (char)r;
	return write(h->tell, &byte, 1) == 1 ? 0 : 1;
}

static struct holder hold_open(struct lab *lab, const char *cgroup, struct sink *sink,
			       const char *addr)
{
	struct holder h = {.sink = sink, .peer = -1};
	struct hold ask = {.dial = {.how = sink->udp ? UDP_CONNECT : TCP_CONNECT,
				    .addr = addr,
				    .port = sink->port}};
	int pipe_fd[2];
	char byte;

	assert_int_equal(pipe2(pipe_fd, O_CLOEXEC), 0);
	ask.tell = pipe_fd[1];
	h.pid = lab_start(lab, cgroup, hold, &ask);
	(void)close(pipe_fd[1]);
	h.told = pipe_fd[0];
	assert_int_equal(read(h.told, &byte, 1), 1);
	if (!sink->udp) {
		h.peer = sink_accept(sink);
		assert_int_equal(recv(h.peer, &byte, 1, 0), 1);
	}
	return h;
}

/* errno of the holder's read, or -1 while it still waits. */
static int holder_error(struct holder *h, int wait_ms)
{
	struct pollfd p = {.fd = h->told, .events = POLLIN};
	unsigned char byte;

	if (poll(&p, 1, wait_ms) == 0)
		return -1;
	assert_int_equal(read(h->told, &byte, 1), 1);
	return byte;
}

static void hold_close(struct holder *h)
{
	(void)kill(h->pid, SIGKILL);
	(void)waitpid(h->pid, NULL, 0);
	(void)close(h->told);
	if (h->peer >= 0)
		(void)close(h->peer);
}

struct found {
	struct zg_socket s[64];
	size_t count;
};

static int collect(const struct zg_socket *s, void *arg)
{
	struct found *f = arg;

	assert_true(f->count < 64);
	f->s[f->count++] = *s;
	return 0;
}

static struct found sockets_of(struct zg_sockdiag *d, uint64_t cgroup_id)
{
	struct found f = {.count = 0};

	assert_int_equal(zg_sockdiag_each(d, cgroup_id, collect, &f), 0);
	return f;
}

static struct zg_sockdiag *opened(void)
{
	struct zg_sockdiag *d = NULL;

	assert_int_equal(zg_sockdiag_open(&d), 0);
	return d;
}

static const struct {
	bool udp;
	const char *addr;
} kinds[] = {{false, "127.0.0.1"}, {false, "::1"}, {true, "127.0.0.1"}, {true, "::1"}};

static void test_a_cgroups_sockets_are_seen_and_no_others(void **state ZG_UNUSED)
{
	struct lab *lab = lab_open();
	uint64_t mine = lab_cgroup(lab, "mine"), other = lab_cgroup(lab, "other");
	struct zg_sockdiag *d = opened();

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct sink sink = sink_open(kinds[i].udp, kinds[i].addr, 0);
		struct holder h = hold_open(lab, "mine", &sink, kinds[i].addr);
		struct found f = sockets_of(d, mine);
		uint8_t addr[16];

		assert_int_equal(zg_addr_parse(zg_slice_str(kinds[i].addr), addr), 0);
		assert_int_equal(f.count, 1);
		assert_true(f.s[0].connected);
		assert_false(f.s[0].listening);
		assert_int_equal(f.s[0].cgroup_id, mine);
		assert_int_equal(f.s[0].uid, LAB_UID);
		assert_int_equal(f.s[0].proto, kinds[i].udp ? IPPROTO_UDP : IPPROTO_TCP);
		assert_int_equal(f.s[0].remote_port, sink.port);
		assert_memory_equal(f.s[0].remote, addr, sizeof(addr));
		assert_memory_equal(f.s[0].local, addr, sizeof(addr));
		assert_int_equal(sockets_of(d, other).count, 0);
		assert_true(sockets_of(d, 0).count >= 2); /* the sink is nobody's here */
		hold_close(&h);
		(void)close(sink.fd);
	}
	zg_sockdiag_close(d);
}

static void test_both_ends_notice_the_end(void **state ZG_UNUSED)
{
	struct lab *lab = lab_open();
	uint64_t mine = lab_cgroup(lab, "mine");
	struct zg_sockdiag *d = opened();

	(void)lab_cgroup(lab, "other");
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct sink sink = sink_open(kinds[i].udp, kinds[i].addr, 0);
		struct holder h = hold_open(lab, "mine", &sink, kinds[i].addr);
		struct holder spared = hold_open(lab, "other", &sink, kinds[i].addr);
		struct found f = sockets_of(d, mine);
		char byte;

		assert_int_equal(zg_sockdiag_destroy(d, &f.s[0]), 0);
		assert_int_equal(holder_error(&h, ARRIVES_MS), ECONNABORTED);
		if (h.peer >= 0) {
			assert_int_equal(recv(h.peer, &byte, 1, 0), -1);
			assert_int_equal(errno, ECONNRESET);
			assert_int_equal(send(spared.peer, "y", 1, MSG_NOSIGNAL), 1);
			assert_int_equal(holder_error(&spared, ARRIVES_MS), 0);
		} else {
			assert_int_equal(holder_error(&spared, 50), -1);
		}
		/* it is gone, or in UDP's case has no peer any more */
		assert_int_equal(zg_sockdiag_destroy(d, &f.s[0]), -ENOENT);
		hold_close(&h);
		hold_close(&spared);
		(void)close(sink.fd);
	}
	zg_sockdiag_close(d);
}

/* The gate lets nothing of it pass any more, but for the reset: the other end
 * learns that it is over, and has not received a byte more. */
static void test_the_peer_of_a_withdrawn_connection_learns_of_its_end(void **state ZG_UNUSED)
{
	struct lab *lab = lab_open();
	uint64_t mine = lab_cgroup(lab, "mine");
	struct zg_sockdiag *d = opened();
	struct plan open, closed;

	plan_init(&open);
	plan_profile(&open, "a", ZG_MODE_ENFORCE);
	plan_prefix(&open, "127.0.0.0", 8, 10);
	plan_prefix(&open, "::1", 128, 10);
	(void)plan_rule(&open, P_A, 10, IPPROTO_TCP, 1, UINT16_MAX, ZG_V_ALLOW);
	plan_init(&closed);
	plan_profile(&closed, "a", ZG_MODE_ENFORCE);
	lab_govern(lab, "mine", P_A);
	for (size_t i = 0; i < 2; i++) { /* TCP over both families */
		struct sink sink = sink_open(false, kinds[i].addr, 0);
		struct holder h;
		struct found f;
		char byte;

		lab_apply(lab, &open);
		h = hold_open(lab, "mine", &sink, kinds[i].addr);
		f = sockets_of(d, mine);
		assert_int_equal(f.count, 1);
		lab_apply(lab, &closed);
		assert_int_equal(zg_sockdiag_destroy(d, &f.s[0]), 0);
		assert_int_equal(holder_error(&h, ARRIVES_MS), ECONNABORTED);
		assert_int_equal(recv(h.peer, &byte, 1, 0), -1);
		assert_int_equal(errno, ECONNRESET);
		hold_close(&h);
		(void)close(sink.fd);
	}
	zg_sockdiag_close(d);
}

static void test_a_flow_ends_by_its_peer(void **state ZG_UNUSED)
{
	struct lab *lab = lab_open();
	uint64_t mine = lab_cgroup(lab, "mine");
	struct sink sink = sink_open(false, "127.0.0.1", 0),
		    next = sink_open(false, "127.0.0.1", 0);
	struct holder a = hold_open(lab, "mine", &sink, "127.0.0.1");
	struct holder b = hold_open(lab, "mine", &sink, "127.0.0.1");
	struct holder spared = hold_open(lab, "mine", &next, "127.0.0.1");
	struct zg_sockdiag *d = opened();
	uint8_t addr[16];

	assert_int_equal(zg_addr_parse(ZG_SLICE("127.0.0.1"), addr), 0);
	assert_int_equal(zg_sockdiag_destroy_flow(d, mine, IPPROTO_UDP, addr, sink.port), 0);
	assert_int_equal(zg_sockdiag_destroy_flow(d, mine, IPPROTO_TCP, addr, sink.port), 2);
	assert_int_equal(holder_error(&a, ARRIVES_MS), ECONNABORTED);
	assert_int_equal(holder_error(&b, ARRIVES_MS), ECONNABORTED);
	assert_int_equal(zg_sockdiag_destroy_flow(d, mine, IPPROTO_TCP, addr, sink.port), 0);
	assert_int_equal(send(spared.peer, "y", 1, MSG_NOSIGNAL), 1);
	assert_int_equal(holder_error(&spared, ARRIVES_MS), 0);
	hold_close(&a);
	hold_close(&b);
	hold_close(&spared);
	(void)close(sink.fd);
	(void)close(next.fd);
	zg_sockdiag_close(d);
}

static int stop_at_once(const struct zg_socket *s ZG_UNUSED, void *arg)
{
	++*(int *)arg;
	return -ECANCELED;
}

static void test_a_walk_that_is_given_up_leaves_nothing_behind(void **state ZG_UNUSED)
{
	struct lab *lab = lab_open();
	uint64_t mine = lab_cgroup(lab, "mine");
	struct sink sink = sink_open(false, "127.0.0.1", 0);
	struct holder a = hold_open(lab, "mine", &sink, "127.0.0.1");
	struct holder b = hold_open(lab, "mine", &sink, "127.0.0.1");
	struct zg_sockdiag *d = opened();
	int calls = 0;

	assert_int_equal(zg_sockdiag_each(d, mine, stop_at_once, &calls), -ECANCELED);
	assert_int_equal(calls, 1);
	assert_int_equal(sockets_of(d, mine).count, 2);
	hold_close(&a);
	hold_close(&b);
	(void)close(sink.fd);
	zg_sockdiag_close(d);
}

/* In another network namespace nothing is seen: what happens there is for the
 * packet layer to judge. */
static int sees_nothing(void *arg)
{
	struct zg_sockdiag *d = NULL;
	struct found f = {.count = 0};

	if (zg_sockdiag_open(&d) < 0 || zg_sockdiag_each(d, *(uint64_t *)arg, collect, &f) < 0)
		return 1;
	zg_sockdiag_close(d);
	return f.count != 0;
}

static void test_other_namespaces_are_out_of_sight(void **state ZG_UNUSED)
{
	struct lab *lab = lab_open();
	uint64_t mine = lab_cgroup(lab, "mine");
	struct sink sink = sink_open(false, "127.0.0.1", 0);
	struct holder h = hold_open(lab, "mine", &sink, "127.0.0.1");
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(unshare(CLONE_NEWNET) < 0 ? 2 : sees_nothing(&mine));
	assert_int_equal(lab_wait(pid), 0);
	hold_close(&h);
	(void)close(sink.fd);
}

static const struct CMUnitTest tests[] = {
	LAB_TEST(test_a_cgroups_sockets_are_seen_and_no_others),
	LAB_TEST(test_both_ends_notice_the_end),
	LAB_TEST(test_the_peer_of_a_withdrawn_connection_learns_of_its_end),
	LAB_TEST(test_a_flow_ends_by_its_peer),
	LAB_TEST(test_a_walk_that_is_given_up_leaves_nothing_behind),
	LAB_TEST(test_other_namespaces_are_out_of_sight),
};

LAB_MAIN(tests)
