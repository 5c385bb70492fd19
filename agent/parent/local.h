/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local.h - sessions with local servers: who may have one, the command in a
 * cgroup and profile of its own, and its end. What the two ends say to each
 * other never passes here: a gateway has the pipes.
 */
#ifndef ZG_PARENT_LOCAL_H
#define ZG_PARENT_LOCAL_H

#include "state.h"

/* Whoever asks, as the kernel says. */
struct zg_stdio_caller {
	pid_t pid;
	uid_t uid;
	gid_t gid;
	int sock;  /* of the control connection */
	int pidfd; /* borrowed */
	uint32_t profile;
	uint64_t cgroup_id;
	const char *cgroup;
};

int zg_stdio_start(struct zg_parent *p, struct zg_err *e) ZG_MUST_CHECK;
void zg_stdio_release(struct zg_parent *p);

/* From the control connection `client`: a session is asked for (*id), one of its
 * variables, and its start. Descriptors are taken over on success. */
int zg_stdio_begin(struct zg_parent *p, const struct zg_stdio_caller *who, void *client,
		   const struct zg_msg_ctl_stdio *ask, int *fd, uint64_t *id,
		   struct zg_err *e) ZG_MUST_CHECK;
int zg_stdio_env(struct zg_parent *p, uint64_t id, const struct zg_msg_ctl_stdio_env *m,
		 struct zg_err *e) ZG_MUST_CHECK;
int zg_stdio_go(struct zg_parent *p, uint64_t id, int *fd, struct zg_err *e) ZG_MUST_CHECK;
/* That connection is gone: so is whoever wanted the session. */
void zg_stdio_gone(struct zg_parent *p, uint64_t id);

/* From supervision. */
void zg_stdio_reap(struct zg_parent *p);
void zg_stdio_closed(struct zg_parent *p, uint32_t worker, const struct zg_msg_stdio_closed *m);
void zg_stdio_narrow(struct zg_parent *p, uint32_t worker, struct zg_msg_stdio_narrow *m);
void zg_stdio_worker_died(struct zg_parent *p, uint32_t worker);

/* A new snapshot is in force, or a profile was contained: sessions that would
 * not be begun any more end. */
void zg_stdio_reconsider(struct zg_parent *p);

/* local_cgroup.c: the cgroup of one running server. -------------------------- */

struct zg_stdio_cgroup {
	int dir; /* -1 = none */
	uint64_t id;
	char path[ZG_CGROUP_LEN];
	char limits[ZG_REASON_LEN]; /* in force, and what is not */
	char narrowed[ZG_NAME_LEN]; /* the profile that its calls have narrowed it to, or "" */
};

/* Make it, bound it as far as this machine can, and let the gate govern it. */
int zg_stdio_cgroup_make(struct zg_parent *p, const struct zg_stdio_def *def, uint64_t number,
			 struct zg_stdio_cgroup *out, struct zg_err *e) ZG_MUST_CHECK;
/* Let it be governed by that profile, which must be one that the server's own is
 * narrowed to, or by its own (""), and end what that does not allow. A server
 * that is contained stays so. -EPERM: no such profile; what was in force stays. */
int zg_stdio_cgroup_narrow(struct zg_parent *p, const struct zg_stdio_def *def,
			   struct zg_stdio_cgroup *c, const char *profile) ZG_MUST_CHECK;
void zg_stdio_cgroup_kill(const struct zg_stdio_cgroup *c);
/* -EBUSY while a process is still going. */
int zg_stdio_cgroup_remove(struct zg_parent *p, struct zg_stdio_cgroup *c) ZG_MUST_CHECK;

#endif
