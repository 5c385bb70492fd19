/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * event.bpf.h - telling the parent. Denials have a ring of their own, so that
 * a flood of notices cannot push them out; what finds no room is counted.
 */
#ifndef ZG_EVENT_BPF_H
#define ZG_EVENT_BPF_H

#include "verdict.bpf.h"

struct zg_task {
	__u64 start_ns;
	char comm[16];
};

/* Of the process, not the thread: with the pid it stays unique. */
static __always_inline void zg_read_task(struct zg_task *out)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();

	task = BPF_CORE_READ(task, group_leader);
	out->start_ns = BPF_CORE_READ(task, start_boottime);
	bpf_core_read(out->comm, sizeof(out->comm), &task->comm);
}

/* The parent names a cgroup by its id; one that is gone by then keeps this. */
static __always_inline void zg_read_cgroup_name(char out[64])
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	const char *name = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, name);

	if (bpf_probe_read_kernel_str(out, 64, name) < 0)
		out[0] = '\0';
}

static __always_inline void zg_count_lost(__u32 kind)
{
	__u64 *n = bpf_map_lookup_elem(&zg_lost, &kind);

	if (n)
		__sync_fetch_and_add(n, 1); /* a packet may interrupt a system call */
}

static __always_inline struct zg_event *zg_reserve(__u32 kind)
{
	struct zg_event *ev;

	if (kind == ZG_E_REDIRECT || kind == ZG_E_NAME)
		ev = bpf_ringbuf_reserve(&zg_info, sizeof(*ev), 0);
	else
		ev = bpf_ringbuf_reserve(&zg_deny, sizeof(*ev), 0);
	if (!ev)
		zg_count_lost(kind);
	return ev;
}

/* What was asked and answered. */
static __always_inline void zg_fill_event(struct zg_event *ev, const struct zg_dest *d,
					  const struct zg_answer *a, __u32 kind, __u32 layer)
{
	ev->time_ns = bpf_ktime_get_boot_ns();
	ev->profile = a->profile;
	ev->identity = a->identity;
	ev->kind = kind;
	ev->layer = layer;
	ev->reason = a->reason;
	ev->proto = d->proto;
	ev->family = zg_is_v4(&d->addr) ? AF_INET : AF_INET6;
	ev->port_be = d->port_be;
	ev->pad = 0;
	ev->detail = d->detail;
	ev->cookie = 0;
	ev->exe_dev = 0;
	ev->exe_ino = 0;
	ev->local_port_be = d->local_port_be;
	__builtin_memset(ev->path, 0, sizeof(ev->path));
	__builtin_memset(ev->local, 0, sizeof(ev->local));
	__builtin_memset(ev->pad2, 0, sizeof(ev->pad2));
	__builtin_memcpy(ev->addr, d->addr.byte, sizeof(ev->addr));
}

static __always_inline void zg_fill_task(struct zg_event *ev)
{
	__u64 ids = bpf_get_current_uid_gid();
	struct zg_exe exe = zg_exe_of_task();
	struct zg_task task;

	zg_read_task(&task);
	ev->exe_dev = exe.dev;
	ev->exe_ino = exe.ino;
	ev->cgroup_id = bpf_get_current_cgroup_id();
	ev->start_ns = task.start_ns;
	ev->pid = bpf_get_current_pid_tgid() >> 32;
	ev->uid = ids;
	ev->gid = ids >> 32;
	__builtin_memcpy(ev->comm, task.comm, sizeof(ev->comm));
	zg_read_cgroup_name(ev->cgroup_name);
}

static __noinline int zg_emit(const struct zg_dest *d, const struct zg_answer *a,
			      __u64 netns_cookie, __u32 kind, __u32 layer)
{
	struct zg_event *ev = zg_reserve(kind);

	if (!ev)
		return 0;
	zg_fill_event(ev, d, a, kind, layer);
	zg_fill_task(ev);
	ev->netns_cookie = netns_cookie;
	bpf_ringbuf_submit(ev, 0);
	return 0;
}

/* Told of this flow a moment ago? If not, it is told now. */
static __noinline bool zg_told(const struct zg_dest *d, const struct zg_answer *a, __u64 cgroup_id)
{
	struct zg_quiet_key key = {
		.cgroup_id = cgroup_id,
		.port_be = d->port_be,
		.proto = d->proto,
		.reason = a->reason,
		.profile = a->profile,
	};
	__u64 now = bpf_ktime_get_boot_ns();
	const __u64 *last;

	__builtin_memcpy(key.addr, d->addr.byte, sizeof(key.addr));
	last = bpf_map_lookup_elem(&zg_quiet, &key);
	if (last && now - *last < (a->audit || a->by_name ? ZG_QUIET_AUDIT_NS : ZG_QUIET_NS))
		return true;
	bpf_map_update_elem(&zg_quiet, &key, &now, BPF_ANY);
	return false;
}

/* What a name has opened is worth a notice, now and then. */
static __noinline int zg_tell_name(const struct zg_dest *d, const struct zg_answer *a,
				   __u64 netns_cookie, __u32 layer)
{
	if (!zg_told(d, a, bpf_get_current_cgroup_id()))
		zg_emit(d, a, netns_cookie, ZG_E_NAME, layer);
	return 0;
}

/* The answer of a hook, with its record. Only ALLOW passes in enforce mode. */
static __always_inline int zg_answer_in(__u64 netns_cookie, const struct zg_dest *d,
					const struct zg_answer *a, __u32 layer)
{
	if (a->verdict == ZG_V_ALLOW) {
		if (a->by_name)
			zg_tell_name(d, a, netns_cookie, layer);
		return ZG_PASS;
	}
	zg_emit(d, a, netns_cookie, a->audit ? ZG_E_WOULD_DENY : ZG_E_DENY, layer);
	if (!a->audit)
		return ZG_EPERM;
	zg_told(d, a, bpf_get_current_cgroup_id()); /* its packets tell nothing new */
	return ZG_PASS;
}

static __always_inline int zg_answer_of(struct bpf_sock_addr *ctx, const struct zg_dest *d,
					struct zg_answer *a, __u32 layer)
{
	if (a->granted && !zg_mark_granted(ctx)) {
		a->verdict = ZG_V_DENY;
		a->reason = ZG_GR_STATE;
	}
	if (a->verdict == ZG_V_ALLOW && !a->by_name) /* nothing to tell: nor of whom */
		return ZG_PASS;
	return zg_answer_in(bpf_get_netns_cookie(ctx), d, a, layer);
}

#endif
