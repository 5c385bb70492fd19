/* SPDX-License-Identifier: Apache-2.0 */
/* canonical_json.c - see canonical_json.h. Trust: the tree was read strictly. */
#include "canonical_json.h"

#include <errno.h>

static int append(const char *bytes, size_t n, void *arg)
{
	struct zg_buf *out = arg;

	zg_buf_add(out, bytes, n);
	return out->error;
}

int zg_canonical_json(const json_t *v, struct zg_buf *out)
{
	const size_t flags = JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY;

	if (json_dump_callback(v, append, out, flags) < 0 && !out->error)
		return -ENOMEM;
	return out->error;
}
