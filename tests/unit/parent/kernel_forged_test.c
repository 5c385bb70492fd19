/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel_forged_test.c - packets that no ordinary program sends: with a route of
 * their own, cut into fragments by hand, of other protocols, to many at once.
 * Asserted on the wire itself; each is shown to work for whoever is not governed.
 */
#include "kernel_task.h"

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/ipv6.h>
#include <linux/seg6.h>
#include <net/route.h>
#include <netinet/ip.h>
#include <netinet/udp.h>

/* the wire --------------------------------------------------------------------- */

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

/* A UDP packet over IPv6 by hand, behind n extension headers, the last of which is
 * of the kind that is named. mark: differs from packet to packet. */
static void make_packet6(struct task *t, size_t n, uint8_t last, uint8_t mark)
{
	struct ipv6hdr *ip = (struct ipv6hdr *)t->packet;
	uint8_t *at = t->packet + sizeof(*ip), *next = &ip->nexthdr;
	struct udphdr *udp;

	memset(t->packet, 0, sizeof(t->packet));
	ip->version = 6;
	ip->hop_limit = 64;
	ip->saddr = ip->daddr = in6addr_loopback;
	for (size_t i = 0; i < n; i++, at += 8) {
		*next = i + 1 == n ? last : IPPROTO_DSTOPTS;
		if (*next == IPPROTO_DSTOPTS || *next == IPPROTO_HOPOPTS)
			memcpy(at + 2, "\1\4", 2); /* PadN */
		next = at;			   /* its length is 0: 8 bytes */
	}
	*next = IPPROTO_UDP;
	udp = (struct udphdr *)at;
	udp->uh_sport = htons(20405);
	udp->uh_dport = htons(20405);
	udp->uh_ulen = htons(sizeof(*udp) + 8);
	udp->uh_sum = 0xffff;
	at[sizeof(*udp)] = mark;
	t->packet_bytes = (socklen_t)(at - t->packet) + sizeof(*udp) + 8;
	ip->payload_len = htons((uint16_t)(t->packet_bytes - sizeof(*ip)));
}

/* That very packet; answers to earlier ones may still come. */
static bool wire_has(int fd, const void *packet, size_t bytes)
{
	char buf[sizeof(((struct task *)NULL)->packet)];
	bool found = false;
	ssize_t n;

	while ((n = recv(fd, buf, sizeof(buf), 0)) >= 0)
		found |= (size_t)n == bytes && memcmp(buf, packet, bytes) == 0;
	assert_int_equal(errno, EAGAIN);
	return found;
}

/* The ports are found behind what honest packets have, up to a bound; what leads
 * elsewhere, cuts the packet or goes on for longer is refused. */
static void test_ipv6_extension_headers(void **state ZG_UNUSED)
{
	static const struct {
		uint8_t headers, last;
		bool passes; /* to an address and port that are allowed */
	} cases[] = {
		{0, IPPROTO_NONE, true},      {1, IPPROTO_DSTOPTS, true},
		{1, IPPROTO_HOPOPTS, true},   {7, IPPROTO_DSTOPTS, true},
		{8, IPPROTO_DSTOPTS, false},  {20, IPPROTO_DSTOPTS, false},
		{1, IPPROTO_ROUTING, false},  {3, IPPROTO_ROUTING, false},
		{1, IPPROTO_FRAGMENT, false}, {3, IPPROTO_FRAGMENT, false},
		{1, IPPROTO_AH, false},	      {1, IPPROTO_MH, false},
	};
	const size_t count = sizeof(cases) / sizeof(cases[0]);
	struct lab *lab = lab_open();
	struct task *t = task_start(lab, "agent", true);
	zg_autofd int wire = wire_open();

	t->addr = "::1";
	t->type = SOCK_RAW;
	t->protocol = IPPROTO_RAW;
	assert_int_equal(task_do(t, do_open), 0);
	for (size_t i = 0; i < 2 * count; i++) {
		const size_t k = i % count;
		const bool governed = i >= count;

		if (i == count) {
			lab_govern(lab, "agent", P_A);
			allow_port(lab, "::1", 20405);
		}
		make_packet6(t, cases[k].headers, cases[k].last, (uint8_t)i);
		(void)task_do(t, do_sendto); /* the wire says what became of it */
		if (wire_has(wire, t->packet, t->packet_bytes) != (!governed || cases[k].passes))
			fail_msg("%u headers, the last of kind %u, %s", cases[k].headers,
				 cases[k].last, governed ? "governed" : "free");
	}
	/* what stands behind them is what counts: another port is allowed now */
	allow_port(lab, "::1", 20406);
	make_packet6(t, 3, IPPROTO_DSTOPTS, 0);
	(void)task_do(t, do_sendto);
	assert_false(wire_has(wire, t->packet, t->packet_bytes));
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

static const struct CMUnitTest tests[] = {
	LAB_TEST(test_ipv6_routing_header),	LAB_TEST(test_ipv4_source_route),
	LAB_TEST(test_fragments_by_hand),	LAB_TEST(test_other_protocols),
	LAB_TEST(test_multicast_and_broadcast), LAB_TEST(test_ipv6_extension_headers),
};

LAB_MAIN(tests)
