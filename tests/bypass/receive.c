/* SPDX-License-Identifier: Apache-2.0 */
/*
 * receive.c - the receiving side: sinks at every address that nobody may reach,
 * unix sockets of the host's, and the wire itself. Never asks the gate anything.
 */
#include "bypass.h"

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/ipv6.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/un.h>
#include <time.h>

#define RECEIVERS_MAX 128
#define KEPT_MAX      256

enum receiver_kind { TAKES_MESSAGES, TAKES_CONNECTIONS, WIRE };

enum tolerance {
	NOTHING,  /* not even a connection */
	UNMARKED, /* anything but the mark */
	ANYTHING,
};

struct receiver {
	int fd;
	enum receiver_kind kind;
	enum tolerance tolerance;
};

static struct {
	struct receiver list[RECEIVERS_MAX];
	size_t count;
	struct receiver kept[KEPT_MAX]; /* connections accepted from list */
	size_t kept_count;
} receivers;

static void add(int fd, enum receiver_kind kind, enum tolerance tolerance)
{
	assert_true(fd >= 0 && receivers.count < RECEIVERS_MAX);
	receivers.list[receivers.count++] = (struct receiver){fd, kind, tolerance};
}

static void add_sinks(const char *addr, uint16_t port, enum tolerance tolerance)
{
	add(sink_open(false, addr, port).fd, TAKES_CONNECTIONS, tolerance);
	add(sink_open(true, addr, port).fd, TAKES_MESSAGES, tolerance);
}

static void add_unix(int type, const char *path)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	size_t n = strlen(path);
	int fd = socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	memcpy(at.sun_path, path, n + 1);
	if (path[0] == '@')
		at.sun_path[0] = '\0';
	assert_int_equal(
		bind(fd, (struct sockaddr *)&at,
		     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + (path[0] != '@'))),
		0);
	if (path[0] != '@')
		assert_int_equal(chmod(path, 0777), 0);
	if (type != SOCK_DGRAM)
		assert_int_equal(listen(fd, 16), 0);
	add(fd, type == SOCK_DGRAM ? TAKES_MESSAGES : TAKES_CONNECTIONS, NOTHING);
}

static void add_unix_sockets(void)
{
	static const char *const folders[] = {"/run/tmp",	UNIX_OK,     "/run/dbus",
					      "/run/systemd",	"/run/user", "/run/user/65533",
					      "/run/containerd"};

	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		assert_int_equal(mkdir(folders[i], 0777), 0);
		assert_int_equal(chmod(folders[i], i < 2 ? 01777 : 0755), 0);
	}
	add_unix(SOCK_STREAM, UNIX_STREAM);
	add_unix(SOCK_SEQPACKET, UNIX_SEQ);
	add_unix(SOCK_DGRAM, UNIX_DGRAM);
	add_unix(SOCK_STREAM, UNIX_ABSTRACT);
	add_unix(SOCK_DGRAM, UNIX_ABSTRACT_DGRAM);
	add_unix(SOCK_STREAM, "/run/docker.sock");
	add_unix(SOCK_STREAM, "/run/containerd/containerd.sock");
	add_unix(SOCK_STREAM, "/run/dbus/system_bus_socket");
	add_unix(SOCK_STREAM, "/run/user/65533/bus");
	add_unix(SOCK_STREAM, "/run/systemd/private");
}

void receive_open(void)
{
	static const char *const addrs[] = {OUT4,  OUT6,  LOCAL4, LOCAL6,
					    META4, META6, NAT64,  SIXTO4};
	static const uint16_t ports[] = {443, 53, 853};

	for (size_t i = 0; i < sizeof(addrs) / sizeof(addrs[0]); i++)
		add_sinks(addrs[i], PORT, NOTHING);
	for (size_t i = 0; i < 2 * sizeof(ports) / sizeof(ports[0]); i++)
		add_sinks(addrs[i % 2], ports[i / 2], NOTHING);
	add_sinks(SERVER4, SERVER_PORT, NOTHING);
	add_sinks(GRANTED4, PORT, NOTHING);
	add_sinks(LOCAL4, PORT_OK, ANYTHING);
	add_sinks(LOCAL6, PORT_OK, ANYTHING);
	add_sinks(LOCAL4, PORT_MCP, UNMARKED);
	add_sinks(LOCAL4, GATEWAY_PORT, ANYTHING);
	add_sinks(LOCAL6, GATEWAY_PORT, ANYTHING);
	add_unix_sockets();
	add(socket(AF_PACKET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, htons(ETH_P_ALL)), WIRE,
	    NOTHING);
}

/* the wire ------------------------------------------------------------------------ */

static bool holds(const uint8_t *packet, size_t n, const void *bytes, size_t len)
{
	return memmem(packet, n, bytes, len) != NULL;
}

/* Nobody may reach these; the address alone is enough, whatever is in it. */
static bool forbidden4(const uint8_t *addr)
{
	static const char *const texts[] = {OUT4, META4, SERVER4, BEYOND4, GRANTED4};
	uint8_t at[4];

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (inet_pton(AF_INET, texts[i], at) == 1 && memcmp(at, addr, 4) == 0)
			return true;
	return false;
}

static bool forbidden6(const uint8_t *addr)
{
	static const char *const texts[] = {OUT6, META6, NAT64, SIXTO4};
	uint8_t at[16];

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (inet_pton(AF_INET6, texts[i], at) == 1 && memcmp(at, addr, 16) == 0)
			return true;
	return false;
}

/* Of TCP, a first packet or one with the mark in it: the last words of a
 * connection that was made before carry nothing. */
static bool tcp_matters(const uint8_t *tcp, size_t n)
{
	struct tcphdr h;

	if (n < sizeof(h))
		return true;
	memcpy(&h, tcp, sizeof(h));
	return (h.syn && !h.ack) || holds(tcp, n, MARK, MARK_LEN);
}

static bool allowed_ports(const uint8_t *transport, size_t n)
{
	uint16_t port[2];

	if (n < sizeof(port))
		return false;
	memcpy(port, transport, sizeof(port));
	for (int i = 0; i < 2; i++)
		if (ntohs(port[i]) == PORT_OK || ntohs(port[i]) == GATEWAY_PORT)
			return true;
	return false;
}

static bool packet_matters(const struct stage *st, const uint8_t *packet, size_t n, size_t at,
			   uint8_t proto, bool forbidden)
{
	const struct in_addr group4 = step_group4(st), source4 = step_source4(st);
	const struct in6_addr group6 = step_group6(st);

	if (holds(packet, n, &group4, sizeof(group4)) ||
	    holds(packet, n, &source4, sizeof(source4)) ||
	    holds(packet, n, &group6, sizeof(group6)))
		return true;
	if (at > n)
		return true;
	if (proto == IPPROTO_TCP) /* a server may repeat what its client was refused */
		return forbidden && tcp_matters(packet + at, n - at);
	if (forbidden)
		return true;
	return holds(packet, n, MARK, MARK_LEN) && !allowed_ports(packet + at, n - at);
}

static bool wire_matters(const struct stage *st, const uint8_t *packet, size_t n, uint16_t protocol)
{
	struct iphdr ip4;
	struct ipv6hdr ip6;

	if (protocol == ETH_P_IP && n >= sizeof(ip4)) {
		memcpy(&ip4, packet, sizeof(ip4));
		return packet_matters(st, packet, n, 4U * ip4.ihl, ip4.protocol,
				      forbidden4((const uint8_t *)&ip4.daddr));
	}
	if (protocol == ETH_P_IPV6 && n >= sizeof(ip6)) {
		memcpy(&ip6, packet, sizeof(ip6));
		return packet_matters(st, packet, n, sizeof(ip6), ip6.nexthdr,
				      forbidden6((const uint8_t *)&ip6.daddr));
	}
	return holds(packet, n, MARK, MARK_LEN);
}

/* looking ---------------------------------------------------------------------------- */

static bool look_at_wire(const struct stage *st, int fd)
{
	uint8_t packet[4096];
	struct sockaddr_ll from;
	socklen_t bytes = sizeof(from);
	bool came = false;
	ssize_t n;

	while ((n = recvfrom(fd, packet, sizeof(packet), 0, (struct sockaddr *)&from, &bytes)) >=
	       0) {
		came |= wire_matters(st, packet, (size_t)n, ntohs(from.sll_protocol));
		bytes = sizeof(from);
	}
	return came;
}

static bool look_at_messages(int fd, enum tolerance tolerance)
{
	uint8_t buf[4096];
	bool came = false;
	ssize_t n;

	while ((n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0)
		came |= tolerance == NOTHING ||
			(tolerance == UNMARKED && holds(buf, (size_t)n, MARK, MARK_LEN));
	return came;
}

static bool look_at_connections(const struct receiver *r)
{
	bool came = false;
	int c;

	while ((c = accept4(r->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
		came |= r->tolerance == NOTHING;
		if (r->tolerance == ANYTHING || receivers.kept_count == KEPT_MAX)
			(void)close(c);
		else
			receivers.kept[receivers.kept_count++] =
				(struct receiver){c, TAKES_MESSAGES, r->tolerance};
	}
	return came;
}

static bool look(const struct stage *st)
{
	bool came = false;

	for (size_t i = 0; i < receivers.count; i++) {
		const struct receiver *r = &receivers.list[i];

		switch (r->kind) {
		case TAKES_MESSAGES:
			came |= look_at_messages(r->fd, r->tolerance);
			break;
		case TAKES_CONNECTIONS:
			came |= look_at_connections(r);
			break;
		case WIRE:
			came |= look_at_wire(st, r->fd);
			break;
		}
	}
	for (size_t i = 0; i < receivers.kept_count; i++)
		came |= look_at_messages(receivers.kept[i].fd, receivers.kept[i].tolerance);
	return came;
}

void receive_settle(const struct stage *st)
{
	(void)look(st);
}

void receive_forget(const struct stage *st)
{
	while (receivers.kept_count > 0)
		(void)close(receivers.kept[--receivers.kept_count].fd);
	(void)look(st);
}

static int64_t now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

bool receive_arrived(const struct stage *st, bool inbound, int ms)
{
	int64_t end = now_ms() + ms;

	for (;;) {
		bool came = look(st);

		if (st->told->arrived || (came && !inbound))
			return true;
		if (now_ms() >= end)
			return false;
		(void)poll(NULL, 0, 2);
	}
}
