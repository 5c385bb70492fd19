/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * verdict.bpf.h - THE decision: (who, destination) -> verdict. Who is the
 * current task, for packets the cgroup of their socket, and for the agent's own
 * questions whom they name. Every hook asks zg_decide, and nothing else
 * decides. Absent means deny at each step: no prefix, no rule, no
 * port range, no control entry.
 */
#ifndef ZG_VERDICT_BPF_H
#define ZG_VERDICT_BPF_H

#include "cache.bpf.h"
#include "grant.bpf.h"
#include "maps.bpf.h"
#include "sun.bpf.h"
#include "wire.bpf.h"

enum zg_who { ZG_TASK, ZG_PACKET, ZG_QUESTION };

struct zg_answer {
	__u64 stamp;   /* of the generation that was asked */
	__u32 profile; /* ZG_PROFILE_NONE: not governed, nothing else is filled */
	__u32 identity;
	__u8 verdict;	   /* enum zg_verdict */
	__u8 reason;	   /* enum zg_gate_reason */
	__u8 audit;	   /* a deny is recorded and let pass */
	__u8 slot;	   /* in which profile is an id */
	__u8 shadow;	   /* enum zg_shadow of the profile, on the wire */
	__u8 names;	   /* the profile has host names */
	__u8 by_name;	   /* allowed by what a name stands for, by nothing else */
	__u8 asks;	   /* people may grant the profile connections */
	__u16 dns_port_be; /* of the profile's resolver, in the destination's family */
	__u8 granted;	   /* allowed by a person's grant, by nothing else */
	__u8 pad[5];
};

/* who is a constant in each caller: a program has the helpers of one of them. */
static __always_inline __u64 zg_cgroup_of(enum zg_who who, void *ctx)
{
	if (who == ZG_QUESTION)
		return ((const struct zg_question *)ctx)->cgroup_id;
	return who == ZG_TASK ? bpf_get_current_cgroup_id() : bpf_skb_cgroup_id(ctx);
}

static __always_inline __u64 zg_ancestor_of(enum zg_who who, void *ctx, int level)
{
	if (who == ZG_QUESTION)
		return ((const struct zg_question *)ctx)->ancestor[level];
	return who == ZG_TASK ? bpf_get_current_ancestor_cgroup_id(level)
			      : bpf_skb_ancestor_cgroup_id(ctx, level);
}

/* The task was governed when it left its cgroup, and still is. Nobody pays for
 * this while nobody has left. */
static __noinline ZG_UNUSED __u32 zg_profile_of_sticky(__u32 slot)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	const struct zg_sticky *s = bpf_map_lookup_elem(&zg_sticky, &tgid);

	if (!s || s->start_ns != BPF_CORE_READ(task, group_leader, start_boottime))
		return ZG_PROFILE_NONE;
	return slot ? s->profile[1] : s->profile[0];
}

/*
 * The nearest governed ancestor of who asks: most often its own cgroup,
 * else found from the root down, so that the walk ends at its own depth
 * and the last hit is the nearest. A cgroup below the bound inherits from the
 * ancestors within it.
 */
static __always_inline __u32 zg_inherited(enum zg_who who, void *ctx, __u64 own, __u32 slot)
{
	const struct zg_membership *m = bpf_map_lookup_elem(&zg_member, &own);
	__u32 profile = ZG_PROFILE_NONE;

	if (m)
		return slot ? m->profile[1] : m->profile[0];
	for (int level = 0; level < ZG_CGROUP_DEPTH_MAX; level++) {
		__u64 id = zg_ancestor_of(who, ctx, level);

		if (!id || id == own)
			break;
		m = bpf_map_lookup_elem(&zg_member, &id);
		if (m)
			profile = slot ? m->profile[1] : m->profile[0];
	}
	return profile;
}

/* With the tasks that are governed though their cgroup says nothing. */
static __always_inline __u32 zg_or_sticky(enum zg_who who, __u32 profile, __u32 slot)
{
	const struct zg_ctl *ctl;

	if (who != ZG_TASK || profile != ZG_PROFILE_NONE)
		return profile;
	ctl = zg_get_ctl();
	return ctl && ZG_READ_ONCE(ctl->sticky) ? zg_profile_of_sticky(slot) : ZG_PROFILE_NONE;
}

static __always_inline __u32 zg_profile_of(enum zg_who who, void *ctx, __u32 slot)
{
	if (who == ZG_QUESTION && ((const struct zg_question *)ctx)->profile)
		return ((const struct zg_question *)ctx)->profile;
	return zg_or_sticky(who, zg_inherited(who, ctx, zg_cgroup_of(who, ctx), slot), slot);
}

static __always_inline __u32 zg_epoch_of(__u64 stamp)
{
	__u32 epoch; /* the first in memory */

	__builtin_memcpy(&epoch, &stamp, sizeof(epoch));
	return epoch;
}

static __always_inline __u32 zg_slot_of(__u64 stamp)
{
	return zg_epoch_of(stamp) & 1;
}

/* The same in the generation now in force, which must hold afterwards. */
static __always_inline void zg_meet(const struct zg_ctl *ctl, enum zg_who who, void *ctx,
				    struct zg_answer *a)
{
	__u64 own = zg_cgroup_of(who, ctx), stamp = ZG_READ_ONCE(ctl->stamp);
	struct zg_heir *heir = zg_heir_of(own);
	__u32 slot = zg_slot_of(stamp), profile;

	*a = (struct zg_answer){.stamp = stamp, .slot = slot};
	if (who == ZG_QUESTION || !heir) {
		a->profile = zg_profile_of(who, ctx, slot);
		return;
	}
	if (!zg_recall_heir(heir, own, stamp, &profile)) {
		profile = zg_inherited(who, ctx, own, slot);
		if (ZG_READ_ONCE(ctl->stamp) == stamp)
			zg_keep_heir(heir, own, stamp, profile);
	}
	a->profile = zg_or_sticky(who, profile, slot);
}

struct zg_met { /* who asks, if that was seen at the first glance */
	__u64 stamp;
	__u32 profile; /* ZG_PROFILE_NONE: it was not */
};

static __always_inline struct zg_answer zg_answer_to(__u64 stamp, __u32 profile)
{
	return (struct zg_answer){.stamp = stamp, .profile = profile, .slot = zg_slot_of(stamp)};
}

/* The task's own pointers: cheaper than to call for it. */
static __always_inline __u64 zg_glance_of(enum zg_who who, void *ctx)
{
	if (who != ZG_TASK)
		return zg_cgroup_of(who, ctx);
	return bpf_get_current_task_btf()->cgroups->dfl_cgrp->kn->id;
}

/*
 * Most that a machine does is not governed, and leaves here, before anything
 * else is read: true if its cgroup is known to be nobody's in the generation in
 * force. Whoever is not let go is asked about by zg_decide, which begins with
 * what was seen here.
 */
static __always_inline bool zg_is_free(enum zg_who who, void *ctx, struct zg_met *met)
{
	__u64 own = zg_glance_of(who, ctx);
	const struct zg_ctl *ctl = zg_get_ctl();
	struct zg_heir *heir = zg_heir_of(own);

	met->profile = ZG_PROFILE_NONE;
	met->stamp = 0;
	if (!ctl || !heir)
		return false;
	met->stamp = ZG_READ_ONCE(ctl->stamp);
	if (!zg_recall_heir(heir, own, met->stamp, &met->profile)) {
		met->profile = ZG_PROFILE_NONE;
		return false;
	}
	return met->profile == ZG_PROFILE_NONE && !(who == ZG_TASK && ZG_READ_ONCE(ctl->sticky));
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

/* The ranges of one rule; a says whose, and gets the verdict or a reason. Not
 * static, as zg_judge_name: the verifier judges its loop once, by itself, and
 * not again with each state of its callers. */
__noinline int zg_judge_port(struct zg_answer *a, __u32 proto, __u32 direction, __u32 port_be)
{
	struct zg_rule_key key = {.proto = proto, .direction = direction};
	__u16 port = bpf_ntohs(port_be);
	const struct zg_rule_val *r;

	if (!a)
		return 0;
	key.profile = a->profile;
	key.identity = a->identity;
	key.slot = a->slot;
	r = bpf_map_lookup_elem(&zg_rule, &key);
	a->verdict = ZG_V_DENY;
	a->reason = ZG_GR_NO_RULE;
	if (!r)
		return 0;
	a->reason = ZG_GR_PORT;
	for (__u32 i = 0; i < ZG_PORT_RULES_MAX; i++) {
		if (i >= r->count)
			return 0;
		if (port < r->port[i].lo || port > r->port[i].hi)
			continue;
		a->verdict = r->port[i].verdict;
		a->reason = a->verdict == ZG_V_DENY ? ZG_GR_RULE_DENY : ZG_GR_NONE;
		return 0;
	}
	return 0;
}

/* One of the ways it may go by is enough, but an explicit deny of the other
 * end holds for both. */
static __always_inline void zg_judge_ways(const struct zg_dest *d, struct zg_answer *a)
{
	__u8 reason = ZG_GR_INBOUND;

	zg_judge_port(a, d->proto, ZG_DIR_OUT, d->port_be);
	if (a->reason == ZG_GR_RULE_DENY)
		return;
	if (d->ways & ZG_WAY_OUT) {
		if (a->verdict != ZG_V_DENY)
			return;
		reason = a->reason;
	}
	a->verdict = ZG_V_DENY;
	if (d->ways & ZG_WAY_IN)
		zg_judge_port(a, d->proto, ZG_DIR_IN, d->local_port_be);
	if (a->verdict == ZG_V_DENY)
		a->reason = reason;
}

/* A resolver of any profile. Not static: the verifier judges it once. */
__noinline int zg_resolver_port(__u32 slot, __u32 port_be)
{
	for (__u32 id = ZG_PROFILE_FIRST; id < ZG_PROFILES_MAX; id++) {
		__u32 index = (slot & 1) * ZG_PROFILES_MAX + id;
		const struct zg_profile *p = bpf_map_lookup_elem(&zg_profile, &index);

		if (!p || !p->name[0]) /* the last one was the last */
			return 0;
		if (p->dns4_port_be == port_be || p->dns6_port_be == port_be)
			return 1;
	}
	return 0;
}

/* What the tables say of an address: a gets identity, verdict and reason. */
static __always_inline void zg_read_tables(const struct zg_dest *d, struct zg_answer *a)
{
	a->identity = zg_identity_of(d, a->slot);
	a->reason = d->ways == ZG_WAY_IN ? ZG_GR_INBOUND : ZG_GR_NO_IDENTITY;
	if (a->identity)
		zg_judge_ways(d, a);
	/* a question there would be asked in the name of another profile */
	if ((d->ways & ZG_WAY_OUT) && zg_is_loopback(&d->addr) &&
	    zg_resolver_port(a->slot, d->port_be)) {
		a->verdict = ZG_V_DENY;
		a->reason = ZG_GR_RESOLVER;
	}
}

static __always_inline void zg_judge_address(enum zg_who who, const struct zg_dest *d,
					     struct zg_answer *a)
{
	struct zg_known key = {
		.epoch = zg_epoch_of(a->stamp),
		.profile = a->profile,
		.ports = (__u32)d->port_be << 16 | (d->ways & ZG_WAY_IN ? d->local_port_be : 0),
		.addr = d->addr,
		.proto = d->proto,
		.ways = d->ways,
	};
	struct zg_known *known = who == ZG_QUESTION ? NULL : zg_known_of(&key);

	if (!known || !zg_recall(known, &key)) {
		zg_read_tables(d, a);
		key.verdict = a->verdict;
		key.reason = a->reason;
		key.identity = a->identity;
		if (known)
			zg_keep(known, &key);
	}
	a->verdict = key.verdict;
	a->reason = key.reason;
	a->identity = key.identity;
}

/* A connection is judged when it is made: one that is open outlives the name's
 * time to live, though not the name's withdrawal. The agent asks about such. */
static __always_inline bool zg_flow_is_open(enum zg_who who, void *ctx)
{
	struct bpf_sock *sk = who == ZG_PACKET ? ((struct __sk_buff *)ctx)->sk : NULL;

	return who == ZG_QUESTION ||
	       (sk && sk->state != BPF_TCP_SYN_SENT && sk->state != BPF_TCP_CLOSE);
}

/* Asked only where the rules for the address have neither allowed nor denied. */
__noinline int zg_judge_name(const struct zg_dest *d, struct zg_answer *a, bool open, bool used)
{
	struct zg_name_key key = {};
	__u64 now = bpf_ktime_get_boot_ns();
	struct zg_name_val *v;
	__u16 port;

	if (!d || !a)
		return 0;
	key.profile = a->profile;
	key.proto = d->proto;
	key.slot = a->slot;
	port = bpf_ntohs(d->port_be);
	__builtin_memcpy(key.addr, d->addr.byte, sizeof(key.addr));
	v = bpf_map_lookup_elem(&zg_name, &key);
	if (!v)
		return 0;
	for (__u32 i = 0; i < ZG_PORT_RULES_MAX; i++) {
		const struct zg_name_row *row = &v->row[i];

		if (i >= v->count)
			return 0;
		if (port < row->lo || port > row->hi || (!open && now >= row->expires_ns) ||
		    (row->verdict != ZG_V_ALLOW && row->verdict != ZG_V_REDIRECT))
			continue;
		if (used && now - v->used_ns > ZG_NAME_TOUCH_NS)
			v->used_ns = now;
		a->verdict = row->verdict;
		a->reason = ZG_GR_NONE;
		a->by_name = 1;
		if (a->verdict == ZG_V_REDIRECT) /* another name of this address may allow */
			return 0;
	}
	return 0;
}

static __always_inline bool zg_is_resolver(const struct zg_dest *d, const struct zg_answer *a)
{
	return d->port_be == a->dns_port_be && zg_is_loopback(&d->wire);
}

/* DNS of a profile that has host names is its resolver's, whatever its rules
 * say; true if it is. */
static __always_inline bool zg_judge_dns(const struct zg_dest *d, struct zg_answer *a)
{
	if (!a->names || (d->port_be != ZG_PORT_DNS && !zg_is_resolver(d, a)))
		return false;
	a->verdict = ZG_V_RESOLVE;
	return true;
}

/* The profile's own state; true if that alone decides. */
static __always_inline bool zg_judge_profile(const struct zg_dest *d, struct zg_answer *a)
{
	const struct zg_profile *p;
	__u32 index;

	if (a->profile >= ZG_PROFILES_MAX)
		return false;
	index = a->slot * ZG_PROFILES_MAX + a->profile;
	p = bpf_map_lookup_elem(&zg_profile, &index);
	if (p && p->contained) {
		a->reason = ZG_GR_CONTAINED;
		return true;
	}
	a->audit = p && p->mode == ZG_MODE_AUDIT;
	a->shadow = p ? p->shadow_wire : ZG_SHADOW_KILL;
	a->asks = p && p->asks;
	a->names = p && (p->dns4_port_be || p->dns6_port_be);
	if (p)
		a->dns_port_be = zg_is_v4(&d->wire) ? p->dns4_port_be : p->dns6_port_be;
	return false;
}

/* Whose grant it would be. A live socket that is asked about was marked when it
 * dialled: if nobody has a grant for its destination any more, nor has it. */
static __always_inline void zg_judge_grant(enum zg_who who, void *ctx, const struct zg_dest *d,
					   struct zg_answer *a)
{
	struct zg_exe exe = {};

	if (who == ZG_TASK)
		exe = zg_exe_of_task();
	else if (who == ZG_PACKET)
		exe = zg_exe_of_packet(ctx);
	if (who == ZG_QUESTION ? !((const struct zg_question *)ctx)->live : !exe.ino)
		return;
	if (!zg_grant_holds(d, zg_epoch_of(a->stamp), a->profile, exe.dev, exe.ino))
		return;
	a->verdict = ZG_V_ALLOW;
	a->reason = ZG_GR_NONE;
	a->granted = 1;
}

/* What the table says; ZG_GR_UNIX where it says nothing. */
static __always_inline struct zg_unix_val zg_find_sun(struct zg_sun *n, __u32 profile, __u32 slot)
{
	struct zg_unix_val v = {.reason = ZG_GR_UNIX};
	const struct zg_unix_val *found;

	n->key.prefixlen = (sizeof(n->key) - sizeof(n->key.prefixlen)) * 8;
	n->key.profile = profile;
	n->key.slot = slot;
	found = bpf_map_lookup_elem(&zg_unix, &n->key);
	/* the rest that a "*" stands for has no slash; if the longest match
	 * does not hold for that, no shorter one does */
	if (found && !(found->prefix && n->slash >= found->bytes))
		v = *found;
	return v;
}

/* Why no profile reaches it, unless by its very name. */
static __noinline ZG_UNUSED int zg_judge_control(struct zg_sun *n, __u32 slot)
{
	struct zg_sun any;

	if (zg_any_user(n, &any))
		return zg_find_sun(&any, ZG_PROFILE_NONE, slot).reason;
	return zg_find_sun(n, ZG_PROFILE_NONE, slot).reason;
}

/* The profile's word for this very socket, then what holds for all, then its
 * word for a folder. */
static __always_inline void zg_judge_sun(struct zg_sun *n, struct zg_answer *a)
{
	struct zg_unix_val v = zg_find_sun(n, a->profile, a->slot);
	bool named = v.bytes && !v.prefix;

	a->reason = named ? ZG_GR_UNIX : zg_judge_control(n, a->slot);
	if (a->reason != ZG_GR_UNIX)
		return;
	a->verdict = v.verdict;
	a->reason = v.reason;
}

/* ctx: of a packet, the packet; of a task, the unix socket that it names. */
static __always_inline void zg_judge_slot(enum zg_who who, void *ctx, struct zg_dest *d,
					  struct zg_answer *a)
{
	if (a->profile == ZG_PROFILE_NONE)
		return;
	if (who == ZG_PACKET)
		zg_read_packet(ctx, d);
	if (zg_judge_profile(d, a))
		return;
	if (d->refused) {
		a->reason = d->refused;
		return;
	}
	if (who == ZG_TASK && ctx) {
		zg_judge_sun(ctx, a);
		return;
	}
	if (d->proto != IPPROTO_TCP && d->proto != IPPROTO_UDP) {
		a->reason = ZG_GR_NO_RULE;
		return;
	}
	if (d->ways == ZG_WAY_BIND) { /* identity 0: whoever dials */
		zg_judge_port(a, d->proto, ZG_DIR_IN, d->port_be);
		if (a->verdict == ZG_V_DENY)
			a->reason = ZG_GR_BIND;
		return;
	}
	if ((d->ways & ZG_WAY_OUT) && zg_judge_dns(d, a))
		return;
	zg_judge_address(who, d, a);
	if (a->reason == ZG_GR_RESOLVER) { /* another's: in audit mode too */
		a->audit = 0;
		return;
	}
	if (a->verdict != ZG_V_DENY || a->reason == ZG_GR_RULE_DENY || !(d->ways & ZG_WAY_OUT))
		return;
	zg_judge_name(d, a, zg_flow_is_open(who, ctx), who == ZG_PACKET);
	if (a->verdict == ZG_V_DENY && d->port_be == ZG_PORT_DNS && !d->inbound)
		a->reason = ZG_GR_RESOLVER;
	else if (a->verdict == ZG_V_DENY && a->asks)
		zg_judge_grant(who, ctx, d, a);
}

/*
 * A generation that went out of force while it was read may already be half
 * removed, and an element that was freed may hold something else: the answer
 * is thrown away and asked for again. Whoever loses that race twice is denied.
 * a is zero, or zg_answer_to what was seen at the first glance.
 */
static __always_inline int zg_decide(enum zg_who who, void *ctx, struct zg_dest *d,
				     struct zg_answer *a)
{
	const struct zg_ctl *ctl = zg_get_ctl();

	if (!ctl) /* nobody can be told from the ungoverned without it */
		a->profile = ZG_PROFILE_GONE;
	for (int attempt = 0; ctl && attempt < 2; attempt++) {
		if (attempt || a->profile == ZG_PROFILE_NONE)
			zg_meet(ctl, who, ctx, a);
		zg_judge_slot(who, ctx, d, a);
		if (ZG_READ_ONCE(ctl->stamp) == a->stamp)
			return 0;
	}
	a->verdict = ZG_V_DENY;
	a->reason = ZG_GR_STATE;
	a->audit = 0;
	return 0;
}

/* Does it go to the gateway's own listener? */
static __always_inline bool zg_is_gateway(const struct zg_ctl *ctl, const struct zg_dest *d)
{
	bool v4 = zg_is_v4(&d->wire);
	__u16 port_be = ZG_READ_ONCE(*(v4 ? &ctl->gateway4_port_be : &ctl->gateway6_port_be));

	return port_be && d->port_be == port_be &&
	       zg_same(&d->wire, v4 ? ctl->gateway4 : ctl->gateway6);
}

#endif
