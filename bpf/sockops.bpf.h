/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * sockops.bpf.h - publishes a redirected connection's origin under its 4-tuple
 * before the SYN leaves (the local port is known by then), and withdraws it
 * when the socket closes. Refuses nothing: a connection that could not be
 * published has no origin, and the gateway refuses those.
 */
#ifndef ZG_SOCKOPS_BPF_H
#define ZG_SOCKOPS_BPF_H

#include "event.bpf.h"

static __always_inline void zg_flow_of(struct bpf_sock_ops *ctx, struct zg_flow_key *k)
{
	union zg_in *src = (union zg_in *)k->src;
	union zg_in *dst = (union zg_in *)k->dst;

	if (ctx->family == AF_INET) {
		zg_set_v4(src, ctx->local_ip4);
		zg_set_v4(dst, ctx->remote_ip4);
	} else {
		src->word[0] = ctx->local_ip6[0];
		src->word[1] = ctx->local_ip6[1];
		src->word[2] = ctx->local_ip6[2];
		src->word[3] = ctx->local_ip6[3];
		dst->word[0] = ctx->remote_ip6[0];
		dst->word[1] = ctx->remote_ip6[1];
		dst->word[2] = ctx->remote_ip6[2];
		dst->word[3] = ctx->remote_ip6[3];
	}
	k->netns_cookie = bpf_get_netns_cookie(ctx);
	k->src_port_be = bpf_htons(ctx->local_port);
	k->dst_port_be = bpf_htons(bpf_ntohl(ctx->remote_port)); /* in the high half */
	k->pad = 0;
}

/* Programs of this kind know no task before Linux 6.15: the origin remembers. */
static __always_inline void zg_report_unpublished(const struct zg_origin *o)
{
	struct zg_answer a = {.profile = o->profile, .reason = ZG_GR_STATE};
	struct zg_dest d = {.proto = IPPROTO_TCP, .port_be = o->dst_port_be};
	struct zg_event *ev = zg_reserve(ZG_E_DENY);

	if (!ev)
		return;
	__builtin_memcpy(d.addr.byte, o->dst, sizeof(d.addr));
	zg_fill_event(ev, &d, &a, ZG_E_DENY, ZG_L_SOCKOPS);
	ev->cgroup_id = o->cgroup_id;
	ev->start_ns = o->start_ns;
	ev->netns_cookie = o->netns_cookie;
	ev->pid = o->pid;
	ev->uid = o->uid;
	ev->gid = o->gid;
	__builtin_memcpy(ev->comm, o->comm, sizeof(ev->comm));
	__builtin_memset(ev->cgroup_name, 0, sizeof(ev->cgroup_name));
	bpf_ringbuf_submit(ev, 0);
}

/* An origin is asked for where the gateway accepts, and nowhere else. */
static __always_inline bool zg_dials_gateway(struct bpf_sock_ops *ctx)
{
	__u16 port_be = bpf_htons(bpf_ntohl(ctx->remote_port));
	const struct zg_ctl *ctl = zg_get_ctl();

	return !ctl || port_be == ZG_READ_ONCE(ctl->gateway4_port_be) ||
	       port_be == ZG_READ_ONCE(ctl->gateway6_port_be);
}

static __always_inline void zg_publish(struct bpf_sock_ops *ctx)
{
	struct bpf_sock *sk = ctx->sk; /* read once, or the check is lost on the verifier */
	struct zg_flow_key key = {};
	struct zg_sock *s;

	if (!sk)
		return;
	s = bpf_sk_storage_get(&zg_sock, sk, 0, 0);
	if (!s && !zg_dials_gateway(ctx)) /* the large table is rarely in any cache */
		return;
	zg_flow_of(ctx, &key);
	if (!s) {
		/* a port used before: nobody inherits the origin that it had */
		bpf_map_delete_elem(&zg_flow, &key);
		return;
	}
	if (bpf_map_update_elem(&zg_flow, &key, &s->origin, BPF_ANY)) {
		bpf_map_delete_elem(&zg_flow, &key);
		zg_report_unpublished(&s->origin);
		return;
	}
	if (bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG))
		bpf_map_delete_elem(&zg_flow, &key); /* could never be withdrawn */
}

static __always_inline void zg_withdraw(struct bpf_sock_ops *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	struct zg_flow_key key = {};

	if (!sk || !bpf_sk_storage_get(&zg_sock, sk, 0, 0))
		return;
	zg_flow_of(ctx, &key);
	bpf_map_delete_elem(&zg_flow, &key);
}

SEC("sockops")
int zg_sockops(struct bpf_sock_ops *ctx)
{
	switch (ctx->op) {
	case BPF_SOCK_OPS_TCP_CONNECT_CB:
		zg_publish(ctx);
		break;
	case BPF_SOCK_OPS_STATE_CB:
		if (ctx->args[1] == BPF_TCP_CLOSE)
			zg_withdraw(ctx);
		break;
	}
	return 1;
}

#endif
