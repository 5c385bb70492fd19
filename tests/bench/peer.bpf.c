// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * peer.bpf.c - what peer_bench.c compares the gate with: programs that do
 * nothing, so that what the kernel takes for any program can be told from what
 * ours take; and the program that systemd makes for IPAddressDeny=any with
 * IPAddressAllow= (src/core/bpf-firewall.c): two tries, allow before deny.
 */
#include "kern.bpf.h"

#include <linux/ip.h>

#define ADDRESSES_MAX 1048576

struct lpm4 {
	__u32 prefixlen;
	__u32 addr;
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, ADDRESSES_MAX);
	__type(key, struct lpm4);
	__type(value, __u64);
} peer_allow SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, struct lpm4);
	__type(value, __u64);
} peer_deny SEC(".maps");

static __always_inline int peer_ask(struct __sk_buff *skb, __u32 at)
{
	struct lpm4 key = {.prefixlen = 32};

	if (skb->protocol != bpf_htons(ETH_P_IP))
		return ZG_PASS;
	if (bpf_skb_load_bytes(skb, at, &key.addr, sizeof(key.addr)))
		return ZG_EPERM;
	return bpf_map_lookup_elem(&peer_allow, &key) || !bpf_map_lookup_elem(&peer_deny, &key);
}

SEC("cgroup_skb/egress")
int peer_egress(struct __sk_buff *skb)
{
	return peer_ask(skb, offsetof(struct iphdr, daddr));
}

SEC("cgroup_skb/ingress")
int peer_ingress(struct __sk_buff *skb)
{
	return peer_ask(skb, offsetof(struct iphdr, saddr));
}

#define IDLE(name, section, context)                                                               \
	SEC(section)                                                                               \
	int idle_##name(struct context *ctx)                                                       \
	{                                                                                          \
		return ZG_PASS;                                                                    \
	}

IDLE(connect4, "cgroup/connect4", bpf_sock_addr)
IDLE(egress, "cgroup_skb/egress", __sk_buff)
IDLE(ingress, "cgroup_skb/ingress", __sk_buff)
IDLE(create, "cgroup/sock_create", bpf_sock)
IDLE(bind4, "cgroup/bind4", bpf_sock_addr)
IDLE(setsockopt, "cgroup/setsockopt", bpf_sockopt)
IDLE(getsockopt, "cgroup/getsockopt", bpf_sockopt)
IDLE(sockops, "sockops", bpf_sock_ops)

char LICENSE[] SEC("license") = "Dual BSD/GPL";
