/* SPDX-License-Identifier: Apache-2.0 */
/* kernel_unix.c - see kernel_unix.h. Trust: as kernel_tables.c. */
#include "kernel_unix.h"

#include <errno.h>
#include <string.h>

#include "slice.h"

#define BITS_BEFORE_PATH ((uint32_t)(offsetof(struct zg_unix_key, path) - sizeof(uint32_t)) * 8)

/* A whole path carries its NUL, so that no longer one matches. */
static struct zg_unix_row row_of(const struct zg_unix_def *d, uint32_t slot)
{
	size_t n = strlen(d->path) + !d->prefix;
	struct zg_unix_row r = {
		.key = {.prefixlen = BITS_BEFORE_PATH + (uint32_t)n * 8,
			.profile = d->profile,
			.slot = slot},
		.val = {.verdict = d->verdict,
			.reason = d->reason,
			.bytes = (uint8_t)n,
			.prefix = d->prefix},
	};

	memcpy(r.key.path, d->path, strlen(d->path));
	return r;
}

/* The snapshot's order. */
static int by_place(const void *a, const void *b)
{
	const struct zg_unix_def *x = a, *y = b;
	int c = strcmp(x->path, y->path);

	if (x->profile != y->profile)
		return x->profile < y->profile ? -1 : 1;
	return c ? c : (int)x->prefix - (int)y->prefix;
}

size_t zg_unix_rows(const struct zg_snapshot *s, const char *control)
{
	return s->unix_count + (control[0] ? s->profile_count : 0);
}

bool zg_unix_row(const struct zg_snapshot *s, const char *control, uint32_t slot, size_t i,
		 struct zg_unix_row *out)
{
	struct zg_unix_def d = {.verdict = ZG_V_ALLOW};

	if (i < s->unix_count) {
		*out = row_of(&s->unixes[i], slot);
		return true;
	}
	d.profile = ZG_PROFILE_FIRST + (uint32_t)(i - s->unix_count);
	(void)zg_str_cut(d.path, sizeof(d.path), zg_slice_str(control)); /* it fits */
	if (s->unix_count && bsearch(&d, s->unixes, s->unix_count, sizeof(d), by_place))
		return false;
	*out = row_of(&d, slot);
	return true;
}

int zg_unix_put(const struct zg_map *m, const struct zg_snapshot *s, uint32_t slot,
		const char *control)
{
	int r = 0;

	for (size_t i = 0; i < zg_unix_rows(s, control) && r == 0; i++) {
		struct zg_unix_row row;

		if (zg_unix_row(s, control, slot, i, &row))
			r = zg_map_put(m, &row.key, &row.val, 1);
	}
	return r;
}
