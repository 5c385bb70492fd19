/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * thief.bpf.h - layer 3, on the way in: where the gateway listens, the listener
 * is the agent's own. While the agent is away its port is free for any process
 * of the machine, governed or not, and redirected clients still dial it. The
 * socket itself is compared, by its cookie, so nothing that looks like it will do.
 */
#ifndef ZG_THIEF_BPF_H
#define ZG_THIEF_BPF_H

#include "event.bpf.h"

/* Programs of this kind have no helper for it before Linux 6.15, nor one that
 * takes a UDP socket: its address is read from where it was put. */
static __always_inline __u64 zg_netns_of(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;
	const struct sock *at = NULL;

	if (!sk || bpf_probe_read_kernel(&at, sizeof(at), &sk))
		return 0;
	return BPF_CORE_READ(at, __sk_common.skc_net.net, net_cookie);
}

static __always_inline bool zg_read_daddr(struct __sk_buff *skb, union zg_in *to)
{
	__u32 v4;

	if (skb->protocol != bpf_htons(ETH_P_IP))
		return !bpf_skb_load_bytes(skb, offsetof(struct ipv6hdr, daddr), to, sizeof(*to));
	if (bpf_skb_load_bytes(skb, offsetof(struct iphdr, daddr), &v4, sizeof(v4)))
		return false;
	zg_set_v4(to, v4);
	return true;
}

/* Of a packet that comes to a listener; true with d and a filled: it must not. */
static __always_inline bool zg_is_thief(struct __sk_buff *skb, struct zg_dest *d,
					struct zg_answer *a)
{
	bool v4 = skb->protocol == bpf_htons(ETH_P_IP);
	const struct zg_ctl *ctl = zg_get_ctl();
	struct bpf_sock *sk = skb->sk;

	if (!sk || !ctl)
		return false;
	d->wire_port_be = bpf_htons(sk->src_port);
	d->port_be = d->wire_port_be;
	if (d->port_be != ZG_READ_ONCE(*(v4 ? &ctl->gateway4_port_be : &ctl->gateway6_port_be)) ||
	    !zg_read_daddr(skb, &d->wire) || !zg_is_gateway(ctl, d) ||
	    zg_netns_of(skb) != ctl->netns_cookie ||
	    bpf_get_socket_cookie(skb) ==
		    ZG_READ_ONCE(*(v4 ? &ctl->gateway4_cookie : &ctl->gateway6_cookie)))
		return false;
	d->addr = d->wire;
	d->proto = IPPROTO_TCP;
	*a = (struct zg_answer){.reason = ZG_GR_GATEWAY};
	return true;
}

#endif
