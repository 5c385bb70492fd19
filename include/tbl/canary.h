/* SPDX-License-Identifier: Apache-2.0 */
/*
 * X(NAME, text, layer, family, refused): the doors that the canary tries. Each
 * opens while its cgroup is not governed yet, and from then on must be shut:
 * refused is the errno that says so, layer (enum zg_layer) and family (0: any)
 * are what the kernel gate's own event must say.
 */
X(TCP4, "a TCP connection to 127.0.0.1", CONNECT, AF_INET, EPERM)
X(TCP6, "a TCP connection to ::1", CONNECT, AF_INET6, EPERM)
X(UDP4, "a datagram to 127.0.0.1", SENDMSG, AF_INET, EPERM)
X(UDP6, "a datagram to ::1", SENDMSG, AF_INET6, EPERM)
X(BIND4, "binding a port of 127.0.0.1", BIND, AF_INET, EPERM)
X(BIND6, "binding a port of ::1", BIND, AF_INET6, EPERM)
X(MPTCP, "an MPTCP socket", CREATE, 0, EPERM)
X(OLD4, "a datagram on a socket connected to 127.0.0.1 before", EGRESS, AF_INET, EPERM)
X(OLD6, "a datagram on a socket connected to ::1 before", EGRESS, AF_INET6, EPERM)
X(IN4, "a datagram from 127.0.0.1", INGRESS, AF_INET, EAGAIN)
X(IN6, "a datagram from ::1", INGRESS, AF_INET6, EAGAIN)
X(UNIX, "an abstract unix socket", UNIX, 0, EPERM)
