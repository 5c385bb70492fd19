/* SPDX-License-Identifier: Apache-2.0 */
/*
 * origin.h - who is at the other end, as the kernel attests it. The kernel
 * gate answers a private socket option; the parent names the cgroup. No answer
 * means nobody: such a caller is refused.
 */
#ifndef ZG_GATEWAY_ORIGIN_H
#define ZG_GATEWAY_ORIGIN_H

#include <stdbool.h>

#include "cleanup.h"
#include "slice.h"
#include "zg_abi.h"
#include "zg_wire.h"

struct zg_worker;

/* 0; -ENOPROTOOPT: nobody attests this connection; -errno. */
int zg_origin_read(int fd, struct zg_origin *out) ZG_MUST_CHECK;

struct zg_cgroup_name {
	uint64_t cgroup_id; /* 0 = free */
	bool asked;	    /* the parent's answer is on its way: no path yet */
	char path[ZG_CGROUP_LEN];
};

/* Paths of cgroup ids, a small cache: ids are never reused while a path of
 * theirs could still be asked for, and cgroups cannot be renamed. */
struct zg_cgroup_names {
	struct zg_cgroup_name *entry; /* ZG_CGROUP_NAMES */
};

int zg_cgroup_names_init(struct zg_cgroup_names *n) ZG_MUST_CHECK;
void zg_cgroup_names_release(struct zg_cgroup_names *n);
const char *zg_cgroup_names_get(const struct zg_cgroup_names *n, uint64_t cgroup_id);
/* To be asked for? Once for all requests that wait. */
bool zg_cgroup_names_ask(struct zg_cgroup_names *n, uint64_t cgroup_id);
void zg_cgroup_names_put(struct zg_cgroup_names *n, uint64_t cgroup_id, const char *path);
void zg_cgroup_names_forget(struct zg_cgroup_names *n, uint64_t cgroup_id);

#endif
