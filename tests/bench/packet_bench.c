/* SPDX-License-Identifier: Apache-2.0 */
/*
 * packet_bench.c - what judging every packet costs, and reading along: a bulk
 * TCP transfer, small HTTP requests and UDP send() over loopback, bare and with
 * the gate, in one run. The sender's
 * socket is made in the cgroup that is measured, the receiver's outside. Needs
 * root.
 *
 * What a busy machine does beside is in the time that a transfer takes, and not
 * in the processor time that both its ends need: the transfer is measured by both,
 * the rest by the latter.
 */
#include "../unit/parent/kernel_lab.h"
#include "rounds.h"

#include <pthread.h>

#define ROUNDS	   41
#define BULK_BYTES (256u << 20)
#define SENDS	   50000

#define REQUESTS 2000

enum where { BARE, UNGOVERNED, UNREAD, GOVERNED, NESTED, WHERES };

static const char *const where_text[WHERES] = {
	[BARE] = "bare (outside the attach root)",
	[UNGOVERNED] = "with the gate, not governed",
	[UNREAD] = "governed, shadow_mcp: {wire: off}",
	[GOVERNED] = "governed, shadow_mcp: {wire: kill}",
	[NESTED] = "the same, in a cgroup below",
};

static int connect_from(const char *cgroup, const struct sink *to, int type)
{
	struct endpoint ep = endpoint_of("127.0.0.1", to->port);
	int s;

	assert_true(lab_enter(cgroup));
	s = socket(AF_INET, type | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(s, (struct sockaddr *)&ep.ss, ep.bytes), 0);
	return s;
}

static void *receive_all(void *arg)
{
	static char buf[1 << 20];

	while (recv(*(int *)arg, buf, sizeof(buf), 0) > 0)
		continue;
	return NULL;
}

static double bulk(const char *cgroup, const struct sink *sink, clockid_t clock)
{
	static char block[1 << 18];
	int s = connect_from(cgroup, sink, SOCK_STREAM);
	int fd = accept4(sink->fd, NULL, NULL, SOCK_CLOEXEC);
	uint64_t start = rounds_clock(clock);
	pthread_t receiver;

	assert_true(fd >= 0);
	assert_int_equal(pthread_create(&receiver, NULL, receive_all, &fd), 0);
	for (size_t sent = 0; sent < BULK_BYTES;) {
		ssize_t n = send(s, block, sizeof(block), 0);

		assert_true(n > 0);
		sent += (size_t)n;
	}
	(void)close(s);
	assert_int_equal(pthread_join(receiver, NULL), 0);
	start = rounds_clock(clock) - start;
	(void)close(fd);
	return (double)start;
}

static void *answer_all(void *arg)
{
	static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
				     "Date: Thu, 01 Oct 2026 10:00:00 GMT\r\nContent-Length: 15\r\n"
				     "\r\n{\"status\":\"ok\"}";
	char buf[4096];

	while (recv(*(int *)arg, buf, sizeof(buf), 0) > 0)
		if (send(*(int *)arg, answer, sizeof(answer) - 1, 0) < 0)
			break;
	return NULL;
}

/* One after the other on one connection: the direction turns with each. */
static double requests(const char *cgroup, const struct sink *sink, clockid_t clock)
{
	static const char request[] =
		"POST /v1/items HTTP/1.1\r\nHost: service.example\r\nUser-Agent: bench/1.0\r\n"
		"Accept: application/json\r\nContent-Type: application/json\r\n"
		"Authorization: Bearer 0123456789abcdef0123456789abcdef\r\nContent-Length: 41\r\n"
		"\r\n{\"id\":1,\"jsonrpc\":\"2.0\",\"method\":\"status\"}";
	int s = connect_from(cgroup, sink, SOCK_STREAM);
	int fd = accept4(sink->fd, NULL, NULL, SOCK_CLOEXEC);
	uint64_t start = rounds_clock(clock);
	pthread_t server;
	char buf[4096];

	assert_true(fd >= 0);
	assert_int_equal(pthread_create(&server, NULL, answer_all, &fd), 0);
	for (int i = 0; i < REQUESTS; i++) {
		assert_true(send(s, request, sizeof(request) - 1, 0) > 0);
		assert_true(recv(s, buf, sizeof(buf), 0) > 0);
	}
	start = rounds_clock(clock) - start;
	(void)close(s);
	assert_int_equal(pthread_join(server, NULL), 0);
	(void)close(fd);
	return (double)start;
}

/* The receiver does not read: a full queue drops after the same work. */
static double datagrams(const char *cgroup, const struct sink *sink, clockid_t clock)
{
	int s = connect_from(cgroup, sink, SOCK_DGRAM);
	uint64_t start = rounds_clock(clock);

	for (int i = 0; i < SENDS; i++)
		assert_int_equal(send(s, "x", 1, 0), 1);
	start = rounds_clock(clock) - start;
	(void)close(s);
	return (double)start;
}

struct measured {
	struct lab_path place[WHERES];
	double (*round)(const char *cgroup, const struct sink *sink, clockid_t clock);
	const struct sink *sink;
	clockid_t clock;
};

static double round_at(size_t at, void *arg)
{
	const struct measured *m = arg;

	return m->round(m->place[at].text, m->sink, m->clock);
}

static void measure(struct lab *lab, struct measured m, struct rounds_median median[WHERES])
{
	m.place[BARE] = lab_path(lab, "../zg-bench-outside");
	m.place[UNGOVERNED] = lab_path(lab, "free");
	m.place[UNREAD] = lab_path(lab, "unread");
	m.place[GOVERNED] = lab_path(lab, "agent");
	m.place[NESTED] = lab_path(lab, "agent/inner");
	rounds_compare(WHERES, ROUNDS, round_at, &m, median);
}

static void measure_bulk(struct lab *lab, const struct sink *tcp)
{
	struct rounds_median time[WHERES], processor[WHERES];

	measure(lab, (struct measured){.round = bulk, .sink = tcp, .clock = CLOCK_MONOTONIC}, time);
	measure(lab,
		(struct measured){.round = bulk, .sink = tcp, .clock = CLOCK_PROCESS_CPUTIME_ID},
		processor);
	(void)printf("TCP over loopback, medians of %d transfers of %u MB: a second of time, and "
		     "of a processor\n",
		     ROUNDS, BULK_BYTES >> 20);
	for (int w = 0; w < WHERES; w++)
		(void)printf("  %-34s %8.0f MB  %5.3fx %8.0f MB  %5.3fx\n", where_text[w],
			     BULK_BYTES * 1e3 / time[w].ns, 1 / time[w].ratio,
			     BULK_BYTES * 1e3 / processor[w].ns, 1 / processor[w].ratio);
}

static void measure_calls(struct lab *lab, const char *what, uint32_t calls, struct measured m)
{
	struct rounds_median is[WHERES];

	m.clock = CLOCK_PROCESS_CPUTIME_ID;
	measure(lab, m, is);
	(void)printf("%s: processor time, medians of %d rounds of %u\n", what, ROUNDS, calls);
	for (int w = 0; w < WHERES; w++)
		(void)printf("  %-34s %8.0f ns    %5.2fx\n", where_text[w], is[w].ns / calls,
			     is[w].ratio);
}

static void bench(void **state ZG_UNUSED)
{
	struct lab *lab = lab_open();
	struct lab_path outside = lab_path(lab, "../zg-bench-outside");
	struct sink tcp = sink_open(false, "127.0.0.1", 0);
	struct sink udp = sink_open(true, "127.0.0.1", 0);
	struct plan p;

	(void)fcntl(tcp.fd, F_SETFL, 0);
	(void)mkdir(outside.text, 0755);
	(void)lab_cgroup(lab, "free");
	lab_govern(lab, "agent", P_A);
	lab_govern(lab, "unread", P_B);
	(void)lab_cgroup(lab, "agent/inner");
	plan_init(&p);
	plan_profile(&p, "a", ZG_MODE_ENFORCE);
	plan_profile(&p, "b", ZG_MODE_ENFORCE);
	p.profiles[1].shadow_wire = ZG_SHADOW_OFF;
	plan_prefix(&p, "127.0.0.1", 32, 10);
	for (uint32_t profile = P_A; profile <= P_B; profile++) {
		(void)plan_rule(&p, profile, 10, IPPROTO_TCP, 1, UINT16_MAX, ZG_V_ALLOW);
		(void)plan_rule(&p, profile, 10, IPPROTO_UDP, 1, UINT16_MAX, ZG_V_ALLOW);
	}
	lab_apply(lab, &p);
	measure_bulk(lab, &tcp);
	measure_calls(lab, "HTTP requests one by one", REQUESTS,
		      (struct measured){.round = requests, .sink = &tcp});
	measure_calls(lab, "UDP send() of 1 byte", SENDS,
		      (struct measured){.round = datagrams, .sink = &udp});
	assert_true(lab_enter(lab_cgroup2_mount()));
	(void)rmdir(outside.text);
	(void)close(tcp.fd);
	(void)close(udp.fd);
}

static const struct CMUnitTest tests[] = {LAB_TEST(bench)};

LAB_MAIN(tests)
