/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * create.bpf.h - layer 1, socket(): a governed task opens TCP and UDP sockets
 * and no others, because the layers above judge no others. The hook sees
 * AF_INET and AF_INET6 only: AF_UNIX, AF_NETLINK, AF_PACKET and AF_VSOCK
 * sockets do not pass here.
 */
#ifndef ZG_CREATE_BPF_H
#define ZG_CREATE_BPF_H

#include "task.bpf.h"

/* The kernel has put the protocol in the place of 0 by now. */
static __always_inline bool zg_socket_known(const struct bpf_sock *sk)
{
	return (sk->type == SOCK_STREAM && sk->protocol == IPPROTO_TCP) ||
	       (sk->type == SOCK_DGRAM && sk->protocol == IPPROTO_UDP);
}

static __noinline int zg_refuse_socket(struct bpf_sock *sk)
{
	struct zg_dest d = {.refused = ZG_GR_PROTOCOL};
	struct zg_answer a = {};

	if (sk->family == AF_INET)
		zg_set_v4(&d.addr, 0);
	d.proto = sk->protocol > ZG_PROTO_MAX ? 0 : sk->protocol;
	zg_judge(&d, &a);
	if (a.profile == ZG_PROFILE_NONE)
		return ZG_PASS;
	return zg_answer_in(bpf_get_netns_cookie(sk), &d, &a, ZG_L_CREATE);
}

SEC("cgroup/sock_create")
int zg_create(struct bpf_sock *sk)
{
	return zg_socket_known(sk) ? ZG_PASS : zg_refuse_socket(sk);
}

#endif
