/* SPDX-License-Identifier: Apache-2.0 */
/* base64url.c - see base64url.h. Trust: text is a peer's. */
#include "base64url.h"

#include <errno.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void zg_base64url_encode(const void *bytes, size_t n, struct zg_buf *out)
{
	const uint8_t *p = bytes;
	uint32_t bits = 0;
	int have = 0;

	for (size_t i = 0; i < n; i++) {
		bits = bits << 8 | p[i];
		for (have += 8; have >= 6; have -= 6)
			zg_buf_char(out, alphabet[bits >> (have - 6) & 63]);
	}
	if (have)
		zg_buf_char(out, alphabet[bits << (6 - have) & 63]);
}

static int digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '-' ? 62 : c == '_' ? 63 : -1;
}

ssize_t zg_base64url_decode(struct zg_slice text, uint8_t *out, size_t size)
{
	uint32_t bits = 0;
	size_t n = 0;
	int have = 0;

	for (size_t i = 0; i < text.len; i++) {
		int d = digit(text.ptr[i]);

		if (d < 0)
			return -EBADMSG;
		bits = bits << 6 | (uint32_t)d;
		have += 6;
		if (have < 8)
			continue;
		have -= 8;
		if (n == size)
			return -EBADMSG;
		out[n++] = (uint8_t)(bits >> have);
		bits &= (1u << have) - 1;
	}
	return have < 6 && !bits ? (ssize_t)n : -EBADMSG;
}
