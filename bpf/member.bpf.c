// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * member.bpf.c - who is governed, as it changes: a process that is moved out of
 * its governed cgroup stays governed, by its pid, and so do its children; a
 * cgroup that a profile's glob names is governed as it is made, before anybody
 * can be in it. An object of its own: without it the gate governs by cgroup
 * alone. Judges nothing; verdict.bpf.h reads what is written here.
 *
 * The kernel tells of a move when it is done, so where a process came from is
 * kept beside it: its home.
 */
#include "member.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("tp_btf/sched_process_fork")
int BPF_PROG(zg_fork, struct task_struct *parent, struct task_struct *child)
{
	struct task_struct *leader = parent->group_leader;
	struct zg_home home = {}, *parents;

	if (child->pid != child->tgid)
		return 0; /* a thread */
	home.cgroup_id = zg_cgroup_of_task(child);
	parents = leader ? bpf_task_storage_get(&zg_home, leader, 0, 0) : NULL;
	if (parents && parents->cgroup_id == home.cgroup_id)
		home.governor = parents->governor;
	else if (parents || home.cgroup_id != zg_cgroup_of_task(parent))
		home.governor = zg_governor_of(child);
	if (home.governor)
		zg_settle(child, &home);
	else if (parents) /* born in a cgroup that is not governed */
		zg_leave(child, parents, NULL, 0);
	else if (zg_any_sticky())
		zg_stick_child(child);
	return 0;
}

/* A thread that executes becomes the leader, and what was kept with the former
 * one goes with it. */
SEC("tp_btf/sched_process_exec")
int BPF_PROG(zg_promote, struct task_struct *task, int old_pid)
{
	struct zg_home home = {};

	if (old_pid == task->pid)
		return 0;
	home.cgroup_id = zg_cgroup_of_task(task);
	home.governor = zg_governor_of(task);
	if (home.governor)
		zg_settle(task, &home);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(zg_exit, struct task_struct *task)
{
	if (zg_any_sticky() && BPF_CORE_READ(task, signal, live.counter) == 0)
		zg_unstick(task->tgid);
	return 0;
}

/* Told of the cgroups of version 1, too: they change nothing here. */
SEC("tp_btf/cgroup_attach_task")
int BPF_PROG(zg_attach, struct cgroup *to, const char *path, struct task_struct *task, bool whole)
{
	struct task_struct *leader = task->group_leader;
	struct zg_home now = {.cgroup_id = zg_cgroup_of_task(task)}, *home;

	home = leader ? bpf_task_storage_get(&zg_home, leader, 0, 0) : NULL;
	if (home && home->cgroup_id == now.cgroup_id)
		return 0;
	now.governor = zg_governor_of(task);
	if (home && home->governor != now.governor)
		zg_leave(task, home, path, now.governor);
	if (!whole || !leader) /* one thread: the others are where they were */
		return 0;
	if (now.governor) {
		zg_settle(leader, &now);
		zg_unstick(task->tgid);
	} else if (home) {
		bpf_task_storage_delete(&zg_home, leader);
	}
	return 0;
}

SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(zg_mkdir, struct cgroup *cgrp)
{
	if (BPF_CORE_READ(cgrp, root, hierarchy_id) == 0)
		zg_govern_newborn(cgrp);
	return 0;
}

/*
 * Who is where: run by the parent when it has changed what is governed, and
 * when this layer is new. A process that moves meanwhile is looked at again.
 */
SEC("iter/task")
int zg_census(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct zg_home now = {};

	if (!task || task->pid != task->tgid)
		return 0;
	for (int attempt = 0; attempt < 2; attempt++) {
		now.cgroup_id = zg_cgroup_of_task(task);
		now.governor = zg_governor_of(task);
		if (now.governor)
			zg_settle(task, &now);
		else
			bpf_task_storage_delete(&zg_home, task);
		if (zg_cgroup_of_task(task) == now.cgroup_id)
			break;
	}
	return 0;
}
