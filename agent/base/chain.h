/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chain.h - the audit log's file format, its reading side. The ledger writes
 * it (ledger/audit.c); `zerogate audit verify` checks it offline.
 *
 * The log is a folder of segments, 000000000001.jsonl and up, read as one long
 * text. A line is one flat JSON object (strings and unsigned integers only)
 * and ends with one newline:
 *
 *   {"seq":7,"time":"2026-01-02T03:04:05.000000006Z","kind":"call.intent",
 *    ...fields of tbl/record_field.h that were set...,
 *    "ring":"1-9f86d081884c7d65","ring_seq":42,"prev":"<64 hex digits>"}
 *
 * seq       counts from 1 without a gap, across segments
 * ring      which ring the record came through, ring_seq its number there, so
 *           that a ledger that died between writing and taking it does not
 *           write it twice; absent for the ledger's own records
 * prev      lower-case hex SHA-256 of the previous line's exact bytes without
 *           its newline; 64 zeros for seq 1
 * signature in "audit.checkpoint" only: base64 of the Ed25519 signature over
 *           "zerogate audit v1\n" SEQ "\n" PREV, with the line's own seq
 *           (decimal) and prev (hex). At most ZG_AUDIT_CHECKPOINT_RECORDS
 *           other records stand between two checkpoints, so that a chain whose
 *           hashes were computed anew without the key does not pass.
 *
 * What it cannot show: records cut off the very end after the last checkpoint.
 */
#ifndef ZG_CHAIN_H
#define ZG_CHAIN_H

#include <openssl/evp.h>
#include <stdbool.h>

#include "cleanup.h"
#include "slice.h"
#include "zg_limits.h"

#define ZG_CHAIN_LINE_MAX   32768 /* all fields full of characters that need escapes */
#define ZG_CHAIN_SIGNED_MAX 128

struct zg_chain_line {
	uint64_t seq;
	uint8_t prev[32];
	struct zg_slice kind;
	struct zg_slice ring;	   /* empty: the ledger's own */
	uint64_t ring_seq;	   /* 0 without a ring */
	struct zg_slice signature; /* of a checkpoint, else empty */
};

/* Read one line (no newline); slices point into it. -EBADMSG if it is not one
 * flat JSON object with the members above. */
int zg_chain_parse(struct zg_slice line, struct zg_chain_line *out) ZG_MUST_CHECK;

/* The text that a checkpoint signs; returns its length. */
size_t zg_chain_signed(char out[ZG_CHAIN_SIGNED_MAX], uint64_t seq, const uint8_t prev[32]);

/* A pass over a chain, line by line. */
struct zg_chain {
	EVP_PKEY *key;	    /* the public key; borrowed */
	bool partial;	    /* may start anywhere (segments given one by one) */
	uint64_t next;	    /* seq that must come; 0 = any (partial, nothing read yet) */
	uint8_t prev[32];   /* hash of the last line */
	uint64_t unsigned_; /* records since the last checkpoint */
	uint64_t lines;
	uint64_t checkpoints;
};

void zg_chain_start(struct zg_chain *c, EVP_PKEY *key, bool partial);

/* The next line. NULL if it holds, else what is wrong with it: one of a few
 * constant texts, the first word of which is bad-json, gap, hash-mismatch,
 * bad-signature or unsigned. After a failure the chain's position is undefined. */
const char *zg_chain_next(struct zg_chain *c, struct zg_slice line);

#endif
