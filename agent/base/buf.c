/* SPDX-License-Identifier: Apache-2.0 */
/* buf.c - see buf.h. Trust: content may be hostile; size is always capped. */
#include "buf.h"

#include <errno.h>
#include <stdarg.h>
#include <unistd.h>

#define READ_BYTES 65536

void zg_buf_release(struct zg_buf *b)
{
	free(b->ptr);
	*b = (struct zg_buf){.max = b->max};
}

void zg_buf_reset(struct zg_buf *b)
{
	b->len = 0;
	b->error = 0;
}

char *zg_buf_room(struct zg_buf *b, size_t n)
{
	size_t cap = b->cap ? b->cap : 256;
	char *grown;

	if (b->error)
		return NULL;
	if (n > b->max || b->len > b->max - n) {
		b->error = -EFBIG;
		return NULL;
	}
	if (b->ptr && b->cap - b->len >= n)
		return b->ptr + b->len;
	while (cap < b->len + n)
		cap = cap > SIZE_MAX / 2 ? b->len + n : cap * 2;
	grown = realloc(b->ptr, cap);
	if (!grown) {
		b->error = -ENOMEM;
		return NULL;
	}
	b->ptr = grown;
	b->cap = cap;
	return b->ptr + b->len;
}

void zg_buf_wrote(struct zg_buf *b, size_t n)
{
	b->len += n;
}

int zg_buf_read(struct zg_buf *b, int fd)
{
	for (;;) {
		size_t left = b->max - b->len, n = left < READ_BYTES ? left : READ_BYTES;
		char beyond, *room = left ? zg_buf_room(b, n) : &beyond;
		ssize_t got;

		if (!room)
			return b->error;
		got = read(fd, room, left ? n : 1);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0 ? -errno : 0;
		if (!left) {
			b->error = -EFBIG;
			return b->error;
		}
		zg_buf_wrote(b, (size_t)got);
	}
}

void zg_buf_fmt(struct zg_buf *b, const char *fmt, ...)
{
	size_t free_bytes = b->error || !b->ptr ? 0 : b->cap - b->len;
	va_list ap;
	char *room;
	int n;

	/* most texts are short: format into what there is, and again only if it was
	 * not enough; nothing beyond len counts until len moves */
	va_start(ap, fmt);
	n = vsnprintf(free_bytes ? b->ptr + b->len : NULL, free_bytes, fmt, ap);
	va_end(ap);
	room = n >= 0 ? zg_buf_room(b, (size_t)n + 1) : NULL;
	if (!room)
		return;
	if ((size_t)n >= free_bytes) {
		va_start(ap, fmt);
		(void)vsnprintf(room, (size_t)n + 1, fmt, ap);
		va_end(ap);
	}
	b->len += (size_t)n;
}

void zg_buf_u64(struct zg_buf *b, uint64_t n)
{
	char digits[20]; /* of 2^64 - 1 */
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	zg_buf_add(b, digits + at, sizeof(digits) - at);
}

void zg_buf_json(struct zg_buf *b, struct zg_slice s)
{
	static const char short_escape[] = {
		['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
	size_t i = 0, plain = 0;

	zg_buf_char(b, '"');
	while (i < s.len) {
		unsigned char c = (unsigned char)s.ptr[i];
		size_t n = 1;

		if (c >= 0x80) {
			n = 2;
			while (n <= 4 && i + n <= s.len &&
			       !zg_utf8_valid((struct zg_slice){s.ptr + i, n}))
				n++;
			if (n <= 4 && i + n <= s.len) {
				i += n;
				continue;
			}
			n = 1;
		} else if (c >= 0x20 && c != '"' && c != '\\') {
			i++;
			continue;
		}
		zg_buf_add(b, s.ptr + plain, i - plain);
		if (c >= 0x80)
			zg_buf_str(b, "\xef\xbf\xbd");
		else if (c == '"' || c == '\\')
			zg_buf_fmt(b, "\\%c", c);
		else if (c < sizeof(short_escape) && short_escape[c])
			zg_buf_fmt(b, "\\%c", short_escape[c]);
		else
			zg_buf_fmt(b, "\\u%04x", c);
		i += n;
		plain = i;
	}
	if (i > plain)
		zg_buf_add(b, s.ptr + plain, i - plain);
	zg_buf_char(b, '"');
}
