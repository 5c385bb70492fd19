/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan_json_fuzz.c - the strict walk and the scanner on arbitrary bytes. What
 * must hold: jansson agrees on what is JSON, both ways; a redacted message is
 * JSON, differs only where something was found, and (unless characters were
 * invisible) holds no secret when scanned again; the same for plain text. Bytes
 * 1 to 11 of an input stand for one sample of each kind, so that no seed looks
 * like a secret in the tree.
 */
#include <errno.h>
#include <jansson.h>

#include "samples.h"
#include "scan.h"

#define CHECK(what)                                                                                \
	do {                                                                                       \
		if (!(what)) {                                                                     \
			fprintf(stderr, "does not hold: %s\n", #what);                             \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

static struct zg_scanner *scanner;

static bool is_json(struct zg_slice s)
{
	json_t *j = json_loadb(s.ptr, s.len,
			       JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL | JSON_REJECT_DUPLICATES,
			       NULL);

	json_decref(j);
	return j != NULL;
}

/* Outside the findings both texts agree, inside stand placeholders. */
static void check_outside(struct zg_slice before, struct zg_slice after,
			  const struct zg_findings *f)
{
	size_t b = 0, a = 0;

	for (size_t i = 0; i < f->count; i++) {
		size_t plain = f->item[i].start - b;
		const char *close;

		CHECK(f->item[i].start >= b && f->item[i].end > f->item[i].start);
		CHECK(f->item[i].end <= before.len && plain <= after.len - a);
		CHECK(memcmp(before.ptr + b, after.ptr + a, plain) == 0);
		a += plain;
		CHECK(after.len - a > 10 && memcmp(after.ptr + a, "[zerogate:", 10) == 0);
		close = memchr(after.ptr + a, ']', after.len - a);
		CHECK(close);
		a = (size_t)(close - after.ptr) + 1;
		b = f->item[i].end;
	}
	CHECK(before.len - b == after.len - a);
	CHECK(memcmp(before.ptr + b, after.ptr + a, before.len - b) == 0);
}

/* Credentials only: an address or a number is judged by what stands beside it,
 * and a placeholder beside it is another neighbour. */
static size_t secrets(const struct zg_findings *f)
{
	size_t n = 0;

	for (size_t i = 0; i < f->count; i++)
		n += strcmp(zg_detector_class(f->item[i].detector), "secret") == 0;
	return n;
}

/* No invisible character, in no spelling. With them, what is found without them
 * may change what stands beside other text; redacted it is all the same. */
static bool all_visible(struct zg_slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		if ((unsigned char)s.ptr[i] >= 0x80)
			return false;
		if (s.len - i >= 4 && memcmp(s.ptr + i, "\\u", 2) == 0 &&
		    memcmp(s.ptr + i + 2, "00", 2) != 0)
			return false;
	}
	return true;
}

static void check_json(struct zg_slice raw)
{
	struct zg_findings found = {0};
	zg_autobuf out = ZG_BUF(1 << 24), again = ZG_BUF(1 << 24);
	struct zg_json_facts facts;
	struct zg_err e = {0};
	bool changed = false, overflow;
	int r = zg_scan_json(scanner, raw, &found, &out, &changed, &facts, &e);

	CHECK(r == 0 || r == -EBADMSG || r == -EFBIG);
	CHECK(r == 0 || e.what[0]);
	/* found: names that only redaction made equal; NUL: ends a text for jansson */
	if (r == -EBADMSG && !found.count && !memchr(raw.ptr, 0, raw.len))
		CHECK(!is_json(raw));
	if (r == 0)
		CHECK(is_json(raw));
	if (r == 0 && changed) {
		overflow = found.overflow;
		check_outside(raw, zg_buf_slice(&out), &found);
		CHECK(is_json(zg_buf_slice(&out)));
		CHECK(zg_scan_json(scanner, zg_buf_slice(&out), &found, &again, &changed, NULL,
				   &e) == 0);
		CHECK(!secrets(&found) || overflow || !all_visible(raw));
	}
	zg_findings_release(&found);
}

static void check_text(struct zg_slice text)
{
	struct zg_findings found = {0};
	zg_autobuf out = ZG_BUF(1 << 24);
	bool overflow;

	CHECK(zg_scan_text(scanner, text, &found) == 0);
	zg_redact_text(text, &found, &out);
	CHECK(zg_buf_ok(&out));
	check_outside(text, zg_buf_slice(&out), &found);
	overflow = found.overflow;
	CHECK(zg_scan_text(scanner, zg_buf_slice(&out), &found) == 0);
	CHECK(!secrets(&found) || overflow || !all_visible(text));
	zg_findings_release(&found);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	zg_autobuf db = ZG_BUF(1 << 24);
	struct zg_err e = {0};

	(void)argc;
	(void)argv;
	CHECK(zg_scandb_build(&db, &e) == 0);
	CHECK(zg_scanner_new(&scanner, db.ptr, db.len, &e) == 0);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	zg_autobuf text = ZG_BUF(1 << 24);

	for (size_t i = 0; i < size; i++) {
		if (data[i] >= 1 && data[i] <= SAMPLES && data[i] != '\t' && data[i] != '\n')
			zg_buf_str(&text, sample_secret(data[i] - 1));
		else
			zg_buf_char(&text, (char)data[i]);
	}
	if (!zg_buf_ok(&text) || !text.len)
		return -1;
	check_json(zg_buf_slice(&text));
	check_text(zg_buf_slice(&text));
	return 0;
}
