/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel_shadow_test.c - MCP with a server that nobody registered, over real
 * connections that the profile allows. What arrives at the other end is all
 * that counts: never a whole message, and nothing at all after the signature.
 */
#include "kernel_lab.h"

#include <netinet/tcp.h>
#include <poll.h>

#include "signature.h"
#include "wire_corpus.h"

#define BIT(NAME)  (1U << ZG_SIG_##NAME)
#define INITIALIZE (BIT(JSONRPC) | BIT(INITIALIZE) | BIT(PROTOCOL_VERSION))
#define ANSWER	   (BIT(RESULT) | BIT(PROTOCOL_VERSION) | BIT(SERVER_INFO))
#define HEAD	   "POST /any/path HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
#define OK	   "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"

static const char initialize[] =
	HEAD "Content-Length: 88\r\n\r\n"
	     "{\"method\":\"initialize\",\"params\":{\"protocolVersion\":\"2025-11-25\"},"
	     "\"jsonrpc\":\"2.0\",\"id\":0}";
static const char answer[] =
	OK "Content-Length: 110\r\n\r\n"
	   "{\"result\":{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{},"
	   "\"serverInfo\":{\"name\":\"x\"}},\"jsonrpc\":\"2.0\",\"id\":0}";
static const char ordinary[] = HEAD "Content-Length: 2\r\n\r\n{}";
static const char ordinary_answer[] = OK "Content-Length: 15\r\n\r\n{\"status\":\"ok\"}";

/* a connection -------------------------------------------------------------- */

struct flow {
	int client;
	int server;
	uint16_t client_port;
	uint16_t server_port;
};

static uint16_t port_of(int fd, int (*name)(int, struct sockaddr *, socklen_t *))
{
	struct sockaddr_storage ss;
	socklen_t bytes = sizeof(ss);

	assert_int_equal(name(fd, (struct sockaddr *)&ss, &bytes), 0);
	return ntohs(((struct sockaddr_in *)&ss)->sin_port);
}

/* Sockets belong to the cgroups in which they are made, so this process holds
 * both ends. Each send() is a segment of its own. */
static struct flow flow_open(struct lab *lab, const char *from, const char *to, const char *addr)
{
	struct flow f;
	struct sink sink;
	struct endpoint ep;
	int one = 1;

	assert_true(lab_enter(lab_path(lab, to).text));
	sink = sink_open(false, addr, 0);
	assert_true(lab_enter(lab_path(lab, from).text));
	ep = endpoint_of(addr, sink.port);
	f.client = socket(ep.ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(f.client, (struct sockaddr *)&ep.ss, ep.bytes), 0);
	f.server = sink_accept(&sink);
	assert_true(lab_enter(lab_cgroup2_mount()));
	(void)close(sink.fd);
	assert_int_equal(setsockopt(f.client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)), 0);
	assert_int_equal(setsockopt(f.server, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)), 0);
	f.client_port = port_of(f.client, getsockname);
	f.server_port = port_of(f.client, getpeername);
	return f;
}

static void flow_close(struct flow *f)
{
	(void)close(f->client);
	(void)close(f->server);
}

static void put(int fd, const void *bytes, size_t n)
{
	assert_int_equal(send(fd, bytes, n, 0), n);
}

/* Bytes that are there now. */
static size_t bytes_at(int fd)
{
	char buf[65536];
	size_t sum = 0;
	ssize_t n;

	while ((n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0)
		sum += (size_t)n;
	assert_true(n < 0 && errno == EAGAIN);
	return sum;
}

/* All of it arrives, in pieces of one size. */
static void carry(int from, int to, const char *bytes, size_t n, size_t piece)
{
	size_t sent = 0, got = 0;

	while (got < n) {
		struct pollfd p = {.fd = to, .events = POLLIN};
		size_t more = n - sent < piece ? n - sent : piece;
		ssize_t r = more ? send(from, bytes + sent, more, MSG_DONTWAIT) : 0;

		sent += r > 0 ? (size_t)r : 0;
		if (sent == n)
			assert_int_equal(poll(&p, 1, ARRIVES_MS), 1);
		got += bytes_at(to);
	}
	assert_int_equal(got, n);
}

/* profiles --------------------------------------------------------------------- */

static void allow_loopback(struct lab *lab, enum zg_mode mode, enum zg_shadow shadow)
{
	struct plan p;

	plan_init(&p);
	plan_profile(&p, "a", mode);
	p.profiles[0].shadow_wire = (uint8_t)shadow;
	plan_prefix(&p, "127.0.0.1", 32, 10);
	plan_prefix(&p, "::1", 128, 10);
	(void)plan_rule(&p, P_A, 10, IPPROTO_TCP, 1, UINT16_MAX, ZG_V_ALLOW);
	lab_apply(lab, &p);
}

static struct lab *lab_with(enum zg_mode mode, enum zg_shadow shadow)
{
	struct lab *lab = lab_open();

	(void)lab_cgroup(lab, "free");
	lab_govern(lab, "agent", P_A);
	allow_loopback(lab, mode, shadow);
	return lab;
}

static void assert_told(struct lab *lab, const struct flow *f, enum zg_event_kind kind,
			enum zg_layer layer, uint32_t signatures)
{
	struct seen s = lab_events_with(lab, kind);

	assert_int_equal(s.count[ZG_E_DENY] + s.count[ZG_E_WOULD_DENY], 1);
	assert_int_equal(s.last.kind, kind);
	assert_int_equal(s.last.reason, ZG_GR_SHADOW);
	assert_int_equal(s.last.layer, layer);
	assert_int_equal(s.last.detail, signatures);
	assert_int_equal(s.last.profile, P_A);
	assert_int_equal(s.last.proto, IPPROTO_TCP);
	assert_int_equal(ntohs(s.last.port_be), f->server_port);
	assert_int_equal(ntohs(s.last.local_port_be), f->client_port);
	assert_int_equal(s.last.cgroup_id, lab_cgroup(lab, "agent"));
}

static void assert_silent(struct lab *lab)
{
	struct seen s = lab_events(lab);

	assert_int_equal(s.count[ZG_E_DENY] + s.count[ZG_E_WOULD_DENY], 0);
}

/* Nothing passes any more, in either direction. */
static void assert_dead(const struct flow *f)
{
	put(f->client, ordinary, strlen(ordinary));
	put(f->server, ordinary_answer, strlen(ordinary_answer));
	assert_int_equal(bytes_at(f->server), 0);
	assert_int_equal(bytes_at(f->client), 0);
}

/* signatures ------------------------------------------------------------------- */

/* Up to which byte the message is none of MCP yet; that one never arrives. */
static const struct {
	const char *bytes;
	const char *until; /* its last byte completes the signature */
	uint32_t signatures;
	bool from_server;
} shown[] = {
	{HEAD "Mcp-Session-Id: 1\r\n\r\n", "Mcp-Session-Id:", BIT(SESSION_ID) | BIT(CONTENT_TYPE),
	 false},
	{HEAD "mcp-PROTOCOL-version: 1\r\n\r\n",
	 "version:", BIT(VERSION_HEADER) | BIT(CONTENT_TYPE), false},
	{HEAD "Mcp-Method: server/discover\r\n\r\n",
	 "Method:", BIT(METHOD_HEADER) | BIT(CONTENT_TYPE), false},
	{initialize, "\"2.0\"", INITIALIZE, false},
	{HEAD "\r\n{\"jsonrpc\" : \"2.0\", \"method\" : \"server\\/discover\" }", "discover\"",
	 BIT(JSONRPC) | BIT(DISCOVER), false},
	{HEAD "\r\n{\"jsonrpc\":\"2.0\",\"method\":\"tools/call\",\"id\":1}", "tools/call\"",
	 BIT(JSONRPC) | BIT(TOOLS_CALL), false},
	{HEAD "Transfer-Encoding: chunked\r\n\r\n16\r\n{\"jsonrpc\":\"2.0\",\"meth\r\n"
	      "10\r\nod\":\"tools/list\"\r\n1\r\n}\r\n0\r\n\r\n",
	 "tools/list\"", BIT(JSONRPC) | BIT(TOOLS_LIST), false},
	{OK "Mcp-Session-Id: 1\r\n\r\n", "Session-Id:", BIT(SESSION_ID) | BIT(CONTENT_TYPE), true},
	{answer, "\"serverInfo\":", ANSWER, true},
	{OK
	 "\r\nevent: message\ndata: {\"result\":{\"serverInfo\":{},\"protocolVersion\":\"1\"}}\n\n",
	 "protocolVersion\":\"", ANSWER, true},
	{OK "\r\n{\"result\":{\"resultType\":\"complete\",\"tools\":[]}}", "complete\"",
	 BIT(RESULT) | BIT(COMPLETE), true},
};

static void show(struct lab *lab, size_t i, const char *addr, size_t piece)
{
	struct flow f = flow_open(lab, "agent", "free", addr);
	int from = shown[i].from_server ? f.server : f.client;
	int to = shown[i].from_server ? f.client : f.server;
	size_t n = strlen(shown[i].bytes), arrived = 0, whole;
	size_t last = (size_t)(strstr(shown[i].bytes, shown[i].until) - shown[i].bytes) +
		      strlen(shown[i].until) - 1;

	carry(to, from, "\n", 1, 1);  /* both have spoken */
	whole = last / piece * piece; /* what stands before the piece that completes it */
	for (size_t at = 0; at < n; at += piece) {
		struct pollfd p = {.fd = to, .events = POLLIN};

		put(from, shown[i].bytes + at, n - at < piece ? n - at : piece);
		do /* a segment each: the next when this one is there */
			arrived += bytes_at(to);
		while (arrived < at + piece && at + piece <= whole && poll(&p, 1, ARRIVES_MS) == 1);
	}
	if (arrived != whole)
		fail_msg("case %zu in pieces of %zu: %zu bytes arrived", i, piece, arrived);
	assert_told(lab, &f, ZG_E_DENY, shown[i].from_server ? ZG_L_INGRESS : ZG_L_EGRESS,
		    shown[i].signatures);
	assert_dead(&f);
	flow_close(&f);
	assert_silent(lab);
}

static void test_signatures(void **state ZG_UNUSED)
{
	struct lab *lab = lab_with(ZG_MODE_ENFORCE, ZG_SHADOW_KILL);

	for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++) {
		show(lab, i, "127.0.0.1", 4096);
		show(lab, i, "127.0.0.1", 1); /* a byte a segment */
		show(lab, i, "::1", 13);
	}
}

/* The one that serves is governed, its client is not. */
static void test_a_server_in_a_governed_cgroup(void **state ZG_UNUSED)
{
	struct lab *lab = lab_open();
	struct flow f;

	(void)lab_cgroup(lab, "free");
	(void)lab_cgroup(lab, "agent"); /* it could not listen if it were governed by now */
	f = flow_open(lab, "free", "agent", "127.0.0.1");
	lab_govern(lab, "agent", P_A);
	allow_loopback(lab, ZG_MODE_ENFORCE, ZG_SHADOW_KILL);
	put(f.client, initialize, strlen(initialize));
	assert_int_equal(lab_events_with(lab, ZG_E_DENY).last.layer, ZG_L_INGRESS);
	assert_int_equal(bytes_at(f.server), 0);
	assert_dead(&f);
	flow_close(&f);
}

/* connections that live on --------------------------------------------------------- */

static void exchange(const struct flow *f, const char *request, size_t n)
{
	carry(f->client, f->server, request, n, 1 << 16);
	carry(f->server, f->client, ordinary_answer, strlen(ordinary_answer), 1 << 16);
}

static void test_later_requests(void **state ZG_UNUSED)
{
	static char large[3 << 20];
	struct lab *lab = lab_with(ZG_MODE_ENFORCE, ZG_SHADOW_KILL);
	struct flow f = flow_open(lab, "agent", "free", "127.0.0.1");
	int n = snprintf(large, sizeof(large), HEAD "Content-Length: %zu\r\n\r\n<",
			 sizeof(large) - 200);
	size_t whole = (size_t)n - 1 + sizeof(large) - 200;

	memset(large + n, 'x', sizeof(large) - (size_t)n);
	for (int i = 0; i < 3; i++)
		exchange(&f, ordinary, strlen(ordinary));
	exchange(&f, large, whole);
	assert_silent(lab);
	put(f.client, initialize, strlen(initialize));
	assert_int_equal(bytes_at(f.server), 0);
	assert_told(lab, &f, ZG_E_DENY, ZG_L_EGRESS, INITIALIZE);
	assert_dead(&f);
	flow_close(&f);

	/* and in one stream with what stands before it, no answer in between */
	f = flow_open(lab, "agent", "free", "127.0.0.1");
	carry(f.client, f.server, large, whole, 1 << 16);
	carry(f.client, f.server, ordinary, strlen(ordinary), 1);
	put(f.client, initialize, strlen(initialize));
	assert_int_equal(bytes_at(f.server), 0);
	assert_told(lab, &f, ZG_E_DENY, ZG_L_EGRESS, INITIALIZE);
	flow_close(&f);
}

/* Not a byte of a large answer follows the one that completed the signature. */
static void test_an_answer_that_goes_on(void **state ZG_UNUSED)
{
	static char rest[256 << 10];
	struct lab *lab = lab_with(ZG_MODE_ENFORCE, ZG_SHADOW_KILL);
	struct flow f = flow_open(lab, "agent", "free", "127.0.0.1");

	memset(rest, 'x', sizeof(rest));
	carry(f.client, f.server, ordinary, strlen(ordinary), 1 << 16);
	put(f.server, answer, strlen(answer));
	assert_true(send(f.server, rest, sizeof(rest), MSG_DONTWAIT) > 0);
	assert_told(lab, &f, ZG_E_DENY, ZG_L_INGRESS, ANSWER);
	assert_int_equal(bytes_at(f.client), 0);
	flow_close(&f);
}

/* modes ---------------------------------------------------------------------------- */

static void test_audit(void **state ZG_UNUSED)
{
	static const struct {
		enum zg_mode mode;
		enum zg_shadow shadow;
	} ways[] = {{ZG_MODE_AUDIT, ZG_SHADOW_KILL}, {ZG_MODE_ENFORCE, ZG_SHADOW_AUDIT}};
	struct lab *lab = lab_with(ZG_MODE_ENFORCE, ZG_SHADOW_KILL);

	for (size_t i = 0; i < 2; i++) {
		allow_loopback(lab, ways[i].mode, ways[i].shadow);
		for (int twice = 0; twice < 2; twice++) { /* each connection, once */
			struct flow f = flow_open(lab, "agent", "free", "127.0.0.1");

			carry(f.client, f.server, initialize, strlen(initialize), 1);
			assert_told(lab, &f, ZG_E_WOULD_DENY, ZG_L_EGRESS, INITIALIZE);
			carry(f.server, f.client, answer, strlen(answer), 7);
			exchange(&f, initialize, strlen(initialize));
			assert_silent(lab);
			flow_close(&f);
		}
	}
}

static void test_off(void **state ZG_UNUSED)
{
	struct lab *lab = lab_with(ZG_MODE_ENFORCE, ZG_SHADOW_OFF);
	struct flow f = flow_open(lab, "agent", "free", "127.0.0.1");

	carry(f.client, f.server, initialize, strlen(initialize), 1 << 16);
	carry(f.server, f.client, answer, strlen(answer), 1 << 16);
	assert_silent(lab);
	flow_close(&f);
}

/* What was found stays found; what becomes of it is the policy's in force. */
static void test_a_policy_that_changes(void **state ZG_UNUSED)
{
	struct lab *lab = lab_with(ZG_MODE_ENFORCE, ZG_SHADOW_AUDIT);
	struct flow f = flow_open(lab, "agent", "free", "127.0.0.1");

	exchange(&f, initialize, strlen(initialize));
	assert_told(lab, &f, ZG_E_WOULD_DENY, ZG_L_EGRESS, INITIALIZE);
	allow_loopback(lab, ZG_MODE_ENFORCE, ZG_SHADOW_KILL);
	put(f.client, ordinary, strlen(ordinary));
	assert_int_equal(bytes_at(f.server), 0);
	assert_told(lab, &f, ZG_E_DENY, ZG_L_EGRESS, INITIALIZE);
	assert_dead(&f);
	flow_close(&f);
}

static void test_only_that_connection(void **state ZG_UNUSED)
{
	struct lab *lab = lab_with(ZG_MODE_ENFORCE, ZG_SHADOW_KILL);
	struct flow bad = flow_open(lab, "agent", "free", "127.0.0.1");
	struct flow good = flow_open(lab, "agent", "free", "127.0.0.1");

	put(bad.client, initialize, strlen(initialize));
	assert_int_equal(bytes_at(bad.server), 0);
	exchange(&good, ordinary, strlen(ordinary));
	assert_dead(&bad);
	flow_close(&bad);
	flow_close(&good);
}

/* who is not looked at ----------------------------------------------------------- */

static void test_the_gateways_own(void **state ZG_UNUSED)
{
	struct lab *lab = lab_with(ZG_MODE_ENFORCE, ZG_SHADOW_KILL);
	struct flow f;
	struct plan p;

	lab_govern(lab, "gateway", ZG_PROFILE_GATEWAY);
	plan_init(&p);
	plan_profile(&p, "a", ZG_MODE_ENFORCE);
	plan_prefix(&p, "127.0.0.1", 32, 10);
	(void)plan_rule(&p, ZG_PROFILE_GATEWAY, 10, IPPROTO_TCP, 1, UINT16_MAX, ZG_V_ALLOW);
	lab_apply(lab, &p);
	f = flow_open(lab, "gateway", "free", "127.0.0.1");
	carry(f.client, f.server, initialize, strlen(initialize), 1 << 16);
	carry(f.server, f.client, answer, strlen(answer), 1 << 16);
	flow_close(&f);
	f = flow_open(lab, "free", "free", "127.0.0.1");
	carry(f.client, f.server, initialize, strlen(initialize), 1 << 16);
	flow_close(&f);
	assert_silent(lab);
}

/* A client that is redirected speaks MCP with the gateway. */
static void test_to_the_gateway(void **state ZG_UNUSED)
{
	struct lab *lab = lab_with(ZG_MODE_ENFORCE, ZG_SHADOW_KILL);
	struct sink gateway = sink_open(false, "127.0.0.1", 0);
	struct zg_listen at = {.port = gateway.port};
	struct endpoint to = endpoint_of("127.0.0.1", 9);
	struct zg_listen none = {0};
	struct zg_err e = {0};
	struct flow f = {0};
	struct plan p;

	assert_int_equal(zg_addr_parse(ZG_SLICE("127.0.0.1"), at.addr), 0);
	assert_int_equal(zg_kernel_set_gateway(lab->kernel, &at, &none, &e), 0);
	assert_int_equal(zg_kernel_own_listener(lab->kernel, gateway.fd, &e), 0);
	plan_init(&p);
	plan_profile(&p, "a", ZG_MODE_ENFORCE);
	plan_prefix(&p, "127.0.0.1", 32, 10);
	(void)plan_rule(&p, P_A, 10, IPPROTO_TCP, 1, UINT16_MAX, ZG_V_REDIRECT);
	lab_apply(lab, &p);
	assert_true(lab_enter(lab_path(lab, "agent").text));
	f.client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(f.client, (struct sockaddr *)&to.ss, to.bytes), 0);
	assert_true(lab_enter(lab_cgroup2_mount()));
	f.server = sink_accept(&gateway);
	carry(f.client, f.server, initialize, strlen(initialize), 1 << 16);
	carry(f.server, f.client, answer, strlen(answer), 1 << 16);
	assert_silent(lab);
	flow_close(&f);
	(void)close(gateway.fd);
}

/* ordinary traffic ------------------------------------------------------------------ */

static void pass(const struct exchange *x, void *arg)
{
	struct lab *lab = arg;
	struct flow f = flow_open(lab, "agent", "free", "127.0.0.1");

	for (size_t twice = 0; twice < 2; twice++) {
		carry(f.client, f.server, x->out, x->out_bytes, 1448);
		carry(f.server, f.client, x->in, x->in_bytes, 1448);
	}
	flow_close(&f);
	if (lab_events(lab).count[ZG_E_DENY])
		fail_msg("%s was taken for MCP", x->name);
}

static void test_ordinary_traffic(void **state ZG_UNUSED)
{
	struct lab *lab = lab_with(ZG_MODE_ENFORCE, ZG_SHADOW_KILL);

	assert_true(corpus_each(pass, lab) >= 30);
}

static const struct CMUnitTest tests[] = {
	LAB_TEST(test_ordinary_traffic),
	LAB_TEST(test_signatures),
	LAB_TEST(test_a_server_in_a_governed_cgroup),
	LAB_TEST(test_later_requests),
	LAB_TEST(test_an_answer_that_goes_on),
	LAB_TEST(test_audit),
	LAB_TEST(test_off),
	LAB_TEST(test_a_policy_that_changes),
	LAB_TEST(test_only_that_connection),
	LAB_TEST(test_the_gateways_own),
	LAB_TEST(test_to_the_gateway),
};

LAB_MAIN(tests)
