/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * maps.bpf.h - every map of the gate. All are pinned and outlive the agent.
 * None that a verdict rests on may ever evict: a full map makes an insertion
 * fail, and whoever needed the entry is denied. Keys and values are those of zg_abi.h.
 */
#ifndef ZG_MAPS_BPF_H
#define ZG_MAPS_BPF_H

#include "kern.bpf.h"

struct { /* one entry; mapped by the parent, whose flip is one store */
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct zg_ctl);
} zg_ctl SEC(".maps");

struct { /* who: cgroup id -> profile */
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, ZG_GOVERNED_MAX);
	__type(key, __u64);
	__type(value, struct zg_membership);
} zg_member SEC(".maps");

struct { /* who, though its cgroup says nothing: tgid -> profile */
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, ZG_STICKY_MAX);
	__type(key, __u32);
	__type(value, struct zg_sticky);
} zg_sticky SEC(".maps");

struct { /* what cgroups yet to be made will be */
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, ZG_NURSERY_MAX);
	__type(key, struct zg_nursery_key);
	__type(value, struct zg_nursery);
} zg_nursery SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2 * ZG_PROFILES_MAX);
	__type(key, __u32);
	__type(value, struct zg_profile);
} zg_profile SEC(".maps");

struct { /* what: whole address -> identity; found without the trie's many steps */
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, ZG_PREFIXES_MAX);
	__type(key, struct zg_addr_key);
	__type(value, struct zg_addr_val);
} zg_host SEC(".maps");

struct { /* what: shorter prefixes */
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, ZG_PREFIXES_MAX);
	__type(key, struct zg_addr_key);
	__type(value, struct zg_addr_val);
} zg_addr SEC(".maps");

struct { /* (profile, identity, protocol) -> port ranges; 200 MB if preallocated */
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, ZG_RULES_MAX);
	__type(key, struct zg_rule_key);
	__type(value, struct zg_rule_val);
} zg_rule SEC(".maps");

struct { /* executables that a profile denies; the value says nothing */
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, ZG_EXECS_MAX);
	__type(key, struct zg_exec_key);
	__type(value, __u32);
} zg_exec SEC(".maps");

struct { /* unix sockets: longest match of (profile, slot, path) */
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, ZG_UNIX_MAX);
	__type(key, struct zg_unix_key);
	__type(value, struct zg_unix_val);
} zg_unix SEC(".maps");

/* Of a redirected socket. It lives and dies with the socket: no eviction. */
struct zg_sock {
	struct zg_origin origin;
	__u8 shown[16]; /* what getpeername answers: the address as it was asked for */
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct zg_sock);
} zg_sock SEC(".maps");

struct { /* what MCP looks like */
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct zg_automaton);
} zg_automaton SEC(".maps");

struct { /* how much of it a connection has shown; no eviction */
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct zg_stream);
} zg_stream SEC(".maps");

struct { /* the same by 4-tuple, for the accepting side; never LRU */
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, ZG_FLOWS_MAX);
	__type(key, struct zg_flow_key);
	__type(value, struct zg_origin);
} zg_flow SEC(".maps");

struct { /* (profile, address, protocol) -> what names have opened, and until when */
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 6 * ZG_NAMES_MAX); /* two protocols and the gateway, two slots */
	__type(key, struct zg_name_key);
	__type(value, struct zg_name_val);
} zg_name SEC(".maps");

struct { /* the names themselves, for a parent that starts again */
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, ZG_NAMES_MAX);
	__type(key, struct zg_learned_key);
	__type(value, struct zg_learned_val);
} zg_learned SEC(".maps");

struct { /* connections that people granted, and until when */
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4 * ZG_GRANTS_MAX); /* each with a row of any executable; two epochs */
	__type(key, struct zg_grant_key);
	__type(value, struct zg_grant_val);
} zg_grant SEC(".maps");

struct zg_exe { /* as in zg_exec_key; ino 0 = not to be told */
	__u64 ino;
	__u32 dev;
	__u32 pad;
};

struct { /* by which executable's grant a socket was used; says nothing of whether it holds */
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct zg_exe);
} zg_granted SEC(".maps");

/* Of a socket that asks its resolver: the server that it named. */
struct zg_asked {
	__u8 shown[16];
	__u16 port_be;
	__u16 resolver_port_be; /* which peer the above stands for */
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct zg_asked);
} zg_asked SEC(".maps");

struct { /* the resolver's datagram sockets, marked by the parent */
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u32);
} zg_answers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, ZG_RING_DENY_BYTES);
} zg_deny SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, ZG_RING_INFO_BYTES);
} zg_info SEC(".maps");

struct { /* what was told of packets lately; no verdict rests on it */
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, ZG_QUIET_MAX);
	__type(key, struct zg_quiet_key);
	__type(value, __u64);
} zg_quiet SEC(".maps");

struct { /* events that found no room, by enum zg_event_kind */
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, ZG_E_MAX);
	__type(key, __u32);
	__type(value, __u64);
} zg_lost SEC(".maps");

static __always_inline struct zg_ctl *zg_get_ctl(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&zg_ctl, &zero);
}

#endif
