/* SPDX-License-Identifier: Apache-2.0 */
/* datagram.c - messages that name their destination, one by one or in batches. */
#include "bypass.h"

#include <netinet/udp.h>

static int sendto_4(struct stage *st ZG_UNUSED)
{
	return step_datagram(OUT4, PORT);
}

static int sendto_6(struct stage *st ZG_UNUSED)
{
	return step_datagram(OUT6, PORT);
}

static int connected(struct stage *st ZG_UNUSED)
{
	int fd = step_socket(OUT4, SOCK_DGRAM);
	int r = step_connect(fd, OUT4, PORT);

	return r ? r : step_send(fd);
}

/* A batch whose first message is allowed. */
static int batch(struct stage *st ZG_UNUSED)
{
	struct endpoint to[2] = {endpoint_of(LOCAL4, PORT_OK), endpoint_of(OUT4, PORT)};
	int fd = step_socket(OUT4, SOCK_DGRAM);
	char first[] = "first", mark[] = MARK;
	struct iovec io[2] = {{first, sizeof(first)}, {mark, MARK_LEN}};
	struct mmsghdr m[2] = {0};

	for (int i = 0; i < 2; i++) {
		m[i].msg_hdr.msg_name = &to[i].ss;
		m[i].msg_hdr.msg_namelen = to[i].bytes;
		m[i].msg_hdr.msg_iov = &io[i];
		m[i].msg_hdr.msg_iovlen = 1;
	}
	return sendmmsg(fd, m, 2, 0) == 2 ? 0 : EPERM;
}

/* Held back for an allowed destination, then finished for another. */
static int corked(struct stage *st ZG_UNUSED)
{
	struct endpoint ok = endpoint_of(LOCAL4, PORT_OK);
	int fd = step_socket(OUT4, SOCK_DGRAM), zero = 0, one = 1;

	if (setsockopt(fd, IPPROTO_UDP, UDP_CORK, &one, sizeof(one)) < 0 ||
	    sendto(fd, "x", 1, MSG_MORE, (struct sockaddr *)&ok.ss, ok.bytes) != 1)
		return errno;
	(void)step_sendto(fd, MSG_MORE, OUT4, PORT);
	if (setsockopt(fd, IPPROTO_UDP, UDP_CORK, &zero, sizeof(zero)) < 0)
		return errno;
	return step_sendto(fd, 0, OUT4, PORT);
}

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

static int segmented(struct stage *st ZG_UNUSED)
{
	int fd = step_socket(OUT4, SOCK_DGRAM), bytes = 8;

	if (setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &bytes, sizeof(bytes)) < 0)
		return errno;
	return step_sendto(fd, 0, OUT4, PORT);
}

static int zero_copy(struct stage *st ZG_UNUSED)
{
	int fd = step_socket(OUT4, SOCK_DGRAM), one = 1;

	if (setsockopt(fd, SOL_SOCKET, SO_ZEROCOPY, &one, sizeof(one)) < 0)
		return errno;
	return step_sendto(fd, MSG_ZEROCOPY, OUT4, PORT);
}

/* The message itself says by which interface and from which address. */
static int by_interface(struct stage *st ZG_UNUSED)
{
	struct endpoint to = endpoint_of(OUT4, PORT);
	char mark[] = MARK;
	struct iovec io = {mark, MARK_LEN};
	union {
		char room[CMSG_SPACE(sizeof(struct in_pktinfo))];
		struct cmsghdr align;
	} control = {{0}};
	struct msghdr m = {.msg_name = &to.ss,
			   .msg_namelen = to.bytes,
			   .msg_iov = &io,
			   .msg_iovlen = 1,
			   .msg_control = control.room,
			   .msg_controllen = sizeof(control.room)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	struct in_pktinfo info = {.ipi_ifindex = (int)if_nametoindex("lo")};

	c->cmsg_level = IPPROTO_IP;
	c->cmsg_type = IP_PKTINFO;
	c->cmsg_len = CMSG_LEN(sizeof(info));
	memcpy(CMSG_DATA(c), &info, sizeof(info));
	return sendmsg(step_socket(OUT4, SOCK_DGRAM), &m, 0) < 0 ? errno : 0;
}

static int broadcast(struct stage *st ZG_UNUSED)
{
	int fd = step_socket(OUT4, SOCK_DGRAM), one = 1;

	if (setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &one, sizeof(one)) < 0)
		return errno;
	return step_sendto(fd, 0, "198.18.66.255", PORT);
}

/* The block around it is allowed, which does not name it. */
static int broadcast_to_all(struct stage *st ZG_UNUSED)
{
	struct endpoint from = endpoint_of(NET_ADDR4, 0);
	int fd = step_socket(OUT4, SOCK_DGRAM), one = 1;

	if (setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &one, sizeof(one)) < 0 ||
	    bind(fd, (struct sockaddr *)&from.ss, from.bytes) < 0)
		return errno;
	return step_sendto(fd, 0, "255.255.255.255", PORT);
}

static int multicast(struct stage *st)
{
	char group[INET_ADDRSTRLEN];
	const struct in_addr address = step_group4(st);
	int fd = step_socket(OUT4, SOCK_DGRAM);
	struct ip_mreqn by = {.imr_ifindex = (int)if_nametoindex(NET_DEV)};

	if (setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &by, sizeof(by)) < 0)
		return errno;
	if (!inet_ntop(AF_INET, &address, group, sizeof(group)))
		return errno;
	return step_sendto(fd, 0, group, PORT);
}

static int quic_4(struct stage *st ZG_UNUSED)
{
	return step_datagram(OUT4, 443);
}

static int quic_6(struct stage *st ZG_UNUSED)
{
	return step_datagram(OUT6, 443);
}

/* A query for a name whose labels carry data, to a server of its own choice. */
static size_t dns_query(uint8_t *out)
{
	static const uint8_t head[12] = {0x66, 0x66, 1, 0, 0, 1};
	static const uint8_t tail[] = {4, 'e', 'v', 'i', 'l', 0, 0, 16, 0, 1}; /* TXT IN */
	size_t n = sizeof(head);

	memcpy(out, head, sizeof(head));
	out[n++] = MARK_LEN;
	memcpy(out + n, MARK, MARK_LEN);
	n += MARK_LEN;
	memcpy(out + n, tail, sizeof(tail));
	return n + sizeof(tail);
}

static int dns_udp_to(const char *addr)
{
	struct endpoint to = endpoint_of(addr, 53);
	int fd = step_socket(addr, SOCK_DGRAM);
	uint8_t query[128];
	size_t n = dns_query(query);

	return sendto(fd, query, n, 0, (struct sockaddr *)&to.ss, to.bytes) < 0 ? errno : 0;
}

static int dns_udp(struct stage *st ZG_UNUSED)
{
	return dns_udp_to(OUT4);
}

static int dns_udp_6(struct stage *st ZG_UNUSED)
{
	return dns_udp_to(OUT6);
}

static int dns_tcp(struct stage *st ZG_UNUSED)
{
	int fd = step_socket(OUT4, SOCK_STREAM), r = step_connect(fd, OUT4, 53);
	uint8_t query[130];
	size_t n = dns_query(query + 2);

	query[0] = 0;
	query[1] = (uint8_t)n;
	if (r)
		return r;
	return send(fd, query, n + 2, MSG_NOSIGNAL) < 0 ? errno : 0;
}

static int dns_tls(struct stage *st ZG_UNUSED)
{
	return step_dial(OUT4, 853);
}

static int dns_https(struct stage *st ZG_UNUSED)
{
	return step_dial(OUT4, 443);
}

static const struct attempt datagram_attempts_rows[] = {
	{"sendto-4", T_DATAGRAM, "sendto over IPv4", sendto_4},
	{"sendto-6", T_DATAGRAM, "sendto over IPv6", sendto_6},
	{"send-connected", T_DATAGRAM, "connect, then send", connected},
	{"sendmmsg", T_DATAGRAM, "a batch whose first message is allowed", batch},
	{"sendmsg-interface", T_DATAGRAM, "with the interface to leave by", by_interface},
	{"broadcast", T_DATAGRAM, "to everybody on a network", broadcast, .optional = true},
	{"broadcast-all", T_DATAGRAM, "to everybody, within an allowed block", broadcast_to_all,
	 .optional = true},
	{"multicast", T_DATAGRAM, "to a group, within an allowed block", multicast,
	 .optional = true},
	{"udp-cork", T_SEND_PATH, "begun for one destination, ended for another", corked},
	{"udp-segment", T_SEND_PATH, "cut by the kernel (UDP_SEGMENT)", segmented,
	 .optional = true},
	{"udp-zerocopy", T_SEND_PATH, "MSG_ZEROCOPY", zero_copy, .optional = true},
	{"quic-4", T_QUIC, "UDP 443 over IPv4", quic_4},
	{"quic-6", T_QUIC, "UDP 443 over IPv6", quic_6},
	{"dns-udp", T_DNS, "a query to a server of its own choice", dns_udp},
	{"dns-udp-6", T_DNS, "the same over IPv6", dns_udp_6},
	{"dns-tcp", T_DNS, "the same over TCP", dns_tcp},
	{"dns-tls", T_DNS, "DNS over TLS, port 853", dns_tls},
	{"dns-https", T_DNS, "DNS over HTTPS at an address", dns_https},
};
ATTEMPTS(datagram_attempts);
