/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * cache.bpf.h - answers that were just worked out, per CPU: which profile a
 * cgroup inherits, and what the tables say of a destination. Both are pure
 * functions of what stands in their key, epoch and count of memberships
 * included, so an entry is never wrong, only old: a change of policy changes
 * the key, and nothing is ever invalidated. What depends on anything else (the
 * task, containment, names and their time) is asked each time. Nothing is kept
 * with a socket.
 *
 * What the tables say is used between the two looks of zg_decide at the stamp:
 * whoever finds an entry of a generation that went out of force meanwhile, or
 * fills one from tables that were changing, throws the answer away like any
 * other. What a cgroup inherits is kept only once the second look has shown that
 * it was true, so that whoever finds it need not look again.
 *
 * Torn entries: a program stays on its CPU, but another may run in the middle
 * of it (an interrupt's packets, a task that preempts). So each entry has a
 * sequence, odd while it is written. Taking it is a compare-and-swap: of two
 * writers, the one that was interrupted in between finds it moved on, and lets
 * go. A reader counts what it copied only if the sequence was even and is still
 * the same. All of it happens on one CPU: the compiler's order is enough.
 */
#ifndef ZG_CACHE_BPF_H
#define ZG_CACHE_BPF_H

#include "addr.bpf.h"
#include "maps.bpf.h"

#define ZG_HEIRS_SHIFT 8
#define ZG_KNOWN_SHIFT 9

struct zg_heir {	 /* cgroup -> profile, sticky tasks aside */
	__u64 cgroup_id; /* never 0 */
	__u64 stamp;	 /* of zg_ctl */
	__u32 seq;
	__u32 profile;
	__u64 pad; /* a power of two */
};

struct zg_known { /* what the tables say */
	__u32 seq;
	__u32 epoch;
	__u32 profile; /* never 0 */
	__u32 ports;   /* the other end's, then the local one */
	union zg_in addr;
	__u8 proto;
	__u8 ways;
	__u8 verdict;
	__u8 reason;
	__u32 identity;
};

/* One element, so that both are found by the same few lines of memory, and small
 * enough to stay in the CPU's own cache; the kernel gives 32 KB at most. */
struct zg_cache {
	struct zg_heir heir[1 << ZG_HEIRS_SHIFT];
	struct zg_known known[1 << ZG_KNOWN_SHIFT];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct zg_cache);
} zg_cache SEC(".maps");

static __always_inline struct zg_cache *zg_get_cache(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&zg_cache, &zero);
}

#define zg_ordered() asm volatile("" ::: "memory")

static __always_inline bool zg_take(__u32 *seq, __u32 *taken)
{
	*taken = ZG_READ_ONCE(*seq);
	return !(*taken & 1) && __sync_val_compare_and_swap(seq, *taken, *taken + 1) == *taken;
}

static __always_inline void zg_give(__u32 *seq, __u32 taken)
{
	zg_ordered();
	*(volatile __u32 *)seq = taken + 2;
}

static __always_inline __u32 zg_mix(__u64 x, int shift)
{
	return x * 0x9e3779b97f4a7c15ull >> (64 - shift);
}

/* Cgroups are numbered one after the other: their last bits differ most. */
static __always_inline struct zg_heir *zg_heir_of(__u64 cgroup_id)
{
	struct zg_cache *c = zg_get_cache();

	return c ? &c->heir[cgroup_id & ((1 << ZG_HEIRS_SHIFT) - 1)] : NULL;
}

/* True: *profile is what the cgroup inherits in the generation of that stamp. */
static __always_inline bool zg_recall_heir(struct zg_heir *e, __u64 cgroup_id, __u64 stamp,
					   __u32 *profile)
{
	__u32 seq = ZG_READ_ONCE(e->seq);

	zg_ordered();
	if (e->cgroup_id != cgroup_id || e->stamp != stamp || (seq & 1))
		return false;
	*profile = e->profile;
	zg_ordered();
	return ZG_READ_ONCE(e->seq) == seq;
}

static __always_inline void zg_keep_heir(struct zg_heir *e, __u64 cgroup_id, __u64 stamp,
					 __u32 profile)
{
	__u32 seq;

	if (!zg_take(&e->seq, &seq))
		return;
	e->cgroup_id = cgroup_id;
	e->stamp = stamp;
	e->profile = profile;
	zg_give(&e->seq, seq);
}

static __always_inline struct zg_known *zg_known_of(const struct zg_known *key)
{
	const union zg_in *a = &key->addr;
	__u64 high = (__u64)a->word[0] << 32 | a->word[1],
	      low = (__u64)a->word[2] << 32 | a->word[3];
	__u64 all = high ^ (low << 7 | low >> 57) ^ key->ports ^ (__u64)key->profile << 20;
	struct zg_cache *c = zg_get_cache();

	return c ? &c->known[zg_mix(all, ZG_KNOWN_SHIFT)] : NULL;
}

/* True: key's answer is filled. */
static __always_inline bool zg_recall(const struct zg_known *e, struct zg_known *key)
{
	__u32 seq = ZG_READ_ONCE(e->seq);
	bool same;

	zg_ordered();
	same = e->epoch == key->epoch && e->profile == key->profile && e->ports == key->ports &&
	       e->proto == key->proto && e->ways == key->ways && zg_same(&e->addr, key->addr.byte);
	key->verdict = e->verdict;
	key->reason = e->reason;
	key->identity = e->identity;
	zg_ordered();
	return same && !(seq & 1) && ZG_READ_ONCE(e->seq) == seq;
}

static __always_inline void zg_keep(struct zg_known *e, const struct zg_known *key)
{
	__u32 seq;

	if (!zg_take(&e->seq, &seq))
		return;
	e->epoch = key->epoch;
	e->profile = key->profile;
	e->ports = key->ports;
	e->addr = key->addr;
	e->proto = key->proto;
	e->ways = key->ways;
	e->verdict = key->verdict;
	e->reason = key->reason;
	e->identity = key->identity;
	zg_give(&e->seq, seq);
}

#endif
