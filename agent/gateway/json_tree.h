/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_tree.h - strict JSON to jansson's tree, for the messages of clients.
 * jansson's own reader takes a third of all time that a small call spends in
 * the gateway, most of it byte by byte through its lexer.
 */
#ifndef ZG_JSON_TREE_H
#define ZG_JSON_TREE_H

#include <jansson.h>

#include "slice.h"

/*
 * What json_loadb(text, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY) would return:
 * RFC 8259, valid UTF-8, no NUL, no duplicate names, nothing after the value.
 * NULL: something else, deeper than ZG_JSON_DEPTH, or no memory.
 */
json_t *zg_json_tree(struct zg_slice text);

#endif
