/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stdio_build.h - local servers as the snapshot has them: how each is started,
 * by whom, and the texts of that.
 */
#ifndef ZG_STDIO_BUILD_H
#define ZG_STDIO_BUILD_H

#include "buf.h"
#include "registry.h"
#include "settings.h"

/* Append a struct zg_stdio_def for each server with a command, and its texts.
 * policy.profiles must be known; the buffers' errors are sticky. */
void zg_stdio_build(const struct zg_settings_src *s, struct zg_entry_src *const *servers,
		    size_t count, struct zg_buf *defs, struct zg_buf *texts);

/* ,"stdio":{...} of a canonical entry: all that decides how it is started and
 * what it may reach. */
void zg_stdio_canonical(struct zg_buf *out, const struct zg_command_src *c);

#endif
