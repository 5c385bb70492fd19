/* SPDX-License-Identifier: Apache-2.0 */
/*
 * secret_files.h - the bundle of secrets that gateways are given beside a snapshot
 * (zg_secrets.h). The parent reads files as bytes and hands them on; it never
 * looks into them.
 */
#ifndef ZG_PARENT_SECRET_FILES_H
#define ZG_PARENT_SECRET_FILES_H

#include "err.h"
#include "snapshot.h"

struct zg_parent;

/* For this snapshot: a sealed memfd, or -errno with e. */
int zg_parent_secrets(struct zg_parent *p, const struct zg_snapshot *s,
		      struct zg_err *e) ZG_MUST_CHECK;

#endif
