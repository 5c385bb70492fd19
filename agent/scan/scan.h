/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan.h - finding secrets and personal data in text that may reach a model,
 * and taking them out. One database of prefix-anchored patterns (Hyperscan),
 * then structure and checksum of each candidate. Scans *decoded* strings:
 * inside JSON the bytes outside the redacted spans stay identical.
 */
#ifndef ZG_SCAN_H
#define ZG_SCAN_H

#include "buf.h"
#include "cleanup.h"
#include "err.h"
#include "slice.h"
#include "zg_limits.h"

enum zg_scan_verdict { /* zero is the most restrictive */
		       ZG_SV_QUARANTINE = 0,
		       ZG_SV_REDACT,
		       ZG_SV_ALLOW,
};

/* X(NAME, text, class, verdict): see tbl/detector.h */
enum zg_scan_class { ZG_SC_SECRET, ZG_SC_PII };

struct zg_finding {
	uint16_t detector; /* index into the detectors' table */
	uint8_t verdict;   /* enum zg_scan_verdict */
	size_t start;	   /* byte offsets into the text that was scanned, end exclusive */
	size_t end;
};

struct zg_findings {
	struct zg_finding *item; /* sorted by start, not overlapping */
	size_t count;
	size_t cap;
	bool strict;   /* given, not found: what a detector would let pass is redacted */
	bool overflow; /* more than ZG_FINDINGS_MAX: treat as quarantine */
	uint32_t per_detector[32]; /* counts, for records and placeholders */
};

void zg_findings_reset(struct zg_findings *f); /* keeps memory */
void zg_findings_release(struct zg_findings *f);
enum zg_scan_verdict zg_findings_verdict(const struct zg_findings *f);
/* "aws-access-key:1,email:2" for a record. */
void zg_findings_text(const struct zg_findings *f, char *out, size_t size);

const char *zg_scan_verdict_name(enum zg_scan_verdict verdict); /* "REDACT" */
const char *zg_detector_name(uint16_t detector);		/* "aws-access-key" */
const char *zg_detector_class(uint16_t detector);		/* "secret" or "pii" */
const char *zg_detector_validator(uint16_t detector); /* "crc32", "luhn", "structure", ... */

struct zg_scanner; /* one per process, one thread */

/* Build time (config role, CLI): compile and serialise the pattern database. */
int zg_scandb_build(struct zg_buf *out, struct zg_err *e) ZG_MUST_CHECK;
/* Run time: take a serialised database (it is checked). */
int zg_scanner_new(struct zg_scanner **out, const void *db, size_t bytes,
		   struct zg_err *e) ZG_MUST_CHECK;
void zg_scanner_free(struct zg_scanner *s);

/* Scan decoded text; f is reset first. 0, -ENOMEM, -EFBIG (> ZG_SCAN_BYTES). */
int zg_scan_text(struct zg_scanner *s, struct zg_slice text, struct zg_findings *f) ZG_MUST_CHECK;

/* Append text with every finding that is not ALLOW replaced by
 * "[zerogate:<name>:<n>]". n counts per detector; the same bytes found again
 * get the same n, so that a reader still sees which places agree. */
void zg_redact_text(struct zg_slice text, const struct zg_findings *f, struct zg_buf *out);

/* What the strict walk learnt about a JSON text on the way. */
struct zg_json_facts {
	struct zg_slice id;	/* raw bytes of the top-level members; .ptr NULL = absent */
	struct zg_slice method; /* raw, with quotes */
	struct zg_slice result;
	struct zg_slice error;
	struct zg_slice result_type; /* result.resultType, raw */
	bool is_error;		     /* result.isError is true */
	bool asks;		     /* result has inputRequests or task */
	bool is_object;		     /* false: batch array or scalar */
};

/*
 * Walk one JSON text strictly (RFC 8259; valid UTF-8, no duplicate keys, depth
 * <= ZG_JSON_DEPTH, no NUL escapes, nothing after it), scan every string, keys
 * included, and append the redacted text to out; all other bytes identical.
 * If nothing is found out is empty and *changed is false: forward `raw`.
 * f and out are reset first. Findings' offsets are into `raw`. A finding inside
 * a number is not looked for. facts may be NULL; *changed and *facts are set on
 * success only. No string of one message is scanned together with that of another.
 * 0; -EBADMSG (e says where: column = byte offset + 1); -ENOMEM; -EFBIG.
 */
int zg_scan_json(struct zg_scanner *s, struct zg_slice raw, struct zg_findings *f,
		 struct zg_buf *out, bool *changed, struct zg_json_facts *facts,
		 struct zg_err *e) ZG_MUST_CHECK;

#endif
