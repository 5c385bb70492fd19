/* SPDX-License-Identifier: Apache-2.0 */
/*
 * generic.c - kinds whose shape is common in ordinary text: payment cards and
 * e-mail addresses. Patterns for them would slow the database down thirtyfold,
 * so each has a prefilter: 13 digits in a row, single separators between them
 * included, for cards; '@' for addresses. Trust: the text is hostile; each run
 * is read once, windows are bounded.
 */
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "engine.h"

/* --- payment cards (ISO/IEC 7812; the schemes' published ranges) --- */

#define CARD_MIN 13
#define CARD_MAX 19

static const struct {
	uint32_t lo, hi;  /* first six digits */
	uint32_t lengths; /* bit n: n digits */
} issuers[] = {
	{400000, 499999, 1U << 13 | 1U << 16 | 1U << 19},	     /* Visa */
	{510000, 559999, 1U << 16},				     /* Mastercard */
	{222100, 272099, 1U << 16},				     /* Mastercard, second range */
	{340000, 349999, 1U << 15},				     /* American Express */
	{370000, 379999, 1U << 15},				     /* American Express */
	{601100, 601199, 1U << 16 | 1U << 19},			     /* Discover */
	{644000, 659999, 1U << 16 | 1U << 19},			     /* Discover */
	{300000, 305999, 1U << 14},				     /* Diners Club */
	{309500, 309599, 1U << 14},				     /* Diners Club */
	{360000, 369999, 1U << 14},				     /* Diners Club */
	{380000, 399999, 1U << 14 | 1U << 16},			     /* Diners Club */
	{352800, 358999, 1U << 16 | 1U << 19},			     /* JCB */
	{620000, 629999, 1U << 16 | 1U << 17 | 1U << 18 | 1U << 19}, /* UnionPay */
	{220000, 220499, 1U << 16 | 1U << 19},			     /* Mir */
};

static bool card_number(const char *digits, size_t n)
{
	uint32_t first = 0;

	for (size_t i = 0; i < 6; i++)
		first = first * 10 + (uint32_t)(digits[i] - '0');
	for (size_t i = 0; i < sizeof(issuers) / sizeof(issuers[0]); i++)
		if (first >= issuers[i].lo && first <= issuers[i].hi &&
		    (issuers[i].lengths >> n & 1))
			return zg_luhn(digits, n);
	return false;
}

/* How cards are written: digits of each group, the longest form first. */
static const uint8_t card_forms[][5] = {
	{4, 4, 4, 4, 3},
	{4, 4, 4, 4},
	{4, 6, 5},
	{4, 6, 4},
	{6, 13},
	{19},
	{18},
	{17},
	{16},
	{15},
	{14},
	{13},
};

struct group {
	size_t start, len;
	char before; /* the separator that joins it to the group before, or 0 */
};

/* Does a form begin at g[i]? The number of groups it takes, or 0. */
static size_t card_at(const struct zg_probe *p, const struct group *g, size_t n, size_t i)
{
	for (size_t f = 0; f < sizeof(card_forms) / sizeof(card_forms[0]); f++) {
		char digits[CARD_MAX];
		size_t took = 0, len = 0;

		while (took < 5 && card_forms[f][took] && i + took < n &&
		       g[i + took].len == card_forms[f][took] && (took < 1 || g[i + took].before) &&
		       (took < 2 || g[i + took].before == g[i + 1].before)) {
			memcpy(digits + len, p->text + g[i + took].start, g[i + took].len);
			len += g[i + took].len;
			took++;
		}
		if (took && (took == 5 || !card_forms[f][took]) && card_number(digits, len))
			return took;
	}
	return 0;
}

/* The word around a group: hex codes of a table have letters too. More than six
 * characters, or part of an address, is a thing of its own: 0. */
static size_t word_length(const struct zg_probe *p, const struct group *g)
{
	size_t start = g->start, end = g->start + g->len;

	while (start && zg_is(p->text[start - 1], ZG_CC_ALNUM) && end - start <= 6)
		start--;
	while (end < p->len && zg_is(p->text[end], ZG_CC_ALNUM) && end - start <= 6)
		end++;
	if (end - start == g->len)
		return g->len;
	if (end < p->len && p->text[end] && strchr("@.+%_-'", p->text[end]))
		return 0;
	return end - start <= 6 ? end - start : 0;
}

/* Is the group at `other`, joined by sep, more of the same number? Beside a card
 * in groups, groups of its size make a table; whole numbers may stand in a row. */
static bool goes_on(const struct zg_probe *p, const struct group *g, size_t i, size_t took,
		    size_t other, char sep)
{
	size_t word = sep ? word_length(p, &g[other]) : 0;

	if (!word)
		return false;
	if (took == 1 || g[i + 1].before == '-')
		return sep == '-';
	return sep == ' ' && word >= 4 && word <= 6;
}

/* Nothing joins the card to its neighbours: a table, an identifier, a decimal.
 * Another card beside it is no objection. */
static bool card_apart(const struct zg_probe *p, const struct group *g, size_t n, size_t i,
		       size_t took, bool after_card)
{
	size_t start = g[i].start, next = i + took, end = g[next - 1].start + g[next - 1].len;
	const unsigned word = ZG_CC_ALNUM | ZG_CC_UNDERLINE;

	if (i && !after_card && goes_on(p, g, i, took, i - 1, g[i].before))
		return false;
	if (next < n && goes_on(p, g, i, took, next, g[next].before) && !card_at(p, g, n, next))
		return false;
	if (!zg_token_begins(p, start, word) || !zg_token_ends(p, end, word))
		return false;
	if (start && p->text[start - 1] && strchr(".-+/", p->text[start - 1]) && !g[i].before &&
	    !(start > 1 && p->text[start - 1] == '-' && p->text[start - 2] == '-'))
		return false;
	return end + 1 >= p->len || !strchr(".-", p->text[end]) || !p->text[end] ||
	       (next < n && g[next].before) || !zg_is(p->text[end + 1], ZG_CC_ALNUM);
}

static bool is_separator(char c)
{
	return c == ' ' || c == '-';
}

/* Append the groups of [*at, end) to g until it is full. */
static size_t read_groups(const struct zg_probe *p, size_t *at, size_t end, struct group *g,
			  size_t n, size_t max)
{
	size_t i = *at;

	while (n < max && i < end) {
		size_t from = i;

		while (i < end && !zg_is(p->text[i], ZG_CC_DIGIT))
			i++;
		if (i == end)
			break;
		g[n].before = n && i - from == 1 ? p->text[from] : '\0';
		g[n].start = i;
		while (i < end && zg_is(p->text[i], ZG_CC_DIGIT))
			i++;
		g[n].len = i - g[n].start;
		n++;
	}
	*at = i;
	return n;
}

/* One run of digits and single separators, [at, end), through a window of groups: each
 * is judged with the one before it and two cards' worth behind it in view. */
static bool cards_in(struct zg_probe *p, size_t at, size_t end)
{
	enum { WINDOW = 32, AHEAD = 11 };
	struct group g[WINDOW] = {0};
	size_t n = 0, i = 0, done = 0;

	for (;;) {
		size_t stop, drop;

		n = read_groups(p, &at, end, g, n, WINDOW);
		stop = n < WINDOW ? n : n - AHEAD;
		while (i < stop) {
			size_t took = card_at(p, g, n, i);

			if (!took || !card_apart(p, g, n, i, took, done && done == i)) {
				i++;
				continue;
			}
			done = i + took;
			if (!zg_report(p, ZG_DET_CREDIT_CARD,
				       (struct zg_span){g[i].start,
							g[done - 1].start + g[done - 1].len}))
				return false;
			i = done;
		}
		if (n < WINDOW)
			return true;
		drop = i - 1;
		n -= drop;
		memmove(g, g + drop, n * sizeof(*g));
		done = done > drop ? done - drop : 0;
		i = 1;
	}
}

/* Bit i: byte i of the 64 at p is a digit / a separator. */
#ifdef __SSE2__
static void classify(const char *p, uint64_t *digit, uint64_t *separator)
{
	const __m128i zero = _mm_set1_epi8('0'), nine = _mm_set1_epi8(9);
	const __m128i space = _mm_set1_epi8(' '), dash = _mm_set1_epi8('-');

	*digit = *separator = 0;
	for (int i = 0; i < 64; i += 16) {
		__m128i v = _mm_loadu_si128((const __m128i *)(const void *)(p + i));
		__m128i d = _mm_sub_epi8(v, zero);
		__m128i is_digit = _mm_cmpeq_epi8(_mm_min_epu8(d, nine), d);
		__m128i is_sep = _mm_or_si128(_mm_cmpeq_epi8(v, space), _mm_cmpeq_epi8(v, dash));

		*digit |= (uint64_t)(uint32_t)_mm_movemask_epi8(is_digit) << i;
		*separator |= (uint64_t)(uint32_t)_mm_movemask_epi8(is_sep) << i;
	}
}
#else
static void classify(const char *p, uint64_t *digit, uint64_t *separator)
{
	*digit = *separator = 0;
	for (int i = 0; i < 64; i++) {
		*digit |= (uint64_t)zg_is(p[i], ZG_CC_DIGIT) << i;
		*separator |= (uint64_t)is_separator(p[i]) << i;
	}
}
#endif

/* Part of a number: a digit, or one separator between two. */
static bool in_number(const struct zg_probe *p, size_t i)
{
	if (zg_is(p->text[i], ZG_CC_DIGIT))
		return true;
	return is_separator(p->text[i]) && i && i + 1 < p->len &&
	       zg_is(p->text[i - 1], ZG_CC_DIGIT) && zg_is(p->text[i + 1], ZG_CC_DIGIT);
}

/* The first place of 13 bytes of one number in the 64 at `at`, or 64. */
static unsigned number_in(const struct zg_probe *p, size_t at)
{
	char tail[64] = {0};
	const char *bytes = p->text + at;
	uint64_t digit, separator, run;

	if (p->len - at < sizeof(tail)) {
		memcpy(tail, bytes, p->len - at);
		bytes = tail;
	}
	classify(bytes, &digit, &separator);
	run = digit | (separator & digit << 1 & digit >> 1);
	run &= run >> 1;
	run &= run >> 2;
	run &= run >> 4;
	run &= run >> 5;
	return run ? (unsigned)__builtin_ctzll(run) : 64;
}

void zg_find_cards(struct zg_probe *p)
{
	/* windows overlap, so that 13 bytes and what is beside them are whole in one */
	enum { STEP = 64 - CARD_MIN - 3 };
	size_t at = 0, seen = 0;

	while (at < p->len) {
		unsigned offset = number_in(p, at);
		size_t start = at + offset, end = start;

		if (offset == 64) {
			at += STEP;
			continue;
		}
		while (start > seen && in_number(p, start - 1))
			start--;
		while (end < p->len && in_number(p, end))
			end++;
		if (!cards_in(p, start, end))
			return;
		seen = at = end;
	}
}

/* --- e-mail addresses (RFC 5321, the part of it that people use) --- */

#define LOCAL_MAX  64
#define DOMAIN_MAX 253

/* Ends of names that are files or hosts of a local network, not domains. */
static const char *const not_tld[] = {
	"png",	 "jpg",	    "jpeg",    "gif",	 "svg",	     "webp",	    "ico",	 "js",
	"ts",	 "jsx",	    "tsx",     "mjs",	 "cjs",	     "css",	    "scss",	 "html",
	"json",	 "yaml",    "yml",     "toml",	 "xml",	     "txt",	    "lock",	 "tgz",
	"gz",	 "tar",	    "local",   "lan",	 "internal", "localdomain", "localhost", "invalid",
	"test",	 "example", "service", "socket", "timer",    "mount",	    "target",	 "slice",
	"scope", "map",	    "wasm",    "exe",	 "dll",
};

/* Addresses of roles of programs; they name no person. */
static const char *const nobody[] = {"git", "noreply", "no-reply", "donotreply", "do-not-reply"};

static const char *const example_domains[] = {"example.com", "example.org", "example.net",
					      "example.edu"};

static bool one_of(struct zg_slice s, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (zg_slice_ieq(s, zg_slice_str(list[i])))
			return true;
	return false;
}
#define ONE_OF(s, list) one_of(s, list, sizeof(list) / sizeof((list)[0]))

/* The label at `at`: letters, digits, single dashes inside (two in an xn-- name). */
static size_t label_length(const struct zg_probe *p, size_t at)
{
	size_t n = zg_span_of(p, at, ZG_CC_ALNUM | ZG_CC_DASH, 64);
	size_t from = n > 4 && strncasecmp(p->text + at, "xn--", 4) == 0 ? 4 : 1;

	for (size_t i = from; i < n; i++)
		if (p->text[at + i] == '-' && p->text[at + i - 1] == '-')
			n = i;
	while (n && p->text[at + n - 1] == '-')
		n--;
	return n;
}

/* The domain that begins at `at`: its length, or 0. */
static size_t domain_length(const struct zg_probe *p, size_t at)
{
	const char *d = p->text + at;
	size_t n = 0, label = 0, dots = 0, good = 0;
	struct zg_slice tld = {NULL, 0};

	for (;;) {
		size_t from = n;

		label = label_length(p, at + n);
		if (label == 0 || label == 64 || d[from] == '-' || from + label > DOMAIN_MAX)
			break;
		n = from + label;
		if (dots && zg_span_of(p, at + from, ZG_CC_UPPER | ZG_CC_LOWER, label) == label &&
		    label >= 2 && label <= 24) {
			good = n;
			tld = (struct zg_slice){d + from, label};
		} else if (dots) {
			good = 0;
		}
		if (at + n + 1 >= p->len || d[n] != '.' || !zg_is(d[n + 1], ZG_CC_ALNUM))
			break;
		n++;
		dots++;
	}
	return good && !ONE_OF(tld, not_tld) ? good : 0;
}

static bool example_domain(struct zg_slice domain)
{
	for (size_t i = 0; i < sizeof(example_domains) / sizeof(example_domains[0]); i++) {
		size_t n = strlen(example_domains[i]);
		struct zg_slice tail = {domain.ptr + domain.len - n, n};

		if (domain.len >= n && zg_slice_ieq(tail, zg_slice_str(example_domains[i])) &&
		    (domain.len == n || tail.ptr[-1] == '.'))
			return true;
	}
	return false;
}

static bool local_char(char c)
{
	return zg_is(c, ZG_CC_ALNUM | ZG_CC_DASH | ZG_CC_UNDERLINE) || (c && strchr(".+%'", c));
}

/* "scheme://user:secret@host": user and secret, not an address. */
static bool in_url(const struct zg_probe *p, size_t start)
{
	for (size_t n = 0; n < 128 && start > n; n++) {
		char c = p->text[start - n - 1];

		if (c == '/' && start - n >= 3)
			return p->text[start - n - 2] == '/' && p->text[start - n - 3] == ':';
		if (!local_char(c) && c != ':' && c != '~' && c != '!' && c != '$' && c != '&')
			return false;
	}
	return false;
}

static bool email_at(const struct zg_probe *p, size_t sign, struct zg_span *out)
{
	size_t start = sign, domain;
	struct zg_slice local;

	while (start && sign - start <= LOCAL_MAX && local_char(p->text[start - 1]))
		start--;
	if (sign - start > LOCAL_MAX)
		return false;
	while (start < sign && !zg_is(p->text[start], ZG_CC_ALNUM | ZG_CC_UNDERLINE))
		start++;
	if (start && p->text[start - 1] == '\\' && start + 1 < sign)
		start++; /* the letter of an escape, in text that was escaped twice */
	if (start == sign || p->text[sign - 1] == '.')
		return false;
	local = (struct zg_slice){p->text + start, sign - start};
	domain = domain_length(p, sign + 1);
	if (!domain || ONE_OF(local, nobody) ||
	    example_domain((struct zg_slice){p->text + sign + 1, domain}) || in_url(p, start))
		return false;
	*out = (struct zg_span){start, sign + 1 + domain};
	/* host:/path of a copy command, or a name that goes on */
	return out->end >= p->len ||
	       !(p->text[out->end] == '_' ||
		 (p->text[out->end] == ':' && out->end + 1 < p->len &&
		  strchr("/~", p->text[out->end + 1]) && p->text[out->end + 1]));
}

void zg_find_emails(struct zg_probe *p)
{
	const char *at = p->text, *end = p->text + p->len;

	while (at < end && (at = memchr(at, '@', (size_t)(end - at)))) {
		struct zg_span found;

		if (email_at(p, (size_t)(at - p->text), &found) &&
		    !zg_report(p, ZG_DET_EMAIL, found))
			return;
		at++;
	}
}
