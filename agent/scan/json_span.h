/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_span.h - where things stand in a JSON text, byte by byte, without
 * building a tree: for whoever takes parts out and leaves the rest as it is.
 * The text must have been accepted by zg_scan_json; of any other text a span
 * may be wrong, but never outside of it.
 */
#ifndef ZG_JSON_SPAN_H
#define ZG_JSON_SPAN_H

#include "buf.h"
#include "slice.h"

struct zg_json_item {
	struct zg_slice name;  /* of a member: with its quotes; NULL in an array */
	struct zg_slice value; /* without blanks around it */
};

/* Go through an object or array: start with the whole value, *at 0. False: no
 * more (or no container). */
bool zg_json_next(struct zg_slice container, size_t *at, struct zg_json_item *item);

/* The value of a member, .ptr NULL if there is none. */
struct zg_slice zg_json_member(struct zg_slice object, const char *name);

/* Is this raw string, with its quotes, that text? */
bool zg_json_is(struct zg_slice raw, const char *text);

/* What a raw string, with its quotes, stands for, appended. False: no string. */
bool zg_json_text(struct zg_slice raw, struct zg_buf *out);

/* Append text with span, a part of it, replaced; all other bytes as they are. */
void zg_json_splice(struct zg_slice text, struct zg_slice span, struct zg_slice with,
		    struct zg_buf *out);

#endif
