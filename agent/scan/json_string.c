/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_string.c - from the bytes between two quotes to the text they stand for
 * (RFC 8259, 7). Trust: the bytes are hostile. Whether what is not escaped is
 * UTF-8 is the caller's question; escapes never make what is not.
 */
#include <errno.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "engine.h"

/* How many bytes at p, at most 16, stand before the first that is '"', '\\' or
 * below space; *high is set if one of the 16 is not ASCII. */
#ifdef __SSE2__
static unsigned plain_bytes(const char *p, unsigned char *high)
{
	__m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
	__m128i control = _mm_set1_epi8(0x1f);
	__m128i stop = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('"')),
						 _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'))),
				    _mm_cmpeq_epi8(_mm_min_epu8(v, control), v));
	unsigned mask = (unsigned)_mm_movemask_epi8(stop);

	if (_mm_movemask_epi8(v))
		*high = 0x80;
	return mask ? (unsigned)__builtin_ctz(mask) : 16;
}
#else
static unsigned plain_bytes(const char *p, unsigned char *high)
{
	unsigned n = 0;

	while (n < 16 && p[n] != '"' && p[n] != '\\' && (unsigned char)p[n] >= 0x20)
		*high |= (unsigned char)p[n++] & 0x80;
	return n;
}
#endif

const char *zg_json_plain(const char *p, const char *end, char **out, unsigned char *high)
{
	char *o = *out;

	while (end - p >= 16) {
		unsigned n = plain_bytes(p, high);

		memcpy(o, p, 16);
		p += n;
		o += n;
		if (n < 16) {
			*out = o;
			return p;
		}
	}
	while (p < end && *p != '"' && *p != '\\' && (unsigned char)*p >= 0x20) {
		*high |= (unsigned char)*p & 0x80;
		*o++ = *p++;
	}
	*out = o;
	return p;
}

const char zg_json_short[256] = {
	['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
	['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t',
};

static int hex4(const char *p, const char *end, uint32_t *out)
{
	uint32_t v = 0;

	if (end - p < 4)
		return -EBADMSG;
	for (int i = 0; i < 4; i++) {
		char c = p[i], l = (char)(c | 0x20);

		if (c >= '0' && c <= '9')
			v = v << 4 | (uint32_t)(c - '0');
		else if (l >= 'a' && l <= 'f')
			v = v << 4 | (uint32_t)(l - 'a' + 10);
		else
			return -EBADMSG;
	}
	*out = v;
	return 0;
}

static char *put_utf8(char *o, uint32_t c)
{
	if (c < 0x80) {
		*o++ = (char)c;
	} else if (c < 0x800) {
		*o++ = (char)(0xc0 | c >> 6);
		*o++ = (char)(0x80 | (c & 0x3f));
	} else if (c < 0x10000) {
		*o++ = (char)(0xe0 | c >> 12);
		*o++ = (char)(0x80 | (c >> 6 & 0x3f));
		*o++ = (char)(0x80 | (c & 0x3f));
	} else {
		*o++ = (char)(0xf0 | c >> 18);
		*o++ = (char)(0x80 | (c >> 12 & 0x3f));
		*o++ = (char)(0x80 | (c >> 6 & 0x3f));
		*o++ = (char)(0x80 | (c & 0x3f));
	}
	return o;
}

const char *zg_json_unescape(const char *p, const char *end, char **out, const char **why)
{
	uint32_t c, low;

	*why = "an escape that does not exist";
	if (end - p < 2)
		return NULL;
	if (zg_json_short[(unsigned char)p[1]]) {
		*(*out)++ = zg_json_short[(unsigned char)p[1]];
		return p + 2;
	}
	if (p[1] != 'u' || hex4(p + 2, end, &c) < 0)
		return NULL;
	p += 6;
	*why = "a NUL character";
	if (c == 0)
		return NULL;
	*why = "half of a surrogate pair";
	if (c >= 0xdc00 && c <= 0xdfff)
		return NULL;
	if (c >= 0xd800 && c <= 0xdbff) {
		if (end - p < 6 || p[0] != '\\' || p[1] != 'u' || hex4(p + 2, end, &low) < 0 ||
		    low < 0xdc00 || low > 0xdfff)
			return NULL;
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
		p += 6;
	}
	*out = put_utf8(*out, c);
	return p;
}
