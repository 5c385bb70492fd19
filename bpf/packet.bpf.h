/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * packet.bpf.h - layer 3, every packet of a governed socket, out and in, by the
 * address on the wire. It holds what no system call asks about: connections
 * older than their governing, withdrawn rules, routing headers, listeners. A
 * socket is its creator's cgroup's, whoever uses it now: a socket made outside
 * all governed cgroups passes. Keeps no verdict: each packet is asked anew.
 */
#ifndef ZG_PACKET_BPF_H
#define ZG_PACKET_BPF_H

#include "thief.bpf.h"

/* What is registered is on the wire between client and gateway, nowhere else. */
static __always_inline void zg_judge_redirected(struct __sk_buff *skb, const struct zg_dest *d,
						struct zg_answer *a)
{
	const struct zg_ctl *ctl = zg_get_ctl();

	a->verdict = ZG_V_DENY;
	a->reason = ZG_GR_DIRECT;
	if (!ctl || d->proto != IPPROTO_TCP)
		return;
	if (!zg_is_gateway(ctl, d))
		return;
	a->reason = ZG_GR_NETNS;
	if (zg_netns_of(skb) != ctl->netns_cookie)
		return;
	a->verdict = ZG_V_ALLOW;
	a->reason = ZG_GR_NONE;
}

/* The same between a profile and its resolver. */
static __always_inline void zg_judge_resolving(struct __sk_buff *skb, const struct zg_dest *d,
					       struct zg_answer *a)
{
	const struct zg_ctl *ctl = zg_get_ctl();

	a->verdict = ZG_V_DENY;
	a->reason = ZG_GR_RESOLVER;
	if (!ctl || !zg_is_resolver(d, a))
		return;
	a->reason = ZG_GR_NETNS;
	if (zg_netns_of(skb) != ctl->netns_cookie)
		return;
	a->verdict = ZG_V_ALLOW;
	a->reason = ZG_GR_NONE;
}

/* Which socket it was, so that exactly that one can be ended. */
static __always_inline void zg_fill_socket(struct __sk_buff *skb, struct zg_event *ev)
{
	union zg_in *local = (union zg_in *)ev->local;
	struct bpf_sock *sk = skb->sk;

	ev->cookie = bpf_get_socket_cookie(skb);
	ev->netns_cookie = zg_netns_of(skb);
	sk = sk ? bpf_sk_fullsock(sk) : NULL;
	if (!sk)
		return;
	ev->local_port_be = bpf_htons(sk->src_port);
	if (sk->family == AF_INET) {
		zg_set_v4(local, sk->src_ip4);
		return;
	}
	local->word[0] = sk->src_ip6[0];
	local->word[1] = sk->src_ip6[1];
	local->word[2] = sk->src_ip6[2];
	local->word[3] = sk->src_ip6[3];
}

/* False: there was no room for it, and that was counted. */
static __noinline bool zg_tell_packet(struct __sk_buff *skb, const struct zg_dest *d,
				      const struct zg_answer *a)
{
	__u32 kind = a->audit ? ZG_E_WOULD_DENY : ZG_E_DENY;
	struct zg_event *ev = zg_reserve(kind);

	if (!ev)
		return false;
	zg_fill_event(ev, d, a, kind, d->inbound ? ZG_L_INGRESS : ZG_L_EGRESS);
	ev->cgroup_id = bpf_skb_cgroup_id(skb);
	ev->uid = bpf_get_socket_uid(skb);
	ev->gid = 0;
	ev->pid = 0;
	ev->start_ns = 0;
	__builtin_memset(ev->comm, 0, sizeof(ev->comm));
	__builtin_memset(ev->cgroup_name, 0, sizeof(ev->cgroup_name));
	zg_fill_socket(skb, ev);
	bpf_ringbuf_submit(ev, 0);
	return true;
}

static __noinline int zg_refuse_packet(struct __sk_buff *skb, const struct zg_dest *d,
				       const struct zg_answer *a)
{
	if (!zg_told(d, a, bpf_skb_cgroup_id(skb)))
		zg_tell_packet(skb, d, a);
	return a->audit ? ZG_PASS : ZG_EPERM;
}

#include "shadow.bpf.h"

/* d->inbound is all that the caller has to say: the rest stands in the packet.
 * Not static: see zg_judge. */
__noinline int zg_judge_packet(struct __sk_buff *skb, struct zg_dest *d, struct zg_answer *a)
{
	return d && a ? zg_decide(ZG_PACKET, skb, d, a) : 0;
}

static __always_inline int zg_gate_packet(struct __sk_buff *skb, bool inbound, __u64 stamp,
					  __u32 profile)
{
	struct zg_dest d = {.inbound = inbound};
	struct zg_answer a = zg_answer_to(stamp, profile);

	zg_judge_packet(skb, &d, &a);
	if (a.profile == ZG_PROFILE_NONE)
		return ZG_PASS;
	if (a.verdict == ZG_V_REDIRECT) {
		zg_judge_redirected(skb, &d, &a);
		if (a.verdict == ZG_V_ALLOW)
			return ZG_PASS; /* the gateway looks at it */
	} else if (a.verdict == ZG_V_RESOLVE) {
		zg_judge_resolving(skb, &d, &a);
		if (a.verdict == ZG_V_ALLOW)
			return ZG_PASS; /* the resolver does */
	}
	if (d.reset)
		return ZG_PASS;
	if (a.verdict != ZG_V_ALLOW && zg_refuse_packet(skb, &d, &a) != ZG_PASS)
		return ZG_EPERM;
	return d.proto == IPPROTO_TCP ? zg_look_at(skb, &d, &a) : ZG_PASS;
}

static __noinline int zg_gate_out(struct __sk_buff *skb, __u64 stamp, __u32 profile)
{
	return zg_gate_packet(skb, false, stamp, profile);
}

static __noinline int zg_gate_in(struct __sk_buff *skb, __u64 stamp, __u32 profile)
{
	return zg_gate_packet(skb, true, stamp, profile);
}

static __noinline int zg_refuse_thief(struct __sk_buff *skb)
{
	struct zg_dest d = {.inbound = true};
	struct zg_answer a = {};

	return zg_is_thief(skb, &d, &a) ? zg_refuse_packet(skb, &d, &a) : ZG_PASS;
}

SEC("cgroup_skb/egress")
int zg_egress(struct __sk_buff *skb)
{
	struct zg_met met;

	return zg_is_free(ZG_PACKET, skb, &met) ? ZG_PASS
						: zg_gate_out(skb, met.stamp, met.profile);
}

SEC("cgroup_skb/ingress")
int zg_ingress(struct __sk_buff *skb)
{
	struct zg_met met;

	if (zg_is_listener(skb) && zg_refuse_thief(skb) == ZG_EPERM)
		return ZG_EPERM;
	return zg_is_free(ZG_PACKET, skb, &met) ? ZG_PASS : zg_gate_in(skb, met.stamp, met.profile);
}

#endif
