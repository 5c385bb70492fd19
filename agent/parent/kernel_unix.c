/* SPDX-License-Identifier: Apache-2.0 */
/* kernel_unix.c - see kernel_unix.h. Trust: as kernel_tables.c. */
#include "kernel_unix.h"

#include <errno.h>
#include <string.h>

#define BITS_BEFORE_PATH ((uint32_t)(offsetof(struct zg_unix_key, path) - sizeof(uint32_t)) * 8)

struct row {
	struct zg_unix_key key;
	struct zg_unix_val val;
};

/* A whole path carries its NUL, so that no longer one matches. */
static struct row row_of(const struct zg_unix_def *d, uint32_t slot)
{
	size_t n = strlen(d->path) + !d->prefix;
	struct row r = {
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

static int put_one(const struct zg_map *m, const struct zg_unix_def *d, uint32_t slot)
{
	struct row r = row_of(d, slot);

	return zg_map_put(m, &r.key, &r.val, 1);
}

static int put_control(const struct zg_map *m, const struct zg_snapshot *s, uint32_t slot,
		       const char *control)
{
	struct zg_unix_def d = {.verdict = ZG_V_ALLOW};
	size_t n = strlen(control);
	int r = 0;

	if (n >= sizeof(d.path))
		return -ENAMETOOLONG;
	memcpy(d.path, control, n);
	for (uint32_t i = 0; n && i < s->profile_count && r == 0; i++) {
		d.profile = ZG_PROFILE_FIRST + i;
		r = put_one(m, &d, slot);
	}
	return r;
}

int zg_unix_put(const struct zg_map *m, const struct zg_snapshot *s, uint32_t slot,
		const char *control)
{
	int r = put_control(m, s, slot, control);

	for (size_t i = 0; i < s->unix_count && r == 0; i++)
		r = put_one(m, &s->unixes[i], slot);
	return r;
}

struct found {
	struct zg_unix_key *key;
	size_t count;
	size_t room;
	uint32_t slot;
};

static int collect(const void *key, const void *value ZG_UNUSED, void *arg)
{
	const struct zg_unix_key *k = key;
	struct found *found = arg;
	struct zg_unix_key *list;

	if (k->slot != found->slot)
		return 0;
	list = zg_map_list_room(found->key, found->count, &found->room, sizeof(*list));
	if (!list)
		return -ENOMEM;
	found->key = list;
	list[found->count++] = *k;
	return 0;
}

int zg_unix_purge(const struct zg_map *m, uint32_t slot)
{
	struct found found = {.slot = slot};
	int r = zg_map_each(m, collect, &found);

	if (r == 0)
		r = zg_map_delete(m, found.key, found.count);
	free(found.key);
	return r;
}
