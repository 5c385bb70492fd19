/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unix_sockets.h - which unix sockets a profile may reach: the entries that
 * people wrote, and the sockets that nobody reaches by accident.
 */
#ifndef ZG_UNIX_SOCKETS_H
#define ZG_UNIX_SOCKETS_H

#include "buf.h"
#include "settings.h"

/* Is text a path that an entry may name? Adds an error if not. */
void zg_unix_check(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, struct zg_slice text);

/* Append struct zg_unix_def[] of all profiles, sorted, to out. Where entries
 * overlap, deny has won: the longest match is the verdict. A control socket
 * that a profile may reach gets a notice. 0, -ENOMEM, -E2BIG. */
int zg_unix_build(struct zg_buf *out, const struct zg_settings_src *s,
		  struct zg_diag *diag) ZG_MUST_CHECK;

#endif
