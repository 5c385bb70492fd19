/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * lsm_socket.bpf.h - security hooks, sockets. Families that no layer judges are
 * not opened. A socket from another cgroup (inherited or passed) is judged by
 * who uses it now: the cgroup hooks and the packets know only who made it.
 *
 * Of netlink, the routing family alone: getaddrinfo() and getifaddrs() need it,
 * it configures and tells, and an unprivileged user cannot send through it to
 * another process. NETLINK_USERSOCK is a channel between processes, and the
 * others reach subsystems that a workload does not need. The kernel's crypto
 * interface (AF_ALG) carries nothing away, but is not needed either.
 */
#ifndef ZG_LSM_SOCKET_BPF_H
#define ZG_LSM_SOCKET_BPF_H

#include "lsm.bpf.h"

#define ZG_TCP_ZEROCOPY_RECEIVE 35

static __always_inline bool zg_family_known(__u32 family, __u32 protocol)
{
	return family == AF_INET || family == AF_INET6 || family == AF_UNIX ||
	       (family == AF_NETLINK && protocol == NETLINK_ROUTE);
}

static __always_inline bool zg_sock_known(const struct sock *sk)
{
	return zg_family_known(BPF_CORE_READ(sk, __sk_common.skc_family),
			       BPF_CORE_READ(sk, sk_protocol));
}

static __always_inline bool zg_sock_inet(const struct sock *sk)
{
	__u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);

	return family == AF_INET || family == AF_INET6;
}

/* Was it made in another cgroup than the one that uses it? */
static __always_inline bool zg_sock_foreign(const struct sock *sk)
{
	return BPF_CORE_READ(sk, sk_cgrp_data.cgroup, kn, id) != bpf_get_current_cgroup_id();
}

/* Who the socket is connected to; false: to nobody. */
static __always_inline bool zg_peer_of(const struct sock *sk, struct zg_dest *d)
{
	d->port_be = BPF_CORE_READ(sk, __sk_common.skc_dport);
	if (!d->port_be)
		return false;
	if (BPF_CORE_READ(sk, __sk_common.skc_family) == AF_INET)
		zg_set_v4(&d->wire, BPF_CORE_READ(sk, __sk_common.skc_daddr));
	else
		bpf_core_read(&d->wire, sizeof(d->wire), &sk->__sk_common.skc_v6_daddr);
	return true;
}

struct zg_name { /* the part of sockaddr_in and sockaddr_in6 that says where to */
	__u16 family;
	__u16 port_be;
	__u32 v4_or_flow;
	__u8 v6[16];
};

/* Where an address in kernel memory points; false: nowhere. */
static __always_inline bool zg_name_of(const void *addr, __u32 bytes, struct zg_dest *d)
{
	struct zg_name n = {};

	if (bytes < 8 || bpf_probe_read_kernel(&n, 8, addr))
		return false;
	d->port_be = n.port_be;
	if (n.family == AF_INET) {
		zg_set_v4(&d->wire, n.v4_or_flow);
		return true;
	}
	if (n.family != AF_INET6 || bytes < sizeof(n) || bpf_probe_read_kernel(&n, sizeof(n), addr))
		return false;
	__builtin_memcpy(d->wire.byte, n.v6, sizeof(n.v6));
	return true;
}

/* What is registered: between client and gateway, nowhere else. */
static __always_inline void zg_lsm_redirected(const struct sock *sk, const struct zg_dest *d,
					      struct zg_answer *a)
{
	const struct zg_ctl *ctl = zg_get_ctl();

	a->verdict = ZG_V_DENY;
	a->reason = ZG_GR_DIRECT;
	if (!ctl || d->proto != IPPROTO_TCP || !zg_is_gateway(ctl, d))
		return;
	a->reason = ZG_GR_NETNS;
	if (BPF_CORE_READ(sk, __sk_common.skc_net.net, net_cookie) != ctl->netns_cookie)
		return;
	a->verdict = ZG_V_ALLOW;
	a->reason = ZG_GR_NONE;
}

enum zg_use { ZG_USE_CONNECT, ZG_USE_TALK, ZG_USE_TAKE };

/* d->wire and d->port_be say whom the current task is about to reach. */
static __noinline int zg_judge_use(const struct sock *sk, struct zg_dest *d, enum zg_use use)
{
	struct zg_answer a = {};

	d->proto = BPF_CORE_READ(sk, sk_protocol);
	d->ways = ZG_WAY_OUT;
	if (use != ZG_USE_CONNECT) { /* or it was accepted, or answers */
		d->ways |= ZG_WAY_IN;
		d->local_port_be = bpf_htons(BPF_CORE_READ(sk, __sk_common.skc_num));
	}
	zg_canonicalise(d);
	zg_judge(d, &a);
	if (a.profile == ZG_PROFILE_NONE || zg_is_agent(a.profile))
		return ZG_LSM_PASS;
	if (a.verdict == ZG_V_REDIRECT && use == ZG_USE_CONNECT)
		return ZG_LSM_PASS; /* connect() is rewritten after this hook */
	if (a.verdict == ZG_V_REDIRECT && use == ZG_USE_TALK)
		zg_lsm_redirected(sk, d, &a);
	if (a.verdict == ZG_V_REDIRECT)
		a.verdict = ZG_V_DENY; /* the gateway knows it as another's */
	if (a.verdict == ZG_V_DENY && use == ZG_USE_TAKE && a.reason != ZG_GR_CONTAINED)
		a.reason = ZG_GR_PASSED;
	return zg_lsm_answer(d, &a, 0, NULL);
}

/* hooks ---------------------------------------------------------------------- */

SEC("lsm/socket_create")
int BPF_PROG(zg_lsm_create, int family, int type, int protocol, int kern, int ret)
{
	if (ret || kern || zg_family_known(family, protocol))
		return ret;
	return zg_lsm_refuse(ZG_GR_SOCKET, family, NULL);
}

SEC("lsm/socket_connect")
int BPF_PROG(zg_lsm_connect, struct socket *sock, void *addr, int bytes, int ret)
{
	const struct sock *sk = BPF_CORE_READ(sock, sk);
	struct zg_dest d = {};

	if (ret || !zg_sock_foreign(sk))
		return ret;
	if (!zg_sock_known(sk))
		return zg_lsm_refuse(ZG_GR_SOCKET, BPF_CORE_READ(sk, __sk_common.skc_family), NULL);
	if (!zg_sock_inet(sk) || !zg_name_of(addr, bytes, &d))
		return ZG_LSM_PASS; /* AF_UNSPEC lets go of a peer */
	return zg_judge_use(sk, &d, ZG_USE_CONNECT);
}

static __always_inline int zg_lsm_talk(const struct sock *sk)
{
	struct zg_dest d = {};

	if (!zg_sock_known(sk))
		return zg_lsm_refuse(ZG_GR_SOCKET, BPF_CORE_READ(sk, __sk_common.skc_family), NULL);
	if (!zg_sock_inet(sk) || !zg_peer_of(sk, &d))
		return ZG_LSM_PASS;
	return zg_judge_use(sk, &d, ZG_USE_TALK);
}

/* A message may name its destination, and the socket may have a peer all the
 * same: both are judged. */
SEC("lsm/socket_sendmsg")
int BPF_PROG(zg_lsm_sendmsg, struct socket *sock, struct msghdr *msg, int bytes, int ret)
{
	const struct sock *sk = BPF_CORE_READ(sock, sk);
	struct zg_dest d = {};
	int named = BPF_CORE_READ(msg, msg_namelen);
	const void *name = BPF_CORE_READ(msg, msg_name);

	if (ret || !zg_sock_foreign(sk))
		return ret;
	if (name && named > 0 && zg_sock_inet(sk) && zg_name_of(name, named, &d)) {
		ret = zg_judge_use(sk, &d, ZG_USE_TALK);
		if (ret)
			return ret;
	}
	return zg_lsm_talk(sk);
}

SEC("lsm/socket_recvmsg")
int BPF_PROG(zg_lsm_recvmsg, struct socket *sock, struct msghdr *msg, int bytes, int flags, int ret)
{
	const struct sock *sk = BPF_CORE_READ(sock, sk);

	if (ret || !zg_sock_foreign(sk))
		return ret;
	return zg_lsm_talk(sk);
}

/* read() and write() end in the hooks above; splice() does not when it receives,
 * and neither it nor sendfile() when they send, before 6.5. */
SEC("lsm/file_permission")
int BPF_PROG(zg_lsm_file, struct file *file, int mask, int ret)
{
	struct socket *sock = bpf_sock_from_file(file);
	const struct sock *sk;

	if (ret || !sock)
		return ret;
	sk = BPF_CORE_READ(sock, sk);
	return sk && zg_sock_foreign(sk) ? zg_lsm_talk(sk) : ZG_LSM_PASS;
}

/* TCP_ZEROCOPY_RECEIVE receives. */
SEC("lsm/socket_getsockopt")
int BPF_PROG(zg_lsm_getsockopt, struct socket *sock, int level, int option, int ret)
{
	const struct sock *sk = BPF_CORE_READ(sock, sk);

	if (ret || level != IPPROTO_TCP || option != ZG_TCP_ZEROCOPY_RECEIVE)
		return ret;
	return zg_sock_foreign(sk) ? zg_lsm_talk(sk) : ZG_LSM_PASS;
}

/* Passed through a unix socket, or taken by pidfd_getfd(). What has no peer yet
 * is judged when it is used. */
SEC("lsm/file_receive")
int BPF_PROG(zg_lsm_receive, struct file *file, int ret)
{
	struct socket *sock = bpf_sock_from_file(file);
	const struct sock *sk;
	struct zg_dest d = {};

	if (ret || !sock)
		return ret;
	sk = BPF_CORE_READ(sock, sk);
	if (!zg_sock_known(sk))
		return zg_lsm_refuse(ZG_GR_SOCKET, BPF_CORE_READ(sk, __sk_common.skc_family), NULL);
	if (!zg_sock_inet(sk) || !zg_sock_foreign(sk) || !zg_peer_of(sk, &d))
		return ZG_LSM_PASS;
	return zg_judge_use(sk, &d, ZG_USE_TAKE);
}

#endif
