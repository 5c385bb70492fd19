/* SPDX-License-Identifier: Apache-2.0 */
/* http_chunk.c - see http_chunk.h. Trust: every byte is the peer's. */
#include "http_chunk.h"

#include <errno.h>

#define DIGITS_MAX 8 /* 4 GB a chunk: more than any message may have */

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int take_digit(struct zg_http_chunk *c, char byte)
{
	int digit = hex(byte);

	if (digit < 0 || ++c->digits > DIGITS_MAX)
		return -EBADMSG;
	c->left = c->left << 4 | (uint64_t)digit;
	return 0;
}

/* One byte that is no content. */
static int take_byte(struct zg_http_chunk *c, char byte)
{
	static const struct {
		char byte;
		enum zg_http_chunk_state next;
	} fixed[] = {
		[ZG_CHUNK_DATA_CR] = {'\r', ZG_CHUNK_DATA_LF},
		[ZG_CHUNK_DATA_LF] = {'\n', ZG_CHUNK_SIZE},
		[ZG_CHUNK_END_CR] = {'\r', ZG_CHUNK_END_LF},
		[ZG_CHUNK_END_LF] = {'\n', ZG_CHUNK_DONE},
	};

	if (c->state == ZG_CHUNK_SIZE) {
		if (byte != '\r')
			return take_digit(c, byte);
		c->state = ZG_CHUNK_SIZE_LF;
		return c->digits ? 0 : -EBADMSG;
	}
	if (c->state == ZG_CHUNK_SIZE_LF) {
		c->state = c->left ? ZG_CHUNK_DATA : ZG_CHUNK_END_CR;
		c->digits = 0;
		return byte == '\n' ? 0 : -EBADMSG;
	}
	if (byte != fixed[c->state].byte)
		return -EBADMSG;
	c->state = fixed[c->state].next;
	return 0;
}

int zg_http_chunk_next(struct zg_http_chunk *c, struct zg_slice *in, struct zg_slice *out)
{
	*out = (struct zg_slice){in->ptr, 0};
	while (in->len && c->state != ZG_CHUNK_DONE) {
		if (c->state == ZG_CHUNK_DATA) {
			size_t n = in->len < c->left ? in->len : (size_t)c->left;

			*out = (struct zg_slice){in->ptr, n};
			in->ptr += n;
			in->len -= n;
			c->left -= n;
			if (!c->left)
				c->state = ZG_CHUNK_DATA_CR;
			return 0;
		}
		if (take_byte(c, in->ptr[0]) < 0)
			return -EBADMSG;
		in->ptr++;
		in->len--;
	}
	return c->state == ZG_CHUNK_DONE;
}
