/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watch.h - files of the configuration that change on disk are loaded, when they
 * have settled: zerogate.yaml and the folders it names, whether they are written
 * in place, renamed over, or replaced as a whole behind a link. It says only
 * that something changed: reload.c reads everything, and keeps the last good.
 */
#ifndef ZG_PARENT_WATCH_H
#define ZG_PARENT_WATCH_H

#include "err.h"

struct zg_parent;

/* Look at p's paths as they are from now on; what was seen before is forgotten, as
 * whoever calls this reads all of it next. Without inotify a line in the log. */
void zg_watch_look(struct zg_parent *p);
/* The loop runs: changes are loaded, if the configuration in force wants that. */
int zg_watch_start(struct zg_parent *p, struct zg_err *e) ZG_MUST_CHECK;
void zg_watch_free(struct zg_parent *p);

#endif
