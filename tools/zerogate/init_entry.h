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

/* Every server of every list in root, as it stands, with a registry entry to review
 * (NULL: no memory). */
typedef void zg_init_found_fn(void *arg, const char *name, const json_t *server,
			      const json_t *entry);
void zg_init_each(const json_t *root, zg_init_found_fn *fn, void *arg);

/* init.c: every client's configuration that is found, or of those named. */
typedef void zg_init_file_fn(void *arg, const char *path, const json_t *root);
void zg_init_files(const char *const *file, size_t count, zg_init_file_fn *fn, void *arg);

#endif
