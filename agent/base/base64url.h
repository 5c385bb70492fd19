/* SPDX-License-Identifier: Apache-2.0 */
/* base64url.h - RFC 4648 5 without padding, one spelling for each value. */
#ifndef ZG_BASE_BASE64URL_H
#define ZG_BASE_BASE64URL_H

#include <stdint.h>
#include <sys/types.h>

#include "buf.h"

void zg_base64url_encode(const void *bytes, size_t n, struct zg_buf *out);
/* Length in bytes, at most size; -EBADMSG: another alphabet, padding, a cut
 * value, spare bits that are not zero, or too long. */
ssize_t zg_base64url_decode(struct zg_slice text, uint8_t *out, size_t size) ZG_MUST_CHECK;

#endif
