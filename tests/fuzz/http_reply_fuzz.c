/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_reply_fuzz.c - a server's response: its head, then what it says of the
 * body. The first byte is a size of pieces. What must hold of a head that is
 * taken: one framing alone, no field of the framing and no control byte is handed
 * on, and lengths and chunks give the same content however the bytes come.
 */
#include <stdlib.h>

#include "buf.h"
#include "http_chunk.h"
#include "http_head.h"
#include "http_reply.h"
#include "zg_limits.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

#define REQUIRE(what)                                                                              \
	do {                                                                                       \
		if (!(what))                                                                       \
			abort();                                                                   \
	} while (0)

static void on_field(void *arg, struct zg_slice name, struct zg_slice value)
{
	static const char *const framing[] = {"content-length", "transfer-encoding", "connection"};
	size_t *count = arg;

	++*count;
	REQUIRE(name.len > 0);
	for (size_t i = 0; i < sizeof(framing) / sizeof(framing[0]); i++)
		REQUIRE(!zg_slice_ieq(name, zg_slice_str(framing[i])));
	for (size_t i = 0; i < name.len; i++)
		REQUIRE(name.ptr[i] > ' ' && name.ptr[i] != ':' && name.ptr[i] != 0x7f);
	for (size_t i = 0; i < value.len; i++)
		REQUIRE((unsigned char)value.ptr[i] >= ' ' || value.ptr[i] == '\t');
}

/* 1 done, 0 incomplete, < 0 refused */
static int content(const struct zg_http_reply *r, struct zg_slice in, size_t piece,
		   struct zg_buf *out)
{
	struct zg_http_chunk c = {0};
	int rc = 0;

	while (in.len && rc == 0) {
		struct zg_slice part = {in.ptr, in.len < piece ? in.len : piece}, run;

		in.ptr += part.len;
		in.len -= part.len;
		if (r->body != ZG_BODY_CHUNKED) {
			zg_buf_add(out, part.ptr, part.len);
			continue;
		}
		while (part.len && rc == 0) {
			rc = zg_http_chunk_next(&c, &part, &run);
			if (rc >= 0)
				zg_buf_add(out, run.ptr, run.len);
		}
	}
	return rc;
}

static void check_content(const struct zg_http_reply *r, struct zg_slice rest, size_t piece)
{
	zg_autobuf whole = ZG_BUF(1 << 20), pieces = ZG_BUF(1 << 20);
	int rc = content(r, rest, rest.len + 1, &whole);

	REQUIRE(content(r, rest, piece, &pieces) == rc);
	REQUIRE(whole.len == pieces.len &&
		(!whole.len || memcmp(whole.ptr, pieces.ptr, whole.len) == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct zg_http_reply r = {0};
	struct zg_slice text;
	size_t fields = 0;
	ssize_t n;

	if (!size)
		return 0;
	text = (struct zg_slice){(const char *)bytes + 1, size - 1};
	n = zg_http_head_end(text);
	REQUIRE(n <= (ssize_t)text.len);
	if (n <= 0 ||
	    zg_http_reply_parse(&r, (struct zg_slice){text.ptr, (size_t)n}, on_field, &fields) < 0)
		return 0;
	REQUIRE(fields <= ZG_HTTP_HEADERS_MAX);
	REQUIRE(r.status >= 100 && r.status <= 599);
	REQUIRE(r.body != ZG_BODY_LENGTH || (r.length && r.length <= INT64_MAX));
	REQUIRE(r.body != ZG_BODY_UNTIL_CLOSE || r.close);
	check_content(&r, (struct zg_slice){text.ptr + n, text.len - (size_t)n},
		      (size_t)bytes[0] + 1);
	return 0;
}
