/* SPDX-License-Identifier: Apache-2.0 */
/* digest.h - SHA-256 (FIPS 180-4) of one byte string, by OpenSSL. It cannot
 * fail: without memory for it the process ends. */
#ifndef ZG_DIGEST_H
#define ZG_DIGEST_H

#include <stddef.h>
#include <stdint.h>

void zg_sha256(uint8_t out[32], const void *bytes, size_t n);

#endif
