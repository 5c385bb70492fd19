/* SPDX-License-Identifier: Apache-2.0 */
/*
 * option.c - socket options that route, send, or change what a socket is: the
 * call that follows names an allowed destination.
 */
#include "bypass.h"

#include <netinet/ip.h>
#include <netinet/tcp.h>

/* An address of one of the shapes that step_*() take, as bytes. */
static struct in6_addr bytes_of(const char *text)
{
	struct in6_addr a;

	if (inet_pton(AF_INET6, text, &a) != 1)
		_exit(EINVAL);
	return a;
}

/* RFC 8754; the kernel's own declaration ends in an array without a size. */
struct route {
	uint8_t next, length, type, left, last, flags;
	uint16_t tag;
	struct in6_addr via;
};

/* A header of one segment: the packet goes there first. */
static struct route route_via(const char *via)
{
	return (struct route){.length = 2, .type = 4, .via = bytes_of(via)};
}

static int route_by_option(struct stage *st ZG_UNUSED)
{
	struct route r = route_via(OUT6);
	int fd = step_socket(LOCAL6, SOCK_DGRAM);

	if (setsockopt(fd, IPPROTO_IPV6, IPV6_RTHDR, &r, sizeof(r)) < 0)
		return errno;
	return step_sendto(fd, 0, LOCAL6, PORT_OK);
}

static int route_tcp(struct stage *st ZG_UNUSED)
{
	struct route r = route_via(OUT6);
	int fd = step_socket(LOCAL6, SOCK_STREAM);

	if (setsockopt(fd, IPPROTO_IPV6, IPV6_RTHDR, &r, sizeof(r)) < 0)
		return errno;
	return step_connect(fd, LOCAL6, PORT_OK);
}

/* Mobile IPv6's, the one kind that comes with a message or as a packet option. */
static struct route home_of(const char *addr)
{
	return (struct route){.length = 2, .type = 2, .left = 1, .via = bytes_of(addr)};
}

static int route_home(struct stage *st ZG_UNUSED)
{
	struct route r = home_of(OUT6);
	int fd = step_socket(LOCAL6, SOCK_DGRAM);

	if (setsockopt(fd, IPPROTO_IPV6, IPV6_RTHDR, &r, sizeof(r)) < 0)
		return errno;
	return step_sendto(fd, 0, LOCAL6, PORT_OK);
}

static int route_by_message(struct stage *st ZG_UNUSED)
{
	struct endpoint to = endpoint_of(LOCAL6, PORT_OK);
	struct route r = home_of(OUT6);
	char mark[] = MARK;
	struct iovec io = {mark, MARK_LEN};
	union {
		char room[CMSG_SPACE(sizeof(r))];
		struct cmsghdr align;
	} control = {{0}};
	struct msghdr m = {.msg_name = &to.ss,
			   .msg_namelen = to.bytes,
			   .msg_iov = &io,
			   .msg_iovlen = 1,
			   .msg_control = control.room,
			   .msg_controllen = sizeof(control.room)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = IPPROTO_IPV6;
	c->cmsg_type = IPV6_RTHDR;
	c->cmsg_len = CMSG_LEN(sizeof(r));
	memcpy(CMSG_DATA(c), &r, sizeof(r));
	return sendmsg(step_socket(LOCAL6, SOCK_DGRAM), &m, 0) < 0 ? errno : 0;
}

/* Set on a socket that is then connected: the option stays with it. */
static int route_connected(struct stage *st ZG_UNUSED)
{
	struct route r = route_via(OUT6);
	int fd = step_socket(LOCAL6, SOCK_DGRAM), e = step_connect(fd, LOCAL6, PORT_OK);

	if (e)
		return e;
	if (setsockopt(fd, IPPROTO_IPV6, IPV6_RTHDR, &r, sizeof(r)) < 0)
		return errno;
	return step_send(fd);
}

/* no-op, then a source route of one hop and its length */
static int set_source_route(int fd, uint8_t kind)
{
	uint8_t option[8] = {1, kind, 7, 4, 127, 66, 0, 1};

	return setsockopt(fd, IPPROTO_IP, IP_OPTIONS, option, sizeof(option)) < 0 ? errno : 0;
}

static int loose_route(struct stage *st ZG_UNUSED)
{
	int fd = step_socket(LOCAL4, SOCK_DGRAM), r = set_source_route(fd, 131);

	return r ? r : step_sendto(fd, 0, LOCAL4, PORT_OK);
}

static int strict_route(struct stage *st ZG_UNUSED)
{
	int fd = step_socket(LOCAL4, SOCK_STREAM), r = set_source_route(fd, 137);

	return r ? r : step_connect(fd, LOCAL4, PORT_OK);
}

/* Joining tells the network the group's address: bytes of the caller's choice. */
static int join_4(struct stage *st)
{
	struct ip_mreqn m = {.imr_multiaddr = step_group4(st),
			     .imr_ifindex = (int)if_nametoindex(NET_DEV)};

	return setsockopt(step_socket(LOCAL4, SOCK_DGRAM), IPPROTO_IP, IP_ADD_MEMBERSHIP, &m,
			  sizeof(m)) < 0
		       ? errno
		       : 0;
}

static int join_6(struct stage *st)
{
	struct ipv6_mreq m = {.ipv6mr_multiaddr = step_group6(st),
			      .ipv6mr_interface = if_nametoindex(NET_DEV)};

	return setsockopt(step_socket(LOCAL6, SOCK_DGRAM), IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &m,
			  sizeof(m)) < 0
		       ? errno
		       : 0;
}

static int join_any_family(struct stage *st)
{
	const struct sockaddr_in group = {.sin_family = AF_INET, .sin_addr = step_group4(st)};
	struct group_req m = {.gr_interface = if_nametoindex(NET_DEV)};

	memcpy(&m.gr_group, &group, sizeof(group));
	return setsockopt(step_socket(LOCAL4, SOCK_STREAM), IPPROTO_IP, MCAST_JOIN_GROUP, &m,
			  sizeof(m)) < 0
		       ? errno
		       : 0;
}

/* The list of sources travels in the report too. */
static int join_source(struct stage *st)
{
	struct ip_mreq_source m = {.imr_sourceaddr = step_source4(st)};

	(void)inet_pton(AF_INET, "232.1.1.1", &m.imr_multiaddr);
	(void)inet_pton(AF_INET, NET_ADDR4, &m.imr_interface);
	return setsockopt(step_socket(LOCAL4, SOCK_DGRAM), IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP, &m,
			  sizeof(m)) < 0
		       ? errno
		       : 0;
}

static int to_device(struct stage *st ZG_UNUSED)
{
	int fd = step_socket(OUT4, SOCK_STREAM), r;

	if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3) < 0)
		return errno;
	r = step_connect(fd, OUT4, PORT);
	return r ? r : step_send(fd);
}

static int unicast_device(struct stage *st ZG_UNUSED)
{
	int fd = step_socket(BEYOND4, SOCK_DGRAM);
	uint32_t device = htonl(if_nametoindex(NET_DEV));

	if (setsockopt(fd, IPPROTO_IP, IP_UNICAST_IF, &device, sizeof(device)) < 0)
		return errno;
	return step_sendto(fd, 0, BEYOND4, PORT);
}

static int transparent(struct stage *st ZG_UNUSED)
{
	struct endpoint from = endpoint_of("127.66.7.7", 0);
	int fd = step_socket(OUT4, SOCK_STREAM), one = 1, r;

	if (setsockopt(fd, IPPROTO_IP, IP_TRANSPARENT, &one, sizeof(one)) < 0 ||
	    bind(fd, (struct sockaddr *)&from.ss, from.bytes) < 0)
		return errno;
	r = step_connect(fd, OUT4, PORT);
	return r ? r : step_send(fd);
}

static int marked(struct stage *st ZG_UNUSED)
{
	int fd = step_socket(OUT4, SOCK_STREAM), mark = 1, r;

	if (setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) < 0)
		return errno;
	r = step_connect(fd, OUT4, PORT);
	return r ? r : step_send(fd);
}

/* A connection that exists because the socket is told so: no handshake. */
static int repaired(struct stage *st ZG_UNUSED)
{
	struct endpoint from = endpoint_of(LOCAL4, 0);
	const struct tcp_repair_window window = {
		.snd_wnd = 65535, .max_window = 65535, .rcv_wnd = 65535};
	int fd = step_socket(OUT4, SOCK_STREAM), on = 1, off = -1, r;

	if (setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof(on)) < 0 ||
	    bind(fd, (struct sockaddr *)&from.ss, from.bytes) < 0)
		return errno;
	r = step_connect(fd, OUT4, PORT);
	if (r)
		return r;
	if (setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_WINDOW, &window, sizeof(window)) < 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &off, sizeof(off)) < 0)
		return errno;
	return step_send(fd);
}

/* It takes IPv6 options with it when it becomes an IPv4 socket. */
static int changed_family(struct stage *st ZG_UNUSED)
{
	int fd = step_socket(OUT6, SOCK_STREAM), r = step_connect(fd, "::ffff:" LOCAL4, PORT_OK);
	int family = AF_INET;

	if (r)
		return r;
	if (setsockopt(fd, IPPROTO_IPV6, IPV6_ADDRFORM, &family, sizeof(family)) < 0)
		return errno;
	r = connect(fd, &(struct sockaddr){.sa_family = AF_UNSPEC}, sizeof(struct sockaddr));
	if (r < 0)
		return errno;
	r = step_connect(fd, OUT4, PORT);
	return r ? r : step_send(fd);
}

static const struct attempt option_attempts_rows[] = {
	{"route-option", T_ROUTE, "IPV6_RTHDR as an option", route_by_option},
	{"route-tcp", T_ROUTE, "IPV6_RTHDR, then connect", route_tcp},
	{"route-home", T_ROUTE, "IPV6_RTHDR of Mobile IPv6", route_home, .optional = true},
	{"route-message", T_ROUTE, "a routing header with the message", route_by_message,
	 .optional = true},
	{"route-connected", T_ROUTE, "IPV6_RTHDR on a connected socket", route_connected},
	{"source-route", T_OPTIONS, "a loose source route, as root", loose_route, .root = true},
	{"source-route-strict", T_OPTIONS, "a strict source route, as root", strict_route,
	 .root = true},
	{"group-4", T_GROUP, "a group joined: IGMP carries its address", join_4, .optional = true},
	{"group-6", T_GROUP, "over IPv6: MLD", join_6, .optional = true},
	{"group-tcp", T_GROUP, "joined by a TCP socket", join_any_family, .optional = true},
	{"group-source", T_GROUP, "a source filter: IGMP carries the sources", join_source,
	 .optional = true},
	{"device", T_SOCKET_FLAGS, "bound to a device", to_device},
	{"device-unicast", T_SOCKET_FLAGS, "IP_UNICAST_IF to another network", unicast_device,
	 .optional = true},
	{"transparent", T_SOCKET_FLAGS, "from an address of its own choice, as root", transparent,
	 .root = true},
	{"so-mark", T_SOCKET_FLAGS, "SO_MARK, as root", marked, .root = true},
	{"repair", T_SOCKET_FLAGS, "TCP_REPAIR: connected without a handshake, as root", repaired,
	 .root = true},
	{"addrform", T_SOCKET_FLAGS, "an IPv6 socket turned into an IPv4 one", changed_family},
};
ATTEMPTS(option_attempts);
