/* SPDX-License-Identifier: Apache-2.0 */
/* http_line.c - see http_line.h. Trust: every byte is a peer's. */
#include "http_line.h"

/* RFC 9110 token characters */
static const bool tchar[256] = {
	['0' ... '9'] = true,  ['A' ... 'Z'] = true, ['a' ... 'z'] = true, ['!'] = true,
	['#' ... '\''] = true, ['*'] = true,	     ['+'] = true,	   ['-'] = true,
	['.'] = true,	       ['^' ... '`'] = true, ['|'] = true,	   ['~'] = true,
};

bool zg_http_is_token(struct zg_slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!tchar[(unsigned char)s.ptr[i]])
			return false;
	return s.len > 0;
}

struct zg_slice zg_http_next_line(struct zg_slice *text)
{
	const char *lf = memchr(text->ptr, '\n', text->len);
	size_t n = lf ? (size_t)(lf - text->ptr) + 1 : text->len;
	struct zg_slice line = {text->ptr, n < 2 ? 0 : n - 2};

	text->ptr += n;
	text->len -= n;
	return line;
}

struct zg_slice zg_http_cut_at(struct zg_slice *s, char c)
{
	const char *at = s->len ? memchr(s->ptr, c, s->len) : NULL;
	struct zg_slice head = {s->ptr, at ? (size_t)(at - s->ptr) : s->len};
	size_t skip = head.len + (at ? 1 : 0);

	s->ptr += skip;
	s->len -= skip;
	return head;
}

const char *zg_http_split_field(struct zg_slice line, struct zg_slice *name, struct zg_slice *value)
{
	bool colon = line.len && memchr(line.ptr, ':', line.len);

	*name = zg_http_cut_at(&line, ':');
	/* folding begins with a blank, which is no token character */
	if (!colon || !zg_http_is_token(*name))
		return "a header line is malformed";
	for (size_t i = 0; i < line.len; i++) {
		unsigned char c = (unsigned char)line.ptr[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return "a header value holds control bytes";
	}
	*value = zg_slice_trim(line);
	return NULL;
}
