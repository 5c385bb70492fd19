/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load.h - a configuration from its path, offline: what the parent and the
 * config role do together, for the CLI, as whatever user runs it.
 */
#ifndef ZG_LOAD_H
#define ZG_LOAD_H

#include "build.h"

struct zg_loaded {
	struct zg_buf snapshot; /* zg_snapshot.h; without a scan database */
	uint8_t id[32];
	struct zg_buf canonical; /* what the id is the SHA-256 of */
	struct zg_build_counts counts;
	char policies[ZG_PATH_LEN]; /* the folders that were read */
	char servers[ZG_PATH_LEN];
};

/* Read FILE, its policies (*.yaml) and its servers (*.json). 0, or -EINVAL with
 * errors in diag. A file that everybody could change is an error, one that its
 * group could change a notice: the agent refuses both. Notices may be there in
 * both cases. */
int zg_load(struct zg_loaded *out, const char *config, struct zg_diag *diag) ZG_MUST_CHECK;

/* What else is to be done with it. Zero-filled: what zg_load does. */
struct zg_load_how {
	bool is_signed;			 /* it must be as the agent wants it */
	struct zg_lint *lint;		 /* NULL = nobody wants to know */
	const struct zg_lint_tool *seen; /* for lint */
	size_t seen_count;
};
int zg_load_as(struct zg_loaded *out, const char *config, const struct zg_load_how *how,
	       struct zg_diag *diag) ZG_MUST_CHECK;
void zg_loaded_release(struct zg_loaded *l);

/* The policy section; valid while l lives. NULL + 0 when there is none. */
struct zg_slice zg_loaded_section(const struct zg_loaded *l, enum zg_section which);

#endif
