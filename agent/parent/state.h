/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state.h - what the parent's loop holds, and the entry points of its parts.
 * One thread, one loop (libevent): nothing here is shared.
 */
#ifndef ZG_PARENT_STATE_H
#define ZG_PARENT_STATE_H

#include <event2/event.h>
#include <sys/types.h>

#include "cgroup.h"
#include "configure.h"
#include "executable.h"
#include "ipc.h"
#include "kernel.h"
#include "names.h"
#include "issuer_keys.h"
#include "server_names.h"
#include "parent.h"
#include "people.h"
#include "record.h"
#include "ring.h"
#include "snapshot.h"
#include "certs.h"

struct zg_parent;
struct zg_proof;
struct zg_canary;
struct zg_enforcement;
struct zg_stdios;
struct zg_notices;
struct zg_watch;

/* children.c: supervision ------------------------------------------------- */

struct zg_child {
	struct zg_parent *parent;
	const char *role;
	uint32_t worker; /* gateway: which */
	pid_t pid;	 /* -1 = not running */
	int sock;
	bool ready;
	uint64_t started_ms; /* CLOCK_MONOTONIC */
	uint32_t failures;   /* deaths in a row without a long life between */
	struct event *readable;
	struct event *again; /* the restart that waits */
};

struct zg_children {
	struct zg_child ledger;
	struct zg_child resolver;
	struct zg_child gateway[ZG_WORKERS_MAX];
	uint32_t workers;
	uint32_t restarts;
	bool stopping;
	int ring_fd[ZG_WORKERS_MAX + 1]; /* 0 = ours */
	struct zg_ring ring[ZG_WORKERS_MAX + 1];
	int ring_event;
	int state_dir;
	int listener[ZG_LISTEN_MAX];
};

int zg_children_prepare(struct zg_parent *p, struct zg_err *e) ZG_MUST_CHECK;
void zg_children_start(struct zg_parent *p);
void zg_children_reap(struct zg_parent *p); /* SIGCHLD */
/* To the ledger; one that does not take it is replaced. */
void zg_children_tell_ledger(struct zg_parent *p, enum zg_msg_type type, const void *body, int fd);
/* A new snapshot is in force; sockets of its profiles' resolvers go first. */
void zg_children_snapshot(struct zg_parent *p);
/* Everything is ready and proved for the first time: say so. */
void zg_children_announce(struct zg_parent *p);
uint32_t zg_children_workers_ready(const struct zg_parent *p);
/* The gateway after *turn that is ready. False: none is. */
bool zg_children_next_gateway(const struct zg_parent *p, uint32_t *turn, uint32_t *worker);
/* Send to a gateway; one that does not take it is replaced. */
void zg_children_tell(struct zg_parent *p, uint32_t worker, enum zg_msg_type type, const void *body,
		      int fd);
/* Close the channels, wait for the children, then kill: gateways, then ledger. */
void zg_children_stop(struct zg_parent *p);
void zg_children_release(struct zg_parent *p);

/* events.c: what the kernel tells ------------------------------------------ */

int zg_events_start(struct zg_parent *p, struct zg_err *e) ZG_MUST_CHECK;
/* Take what the kernel's ring holds; tells zg_control_counted. */
void zg_events_drain(struct zg_parent *p);
uint64_t zg_events_lost(struct zg_parent *p);
/* Whom an event is about: the same fields in every kind of record. */
void zg_events_who(const struct zg_parent *p, const struct zg_event *ev, struct zg_record *r);
/* Hand a record of ours over, without ever sleeping: false = no room. One that
 * names no configuration is given the one in force. */
bool zg_events_record(struct zg_parent *p, const struct zg_record *r);

/* runs.c: cgroups made for `zerogate run` ----------------------------------- */

struct zg_run {
	uint64_t ticket; /* 0 = free */
	uint64_t cgroup_id;
	uint32_t uid;
	pid_t pid;
	uint64_t ended_ms; /* the cgroup is gone since; 0 = lives */
	bool reported;
	bool recorded;
	int watch; /* inotify of cgroup.events */
	uint32_t status;
	uint32_t denials;     /* distinct destinations, in denial[] */
	uint32_t more;	      /* refusals of further ones, which are not kept */
	uint32_t refused;     /* all refusals that were counted */
	uint64_t lost_before; /* zg_events_lost() when it began */
	char path[ZG_CGROUP_LEN];
	char profile[ZG_NAME_LEN];
	char comm[ZG_COMM_LEN];
	struct zg_msg_ctl_run_denial denial[ZG_RUN_DENIALS_MAX];
};

int zg_runs_start(struct zg_parent *p, struct zg_err *e) ZG_MUST_CHECK;
/* Make the cgroup and move pid (uid's) into it. pidfd tells whether it is
 * still the same process. */
int zg_runs_begin(struct zg_parent *p, const struct zg_msg_ctl_run *ask, pid_t pid, int pidfd,
		  uint32_t uid, uint32_t peer_profile, struct zg_msg_ctl_run_started *out,
		  struct zg_err *e) ZG_MUST_CHECK;
struct zg_run *zg_runs_find(struct zg_parent *p, uint64_t ticket);
void zg_runs_reported(struct zg_parent *p, struct zg_run *r, uint32_t status);
void zg_runs_denied(struct zg_parent *p, const struct zg_event *ev, const char *what);
void zg_runs_release(struct zg_parent *p);

/* control.c: the control socket ---------------------------------------------- */

int zg_control_start(struct zg_parent *p, struct zg_err *e) ZG_MUST_CHECK;
void zg_control_reloaded(struct zg_parent *p, const struct zg_err *e, size_t errors);
/* Events were taken; whole = all that there were. Reports may be ready. */
void zg_control_counted(struct zg_parent *p, bool whole);
/* A round of self-proof is over: whoever asked is told. */
void zg_control_proved(struct zg_parent *p);
/* To the connection that asked for a session (local.h). False: it is gone, and
 * zg_stdio_gone was called. */
bool zg_control_tell(void *client, enum zg_msg_type type, const void *body);
void zg_control_end(void *client, uint32_t status, const struct zg_err *e);
void zg_control_stop(struct zg_parent *p);

/* parent.c ------------------------------------------------------------------- */

/* The same files again, with the addresses that names have now. */
void zg_parent_recompile(struct zg_parent *p);
/* Start a reload; answers come through zg_control_reloaded. While one runs it
 * will be followed by another. */
void zg_parent_reload(struct zg_parent *p);
/* The same, because files changed (watch.h): nobody waits for an answer. */
void zg_parent_reload_changed(struct zg_parent *p);
/* The ledger's word on servers has changed: with the other files as they are in
 * force, so that a revocation does not wait for somebody to mend one of them. What
 * runs is begun again after it. */
void zg_parent_registry(struct zg_parent *p, uint64_t change);
void zg_parent_status(struct zg_parent *p, struct zg_msg_ctl_status *out);
/* Remove all enforcement, then end. */
int zg_parent_detach(struct zg_parent *p, struct zg_err *e) ZG_MUST_CHECK;
/* An event of the loop, kept until the end; fn gets p. 0 or -ENOMEM. */
int zg_parent_watch(struct zg_parent *p, int fd, short what, const struct timeval *every,
		    event_callback_fn fn) ZG_MUST_CHECK;
/* Look at what inotify tells of cgroups that come and go. */
void zg_parent_cgroups(struct zg_parent *p);
uint64_t zg_parent_now_ms(void); /* CLOCK_MONOTONIC */
/* All children are ready for the first time: tell whoever started us. */
void zg_parent_announce(struct zg_parent *p);

struct zg_parent {
	const struct zg_parent_options *options;
	struct event_base *loop;
	/* configuration */
	char config_named[ZG_PATH_LEN]; /* absolute, as we were told: links may change */
	char config[ZG_PATH_LEN];	/* where that led to when it was read last */
	char policies[ZG_PATH_LEN];
	char servers[ZG_PATH_LEN];
	char shadow_policies[ZG_PATH_LEN]; /* "" = none */
	char state_dir[ZG_PATH_LEN];
	char registry[ZG_PATH_LEN]; /* in it: the ledger's word on servers */
	char runtime_dir[ZG_PATH_LEN];
	char pin_dir[ZG_PATH_LEN];
	struct zg_settings settings; /* of the start */
	struct zg_snapshot snapshot; /* in force */
	int snapshot_fd;
	int secrets_fd; /* of that snapshot */
	uint64_t generation;
	char last_reload_error[ZG_REASON_LEN];
	struct zg_configure configure; /* of a running reload */
	struct event *configure_event;
	struct zg_configure_texts texts; /* what is in force was compiled from these */
	struct zg_server_names *server_names;
	struct zg_watch *watch;
	struct zg_issuer_keys *issuer_keys; /* NULL: none was fetched yet */
	bool recompiling;		    /* the running one is not a reload */
	bool registering; /* the running one is for what the ledger says of servers */
	uint64_t registry_change;
	char shadow_told[ZG_REASON_LEN + ZG_PATH_LEN]; /* what was said of the policy on trial */
	bool recompile_again;
	bool reload_again;
	bool reload_asked;	 /* by a person: told of even if it changes nothing */
	bool reload_asked_again; /* since the running one began, which is no answer */
	/* ids */
	uid_t user_uid, ledger_uid;
	gid_t user_gid, ledger_gid;
	struct zg_people people;
	/* things held */
	int runtime_lock, pin_lock;
	int contained_dir; /* see contain.h */
	int keys_dir;	   /* see secret_files.c */
	struct zg_certs certs;
	struct zg_cgroups cgroups;
	struct zg_kernel *kernel;
	struct zg_names *names;
	struct zg_executables *executables;
	struct zg_connections *connections; /* see connection.h */
	uint64_t boot_id;
	uint64_t started_ns; /* CLOCK_REALTIME */
	uint64_t denials;
	uint32_t events_left;  /* of this turn: events.c */
	uint64_t records_lost; /* events that found no room in our ring */
	uint64_t proofs;       /* rounds of self-proof */
	uint64_t proofs_failed;
	uint64_t proved_ns; /* CLOCK_REALTIME */
	uint64_t unknown_servers;
	uint64_t unknown_told[ZG_UNKNOWN_TOLD]; /* cookies of their sockets */
	uint64_t lost_told;			/* of the kernel's count, already recorded */
	struct zg_children children;
	struct zg_run *run; /* ZG_RUNS_MAX */
	int run_inotify;
	uint64_t run_next;
	struct zg_stdios *stdio;    /* see local.h */
	struct zg_notices *notices; /* see notify_command.h */
	struct zg_control *control;
	struct event *event[24]; /* signals, timers, inotify, kernel */
	size_t events;
	struct zg_proof *proof;
	struct zg_canary *canary;
	struct zg_enforcement *enforcement;
	struct event *kernel_event; /* of event[]: the gate's ring */
	struct event *kernel_pause; /* of event[]: until our ring has room */
	bool announced;		    /* READY was sent */
	bool detached;
	int exit_status;
};

#endif
