/* SPDX-License-Identifier: Apache-2.0 */
/*
 * init_entry.h - one client configuration as JSON: which of its servers are
 * registered, and what they become. Nothing is opened here.
 */
#ifndef ZG_INIT_ENTRY_H
#define ZG_INIT_ENTRY_H

#include <jansson.h>

#include "snapshot.h"

struct zg_init {
	const struct zg_snapshot *snap;
	const char *zerogate; /* absolute path of this program */
	const char *entries;  /* folder for registry entries to review; NULL = shown only */
	size_t changes;	      /* of the file at hand */
	size_t unregistered;
	int error; /* sticky */
};

/* Look at every list of servers in root, change what is registered, and print it. */
void zg_init_walk(struct zg_init *in, json_t *root);

#endif
