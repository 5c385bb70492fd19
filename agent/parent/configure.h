/* SPDX-License-Identifier: Apache-2.0 */
/*
 * configure.h - from files to a sealed snapshot. The parent opens the files
 * and checks who could have written them; the one-shot config role, without
 * ids or network, reads what is in them. Twice at start: for the settings
 * (which say where the other files are), then for all.
 */
#ifndef ZG_CONFIGURE_H
#define ZG_CONFIGURE_H

#include <stdbool.h>
#include <sys/types.h>

#include "err.h"
#include "snapshot.h"

struct zg_msg_ctl_server_submit;

struct zg_configure_input {
	const char *main;     /* zerogate.yaml */
	const char *policies; /* folder of *.yaml, NULL = settings only */
	const char *servers;  /* folder of *.json */
	const char *shadow;   /* folder of *.yaml that are tried out; NULL or "" = none */
	const struct zg_settings *settings; /* with policies: which files of keys are named */
	bool drop;			    /* we are root: the child becomes nobody */
	int cgroup;			    /* the child's, -1 = stay */
	/* the texts of a former run instead of the files, which may have changed */
	const struct zg_configure_texts *texts;
	const char *registry; /* folder of the ledger's word on servers; NULL = none */
	uid_t registry_uid;   /* whose its files must be; -1 = whoever's */
	bool trials;	      /* also what is to be live next */
	int *addresses;	      /* ZG_CF_ADDRESSES, taken over; NULL = none */
	int *keys;	      /* likewise ZG_CF_FETCHED */
	/* each file of servers/ that is to be approved first; NULL = nobody hears it */
	void (*submitted)(void *arg, const struct zg_msg_ctl_server_submit *entry, int text);
	void (*report)(void *arg, const struct zg_err *e); /* each thing that is wrong */
	void *arg;
};

struct zg_configure_file;

/* What a configuration was compiled from. */
struct zg_configure_texts {
	struct zg_configure_file *file;
	size_t files;
};

struct zg_configure {
	struct zg_configure_input in;
	pid_t pid;
	int sock;
	struct zg_configure_file *file;
	size_t files, next;
	bool compiling; /* everything was sent */
	size_t users;	/* that it asked for */
	size_t errors;
	struct zg_err first; /* of the errors, for whoever asked */
	int snapshot;	     /* the result; -1 */
	/* why the files of the shadow policy were left out; what[0] = "": they were not */
	struct zg_err shadow_left_out;
};

/* Collect the files and start the role. On failure nothing is left running;
 * the error was reported. in's texts must live until the end. */
int zg_configure_start(struct zg_configure *c, const struct zg_configure_input *in) ZG_MUST_CHECK;
/* Go on without blocking. 1 done (c->snapshot is sealed and ours), 0 not yet,
 * < 0 failed and reported. */
int zg_configure_step(struct zg_configure *c) ZG_MUST_CHECK;
/* What to poll c->sock for. */
short zg_configure_wants(const struct zg_configure *c);
/* All of it in one go, ZG_CONFIGURE_SEC at most. 0 or < 0. */
int zg_configure_run(struct zg_configure *c, const struct zg_configure_input *in) ZG_MUST_CHECK;
/* Keep what it was compiled from, in place of what out has. */
void zg_configure_keep(struct zg_configure *c, struct zg_configure_texts *out);
void zg_configure_texts_release(struct zg_configure_texts *t);
/* End the child if it runs, close what is held (c->snapshot too). */
void zg_configure_release(struct zg_configure *c);

#endif
