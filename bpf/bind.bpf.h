/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * bind.bpf.h - layer 2, bind(): a governed task may choose an address to dial
 * from, and a port to be dialled at where its profile listens. The agent's own
 * ports are refused in audit mode too: whoever had one would be given other
 * clients' calls or questions. A listen() without bind() does not pass here;
 * layer 3 judges who dials it.
 */
#ifndef ZG_BIND_BPF_H
#define ZG_BIND_BPF_H

#include "task.bpf.h"

static __always_inline bool zg_gateway_port(__u32 proto, __u16 port_be)
{
	const struct zg_ctl *ctl = zg_get_ctl();

	return ctl && proto == IPPROTO_TCP &&
	       (port_be == ZG_READ_ONCE(ctl->gateway4_port_be) ||
		port_be == ZG_READ_ONCE(ctl->gateway6_port_be));
}

static __noinline int zg_gate_bind(struct bpf_sock_addr *ctx, struct zg_dest *d)
{
	struct zg_answer a = {};

	d->proto = ctx->protocol;
	d->port_be = ctx->user_port;
	d->ways = ZG_WAY_BIND;
	zg_judge(d, &a);
	if (a.profile == ZG_PROFILE_NONE)
		return ZG_PASS;
	if (zg_gateway_port(d->proto, d->port_be) ||
	    ((a.audit || a.verdict != ZG_V_DENY) && zg_resolver_port(a.slot, d->port_be))) {
		a.verdict = ZG_V_DENY;
		a.reason = ZG_GR_GATEWAY;
		a.audit = 0;
	}
	return zg_answer_of(ctx, d, &a, ZG_L_BIND);
}

SEC("cgroup/bind4")
int zg_bind4(struct bpf_sock_addr *ctx)
{
	struct zg_dest d = {};

	if (!ctx->user_port)
		return ZG_PASS;
	zg_set_v4(&d.addr, ctx->user_ip4);
	return zg_gate_bind(ctx, &d);
}

SEC("cgroup/bind6")
int zg_bind6(struct bpf_sock_addr *ctx)
{
	struct zg_dest d = {};

	if (!ctx->user_port)
		return ZG_PASS;
	zg_load6(&d.addr, ctx);
	return zg_gate_bind(ctx, &d);
}

#endif
