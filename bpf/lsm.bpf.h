/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * lsm.bpf.h - what the security hooks share: the kernel's structures, whose a
 * thing is that the current task uses, and the answer: 0, or -EPERM.
 */
#ifndef ZG_LSM_BPF_H
#define ZG_LSM_BPF_H

#include "task.bpf.h"

#include <bpf/bpf_tracing.h>

#define ZG_LSM_PASS  0
#define ZG_LSM_EPERM (-1)

struct linux_binprm {
	struct file *file;
	const char *filename;
} __attribute__((preserve_access_index));

struct socket {
	struct sock *sk;
} __attribute__((preserve_access_index));

struct msghdr {
	void *msg_name;
	int msg_namelen;
} __attribute__((preserve_access_index));

/* Since 6.1 a cgroup holds its ancestors, before it held their ids. */
struct cgroup___held {
	struct cgroup *ancestors[1];
} __attribute__((preserve_access_index));

struct cgroup___numbered {
	__u64 ancestor_ids[1];
} __attribute__((preserve_access_index));

/* The agent's own roles: what they use comes from the parent. */
static __always_inline bool zg_is_agent(__u32 profile)
{
	return profile == ZG_PROFILE_GATEWAY || profile == ZG_PROFILE_RESOLVER;
}

static __always_inline __u64 zg_held_ancestor(const struct cgroup *cgrp, __u32 level)
{
	const void *list = cgrp;
	struct cgroup *at = NULL;
	__u64 id = 0;

	if (bpf_core_field_exists(struct cgroup___held, ancestors)) {
		list += bpf_core_field_offset(struct cgroup___held, ancestors);
		if (bpf_probe_read_kernel(&at, sizeof(at), list + level * sizeof(at)) || !at)
			return 0;
		return BPF_CORE_READ(at, kn, id);
	}
	list += bpf_core_field_offset(struct cgroup___numbered, ancestor_ids);
	bpf_probe_read_kernel(&id, sizeof(id), list + level * sizeof(id));
	return id;
}

/* As zg_profile_of finds it, for a cgroup that is not the current task's. */
static __noinline __u32 zg_profile_of_cgroup(const struct cgroup *cgrp, __u32 slot)
{
	__u32 depth = BPF_CORE_READ(cgrp, level), profile = ZG_PROFILE_NONE;
	__u64 id = BPF_CORE_READ(cgrp, kn, id);
	const struct zg_membership *m = bpf_map_lookup_elem(&zg_member, &id);

	if (m)
		return slot ? m->profile[1] : m->profile[0];
	for (__u32 level = 0; level < ZG_CGROUP_DEPTH_MAX; level++) {
		if (level >= depth)
			break;
		id = zg_held_ancestor(cgrp, level);
		m = bpf_map_lookup_elem(&zg_member, &id);
		if (m)
			profile = slot ? m->profile[1] : m->profile[0];
	}
	return profile;
}

/* family (0: of d's address) and path (kernel memory, or NULL) are for the record. */
static __noinline int zg_lsm_answer(const struct zg_dest *d, const struct zg_answer *a,
				    __u32 family, const char *path)
{
	__u32 kind = a->audit ? ZG_E_WOULD_DENY : ZG_E_DENY;
	struct zg_event *ev;

	if (a->verdict == ZG_V_ALLOW)
		return ZG_LSM_PASS;
	ev = zg_reserve(kind);
	if (ev) {
		zg_fill_event(ev, d, a, kind, ZG_L_LSM);
		zg_fill_task(ev);
		ev->netns_cookie = 0;
		if (family)
			ev->family = family;
		if (path && bpf_probe_read_kernel_str(ev->path, sizeof(ev->path), path) < 0)
			ev->path[0] = '\0';
		bpf_ringbuf_submit(ev, 0);
	}
	return a->audit ? ZG_LSM_PASS : ZG_LSM_EPERM;
}

/* What is refused to every governed task, whatever its rules; the gate itself
 * in audit mode too. */
static __noinline int zg_lsm_refuse(__u8 reason, __u32 detail, const char *path)
{
	struct zg_dest d = {.refused = reason, .detail = detail};
	struct zg_answer a = {};

	zg_judge(&d, &a);
	if (a.profile == ZG_PROFILE_NONE)
		return ZG_LSM_PASS;
	if (reason == ZG_GR_TAMPER)
		a.audit = 0;
	return zg_lsm_answer(&d, &a, 0, path);
}

#endif
