/* SPDX-License-Identifier: Apache-2.0 */
/*
 * signature.c - see signature.h. The automaton is built a byte value a column,
 * then columns that are the same in all states become one class. A state of a
 * word that does not go on falls back to what stands around the word.
 */
#include "signature.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define GO(state)	  ((uint16_t)(state))
#define DO(action, state) ((uint16_t)((unsigned int)(action) << ZG_SIG_SHIFT | (state)))

static const struct signature {
	enum { HEADER, MEMBER } place;
	uint8_t level;
	const char *key;
	const char *value;
	const char *text;
} signatures[ZG_SIG_COUNT] = {
#define SIGNATURE(NAME, place, level, key, value, text)                                            \
	[ZG_SIG_##NAME] = {place, level, key, value, text},
#define RULE(mask)
#include "tbl/mcp_signature.h"
#undef SIGNATURE
#undef RULE
};

static const uint32_t rules[] = {
#define SIGNATURE(NAME, place, level, key, value, text)
#define RULE(mask) (mask),
#include "tbl/mcp_signature.h"
#undef SIGNATURE
#undef RULE
};

/* those with a name; words make the rest */
enum state {
	START,	  /* zero is a fresh matcher's */
	LINE,	  /* in a line that may be a request's */
	GAP,	  /* after a blank in it */
	VERSION,  /* after " HTTP/1." */
	REQUEST,  /* after " HTTP/1.1" */
	RETURN,	  /* and a carriage return */
	FIELD,	  /* in a line of an event stream */
	DATA,	  /* after "data:" */
	HEAD,	  /* at the start of a header line */
	HEAD_END, /* after a carriage return there */
	HEADER_REST,
	LENGTH, /* after "content-length:" */
	CHUNK,	/* before a chunk's size */
	SIZE,
	SIZE_REST,
	JSON,	/* outside its strings */
	KEY,	/* at the start of a string that may be a key */
	STRING, /* in one that is no word of ours */
	ESCAPE,
	NAMED,
};

struct build {
	uint16_t cell[ZG_SIG_STATES][256];
	bool own[ZG_SIG_STATES][256]; /* a step of a word, not its fallback */
	unsigned int count;
	bool full;
	unsigned int after[ZG_SIG_COUNT]; /* the state behind each signature's key */
	unsigned int value[ZG_SIG_COUNT]; /* and at the start of its value */
};

/* Letters in both cases. */
static void put(struct build *b, unsigned int state, uint8_t byte, uint16_t cell)
{
	bool letter = (byte | 0x20) >= 'a' && (byte | 0x20) <= 'z';

	b->cell[state][byte] = cell;
	if (letter)
		b->cell[state][byte ^ 0x20] = cell;
}

static void put_each(struct build *b, unsigned int state, const char *bytes, uint16_t cell)
{
	for (; *bytes; bytes++)
		put(b, state, (uint8_t)*bytes, cell);
}

static void fill(struct build *b, unsigned int state, uint16_t cell)
{
	for (size_t i = 0; i < 256; i++)
		b->cell[state][i] = cell;
}

static void copy(struct build *b, unsigned int state, unsigned int from)
{
	memcpy(b->cell[state], b->cell[from], sizeof(b->cell[state]));
}

/* A state that does what another one does, unless told otherwise. */
static unsigned int grow(struct build *b, unsigned int like)
{
	if (b->count == ZG_SIG_STATES) {
		b->full = true;
		return ZG_SIG_STATES - 1; /* thrown away with the rest */
	}
	copy(b, b->count, like);
	return b->count++;
}

static unsigned int step(struct build *b, unsigned int from, uint8_t byte, unsigned int fallback)
{
	unsigned int to;

	if (b->own[from][byte])
		return b->cell[from][byte] & ((1U << ZG_SIG_SHIFT) - 1);
	to = grow(b, fallback);
	put(b, from, byte, GO(to));
	b->own[from][byte] = true;
	return to;
}

/* JSON may write a slash as "\/". */
static void also_escaped(struct build *b, unsigned int from, unsigned int to)
{
	unsigned int escape = step(b, from, '\\', ESCAPE);

	put(b, escape, '/', GO(to));
}

/* The word, then the byte last, leads to cell. Returns the state before last. */
static unsigned int word(struct build *b, unsigned int from, const char *text,
			 unsigned int fallback, char last, uint16_t cell)
{
	for (; *text; text++) {
		uint8_t byte = (uint8_t)(*text >= 'A' && *text <= 'Z' ? *text | 0x20 : *text);
		unsigned int to = step(b, from, byte, fallback);

		if (byte == '/' && fallback == STRING)
			also_escaped(b, from, to);
		from = to;
	}
	put(b, from, (uint8_t)last, cell);
	return from;
}

/* heads ------------------------------------------------------------------------ */

static void build_lines(struct build *b)
{
	fill(b, LINE, GO(LINE));
	for (unsigned int c = 0; c < 0x20; c++)
		put(b, LINE, (uint8_t)c, DO(ZG_CUE_OTHER, START));
	put_each(b, LINE, "\t\r", GO(LINE));
	put(b, LINE, ' ', GO(GAP));
	copy(b, GAP, LINE);
	(void)word(b, GAP, "http/1", LINE, '.', GO(VERSION));
	copy(b, VERSION, LINE);
	put_each(b, VERSION, "0123456789", GO(REQUEST));
	copy(b, REQUEST, LINE);
	put(b, REQUEST, '\r', GO(RETURN));
	put(b, REQUEST, '\n', DO(ZG_CUE_MESSAGE, HEAD));
	copy(b, RETURN, LINE);
	put(b, RETURN, '\n', DO(ZG_CUE_MESSAGE, HEAD));
}

static void build_start(struct build *b, struct zg_automaton *out)
{
	static const char *const fields[] = {"event", "id", "retry"};
	unsigned int status;

	fill(b, FIELD, GO(FIELD));
	put(b, FIELD, '\n', GO(START));
	copy(b, DATA, FIELD);
	put_each(b, DATA, " \t", GO(DATA));
	put(b, DATA, '{', DO(ZG_CUE_JSON, JSON));
	put(b, DATA, '[', DO(ZG_CUE_BATCH, JSON));

	fill(b, START, DO(ZG_CUE_OTHER, START));
	for (int c = 'a'; c <= 'z'; c++)
		put(b, START, (uint8_t)c, GO(LINE));
	put_each(b, START, " \t\r\n\xef\xbb\xbf", GO(START)); /* UTF-8 may begin with a mark */
	put(b, START, '{', DO(ZG_CUE_JSON, JSON));
	put(b, START, '[', DO(ZG_CUE_BATCH, JSON));
	put(b, START, ':', DO(ZG_CUE_FIELD, FIELD));
	(void)word(b, START, "data", LINE, ':', DO(ZG_CUE_FIELD, DATA));
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		(void)word(b, START, fields[i], LINE, ':', DO(ZG_CUE_FIELD, FIELD));
	status = grow(b, LINE);
	fill(b, status, GO(status));
	put(b, status, '\n', DO(ZG_CUE_MESSAGE, HEAD));
	(void)word(b, START, "http/1", LINE, '.', GO(status));
	out->status = (uint16_t)status;
	out->status_count = (uint16_t)(b->count - status);
}

static void build_head(struct build *b)
{
	fill(b, HEADER_REST, GO(HEADER_REST));
	put(b, HEADER_REST, '\n', GO(HEAD));
	copy(b, HEAD, HEADER_REST);
	put(b, HEAD, '\r', GO(HEAD_END));
	put(b, HEAD, '\n', DO(ZG_CUE_BODY, START));
	copy(b, HEAD_END, HEADER_REST);
	put(b, HEAD_END, '\n', DO(ZG_CUE_BODY, START));
	copy(b, LENGTH, HEADER_REST);
	put_each(b, LENGTH, " \t", GO(LENGTH));
	put_each(b, LENGTH, "0123456789", DO(ZG_CUE_DIGIT, LENGTH));
	(void)word(b, HEAD, "content-length", HEADER_REST, ':', DO(ZG_CUE_LENGTH, LENGTH));
	(void)word(b, HEAD, "transfer-encoding", HEADER_REST, ':', DO(ZG_CUE_CHUNKED, HEADER_REST));
	for (size_t i = 0; i < ZG_SIG_COUNT; i++)
		if (signatures[i].place == HEADER)
			(void)word(b, HEAD, signatures[i].key, HEADER_REST, ':',
				   DO(ZG_CUE_SIGNATURE + i, HEADER_REST));
}

/* Where no chunk begins, another message may: HEAD is answered without a body. */
static void build_chunk(struct build *b)
{
	copy(b, CHUNK, START);
	put_each(b, CHUNK, "\r\n", GO(CHUNK));
	put_each(b, CHUNK, "0123456789abcdef", DO(ZG_CUE_HEX, SIZE));
	fill(b, SIZE_REST, GO(SIZE_REST));
	put(b, SIZE_REST, '\n', DO(ZG_CUE_CHUNK, START));
	copy(b, SIZE, SIZE_REST);
	put_each(b, SIZE, "0123456789abcdef", DO(ZG_CUE_HEX, SIZE));
}

/* messages --------------------------------------------------------------------- */

static void build_strings(struct build *b)
{
	fill(b, JSON, GO(JSON));
	put_each(b, JSON, "{[", DO(ZG_CUE_OPEN, JSON));
	put_each(b, JSON, "}]", DO(ZG_CUE_CLOSE, JSON));
	put(b, JSON, '"', GO(KEY));
	fill(b, STRING, GO(STRING));
	put(b, STRING, '"', GO(JSON));
	put(b, STRING, '\\', GO(ESCAPE));
	put_each(b, STRING, "\r\n", GO(START)); /* no JSON after all */
	fill(b, ESCAPE, GO(STRING));
	copy(b, KEY, STRING);
}

/* A state in which blanks change nothing. */
static unsigned int blanks(struct build *b)
{
	unsigned int state = grow(b, JSON);

	put_each(b, state, " \t\r\n", GO(state));
	return state;
}

static void build_member(struct build *b, size_t i)
{
	const struct signature *s = &signatures[i];

	for (size_t k = 0; k < i && !b->after[i]; k++)
		if (signatures[k].place == MEMBER && strcmp(signatures[k].key, s->key) == 0) {
			b->after[i] = b->after[k];
			b->value[i] = b->value[k];
		}
	if (!b->after[i]) {
		unsigned int colon = blanks(b);

		b->after[i] = blanks(b);
		b->value[i] = grow(b, STRING);
		put(b, colon, ':', GO(b->after[i]));
		if (!s->value)
			put(b, colon, ':', DO(ZG_CUE_SIGNATURE + i, JSON));
		(void)word(b, KEY, s->key, STRING, '"', GO(colon));
	}
	if (!s->value)
		return;
	put(b, b->after[i], '"', GO(b->value[i]));
	if (s->value[0] == '*')
		put(b, b->after[i], '"', DO(ZG_CUE_SIGNATURE + i, STRING));
	else
		(void)word(b, b->value[i], s->value, STRING, '"', DO(ZG_CUE_SIGNATURE + i, JSON));
}

/* the whole ---------------------------------------------------------------------- */

static bool same_column(const struct build *b, size_t x, size_t y)
{
	for (size_t s = 0; s < b->count; s++)
		if (b->cell[s][x] != b->cell[s][y])
			return false;
	return true;
}

static int merge(const struct build *b, struct zg_automaton *out)
{
	uint8_t first[ZG_SIG_CLASSES]; /* a byte of each class */
	size_t classes = 0;

	for (size_t c = 0; c < 256; c++) {
		size_t k = 0;

		while (k < classes && !same_column(b, first[k], c))
			k++;
		if (k == ZG_SIG_CLASSES)
			return -ENOSPC;
		if (k == classes)
			first[classes++] = (uint8_t)c;
		out->class_of[c] = (uint8_t)k;
	}
	for (size_t s = 0; s < b->count; s++)
		for (size_t k = 0; k < classes; k++)
			out->next[s * ZG_SIG_CLASSES + k] = b->cell[s][first[k]];
	return 0;
}

/* FNV-1a: tells tables of two versions apart, and nothing rests on it. */
static uint32_t digest(const struct zg_automaton *a)
{
	const uint8_t *byte = (const uint8_t *)a;
	uint32_t h = 2166136261U;

	for (size_t i = sizeof(a->id); i < sizeof(*a); i++)
		h = (h ^ byte[i]) * 16777619U;
	return h ? h : 1;
}

int zg_signature_build(struct zg_automaton *out)
{
	zg_autofree struct build *b = calloc(1, sizeof(*b));
	int r;

	_Static_assert(sizeof(rules) / sizeof(rules[0]) <= ZG_SIG_RULES, "rules");
	if (!b)
		return -ENOMEM;
	*out = (struct zg_automaton){.head = HEAD, .chunk = CHUNK};
	b->count = NAMED;
	build_lines(b);
	build_start(b, out);
	build_head(b);
	build_chunk(b);
	build_strings(b);
	for (size_t i = 0; i < ZG_SIG_COUNT; i++) {
		out->level[i] = signatures[i].level;
		if (signatures[i].place == MEMBER)
			build_member(b, i);
	}
	memcpy(out->rule, rules, sizeof(rules));
	r = b->full ? -ENOSPC : merge(b, out);
	if (r == 0)
		out->id = digest(out);
	return r;
}

void zg_signature_text(uint32_t bits, char *out, size_t bytes)
{
	size_t used = 0;

	out[0] = '\0';
	for (size_t i = 0; i < ZG_SIG_COUNT; i++) {
		size_t n = strlen(signatures[i].text);

		if (!(bits & 1U << i) || used + n + 3 > bytes)
			continue;
		if (used) {
			memcpy(out + used, ", ", 2);
			used += 2;
		}
		memcpy(out + used, signatures[i].text, n + 1);
		used += n;
	}
}
