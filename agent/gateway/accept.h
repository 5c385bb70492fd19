/* SPDX-License-Identifier: Apache-2.0 */
/*
 * accept.h - taking connections from the shared listeners, and the counters
 * that keep one cgroup's flood from starving the others.
 */
#ifndef ZG_GATEWAY_ACCEPT_H
#define ZG_GATEWAY_ACCEPT_H

#include <stdbool.h>
#include <stdint.h>

#include "cleanup.h"
#include "zg_limits.h"

struct zg_worker;

enum zg_admit {
	ZG_ADMIT_CONNECTION = 0,
	ZG_ADMIT_REQUEST,
	ZG_ADMIT_HOLD,
	ZG_ADMIT_BYTES, /* what its requests and connections make us hold */
	ZG_ADMIT_MAX
};

struct zg_admission_slot {
	uint64_t cgroup_id;
	uint64_t count[ZG_ADMIT_MAX];
};

/* Counts per cgroup (0 = callers nobody attests) and in total. */
struct zg_admission {
	struct zg_admission_slot *slot; /* ZG_ADMISSION_SLOTS, open addressing */
	uint64_t total[ZG_ADMIT_MAX];
	uint32_t used;
};

int zg_admission_init(struct zg_admission *a) ZG_MUST_CHECK;
void zg_admission_release(struct zg_admission *a);

/* Count one more, or false when a cap is reached. Each true is given back. */
bool zg_admit(struct zg_admission *a, uint64_t cgroup_id, enum zg_admit what) ZG_MUST_CHECK;
void zg_admit_end(struct zg_admission *a, uint64_t cgroup_id, enum zg_admit what);

/* What one holder's buffers come to: *counted becomes what of `bytes` exceeds
 * ZG_BUFFERED_FREE. false: that would be more than a cap; nothing has changed. The
 * holder counts as a connection or request of the same cgroup, and comes down to 0
 * before that ends. */
bool zg_admit_bytes(struct zg_admission *a, uint64_t cgroup_id, uint64_t *counted,
		    uint64_t bytes) ZG_MUST_CHECK;
/* Likewise, of bytes that are there already: whatever the cap, so that what is to
 * be read next is refused. */
void zg_admit_held(struct zg_admission *a, uint64_t cgroup_id, uint64_t *counted, uint64_t bytes);

/* Listen on an inherited listening socket (owned from now on). 0 or -errno. */
int zg_accept_add(struct zg_worker *w, int fd, uint32_t index) ZG_MUST_CHECK;

#endif
