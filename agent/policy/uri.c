/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uri.c - see uri.h. Trust: the URI is a client's and may be anything. Rather
 * too much is taken for the same than too little: whoever asks only compares
 * what policy says of both forms. Pure: no allocation.
 */
#include "uri.h"

#include <string.h>

#define DECODE_ROUNDS 4 /* servers decode once, careless ones twice */

static bool blank(char c)
{
	return (unsigned char)c <= ' ';
}

/* As readers of URLs do before anything else; what is behind a '#' names no resource. */
static size_t take(struct zg_slice uri, char *out)
{
	size_t n = 0;

	while (uri.len && blank(uri.ptr[0]))
		uri = (struct zg_slice){uri.ptr + 1, uri.len - 1};
	while (uri.len && blank(uri.ptr[uri.len - 1]))
		uri.len--;
	for (size_t i = 0; i < uri.len && uri.ptr[i] != '#'; i++)
		if (!memchr("\t\n\r", uri.ptr[i], 3))
			out[n++] = uri.ptr[i] == '\\' ? '/' : uri.ptr[i];
	return n;
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One round; the new length. */
static size_t decode(char *s, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		int high = s[i] == '%' && i + 2 < len ? digit(s[i + 1]) : -1;
		int low = high >= 0 ? digit(s[i + 2]) : -1;

		if (low >= 0) {
			s[n++] = (char)(high * 16 + low);
			i += 2;
		} else {
			s[n++] = s[i];
		}
	}
	for (size_t i = 0; i < n; i++)
		if (s[i] == '\\')
			s[i] = '/';
	return n;
}

static void lower(char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (s[i] >= 'A' && s[i] <= 'Z')
			s[i] = (char)(s[i] | 0x20);
}

/* Bytes of "scheme:", or 0. */
static size_t scheme_len(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		char c = (char)(s[i] | 0x20);
		bool alpha = c >= 'a' && c <= 'z';

		if (s[i] == ':')
			return i ? i + 1 : 0;
		if (!alpha && (!i || !((s[i] >= '0' && s[i] <= '9') || memchr("+-.", s[i], 3))))
			return 0;
	}
	return 0;
}

/* Bytes up to the path: "scheme://host", or "scheme:". */
static size_t root_len(const char *s, size_t len, size_t scheme)
{
	size_t at = scheme;

	if (len - at < 2 || s[at] != '/' || s[at + 1] != '/')
		return at;
	for (at += 2; at < len && s[at] != '/' && s[at] != '?'; at++)
		;
	return at;
}

/* The path's parts that lead anywhere, moved to `to`; the new end. */
static size_t put_path(char *s, size_t len, size_t from, size_t to)
{
	const size_t root = to;
	bool rooted = from < len && s[from] == '/';

	while (from < len) {
		size_t end = from + (s[from] == '/'), part;

		part = end;
		while (end < len && s[end] != '/')
			end++;
		if (end - part == 2 && s[part] == '.' && s[part + 1] == '.') {
			while (to > root && s[to - 1] != '/')
				to--;
			to -= to > root;
		} else if (end > part && !(end - part == 1 && s[part] == '.')) {
			memmove(s + to, s + part - (part > from), end - from);
			to += end - from;
			from = end;
			continue;
		}
		/* what ends in '/', '.' or '..' is a folder */
		if (end == len && rooted)
			s[to++] = '/';
		from = end;
	}
	return to;
}

bool zg_uri_plain(struct zg_slice uri, char *out, struct zg_slice *plain)
{
	size_t n, scheme, root, query, rounds = 0;

	if (uri.len > ZG_URI_BYTES)
		return false;
	n = take(uri, out);
	scheme = scheme_len(out, n);
	lower(out, scheme);
	if (scheme == 5 && memcmp(out, "file:", 5) == 0)
		for (query = 0; query < n; query++)
			if (out[query] == '?')
				n = query;
	for (size_t before = n + 1; n < before; rounds++) {
		before = n;
		if (rounds == DECODE_ROUNDS)
			return false;
		n = decode(out, n);
	}
	scheme = scheme_len(out, n);
	root = root_len(out, n, scheme);
	lower(out, root);
	if (scheme == 5 && memcmp(out, "file:", 5) == 0) {
		bool local = root == scheme || root == scheme + 2 ||
			     (root == scheme + 11 && memcmp(out + 7, "localhost", 9) == 0);

		/* "file:x", "file:/x", "file://localhost/x": all of them file:///x */
		if (local && n + 3 > ZG_URI_BYTES)
			return false;
		if (local) {
			memmove(out + 8, out + root, n - root);
			memcpy(out + 5, "///", 3);
			n += 8 - root;
			root = 7;
		}
	}
	n = put_path(out, n, root, root);
	*plain = (struct zg_slice){out, n};
	return true;
}
