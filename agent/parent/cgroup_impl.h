/* SPDX-License-Identifier: Apache-2.0 */
/* cgroup_impl.h - paths below the cgroup root, for the files of cgroup.h only. */
#ifndef ZG_CGROUP_IMPL_H
#define ZG_CGROUP_IMPL_H

#include <stdbool.h>
#include <stddef.h>

#include "cgroup.h"
#include "cleanup.h"

struct zg_cgroup_watch { /* a directory in which a glob may name a child */
	int wd;
	uint64_t id;
	char path[ZG_CGROUP_LEN];
};

/* "a" + "b" -> "a/b"; false if it does not fit. */
bool zg_cgroup_join(char *out, size_t size, const char *a, const char *b) ZG_MUST_CHECK;
/* Components of a path; 0 for the root. */
size_t zg_cgroup_depth(const char *path);
/* Bytes of the first n components, all of them if there are fewer. */
size_t zg_cgroup_head(const char *path, size_t n);
/* A directory below the root: an O_DIRECTORY descriptor, or -errno. */
int zg_cgroup_open(int root, const char *path) ZG_MUST_CHECK;
/* Does the glob, cut to as many components as path has, match it? */
bool zg_cgroup_leads_to(const char *glob, const char *path);
/* Tell the gate what cgroups yet to be made will be. */
int zg_cgroups_settled(struct zg_cgroups *c) ZG_MUST_CHECK;

#endif
