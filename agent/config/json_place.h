/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_place.h - where in a JSON text a value stands. jansson keeps no
 * positions; this walks the text along a path of members and items.
 */
#ifndef ZG_JSON_PLACE_H
#define ZG_JSON_PLACE_H

#include "slice.h"

/* A step from the value above: into a member, or (key NULL) into an item. */
struct zg_json_path {
	const struct zg_json_path *up; /* NULL: the text's own value */
	const char *key;
	size_t index;
};

/* 1-based line and byte column of the value at path, or of the nearest value
 * above it that can be found. text must be valid JSON; anything else gives a
 * place too, but a useless one. */
void zg_json_place(struct zg_slice text, const struct zg_json_path *path, uint32_t *line,
		   uint32_t *column);

#endif
