/* SPDX-License-Identifier: Apache-2.0 */
/* audit_impl.h - what audit.c (writing) and recover.c (opening) share. */
#ifndef ZG_AUDIT_IMPL_H
#define ZG_AUDIT_IMPL_H

#include <openssl/evp.h>

#include "audit.h"

#define ZG_RING_MARKS_MAX 64 /* rings seen in the last segment; more than can be uncommitted */

/* Where a chain stands after some line. */
struct zg_audit_head {
	uint64_t seq;
	uint8_t prev[32];    /* hash of line seq */
	uint64_t since_sign; /* records after the last checkpoint */
};

struct zg_audit {
	int dir;  /* audit/ */
	int lock; /* of our own open file description: the parent shares state_dir's */
	int segment;
	uint64_t number;
	uint64_t bytes; /* written and counted; the file may be longer after a failure */
	struct zg_audit_head written; /* after the last line in the file */
	struct zg_audit_head batched; /* after the last line of the batch */
	struct zg_buf batch;
	bool batch_signed; /* it holds a checkpoint: sync it */
	bool torn;	   /* a failed write must be cut off first */
	bool synced;	   /* nothing was written after the last fdatasync */
	enum zg_durability durability;
	bool stamps; /* the next is known */
	uint8_t snapshot[32];
	EVP_PKEY *key;
	/* last record of each ring in the log, from before our start */
	struct zg_record_origin marks[ZG_RING_MARKS_MAX];
	size_t mark_count;
};

/* NNNNNNNNNNNN.jsonl */
#define ZG_SEGMENT_NAME_LEN 24
void zg_audit_segment_name(char out[ZG_SEGMENT_NAME_LEN], uint64_t number);

/* recover.c: find the end of the chain in a->dir; fill number, bytes, written,
 * marks; move a torn tail away and say so in the log. */
int zg_audit_recover(struct zg_audit *a, struct zg_err *e) ZG_MUST_CHECK;

/* key.c: load the signing key, or make one; the public key goes beside the
 * segments, so that a copy of that folder can be checked */
int zg_audit_key(EVP_PKEY **out, int state_dir, int audit_dir, struct zg_err *e) ZG_MUST_CHECK;
/* base64 of the signature over n bytes; out has 89 bytes */
int zg_audit_sign(EVP_PKEY *key, const char *text, size_t n, char *out) ZG_MUST_CHECK;

#endif
