/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record_json.h - one audit record as one line of JSON, in the format of
 * base/chain.h, and as the fields that journald gets.
 */
#ifndef ZG_RECORD_JSON_H
#define ZG_RECORD_JSON_H

#include "buf.h"
#include "record.h"

#define ZG_RING_NAME_LEN 32

/* Which ring a record came through; "" = the ledger's own record. */
struct zg_record_origin {
	char ring[ZG_RING_NAME_LEN];
	uint64_t seq;
};

/* Append the line without its newline. Texts that a producer left
 * unterminated end with their field. r->kind must be a known one. */
void zg_record_json(struct zg_buf *b, const struct zg_record *r, uint64_t seq,
		    const struct zg_record_origin *from, const uint8_t prev[32]);

/* A STR field as a slice, wherever it ends. */
struct zg_slice zg_record_text(const struct zg_record *r, const struct zg_record_column *c);

/* One set field as text, for a reader without types (journald). */
void zg_record_value(struct zg_buf *b, const struct zg_record *r, const struct zg_record_column *c);

#endif
