/* SPDX-License-Identifier: Apache-2.0 */
/*
 * checksum.c - the arithmetic that tells a token from a look-alike. Trust: the
 * bytes are a peer's, lengths are checked here. Pure; no allocation.
 */
#include <errno.h>

#include <zlib.h>

#include "engine.h"

uint32_t zg_crc32(const void *bytes, size_t n)
{
	return (uint32_t)crc32_z(0, bytes, n);
}

bool zg_crc32_base62(const char *token, size_t n)
{
	static const char digit[] =
		"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	uint32_t crc;

	if (n <= 6)
		return false;
	crc = zg_crc32(token, n - 6);
	for (size_t i = 1; i <= 6; i++) {
		if (token[n - i] != digit[crc % 62])
			return false;
		crc /= 62;
	}
	return crc == 0;
}

bool zg_luhn(const char *digits, size_t n)
{
	unsigned sum = 0;

	for (size_t i = 0; i < n; i++) {
		unsigned d = (unsigned)(digits[n - 1 - i] - '0');

		if (i % 2)
			d = d > 4 ? 2 * d - 9 : 2 * d;
		sum += d;
	}
	return sum % 10 == 0;
}

static int base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+' || c == '-')
		return 62;
	return c == '/' || c == '_' ? 63 : -1;
}

long zg_base64(uint8_t *out, size_t size, const char *s, size_t n)
{
	uint32_t acc = 0;
	unsigned bits = 0;
	size_t got = 0;

	while (n && s[n - 1] == '=')
		n--;
	if (n % 4 == 1)
		return -EBADMSG;
	for (size_t i = 0; i < n; i++) {
		int v = base64_value(s[i]);

		if (v < 0)
			return -EBADMSG;
		acc = (acc << 6 | (uint32_t)v) & 0xffffff;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			if (got == size)
				return -EFBIG;
			out[got++] = (uint8_t)(acc >> bits);
		}
	}
	return acc & ((1U << bits) - 1) ? -EBADMSG : (long)got; /* spare bits are zero */
}

static uint32_t rotl(uint32_t v, unsigned n)
{
	return v << n | v >> (32 - n);
}

static void marvin_block(uint32_t *a, uint32_t *b)
{
	*b ^= *a;
	*a = rotl(*a, 20) + *b;
	*b = rotl(*b, 9) ^ *a;
	*a = rotl(*a, 27) + *b;
	*b = rotl(*b, 19);
}

uint32_t zg_marvin32(uint64_t seed, const uint8_t *bytes, size_t n)
{
	uint32_t a = (uint32_t)seed, b = (uint32_t)(seed >> 32), tail = 0x80;

	for (; n >= 4; n -= 4, bytes += 4) {
		a += (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
		     (uint32_t)bytes[3] << 24;
		marvin_block(&a, &b);
	}
	for (size_t i = n; i > 0; i--)
		tail = tail << 8 | bytes[i - 1];
	a += tail;
	marvin_block(&a, &b);
	marvin_block(&a, &b);
	return a ^ b;
}
