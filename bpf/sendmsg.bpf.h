/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * sendmsg.bpf.h - layer 2, UDP datagrams that name a destination. Judged per
 * message: no verdict is ever kept with the socket. A v4-mapped destination on
 * an IPv6 socket arrives at sendmsg4.
 */
#ifndef ZG_SENDMSG_BPF_H
#define ZG_SENDMSG_BPF_H

#include "resolve.bpf.h"

static __always_inline int zg_gate_sendmsg(struct bpf_sock_addr *ctx, struct zg_dest *d,
					   struct zg_answer *a)
{
	zg_judge_ctx(ctx, d, a);
	if (a->profile == ZG_PROFILE_NONE)
		return ZG_PASS;
	if (a->verdict == ZG_V_REDIRECT) { /* the gateway has no datagram listener */
		a->verdict = ZG_V_DENY;
		a->reason = ZG_GR_NO_GATEWAY;
	} else if (a->verdict == ZG_V_RESOLVE) {
		zg_resolve(ctx, d, a);
	} else if (zg_is_answer(ctx, d, a)) {
		return ZG_PASS;
	}
	return zg_answer_of(ctx, d, a, ZG_L_SENDMSG);
}

static __noinline int zg_send4(struct bpf_sock_addr *ctx, __u64 stamp, __u32 profile)
{
	struct zg_answer a = zg_answer_to(stamp, profile);
	struct zg_dest d = {};
	int answer;

	zg_set_v4(&d.wire, ctx->user_ip4);
	answer = zg_gate_sendmsg(ctx, &d, &a);
	if (d.rewrite) {
		ctx->user_ip4 = d.wire.word[3];
		ctx->user_port = d.wire_port_be;
	}
	return answer;
}

static __noinline int zg_send6(struct bpf_sock_addr *ctx, __u64 stamp, __u32 profile)
{
	struct zg_answer a = zg_answer_to(stamp, profile);
	struct zg_dest d = {};
	int answer;

	zg_load6(&d.wire, ctx);
	answer = zg_gate_sendmsg(ctx, &d, &a);
	if (d.rewrite) {
		zg_store6(ctx, &d.wire);
		ctx->user_port = d.wire_port_be;
	}
	return answer;
}

SEC("cgroup/sendmsg4")
int zg_sendmsg4(struct bpf_sock_addr *ctx)
{
	struct zg_met met;

	return zg_is_free(ZG_TASK, ctx, &met) ? ZG_PASS : zg_send4(ctx, met.stamp, met.profile);
}

SEC("cgroup/sendmsg6")
int zg_sendmsg6(struct bpf_sock_addr *ctx)
{
	struct zg_met met;

	return zg_is_free(ZG_TASK, ctx, &met) ? ZG_PASS : zg_send6(ctx, met.stamp, met.profile);
}

#endif
