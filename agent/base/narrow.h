/* SPDX-License-Identifier: Apache-2.0 */
/*
 * narrow.h - the name of what a local server's profile is while a call under
 * network_allowlists runs on it: made of the server's id and of what the lists
 * say, so that whoever compiles it and whoever asks for it need no table, and a
 * reload in between cannot turn one into another. Pure.
 */
#ifndef ZG_NARROW_H
#define ZG_NARROW_H

#include "slice.h"

struct zg_list_digest {
	uint8_t sha256[32];
};

/* One more host of a list; they come sorted, each once, to what began as zero. */
void zg_list_add(struct zg_list_digest *d, struct zg_slice host);

/* "server:ID/HEX", ZG_NAME_LEN bytes, of one list at least, in any order: they are
 * sorted by it. The slash is no part of any other profile's name. */
void zg_narrow_name(const char *server, struct zg_list_digest *list, size_t count, char *out);

#endif
