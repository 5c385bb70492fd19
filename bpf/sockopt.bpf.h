/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * sockopt.bpf.h - answers (ZG_SOL, ZG_SO_ORIGIN) on an accepted connection
 * with its client's origin, so that the gateway needs no bpf(). Runs for every
 * getsockopt below the attach point: anything else leaves at once, unchanged.
 */
#ifndef ZG_SOCKOPT_BPF_H
#define ZG_SOCKOPT_BPF_H

#include "verdict.bpf.h"

#define ZG_OPTVAL_MAX 4096 /* the kernel's own bound is its page size */

/* The client's view of this connection: our two ends, swapped. */
static __always_inline int zg_flow_of_peer(struct bpf_sockopt *ctx, struct zg_flow_key *k)
{
	union zg_in *src = (union zg_in *)k->src;
	union zg_in *dst = (union zg_in *)k->dst;
	struct bpf_sock *sk = ctx->sk;

	if (!sk)
		return -1;
	if (sk->family == AF_INET) {
		zg_set_v4(src, sk->dst_ip4);
		zg_set_v4(dst, sk->src_ip4);
	} else {
		src->word[0] = sk->dst_ip6[0];
		src->word[1] = sk->dst_ip6[1];
		src->word[2] = sk->dst_ip6[2];
		src->word[3] = sk->dst_ip6[3];
		dst->word[0] = sk->src_ip6[0];
		dst->word[1] = sk->src_ip6[1];
		dst->word[2] = sk->src_ip6[2];
		dst->word[3] = sk->src_ip6[3];
	}
	k->netns_cookie = bpf_get_netns_cookie(ctx);
	k->src_port_be = sk->dst_port;
	k->dst_port_be = bpf_htons(sk->src_port);
	return 0;
}

static __always_inline void zg_answer_origin(struct bpf_sockopt *ctx)
{
	struct zg_origin *out = ctx->optval;
	struct zg_flow_key key = {};
	const struct zg_origin *o;

	if ((void *)(out + 1) > ctx->optval_end || zg_flow_of_peer(ctx, &key))
		return;
	o = bpf_map_lookup_elem(&zg_flow, &key);
	if (!o)
		return;
	__builtin_memcpy(out, o, sizeof(*out));
	ctx->optlen = sizeof(*out);
	barrier();	 /* merged into one store of 8 bytes, the verifier refuses both */
	ctx->retval = 0; /* the kernel itself had said ENOPROTOOPT */
}

SEC("cgroup/getsockopt")
int zg_getsockopt(struct bpf_sockopt *ctx)
{
	if (ctx->level == ZG_SOL && ctx->optname == ZG_SO_ORIGIN)
		zg_answer_origin(ctx);
	else if (ctx->optlen > ZG_OPTVAL_MAX)
		ctx->optlen = 0; /* the kernel's answer is larger than our copy: keep it */
	return 1;
}

#endif
