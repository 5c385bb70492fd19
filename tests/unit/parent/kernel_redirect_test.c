/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel_redirect_test.c - the redirect to the gateway, and whose connection
 * the gateway is told it is.
 */
#include "kernel_lab.h"

#define SERVER_PORT 30080

/* A gateway: two listeners in a cgroup below the attach root, as the parent
 * makes them; an accepted socket belongs to its listener's cgroup. */
struct gateway {
	struct sink v4;
	struct sink v6;
};

static struct gateway gateway_open(struct lab *lab, bool with_v6)
{
	struct zg_listen v4 = {0}, v6 = {0};
	struct gateway g;
	struct zg_err e;

	(void)lab_cgroup(lab, "parent");
	assert_true(lab_enter(lab_path(lab, "parent").text));
	g.v4 = sink_open(false, "127.0.0.1", 0);
	g.v6 = sink_open(false, "::1", 0);
	assert_true(lab_enter(lab_cgroup2_mount()));
	assert_int_equal(zg_addr_parse(ZG_SLICE("127.0.0.1"), v4.addr), 0);
	assert_int_equal(zg_addr_parse(ZG_SLICE("::1"), v6.addr), 0);
	v4.port = g.v4.port;
	v6.port = g.v6.port;
	if (!with_v6)
		v6 = (struct zg_listen){0};
	assert_int_equal(zg_kernel_set_gateway(lab->kernel, &v4, &v6, &e), 0);
	assert_int_equal(zg_kernel_own_listener(lab->kernel, g.v4.fd, &e), 0);
	assert_int_equal(zg_kernel_own_listener(lab->kernel, g.v6.fd, &e), 0);
	return g;
}

static void gateway_close(struct gateway *g)
{
	(void)close(g->v4.fd);
	(void)close(g->v6.fd);
}

/* 127.7.7.7 and ::7 stand for a registered server; nobody listens there. */
static void plan_redirect(struct plan *p)
{
	plan_init(p);
	plan_profile(p, "a", ZG_MODE_ENFORCE);
	plan_prefix(p, "127.7.7.7", 32, 20);
	plan_prefix(p, "2001:db8::7", 128, 20);
	plan_prefix(p, "64:ff9b::", 96, 21);
	plan_prefix(p, "127.0.0.1", 32, 22);
	plan_prefix(p, "::1", 128, 22);
	for (uint32_t identity = 20; identity <= 22; identity++) {
		(void)plan_rule(p, P_A, identity, IPPROTO_TCP, 1, UINT16_MAX, ZG_V_REDIRECT);
		(void)plan_rule(p, P_A, identity, IPPROTO_UDP, 1, UINT16_MAX, ZG_V_REDIRECT);
	}
}

/* What a client child leaves in shared memory, and how it is held there. */
struct client {
	const char *addr;
	uint16_t port;
	int error;
	struct sockaddr_storage peer;
	int hold[2]; /* pipe: the child closes its socket when this ends */
	int done[2];
};

static struct client *client_new(const char *addr, uint16_t port)
{
	struct client *c =
		mmap(NULL, sizeof(*c), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_true(c != MAP_FAILED);
	c->addr = addr;
	c->port = port;
	assert_int_equal(pipe(c->hold), 0);
	assert_int_equal(pipe(c->done), 0);
	return c;
}

static int client_main(void *arg)
{
	struct client *c = arg;
	struct dial d = {.how = TCP_CONNECT, .addr = c->addr, .port = c->port};
	socklen_t bytes = sizeof(c->peer);
	int s = -1;
	char byte;

	(void)close(c->hold[1]);
	c->error = dial_keep(&d, &s);
	if (!c->error && getpeername(s, (struct sockaddr *)&c->peer, &bytes) < 0)
		c->error = errno;
	(void)!write(c->done[1], "d", 1);
	(void)!read(c->hold[0], &byte, 1);
	return 0;
}

static pid_t client_start(struct lab *lab, const char *cgroup, struct client *c)
{
	pid_t pid = lab_start(lab, cgroup, client_main, c);
	char byte;

	assert_int_equal(read(c->done[0], &byte, 1), 1);
	return pid;
}

static void client_end(struct client *c, pid_t pid)
{
	for (int i = 0; i < 2; i++)
		(void)close(c->hold[!i]);
	assert_int_equal(lab_wait(pid), 0);
	for (int i = 0; i < 2; i++)
		(void)close(c->done[i]);
	assert_int_equal(munmap(c, sizeof(*c)), 0);
}

#define NOBODY ENOENT

/* 0, or NOBODY for the kernel's own answer to an option that it does not know. */
static int ask_origin(int fd, struct zg_origin *o, socklen_t bytes)
{
	memset(o, 0xa5, sizeof(*o));
	if (getsockopt(fd, ZG_SOL, ZG_SO_ORIGIN, o, &bytes) == 0)
		return 0;
	return errno == EOPNOTSUPP || errno == ENOPROTOOPT ? NOBODY : errno;
}

static const struct {
	const char *dial; /* what the client dials */
	const char *dst;  /* what the gateway is told */
	const char *peer; /* what getpeername answers */
	bool v6;	  /* which listener accepts it */
	uint8_t family;
} redirects[] = {
	{"127.7.7.7", "127.7.7.7", "127.7.7.7", false, AF_INET},
	{"::ffff:127.7.7.7", "127.7.7.7", "::ffff:127.7.7.7", false, AF_INET6},
	{"2001:db8::7", "2001:db8::7", "2001:db8::7", true, AF_INET6},
	{"64:ff9b::7f07:707", "127.7.7.7", "64:ff9b::7f07:707", true, AF_INET6},
};

static void peer_text(const struct sockaddr_storage *ss, char *out, size_t size)
{
	if (ss->ss_family == AF_INET)
		(void)inet_ntop(AF_INET, &((const struct sockaddr_in *)ss)->sin_addr, out,
				(socklen_t)size);
	else
		(void)inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)ss)->sin6_addr, out,
				(socklen_t)size);
}

static void check_redirect(struct lab *lab, struct gateway *g, size_t i, uint64_t cgroup)
{
	struct client *c = client_new(redirects[i].dial, SERVER_PORT);
	pid_t pid = client_start(lab, "agent/inner", c);
	int fd = sink_accept(redirects[i].v6 ? &g->v6 : &g->v4);
	char text[INET6_ADDRSTRLEN];
	struct zg_origin o;

	assert_int_equal(c->error, 0);
	assert_int_equal(ask_origin(fd, &o, sizeof(o)), 0);
	zg_addr_text(text, sizeof(text), o.dst);
	assert_string_equal(text, redirects[i].dst);
	assert_int_equal(ntohs(o.dst_port_be), SERVER_PORT);
	assert_int_equal(o.transparent, 1);
	assert_int_equal(o.family, redirects[i].family);
	assert_int_equal(o.pid, pid);
	assert_int_equal(o.uid, LAB_UID);
	assert_int_equal(o.gid, LAB_UID);
	assert_int_equal(o.profile, P_A);
	assert_string_equal(o.profile_name, "a");
	assert_true(o.cgroup_id == cgroup);
	assert_true(o.start_ns > 0);
	assert_int_equal(strncmp(o.comm, program_invocation_short_name, 15), 0);
	peer_text(&c->peer, text, sizeof(text));
	assert_string_equal(text, redirects[i].peer);
	assert_int_equal(ntohs(((struct sockaddr_in *)&c->peer)->sin_port), SERVER_PORT);
	/* too small a buffer gets nothing, not a part */
	assert_int_equal(ask_origin(fd, &o, sizeof(o) - 1), NOBODY);
	client_end(c, pid);
	/* when both ends have closed, so has what the client attested */
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	for (int k = 0; k < ARRIVES_MS / 5 && ask_origin(fd, &o, sizeof(o)) == 0; k++)
		(void)poll(NULL, 0, 5);
	assert_int_equal(ask_origin(fd, &o, sizeof(o)), NOBODY);
	(void)close(fd);
}

static void test_redirect(void **state ZG_UNUSED)
{
	struct lab *lab = lab_open();
	struct gateway g = gateway_open(lab, true);
	uint64_t cgroup;
	struct plan p;

	lab_govern(lab, "agent", P_A);
	cgroup = lab_cgroup(lab, "agent/inner");
	plan_redirect(&p);
	lab_apply(lab, &p);
	for (size_t i = 0; i < sizeof(redirects) / sizeof(redirects[0]); i++)
		check_redirect(lab, &g, i, cgroup);
	assert_int_equal(lab_events(lab).count[ZG_E_REDIRECT],
			 sizeof(redirects) / sizeof(redirects[0]));
	gateway_close(&g);
}

static void test_dialling_the_gateway(void **state ZG_UNUSED)
{
	static const char *const dials[] = {"127.0.0.1", "::ffff:127.0.0.1", "0.0.0.0", "::1",
					    "::"};
	struct lab *lab = lab_open();
	struct gateway g = gateway_open(lab, true);
	struct plan p;

	lab_govern(lab, "agent", P_A);
	plan_redirect(&p);
	lab_apply(lab, &p);
	for (size_t i = 0; i < sizeof(dials) / sizeof(dials[0]); i++) {
		const struct sink *at = i < 3 ? &g.v4 : &g.v6;
		struct client *c = client_new(dials[i], at->port);
		pid_t pid = client_start(lab, "agent", c);
		int fd = sink_accept(at);
		struct zg_origin o;

		assert_int_equal(ask_origin(fd, &o, sizeof(o)), 0);
		assert_int_equal(o.transparent, 0);
		assert_int_equal(o.pid, pid);
		assert_int_equal(ntohs(o.dst_port_be), at->port);
		(void)close(fd);
		client_end(c, pid);
	}
	gateway_close(&g);
}

/* Nobody who was not judged has an origin, and nobody inherits one. */
static void test_no_origin_without_a_verdict(void **state ZG_UNUSED)
{
	struct lab *lab = lab_open();
	struct gateway g = gateway_open(lab, true);
	struct zg_origin o;
	struct client *c;
	struct plan p;
	pid_t pid;
	int fd;

	(void)lab_cgroup(lab, "free");
	lab_govern(lab, "agent", P_A);
	plan_redirect(&p);
	lab_apply(lab, &p);
	c = client_new("127.0.0.1", g.v4.port);
	pid = client_start(lab, "free", c);
	fd = sink_accept(&g.v4);
	assert_int_equal(ask_origin(fd, &o, sizeof(o)), NOBODY);
	(void)close(fd);
	client_end(c, pid);
	gateway_close(&g);
}

struct handed_on {
	int fd;
	const char *addr;
	uint16_t port;
};

static int connect_handed_on(void *arg)
{
	const struct handed_on *h = arg;
	struct endpoint to = endpoint_of(h->addr, h->port);

	return connect(h->fd, (struct sockaddr *)&to.ss, to.bytes) < 0 ? errno : 0;
}

/* A governed task's failed connect() leaves nothing on the socket for the
 * ungoverned task that it hands the socket to. */
static void test_origin_does_not_stick_to_a_socket(void **state ZG_UNUSED)
{
	struct lab *lab = lab_open();
	struct gateway g = gateway_open(lab, true);
	struct handed_on h = {.addr = "127.7.7.7", .port = SERVER_PORT};
	struct zg_origin o;
	struct zg_err e;
	struct plan p;
	int fd;

	(void)lab_cgroup(lab, "free");
	lab_govern(lab, "agent", P_A);
	plan_redirect(&p);
	lab_apply(lab, &p);
	assert_true(lab_enter(lab_path(lab, "free").text));
	h.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(lab_enter(lab_cgroup2_mount()));
	(void)close(g.v4.fd); /* the gateway is away: refused */
	assert_int_equal(lab_run(lab, "agent", connect_handed_on, &h), ECONNREFUSED);
	assert_true(lab_enter(lab_path(lab, "parent").text));
	g.v4 = sink_open(false, "127.0.0.1", g.v4.port);
	assert_int_equal(zg_kernel_own_listener(lab->kernel, g.v4.fd, &e), 0);
	assert_true(lab_enter(lab_cgroup2_mount()));
	h.addr = "127.0.0.1";
	h.port = g.v4.port;
	assert_int_equal(lab_run(lab, "free", connect_handed_on, &h), 0);
	fd = sink_accept(&g.v4);
	assert_int_equal(ask_origin(fd, &o, sizeof(o)), NOBODY);
	(void)close(fd);
	(void)close(h.fd);
	gateway_close(&g);
}

static void test_redirect_fails_closed(void **state ZG_UNUSED)
{
	struct dial tcp4 = {.how = TCP_CONNECT, .addr = "127.7.7.7", .port = SERVER_PORT};
	struct dial tcp6 = {.how = TCP_CONNECT, .addr = "2001:db8::7", .port = SERVER_PORT};
	struct dial udp4 = {.how = UDP_SENDTO, .addr = "127.7.7.7", .port = SERVER_PORT};
	struct dial udp_connected = {.how = UDP_CONNECT, .addr = "127.7.7.7", .port = 1};
	struct lab *lab = lab_open();
	struct gateway g;
	struct plan p;
	pid_t pid;

	lab_govern(lab, "agent", P_A);
	plan_redirect(&p);
	lab_apply(lab, &p);
	/* no gateway yet */
	assert_int_equal(lab_run(lab, "agent", dial, &tcp4), EPERM);
	assert_int_equal(lab_events(lab).last.reason, ZG_GR_NO_GATEWAY);
	g = gateway_open(lab, false);
	/* none of that family, or no such thing for datagrams */
	assert_int_equal(lab_run(lab, "agent", dial, &tcp6), EPERM);
	assert_int_equal(lab_events(lab).last.reason, ZG_GR_NO_GATEWAY);
	assert_int_equal(lab_run(lab, "agent", dial, &udp4), EPERM);
	assert_int_equal(lab_events(lab).last.reason, ZG_GR_NO_GATEWAY);
	assert_int_equal(lab_run(lab, "agent", dial, &udp_connected), EPERM);
	assert_int_equal(lab_events(lab).last.reason, ZG_GR_NO_GATEWAY);
	/* its address means another machine there */
	pid = fork();
	if (pid == 0) {
		if (unshare(CLONE_NEWNET) < 0)
			_exit(122);
		lab_up_loopback();
		(void)sink_open(false, "127.0.0.1", g.v4.port);
		lab_join(lab, "agent");
		lab_drop();
		_exit(dial(&tcp4));
	}
	assert_int_equal(lab_wait(pid), EPERM);
	assert_int_equal(lab_events(lab).last.reason, ZG_GR_NETNS);
	assert_int_equal(sink_drain(&g.v4), 0);
	gateway_close(&g);
}

/* Everybody else's options are as they were, larger than a page too. */
static void test_other_options_are_untouched(void **state ZG_UNUSED)
{
	struct lab *lab = lab_open();
	char large[3 * 4096];
	socklen_t bytes = sizeof(large);
	int s, type;

	(void)lab_cgroup(lab, "free");
	assert_true(lab_enter(lab_path(lab, "free").text));
	s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(getsockopt(s, SOL_SOCKET, SO_TYPE, large, &bytes), 0);
	assert_int_equal(bytes, sizeof(int));
	memcpy(&type, large, sizeof(type));
	assert_int_equal(type, SOCK_STREAM);
	bytes = sizeof(large);
	assert_int_equal(getsockopt(s, ZG_SOL + 1, ZG_SO_ORIGIN, large, &bytes), -1);
	assert_true(errno == EOPNOTSUPP || errno == ENOPROTOOPT);
	assert_true(lab_enter(lab_cgroup2_mount()));
	(void)close(s);
}

static const struct CMUnitTest tests[] = {
	LAB_TEST(test_redirect),
	LAB_TEST(test_dialling_the_gateway),
	LAB_TEST(test_no_origin_without_a_verdict),
	LAB_TEST(test_origin_does_not_stick_to_a_socket),
	LAB_TEST(test_redirect_fails_closed),
	LAB_TEST(test_other_options_are_untouched),
};

LAB_MAIN(tests)
