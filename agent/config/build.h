/* SPDX-License-Identifier: Apache-2.0 */
/*
 * build.h - from the text of configuration files to one compiled snapshot
 * (zg_snapshot.h). Used by the config role and, offline, by the CLI: both see
 * the same errors and the same snapshot. Opens nothing.
 */
#ifndef ZG_BUILD_H
#define ZG_BUILD_H

#include "buf.h"
#include "diag.h"
#include "lint.h"
#include "slice.h"
#include "users.h"
#include "zg_snapshot.h"
#include "zg_wire.h"

struct zg_build;

/* NULL: out of memory. diag is borrowed; all errors and notices go there. */
struct zg_build *zg_build_new(struct zg_diag *diag);
void zg_build_free(struct zg_build *b);

/* Read one file; exactly one ZG_CF_MAIN, in any order with the others. name is
 * for people and is copied. */
void zg_build_add(struct zg_build *b, enum zg_config_file kind, const char *name,
		  struct zg_slice text);

/* Where the text goes that the snapshot is named by (canonical.h). */
void zg_build_canonical(struct zg_build *b, struct zg_buf *out);

/* Whoever asks wants to know what it would be, signed or not. */
void zg_build_unsigned(struct zg_build *b);

/* After ZG_CF_MAIN was added: its settings. */
const struct zg_settings *zg_build_settings(const struct zg_build *b);

/* After zg_build_finish: the nth file of servers/ that is to be approved first. */
bool zg_build_submitted(const struct zg_build *b, size_t n, struct zg_msg_config_server *out);

/* After zg_build_finish, of everything but settings: what lint finds (lint.h).
 * seen: tools that servers were seen to have, may be none. */
int zg_build_lint(struct zg_build *b, const struct zg_lint_tool *seen, size_t seen_count,
		  struct zg_lint *out) ZG_MUST_CHECK;

/* Between the last file and zg_build_finish: whose uids are meant (users.h)? What is
 * wrong goes to the diag; -errno of find. */
int zg_build_users(struct zg_build *b, zg_user_fn *find, void *arg) ZG_MUST_CHECK;

struct zg_build_counts {
	size_t rules, servers, profiles, prefixes, kernel_rules;
};

enum zg_build_parts {
	ZG_BUILD_SETTINGS = 0, /* ZG_CF_MAIN alone; all other sections stay empty */
	ZG_BUILD_POLICY,       /* everything but the scan database, which costs the most */
	ZG_BUILD_ALL,
};

/* Append the snapshot to out (empty). 0; -EINVAL: the diag has errors, out is
 * not to be used. counts may be NULL. */
int zg_build_finish(struct zg_build *b, enum zg_build_parts parts, struct zg_buf *out,
		    uint8_t id[32], struct zg_build_counts *counts) ZG_MUST_CHECK;

#endif
