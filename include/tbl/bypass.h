/* SPDX-License-Identifier: Apache-2.0 */
/*
 * X(NAME, text, layers): ways around a gate that judges only connect(), and the
 * layers that stop each. Any one of them is enough, and the record of a stopped
 * attempt names one of them; a kernel that has none of them does not enforce
 * the row. layers are bits of enum zg_layer:
 *   ZG_BY(NONE)  the agent's own processes: gateway and resolver
 *   0            nothing does: it takes root, who is trusted
 * tests/bypass tries each row, and holds SECURITY.md against this table.
 */
#ifndef ZG_BY
#define ZG_BY(layer)   (1u << ZG_L_##layer)
#define ZG_BY_ADDRESS  (ZG_BY(CONNECT) | ZG_BY(SENDMSG) | ZG_BY(EGRESS))
#define ZG_BY_UNIX     (ZG_BY(UNIX) | ZG_BY(LSM))
#define ZG_BY_CREATE   (ZG_BY(CREATE) | ZG_BY(EGRESS))
#define ZG_BY_INBOUND  (ZG_BY(BIND) | ZG_BY(INGRESS) | ZG_BY(EGRESS))
#define ZG_BY_OPTION   (ZG_BY(SETSOCKOPT) | ZG_BY(EGRESS))
#define ZG_BY_CONTENTS (ZG_BY(NONE) | ZG_BY(EGRESS) | ZG_BY(INGRESS))
#endif

X(DIAL, "connect() over IPv4 or IPv6, blocking or not", ZG_BY_ADDRESS)
X(FAST_OPEN, "data in the first packet: TCP fast open", ZG_BY_ADDRESS)
X(URING, "io_uring, with and without a kernel thread that submits", ZG_BY_ADDRESS | ZG_BY(LSM))
X(DATAGRAM, "datagrams that name their destination", ZG_BY_ADDRESS)
X(QUIC, "QUIC, HTTP/3", ZG_BY_ADDRESS)
X(REUSE, "one socket for an allowed destination, then for another", ZG_BY_ADDRESS)
X(SPELLING, "other spellings of an address: unspecified, v4-mapped, NAT64, 6to4", ZG_BY_ADDRESS)
X(METADATA, "cloud metadata inside an allowed network", ZG_BY_ADDRESS)
X(COPIES, "threads, children and copies of a descriptor", ZG_BY_ADDRESS)
X(SEND_PATH, "splice, sendfile, MSG_ZEROCOPY, corked and batched data", ZG_BY_ADDRESS)
X(NAMESPACE, "user, network and cgroup namespaces of its own", ZG_BY_ADDRESS)
X(SOCKET_FLAGS, "sockets bound to a device, transparent, under repair",
  ZG_BY_ADDRESS | ZG_BY_OPTION)
X(DIRECT, "a registered server without the gateway; proxy settings dropped", ZG_BY_ADDRESS)
X(DNS, "DNS servers outside, in the clear or over TLS", ZG_BY_ADDRESS)
X(NAMES, "data in names that the agent's resolver is asked for", ZG_BY(NONE))
X(PROXY, "a proxy or an open redirect on an allowed host", ZG_BY_CONTENTS)
X(SHADOW, "an unregistered MCP server on an allowed address", ZG_BY_CONTENTS)
X(GRANT, "a connection that was granted to another executable, or in another profile",
  ZG_BY_ADDRESS | ZG_BY(LSM))
X(FD_OPEN, "a socket made outside and not connected yet", ZG_BY_ADDRESS | ZG_BY(LSM))
X(FD_GOVERNED, "a connection older than its cgroup's governing", ZG_BY(EGRESS) | ZG_BY(INGRESS))
X(FD_CONNECTED, "a connected socket inherited or passed from outside", ZG_BY(LSM))
X(FD_RING, "an io_uring of a process outside, inherited (zerogate run closes it)", ZG_BY(NONE))
X(UNIX, "unix sockets of processes outside, by path or abstract name", ZG_BY_UNIX)
X(UNIX_CONTROL, "unix sockets through which others start processes", ZG_BY_UNIX)
X(UNIX_ALIAS, "unix sockets by a link or mount at an allowed path", ZG_BY(LSM))
X(LEAVE, "moving itself to another cgroup", ZG_BY(MEMBER))
X(PTRACE, "ptrace, /proc/PID/mem, pidfd_getfd on a process outside", ZG_BY(LSM))
X(TAMPER, "bpf() on the agent's links, programs and maps, as root", ZG_BY(LSM))
X(ROUTE, "IPv6 routing headers, by option or with each datagram", ZG_BY_OPTION)
X(OPTIONS, "IPv4 options: source routes", ZG_BY_OPTION)
X(PROTOCOL, "MPTCP, SCTP, DCCP, UDP-Lite, L2TP", ZG_BY_CREATE)
X(RAW, "raw and ping sockets, headers and fragments made by hand", ZG_BY_CREATE)
X(FAMILY, "packet, vsock, netlink and other families' sockets", ZG_BY(LSM))
X(GROUP, "multicast joins and source filters", ZG_BY(SETSOCKOPT))
X(LISTEN, "listening, with or without bind(): the server dials in", ZG_BY_INBOUND)
X(GATEWAY_PORT, "taking the gateway's port", ZG_BY(BIND) | ZG_BY(INGRESS))
X(TUNNEL, "a network device of its own, as root", 0)
