/* SPDX-License-Identifier: Apache-2.0 */
/* slice.c - see slice.h. Trust: every input may be hostile; no allocation. */
#include "slice.h"

#include <arpa/inet.h>
#include <errno.h>

static unsigned char lower(unsigned char c)
{
	return c >= 'A' && c <= 'Z' ? (unsigned char)(c | 0x20) : c;
}

bool zg_slice_folds(struct zg_slice a, struct zg_slice b)
{
	for (size_t i = 0; i < a.len; i++)
		if (lower((unsigned char)a.ptr[i]) != lower((unsigned char)b.ptr[i]))
			return false;
	return true;
}

static bool blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

struct zg_slice zg_slice_trim(struct zg_slice s)
{
	while (s.len && blank(s.ptr[0])) {
		s.ptr++;
		s.len--;
	}
	while (s.len && blank(s.ptr[s.len - 1]))
		s.len--;
	return s;
}

bool zg_slice_starts(struct zg_slice s, struct zg_slice prefix)
{
	return s.len >= prefix.len && zg_slice_eq((struct zg_slice){s.ptr, prefix.len}, prefix);
}

bool zg_star_match(struct zg_slice pattern, struct zg_slice text)
{
	size_t p = 0, t = 0, star = SIZE_MAX, mark = 0;

	while (t < text.len) {
		if (p < pattern.len && pattern.ptr[p] == '*') {
			star = p++;
			mark = t;
		} else if (p < pattern.len && pattern.ptr[p] == text.ptr[t]) {
			p++;
			t++;
		} else if (star != SIZE_MAX) {
			p = star + 1;
			t = ++mark;
		} else {
			return false;
		}
	}
	while (p < pattern.len && pattern.ptr[p] == '*')
		p++;
	return p == pattern.len;
}

/* Length of the well-formed sequence at s, or 0 (Unicode 15, table 3-7). */
static size_t utf8_step(const unsigned char *s, size_t left)
{
	unsigned char lo = 0x80, hi = 0xbf;
	size_t n;

	if (s[0] < 0x80)
		return 1;
	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;
	n = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	if (left < n)
		return 0;
	if (s[0] == 0xe0)
		lo = 0xa0;
	else if (s[0] == 0xed)
		hi = 0x9f;
	else if (s[0] == 0xf0)
		lo = 0x90;
	else if (s[0] == 0xf4)
		hi = 0x8f;
	if (s[1] < lo || s[1] > hi)
		return 0;
	for (size_t i = 2; i < n; i++)
		if (s[i] < 0x80 || s[i] > 0xbf)
			return 0;
	return n;
}

bool zg_utf8_valid(struct zg_slice s)
{
	const unsigned char *p = (const unsigned char *)s.ptr;
	size_t i = 0;

	while (i < s.len) {
		uint64_t word;
		size_t n;

		if (s.len - i >= sizeof(word)) {
			memcpy(&word, p + i, sizeof(word));
			if (!(word & 0x8080808080808080ULL)) {
				i += sizeof(word);
				continue;
			}
		}
		n = utf8_step(p + i, s.len - i);
		if (!n)
			return false;
		i += n;
	}
	return true;
}

int zg_slice_u64(struct zg_slice s, uint64_t max, uint64_t *out)
{
	uint64_t v = 0;

	if (!s.len)
		return -EINVAL;
	for (size_t i = 0; i < s.len; i++) {
		unsigned d = (unsigned char)s.ptr[i] - (unsigned)'0';

		if (d > 9)
			return -EINVAL;
		if (v > (UINT64_MAX - d) / 10)
			return -ERANGE;
		v = v * 10 + d;
	}
	if (v > max)
		return -ERANGE;
	*out = v;
	return 0;
}

bool zg_str_cut(char *out, size_t size, struct zg_slice s)
{
	size_t n = s.len, dots;

	if (size == 0)
		return false;
	if (n < size) {
		if (n)
			memcpy(out, s.ptr, n);
		out[n] = '\0';
		return true;
	}
	dots = size > 8 ? 3 : 0;
	n = size - 1 - dots;
	while (n && ((unsigned char)s.ptr[n] & 0xc0) == 0x80)
		n--;
	memcpy(out, s.ptr, n);
	memcpy(out + n, "...", dots);
	out[n + dots] = '\0';
	return false;
}

void zg_hex(char *out, const uint8_t *bytes, size_t n)
{
	static const char digit[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		out[2 * i] = digit[bytes[i] >> 4];
		out[2 * i + 1] = digit[bytes[i] & 15];
	}
	out[2 * n] = '\0';
}

static const uint8_t v4_mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

void zg_addr_text(char *out, size_t size, const uint8_t addr[16])
{
	const char *done;

	if (memcmp(addr, v4_mapped, sizeof(v4_mapped)) == 0)
		done = inet_ntop(AF_INET, addr + 12, out, (socklen_t)size);
	else
		done = inet_ntop(AF_INET6, addr, out, (socklen_t)size);
	if (!done && size)
		out[0] = '\0';
}

int zg_addr_parse(struct zg_slice s, uint8_t addr[16])
{
	char text[INET6_ADDRSTRLEN];
	uint8_t parsed[16];

	if (s.len >= sizeof(text) || memchr(s.ptr, '\0', s.len))
		return -EINVAL;
	memcpy(text, s.ptr, s.len);
	text[s.len] = '\0';
	if (inet_pton(AF_INET6, text, parsed) != 1) {
		memcpy(parsed, v4_mapped, sizeof(v4_mapped));
		if (inet_pton(AF_INET, text, parsed + 12) != 1)
			return -EINVAL;
	}
	memcpy(addr, parsed, sizeof(parsed));
	return 0;
}
