/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_chunk_fuzz.c - the chunked coding, and cutting batches apart. The first
 * byte is a size of pieces. What must hold: content and verdict do not depend on
 * how the bytes come, a verdict is final, and an array that a JSON parser reads
 * is cut into as many elements as it has, each a JSON text of its own.
 */
#include <stdlib.h>

#include "batch.h"
#include "buf.h"
#include "http_chunk.h"
#include "rpc.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

#define REQUIRE(what)                                                                              \
	do {                                                                                       \
		if (!(what))                                                                       \
			abort();                                                                   \
	} while (0)

/* 1 done, 0 incomplete, < 0 refused; *used: how far it got */
static int decode(struct zg_slice text, size_t piece, struct zg_buf *out, size_t *used)
{
	struct zg_http_chunk c = {0};
	size_t at = 0;
	int rc = 0;

	while (at < text.len && rc == 0) {
		size_t n = text.len - at < piece ? text.len - at : piece;
		struct zg_slice in = {text.ptr + at, n}, run;

		while (in.len && rc == 0) {
			rc = zg_http_chunk_next(&c, &in, &run);
			if (rc >= 0)
				zg_buf_add(out, run.ptr, run.len);
		}
		at = (size_t)(in.ptr - text.ptr);
	}
	*used = at;
	return rc;
}

static void check_chunks(struct zg_slice text, size_t piece)
{
	zg_autobuf whole = ZG_BUF(1 << 20), pieces = ZG_BUF(1 << 20);
	size_t a, b;
	int rc = decode(text, text.len ? text.len : 1, &whole, &a);

	REQUIRE(decode(text, piece, &pieces, &b) == rc);
	REQUIRE(whole.len == pieces.len &&
		(!whole.len || memcmp(whole.ptr, pieces.ptr, whole.len) == 0));
	REQUIRE(rc != 1 || a == b);
}

static void check_batch(struct zg_slice text)
{
	struct zg_slice one[16];
	json_t *tree = zg_rpc_tree(text);
	size_t n;

	if (json_is_array(tree)) {
		n = zg_batch_split(text, one, 16);
		REQUIRE(n == json_array_size(tree));
		for (size_t i = 0; i < n && i < 16; i++) {
			json_t *part = zg_rpc_tree(one[i]);

			REQUIRE(part && json_equal(part, json_array_get(tree, i)));
			json_decref(part);
		}
	}
	json_decref(tree);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct zg_slice text;

	if (!size)
		return 0;
	text = (struct zg_slice){(const char *)bytes + 1, size - 1};
	check_chunks(text, (size_t)bytes[0] + 1);
	check_batch(text);
	return 0;
}
