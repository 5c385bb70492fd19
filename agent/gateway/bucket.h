/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bucket.h - a rate for records that cost their cause nothing: refused garbage
 * must not be able to fill the audit log. What is skipped is counted.
 */
#ifndef ZG_GATEWAY_BUCKET_H
#define ZG_GATEWAY_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

#include "zg_limits.h"

struct zg_bucket {
	uint64_t second;
	uint32_t taken;
	uint64_t skipped;
};

/* true: take one; *skipped says how many were not taken since the last one. */
static inline bool zg_bucket_take(struct zg_bucket *b, uint64_t now_ns, uint64_t *skipped)
{
	uint64_t second = now_ns / UINT64_C(1000000000);

	if (second != b->second) {
		b->second = second;
		b->taken = 0;
	}
	if (b->taken >= ZG_REJECT_RECORDS_SEC) {
		b->skipped++;
		return false;
	}
	b->taken++;
	*skipped = b->skipped;
	b->skipped = 0;
	return true;
}

#endif
