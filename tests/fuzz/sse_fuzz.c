/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sse_fuzz.c - the event stream reader. What must hold: cut into any pieces, a
 * stream means the same events; what is rebuilt reads as the data it was
 * rebuilt with. The first byte of an input says how large the pieces are.
 */
#include "sse.h"

#define CHECK(what)                                                                                \
	do {                                                                                       \
		if (!(what)) {                                                                     \
			fprintf(stderr, "does not hold: %s\n", #what);                             \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static int collect(void *arg, const struct zg_sse_event *ev)
{
	struct zg_buf *all = arg;

	zg_buf_fmt(all, "%d:%zu:", ev->has_data, ev->data.len);
	zg_buf_add(all, ev->data.ptr, ev->data.len);
	return 0;
}

static int keep_data(void *arg, const struct zg_sse_event *ev)
{
	struct zg_buf *data = arg;

	zg_buf_reset(data);
	zg_buf_add(data, ev->data.ptr, ev->data.len);
	return 0;
}

static int rebuild(void *arg, const struct zg_sse_event *ev)
{
	struct zg_buf *again = arg;
	zg_autobuf out = ZG_BUF(1 << 22), data = ZG_BUF(1 << 22);
	struct zg_sse s;

	collect(again, ev);
	if (!ev->has_data)
		return 0;
	zg_sse_init(&s);
	zg_sse_rebuild(ev, ev->data, &out);
	CHECK(zg_buf_ok(&out));
	/* a byte order mark is one at the start of a stream only: this is not it */
	CHECK(zg_sse_feed(&s, ZG_SLICE("\n"), keep_data, &data) == 0);
	CHECK(zg_sse_feed(&s, zg_buf_slice(&out), keep_data, &data) == 0);
	CHECK(zg_slice_eq(zg_buf_slice(&data), ev->data));
	zg_sse_release(&s);
	return 0;
}

static void feed(struct zg_slice text, size_t piece, zg_sse_fn *fn, struct zg_buf *out)
{
	struct zg_sse s;

	zg_sse_init(&s);
	while (text.len) {
		size_t n = text.len < piece ? text.len : piece;

		CHECK(zg_sse_feed(&s, (struct zg_slice){text.ptr, n}, fn, out) == 0);
		text.ptr += n;
		text.len -= n;
	}
	zg_sse_release(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	zg_autobuf whole = ZG_BUF(1 << 24), pieces = ZG_BUF(1 << 24);
	struct zg_slice text;

	if (!size)
		return 0;
	text = (struct zg_slice){(const char *)bytes + 1, size - 1};
	feed(text, size, rebuild, &whole);
	feed(text, 1 + bytes[0] % 32, collect, &pieces);
	CHECK(zg_slice_eq(zg_buf_slice(&whole), zg_buf_slice(&pieces)));
	return 0;
}
