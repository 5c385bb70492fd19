/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel_names_test.c - DNS goes to the profile's own resolver and seems to come
 * from whoever was asked; what a name stands for is open for its time, and a
 * flow that is open for longer.
 */
#include "kernel_lab.h"

#include <sched.h>
#include <time.h>

#define DNS_PORT 53
#define SERVER	 "192.0.2.53"
#define SERVER6	 "2001:db8::53"

/* The resolver's sockets, of one profile, as the parent makes them. */
struct dns {
	struct sink udp4, udp6, tcp4;
	struct zg_gate_dns port[ZG_PROFILES_MAX];
	struct zg_name_key key[4];
	struct zg_name_val val[4];
	struct zg_gate_names names;
};

static struct dns dns;

static uint64_t boot_ns(void)
{
	struct timespec t;

	assert_int_equal(clock_gettime(CLOCK_BOOTTIME, &t), 0);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void dns_open(struct lab *lab)
{
	struct zg_listen none = {0};
	struct zg_err e;

	dns = (struct dns){0};
	(void)lab_cgroup(lab, "parent");
	assert_true(lab_enter(lab_path(lab, "parent").text));
	dns.udp4 = sink_open(true, "127.0.0.1", 0);
	dns.tcp4 = sink_open(false, "127.0.0.1", dns.udp4.port);
	dns.udp6 = sink_open(true, "::1", 0);
	assert_true(lab_enter(lab_cgroup2_mount()));
	assert_int_equal(zg_kernel_set_gateway(lab->kernel, &none, &none, &e), 0);
	dns.port[P_A] = (struct zg_gate_dns){dns.udp4.port, dns.udp6.port};
	dns.names = (struct zg_gate_names){dns.port, dns.key, dns.val, 0};
}

static void dns_close(void)
{
	(void)close(dns.udp4.fd);
	(void)close(dns.udp6.fd);
	(void)close(dns.tcp4.fd);
}

static void plan_names(struct plan *p)
{
	plan_init(p);
	plan_profile(p, "a", ZG_MODE_ENFORCE);
	plan_profile(p, "b", ZG_MODE_ENFORCE);
}

static void apply(struct lab *lab, struct plan *p)
{
	zg_kernel_set_names(lab->kernel, &dns.names);
	lab_apply(lab, p);
}

static struct zg_name_key key_of(uint32_t profile, const char *addr, uint8_t proto)
{
	struct zg_name_key key = {.profile = profile, .proto = proto};

	assert_int_equal(zg_addr_parse(zg_slice_str(addr), key.addr), 0);
	return key;
}

static struct zg_name_val row_of(uint16_t port, int64_t sec)
{
	struct zg_name_val v = {.count = 1};

	v.row[0] = (struct zg_name_row){.expires_ns = boot_ns() + (uint64_t)(sec * 1000000000),
					.lo = port,
					.hi = port,
					.verdict = ZG_V_ALLOW};
	return v;
}

static struct lab *open_lab(struct plan *p)
{
	struct lab *lab = lab_open();

	lab_govern(lab, "a", P_A);
	lab_govern(lab, "b", P_B);
	dns_open(lab);
	plan_names(p);
	apply(lab, p);
	return lab;
}

/* views ----------------------------------------------------------------------- */

struct ask {
	const char *server;
	bool connected;
};

static bool is(const struct sockaddr_storage *ss, const char *addr, uint16_t port)
{
	struct endpoint want = endpoint_of(addr, port);

	if (ss->ss_family == AF_INET6)
		return memcmp(&((const struct sockaddr_in6 *)ss)->sin6_addr,
			      &((struct sockaddr_in6 *)&want.ss)->sin6_addr, 16) == 0 &&
		       ((const struct sockaddr_in6 *)ss)->sin6_port == htons(port);
	return ((const struct sockaddr_in *)ss)->sin_addr.s_addr ==
		       ((struct sockaddr_in *)&want.ss)->sin_addr.s_addr &&
	       ((const struct sockaddr_in *)ss)->sin_port == htons(port);
}

/* Ask, wait for the echo, and look where everything seems to be. */
static int see(void *arg)
{
	const struct ask *a = arg;
	struct endpoint to = endpoint_of(a->server, DNS_PORT);
	int s = socket(to.ss.ss_family, SOCK_DGRAM, 0);
	struct sockaddr_storage from, peer;
	socklen_t len = sizeof(from);
	char byte;

	if (a->connected) {
		if (connect(s, (struct sockaddr *)&to.ss, to.bytes) < 0 || send(s, "q", 1, 0) != 1)
			return 1;
	} else if (sendto(s, "q", 1, 0, (struct sockaddr *)&to.ss, to.bytes) != 1) {
		return 2;
	}
	if (recvfrom(s, &byte, 1, 0, (struct sockaddr *)&from, &len) != 1)
		return 3;
	if (!is(&from, a->server, DNS_PORT))
		return 4;
	len = sizeof(peer);
	if (a->connected &&
	    (getpeername(s, (struct sockaddr *)&peer, &len) < 0 || !is(&peer, a->server, DNS_PORT)))
		return 5;
	return 0;
}

/* One datagram back to whoever sent it. */
static void echo(struct sink *s)
{
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	char byte;

	wait_for(s->fd);
	assert_int_equal(fcntl(s->fd, F_SETFL, 0), 0);
	assert_int_equal(recvfrom(s->fd, &byte, 1, 0, (struct sockaddr *)&from, &len), 1);
	assert_int_equal(sendto(s->fd, &byte, 1, 0, (struct sockaddr *)&from, len), 1);
	assert_int_equal(fcntl(s->fd, F_SETFL, O_NONBLOCK), 0);
}

static void the_resolver_answers_in_the_name_of_whoever_was_asked(void **state)
{
	static struct ask asks[] = {{SERVER, false},
				    {SERVER, true},
				    {SERVER6, false},
				    {SERVER6, true},
				    {"127.0.0.53", true}};
	struct plan p;
	struct lab *lab = open_lab(&p);

	(void)state;
	for (size_t i = 0; i < sizeof(asks) / sizeof(asks[0]); i++) {
		pid_t pid = lab_start(lab, "a", see, &asks[i]);

		echo(strchr(asks[i].server, ':') ? &dns.udp6 : &dns.udp4);
		if (lab_wait(pid) != 0)
			fail_msg("%s %s", asks[i].server, asks[i].connected ? "connected" : "");
	}
	dns_close();
}

static void tcp_goes_there_too(void **state)
{
	struct dial d = {.how = TCP_CONNECT, .addr = SERVER, .port = DNS_PORT};
	struct plan p;
	struct lab *lab = open_lab(&p);

	(void)state;
	assert_int_equal(lab_run(lab, "a", dial, &d), 0);
	sink_expect(&dns.tcp4, 1);
	dns_close();
}

static void only_its_own_profile_reaches_a_resolver(void **state)
{
	struct dial direct = {.how = UDP_SENDTO, .addr = "127.0.0.1", .port = 0};
	struct dial asked = {.how = UDP_SENDTO, .addr = SERVER, .port = DNS_PORT};
	struct plan p;
	struct lab *lab = open_lab(&p);

	(void)state;
	direct.port = dns.udp4.port;
	assert_int_equal(lab_run(lab, "b", dial, &direct), EPERM);
	assert_int_equal(lab_run(lab, "b", dial, &asked), EPERM);
	assert_int_equal(lab_events(lab).last.reason, ZG_GR_RESOLVER);
	assert_int_equal(sink_drain(&dns.udp4), 0);
	dns_close();
}

/* Not even by a rule for all of loopback: it would be asked in another's name. */
static void no_rule_reaches_another_profiles_resolver(void **state)
{
	struct dial udp = {.how = UDP_SENDTO, .addr = "127.0.0.1", .port = 0};
	struct dial tcp = {.how = TCP_CONNECT, .addr = "127.0.0.1", .port = 0};
	struct dial udp6 = {.how = UDP_CONNECT, .addr = "::1", .port = 0};
	struct sink other;
	struct plan p;
	struct lab *lab = open_lab(&p);

	(void)state;
	plan_prefix(&p, "127.0.0.0", 8, 9);
	plan_prefix(&p, "::1", 128, 9);
	(void)plan_rule(&p, P_B, 9, IPPROTO_UDP, 1, UINT16_MAX, ZG_V_ALLOW);
	(void)plan_rule(&p, P_B, 9, IPPROTO_TCP, 1, UINT16_MAX, ZG_V_ALLOW);
	apply(lab, &p);
	udp.port = tcp.port = dns.udp4.port;
	udp6.port = dns.udp6.port;
	assert_int_equal(lab_run(lab, "b", dial, &udp), EPERM);
	assert_int_equal(lab_events(lab).last.reason, ZG_GR_RESOLVER);
	assert_int_equal(lab_run(lab, "b", dial, &udp), EPERM);
	assert_int_equal(lab_run(lab, "b", dial, &tcp), EPERM);
	assert_int_equal(lab_run(lab, "b", dial, &udp6), EPERM);
	assert_int_equal(sink_drain(&dns.udp4), 0);
	assert_int_equal(sink_drain(&dns.tcp4), 0);
	assert_int_equal(sink_drain(&dns.udp6), 0);
	/* its own profile's still answers, and other ports are what the rule says */
	assert_int_equal(lab_run(lab, "a", dial, &udp), 0);
	sink_expect(&dns.udp4, 1);
	other = sink_open(true, "127.0.0.1", 0);
	udp.port = other.port;
	assert_int_equal(lab_run(lab, "b", dial, &udp), 0);
	sink_expect(&other, 1);
	(void)close(other.fd);
	dns_close();
}

/* An explicit rule for port 53 holds only where there are no names. */
static void names_win_over_a_rule_for_dns(void **state)
{
	struct dial d = {.how = UDP_SENDTO, .addr = "127.0.0.53", .port = DNS_PORT};
	struct sink other;
	struct plan p;
	struct lab *lab = open_lab(&p);

	(void)state;
	plan_prefix(&p, "127.0.0.53", 32, 9);
	(void)plan_rule(&p, P_A, 9, IPPROTO_UDP, 53, 53, ZG_V_ALLOW);
	(void)plan_rule(&p, P_B, 9, IPPROTO_UDP, 53, 53, ZG_V_ALLOW);
	apply(lab, &p);
	other = sink_open(true, "127.0.0.53", DNS_PORT);
	assert_int_equal(lab_run(lab, "a", dial, &d), 0);
	sink_expect(&dns.udp4, 1);
	assert_int_equal(sink_drain(&other), 0);
	assert_int_equal(lab_run(lab, "b", dial, &d), 0);
	sink_expect(&other, 1);
	(void)close(other.fd);
	dns_close();
}

static int dial_elsewhere(void *arg)
{
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return 0xff;
	return dial(arg);
}

static void another_network_namespace_is_refused(void **state)
{
	struct dial d = {.how = UDP_SENDTO, .addr = SERVER, .port = DNS_PORT};
	struct plan p;
	struct lab *lab = open_lab(&p);
	int answer = lab_run(lab, "a", dial_elsewhere, &d);

	(void)state;
	if (answer == 0xff)
		skip(); /* no user namespaces for users here */
	assert_int_equal(answer, EPERM);
	assert_int_equal(lab_events(lab).last.reason, ZG_GR_NETNS);
	dns_close();
}

/* what names open --------------------------------------------------------------- */

static void learned_addresses_open_and_close(void **state)
{
	struct sink s = sink_open(false, "127.0.0.20", 0);
	struct zg_name_key key = key_of(P_A, "127.0.0.20", IPPROTO_TCP);
	struct dial d = {.how = TCP_CONNECT, .addr = "127.0.0.20", .port = s.port};
	struct zg_name_val v;
	struct plan p;
	struct lab *lab;

	(void)state;
	(void)close(s.fd);
	lab = open_lab(&p); /* a namespace of its own: the sink must be in it */
	s = sink_open(false, "127.0.0.20", s.port);
	assert_int_equal(lab_run(lab, "a", dial, &d), EPERM);
	v = row_of(s.port, 60);
	assert_int_equal(zg_kernel_learn(lab->kernel, &key, &v), 0);
	(void)lab_events(lab);
	assert_int_equal(lab_run(lab, "a", dial, &d), 0);
	assert_int_equal(lab_events(lab).count[ZG_E_NAME], 1);
	assert_int_equal(lab_run(lab, "b", dial, &d), EPERM);
	d.how = UDP_SENDTO;
	assert_int_equal(lab_run(lab, "a", dial, &d), EPERM);
	d.how = TCP_CONNECT;
	v = row_of(s.port, -1);
	assert_int_equal(zg_kernel_learn(lab->kernel, &key, &v), 0);
	assert_int_equal(lab_run(lab, "a", dial, &d), EPERM);
	v = row_of(s.port + 1, 60);
	assert_int_equal(zg_kernel_learn(lab->kernel, &key, &v), 0);
	assert_int_equal(lab_run(lab, "a", dial, &d), EPERM);
	assert_int_equal(zg_kernel_unlearn(lab->kernel, &key), 0);
	assert_int_equal(zg_kernel_unlearn(lab->kernel, &key), 0);
	sink_expect(&s, 1);
	(void)close(s.fd);
	dns_close();
}

static void a_deny_rule_wins_over_a_name(void **state)
{
	struct dial d = {.how = TCP_CONNECT, .addr = "127.0.0.21", .port = 30090};
	struct zg_name_key key = key_of(P_A, "127.0.0.21", IPPROTO_TCP);
	struct zg_name_val v = row_of(30090, 60);
	struct sink s;
	struct plan p;
	struct lab *lab = open_lab(&p);

	(void)state;
	s = sink_open(false, "127.0.0.21", 30090);
	plan_prefix(&p, "127.0.0.21", 32, 11);
	(void)plan_rule(&p, P_A, 11, IPPROTO_TCP, 1, UINT16_MAX, ZG_V_DENY);
	apply(lab, &p);
	assert_int_equal(zg_kernel_learn(lab->kernel, &key, &v), 0);
	assert_int_equal(lab_run(lab, "a", dial, &d), EPERM);
	assert_int_equal(lab_events(lab).last.reason, ZG_GR_RULE_DENY);
	assert_int_equal(sink_drain(&s), 0);
	(void)close(s.fd);
	dns_close();
}

struct held {
	struct dial dial;
	int ready, go;
	int patience; /* seconds for an answer */
};

/* Open a connection, wait, then say something: 0, or errno after a while. */
static int hold(void *arg)
{
	struct held *h = arg;
	struct timeval limit = {.tv_sec = h->patience};
	int s = -1, rc = dial_keep(&h->dial, &s);
	char byte = 0;

	(void)!write(h->ready, &byte, 1);
	if (rc || read(h->go, &byte, 1) != 1)
		return rc ? rc : 0xfe;
	if (setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0 ||
	    send(s, "x", 1, 0) != 1)
		return errno;
	return recv(s, &byte, 1, 0) == 1 ? 0 : errno;
}

/* What a held connection comes to when the name's row becomes v, or goes. */
static int outlive(struct lab *lab, struct sink *s, const struct zg_name_key *key,
		   const struct zg_name_val *then)
{
	struct zg_name_val v = row_of(s->port, 60);
	int ready[2], go[2], answer, conn;
	struct held h = {.dial = {.how = TCP_CONNECT, .addr = "127.0.0.22", .port = s->port},
			 .patience = then ? ARRIVES_MS / 1000 : 3};
	char bytes[8];
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(go), 0);
	h.ready = ready[1];
	h.go = go[0];
	assert_int_equal(zg_kernel_learn(lab->kernel, key, &v), 0);
	pid = lab_start(lab, "a", hold, &h);
	assert_int_equal(read(ready[0], bytes, 1), 1);
	conn = accept(s->fd, NULL, NULL);
	assert_true(conn >= 0);
	assert_int_equal(recv(conn, bytes, 1, 0), 1);
	if (then)
		assert_int_equal(zg_kernel_learn(lab->kernel, key, then), 0);
	else
		assert_int_equal(zg_kernel_unlearn(lab->kernel, key), 0);
	assert_int_equal(write(go[1], "x", 1), 1);
	if (then) {
		assert_int_equal(recv(conn, bytes, 1, 0), 1);
		assert_int_equal(send(conn, "y", 1, 0), 1);
	}
	answer = lab_wait(pid);
	if (!then) /* not one byte has come */
		assert_true(recv(conn, bytes, 1, MSG_DONTWAIT) <= 0);
	(void)close(conn);
	for (int i = 0; i < 2; i++) {
		(void)close(ready[i]);
		(void)close(go[i]);
	}
	return answer;
}

static void an_open_flow_outlives_the_time_of_its_name_not_its_withdrawal(void **state)
{
	struct zg_name_key key = key_of(P_A, "127.0.0.22", IPPROTO_TCP);
	struct zg_name_val expired;
	struct sink s;
	struct plan p;
	struct lab *lab = open_lab(&p);

	(void)state;
	s = sink_open(false, "127.0.0.22", 0);
	assert_int_equal(fcntl(s.fd, F_SETFL, 0), 0);
	expired = row_of(s.port, -1);
	assert_int_equal(zg_kernel_name_used(lab->kernel, &key), 0);
	assert_int_equal(outlive(lab, &s, &key, &expired), 0);
	assert_true(zg_kernel_name_used(lab->kernel, &key) > 0);
	assert_int_not_equal(outlive(lab, &s, &key, NULL), 0);
	(void)close(s.fd);
	dns_close();
}

/* generations ---------------------------------------------------------------------- */

static int remembered(const struct zg_learned_key *key, uint64_t expires_ns, void *arg)
{
	assert_string_equal(key->name, "api.example");
	assert_int_equal(expires_ns, 4711);
	++*(int *)arg;
	return 0;
}

static void a_reload_takes_over_what_is_staged_and_no_more(void **state)
{
	struct zg_learned_key memory = {.profile = "a", .name = "api.example"};
	struct zg_name_key kept = key_of(P_A, "127.0.0.23", IPPROTO_TCP);
	struct zg_name_key dropped = key_of(P_A, "127.0.0.24", IPPROTO_TCP);
	struct dial to_kept = {.how = TCP_CONNECT, .addr = "127.0.0.23", .port = 30091};
	struct dial to_dropped = {.how = TCP_CONNECT, .addr = "127.0.0.24", .port = 30091};
	struct zg_name_val v = row_of(30091, 60);
	struct sink s;
	struct plan p;
	struct lab *lab = open_lab(&p);
	int count = 0;

	(void)state;
	s = sink_open(false, "0.0.0.0", 30091);
	assert_int_equal(zg_kernel_learn(lab->kernel, &kept, &v), 0);
	assert_int_equal(zg_kernel_learn(lab->kernel, &dropped, &v), 0);
	assert_int_equal(zg_kernel_remember(lab->kernel, &memory, 4711), 0);
	for (int i = 0; i < 3; i++) { /* both slots */
		dns.key[0] = kept;
		dns.val[0] = v;
		dns.names.count = 1;
		apply(lab, &p);
		assert_int_equal(lab_run(lab, "a", dial, &to_kept), 0);
		assert_int_equal(lab_run(lab, "a", dial, &to_dropped), EPERM);
	}
	lab_apply(lab, &p); /* nothing staged: nothing stays */
	assert_int_equal(lab_run(lab, "a", dial, &to_kept), EPERM);
	zg_kernel_close(lab->kernel);
	lab_open_gate(lab);
	assert_int_equal(zg_kernel_remembered(lab->kernel, remembered, &count), 0);
	assert_int_equal(count, 1);
	assert_int_equal(zg_kernel_forget(lab->kernel, &memory), 0);
	assert_int_equal(zg_kernel_forget(lab->kernel, &memory), 0);
	assert_int_equal(zg_kernel_remembered(lab->kernel, remembered, &count), 0);
	assert_int_equal(count, 1);
	(void)close(s.fd);
	dns_close();
}

/* the resolver's own datagrams --------------------------------------------------------- */

struct reply {
	int sock;
	const char *to;
	uint16_t port;
};

static int send_reply(void *arg)
{
	const struct reply *r = arg;
	struct endpoint to = endpoint_of(r->to, r->port);

	return sendto(r->sock, "x", 1, 0, (struct sockaddr *)&to.ss, to.bytes) == 1 ? 0 : errno;
}

static void the_resolver_answers_from_marked_sockets_alone(void **state)
{
	struct sink asker, plain;
	struct reply r;
	struct plan p;
	struct lab *lab = open_lab(&p);

	(void)state;
	lab_govern(lab, "resolver", ZG_PROFILE_RESOLVER);
	asker = sink_open(true, "127.0.0.1", 0);
	assert_true(lab_enter(lab_path(lab, "parent").text));
	plain = sink_open(true, "127.0.0.1", 0);
	assert_true(lab_enter(lab_cgroup2_mount()));
	r = (struct reply){dns.udp4.fd, "127.0.0.1", asker.port};
	assert_int_equal(lab_run(lab, "resolver", send_reply, &r), EPERM);
	assert_int_equal(zg_kernel_mark_answers(lab->kernel, dns.udp4.fd), 0);
	assert_int_equal(lab_run(lab, "resolver", send_reply, &r), 0);
	r.to = "127.0.0.2"; /* not an answer to an asker of this machine's loopback address */
	assert_int_equal(lab_run(lab, "resolver", send_reply, &r), EPERM);
	r = (struct reply){plain.fd, "127.0.0.1", asker.port};
	assert_int_equal(lab_run(lab, "resolver", send_reply, &r), EPERM);
	r = (struct reply){dns.udp4.fd, "127.0.0.1", asker.port};
	assert_int_equal(lab_run(lab, "b", send_reply, &r), EPERM);
	sink_expect(&asker, 1);
	(void)close(asker.fd);
	(void)close(plain.fd);
	dns_close();
}

static const struct CMUnitTest tests[] = {
	LAB_TEST(the_resolver_answers_in_the_name_of_whoever_was_asked),
	LAB_TEST(tcp_goes_there_too),
	LAB_TEST(only_its_own_profile_reaches_a_resolver),
	LAB_TEST(no_rule_reaches_another_profiles_resolver),
	LAB_TEST(names_win_over_a_rule_for_dns),
	LAB_TEST(another_network_namespace_is_refused),
	LAB_TEST(learned_addresses_open_and_close),
	LAB_TEST(a_deny_rule_wins_over_a_name),
	LAB_TEST(an_open_flow_outlives_the_time_of_its_name_not_its_withdrawal),
	LAB_TEST(a_reload_takes_over_what_is_staged_and_no_more),
	LAB_TEST(the_resolver_answers_from_marked_sockets_alone),
};

LAB_MAIN(tests)
