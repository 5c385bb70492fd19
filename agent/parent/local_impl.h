/* SPDX-License-Identifier: Apache-2.0 */
/* local_impl.h - a session with a local server, for the files of local.h only. */
#ifndef ZG_PARENT_LOCAL_IMPL_H
#define ZG_PARENT_LOCAL_IMPL_H

#include <event2/event.h>

#include "local.h"

enum zg_stdio_state {
	STDIO_FREE = 0,
	STDIO_ASKING,	/* the client says its variables */
	STDIO_STARTING, /* the command is not executed yet */
	STDIO_RUNNING,
	STDIO_ENDING, /* to be over when both the server and the gateway are done */
};

struct zg_stdio {
	struct zg_parent *parent;
	enum zg_stdio_state state;
	uint64_t id;
	void *client; /* the control connection; NULL = gone */
	struct zg_principal caller;
	gid_t *groups;
	size_t group_count;
	char server[ZG_SERVER_LEN];
	uint8_t digest[32]; /* of the entry that was in force */
	char *env[ZG_STDIO_ENV_MAX];
	size_t envs;
	int end[ZG_SE_MAX]; /* that the gateway has not been given yet */
	struct event *caller_ended;
	int caller_pidfd;
	/* the running command */
	struct zg_stdio_cgroup cgroup;
	pid_t pid;  /* -1 = none */
	int status; /* of its start */
	struct event *started;
	uint64_t started_ms;
	bool failed; /* its last exit was one */
	uint32_t restarts;
	/* the gateway */
	uint32_t worker;
	bool open; /* it holds ends of ours */
	bool lost; /* it waits for another server */
	/* the end */
	struct event *timer;
	unsigned int turns; /* of the timer, while it ends */
	uint32_t exit;	    /* for the client */
	struct zg_err why;
	bool has_why;
};

struct zg_stdios {
	struct zg_stdio s[ZG_STDIO_MAX];
	uint64_t next;
	uint32_t turn; /* which gateway is next */
};

/* local.c ------------------------------------------------------------------------ */

/* NULL: there is none of that number. */
struct zg_stdio *zg_stdio_find(struct zg_parent *p, uint64_t id);
/* Input first, then a signal, then all that is left of its cgroup. status and why
 * (NULL = nothing to say) are for the client. */
void zg_stdio_end(struct zg_stdio *s, uint32_t status, const char *why);
/* Without a word, whatever is left of it. */
void zg_stdio_free(struct zg_stdio *s);
/* Its timer rings after so long; that it did not start in time, if it has not. */
void zg_stdio_after(struct zg_stdio *s, uint32_t ms);
void zg_stdio_on_timer(evutil_socket_t fd, short what, void *arg);
void zg_stdio_on_caller_ended(evutil_socket_t fd, short what, void *arg);

/* local_begin.c -------------------------------------------------------------------- */

/* A gateway waits for nobody: what could make it is refused. */
bool zg_stdio_is_pipe(int fd);

/* local_start.c -------------------------------------------------------------------- */

/* The command in a cgroup of its own; whether it executes is told later. */
int zg_stdio_run(struct zg_stdio *s, struct zg_err *e) ZG_MUST_CHECK;

/* local_record.c ------------------------------------------------------------------- */

void zg_stdio_record_start(struct zg_stdio *s);
/* status: as waitpid gives it */
void zg_stdio_record_exit(struct zg_stdio *s, int status);
/* Once a session: how much of what it said was not passed on. */
void zg_stdio_record_odd(struct zg_stdio *s, const struct zg_msg_stdio_closed *m);
/* s: whose server and caller are known, and no more */
void zg_stdio_record_refused(struct zg_parent *p, const struct zg_stdio *s, const struct zg_err *e);

#endif
