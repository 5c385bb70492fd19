/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * resolve.bpf.h - layer 2, DNS: a question to whatever server goes to the
 * profile's own resolver on loopback, and the asker goes on seeing the server
 * that it named. Which socket it arrives at tells the resolver whose question it
 * is; the question itself is not looked at here.
 */
#ifndef ZG_RESOLVE_BPF_H
#define ZG_RESOLVE_BPF_H

#include "task.bpf.h"

/* Turn RESOLVE into ALLOW towards the resolver, or into DENY. */
static __noinline int zg_resolve(struct bpf_sock_addr *ctx, struct zg_dest *d, struct zg_answer *a)
{
	const struct zg_ctl *ctl = zg_get_ctl();
	struct zg_asked *s;

	a->verdict = ZG_V_DENY;
	a->reason = ZG_GR_NO_GATEWAY;
	if (!ctl || !a->dns_port_be)
		return 0;
	a->reason = ZG_GR_NETNS;
	if (bpf_get_netns_cookie(ctx) != ctl->netns_cookie)
		return 0;
	a->reason = ZG_GR_STATE;
	s = bpf_sk_storage_get(&zg_asked, ctx->sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!s)
		return 0;
	__builtin_memcpy(s->shown, d->wire.byte, sizeof(s->shown));
	s->port_be = d->port_be;
	s->resolver_port_be = a->dns_port_be;
	if (zg_is_v4(&d->wire)) {
		d->wire.word[3] = ZG_LOOPBACK;
	} else {
		__builtin_memset(d->wire.byte, 0, sizeof(d->wire));
		d->wire.byte[15] = 1;
	}
	d->wire_port_be = a->dns_port_be;
	a->verdict = ZG_V_ALLOW;
	a->reason = ZG_GR_NONE;
	return 0;
}

/* The resolver's own datagrams: answers, from a socket that the parent made and
 * marked, to this machine. */
static __always_inline bool zg_is_answer(struct bpf_sock_addr *ctx, const struct zg_dest *d,
					 const struct zg_answer *a)
{
	return a->profile == ZG_PROFILE_RESOLVER && zg_is_loopback(&d->wire) &&
	       bpf_sk_storage_get(&zg_answers, ctx->sk, 0, 0);
}

/* What a socket is told of a peer that is its resolver; NULL: the truth. */
static __always_inline const struct zg_asked *zg_asked_of(struct bpf_sock_addr *ctx)
{
	const struct zg_asked *s = bpf_sk_storage_get(&zg_asked, ctx->sk, 0, 0);

	return s && s->resolver_port_be == (__u16)ctx->user_port ? s : NULL;
}

static __always_inline void zg_show_asked4(struct bpf_sock_addr *ctx)
{
	const struct zg_asked *s = zg_asked_of(ctx);

	if (!s || ctx->user_ip4 != ZG_LOOPBACK)
		return;
	ctx->user_ip4 = ((const union zg_in *)s->shown)->word[3];
	ctx->user_port = s->port_be;
}

static __always_inline void zg_show_asked6(struct bpf_sock_addr *ctx)
{
	const struct zg_asked *s = zg_asked_of(ctx);
	union zg_in from;

	if (!s)
		return;
	zg_load6(&from, ctx);
	if (!zg_is_loopback(&from))
		return;
	zg_store6(ctx, (const union zg_in *)s->shown);
	ctx->user_port = s->port_be;
}

SEC("cgroup/recvmsg4")
int zg_recvmsg4(struct bpf_sock_addr *ctx)
{
	zg_show_asked4(ctx);
	return ZG_PASS;
}

SEC("cgroup/recvmsg6")
int zg_recvmsg6(struct bpf_sock_addr *ctx)
{
	zg_show_asked6(ctx);
	return ZG_PASS;
}

#endif
