/* SPDX-License-Identifier: Apache-2.0 */
/*
 * refusal.h - what the kernel gate refused, in words: for records and for the
 * report of `zerogate run`.
 */
#ifndef ZG_REFUSAL_H
#define ZG_REFUSAL_H

#include <stddef.h>
#include <stdint.h>

#include "zg_abi.h"

/* "tcp 192.0.2.1:443", "unix socket /run/docker.sock", "listening on tcp
 * 0.0.0.0:80", ...; cut to size. A path has the bytes that a task chose. */
void zg_refusal_what(char *out, size_t size, const struct zg_event *ev);

/* Why, by enum zg_gate_reason; "" for a number that is none. */
const char *zg_refusal_why(uint8_t reason);

#endif
