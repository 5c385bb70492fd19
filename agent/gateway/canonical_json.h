/* SPDX-License-Identifier: Apache-2.0 */
/*
 * canonical_json.h - one text for all that mean the same: members sorted by
 * their UTF-8 bytes, no blanks, shortest escapes, numbers as jansson prints
 * them. RFC 8785 differs in the order of keys outside the BMP and in how it
 * prints fractions; a digest of this is compared with such digests only.
 */
#ifndef ZG_GATEWAY_CANONICAL_JSON_H
#define ZG_GATEWAY_CANONICAL_JSON_H

#include <jansson.h>

#include "buf.h"

/* Append v. 0 or -ENOMEM, -EFBIG. */
int zg_canonical_json(const json_t *v, struct zg_buf *out) ZG_MUST_CHECK;

#endif
