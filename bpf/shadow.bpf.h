/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * shadow.bpf.h - MCP with a server that nobody registered, on a connection that
 * the profile allows: seen in the bytes themselves, never by port or path. The
 * packet that completes a signature is dropped, and all that carry anything
 * after it, both ways. Not looked at: the gateway's own connections, UDP, and
 * what is encrypted. Keeps what was found, never a verdict: the profile in
 * force decides at each packet what becomes of it.
 *
 * A direction's matcher is only ever used by one packet at a time: on the way
 * out the socket is locked, and on the way in a flow stays on its CPU. Where it
 * does not, a signature may be missed and none is invented.
 */
#ifndef ZG_SHADOW_BPF_H
#define ZG_SHADOW_BPF_H

#include <linux/tcp.h>

#include "event.bpf.h"
#include "signature.bpf.h"

struct zg_span { /* of a packet: what is still to be looked at */
	__u32 at;
	__u32 left;
};

static __always_inline struct zg_automaton *zg_get_automaton(void)
{
	__u32 zero = 0;
	struct zg_automaton *a = bpf_map_lookup_elem(&zg_automaton, &zero);

	return a && a->id ? a : NULL;
}

/* One piece, or what needs no look; 0 when there is nothing more to do. */
__noinline int zg_look_step(struct __sk_buff *skb, struct zg_matcher *m, struct zg_span *s)
{
	const struct zg_automaton *a = zg_get_automaton();
	struct zg_piece piece = {};
	__u32 n;

	if (!a || !m || !s || !s->left || m->hit)
		return 0;
	n = zg_look_past(a, m, s->left);
	if (!n) {
		n = s->left < ZG_LOOK_PIECE ? s->left : ZG_LOOK_PIECE;
		barrier_var(n); /* what the compiler knows, the verifier wants to see */
		n = ((n - 1) & (ZG_LOOK_PIECE - 1)) + 1;
		if (bpf_skb_load_bytes(skb, s->at, &piece, n))
			return 0;
		n = zg_match(a, m, &piece, n);
	}
	if (!n || n > s->left)
		return 0;
	s->at += n;
	s->left -= n;
	return 1;
}

/* What was sent again is passed over; after a gap the thread is lost. */
static __always_inline bool zg_in_order(struct zg_matcher *m, struct zg_span *s, __u32 seq)
{
	__u32 ahead = seq - m->seq;

	if (!m->synced || !ahead) {
		m->synced = 1;
	} else if ((__s32)ahead < 0) {
		if (-ahead >= s->left)
			return false;
		seq += -ahead;
		s->at += -ahead;
		s->left -= -ahead;
	} else {
		m->at += ahead;
		if (m->sight == ZG_SIGHT_ON || m->at >= m->end)
			m->sight = ZG_SIGHT_DONE;
	}
	m->seq = seq + s->left;
	return true;
}

static __always_inline void zg_read_on(struct __sk_buff *skb, struct zg_stream *t, bool inbound,
				       struct zg_span *s, __u32 seq)
{
	struct zg_matcher *m = inbound ? &t->dir[1] : &t->dir[0];

	if (!zg_in_order(m, s, seq))
		return;
	if (t->turn != 1 + inbound) {
		t->turn = 1 + inbound;
		zg_look_again(m);
	}
	if (m->sight == ZG_SIGHT_DONE) /* most packets of a long answer */
		return;
	for (int i = 0; i < ZG_LOOK_STEPS; i++)
		if (!zg_look_step(skb, m, s))
			return;
	m->sight = ZG_SIGHT_DONE;
}

static __always_inline int zg_judge_shadow(struct __sk_buff *skb, struct zg_dest *d,
					   struct zg_answer *a, struct zg_stream *t)
{
	__u8 kind;

	a->verdict = ZG_V_DENY;
	a->reason = ZG_GR_SHADOW;
	a->audit |= a->shadow == ZG_SHADOW_AUDIT;
	kind = 1 << (a->audit ? ZG_E_WOULD_DENY : ZG_E_DENY);
	d->detail = t->dir[0].hit | t->dir[1].hit;
	if (!(t->told & kind) && zg_tell_packet(skb, d, a))
		t->told |= kind;
	return a->audit ? ZG_PASS : ZG_EPERM;
}

/* The first look at a connection's state: other states than the automaton's
 * are forgotten, but not what they led to. */
static __always_inline struct zg_stream *zg_stream_of(struct __sk_buff *skb, __u32 automaton)
{
	struct bpf_sock *sk = skb->sk;
	struct zg_stream *t;

	sk = sk ? bpf_sk_fullsock(sk) : NULL;
	if (!sk)
		return NULL;
	t = bpf_sk_storage_get(&zg_stream, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (t && t->automaton != automaton) {
		t->automaton = automaton;
		t->dir[0].sight = ZG_SIGHT_DONE;
		t->dir[1].sight = ZG_SIGHT_DONE;
		t->turn = 0;
	}
	return t;
}

/* A TCP packet that may pass, unless it speaks MCP. Segments without a byte of
 * payload do pass: acknowledgements, and the reset of a socket that is ended. */
static __noinline int zg_look_at(struct __sk_buff *skb, struct zg_dest *d, struct zg_answer *a)
{
	const struct zg_automaton *automaton;
	struct zg_span s;
	struct zg_stream *t;
	struct tcphdr tcp;

	if (a->shadow == ZG_SHADOW_OFF || a->profile == ZG_PROFILE_GATEWAY ||
	    bpf_skb_load_bytes(skb, d->transport, &tcp, sizeof(tcp)))
		return ZG_PASS;
	s.at = d->transport + tcp.doff * 4;
	s.left = skb->len - s.at;
	if (s.at >= skb->len || zg_is_listener(skb))
		return ZG_PASS;
	automaton = zg_get_automaton();
	t = automaton ? zg_stream_of(skb, automaton->id) : NULL;
	if (!t) {
		a->verdict = ZG_V_DENY;
		a->reason = ZG_GR_STATE;
		return zg_refuse_packet(skb, d, a);
	}
	if (!t->dir[0].hit && !t->dir[1].hit)
		zg_read_on(skb, t, d->inbound, &s, bpf_ntohl(tcp.seq) + tcp.syn);
	return t->dir[0].hit || t->dir[1].hit ? zg_judge_shadow(skb, d, a, t) : ZG_PASS;
}

#endif
