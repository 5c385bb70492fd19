/* SPDX-License-Identifier: Apache-2.0 */
/*
 * buf.h - a growable byte buffer with a ceiling and a sticky error: append
 * without checking, ask zg_buf_ok once at the end. On the heap; owner calls
 * zg_buf_release. After an overflow the content stays as it was.
 */
#ifndef ZG_BUF_H
#define ZG_BUF_H

#include <stdbool.h>

#include "cleanup.h"
#include "slice.h"

struct zg_buf {
	char *ptr;
	size_t len;
	size_t cap;
	size_t max;
	int error; /* 0, -ENOMEM or -EFBIG, the first that happened */
};

#define ZG_BUF(limit) ((struct zg_buf){.max = (limit)})

void zg_buf_release(struct zg_buf *b);
void zg_buf_reset(struct zg_buf *b); /* empty, error cleared, memory kept */

/* Room for n bytes at ptr + len, or NULL (sticky); then zg_buf_wrote. */
char *zg_buf_room(struct zg_buf *b, size_t n);
void zg_buf_wrote(struct zg_buf *b, size_t n);

/* Here, because records and heads are written in hundreds of small pieces. */
static inline void zg_buf_add(struct zg_buf *b, const void *bytes, size_t n)
{
	bool fits = !b->error && n <= b->cap - b->len && n <= b->max - b->len;
	char *room;

	if (!n)
		return; /* an empty buffer has no place to point at */
	room = fits ? b->ptr + b->len : zg_buf_room(b, n);
	if (room) {
		/* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): there are n of them */
		memcpy(room, bytes, n);
		b->len += n;
	}
}

static inline void zg_buf_str(struct zg_buf *b, const char *s)
{
	zg_buf_add(b, s, strlen(s));
}

static inline void zg_buf_char(struct zg_buf *b, char c)
{
	zg_buf_add(b, &c, 1);
}

void zg_buf_u64(struct zg_buf *b, uint64_t n); /* decimal */
void zg_buf_fmt(struct zg_buf *b, const char *fmt, ...) ZG_PRINTF(2, 3);

/* A JSON string with its quotes: escapes by RFC 8785, i.e. only what must be
 * escaped. Invalid UTF-8 bytes become U+FFFD. */
void zg_buf_json(struct zg_buf *b, struct zg_slice s);

/* All that fd still has, up to its end. 0 or -errno; -EFBIG: there is more than
 * the ceiling allows, and the buffer is full. */
int zg_buf_read(struct zg_buf *b, int fd) ZG_MUST_CHECK;

static inline bool zg_buf_ok(const struct zg_buf *b)
{
	return b->error == 0;
}

static inline struct zg_slice zg_buf_slice(const struct zg_buf *b)
{
	return (struct zg_slice){b->ptr, b->len};
}

#define zg_autobuf ZG_CLEANUP(zg_buf_release) struct zg_buf

#endif
