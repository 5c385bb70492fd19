/* SPDX-License-Identifier: Apache-2.0 */
/* who.h - `principal` and `time` of an envelope that a file holds. */
#ifndef ZG_CLI_WHO_H
#define ZG_CLI_WHO_H

#include <jansson.h>

#include "envelope.h"
#include "err.h"

/* What an envelope borrows while it is judged. */
struct zg_who {
	struct zg_principal principal;
	uint8_t sha256[32];
};

/* Fill env from the envelope's object. What is not given stays unknown, and so
 * do members of `principal` that policy knows nothing of. 0 or -EINVAL. */
int zg_who_read(const json_t *envelope, struct zg_who *who, struct zg_envelope *env,
		struct zg_err *e) ZG_MUST_CHECK;

#endif
