/* SPDX-License-Identifier: Apache-2.0 */
/*
 * list_filter.h - taking entries out of what a server lists, byte by byte: what
 * stays is as it came. Pure. The message must have been accepted by
 * zg_scan_json.
 */
#ifndef ZG_GATEWAY_LIST_FILTER_H
#define ZG_GATEWAY_LIST_FILTER_H

#include "json_span.h"

enum zg_list_section {
	ZG_LS_TOOLS = 0,
	ZG_LS_PROMPTS,
	ZG_LS_TEMPLATES,
	ZG_LS_RESOURCES,
	ZG_LS_INSTRUCTIONS, /* one entry, a text; taken out, it is an empty one */
	ZG_LS_MAX
};

/* name: the raw string that names the entry; .ptr NULL if it has none. */
typedef bool zg_list_fn(void *arg, enum zg_list_section section, struct zg_slice entry,
			struct zg_slice name);

/* Every entry of the result, in the order of its sections; false ends it. */
void zg_list_each(struct zg_slice message, zg_list_fn *fn, void *arg);

/* Append the message without the entries of which keep says false; the names
 * of tools and prompts get the prefix ("" = none). *changed: it is not as it
 * was; else out is left alone. 0 or -ENOMEM, -EFBIG. */
int zg_list_filter(struct zg_slice message, zg_list_fn *keep, void *arg, const char *prefix,
		   struct zg_buf *out, bool *changed) ZG_MUST_CHECK;

#endif
