/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * kern.bpf.h - what the programs need of the kernel: UAPI, helpers, and the few
 * struct members read through CO-RE, which finds their offsets at load time.
 * No vmlinux.h: a member that is not here is not used. Floor: Linux 5.15.
 */
#ifndef ZG_KERN_BPF_H
#define ZG_KERN_BPF_H

#include <stdbool.h>
#include <stddef.h>

#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "zg_abi.h"

#define AF_UNSPEC  0
#define AF_UNIX	   1
#define AF_INET	   2
#define AF_INET6   10
#define AF_NETLINK 16

#define NETLINK_ROUTE 0

#define SOCK_STREAM 1
#define SOCK_DGRAM  2

#define ETH_P_IP 0x0800

#define IPPROTO_HOPOPTS	 0
#define IPPROTO_ROUTING	 43
#define IPPROTO_FRAGMENT 44
#define IPPROTO_DSTOPTS	 60

#define ZG_PORT_DNS bpf_htons(53)

#define IPPROTO_TCP  6
#define IPPROTO_UDP  17
#define ZG_PROTO_MAX 255 /* what fits an event; MPTCP is 262 */

/* What a sock_addr program answers. */
#define ZG_EPERM 0
#define ZG_PASS	 1

#define ZG_UNUSED __attribute__((unused)) /* not every object has every layer */

#define ZG_READ_ONCE(x) (*(const volatile __typeof__(x) *)&(x))

struct kernfs_node {
	const char *name;
	__u64 id;
} __attribute__((preserve_access_index));

struct cgroup_subsys_state {
	struct cgroup *cgroup;
	struct cgroup_subsys_state *parent;
} __attribute__((preserve_access_index));

struct cgroup_root {
	int hierarchy_id; /* 0 is cgroup2 */
} __attribute__((preserve_access_index));

struct cgroup {
	struct cgroup_subsys_state self;
	int level;
	struct kernfs_node *kn;
	struct cgroup_root *root;
} __attribute__((preserve_access_index));

struct css_set {
	struct cgroup *dfl_cgrp; /* of cgroup2 */
} __attribute__((preserve_access_index));

typedef struct {
	int counter;
} atomic_t;

struct signal_struct {
	atomic_t live; /* threads that have not ended */
} __attribute__((preserve_access_index));

typedef struct {
	__u32 val;
} kuid_t, kgid_t;

struct cred {
	kuid_t uid;
	kgid_t gid;
} __attribute__((preserve_access_index));

struct super_block {
	__u32 s_dev;
	unsigned long s_magic;
} __attribute__((preserve_access_index));

struct inode {
	unsigned short i_mode;
	struct super_block *i_sb;
	unsigned long i_ino;
} __attribute__((preserve_access_index));

struct qstr {
	const unsigned char *name;
} __attribute__((preserve_access_index));

struct dentry {
	struct qstr d_name;
} __attribute__((preserve_access_index));

struct path {
	struct dentry *dentry;
} __attribute__((preserve_access_index));

struct file {
	struct path f_path;
	struct inode *f_inode;
} __attribute__((preserve_access_index));

struct mm_struct {
	struct file *exe_file;
} __attribute__((preserve_access_index));

struct task_struct {
	struct css_set *cgroups;
	struct mm_struct *mm;
	struct task_struct *group_leader;
	struct signal_struct *signal;
	const struct cred *real_cred;
	int pid;
	int tgid;
	__u64 start_boottime;
	char comm[16];
} __attribute__((preserve_access_index));

struct net {
	__u64 net_cookie;
} __attribute__((preserve_access_index));

typedef struct {
	struct net *net;
} __attribute__((preserve_access_index)) possible_net_t;

struct sock_common {
	__u32 skc_daddr;
	__u16 skc_dport;
	__u16 skc_num;
	__u16 skc_family;
	possible_net_t skc_net;
	struct {
		__u8 byte[16];
	} skc_v6_daddr;
} __attribute__((preserve_access_index));

struct sock_cgroup_data {
	struct cgroup *cgroup;
} __attribute__((preserve_access_index));

struct sock {
	struct sock_common __sk_common;
	__u16 sk_protocol;
	struct sock_cgroup_data sk_cgrp_data;
} __attribute__((preserve_access_index));

#endif
