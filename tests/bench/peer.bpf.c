// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * peer.bpf.c - programs that do nothing, so that peer_bench.c can tell what the
 * kernel takes for any program from what ours take.
 */
#include "kern.bpf.h"

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
