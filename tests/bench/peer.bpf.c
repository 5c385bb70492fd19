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

SEC("cgroup_skb/egress")
int idle_egress(struct __sk_buff *skb)
{
	return ZG_PASS;
}

SEC("cgroup_skb/ingress")
int idle_ingress(struct __sk_buff *skb)
{
	return ZG_PASS;
}

SEC("cgroup/connect4")
int idle_connect(struct bpf_sock_addr *ctx)
{
	return ZG_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
