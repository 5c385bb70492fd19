/* SPDX-License-Identifier: Apache-2.0 */
/* segments.h - the files of an audit log (base/chain.h), offline. */
#ifndef ZG_SEGMENTS_H
#define ZG_SEGMENTS_H

#include <stddef.h>

#include "cleanup.h"

/* Names of the segments in a folder, in their order; to be freed with
 * zg_segments_free, also after a failure. *out is NULL and *count 0 before. */
int zg_segments_list(int dir, char ***out, size_t *count) ZG_MUST_CHECK;
void zg_segments_free(char **names, size_t count);

/* Each segment of the folder, oldest first, until read returns other than 0, which is
 * returned; -errno; -ENOENT: there is no log. */
int zg_segments_each(const char *path, int (*read)(void *arg, int dir, const char *name),
		     void *arg) ZG_MUST_CHECK;

#endif
