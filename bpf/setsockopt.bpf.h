/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * setsockopt.bpf.h - layer 2, setsockopt(): a governed task sets no option of
 * tbl/socket_option.h. All others, and everybody else's, keep the caller's own
 * bytes. Not seen: calls by the 32-bit system call table of a 64-bit kernel,
 * which has no hook, and sockets made outside the attach point.
 */
#ifndef ZG_SETSOCKOPT_BPF_H
#define ZG_SETSOCKOPT_BPF_H

#include "task.bpf.h"

#define ZG_OPTION(level, number) ((__u32)(level) << 16 | (number))
#define ZG_TCP_ULP		 ZG_OPTION(IPPROTO_TCP, 31)

static __always_inline bool zg_option_known(__u32 option)
{
	switch (option) {
#define X(level, number, name) case ZG_OPTION(level, number):
#include "tbl/socket_option.h"
#undef X
		return true;
	}
	return false;
}

/* The kernel then takes the bytes that were read here, whatever the caller
 * makes of its own meanwhile. */
static __always_inline bool zg_is_tls(struct bpf_sockopt *ctx)
{
	const char *name = ctx->optval;

	return (const void *)(name + 3) <= ctx->optval_end && ctx->optlen == 3 && name[0] == 't' &&
	       name[1] == 'l' && name[2] == 's';
}

static __noinline int zg_refuse_option(struct bpf_sockopt *ctx)
{
	struct zg_dest d = {.refused = ZG_GR_OPTION, .detail = ZG_OPTION(ctx->level, ctx->optname)};
	struct bpf_sock *sk = ctx->sk;
	struct zg_answer a = {};

	if (!sk)
		return ZG_EPERM;
	if (sk->family == AF_INET)
		zg_set_v4(&d.addr, 0);
	d.proto = sk->protocol > ZG_PROTO_MAX ? 0 : sk->protocol;
	zg_judge(&d, &a);
	if (a.profile == ZG_PROFILE_NONE)
		return ZG_PASS;
	return zg_answer_in(bpf_get_netns_cookie(ctx), &d, &a, ZG_L_SETSOCKOPT);
}

SEC("cgroup/setsockopt")
int zg_setsockopt(struct bpf_sockopt *ctx)
{
	__u32 level = ctx->level, number = ctx->optname;
	__u32 option = ZG_OPTION(level, number);

	if (level < 1 << 16 && number < 1 << 16 && zg_option_known(option)) {
		/* read again: Linux 6.1 would follow each known option by itself */
		barrier();
		if (ZG_OPTION(ctx->level, ctx->optname) == ZG_TCP_ULP && zg_is_tls(ctx))
			return ZG_PASS;
		if (zg_refuse_option(ctx) == ZG_EPERM)
			return ZG_EPERM;
	}
	ctx->optlen = 0; /* not our copy, which has a page at most */
	return ZG_PASS;
}

#endif
