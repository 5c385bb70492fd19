/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * peername.bpf.h - a client redirected to the gateway or its resolver that asks
 * for its peer is told the address that it dialled, as it wrote it. Never refuses anything.
 */
#ifndef ZG_PEERNAME_BPF_H
#define ZG_PEERNAME_BPF_H

#include "resolve.bpf.h"

static __always_inline const struct zg_sock *zg_redirected(struct bpf_sock_addr *ctx)
{
	const struct zg_sock *s = bpf_sk_storage_get(&zg_sock, ctx->sk, 0, 0);

	return s && s->origin.transparent ? s : NULL;
}

SEC("cgroup/getpeername4")
int zg_getpeername4(struct bpf_sock_addr *ctx)
{
	const struct zg_sock *s = zg_redirected(ctx);

	if (s) {
		ctx->user_ip4 = ((const union zg_in *)s->shown)->word[3];
		ctx->user_port = s->origin.dst_port_be;
	} else {
		zg_show_asked4(ctx);
	}
	return ZG_PASS;
}

SEC("cgroup/getpeername6")
int zg_getpeername6(struct bpf_sock_addr *ctx)
{
	const struct zg_sock *s = zg_redirected(ctx);

	if (s) {
		zg_store6(ctx, (const union zg_in *)s->shown);
		ctx->user_port = s->origin.dst_port_be;
	} else {
		zg_show_asked6(ctx);
	}
	return ZG_PASS;
}

#endif
