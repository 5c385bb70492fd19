/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring.h - audit records from one producer to the ledger, in shared memory.
 *
 * A memfd of the parent's, mapped by exactly one producer (a gateway worker or
 * the parent) and one consumer (the ledger). Handing a record over is a copy
 * and a store; it survives the death of either side because the parent keeps
 * the memfd. The consumer moves the tail only when the record is written.
 * The other side's numbers are never trusted: positions are re-checked
 * against the ring's size, and a broken ring is an error, not a crash.
 *
 * Wake-ups: the producer writes to the eventfd only when the consumer said it
 * sleeps; a producer that waits for room sleeps on a futex in the ring.
 */
#ifndef ZG_RING_H
#define ZG_RING_H

#include <stdbool.h>

#include "cleanup.h"
#include "zg_wire.h"

/* What the consumer can promise; set by the parent and the ledger. */
enum zg_ring_state {
	ZG_RING_DOWN = 0, /* no ledger: calls must be refused */
	ZG_RING_OK = 1,
	ZG_RING_FAILED = 2, /* the ledger cannot write (disk full, I/O error) */
};

/* What a producer counts beside its records, for the parent's status: its own word,
 * as its records are; never the base of a decision. */
enum zg_ring_counter {
	ZG_RC_SHADOW_CALLS = 0, /* a policy on trial was asked */
	ZG_RC_SHADOW_STRICTER,
	ZG_RC_SHADOW_LOOSER,
	ZG_RC_SHADOW_OTHER,
	ZG_RC_MAX
};

struct zg_ring_shared;

struct zg_ring {
	struct zg_ring_shared *shared;
	size_t bytes;
	int event;	   /* eventfd of the consumer; borrowed */
	uint64_t position; /* own side's: head (producer) or tail (consumer) */
};

/* Parent: a new ring's memfd, size sealed. Returns the descriptor or -errno. */
int zg_ring_create(void) ZG_MUST_CHECK;

/* Map it; fd may be closed afterwards. event = -1 on the consumer's side. */
int zg_ring_attach(struct zg_ring *r, int fd, int event) ZG_MUST_CHECK;
void zg_ring_release(struct zg_ring *r);

/* Producer: hand one record over. 0: from now on it cannot be lost by a crash
 * of ours. -ENOTCONN: state is not OK (nothing was handed over).
 * -ETIMEDOUT: full for ZG_RING_WAIT_MS. -EPROTO: the consumer broke the ring. */
int zg_ring_push(struct zg_ring *r, const struct zg_record *rec) ZG_MUST_CHECK;

/* As zg_ring_push, also while the ledger is down (outcomes of calls that
 * already ran, kernel events): waits for room, not for the state. */
int zg_ring_push_always(struct zg_ring *r, const struct zg_record *rec) ZG_MUST_CHECK;

/* Producer: slots that are free now. A loop that must not sleep asks first. */
size_t zg_ring_room(const struct zg_ring *r);

/* The state, and what the producer should tell people. */
enum zg_ring_state zg_ring_state(const struct zg_ring *r);
void zg_ring_set_state(struct zg_ring *r, enum zg_ring_state state); /* parent, ledger */

/* Producer: one more; all from 0 again. Whoever has it mapped: read. */
void zg_ring_count(struct zg_ring *r, enum zg_ring_counter which);
void zg_ring_uncount(struct zg_ring *r);
uint64_t zg_ring_counted(const struct zg_ring *r, enum zg_ring_counter which);

/* Consumer: look at the record after the last peeked one without taking it;
 * *seq is its number in this ring, from 1, never reused. 0 or -EAGAIN, -EPROTO.
 * The record is copied out (zg_record_copy): the producer may still scribble on
 * shared memory. */
int zg_ring_peek(struct zg_ring *r, struct zg_record *out, uint64_t *seq) ZG_MUST_CHECK;

/* Consumer: all records up to and including seq are safe; wakes a waiting producer. */
void zg_ring_commit(struct zg_ring *r, uint64_t seq);

/* Consumer, before it sleeps: true if it may (ring empty and producers will
 * now ring the eventfd). */
bool zg_ring_sleep(struct zg_ring *r);

#endif
