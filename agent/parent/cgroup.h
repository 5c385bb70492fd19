/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cgroup.h - the cgroup2 tree as the parent uses it: where the gate attaches,
 * the agent's own cgroups, which cgroups the profiles' globs name (now and as
 * they appear), names for ids, and where a process is.
 *
 * Paths here are relative to the root ("zerogate.slice/run-1"), without a
 * slash at either end; "" is the root itself. A cgroup's id is the inode
 * number of its directory, as the kernel's helpers report it.
 */
#ifndef ZG_CGROUP_H
#define ZG_CGROUP_H

#include <stdbool.h>
#include <sys/types.h>

#include "err.h"
#include "zg_snapshot.h"

/* Who is told about membership; 0 or -errno. sweep (may be NULL): adopt whatever
 * it holds, because one of them went unheard. settled (may be NULL) comes when
 * what exists has been told: what cgroups that the globs name will be when
 * they are made, folder by folder, for whoever can see to it without us. */
struct zg_cgroup_gate {
	int (*govern)(void *arg, uint64_t id, uint32_t profile);
	int (*release)(void *arg, uint64_t id);
	void *arg;
	int (*settled)(void *arg, const struct zg_nursery_key *keys,
		       const struct zg_nursery *values, size_t count);
	int (*sweep)(void *arg);
};

struct zg_cgroup_entry {
	uint64_t id;
	uint32_t profile;
	int64_t gone; /* when it was removed, by CLOCK_MONOTONIC in seconds; 0 = it is there */
	bool fixed;   /* set by zg_cgroups_govern: no glob names it */
	bool seen;
	char path[ZG_CGROUP_LEN];
};

struct zg_cgroup_watch;

struct zg_cgroups {
	int root;		     /* O_DIRECTORY */
	char root_path[ZG_PATH_LEN]; /* absolute */
	char root_name[ZG_PATH_LEN]; /* as /proc/PID/cgroup names it, "" for "/" */
	char own[ZG_CGROUP_LEN];     /* the folder of the role cgroups */
	char home[ZG_PATH_LEN];	     /* where we came from, as /proc/self/cgroup names it */
	bool own_made;		     /* the folder is ours alone, not a service's */
	int inotify;		     /* non-blocking, for the loop */
	struct zg_cgroup_gate gate;
	struct zg_cgroup_entry *entry;
	size_t entries, entry_cap;
	struct zg_cgroup_watch *watch;
	size_t watches, watch_cap;
	bool unsettled; /* since settled was told */
	bool unheard;	/* a governed cgroup came and went before it was looked at */
	/* A removed cgroup stays governed so long: connections outlive their
	 * process, and would send again what they were refused. Ids are not used twice. */
	int64_t linger_sec;
	struct zg_cgroup_def *def; /* the globs in force: a copy */
	size_t defs;
};

/* Find the cgroup2 mount and open the root: path, or the mount if it is "". */
int zg_cgroups_open(struct zg_cgroups *c, const char *path, struct zg_err *e) ZG_MUST_CHECK;
void zg_cgroups_close(struct zg_cgroups *c);

/* Make the agent's own cgroups and move this process into "parent". */
int zg_cgroups_settle(struct zg_cgroups *c, struct zg_err *e) ZG_MUST_CHECK;
/* Roles of an agent that was killed may still be ending: kill those that have
 * nothing to finish, give the ledger ZG_LEDGER_END_SEC for its rings. */
int zg_cgroups_clear(const struct zg_cgroups *c, struct zg_err *e) ZG_MUST_CHECK;
/* Go back where we came from and remove what is empty. */
void zg_cgroups_leave(struct zg_cgroups *c);
/* A role's cgroup: an O_DIRECTORY descriptor, or -errno; id may be NULL. */
int zg_cgroups_role(const struct zg_cgroups *c, const char *role, uint64_t *id) ZG_MUST_CHECK;

/* Membership ------------------------------------------------------------- */

void zg_cgroups_set_gate(struct zg_cgroups *c, const struct zg_cgroup_gate *gate);

/* One cgroup by id, kept until the end. */
int zg_cgroups_govern(struct zg_cgroups *c, uint64_t id, const char *path,
		      uint32_t profile) ZG_MUST_CHECK;

/* The same, undone. 0 also when it was not governed. */
int zg_cgroups_release(struct zg_cgroups *c, uint64_t id) ZG_MUST_CHECK;

/* It was removed: governed until its last connections have given up. */
void zg_cgroups_retire(struct zg_cgroups *c, uint64_t id);

/* A member that a former run of the agent left pinned, or that the kernel has
 * governed as it was made; of a known one, the profile is taken if it is gone.
 * follow releases it unless a glob still names it, or it is gone only since lately. */
int zg_cgroups_adopt(struct zg_cgroups *c, uint64_t id, uint32_t profile) ZG_MUST_CHECK;
/* After a snapshot is applied: govern what the globs name, release the rest, and watch
 * for what appears. The first definition that matches a path wins. */
int zg_cgroups_follow(struct zg_cgroups *c, const struct zg_cgroup_def *defs, size_t count,
		      struct zg_err *e) ZG_MUST_CHECK;
/* Governed cgroups that exist. */
size_t zg_cgroups_living(const struct zg_cgroups *c);
/* inotify is readable: cgroups came or went. */
int zg_cgroups_event(struct zg_cgroups *c) ZG_MUST_CHECK;

/* The profile that governs a path (nearest governed ancestor), or
 * ZG_PROFILE_NONE. */
uint32_t zg_cgroups_profile(const struct zg_cgroups *c, const char *path);

/* Names ------------------------------------------------------------------- */

/* Path of an id; "" and -ENOENT when it is gone, -EXDEV outside the root. */
int zg_cgroups_path(const struct zg_cgroups *c, uint64_t id, char out[ZG_CGROUP_LEN]) ZG_MUST_CHECK;
/* Where a process is: 0, -EXDEV outside the root, -ESRCH. */
int zg_cgroups_of_pid(const struct zg_cgroups *c, pid_t pid, char out[ZG_CGROUP_LEN]) ZG_MUST_CHECK;
/* Open below the root, making missing folders, which get a mark of ours if
 * mark is set. An O_DIRECTORY descriptor, or -errno. */
int zg_cgroups_make(const struct zg_cgroups *c, const char *path, bool mark) ZG_MUST_CHECK;
/* Remove empty cgroups that are ours: runs below the globs' literal folders,
 * and with `marked` those folders if we made them. */
void zg_cgroups_sweep(const struct zg_cgroups *c, const struct zg_cgroup_def *defs, size_t count,
		      bool marked);

/* True if a glob names exactly one path. */
bool zg_cgroup_literal(const char *glob);

#define ZG_RUN_PREFIX "run-"

#endif
