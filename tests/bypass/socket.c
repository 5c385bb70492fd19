/* SPDX-License-Identifier: Apache-2.0 */
/*
 * socket.c - sockets that the address hooks never see: other transports, raw
 * and packet sockets, families that are not the Internet's.
 */
#include "bypass.h"

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_xdp.h>
#include <linux/netlink.h>
#include <linux/vm_sockets.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>
#include <poll.h>

#define PROTO_L2TP    115
#define PROTO_SCTP    132
#define PROTO_UDPLITE 136
#define PROTO_DCCP    33
#define PROTO_MPTCP   262
#define SOCK_DCCP_    6
#define QUEUE_MS      20000 /* until a device's queue is free */

static int socket_of(int family, int type, int protocol)
{
	const struct timeval limit = patience();
	int fd = socket(family, type | SOCK_CLOEXEC, protocol);

	if (fd < 0)
		_exit(errno);
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	return fd;
}

static int dial_with(int family, int type, int protocol, const char *addr)
{
	int fd = socket_of(family, type, protocol);
	int r = step_connect(fd, addr, PORT);

	return r ? r : step_send(fd);
}

static int mptcp(struct stage *st ZG_UNUSED)
{
	return dial_with(AF_INET, SOCK_STREAM, PROTO_MPTCP, OUT4);
}

static int mptcp_6(struct stage *st ZG_UNUSED)
{
	return dial_with(AF_INET6, SOCK_STREAM, PROTO_MPTCP, OUT6);
}

static int sctp(struct stage *st ZG_UNUSED)
{
	return dial_with(AF_INET, SOCK_STREAM, PROTO_SCTP, OUT4);
}

static int sctp_many(struct stage *st ZG_UNUSED)
{
	return step_sendto(socket_of(AF_INET6, SOCK_SEQPACKET, PROTO_SCTP), 0, OUT6, PORT);
}

static int dccp(struct stage *st ZG_UNUSED)
{
	return dial_with(AF_INET, SOCK_DCCP_, PROTO_DCCP, OUT4);
}

static int udplite(struct stage *st ZG_UNUSED)
{
	return step_sendto(socket_of(AF_INET, SOCK_DGRAM, PROTO_UDPLITE), 0, OUT4, PORT);
}

static int udplite_6(struct stage *st ZG_UNUSED)
{
	return step_sendto(socket_of(AF_INET6, SOCK_DGRAM, PROTO_UDPLITE), 0, OUT6, PORT);
}

static int l2tp(struct stage *st ZG_UNUSED)
{
	return step_sendto(socket_of(AF_INET, SOCK_DGRAM, PROTO_L2TP), 0, OUT4, 0);
}

struct echo {
	struct icmphdr head;
	char mark[MARK_LEN];
};

static int send_echo(int type, const char *addr, uint8_t kind)
{
	bool v6 = strchr(addr, ':') != NULL;
	struct endpoint to = endpoint_of(addr, 0);
	struct echo echo = {.head.type = kind};
	int fd = socket_of(v6 ? AF_INET6 : AF_INET, type, v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);

	memcpy(echo.mark, MARK, MARK_LEN);
	return sendto(fd, &echo, sizeof(echo), 0, (struct sockaddr *)&to.ss, to.bytes) < 0 ? errno
											   : 0;
}

static int ping(struct stage *st ZG_UNUSED)
{
	return send_echo(SOCK_DGRAM, OUT4, ICMP_ECHO);
}

static int ping_6(struct stage *st ZG_UNUSED)
{
	return send_echo(SOCK_DGRAM, OUT6, 128);
}

static int raw_icmp(struct stage *st ZG_UNUSED)
{
	return send_echo(SOCK_RAW, OUT4, ICMP_ECHO);
}

static int raw_icmp_6(struct stage *st ZG_UNUSED)
{
	return send_echo(SOCK_RAW, OUT6, 128);
}

struct handmade {
	struct iphdr ip;
	struct udphdr udp;
	char mark[MARK_LEN];
} __attribute__((packed));

/* The kernel fills in length and checksum of what is sent with IP_HDRINCL. */
static struct handmade make_datagram(const char *to)
{
	struct handmade p = {
		.ip = {.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_UDP},
		.udp = {.source = htons(9),
			.dest = htons(PORT),
			.len = htons(sizeof(p.udp) + MARK_LEN)},
	};

	p.ip.tot_len = htons(sizeof(p));
	(void)inet_pton(AF_INET, to, &p.ip.daddr);
	(void)inet_pton(AF_INET, LOCAL4, &p.ip.saddr);
	memcpy(p.mark, MARK, MARK_LEN);
	return p;
}

static int send_handmade(const struct handmade *p, const char *to_text)
{
	struct endpoint to = endpoint_of(to_text, 0);
	int fd = socket_of(AF_INET, SOCK_RAW, IPPROTO_RAW);

	return sendto(fd, p, sizeof(*p), 0, (struct sockaddr *)&to.ss, to.bytes) < 0 ? errno : 0;
}

static int raw_header(struct stage *st ZG_UNUSED)
{
	struct handmade p = make_datagram(OUT4);

	return send_handmade(&p, OUT4);
}

/* The call names an allowed address, the header another. */
static int raw_two_faces(struct stage *st ZG_UNUSED)
{
	struct handmade p = make_datagram(OUT4);

	return send_handmade(&p, LOCAL4);
}

/* A later fragment has no ports to judge. */
static int raw_fragment(struct stage *st ZG_UNUSED)
{
	struct handmade p = make_datagram(OUT4);

	p.ip.frag_off = htons(100);
	return send_handmade(&p, OUT4);
}

static int raw_udp(struct stage *st ZG_UNUSED)
{
	struct endpoint to = endpoint_of(OUT6, 0);
	struct handmade p = make_datagram(OUT4);
	int fd = socket_of(AF_INET6, SOCK_RAW, IPPROTO_UDP);

	return sendto(fd, &p.udp, sizeof(p.udp) + MARK_LEN, 0, (struct sockaddr *)&to.ss,
		      to.bytes) < 0
		       ? errno
		       : 0;
}

/* A frame of its own on the device. */
static int packet(struct stage *st ZG_UNUSED)
{
	struct handmade p = make_datagram(OUT4);
	struct sockaddr_ll to = {.sll_family = AF_PACKET,
				 .sll_protocol = htons(ETH_P_IP),
				 .sll_ifindex = (int)if_nametoindex("lo"),
				 .sll_halen = 6};
	int fd = socket_of(AF_PACKET, SOCK_DGRAM, 0);

	return sendto(fd, &p, sizeof(p), 0, (struct sockaddr *)&to, sizeof(to)) < 0 ? errno : 0;
}

/* Everybody's traffic, read from the device. */
static int packet_listen(struct stage *st)
{
	int fd = socket_of(AF_PACKET, SOCK_DGRAM, htons(ETH_P_ALL));

	if (send(st->link[0], "x", 1, MSG_NOSIGNAL) != 1)
		return errno;
	return step_receive(st, fd);
}

static int talk_to_others(struct stage *st)
{
	char byte;

	step_ready(st);
	if (recv(st->link[1], &byte, 1, 0) != 1)
		return errno;
	return step_datagram(OUT4, PORT_OK);
}

/* A frame that the device's driver takes from memory of the workload's. */
static int xdp(struct stage *st ZG_UNUSED)
{
	enum { FRAMES = 4, FRAME_BYTES = 4096 };
	uint8_t *memory = mmap(NULL, FRAMES * FRAME_BYTES, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct xdp_umem_reg frames = {
		.addr = (uintptr_t)memory, .len = FRAMES * FRAME_BYTES, .chunk_size = FRAME_BYTES};
	struct sockaddr_xdp at = {.sxdp_family = AF_XDP,
				  .sxdp_flags = XDP_COPY,
				  .sxdp_ifindex = if_nametoindex("lo")};
	const struct ethhdr eth = {.h_proto = htons(ETH_P_IP)};
	const struct handmade p = make_datagram(OUT4);
	const uint32_t bytes = sizeof(eth) + sizeof(p), one = 1;
	int fd = socket_of(AF_XDP, SOCK_RAW, 0), count = FRAMES;
	struct xdp_mmap_offsets off;
	socklen_t off_bytes = sizeof(off);
	uint8_t *ring;

	if (memory == MAP_FAILED ||
	    setsockopt(fd, SOL_XDP, XDP_UMEM_REG, &frames, sizeof(frames)) < 0 ||
	    setsockopt(fd, SOL_XDP, XDP_UMEM_FILL_RING, &count, sizeof(count)) < 0 ||
	    setsockopt(fd, SOL_XDP, XDP_UMEM_COMPLETION_RING, &count, sizeof(count)) < 0 ||
	    setsockopt(fd, SOL_XDP, XDP_TX_RING, &count, sizeof(count)) < 0 ||
	    getsockopt(fd, SOL_XDP, XDP_MMAP_OFFSETS, &off, &off_bytes) < 0)
		return errno;
	ring = mmap(NULL, off.tx.desc + FRAMES * sizeof(struct xdp_desc), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_POPULATE, fd, XDP_PGOFF_TX_RING);
	if (ring == MAP_FAILED)
		return errno;
	/* the kernel takes the queue from a socket that is closed in its own time */
	for (int ms = 0; bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0; ms++) {
		if (errno != EBUSY || ms >= QUEUE_MS)
			return errno;
		(void)poll(NULL, 0, 1);
	}
	memcpy(memory, &eth, sizeof(eth));
	memcpy(memory + sizeof(eth), &p, sizeof(p));
	memcpy(ring + off.tx.desc, &(struct xdp_desc){.len = bytes}, sizeof(struct xdp_desc));
	memcpy(ring + off.tx.producer, &one, sizeof(one));
	return sendto(fd, NULL, 0, MSG_DONTWAIT, NULL, 0) < 0 ? errno : 0;
}

static struct sockaddr_nl netlink_at(pid_t port)
{
	return (struct sockaddr_nl){.nl_family = AF_NETLINK, .nl_pid = (uint32_t)port};
}

/* Netlink carries messages between ordinary processes. */
static int netlink_listen(struct stage *st)
{
	int fd = socket_of(AF_NETLINK, SOCK_RAW, NETLINK_USERSOCK);
	struct sockaddr_nl at = netlink_at(getpid());

	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
		return errno;
	step_ready(st);
	return step_receive(st, fd);
}

static int netlink_send(struct stage *st)
{
	int fd = socket_of(AF_NETLINK, SOCK_RAW, NETLINK_USERSOCK);
	struct sockaddr_nl to = netlink_at(st->told->outside);
	struct {
		struct nlmsghdr head;
		char mark[MARK_LEN];
	} m = {.head = {.nlmsg_len = sizeof(m), .nlmsg_type = NLMSG_MIN_TYPE}};

	memcpy(m.mark, MARK, MARK_LEN);
	return sendto(fd, &m, sizeof(m), 0, (struct sockaddr *)&to, sizeof(to)) < 0 ? errno : 0;
}

#define VSOCK_PORT 6666

static int vsock_listen(struct stage *st)
{
	struct sockaddr_vm at = {
		.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = VSOCK_PORT};
	int fd = socket_of(AF_VSOCK, SOCK_STREAM, 0), c;

	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, 4) < 0)
		return errno;
	step_ready(st);
	c = accept(fd, NULL, NULL);
	return c < 0 ? errno : step_receive(st, c);
}

static int vsock(struct stage *st ZG_UNUSED)
{
	struct sockaddr_vm to = {
		.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_LOCAL, .svm_port = VSOCK_PORT};
	int fd = socket_of(AF_VSOCK, SOCK_STREAM, 0);

	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		return errno;
	return step_send(fd);
}

#define FAMILY_SMC 43

/* Connections of this family are TCP's underneath, where there is nothing faster. */
static int smc(struct stage *st ZG_UNUSED)
{
	return dial_with(FAMILY_SMC, SOCK_STREAM, 0, OUT4);
}

static int smc_as_protocol(struct stage *st ZG_UNUSED)
{
	return dial_with(AF_INET, SOCK_STREAM, 256, OUT4);
}

/* The kernel's own datagram socket sends what is queued here. */
static int rxrpc(struct stage *st ZG_UNUSED)
{
	struct {
		uint16_t family, service, transport, bytes;
		struct sockaddr_in to;
	} at = {33, 1, SOCK_DGRAM, sizeof(struct sockaddr_in)};
	struct endpoint to = endpoint_of(OUT4, PORT);
	char mark[] = MARK;
	struct iovec io = {mark, MARK_LEN};
	union {
		char room[CMSG_SPACE(sizeof(unsigned long))];
		struct cmsghdr align;
	} control = {{0}};
	struct msghdr m = {.msg_name = &at,
			   .msg_namelen = sizeof(at),
			   .msg_iov = &io,
			   .msg_iovlen = 1,
			   .msg_control = control.room,
			   .msg_controllen = sizeof(control.room)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	memcpy(&at.to, &to.ss, sizeof(at.to));
	c->cmsg_level = 272; /* SOL_RXRPC */
	c->cmsg_type = 1;    /* RXRPC_USER_CALL_ID */
	c->cmsg_len = CMSG_LEN(sizeof(unsigned long));
	return sendmsg(socket_of(33, SOCK_DGRAM, AF_INET), &m, 0) < 0 ? errno : 0;
}

static const struct attempt socket_attempts_rows[] = {
	{"mptcp", T_PROTOCOL, "multipath TCP", mptcp, .optional = true},
	{"mptcp-6", T_PROTOCOL, "multipath TCP over IPv6", mptcp_6, .optional = true},
	{"sctp", T_PROTOCOL, "SCTP", sctp, .optional = true},
	{"sctp-many", T_PROTOCOL, "SCTP, one to many", sctp_many, .optional = true},
	{"dccp", T_PROTOCOL, "DCCP", dccp, .optional = true},
	{"udplite", T_PROTOCOL, "UDP-Lite", udplite, .optional = true},
	{"udplite-6", T_PROTOCOL, "UDP-Lite over IPv6", udplite_6, .optional = true},
	{"l2tp", T_PROTOCOL, "L2TP over IP", l2tp, .optional = true},
	{"ping", T_RAW, "data in an echo request", ping},
	{"ping-6", T_RAW, "the same over IPv6", ping_6},
	{"raw-icmp", T_RAW, "a raw socket, as root", raw_icmp, .root = true},
	{"raw-icmp-6", T_RAW, "the same over IPv6, as root", raw_icmp_6, .root = true},
	{"raw-header", T_RAW, "a header of its own, as root", raw_header, .root = true},
	{"raw-two-faces", T_RAW, "the call names one address, the header another, as root",
	 raw_two_faces, .root = true},
	{"raw-fragment", T_RAW, "a later fragment by hand, as root", raw_fragment, .root = true},
	{"raw-udp-6", T_RAW, "UDP by hand, as root", raw_udp, .root = true},
	{"packet-send", T_FAMILY, "a frame on the device, as root", packet, .root = true},
	{"packet-listen", T_FAMILY, "others' traffic from the device, as root", packet_listen,
	 .outside = talk_to_others, .root = true, .inbound = true},
	{"xdp", T_FAMILY, "a frame by AF_XDP, as root", xdp, .root = true, .optional = true},
	{"netlink", T_FAMILY, "netlink, to another process", netlink_send,
	 .outside = netlink_listen},
	{"smc", T_DIAL, "SMC, which is TCP underneath", smc, .optional = true},
	{"smc-protocol", T_PROTOCOL, "the same as a protocol of IPv4", smc_as_protocol,
	 .optional = true},
	{"rxrpc", T_FAMILY, "RxRPC: the kernel sends the datagram", rxrpc, .optional = true},
	{"vsock", T_FAMILY, "vsock, to this host", vsock, .outside = vsock_listen,
	 .optional = true},
};
ATTEMPTS(socket_attempts);
