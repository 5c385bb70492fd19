/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * task.bpf.h - the verdict on what the current task is about to do, for the
 * hooks of its system calls.
 */
#ifndef ZG_TASK_BPF_H
#define ZG_TASK_BPF_H

#include "event.bpf.h"

/* Not static: the verifier judges it once, by itself, and not again with each
 * state of its callers, who have filled *a before. */
__noinline int zg_judge(struct zg_dest *d, struct zg_answer *a)
{
	return d && a ? zg_decide(ZG_TASK, NULL, d, a) : 0;
}

/* The same for a sock_addr hook that has filled d->wire. */
static __always_inline void zg_judge_ctx(struct bpf_sock_addr *ctx, struct zg_dest *d,
					 struct zg_answer *a)
{
	d->proto = ctx->protocol;
	d->port_be = ctx->user_port;
	d->wire_port_be = d->port_be;
	d->ways = ZG_WAY_OUT;
	if (d->proto == IPPROTO_UDP) { /* an answer, from a port that is served on */
		d->ways |= ZG_WAY_IN;
		d->local_port_be = bpf_htons(ctx->sk->src_port);
	}
	zg_canonicalise(d);
	zg_judge(d, a);
	d->rewrite = a->profile != ZG_PROFILE_NONE;
}

#endif
