/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * grant.bpf.h - connections that a person has granted, to one executable: asked
 * only where the tables and the names have said nothing, and only of profiles
 * that may ask. A system call is judged by what its task executes. A packet has
 * no task: its socket is marked with the executable whose grant let it dial,
 * and whether that grant holds is looked up again for each packet.
 */
#ifndef ZG_GRANT_BPF_H
#define ZG_GRANT_BPF_H

#include "addr.bpf.h"
#include "maps.bpf.h"

/* The file, not its name: names lead to other files in other mount namespaces. */
static __always_inline struct zg_exe zg_exe_of_task(void)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	const struct inode *inode = BPF_CORE_READ(task, mm, exe_file, f_inode);
	struct zg_exe exe = {};

	if (!inode)
		return exe;
	exe.ino = BPF_CORE_READ(inode, i_ino);
	exe.dev = BPF_CORE_READ(inode, i_sb, s_dev);
	return exe;
}

static __always_inline struct zg_exe zg_exe_of_packet(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;
	const struct zg_exe *marked;
	struct zg_exe exe = {};

	sk = sk ? bpf_sk_fullsock(sk) : NULL;
	marked = sk ? bpf_sk_storage_get(&zg_granted, sk, 0, 0) : NULL;
	if (marked)
		exe = *marked;
	return exe;
}

/* Not static: the verifier judges it once. */
__noinline int zg_grant_holds(const struct zg_dest *d, __u32 epoch, __u32 profile, __u32 exe_dev,
			      __u64 exe_ino)
{
	struct zg_grant_key key = {.exe_ino = exe_ino, .exe_dev = exe_dev, .profile = profile};
	const struct zg_grant_val *g;

	if (!d)
		return 0;
	key.epoch = epoch;
	key.port_be = d->port_be;
	key.proto = d->proto;
	__builtin_memcpy(key.addr, d->addr.byte, sizeof(key.addr));
	g = bpf_map_lookup_elem(&zg_grant, &key);
	return g && bpf_ktime_get_boot_ns() < g->expires_ns;
}

/* Its packets are judged by what dialled. */
static __always_inline bool zg_mark_granted(struct bpf_sock_addr *ctx)
{
	struct zg_exe exe = zg_exe_of_task();
	struct zg_exe *mark =
		bpf_sk_storage_get(&zg_granted, ctx->sk, 0, BPF_SK_STORAGE_GET_F_CREATE);

	if (mark)
		*mark = exe;
	return mark;
}

#endif
