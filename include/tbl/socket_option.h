/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * X(level, number, name): socket options that a governed task may not set.
 * Numbers are the kernel's ABI, the same on every architecture; levels are
 * protocol numbers (IP 0, TCP 6, UDP 17, IPV6 41).
 *
 * Left alone, though they look dangerous: IP_FREEBIND (binds, but sends from no
 * foreign address), SO_MARK and SO_BINDTODEVICE (another way to an address that
 * is judged all the same), IP_PKTINFO (a source address, that must be local).
 */

/* Packets go by way of somebody else, or carry what no layer reads. */
X(0, 4, IP_OPTIONS)
X(41, 5, IPV6_2292RTHDR)
X(41, 6, IPV6_2292PKTOPTIONS)
X(41, 32, IPV6_FLOWLABEL_MGR) /* a label brings its own routing header */
X(41, 54, IPV6_HOPOPTS)
X(41, 55, IPV6_RTHDRDSTOPTS)
X(41, 57, IPV6_RTHDR)
X(41, 59, IPV6_DSTOPTS)

/* They are wrapped into packets to another address. */
X(0, 16, IP_IPSEC_POLICY)
X(0, 17, IP_XFRM_POLICY)
X(41, 34, IPV6_IPSEC_POLICY)
X(41, 35, IPV6_XFRM_POLICY)

/* The kernel itself sends group and source addresses of the caller's choice,
 * in IGMP and MLD, from no socket that a layer could see. */
X(0, 35, IP_ADD_MEMBERSHIP)
X(0, 36, IP_DROP_MEMBERSHIP)
X(0, 37, IP_UNBLOCK_SOURCE)
X(0, 38, IP_BLOCK_SOURCE)
X(0, 39, IP_ADD_SOURCE_MEMBERSHIP)
X(0, 40, IP_DROP_SOURCE_MEMBERSHIP)
X(0, 41, IP_MSFILTER)
X(0, 42, MCAST_JOIN_GROUP)
X(0, 43, MCAST_BLOCK_SOURCE)
X(0, 44, MCAST_UNBLOCK_SOURCE)
X(0, 45, MCAST_LEAVE_GROUP)
X(0, 46, MCAST_JOIN_SOURCE_GROUP)
X(0, 47, MCAST_LEAVE_SOURCE_GROUP)
X(0, 48, MCAST_MSFILTER)
X(41, 20, IPV6_JOIN_GROUP)
X(41, 21, IPV6_LEAVE_GROUP)
X(41, 27, IPV6_JOIN_ANYCAST)
X(41, 28, IPV6_LEAVE_ANYCAST)
X(41, 42, MCAST_JOIN_GROUP)
X(41, 43, MCAST_BLOCK_SOURCE)
X(41, 44, MCAST_UNBLOCK_SOURCE)
X(41, 45, MCAST_LEAVE_GROUP)
X(41, 46, MCAST_JOIN_SOURCE_GROUP)
X(41, 47, MCAST_LEAVE_SOURCE_GROUP)
X(41, 48, MCAST_MSFILTER)

/* It answers at, and sends from, addresses that are not this machine's. */
X(0, 19, IP_TRANSPARENT)
X(41, 75, IPV6_TRANSPARENT)

/* A connection without its handshake, whose SYN would have been judged. */
X(6, 19, TCP_REPAIR)
/* Another transport below the same socket (SMC goes by RDMA); "tls" may be. */
X(6, 31, TCP_ULP)
/* What comes is taken before the packet layer sees it. */
X(17, 100, UDP_ENCAP)
