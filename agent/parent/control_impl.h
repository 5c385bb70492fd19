/* SPDX-License-Identifier: Apache-2.0 */
/* control_impl.h - the control socket, for the files that answer on it only. */
#ifndef ZG_PARENT_CONTROL_IMPL_H
#define ZG_PARENT_CONTROL_IMPL_H

#include <event2/event.h>

#include "state.h"

/* Whoever asks, as the kernel says. */
struct zg_control_peer {
	pid_t pid;
	uid_t uid;
	gid_t gid;
	int pidfd;
	uint32_t roles;	  /* bits of enum zg_role_bit */
	uint64_t owners;  /* as zg_ctl_peer.owners */
	bool placed;	  /* its cgroup is known */
	uint32_t profile; /* that governs it */
	uint64_t cgroup_id;
	char cgroup[ZG_CGROUP_LEN];
};

struct zg_control_client {
	struct zg_parent *parent;
	int sock; /* -1 = free */
	uid_t uid;
	bool stranger; /* nobody who decides */
	bool waits;    /* for the reload that runs */
	/* of a run, until all that the kernel refused is counted; .run 0 = none */
	struct zg_msg_ctl_run_report report;
	uint64_t report_until_ms;
	uint64_t stdio; /* its session with a local server; 0 = none */
	uint64_t proof; /* the round of self-proof that it waits for; 0 = none */
	struct event *readable;
};

struct zg_control {
	int listener;
	struct event *accept;
	struct zg_control_client client[ZG_CTL_CLIENTS_MAX];
};

/* control.c ---------------------------------------------------------------------- */

/* Never waits: a client that does not read is dropped. False: it was. */
bool zg_control_send(struct zg_control_client *c, enum zg_msg_type type, const void *body);
/* The last word of an answer, with what went wrong; e NULL = nothing. */
void zg_control_finish(struct zg_control_client *c, uint32_t status, const struct zg_err *e);
void zg_control_refuse(struct zg_control_client *c, int code, const char *what);

/* control_peer.c ------------------------------------------------------------------- */

/* Who is at the other end of a connection, and where. .pidfd is the caller's to
 * close, also after -errno. */
int zg_control_identify(struct zg_parent *p, int sock, struct zg_control_peer *who) ZG_MUST_CHECK;

/* verbs ---------------------------------------------------------------------------- */

typedef void zg_control_verb(struct zg_parent *p, struct zg_control_client *c,
			     const struct zg_control_peer *who, struct zg_msg *m);

/* control_run.c */
zg_control_verb zg_control_run, zg_control_run_report;
/* control_stdio.c */
zg_control_verb zg_control_stdio, zg_control_stdio_env, zg_control_stdio_go;

#endif
