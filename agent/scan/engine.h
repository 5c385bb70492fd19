/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine.h - what the parts of the scanner share; nobody outside agent/scan
 * includes it. A pattern of the database has one fixed width, so the start of
 * a candidate is its end minus that width (Hyperscan's own start-of-match
 * tracking refuses many patterns and costs speed); the detector's verifier
 * then reads the text around it. Every verifier is linear over a whole text,
 * whatever the text: it reads a bounded window, or stops where the next
 * candidate of its kind could begin.
 */
#ifndef ZG_SCAN_ENGINE_H
#define ZG_SCAN_ENGINE_H

#include <hs/hs.h>

#include "scan.h"

enum zg_detector {
#define X(NAME, name, class, validator, verdict) ZG_DET_##NAME,
#include "tbl/detector.h"
#undef X
	ZG_DETECTORS
};
_Static_assert(ZG_DETECTORS <= 32, "zg_findings.per_detector has 32 counts");

/* Between two strings of one message. Never part of UTF-8, so no token holds it. */
#define ZG_TEXT_END '\xff'

struct zg_span {
	size_t start;
	size_t end;
};

/* The text being searched, and where findings go. */
struct zg_probe {
	const char *text;
	size_t len;
	size_t base;	  /* of text in what is scanned: added to what is reported */
	size_t found_end; /* end of the last finding: a boundary like the text's start */
	struct zg_findings *findings;
	int error; /* -ENOMEM, sticky */
};

/* Add what was found at `at` of p->text. False: stop (error, or too many). */
bool zg_report(struct zg_probe *p, uint16_t detector, struct zg_span at);

/*
 * match: the bytes the pattern matched. True: *out is the secret's extent
 * (it may begin before or after the match).
 */
typedef bool zg_verifier(const struct zg_probe *p, struct zg_span match, struct zg_span *out);

struct zg_pattern {
	const char *regex;
	unsigned flags; /* HS_FLAG_* */
	uint16_t width; /* bytes of every match */
	uint16_t detector;
	zg_verifier *verify;
};

extern const struct zg_pattern zg_patterns[];
extern const unsigned zg_pattern_count;

zg_verifier zg_verify_aws_access, zg_verify_aws_secret, zg_verify_gcp, zg_verify_azure;
zg_verifier zg_verify_github, zg_verify_github_pat, zg_verify_slack, zg_verify_npm;
zg_verifier zg_verify_pem, zg_verify_jwt;

/* Generic kinds, behind prefilters of their own (too common for the database). */
void zg_find_cards(struct zg_probe *p);
void zg_find_emails(struct zg_probe *p);

/* --- characters (verify.c) --- */
enum {
	ZG_CC_DIGIT = 1,
	ZG_CC_UPPER = 2,
	ZG_CC_LOWER = 4,
	ZG_CC_DASH = 8,	      /* - */
	ZG_CC_UNDERLINE = 16, /* _ */
	ZG_CC_B64 = 32,	      /* + / */
	ZG_CC_ALNUM = ZG_CC_DIGIT | ZG_CC_UPPER | ZG_CC_LOWER,
	ZG_CC_URL64 = ZG_CC_ALNUM | ZG_CC_DASH | ZG_CC_UNDERLINE,
};
extern const uint8_t zg_cclass[256];

static inline bool zg_is(char c, unsigned cc)
{
	return (zg_cclass[(unsigned char)c] & cc) != 0;
}

/* How many bytes from at on are of a class, at most max. */
size_t zg_span_of(const struct zg_probe *p, size_t at, unsigned cc, size_t max);

/* A token may begin at `at`: nothing of the class stands before it, or only
 * the tail of an escape (backslash-n, percent-20) or an earlier finding. */
bool zg_token_begins(const struct zg_probe *p, size_t at, unsigned cc);

/* Nothing of the class follows at `at`. */
bool zg_token_ends(const struct zg_probe *p, size_t at, unsigned cc);

/* Says EXAMPLE, or is made of so few different characters that it stands for
 * a token instead of being one. */
bool zg_placeholder(const char *s, size_t n, unsigned distinct);

/* --- checksums (checksum.c) --- */
uint32_t zg_crc32(const void *bytes, size_t n);
/* base62 (0-9A-Za-z), six characters, of the CRC-32 of the bytes before them:
 * GitHub and npm tokens. n counts all of it. */
bool zg_crc32_base62(const char *token, size_t n);
bool zg_luhn(const char *digits, size_t n);
/* Standard or URL alphabet, padding optional, nothing else. Bytes, or -EBADMSG;
 * -EFBIG if they do not fit. */
long zg_base64(uint8_t *out, size_t size, const char *s, size_t n);
/* Marvin32 folded to 32 bits (Microsoft's identifiable keys). */
uint32_t zg_marvin32(uint64_t seed, const uint8_t *bytes, size_t n);

/* --- findings.c --- */
/* Add a finding with its detector's verdict; one that overlaps others swallows
 * them. 0 (overflow is set when full) or -ENOMEM. */
int zg_findings_add(struct zg_findings *f, uint16_t detector, struct zg_span at) ZG_MUST_CHECK;

/* --- normalise.c: a layer of text that an evasion hides --- */
struct zg_cut {
	uint32_t at;	  /* offset in the layer */
	uint32_t removed; /* bytes taken out before it, all in all */
};

struct zg_layer {
	char *text;
	size_t len;
	size_t cap;
	struct zg_cut *cut;
	size_t cuts;
	size_t cuts_cap;
};

void zg_layer_release(struct zg_layer *l);
/* Take invisible (default-ignorable, bidi) characters out of text. 1: l holds
 * what is left and they stood inside words; 0: nothing to see; -ENOMEM. */
int zg_layer_strip(struct zg_layer *l, struct zg_slice text);
/* From the layer back to the text: a span that holds all of it. */
struct zg_span zg_layer_back(const struct zg_layer *l, struct zg_span s);

/* --- json_string.c --- */
/* Copy up to the first byte that is '"', '\\' or below space, and return where it
 * is (or end). *high gets 0x80 if what was copied may not be ASCII. *out has 16
 * bytes to spare. */
const char *zg_json_plain(const char *p, const char *end, char **out, unsigned char *high);
/* One escape; p is at its backslash. *out gets its bytes (at most four). What
 * follows it, or NULL with *why. */
const char *zg_json_unescape(const char *p, const char *end, char **out, const char **why);
extern const char zg_json_short[256]; /* what the letter of a short escape stands for, or 0 */

/* --- the scanner --- */

/* A name of an object that is still open, as an extent of the decoded text. */
struct zg_member {
	uint32_t text;
	uint32_t len;
	uint32_t raw; /* where it stands */
};

struct zg_scanner {
	hs_database_t *db;
	hs_scratch_t *scratch;
	struct zg_layer layer;
	struct zg_findings layer_found;
	/* json.c: all strings of one message, decoded, each ended by ZG_TEXT_END */
	char *text;
	size_t text_cap;
	struct zg_buf members; /* struct zg_member each, innermost object last */
};

/* Give big buffers back after a big message. */
void zg_scanner_shrink(struct zg_scanner *s);
void zg_scanner_shrink_json(struct zg_scanner *s, size_t keep_bytes);

int zg_scan_layers(struct zg_scanner *s, struct zg_slice text, bool ascii,
		   struct zg_findings *f) ZG_MUST_CHECK;

#endif
