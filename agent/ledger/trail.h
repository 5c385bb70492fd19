/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trail.h - the way of every record: out of the rings into the audit log, then
 * to journald. While the log cannot be written the rings say FAILED, so that
 * calls are refused; what was handed over stays in its ring until it is safe.
 */
#ifndef ZG_TRAIL_H
#define ZG_TRAIL_H

#include "audit.h"
#include "journal.h"
#include "ring.h"

#define ZG_TRAIL_RINGS_MAX (2 * (ZG_WORKERS_MAX + 1)) /* each may have a retired one behind it */
#define ZG_TRAIL_BATCH	   64			      /* records between two writes */

struct zg_trail_ring {
	struct zg_ring ring;
	uint32_t index; /* 0 = the parent's */
	bool retired;	/* its producer is gone: released when it is empty */
	bool broken;	/* its producer broke the contract: not read any more */
	uint64_t taken; /* committed up to here */
	char name[ZG_RING_NAME_LEN];
};

struct zg_trail {
	struct zg_audit *audit;
	struct zg_journal journal;
	struct zg_trail_ring rings[ZG_TRAIL_RINGS_MAX];
	size_t ring_count;
	bool open;  /* producers may push: set by zg_trail_start */
	int failed; /* 0, or the errno that writing last failed with */
	uint64_t failures;
	uint64_t failed_ms; /* CLOCK_MONOTONIC */
	struct {
		struct zg_record record;
		uint64_t seq;
	} batch[ZG_TRAIL_BATCH];
	size_t batch_count;
	size_t drained; /* records of the last zg_trail_drain */
};

/* Takes the log over; path of journald's socket. */
int zg_trail_init(struct zg_trail *t, struct zg_audit *audit, const char *journal) ZG_MUST_CHECK;
void zg_trail_release(struct zg_trail *t);

/* A ring (fd is not kept). An earlier one of the same index is retired: it is
 * emptied first. boot tells agents apart in the log. */
int zg_trail_add_ring(struct zg_trail *t, int fd, uint32_t index, uint64_t boot) ZG_MUST_CHECK;

void zg_trail_start(struct zg_trail *t); /* rings say OK from now on */
void zg_trail_stop(struct zg_trail *t);	 /* rings say DOWN */

/* Take a bounded number of records. 1: there may be more; 0: all rings are
 * empty; -errno: writing failed (the rings say so already). */
int zg_trail_drain(struct zg_trail *t) ZG_MUST_CHECK;

/* May the loop sleep until the eventfd rings? */
bool zg_trail_may_sleep(struct zg_trail *t);

/* Records of the ledger's own: all written and on disk, or none (-errno). */
int zg_trail_emit(struct zg_trail *t, const struct zg_record *records, size_t n) ZG_MUST_CHECK;

/* While failed: try again; the log tells of the gap in time. 0 when mended. */
int zg_trail_retry(struct zg_trail *t) ZG_MUST_CHECK;

/* Sign what is not signed yet and sync. */
int zg_trail_checkpoint(struct zg_trail *t) ZG_MUST_CHECK;
int zg_trail_sync(struct zg_trail *t) ZG_MUST_CHECK;

#endif
