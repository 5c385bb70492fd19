/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * connect.bpf.h - layer 2, connect(): refuse, let pass, or redirect to the
 * gateway. A redirected socket carries its origin in socket storage; every
 * other connect() removes it, so that an origin never outlives its purpose.
 */
#ifndef ZG_CONNECT_BPF_H
#define ZG_CONNECT_BPF_H

#include "resolve.bpf.h"

static __always_inline void zg_fill_origin(struct zg_sock *s, const struct zg_dest *d,
					   const struct zg_answer *a)
{
	__u64 ids = bpf_get_current_uid_gid();
	struct zg_origin *o = &s->origin;
	struct zg_exe exe = zg_exe_of_task();
	struct zg_task task;

	zg_read_task(&task);
	o->cgroup_id = bpf_get_current_cgroup_id();
	o->start_ns = task.start_ns;
	o->pid = bpf_get_current_pid_tgid() >> 32;
	o->uid = ids;
	o->gid = ids >> 32;
	o->profile = a->profile;
	o->dst_port_be = d->port_be;
	o->exe_dev = exe.dev;
	o->exe_ino = exe.ino;
	__builtin_memcpy(o->dst, d->addr.byte, sizeof(o->dst));
	__builtin_memcpy(o->comm, task.comm, sizeof(o->comm));
	__builtin_memcpy(s->shown, d->wire.byte, sizeof(s->shown));
}

/* What survives a reload: the ids of the next generation may be others. */
static __always_inline bool zg_name_profile(struct zg_origin *o, const struct zg_answer *a)
{
	__u32 index = a->slot * ZG_PROFILES_MAX + a->profile;
	const struct zg_profile *p = bpf_map_lookup_elem(&zg_profile, &index);

	if (!p)
		return false;
	__builtin_memcpy(o->profile_name, p->name, sizeof(o->profile_name));
	return true;
}

/*
 * Turn REDIRECT into ALLOW towards the gateway's listener, or into DENY. The
 * listener has the family of the wire address, so a v4-mapped destination
 * stays v4-mapped and works on any IPv6 socket. Dialling the listener itself
 * is attested too, with the destination left as it is.
 */
static __noinline int zg_redirect(struct bpf_sock_addr *ctx, struct zg_dest *d, struct zg_answer *a)
{
	const struct zg_ctl *ctl = zg_get_ctl();
	__u64 cookie = bpf_get_netns_cookie(ctx);
	const __u8 *to;
	struct zg_sock *s;
	__u16 port_be;

	a->verdict = ZG_V_DENY;
	a->reason = ZG_GR_NO_GATEWAY;
	if (!ctl || d->proto != IPPROTO_TCP)
		return 0;
	to = zg_is_v4(&d->wire) ? ctl->gateway4 : ctl->gateway6;
	port_be = ZG_READ_ONCE(
		*(zg_is_v4(&d->wire) ? &ctl->gateway4_port_be : &ctl->gateway6_port_be));
	if (!port_be)
		return 0;
	a->reason = ZG_GR_NETNS;
	if (cookie != ctl->netns_cookie)
		return 0;
	a->reason = ZG_GR_STATE;
	s = bpf_sk_storage_get(&zg_sock, ctx->sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!s || !zg_name_profile(&s->origin, a))
		return 0;
	zg_fill_origin(s, d, a);
	s->origin.netns_cookie = cookie;
	s->origin.family = ctx->family;
	s->origin.transparent = !(zg_same(&d->wire, to) && d->port_be == port_be);
	__builtin_memcpy(d->wire.byte, to, sizeof(d->wire));
	d->wire_port_be = port_be;
	a->verdict = ZG_V_ALLOW;
	a->reason = ZG_GR_NONE;
	zg_emit(d, a, cookie, ZG_E_REDIRECT, ZG_L_CONNECT);
	return 1;
}

/* Looked up first: to delete what is not there costs more. */
static __always_inline void zg_forget_origin(struct bpf_sock_addr *ctx)
{
	if (ctx->protocol == IPPROTO_TCP && bpf_sk_storage_get(&zg_sock, ctx->sk, 0, 0))
		bpf_sk_storage_delete(&zg_sock, ctx->sk);
}

/* d->wire is what was asked for; on return, where the connection goes. */
static __always_inline int zg_gate_connect(struct bpf_sock_addr *ctx, struct zg_dest *d,
					   struct zg_answer *a)
{
	int redirected = 0;

	zg_judge_ctx(ctx, d, a);
	if (a->verdict == ZG_V_REDIRECT)
		redirected = zg_redirect(ctx, d, a);
	else if (a->verdict == ZG_V_RESOLVE)
		zg_resolve(ctx, d, a);
	if (!redirected)
		zg_forget_origin(ctx);
	if (a->profile == ZG_PROFILE_NONE)
		return ZG_PASS;
	return zg_answer_of(ctx, d, a, ZG_L_CONNECT);
}

static __noinline int zg_dial4(struct bpf_sock_addr *ctx, __u64 stamp, __u32 profile)
{
	struct zg_answer a = zg_answer_to(stamp, profile);
	struct zg_dest d = {};
	int answer;

	zg_set_v4(&d.wire, ctx->user_ip4);
	answer = zg_gate_connect(ctx, &d, &a);
	if (d.rewrite) {
		ctx->user_ip4 = d.wire.word[3];
		ctx->user_port = d.wire_port_be;
	}
	return answer;
}

static __noinline int zg_dial6(struct bpf_sock_addr *ctx, __u64 stamp, __u32 profile)
{
	struct zg_answer a = zg_answer_to(stamp, profile);
	struct zg_dest d = {};
	int answer;

	zg_load6(&d.wire, ctx);
	answer = zg_gate_connect(ctx, &d, &a);
	if (d.rewrite) {
		zg_store6(ctx, &d.wire);
		ctx->user_port = d.wire_port_be;
	}
	return answer;
}

SEC("cgroup/connect4")
int zg_connect4(struct bpf_sock_addr *ctx)
{
	struct zg_met met;

	if (!zg_is_free(ZG_TASK, ctx, &met))
		return zg_dial4(ctx, met.stamp, met.profile);
	zg_forget_origin(ctx);
	return ZG_PASS;
}

SEC("cgroup/connect6")
int zg_connect6(struct bpf_sock_addr *ctx)
{
	struct zg_met met;

	if (!zg_is_free(ZG_TASK, ctx, &met))
		return zg_dial6(ctx, met.stamp, met.profile);
	zg_forget_origin(ctx);
	return ZG_PASS;
}

#endif
