/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * lsm_task.bpf.h - security hooks, everything that is not a socket: other
 * processes, and the gate itself. A process that may be traced, or whose memory
 * may be written, does whatever the tracer likes with its own rights.
 */
#ifndef ZG_LSM_TASK_BPF_H
#define ZG_LSM_TASK_BPF_H

#include "lsm.bpf.h"

#define ZG_BPF_FS 0xcafe4a11 /* BPF_FS_MAGIC */

#define ZG_PROT_EXEC 4

/* The slot in force may change here: the worst is one refusal, which can be
 * tried again. */
static __always_inline bool zg_same_profile(struct task_struct *other)
{
	const struct zg_ctl *ctl = zg_get_ctl();
	__u32 slot = ctl ? ZG_READ_ONCE(ctl->epoch) & 1 : 0;
	__u32 mine = zg_profile_of(ZG_TASK, NULL, slot);

	if (mine == ZG_PROFILE_NONE)
		return true;
	return zg_profile_of_cgroup(BPF_CORE_READ(other, cgroups, dfl_cgrp), slot) == mine;
}

/* ptrace, /proc/PID/mem, process_vm_readv, pidfd_getfd, and reading more of
 * /proc/PID than everybody may. */
SEC("lsm/ptrace_access_check")
int BPF_PROG(zg_lsm_ptrace, struct task_struct *child, unsigned int mode, int ret)
{
	if (ret || zg_same_profile(child))
		return ret;
	return zg_lsm_refuse(ZG_GR_PTRACE, BPF_CORE_READ(child, tgid), NULL);
}

/* No governed task uses bpf(): the agent's maps, programs and links are out of
 * its reach, whatever its privileges. */
SEC("lsm/bpf")
int BPF_PROG(zg_lsm_bpf, int cmd, union bpf_attr *attr, unsigned int bytes, int ret)
{
	return ret ? ret : zg_lsm_refuse(ZG_GR_TAMPER, cmd, NULL);
}

static __always_inline bool zg_is_pin(const struct inode *dir)
{
	return BPF_CORE_READ(dir, i_sb, s_magic) == ZG_BPF_FS;
}

/* A pin that is removed lets go of its program. */
SEC("lsm/inode_unlink")
int BPF_PROG(zg_lsm_unlink, struct inode *dir, struct dentry *entry, int ret)
{
	return ret || !zg_is_pin(dir) ? ret : zg_lsm_refuse(ZG_GR_TAMPER, 0, NULL);
}

SEC("lsm/inode_rename")
int BPF_PROG(zg_lsm_rename, struct inode *from, struct dentry *old, struct inode *to,
	     struct dentry *new, int ret)
{
	return ret || (!zg_is_pin(from) && !zg_is_pin(to)) ? ret
							   : zg_lsm_refuse(ZG_GR_TAMPER, 0, NULL);
}

/* executables ------------------------------------------------------------------ */

static __always_inline bool zg_exec_denied(const struct file *file)
{
	const struct zg_ctl *ctl = zg_get_ctl();
	struct zg_exec_key key = {.slot = ctl ? ZG_READ_ONCE(ctl->epoch) & 1 : 0};

	key.profile = zg_profile_of(ZG_TASK, NULL, key.slot);
	if (key.profile == ZG_PROFILE_NONE)
		return false;
	key.ino = BPF_CORE_READ(file, f_inode, i_ino);
	key.dev = BPF_CORE_READ(file, f_inode, i_sb, s_dev);
	return bpf_map_lookup_elem(&zg_exec, &key);
}

SEC("lsm/bprm_check_security")
int BPF_PROG(zg_lsm_exec, struct linux_binprm *bprm, int ret)
{
	if (ret || !zg_exec_denied(BPF_CORE_READ(bprm, file)))
		return ret;
	return zg_lsm_refuse(ZG_GR_EXEC, 0, BPF_CORE_READ(bprm, filename));
}

/* The dynamic loader, told to run a program, does not execute but map it. */
SEC("lsm/mmap_file")
int BPF_PROG(zg_lsm_mmap, struct file *file, unsigned long asked, unsigned long prot,
	     unsigned long flags, int ret)
{
	if (ret || !file || !(prot & ZG_PROT_EXEC) || !zg_exec_denied(file))
		return ret;
	return zg_lsm_refuse(ZG_GR_EXEC, 0,
			     (const char *)BPF_CORE_READ(file, f_path.dentry, d_name.name));
}

#endif
