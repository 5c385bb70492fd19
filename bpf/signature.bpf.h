/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * signature.bpf.h - does this stream speak MCP? Runs the automaton of zg_abi.h
 * over one direction of a stream, in whatever pieces it comes: HTTP heads and
 * their framing (length, chunks), JSON messages, event streams. Trusts nothing
 * in it; keeps counters, never content. Calls no helper, so that it is tested
 * outside the kernel as it is.
 *
 * Not static: the verifier judges each function once, by itself, and not again
 * with each state of its callers.
 */
#ifndef ZG_SIGNATURE_BPF_H
#define ZG_SIGNATURE_BPF_H

#include <stdbool.h>

#include "zg_abi.h"

#ifdef __bpf__
#define ZG_JUDGED_ALONE __attribute__((noinline))
#else
#define ZG_JUDGED_ALONE static
#endif
#ifndef barrier_var /* outside the kernel */
#define barrier_var(v) asm volatile("" : "+r"(v))
#endif
#define ZG_INLINE static inline __attribute__((always_inline))

#define ZG_LENGTH_MAX (1ULL << 48) /* of a body: no longer one is believed */

struct zg_piece {
	__u8 byte[ZG_LOOK_PIECE];
};

ZG_INLINE void zg_look_away(struct zg_matcher *m)
{
	m->sight = m->end > m->at ? ZG_SIGHT_SKIP : ZG_SIGHT_DONE;
}

/* A body of known length or a chunk is over. The answer to HEAD has a length
 * and no body: what comes then is a status line, and is read on. */
ZG_INLINE void zg_frame_over(const struct zg_automaton *a, struct zg_matcher *m)
{
	bool skipped = m->sight == ZG_SIGHT_SKIP;

	m->end = 0;
	m->sight = ZG_SIGHT_ON;
	if (m->framing == ZG_FRAME_CHUNKED) {
		m->resume = skipped ? 0 : m->state;
		m->state = a->chunk;
		m->number = 0;
	} else if (skipped || (__u32)(m->state - a->status) >= a->status_count) {
		m->framing = ZG_FRAME_NONE;
		m->state = 0;
		m->found = 0;
	}
	if (skipped)
		m->spent = 0;
}

/* The direction turned: what was given up is looked at again, from a start. */
ZG_INLINE void zg_look_again(struct zg_matcher *m)
{
	m->spent = 0;
	if (m->sight != ZG_SIGHT_DONE)
		return;
	m->sight = ZG_SIGHT_ON;
	m->framing = ZG_FRAME_NONE;
	m->end = 0;
	m->state = 0;
	m->found = 0;
}

/* How many of the next bytes need no look; they count as gone. */
ZG_INLINE __u32 zg_look_past(const struct zg_automaton *a, struct zg_matcher *m, __u32 left)
{
	__u64 n = left;

	if (m->sight == ZG_SIGHT_ON)
		return 0;
	if (m->sight == ZG_SIGHT_SKIP && m->end - m->at < n)
		n = m->end - m->at;
	m->at += n;
	if (m->sight == ZG_SIGHT_SKIP && m->at == m->end)
		zg_frame_over(a, m);
	return (__u32)n;
}

ZG_INLINE void zg_count(struct zg_matcher *m, __u32 base, __u32 digit)
{
	if (m->number < ZG_LENGTH_MAX)
		m->number = m->number * base + digit;
}

ZG_INLINE void zg_body(const struct zg_automaton *a, struct zg_matcher *m)
{
	m->resume = 0;
	if (m->framing == ZG_FRAME_CHUNKED)
		m->state = a->chunk;
	else if (m->framing == ZG_FRAME_LENGTH && m->number && m->number < ZG_LENGTH_MAX)
		m->end = m->at + m->number;
	m->number = 0;
}

ZG_INLINE void zg_chunk(const struct zg_automaton *a, struct zg_matcher *m)
{
	if (!m->number) { /* the last one: trailers, read like a head */
		m->framing = ZG_FRAME_NONE;
		m->state = a->head;
	} else if (m->number < ZG_LENGTH_MAX) {
		m->end = m->at + m->number;
		m->state = m->resume;
	} else {
		zg_look_away(m);
	}
	m->number = 0;
}

ZG_INLINE void zg_open(struct zg_matcher *m, __u8 base)
{
	m->depth = 1;
	m->base = base;
	m->found = 0;
	m->spent = 0;
}

ZG_INLINE void zg_close(struct zg_matcher *m)
{
	m->depth--;
	if (!m->depth)
		m->state = 0;
	if (m->depth < m->base)
		m->found = 0;
}

ZG_INLINE void zg_find(const struct zg_automaton *a, struct zg_matcher *m, __u32 signature)
{
	__u32 level = a->level[signature & 31];

	if (level && m->depth + 1U != m->base + level)
		return;
	m->found |= 1U << (signature & 31);
	for (int i = 0; i < ZG_SIG_RULES; i++)
		if (a->rule[i] && (m->found & a->rule[i]) == a->rule[i])
			m->hit = m->found;
}

/* What the cell before m->at asked for. */
ZG_JUDGED_ALONE int zg_act(const struct zg_automaton *a, struct zg_matcher *m, __u32 action,
			   __u32 byte)
{
	if (!a || !m)
		return 0;
	switch (action) {
	case ZG_CUE_NONE:
		break;
	case ZG_CUE_MESSAGE:
		m->framing = ZG_FRAME_NONE;
		m->end = 0;
		m->number = 0;
		m->found = 0;
		m->spent = 0;
		break;
	case ZG_CUE_LENGTH:
		m->number = 0;
		if (m->framing == ZG_FRAME_NONE)
			m->framing = ZG_FRAME_LENGTH;
		break;
	case ZG_CUE_DIGIT:
		zg_count(m, 10, byte - '0');
		break;
	case ZG_CUE_CHUNKED:
		m->framing = ZG_FRAME_CHUNKED;
		break;
	case ZG_CUE_BODY:
		zg_body(a, m);
		break;
	case ZG_CUE_HEX:
		zg_count(m, 16, byte <= '9' ? byte - '0' : (byte & 0x0f) + 9);
		break;
	case ZG_CUE_CHUNK:
		zg_chunk(a, m);
		break;
	case ZG_CUE_FIELD:
		m->spent = 0;
		break;
	case ZG_CUE_JSON:
		zg_open(m, 1);
		break;
	case ZG_CUE_BATCH:
		zg_open(m, 2);
		break;
	case ZG_CUE_OPEN:
		if (m->depth < 255)
			m->depth++;
		else
			zg_look_away(m);
		break;
	case ZG_CUE_CLOSE:
		zg_close(m);
		break;
	case ZG_CUE_OTHER:
		zg_look_away(m);
		break;
	default:
		zg_find(a, m, action - ZG_CUE_SIGNATURE);
		break;
	}
	if (m->end && m->at == m->end)
		zg_frame_over(a, m);
	return 0;
}

/* From one byte on to before another, or to the first that asks for something:
 * how many were taken. All that most bytes do is change the state. */
ZG_JUDGED_ALONE int zg_run(const struct zg_automaton *a, struct zg_matcher *m,
			   const struct zg_piece *p, __u32 from, __u32 to)
{
	__u32 i, at, state, cell = 0;

	if (!a || !m || !p)
		return 0;
	state = m->state;
	for (i = 0; i < ZG_LOOK_PIECE; i++) {
		if (from + i >= to || cell >> ZG_SIG_SHIFT)
			break;
		at = (state % ZG_SIG_STATES) * ZG_SIG_CLASSES +
		     a->class_of[p->byte[(from + i) % ZG_LOOK_PIECE]] % ZG_SIG_CLASSES;
		barrier_var(at); /* Linux 6.1 wants to see the bound where it is used */
		cell = a->next[at % (ZG_SIG_STATES * ZG_SIG_CLASSES)];
		state = cell & ((1U << ZG_SIG_SHIFT) - 1);
	}
	m->state = state;
	m->cue = cell >> ZG_SIG_SHIFT;
	return (int)i;
}

/*
 * Look at n bytes, of which there is at least one; how many were taken. The
 * rest has to go through zg_look_past first. m->hit says whether it is MCP.
 */
ZG_JUDGED_ALONE int zg_match(const struct zg_automaton *a, struct zg_matcher *m,
			     const struct zg_piece *p, __u32 n)
{
	__u32 done = 0, to, got;

	if (!a || !m || !p)
		return 0;
	for (int i = 0; i < ZG_LOOK_PIECE; i++) {
		if (done >= n || m->sight != ZG_SIGHT_ON || m->hit)
			break;
		to = m->end > m->at && m->end - m->at < n - done ? done + (m->end - m->at) : n;
		got = zg_run(a, m, p, done, to);
		if (!got)
			break;
		done += got;
		m->at += got;
		m->spent += got;
		if (m->cue || m->at == m->end)
			zg_act(a, m, m->cue, p->byte[(done - 1) % ZG_LOOK_PIECE]);
	}
	if (m->sight == ZG_SIGHT_ON && m->spent >= ZG_LOOK_BYTES)
		zg_look_away(m);
	return (int)done;
}

#endif
