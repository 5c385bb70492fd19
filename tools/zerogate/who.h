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

/* The number of a profile by its name, in the configuration's profiles (ZG_S_PROFILES);
 * 0: it has none of this name, which may use no server. */
uint32_t zg_profile_number(struct zg_slice profiles, const char *name);

/* Fill env from the envelope's object. What is not given stays unknown, and so
 * do members of `principal` that policy knows nothing of; a profile is one of
 * profiles. 0 or -EINVAL. */
int zg_who_read(const json_t *envelope, struct zg_slice profiles, struct zg_who *who,
		struct zg_envelope *env, struct zg_err *e) ZG_MUST_CHECK;

#endif
