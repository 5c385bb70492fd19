/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local.c - see local.h: the life of a session and its five ends. Trust: both
 * sides are hostile. A reader that takes nothing pauses the writer on the other
 * side, and is dropped in time.
 */
#include "local_impl.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <fcntl.h>

#include "ipc.h"

/* the end ---------------------------------------------------------------------- */

static void tell_parent(struct zg_local *l, bool lost)
{
	struct zg_msg_stdio_closed m = {.session = l->id,
					.cause = l->cause,
					.lost = lost,
					.garbage = l->garbage,
					.withheld = l->withheld,
					.muted = l->log.muted};

	if (zg_msg_send(l->worker->channel, ZG_MSG_STDIO_CLOSED, &m, -1) < 0)
		l->worker->unrecorded++; /* the parent is gone, or about to replace us */
}

static void drop_end(struct zg_local *l, enum zg_stdio_end which)
{
	if (l->end[which])
		bufferevent_free(l->end[which]);
	l->end[which] = NULL;
	zg_close_(&l->fd[which]);
	l->fd[which] = -1;
}

static void free_session(struct zg_local *l)
{
	struct zg_local_call *call;

	while ((call = TAILQ_FIRST(&l->calls))) {
		TAILQ_REMOVE(&l->calls, call, link);
		call->session = NULL;
	}
	for (int i = 0; i < ZG_SE_MAX; i++)
		drop_end(l, (enum zg_stdio_end)i);
	if (event_initialized(&l->tick))
		(void)event_del(&l->tick);
	zg_lines_release(&l->from_client);
	zg_lines_release(&l->from_server);
	zg_local_log_release(&l->log);
	zg_buf_release(&l->greeting);
	zg_narrow_release(&l->narrow);
	LIST_REMOVE(l, link);
	free(l);
}

static void bury(struct zg_local *l)
{
	if (l->dead)
		return;
	l->dead = true;
	tell_parent(l, false);
}

/* Calls under way end with an error; those that were not dispatched are dropped. */
static void end_calls(struct zg_local *l, bool all)
{
	struct zg_local_call *call, *next;

	for (call = TAILQ_FIRST(&l->calls); call; call = next) {
		struct zg_request *r = call->request;

		next = TAILQ_NEXT(call, link);
		if (r->running || (!all && !call->sent))
			continue;
		if (!call->sent) {
			zg_request_client_gone(r);
			continue;
		}
		if (!call->listen)
			r->failure = "ended before it had answered; whether the call "
				     "was executed is not known";
		zg_request_upstream_done(r);
	}
}

bool zg_local_enter(struct zg_local *l)
{
	bool outer = l->driving;

	l->driving = true;
	return outer;
}

void zg_local_leave(struct zg_local *l, bool outer)
{
	l->driving = outer;
	if (!outer && l->dead)
		free_session(l);
}

void zg_local_end(struct zg_local *l, enum zg_stdio_cause cause)
{
	static const struct timeval flush = {ZG_LINGER_SEC, 0};

	if (l->closing)
		return;
	l->closing = true;
	l->cause = cause;
	zg_narrow_pause(l);
	end_calls(l, true);
	drop_end(l, ZG_SE_CLIENT_IN);
	drop_end(l, ZG_SE_SERVER_IN);
	drop_end(l, ZG_SE_SERVER_OUT);
	if (zg_local_waiting(l, ZG_SE_CLIENT_OUT))
		(void)event_add(&l->tick, &flush);
	else
		bury(l);
}

/* The server is gone. If another one comes, the client need not know more than that
 * its calls failed; the parent decides. */
static void lose_server(struct zg_local *l)
{
	if (l->closing || l->lost)
		return;
	l->lost = true;
	zg_narrow_pause(l);
	end_calls(l, false);
	drop_end(l, ZG_SE_SERVER_IN);
	drop_end(l, ZG_SE_SERVER_OUT);
	zg_buf_reset(&l->from_server.line);
	l->from_server.skip = false;
	zg_local_regulate(l);
	tell_parent(l, true);
}

/* events ----------------------------------------------------------------------- */

size_t zg_local_waiting(const struct zg_local *l, enum zg_stdio_end which)
{
	return l->end[which] ? evbuffer_get_length(bufferevent_get_output(l->end[which])) : 0;
}

void zg_local_regulate(struct zg_local *l)
{
	bool full = zg_local_waiting(l, ZG_SE_CLIENT_OUT) > ZG_CLIENT_BACKLOG_BYTES;
	bool hear_client = !full &&
			   zg_local_waiting(l, ZG_SE_SERVER_IN) <= ZG_CLIENT_BACKLOG_BYTES &&
			   !l->client_done && !l->lost && !l->repeating;
	/* policy may refuse the stream; answers to calls are heard all the same */
	bool hear_server = !full && !(l->listener && !l->listener->sent);

	if (l->end[ZG_SE_CLIENT_IN])
		(void)(hear_client ? bufferevent_enable(l->end[ZG_SE_CLIENT_IN], EV_READ)
				   : bufferevent_disable(l->end[ZG_SE_CLIENT_IN], EV_READ));
	if (l->end[ZG_SE_SERVER_OUT])
		(void)(hear_server ? bufferevent_enable(l->end[ZG_SE_SERVER_OUT], EV_READ)
				   : bufferevent_disable(l->end[ZG_SE_SERVER_OUT], EV_READ));
}

static void on_tick(evutil_socket_t fd ZG_UNUSED, short what ZG_UNUSED, void *arg)
{
	static const struct timeval again = {ZG_STDIO_STALL_SEC, 0};
	struct zg_local *l = arg;
	size_t stuck = zg_local_waiting(l, ZG_SE_CLIENT_OUT) + zg_local_waiting(l, ZG_SE_SERVER_IN);
	bool outer = zg_local_enter(l);

	if (l->closing)
		bury(l);
	else if (stuck && l->stuck && stuck >= l->stuck)
		zg_local_end(l, ZG_SC_CLIENT);
	else
		(void)event_add(&l->tick, &again);
	l->stuck = stuck;
	zg_local_leave(l, outer);
}

static void on_drained(struct bufferevent *bev ZG_UNUSED, void *arg)
{
	struct zg_local *l = arg;

	bool outer = zg_local_enter(l);

	if (!l->closing)
		zg_local_regulate(l);
	else if (!zg_local_waiting(l, ZG_SE_CLIENT_OUT))
		bury(l);
	zg_local_leave(l, outer);
}

/* Its input ended: what is under way is still answered. */
static void client_done(struct zg_local *l)
{
	l->client_done = true;
	zg_local_regulate(l);
	if (zg_local_idle(l))
		zg_local_end(l, ZG_SC_CLIENT);
}

static void on_event(struct bufferevent *bev, short what ZG_UNUSED, void *arg)
{
	struct zg_local *l = arg;

	bool outer = zg_local_enter(l);

	if (l->closing) {
		if (bev == l->end[ZG_SE_CLIENT_OUT])
			bury(l);
	} else if (bev == l->end[ZG_SE_CLIENT_IN])
		client_done(l);
	else if (bev == l->end[ZG_SE_CLIENT_OUT])
		zg_local_end(l, ZG_SC_CLIENT);
	else if (bev == l->end[ZG_SE_SERVER_ERR])
		drop_end(l, ZG_SE_SERVER_ERR);
	else
		lose_server(l);
	zg_local_leave(l, outer);
}

/* begin ------------------------------------------------------------------------ */

struct zg_local *zg_local_find(const struct zg_worker *w, uint64_t id)
{
	struct zg_local *l;

	LIST_FOREACH(l, &w->locals, link)
	if (l->id == id)
		return l;
	return NULL;
}

int zg_local_fd(struct zg_worker *w, const struct zg_msg_stdio_fd *m, int fd)
{
	struct zg_local *l = zg_local_find(w, m->session);

	if (m->end >= ZG_SE_MAX || evutil_make_socket_nonblocking(fd) < 0) {
		(void)close(fd);
		return -EPROTO;
	}
	if (!l) {
		l = calloc(1, sizeof(*l));
		if (!l) {
			(void)close(fd);
			return -ENOMEM;
		}
		l->worker = w;
		l->id = m->session;
		for (size_t i = 0; i < ZG_SE_MAX; i++)
			l->fd[i] = -1;
		TAILQ_INIT(&l->calls);
		zg_lines_init(&l->from_client, ZG_REQUEST_BYTES);
		zg_lines_init(&l->from_server, ZG_RESPONSE_BYTES);
		zg_local_log_init(&l->log);
		l->greeting = ZG_BUF(ZG_REQUEST_BYTES);
		(void)event_assign(&l->tick, w->base, -1, 0, on_tick, l);
		zg_narrow_init(l);
		LIST_INSERT_HEAD(&w->locals, l, link);
	}
	zg_close_(&l->fd[m->end]);
	l->fd[m->end] = fd;
	return 0;
}

static bool open_end(struct zg_local *l, enum zg_stdio_end which)
{
	static const struct {
		bufferevent_data_cb read, write;
		short events;
	} rows[ZG_SE_MAX] = {
		[ZG_SE_CLIENT_IN] = {zg_local_on_client, NULL, 0},
		[ZG_SE_CLIENT_OUT] = {NULL, on_drained, EV_WRITE},
		[ZG_SE_SERVER_IN] = {NULL, on_drained, EV_WRITE},
		[ZG_SE_SERVER_OUT] = {zg_local_on_server, NULL, 0},
		[ZG_SE_SERVER_ERR] = {zg_local_on_log, NULL, EV_READ},
	};
	struct bufferevent *bev;

	if (l->fd[which] < 0)
		return true;
	bev = bufferevent_socket_new(l->worker->base, l->fd[which], BEV_OPT_CLOSE_ON_FREE);
	if (!bev)
		return false;
	if (l->end[which])
		bufferevent_free(l->end[which]);
	l->fd[which] = -1;
	l->end[which] = bev;
	bufferevent_setcb(bev, rows[which].read, rows[which].write, on_event, l);
	bufferevent_setwatermark(bev, EV_READ, 0, ZG_LOCAL_READ_BYTES);
	(void)bufferevent_disable(bev, EV_READ | EV_WRITE);
	return !rows[which].events || bufferevent_enable(bev, rows[which].events) == 0;
}

static void fill_origin(struct zg_local *l, const struct zg_principal *p)
{
	l->origin.cgroup_id = p->cgroup_id;
	l->origin.start_ns = p->start_ns;
	l->origin.pid = p->pid;
	l->origin.uid = p->uid;
	l->origin.gid = p->gid;
	l->origin.profile = p->profile_id;
	memcpy(l->origin.profile_name, p->profile, sizeof(l->origin.profile_name));
	memcpy(l->origin.comm, p->comm, sizeof(l->origin.comm));
}

static void begin(struct zg_local *l, const struct zg_msg_stdio_open *m)
{
	static const struct timeval tick = {ZG_STDIO_STALL_SEC, 0};
	bool good = true;

	for (int i = 0; i < ZG_SE_MAX; i++)
		good = open_end(l, (enum zg_stdio_end)i) && good;
	if (!good || !l->end[ZG_SE_CLIENT_IN] || !l->end[ZG_SE_SERVER_OUT]) {
		zg_local_end(l, ZG_SC_REFUSED);
		return;
	}
	if (!m->again) {
		memcpy(l->server, m->server, sizeof(l->server));
		fill_origin(l, &m->principal);
		(void)event_add(&l->tick, &tick);
	}
	l->lost = false;
	if (m->again && l->greeted) {
		l->repeating = true;
		zg_local_say(l, ZG_SE_SERVER_IN, zg_buf_slice(&l->greeting));
	}
	if (m->again)
		zg_narrow_begin(l);
	if (!l->repeating)
		zg_narrow_resume(l);
	if (!l->listener)
		zg_local_listen(l);
	if (!l->closing)
		zg_local_regulate(l);
}

int zg_local_open(struct zg_worker *w, struct zg_msg_stdio_open *m)
{
	struct zg_local *l = zg_local_find(w, m->session);
	bool outer;

	ZG_MSG_TEXT(m->server);
	ZG_MSG_TEXT(m->principal.profile);
	ZG_MSG_TEXT(m->principal.cgroup);
	ZG_MSG_TEXT(m->principal.comm);
	if (!l)
		return -EPROTO;
	if (l->closing)
		return 0;
	outer = zg_local_enter(l);
	begin(l, m);
	zg_local_leave(l, outer);
	return 0;
}

void zg_local_close(struct zg_worker *w, const struct zg_msg_stdio_close *m)
{
	struct zg_local *l = zg_local_find(w, m->session);
	bool outer;

	if (!l)
		return;
	outer = zg_local_enter(l);
	zg_local_end(l, ZG_SC_NONE);
	zg_local_leave(l, outer);
}

void zg_locals_release(struct zg_worker *w)
{
	struct zg_local *l;

	while ((l = LIST_FIRST(&w->locals)))
		free_session(l);
}
