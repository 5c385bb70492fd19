/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * member.bpf.h - the steps of member.bpf.c: finding the governor of a cgroup
 * (its nearest governed ancestor), a process's home, sticky membership, and
 * the cgroups yet to be made. Runs at forks, ends and moves of any process of
 * the machine: what concerns nobody governed returns early.
 */
#ifndef ZG_MEMBER_BPF_H
#define ZG_MEMBER_BPF_H

#include "event.bpf.h"
#include <bpf/bpf_tracing.h>

#define ZG_SIGKILL 9

struct zg_home { /* of a process in a governed cgroup */
	__u64 cgroup_id;
	__u64 governor; /* cgroup id; 0 = none, and never kept */
};

struct { /* by group leader; lives and dies with the process: never full */
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct zg_home);
} zg_home SEC(".maps");

/* Since 6.1 a cgroup holds its ancestors, before it held their ids. */
struct cgroup___ancestors {
	struct cgroup *ancestors[1];
} __attribute__((preserve_access_index));

struct cgroup___ids {
	__u64 ancestor_ids[1];
} __attribute__((preserve_access_index));

/* The iterator's context, as the kernel declares it. */
struct bpf_iter__task {
	void *meta;
	struct task_struct *task;
} __attribute__((preserve_access_index));

static __always_inline __u64 zg_cgroup_of_task(struct task_struct *task)
{
	return BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id);
}

static __always_inline __u64 zg_ancestor_at(const struct cgroup *cgrp, __u32 level)
{
	const void *list = cgrp;
	struct cgroup *at = NULL;
	__u64 id = 0;

	if (bpf_core_field_exists(struct cgroup___ancestors, ancestors)) {
		list += bpf_core_field_offset(struct cgroup___ancestors, ancestors);
		if (bpf_probe_read_kernel(&at, sizeof(at), list + level * sizeof(at)) || !at)
			return 0;
		return BPF_CORE_READ(at, kn, id);
	}
	list += bpf_core_field_offset(struct cgroup___ids, ancestor_ids);
	bpf_probe_read_kernel(&id, sizeof(id), list + level * sizeof(id));
	return id;
}

/* As zg_profile_of finds it, for a task that need not be the current one. */
static __always_inline __u64 zg_governor_of(struct task_struct *task)
{
	const struct cgroup *cgrp = BPF_CORE_READ(task, cgroups, dfl_cgrp);
	__u64 id = BPF_CORE_READ(cgrp, kn, id), governor = 0;
	__u32 depth = BPF_CORE_READ(cgrp, level);

	if (bpf_map_lookup_elem(&zg_member, &id))
		return id;
	for (__u32 level = 0; level < ZG_CGROUP_DEPTH_MAX; level++) {
		if (level >= depth)
			break;
		id = zg_ancestor_at(cgrp, level);
		if (bpf_map_lookup_elem(&zg_member, &id))
			governor = id;
	}
	return governor;
}

static __always_inline void zg_settle(struct task_struct *leader, const struct zg_home *home)
{
	struct zg_home *at = bpf_task_storage_get(&zg_home, leader, (void *)home,
						  BPF_LOCAL_STORAGE_GET_F_CREATE);

	if (at)
		*at = *home;
}

/* See zg_ctl.members. */
static __always_inline void zg_members_changed(void)
{
	struct zg_ctl *ctl = zg_get_ctl();

	if (ctl)
		__sync_fetch_and_add(&ctl->members, 1);
}

/* events ------------------------------------------------------------------- */

/* Of any task; the current one is who moved it. */
static __always_inline void zg_tell(struct task_struct *task, __u32 profile, __u8 reason,
				    __u64 from, const char *to)
{
	struct zg_event *ev = zg_reserve(ZG_E_LEAVE);

	if (!ev)
		return;
	__builtin_memset(ev, 0, sizeof(*ev));
	ev->time_ns = bpf_ktime_get_boot_ns();
	ev->cgroup_id = from;
	ev->start_ns = BPF_CORE_READ(task, group_leader, start_boottime);
	ev->pid = BPF_CORE_READ(task, tgid);
	ev->uid = BPF_CORE_READ(task, real_cred, uid.val);
	ev->gid = BPF_CORE_READ(task, real_cred, gid.val);
	ev->profile = profile;
	ev->kind = ZG_E_LEAVE;
	ev->layer = ZG_L_MEMBER;
	ev->reason = reason;
	ev->detail = bpf_get_current_pid_tgid() >> 32;
	bpf_core_read(ev->comm, sizeof(ev->comm), &task->comm);
	if (to)
		bpf_probe_read_kernel_str(ev->path, sizeof(ev->path), to);
	bpf_ringbuf_submit(ev, 0);
}

/* sticky ------------------------------------------------------------------- */

static __always_inline bool zg_any_sticky(void)
{
	const struct zg_ctl *ctl = zg_get_ctl();

	return ctl && ZG_READ_ONCE(ctl->sticky);
}

/* The ids of whom the task takes after: its governor, or its sticky parent. */
static __always_inline bool zg_ids_of(const __u64 *governor, const __u32 *parent,
				      struct zg_sticky *out)
{
	const struct zg_membership *m = governor ? bpf_map_lookup_elem(&zg_member, governor) : NULL;
	const struct zg_sticky *s = parent ? bpf_map_lookup_elem(&zg_sticky, parent) : NULL;

	if (m) {
		out->profile[0] = m->profile[0];
		out->profile[1] = m->profile[1];
	} else if (s) {
		out->profile[0] = s->profile[0];
		out->profile[1] = s->profile[1];
	}
	return m || s;
}

static __always_inline bool zg_stick_once(__u32 tgid, const struct zg_sticky *v)
{
	struct zg_ctl *ctl = zg_get_ctl();

	if (!ctl)
		return false;
	__sync_fetch_and_add(&ctl->sticky, 1); /* first: it opens the way to look */
	if (!bpf_map_update_elem(&zg_sticky, &tgid, v, BPF_NOEXIST))
		return true;
	__sync_fetch_and_add(&ctl->sticky, -1);
	return !bpf_map_update_elem(&zg_sticky, &tgid, v, BPF_EXIST);
}

/*
 * False without room. A reload renumbers what it finds: an entry made of what
 * it had not reached, and put where it had already been, is made again.
 */
static __noinline bool zg_stick(struct task_struct *task, const __u64 *governor,
				const __u32 *parent)
{
	const struct zg_ctl *ctl = zg_get_ctl();
	__u32 tgid = BPF_CORE_READ(task, tgid);
	struct zg_sticky v = {.start_ns = BPF_CORE_READ(task, group_leader, start_boottime)};

	for (int attempt = 0; ctl && attempt < 2; attempt++) {
		__u32 members = ZG_READ_ONCE(ctl->members);

		if (!zg_ids_of(governor, parent, &v) || !zg_stick_once(tgid, &v))
			return false;
		if (ZG_READ_ONCE(ctl->members) == members)
			return true;
	}
	return false;
}

static __always_inline void zg_unstick(__u32 tgid)
{
	struct zg_ctl *ctl = zg_get_ctl();

	if (ctl && !bpf_map_delete_elem(&zg_sticky, &tgid))
		__sync_fetch_and_add(&ctl->sticky, -1);
}

/* A sticky process has a child. Without room the parent is killed, and its
 * place is the child's: nobody gets away by numbers. */
static __always_inline void zg_stick_child(struct task_struct *child)
{
	__u32 parent = bpf_get_current_pid_tgid() >> 32;
	const struct zg_sticky *s = bpf_map_lookup_elem(&zg_sticky, &parent);
	__u32 tgid = BPF_CORE_READ(child, tgid);
	struct zg_sticky v;

	if (!s || zg_stick(child, NULL, &parent))
		return;
	v = *s;
	v.start_ns = BPF_CORE_READ(child, start_boottime);
	zg_unstick(parent);
	zg_stick_once(tgid, &v);
	bpf_send_signal(ZG_SIGKILL);
}

/*
 * A task is not where its home is: now is its governor there, 0 without one.
 * Another profile applies by the cgroup; no profile leaves it the one it had.
 */
static __noinline void zg_leave(struct task_struct *task, const struct zg_home *home,
				const char *to, __u64 now)
{
	const struct zg_membership *was = bpf_map_lookup_elem(&zg_member, &home->governor);
	const struct zg_membership *is = bpf_map_lookup_elem(&zg_member, &now);
	const struct zg_ctl *ctl = zg_get_ctl();
	__u32 slot = ctl ? ZG_READ_ONCE(ctl->epoch) & 1 : 0;
	__u32 profile;

	if (!was) /* no longer governed: it could go */
		return;
	profile = slot ? was->profile[1] : was->profile[0];
	if (is) {
		if (profile != (slot ? is->profile[1] : is->profile[0]))
			zg_tell(task, profile, ZG_GR_NONE, home->cgroup_id, to);
		return;
	}
	if (zg_stick(task, &home->governor, NULL)) {
		zg_tell(task, profile, ZG_GR_LEFT, home->cgroup_id, to);
		return;
	}
	zg_tell(task, profile, ZG_GR_STATE, home->cgroup_id, to);
	if (BPF_CORE_READ(task, tgid) == (int)(bpf_get_current_pid_tgid() >> 32))
		bpf_send_signal(ZG_SIGKILL);
}

/* nursery ------------------------------------------------------------------ */

struct zg_name {
	char text[256]; /* NAME_MAX and a NUL */
	__u32 bytes;	/* without the NUL */
};

/* fnmatch() of a name and the one "*" of a glob. Not static: verified once. */
__noinline int zg_name_matches(const struct zg_nursery *n, const struct zg_name *name)
{
	__u32 tail;

	if (!n || !name || n->prefix_bytes > sizeof(n->prefix) ||
	    n->suffix_bytes > sizeof(n->suffix))
		return 0;
	if (n->exact ? name->bytes != n->prefix_bytes
		     : name->bytes < n->prefix_bytes + n->suffix_bytes)
		return 0;
	if (name->text[0] == '.' && !n->prefix_bytes)
		return 0;
	for (__u32 i = 0; i < sizeof(n->prefix); i++)
		if (i < n->prefix_bytes && name->text[i] != n->prefix[i])
			return 0;
	tail = name->bytes - n->suffix_bytes;
	for (__u32 i = 0; i < sizeof(n->suffix); i++)
		if (i < n->suffix_bytes && name->text[(tail + i) & 255] != n->suffix[i])
			return 0;
	return 1;
}

/* As zg_stick: made again of what a reload has renumbered meanwhile. A rule
 * without a profile says that its name is nobody's. */
static __always_inline void zg_govern_as(__u64 id, const struct zg_nursery_key *key)
{
	const struct zg_ctl *ctl = zg_get_ctl();

	for (int attempt = 0; ctl && attempt < 2; attempt++) {
		__u32 members = ZG_READ_ONCE(ctl->members);
		const struct zg_nursery *rule = bpf_map_lookup_elem(&zg_nursery, key);
		struct zg_membership m;

		if (!rule || rule->profile[0] == ZG_PROFILE_NONE)
			return;
		m.profile[0] = rule->profile[0];
		m.profile[1] = rule->profile[1];
		bpf_map_update_elem(&zg_member, &id, &m, BPF_ANY);
		if (ZG_READ_ONCE(ctl->members) == members)
			break;
	}
	zg_members_changed();
}

static __always_inline void zg_govern_newborn(const struct cgroup *cgrp)
{
	__u64 id = BPF_CORE_READ(cgrp, kn, id);
	struct zg_nursery_key key = {.folder = BPF_CORE_READ(cgrp, self.parent, cgroup, kn, id)};
	struct zg_name name = {};
	long n;

	if (!bpf_map_lookup_elem(&zg_nursery, &key))
		return;
	n = bpf_probe_read_kernel_str(name.text, sizeof(name.text), BPF_CORE_READ(cgrp, kn, name));
	if (n <= 0)
		return;
	name.bytes = n - 1;
	/* Linux 6.1 forgets what a key holds that it has looked up, and would see
	 * no end if it were the counter */
	for (__u32 i = 0; i < ZG_NURSERY_RULES; i++) {
		key.index = i;
		const struct zg_nursery *rule = bpf_map_lookup_elem(&zg_nursery, &key);

		if (!rule)
			return;
		if (zg_name_matches(rule, &name)) {
			zg_govern_as(id, &key);
			return;
		}
	}
}

#endif
