/* SPDX-License-Identifier: Apache-2.0 */
/*
 * normalise.c - undo what hides a token from patterns but not from a reader or
 * a model. One layer so far: invisible characters (Unicode's default-ignorable
 * ones, the bidi controls among them) inside words. Trust: the text is a
 * peer's. The text itself is never changed: a layer is only searched, and what
 * is found there is taken out of the text with the characters that hid it.
 */
#include <errno.h>

#include "confusable.h"
#include "engine.h"

/* Bytes of the invisible character at s, or 0. What is no UTF-8 is none. */
static size_t ignorable(const unsigned char *s, size_t left)
{
	size_t n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
	struct zg_slice one = {(const char *)s, n};

	if (s[0] < 0xc2 || left < n)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	return zg_is_invisible(zg_next_char(&one)) ? n : 0;
}

void zg_layer_release(struct zg_layer *l)
{
	free(l->text);
	free(l->cut);
	*l = (struct zg_layer){0};
}

static int add_cut(struct zg_layer *l, size_t removed)
{
	if (l->cuts && l->cut[l->cuts - 1].at == l->len) {
		l->cut[l->cuts - 1].removed = (uint32_t)removed;
		return 0;
	}
	if (l->cuts == l->cuts_cap) {
		size_t cap = l->cuts_cap ? l->cuts_cap * 2 : 64;
		struct zg_cut *cut = realloc(l->cut, cap * sizeof(*cut));

		if (!cut)
			return -ENOMEM;
		l->cut = cut;
		l->cuts_cap = cap;
	}
	l->cut[l->cuts++] = (struct zg_cut){.at = (uint32_t)l->len, .removed = (uint32_t)removed};
	return 0;
}

static bool graphic(unsigned char c)
{
	return c > 0x20 && c < 0x7f;
}

/* First bytes of default-ignorable characters. */
static const bool lead[256] = {
	[0xc2] = true, [0xcd] = true, [0xd8] = true, [0xe1] = true, [0xe2] = true,
	[0xe3] = true, [0xef] = true, [0xf0] = true, [0xf3] = true,
};

/* The first invisible character at or after `at` that has ASCII text before
 * it; in emoji and most scripts they belong to the writing and hide nothing. */
static size_t next_hidden(struct zg_slice text, size_t at)
{
	const unsigned char *s = (const unsigned char *)text.ptr;
	size_t i = at;

	for (; i < text.len && text.len - i >= 8; i += 8) {
		uint64_t word, begins;

		/* bytes that are not ASCII and follow one that is: only there */
		memcpy(&word, s + i, 8);
		word &= 0x8080808080808080ULL;
		begins = word & ~(word << 8 | (i ? s[i - 1] & 0x80U : 0x80U));
		for (; begins; begins &= begins - 1) {
			size_t c = i + (unsigned)__builtin_ctzll(begins) / 8;

			if (lead[s[c]] && graphic(s[c - 1]) && ignorable(s + c, text.len - c))
				return c;
		}
	}
	for (; i < text.len; i++)
		if (lead[s[i]] && i && graphic(s[i - 1]) && ignorable(s + i, text.len - i))
			return i;
	return text.len;
}

int zg_layer_strip(struct zg_layer *l, struct zg_slice text)
{
	const unsigned char *s = (const unsigned char *)text.ptr;
	size_t from = 0, i = next_hidden(text, 0);
	bool inside = false;

	l->len = l->cuts = 0;
	if (i == text.len)
		return 0;
	if (l->cap < text.len) {
		char *grown = realloc(l->text, text.len);

		if (!grown)
			return -ENOMEM;
		l->text = grown;
		l->cap = text.len;
	}
	while (i < text.len) {
		size_t n;

		memcpy(l->text + l->len, s + from, i - from);
		l->len += i - from;
		while (i < text.len && (n = ignorable(s + i, text.len - i)) > 0)
			i += n;
		inside = inside || (i < text.len && graphic(s[i]));
		if (add_cut(l, i - l->len) < 0)
			return -ENOMEM;
		from = i;
		i = next_hidden(text, i);
	}
	memcpy(l->text + l->len, s + from, text.len - from);
	l->len += text.len - from;
	return inside;
}

static size_t back(const struct zg_layer *l, size_t at)
{
	size_t lo = 0, hi = l->cuts;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (l->cut[mid].at <= at)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo ? at + l->cut[lo - 1].removed : at;
}

struct zg_span zg_layer_back(const struct zg_layer *l, struct zg_span s)
{
	return (struct zg_span){back(l, s.start), back(l, s.end - 1) + 1};
}
