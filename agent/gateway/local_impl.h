/* SPDX-License-Identifier: Apache-2.0 */
/* local_impl.h - a session with a local server, for the files of local.h only. */
#ifndef ZG_GATEWAY_LOCAL_IMPL_H
#define ZG_GATEWAY_LOCAL_IMPL_H

#include "lines.h"
#include "local.h"
#include "local_log.h"

struct bufferevent;

/*
 * local_narrow.c: calls that are held to the same network_allowlists run together,
 * and others wait in line until those are over, so that none runs under what was
 * granted to another, and none is refused what was not granted to another.
 */
enum zg_turn_state { ZG_TURN_NONE = 0, ZG_TURN_WAITS, ZG_TURN_HAS, ZG_TURN_REFUSED };

struct zg_turn { /* of one call */
	TAILQ_ENTRY(zg_turn) link;
	enum zg_turn_state state;
	struct zg_request *request;
	uint64_t until_ns;	   /* of its run time */
	char profile[ZG_NAME_LEN]; /* that it is to run under; "" = the server's own */
	const char *refused;	   /* why */
};

struct zg_narrow { /* of a session */
	TAILQ_HEAD(, zg_turn) waiting;
	char now[ZG_NAME_LEN]; /* the profile in force, */
	bool unknown;	       /* unless that is not known */
	bool asking;	       /* the parent, for .asked */
	bool paused;	       /* there is no server, or no session any more */
	bool granting;
	char asked[ZG_NAME_LEN];
	uint64_t turn;
	uint32_t running;
	struct event timer;
};

void zg_narrow_init(struct zg_local *l);
void zg_narrow_release(struct zg_narrow *n);
/* The server is gone, or the session. */
void zg_narrow_pause(struct zg_local *l);
/* There is a new one, in a cgroup of its own; it can take calls. */
void zg_narrow_begin(struct zg_local *l);
void zg_narrow_resume(struct zg_local *l);
/* Is what the call is to run under in force? Not where its server was replaced. */
bool zg_narrow_holds(const struct zg_local *l, const struct zg_turn *t);
/* The call is over, or was never made. Others may run, and the session end. */
void zg_narrow_give(struct zg_local *l, struct zg_turn *t);

struct zg_local_call {
	struct zg_client client; /* first */
	TAILQ_ENTRY(zg_local_call) link;
	struct zg_local *session; /* NULL: over */
	struct zg_request *request;
	bool sent; /* the server has it */
	struct zg_turn turn;
	bool listen; /* it is the stream of what the server says by itself */
};

struct zg_local {
	LIST_ENTRY(zg_local) link;
	struct zg_worker *worker;
	uint64_t id;
	struct zg_origin origin;
	char server[ZG_SERVER_LEN];
	int fd[ZG_SE_MAX]; /* given, not yet opened */
	struct bufferevent *end[ZG_SE_MAX];
	struct zg_lines from_client, from_server;
	struct zg_local_log log;
	struct zg_narrow narrow;
	TAILQ_HEAD(, zg_local_call) calls;
	struct zg_local_call *listener;
	struct zg_buf greeting; /* the client's initialize, as it was sent on */
	char greeting_id[ZG_RPC_ID_BYTES];
	bool greeted;	/* the server answered it */
	bool repeating; /* a new server is told the greeting again */
	bool lost;	/* the server is gone; another may come */
	bool client_done;
	bool closing;
	bool driving; /* between enter and leave */
	bool dead;
	enum zg_stdio_cause cause;
	uint64_t garbage, withheld;
	size_t stuck; /* what waited at the last tick */
	struct event tick;
};

/* local.c ------------------------------------------------------------------------ */

#define ZG_LOCAL_READ_BYTES 65536 /* of one end, at a time */

/* Whatever is called between the two may end the session; it is freed by the
 * outermost zg_local_leave. */
bool zg_local_enter(struct zg_local *l);
void zg_local_leave(struct zg_local *l, bool outer);

struct zg_local *zg_local_find(const struct zg_worker *w, uint64_t id);
/* The session is over, for that reason; what the client was told still reaches it. */
void zg_local_end(struct zg_local *l, enum zg_stdio_cause cause);
/* What one end does not take stops the other from saying more. */
void zg_local_regulate(struct zg_local *l);
size_t zg_local_waiting(const struct zg_local *l, enum zg_stdio_end which);

/* local_line.c --------------------------------------------------------------------- */

/* One line; the text holds none of its own. */
void zg_local_say(struct zg_local *l, enum zg_stdio_end which, struct zg_slice text);
/* Bytes of an end are there. */
void zg_local_on_client(struct bufferevent *bev, void *arg);
void zg_local_on_server(struct bufferevent *bev, void *arg);
void zg_local_on_log(struct bufferevent *bev, void *arg);

/* local_call.c --------------------------------------------------------------------- */

/* A call of the session's with an empty request; NULL: no memory. */
struct zg_local_call *zg_local_call_new(struct zg_local *l);
/* The one under way with that id, which the server has (sent) or has not. */
struct zg_local_call *zg_local_call_with(struct zg_local *l, struct zg_slice id, bool sent);
/* Nothing is under way but listening. */
bool zg_local_idle(const struct zg_local *l);
/* Hear what the server says by itself: a request that takes the steps of one that
 * opens a stream. */
void zg_local_listen(struct zg_local *l);

#endif
