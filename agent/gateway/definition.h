/* SPDX-License-Identifier: Apache-2.0 */
/*
 * definition.h - one thing that a server says of itself, hashed whole and
 * searched for what it should not hold (scan/poison.h). Pure.
 */
#ifndef ZG_GATEWAY_DEFINITION_H
#define ZG_GATEWAY_DEFINITION_H

#include <jansson.h>

#include "buf.h"
#include "zg_wire.h"

/* Names of the same list, which a definition may speak of. */
struct zg_names {
	struct zg_buf text; /* each between blanks */
};

/* Fill q's digest, findings, hints and mentions for v; its canonical text is
 * appended to out. 0 or -ENOMEM, -EFBIG. */
int zg_definition_read(const json_t *v, const struct zg_names *own, struct zg_buf *out,
		       struct zg_msg_pin_seen *q) ZG_MUST_CHECK;

/* A JSON text that was found to be strict, numbers of any size included. */
json_t *zg_definition_parse(struct zg_slice text);

#endif
