/* SPDX-License-Identifier: Apache-2.0 */
/*
 * audit.h - the hash-chained audit log (format: base/chain.h) below the
 * ledger's folder:
 *
 *   audit/000000000001.jsonl ...  segments, 0600
 *   audit/NNNNNNNNNNNN.torn-SEQ   what a crash left half-written after that seq
 *   audit/audit.pub               the public key, PEM
 *   audit.key                     the Ed25519 key, PEM, 0600; made on the first start
 *
 * Records are added to a batch, which is written with one write(2) and only
 * then counts: a batch that cannot be written leaves no trace in the file.
 */
#ifndef ZG_AUDIT_H
#define ZG_AUDIT_H

#include "err.h"
#include "record_json.h"
#include "zg_snapshot.h"

struct zg_audit;

/* Open or create below state_dir (not kept); takes a lock, so that there is
 * one writer. A torn tail is moved away and told of in the log itself. */
int zg_audit_open(struct zg_audit **out, int state_dir, struct zg_err *e) ZG_MUST_CHECK;
void zg_audit_free(struct zg_audit *a);
void zg_audit_set_durability(struct zg_audit *a, enum zg_durability d);
/* The configuration in force: what records that name none are given. */
void zg_audit_set_snapshot(struct zg_audit *a, const uint8_t snapshot[32]);
void zg_audit_stamp(const struct zg_audit *a, struct zg_record *r);

/* Add a record to the batch. 0; -EALREADY if the log holds it from before a
 * crash (count it as written); -EAGAIN if a checkpoint is due first; -EINVAL
 * for an unknown kind; -ENOMEM. */
int zg_audit_add(struct zg_audit *a, const struct zg_record *r,
		 const struct zg_record_origin *from) ZG_MUST_CHECK;

/* Add a signed checkpoint to the batch; *out is its record. -ENODATA if
 * nothing stands after the last one. */
int zg_audit_add_checkpoint(struct zg_audit *a, struct zg_record *out) ZG_MUST_CHECK;

/* Forget the batch. */
void zg_audit_abandon(struct zg_audit *a);

/* Write the batch, rotating and syncing as due. On failure (-ENOSPC, -EIO,
 * ...) the file is as before and the batch is forgotten: add it again. */
int zg_audit_commit(struct zg_audit *a) ZG_MUST_CHECK;

/* What was written so far reaches the disk. */
int zg_audit_sync(struct zg_audit *a) ZG_MUST_CHECK;

uint64_t zg_audit_batched(const struct zg_audit *a); /* seq of the last record added */
bool zg_audit_synced(const struct zg_audit *a);
uint64_t zg_audit_unsigned(const struct zg_audit *a); /* records after the last checkpoint */

/* Readers of the log (control.c): where it ends now, and a segment to read. */
struct zg_audit_place {
	uint64_t segment;
	uint64_t offset;
};
struct zg_audit_place zg_audit_end(const struct zg_audit *a);
int zg_audit_segment(const struct zg_audit *a, uint64_t number) ZG_MUST_CHECK; /* fd or -errno */

/* The place where the last n lines begin (as many as there are). */
int zg_audit_last(const struct zg_audit *a, uint64_t n, struct zg_audit_place *out) ZG_MUST_CHECK;

#endif
