/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record.h - filling an audit record (struct zg_record, zg_wire.h). Numbers
 * are set with ZG_REC_NUM; text goes through zg_record_str, which cuts it to
 * the field, so that no record ever overflows or lies about its end.
 */
#ifndef ZG_RECORD_H
#define ZG_RECORD_H

#include "slice.h"
#include "zg_wire.h"

/* Zero it, set kind and the time (CLOCK_REALTIME). */
void zg_record_init(struct zg_record *r, enum zg_record_kind kind);

/* Set a STR field; does nothing for an empty slice. */
void zg_record_str(struct zg_record *r, enum zg_record_field field, struct zg_slice s);

/* Set a HEX or ADR field from exactly its size in bytes. */
void zg_record_bytes(struct zg_record *r, enum zg_record_field field, const uint8_t *bytes);

/* Kind, time and the fields that are set, no more: what is not set in from is
 * left in to as it was. from may lie in shared memory and change meanwhile. */
void zg_record_copy(struct zg_record *to, const struct zg_record *from);

/* All fields of "who". */
void zg_record_principal(struct zg_record *r, const struct zg_principal *p);

enum zg_record_type { ZG_RT_STR, ZG_RT_NUM, ZG_RT_HEX, ZG_RT_ADR };

/* One row per field, in the order of enum zg_record_field. */
struct zg_record_column {
	const char *name;     /* JSON member */
	const char *journal;  /* journald field */
	struct zg_slice json; /* the member's name as it is written: ,"name": */
	enum zg_record_type type;
	size_t offset;
	size_t bytes;
};
extern const struct zg_record_column zg_record_columns[ZG_RF_MAX];

/* "call.intent", its MESSAGE_ID and priority; NULL for an unknown kind. */
const char *zg_record_kind_text(uint32_t kind);
const char *zg_record_kind_id(uint32_t kind);
int zg_record_kind_priority(uint32_t kind);

#endif
