/* SPDX-License-Identifier: Apache-2.0 */
/* listen.c - the other way round: to be dialled, or to be taken for the gateway. */
#include "bypass.h"

static int listen_at(struct stage *st, int fd, const char *addr)
{
	struct endpoint at = endpoint_of(addr, 0);
	int c;

	if (listen(fd, 4) < 0 || getsockname(fd, (struct sockaddr *)&at.ss, &at.bytes) < 0)
		return errno;
	st->told->port = ntohs(((struct sockaddr_in *)&at.ss)->sin_port);
	if (send(st->link[0], "x", 1, MSG_NOSIGNAL) != 1)
		return errno;
	c = accept(fd, NULL, NULL);
	return c < 0 ? errno : step_receive(st, c);
}

static int bound(struct stage *st)
{
	struct endpoint at = endpoint_of(OUT4, 14444);
	int fd = step_socket(OUT4, SOCK_STREAM), one = 1;

	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&at.ss, at.bytes) < 0)
		return errno;
	return listen_at(st, fd, OUT4);
}

static int unbound(struct stage *st)
{
	return listen_at(st, step_socket(OUT4, SOCK_STREAM), OUT4);
}

static int unbound_6(struct stage *st)
{
	return listen_at(st, step_socket(OUT6, SOCK_STREAM), OUT6);
}

/* Bound to no port, which everybody may, and then listening. */
static int bound_to_none(struct stage *st)
{
	struct endpoint at = endpoint_of(OUT4, 0);
	int fd = step_socket(OUT4, SOCK_STREAM);

	if (bind(fd, (struct sockaddr *)&at.ss, at.bytes) < 0)
		return errno;
	return listen_at(st, fd, OUT4);
}

static int told_port(struct stage *st)
{
	char byte;

	step_ready(st);
	return recv(st->link[1], &byte, 1, 0) == 1 ? 0 : errno;
}

static int dial_in(struct stage *st)
{
	int r = told_port(st);

	return r ? r : step_dial(OUT4, st->told->port);
}

static int dial_in_6(struct stage *st)
{
	int r = told_port(st);

	return r ? r : step_dial(OUT6, st->told->port);
}

static int datagram_in(struct stage *st)
{
	int r = told_port(st);

	return r ? r : step_datagram(OUT4, st->told->port);
}

static int receive_at(struct stage *st, int fd)
{
	struct endpoint at = endpoint_of(OUT4, 0);

	if (getsockname(fd, (struct sockaddr *)&at.ss, &at.bytes) < 0)
		return errno;
	st->told->port = ntohs(((struct sockaddr_in *)&at.ss)->sin_port);
	if (send(st->link[0], "x", 1, MSG_NOSIGNAL) != 1)
		return errno;
	return step_receive(st, fd);
}

static int udp_bound(struct stage *st)
{
	struct endpoint at = endpoint_of(OUT4, 14445);
	int fd = step_socket(OUT4, SOCK_DGRAM);

	if (bind(fd, (struct sockaddr *)&at.ss, at.bytes) < 0)
		return errno;
	return receive_at(st, fd);
}

/* A port from the kernel, and a message that nobody asked for. */
static int udp_unbound(struct stage *st)
{
	struct endpoint at = endpoint_of(OUT4, 0);
	int fd = step_socket(OUT4, SOCK_DGRAM);

	if (bind(fd, (struct sockaddr *)&at.ss, at.bytes) < 0)
		return errno;
	return receive_at(st, fd);
}

/* Whoever held the port would be given other clients' calls. */
static int take_port(struct stage *st, const char *addr, bool share)
{
	struct endpoint at = endpoint_of(addr, GATEWAY_PORT);
	int fd = step_socket(addr, SOCK_STREAM), one = 1, zero = 0;

	if (strchr(addr, ':'))
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
	if (setsockopt(fd, SOL_SOCKET, share ? SO_REUSEPORT : SO_REUSEADDR, &one, sizeof(one)) < 0)
		return errno;
	if (bind(fd, (struct sockaddr *)&at.ss, at.bytes) < 0 || listen(fd, 1) < 0)
		return errno;
	st->told->arrived = 1;
	return 0;
}

static int take_alias(struct stage *st)
{
	return take_port(st, OUT4, false);
}

static int take_shared(struct stage *st)
{
	return take_port(st, OUT4, true);
}

static int take_mapped(struct stage *st)
{
	return take_port(st, "::ffff:" OUT4, false);
}

static int take_6(struct stage *st)
{
	return take_port(st, OUT6, false);
}

static const struct attempt listen_attempts_rows[] = {
	{"listen-bound", T_LISTEN, "bind, listen", bound, .outside = dial_in, .inbound = true},
	{"listen-unbound", T_LISTEN, "listen without bind", unbound, .outside = dial_in,
	 .inbound = true},
	{"listen-unbound-6", T_LISTEN, "listen without bind, IPv6", unbound_6, .outside = dial_in_6,
	 .inbound = true},
	{"listen-port-0", T_LISTEN, "bind to port 0, listen", bound_to_none, .outside = dial_in,
	 .inbound = true},
	{"listen-udp", T_LISTEN, "datagrams to a port of its own", udp_bound,
	 .outside = datagram_in, .inbound = true},
	{"listen-udp-any", T_LISTEN, "datagrams that nobody asked for", udp_unbound,
	 .outside = datagram_in, .inbound = true},
	{"gateway-alias", T_GATEWAY_PORT, "its port at another loopback address", take_alias,
	 .inbound = true},
	{"gateway-reuse", T_GATEWAY_PORT, "its port, shared", take_shared, .inbound = true},
	{"gateway-mapped", T_GATEWAY_PORT, "its port, v4-mapped", take_mapped, .inbound = true},
	{"gateway-6", T_GATEWAY_PORT, "its port over IPv6", take_6, .inbound = true},
};
ATTEMPTS(listen_attempts);
