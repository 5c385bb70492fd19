/* SPDX-License-Identifier: Apache-2.0 */
/* narrow.c - see narrow.h. Trust: ids and hosts were checked by their readers. */
#include "narrow.h"

#include <stdio.h>
#include <stdlib.h>

#include "digest.h"
#include "zg_limits.h"

#define SHOWN 11 /* bytes of the id, */
#define HEX   6	 /* and of the digest */

_Static_assert(sizeof("server:/") + SHOWN + 2 * HEX <= ZG_NAME_LEN, "it is a profile's name");

/* A chain: no list is too long for it. */
void zg_list_add(struct zg_list_digest *d, struct zg_slice host)
{
	struct zg_list_digest two[2] = {*d};

	zg_sha256(two[1].sha256, host.ptr, host.len);
	zg_sha256(d->sha256, two, sizeof(two));
}

static int by_bytes(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct zg_list_digest));
}

void zg_narrow_name(const char *server, struct zg_list_digest *list, size_t count, char *out)
{
	struct zg_list_digest two[2] = {0};
	char hex[2 * HEX + 1];

	qsort(list, count, sizeof(*list), by_bytes);
	zg_sha256(two[0].sha256, server, strlen(server));
	for (size_t i = 0; i < count; i++) {
		two[1] = list[i];
		zg_sha256(two[0].sha256, two, sizeof(two));
	}
	zg_hex(hex, two[0].sha256, HEX);
	(void)snprintf(out, ZG_NAME_LEN, "server:%.*s/%s", SHOWN, server, hex);
}
