/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * lsm_unix.bpf.h - security hooks, unix sockets: judged by the name that the
 * other socket was bound to, so that a link or a mount at an allowed path leads
 * to no other socket. A socket without a name is one end of a pair. One that
 * was bound by a relative path is refused: it is not known where that was.
 */
#ifndef ZG_LSM_UNIX_BPF_H
#define ZG_LSM_UNIX_BPF_H

#include "lsm.bpf.h"

struct sockaddr_un {
	__u16 sun_family;
	char sun_path[ZG_SUN_PATH_MAX];
};

struct unix_address {
	int len; /* sun_family included */
	struct sockaddr_un name[];
} __attribute__((preserve_access_index));

struct unix_sock {
	struct unix_address *addr;
} __attribute__((preserve_access_index));

static __always_inline bool zg_governed(void)
{
	const struct zg_ctl *ctl = zg_get_ctl();

	return !ctl || zg_profile_of(ZG_TASK, NULL, ZG_READ_ONCE(ctl->epoch) & 1);
}

/* That of unix.bpf.h, but static: until 6.7, which that one needs anyway, a map
 * takes no key from what a global function was given, as n->key is. */
static __noinline int zg_judge_named(struct zg_sun *n, struct zg_dest *d, struct zg_answer *a)
{
	return n ? zg_decide(ZG_TASK, n, d, a) : 0;
}

static __always_inline int zg_judge_peer(const struct sock *other)
{
	const struct unix_address *addr = BPF_CORE_READ((const struct unix_sock *)other, addr);
	struct zg_dest d = {};
	struct zg_answer a = {};
	struct zg_sun n;

	if (!addr || !zg_governed())
		return ZG_LSM_PASS;
	if (!zg_read_sun(&n, (const void *)addr + bpf_core_field_offset(struct unix_address, name),
			 BPF_CORE_READ(addr, len)))
		d.refused = ZG_GR_UNIX;
	zg_judge_named(&n, &d, &a);
	if (a.profile == ZG_PROFILE_NONE)
		return ZG_LSM_PASS;
	return zg_lsm_answer(&d, &a, AF_UNIX, n.key.path);
}

SEC("lsm/unix_stream_connect")
int BPF_PROG(zg_lsm_ustream, struct sock *sock, struct sock *other, struct sock *new, int ret)
{
	return ret ? ret : zg_judge_peer(other);
}

SEC("lsm/unix_may_send")
int BPF_PROG(zg_lsm_udgram, struct socket *sock, struct socket *other, int ret)
{
	return ret ? ret : zg_judge_peer(BPF_CORE_READ(other, sk));
}

#endif
