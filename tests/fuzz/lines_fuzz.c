/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lines_fuzz.c - messages of a pipe. What must hold: cut into any pieces, the
 * bytes mean the same lines; no line holds an end of one or exceeds its cap; what
 * is seen in a line lies in it. The first byte says how large the pieces are.
 */
#include "lines.h"

#define CHECK(what)                                                                                \
	do {                                                                                       \
		if (!(what)) {                                                                     \
			fprintf(stderr, "does not hold: %s\n", #what);                             \
			abort();                                                                   \
		}                                                                                  \
	} while (0)
#define CAP 256

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void check_inside(struct zg_slice part, struct zg_slice line)
{
	CHECK(!part.ptr || (part.ptr >= line.ptr && part.ptr + part.len <= line.ptr + line.len));
}

static int collect(void *arg, struct zg_slice line, bool cut)
{
	struct zg_buf *all = arg;
	struct zg_peek p;

	CHECK(line.len && line.len <= CAP && !memchr(line.ptr, '\n', line.len));
	if (zg_peek(line, &p)) {
		check_inside(p.id, line);
		check_inside(p.method, line);
	}
	zg_buf_fmt(all, "%d:%zu:", cut, line.len);
	zg_buf_add(all, line.ptr, line.len);
	return 0;
}

static void feed(struct zg_slice text, size_t piece, struct zg_buf *out)
{
	struct zg_lines l;

	zg_lines_init(&l, CAP);
	while (text.len) {
		size_t n = text.len < piece ? text.len : piece;

		CHECK(zg_lines_feed(&l, (struct zg_slice){text.ptr, n}, collect, out) == 0);
		text.ptr += n;
		text.len -= n;
	}
	zg_lines_release(&l);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	zg_autobuf whole = ZG_BUF(1 << 22), pieces = ZG_BUF(1 << 22);
	struct zg_slice text;

	if (!size)
		return 0;
	text = (struct zg_slice){(const char *)bytes + 1, size - 1};
	feed(text, size, &whole);
	feed(text, bytes[0] % 16 + 1u, &pieces);
	CHECK(zg_slice_eq(zg_buf_slice(&whole), zg_buf_slice(&pieces)));
	return 0;
}
