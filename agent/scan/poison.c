/* SPDX-License-Identifier: Apache-2.0 */
/*
 * poison.c - see poison.h. Trust: the text is a server's, and may be written
 * to be missed or to be slow: every pattern is tried at every word, with gaps
 * of a few words at most.
 */
#include "poison.h"

#include <errno.h>

#include "confusable.h"

#define BLOB_BYTES 96 /* shorter ones are digests, identifiers and keys of examples */

static const struct {
	const char *patterns;
} rules[] = {
#define X(NAME, text, patterns) {patterns},
#include "tbl/poison.h"
#undef X
};

/* what hides ----------------------------------------------------------------- */

static bool is_emoji_part(uint32_t c)
{
	return c >= 0x1f000 || (c >= 0x2190 && c <= 0x2bff) || c == 0xfe0f || c == 0x20e3 ||
	       c == 0x3030 || c == 0x303d || c == 0x3297 || c == 0x3299;
}

/* Scripts in whose writing joiners belong: Arabic, those of India and beyond. */
static bool joins(uint32_t c)
{
	return (c >= 0x600 && c <= 0x8ff) || (c >= 0x900 && c <= 0x109f) ||
	       (c >= 0x1780 && c <= 0x18af);
}

/* One character that leaves no mark, after `before` and followed by `after`. */
static uint32_t judge_invisible(uint32_t before, uint32_t c, uint32_t after)
{
	if (c >= 0xe0000 && c <= 0xe007f)
		return ZG_POISON_BIT(TAG);
	if ((c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069))
		return ZG_POISON_BIT(BIDI);
	if (c == 0x200e || c == 0x200f || c == 0x61c) /* marks: of use beside such a script */
		return before > 0x590 || after > 0x590 ? 0 : ZG_POISON_BIT(HIDDEN);
	if (c == 0x200d && is_emoji_part(before) && is_emoji_part(after))
		return 0;
	if ((c == 0x200c || c == 0x200d) && (joins(before) || joins(after)))
		return 0;
	/* which form of a sign is meant: one selector, after what is no letter of ours */
	if ((c == 0xfe0e || c == 0xfe0f) &&
	    (is_emoji_part(before) || before == 0xa9 || before == 0xae || before == 0x203c ||
	     before == 0x2049 || before == 0x2122 || before == 0x2139 || after == 0x20e3))
		return 0;
	if (c >= 0xe0100 && c <= 0xe01ef && before >= 0x2e80 && before < 0xe0000)
		return 0;
	if (c >= 0x180b && c <= 0x180f && joins(before))
		return 0;
	return ZG_POISON_BIT(HIDDEN);
}

/* Letters of one word: ASCII, and look-alikes of other scripts. */
struct mix {
	bool ours;
	bool theirs;
};

static uint32_t judge_letter(struct mix *m, uint32_t c)
{
	bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');

	if (c < 0x80 && !letter) {
		*m = (struct mix){0};
		return 0;
	}
	m->ours |= letter;
	m->theirs |= c >= 0x370 && c < 0x600 && zg_looks_like(c);
	return m->ours && m->theirs ? ZG_POISON_BIT(MIXED) : 0;
}

static bool is_blob_char(char c, unsigned *kinds)
{
	*kinds |= c >= 'a' && c <= 'z'	 ? 1U
		  : c >= 'A' && c <= 'Z' ? 2U
		  : c >= '0' && c <= '9' ? 4U
					 : 0;
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '+' || c == '/' || c == '=' || c == '-' || c == '_';
}

/* base64, long enough for a sentence; an icon of the definition is none. */
static uint32_t judge_blob(struct zg_slice text)
{
	size_t run = 0, slashes = 0;
	unsigned kinds = 0;

	if (zg_slice_starts(text, ZG_SLICE("data:image/")))
		return 0;
	for (size_t i = 0; i <= text.len; i++) {
		if (i < text.len && is_blob_char(text.ptr[i], &kinds)) {
			run++;
			slashes += text.ptr[i] == '/' || text.ptr[i] == '-' || text.ptr[i] == '_';
			continue;
		}
		/* a path has a separator every few letters */
		if (run >= BLOB_BYTES && kinds == 7 && slashes * 12 < run)
			return ZG_POISON_BIT(BLOB);
		run = slashes = 0;
		kinds = 0;
	}
	return 0;
}

static uint32_t judge_characters(struct zg_slice text)
{
	uint32_t bits = judge_blob(text), before = ' ', c;
	struct mix mix = {0};

	while (text.len) {
		struct zg_slice rest;

		c = zg_next_char(&text);
		rest = text;
		if ((c < 0x20 && c != '\n' && c != '\r' && c != '\t') || (c >= 0x7f && c < 0xa0))
			bits |= ZG_POISON_BIT(CONTROL);
		else if (zg_is_invisible(c))
			bits |= judge_invisible(before, c, zg_next_char(&rest));
		else
			bits |= judge_letter(&mix, c);
		before = c;
	}
	return bits;
}

/* what it says --------------------------------------------------------------- */

/* Lower case, look-alikes made Latin, blanks as one, nothing invisible. With
 * words: letters and digits only, an apostrophe is nothing. */
static void fold(struct zg_slice text, bool words, struct zg_buf *out)
{
	size_t start = out->len;
	bool blank = false;

	while (text.len) {
		const char *at = text.ptr;
		uint32_t c = zg_next_char(&text);
		char like = zg_looks_like(c);

		if (zg_is_invisible(c) || (words && (c == '\'' || c == 0x2019)))
			continue;
		if (!like && (c <= ' ' || (words && c < 0x80) || (c >= 0x2000 && c <= 0x206f) ||
			      c == 0xa0 || c == 0x3000)) {
			blank = true;
			continue;
		}
		if (blank && out->len > start)
			zg_buf_char(out, ' ');
		blank = false;
		if (like)
			zg_buf_char(out, like);
		else
			zg_buf_add(out, at, (size_t)(text.ptr - at));
	}
}

/* Cut the part up to the next `by` off s. */
static struct zg_slice cut(struct zg_slice *s, const char *by)
{
	const char *end = s->len ? memmem(s->ptr, s->len, by, strlen(by)) : NULL;
	struct zg_slice part = {s->ptr, end ? (size_t)(end - s->ptr) : s->len};
	size_t n = end ? part.len + strlen(by) : s->len;

	s->ptr += n;
	s->len -= n;
	return part;
}

static bool is_word(struct zg_slice any, struct zg_slice word)
{
	while (any.len) {
		struct zg_slice one = cut(&any, "|");
		bool prefix = one.len && one.ptr[one.len - 1] == '~';

		if (prefix)
			one.len--;
		if (prefix ? zg_slice_starts(word, one) : zg_slice_eq(word, one))
			return true;
	}
	return false;
}

/* Does the rest of the pattern follow here? Depth: the elements of a pattern. */
static bool follows(struct zg_slice pattern, struct zg_slice text)
{
	struct zg_slice element;
	unsigned gap = 0;

	if (!pattern.len)
		return true;
	element = cut(&pattern, " ");
	if (element.len == 2 && element.ptr[0] == '*') {
		gap = (unsigned)(element.ptr[1] - '0');
		element = cut(&pattern, " ");
	}
	for (unsigned i = 0; i <= gap && text.len; i++) {
		struct zg_slice word = cut(&text, " ");

		if (is_word(element, word) && follows(pattern, text))
			return true;
	}
	return false;
}

static bool says(struct zg_slice pattern, struct zg_slice words)
{
	while (words.len) {
		if (follows(pattern, words))
			return true;
		(void)cut(&words, " ");
	}
	return false;
}

static bool holds(const char *patterns, struct zg_slice words, struct zg_slice folded)
{
	struct zg_slice rest = zg_slice_str(patterns);

	while (rest.len) {
		struct zg_slice p = zg_slice_trim(cut(&rest, " ; "));

		if (p.len > 1 && p.ptr[0] == '=') {
			if (folded.len && memmem(folded.ptr, folded.len, p.ptr + 1, p.len - 1))
				return true;
		} else if (p.len && says(p, words)) {
			return true;
		}
	}
	return false;
}

int zg_poison_text(struct zg_slice text, struct zg_buf *work, uint32_t *bits)
{
	uint32_t found = judge_characters(text);
	struct zg_slice words, folded;
	size_t n;

	zg_buf_reset(work);
	fold(text, true, work);
	n = work->len;
	fold(text, false, work);
	if (!zg_buf_ok(work))
		return work->error;
	if (!work->len) { /* nothing but what hides: there may be no memory yet */
		*bits |= found;
		return 0;
	}
	words = (struct zg_slice){work->ptr, n};
	folded = (struct zg_slice){work->ptr + n, work->len - n};
	for (unsigned i = 0; i < ZG_POISONS; i++)
		if (!(found >> i & 1) && holds(rules[i].patterns, words, folded))
			found |= 1U << i;
	*bits |= found;
	return 0;
}
