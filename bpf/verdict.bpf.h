/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * verdict.bpf.h - THE decision: (current task, destination) -> verdict. Every
 * hook asks zg_judge and nothing else decides. Absent means deny at each step:
 * no prefix, no rule, no port range, no control entry. What has no destination
 * (a socket to be made, an address to be bound) is a deny whose reason the hook
 * knows.
 */
#ifndef ZG_VERDICT_BPF_H
#define ZG_VERDICT_BPF_H

#include "maps.bpf.h"

union zg_in {
	__u8 byte[16];
	__u32 word[4]; /* network order */
};

struct zg_dest {
	union zg_in addr; /* canonical: what is judged and recorded */
	union zg_in wire; /* what the kernel will dial; IPv4 as v4-mapped */
	__u32 proto;
	__u16 port_be;	    /* as asked for */
	__u16 wire_port_be; /* as dialled */
	bool rewrite;	    /* governed: the hook writes wire back */
	bool nowhere;	    /* there is no destination: only who asks is judged */
};

struct zg_answer {
	__u32 profile; /* ZG_PROFILE_NONE: not governed, nothing else is filled */
	__u32 identity;
	__u8 verdict; /* enum zg_verdict */
	__u8 reason;  /* enum zg_gate_reason */
	__u8 audit;   /* a deny is recorded and let pass */
	__u8 slot;    /* in which profile is an id */
};

#define ZG_MAPPED   bpf_htonl(0x0000ffff) /* ::ffff:0:0/96, third word */
#define ZG_NAT64    bpf_htonl(0x0064ff9b) /* 64:ff9b::/96, RFC 6052 */
#define ZG_6TO4	    0x2002		  /* 2002::/16, RFC 3056 */
#define ZG_LOOPBACK bpf_htonl(0x7f000001)

static __always_inline bool zg_is_v4(const union zg_in *a)
{
	return !a->word[0] && !a->word[1] && a->word[2] == ZG_MAPPED;
}

static __always_inline bool zg_same(const union zg_in *a, const __u8 *b)
{
	const union zg_in *o = (const union zg_in *)b;

	return a->word[0] == o->word[0] && a->word[1] == o->word[1] && a->word[2] == o->word[2] &&
	       a->word[3] == o->word[3];
}

static __always_inline void zg_set_v4(union zg_in *a, __u32 v4)
{
	a->word[0] = 0;
	a->word[1] = 0;
	a->word[2] = ZG_MAPPED;
	a->word[3] = v4;
}

/*
 * The unspecified address is replaced on the wire too: the kernel resolves it
 * to the socket's own bound address, which need not be the loopback address
 * that was judged.
 */
static __always_inline void zg_canonicalise(struct zg_dest *d)
{
	union zg_in *a = &d->wire;

	if (!a->word[0] && !a->word[1] && !a->word[2] && !a->word[3])
		a->byte[15] = 1;
	else if (zg_is_v4(a) && !a->word[3])
		a->word[3] = ZG_LOOPBACK;
	d->addr = *a;
	a = &d->addr;
	if (a->word[0] == ZG_NAT64 && !a->word[1] && !a->word[2])
		zg_set_v4(a, a->word[3]);
	else if (bpf_ntohl(a->word[0]) >> 16 == ZG_6TO4)
		zg_set_v4(a, bpf_htonl(bpf_ntohl(a->word[0]) << 16 | bpf_ntohl(a->word[1]) >> 16));
}

/*
 * The nearest governed ancestor of the current task: most often its own cgroup,
 * else found from the root down, so that the walk ends at the task's own depth
 * and the last hit is the nearest. A cgroup below the bound inherits from the
 * ancestors within it.
 */
static __always_inline __u32 zg_profile_of_current(__u32 slot)
{
	__u64 own = bpf_get_current_cgroup_id();
	const struct zg_membership *m = bpf_map_lookup_elem(&zg_member, &own);
	__u32 profile = ZG_PROFILE_NONE;

	if (m)
		return slot ? m->profile[1] : m->profile[0];
	for (int level = 0; level < ZG_CGROUP_DEPTH_MAX; level++) {
		__u64 id = bpf_get_current_ancestor_cgroup_id(level);

		if (!id || id == own)
			break;
		m = bpf_map_lookup_elem(&zg_member, &id);
		if (m)
			profile = slot ? m->profile[1] : m->profile[0];
	}
	return profile;
}

static __always_inline __u32 zg_identity_of(const struct zg_dest *d, __u32 slot)
{
	struct zg_addr_key key = {.prefixlen = 128};
	const struct zg_addr_val *v;

	__builtin_memcpy(key.addr, d->addr.byte, sizeof(key.addr));
	v = bpf_map_lookup_elem(&zg_host, &key);
	if (!v)
		v = bpf_map_lookup_elem(&zg_addr, &key);
	if (!v)
		return 0;
	return slot ? v->identity[1] : v->identity[0];
}

static __always_inline void zg_judge_port(const struct zg_dest *d, __u32 slot, struct zg_answer *a)
{
	struct zg_rule_key key = {
		.profile = a->profile,
		.identity = a->identity,
		.proto = d->proto,
		.slot = slot,
	};
	const struct zg_rule_val *r = bpf_map_lookup_elem(&zg_rule, &key);
	__u16 port = bpf_ntohs(d->port_be);

	a->reason = ZG_GR_NO_RULE;
	if (!r)
		return;
	a->reason = ZG_GR_PORT;
	for (__u32 i = 0; i < ZG_PORT_RULES_MAX; i++) {
		if (i >= r->count)
			return;
		if (port < r->port[i].lo || port > r->port[i].hi)
			continue;
		a->verdict = r->port[i].verdict;
		a->reason = a->verdict == ZG_V_DENY ? ZG_GR_RULE_DENY : ZG_GR_NONE;
		return;
	}
}

/* Who asks, and whether that alone decides. */
static __always_inline bool zg_judge_who(__u32 slot, struct zg_answer *a)
{
	const struct zg_profile *p;
	__u32 index;

	*a = (struct zg_answer){.profile = zg_profile_of_current(slot), .slot = slot};
	if (a->profile == ZG_PROFILE_NONE)
		return true;
	if (a->profile >= ZG_PROFILES_MAX)
		return false;
	index = slot * ZG_PROFILES_MAX + a->profile;
	p = bpf_map_lookup_elem(&zg_profile, &index);
	if (p && p->contained) {
		a->reason = ZG_GR_CONTAINED;
		return true;
	}
	a->audit = p && p->mode == ZG_MODE_AUDIT;
	return false;
}

static __always_inline void zg_judge_slot(const struct zg_dest *d, __u32 slot, struct zg_answer *a)
{
	if (zg_judge_who(slot, a) || d->nowhere)
		return;
	if (d->proto != IPPROTO_TCP && d->proto != IPPROTO_UDP) {
		a->reason = ZG_GR_NO_RULE;
		return;
	}
	a->identity = zg_identity_of(d, slot);
	if (!a->identity) {
		a->reason = ZG_GR_NO_IDENTITY;
		return;
	}
	zg_judge_port(d, slot, a);
}

/*
 * A generation that went out of force while it was read may already be half
 * removed, and an element that was freed may hold something else: the answer
 * is thrown away and asked for again. Whoever loses that race twice is denied.
 */
static __noinline int zg_judge(const struct zg_dest *d, struct zg_answer *a)
{
	const struct zg_ctl *ctl = zg_get_ctl();

	for (int attempt = 0; ctl && attempt < 2; attempt++) {
		__u32 epoch = ZG_READ_ONCE(ctl->epoch);
		__u32 members = ZG_READ_ONCE(ctl->members);

		zg_judge_slot(d, epoch & 1, a);
		if (ZG_READ_ONCE(ctl->epoch) == epoch && ZG_READ_ONCE(ctl->members) == members)
			return 0;
	}
	a->verdict = ZG_V_DENY;
	a->reason = ZG_GR_STATE;
	a->audit = 0;
	return 0;
}

/* The same for a sock_addr hook that has filled d->wire. */
static __always_inline void zg_judge_ctx(struct bpf_sock_addr *ctx, struct zg_dest *d,
					 struct zg_answer *a)
{
	d->proto = ctx->protocol;
	d->port_be = ctx->user_port;
	d->wire_port_be = d->port_be;
	zg_canonicalise(d);
	zg_judge(d, a);
	d->rewrite = a->profile != ZG_PROFILE_NONE;
}

static __always_inline void zg_load6(union zg_in *to, const struct bpf_sock_addr *ctx)
{
	to->word[0] = ctx->user_ip6[0];
	to->word[1] = ctx->user_ip6[1];
	to->word[2] = ctx->user_ip6[2];
	to->word[3] = ctx->user_ip6[3];
}

static __always_inline void zg_store6(struct bpf_sock_addr *ctx, const union zg_in *from)
{
	ctx->user_ip6[0] = from->word[0];
	ctx->user_ip6[1] = from->word[1];
	ctx->user_ip6[2] = from->word[2];
	ctx->user_ip6[3] = from->word[3];
}

#endif
