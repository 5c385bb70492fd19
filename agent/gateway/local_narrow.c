/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local_narrow.c - whose turn it is on a local server (local_impl.h). Trust: which
 * profile a call runs under follows from its decision alone; that the kernel has
 * it is the parent's word, and without that word in time the call is refused. What
 * the server did with an earlier call's connections is not known here: the gate
 * judges each packet by the profile in force.
 */
#include <errno.h>

#include "decide.h"
#include "ipc.h"
#include "local_impl.h"
#include "narrow.h"

static const char no_word[] = "the kernel's gate could not be told";
static const char too_late[] = "other calls, under other lists, took the whole of its max_runtime";

/* which ------------------------------------------------------------------------ */

static struct zg_list_digest digest_of(const struct zg_policy *p, uint16_t list)
{
	struct zg_list_digest d = {0};
	struct zg_slice host;

	for (size_t i = 0; (host = zg_policy_allowlist_entry(p, list, i)).len; i++)
		zg_list_add(&d, host);
	return d;
}

/* False: there is no profile for these lists together. */
static bool profile_of(const struct zg_request *r, char out[ZG_NAME_LEN])
{
	const struct zg_constraints *c = &r->decision.constraints;
	const struct zg_stdio_def *def = zg_snapshot_stdio(&r->live->snap, r->server->id);
	struct zg_list_digest list[ZG_ALLOWLISTS_MAX];

	out[0] = '\0';
	if (!c->allowlist_count || (def && def->offline))
		return true;
	for (uint16_t i = 0; i < c->allowlist_count; i++)
		list[i] = digest_of(&r->live->policy, c->allowlist[i]);
	zg_narrow_name(r->server->id, list, c->allowlist_count, out);
	return def && zg_snapshot_narrowed(&r->live->snap, def->profile, out) != ZG_PROFILE_NONE;
}

/* whose turn --------------------------------------------------------------------- */

static void leave_line(struct zg_narrow *n, struct zg_turn *t, enum zg_turn_state state)
{
	TAILQ_REMOVE(&n->waiting, t, link);
	t->state = state;
	(void)event_del(&t->request->timer);
}

static struct zg_turn *first_for(const struct zg_narrow *n, const char *profile)
{
	struct zg_turn *t;

	TAILQ_FOREACH(t, &n->waiting, link)
	if (strcmp(t->profile, profile) == 0)
		return t;
	return NULL;
}

static void ask(struct zg_local *l, const char *profile)
{
	struct zg_msg_stdio_narrow m = {.session = l->id, .turn = ++l->narrow.turn};
	struct timeval limit = {ZG_STDIO_NARROW_MS / 1000, (ZG_STDIO_NARROW_MS % 1000) * 1000};
	struct zg_narrow *n = &l->narrow;

	(void)zg_str_cut(m.profile, sizeof(m.profile), zg_slice_str(profile));
	memcpy(n->asked, m.profile, sizeof(n->asked));
	n->asking = true;
	if (zg_msg_send(l->worker->channel, ZG_MSG_STDIO_NARROW, &m, -1) < 0)
		limit = (struct timeval){0};
	(void)event_add(&n->timer, &limit);
}

/* Who is first in line runs if it may run beside those that do, and so on. */
static void advance(struct zg_local *l)
{
	struct zg_narrow *n = &l->narrow;
	struct zg_turn *t;

	if (n->granting)
		return;
	n->granting = true;
	while (!n->paused && !n->asking && !n->unknown && (t = TAILQ_FIRST(&n->waiting)) &&
	       strcmp(t->profile, n->now) == 0) {
		leave_line(n, t, ZG_TURN_HAS);
		n->running++;
		zg_request_run(t->request);
	}
	n->granting = false;
	if (n->paused || n->asking || n->running)
		return;
	t = TAILQ_FIRST(&n->waiting);
	if (t)
		ask(l, t->profile);
	else if (!n->unknown && n->now[0])
		ask(l, "");
}

static void told(struct zg_local *l, bool done)
{
	struct zg_narrow *n = &l->narrow;
	struct zg_turn *t;

	n->asking = false;
	(void)event_del(&n->timer);
	n->unknown = !done;
	if (done)
		memcpy(n->now, n->asked, sizeof(n->now));
	n->granting = true;
	while (!done && (t = first_for(n, n->asked))) {
		leave_line(n, t, ZG_TURN_REFUSED);
		t->refused = no_word;
		zg_request_run(t->request);
	}
	n->granting = false;
	advance(l);
}

static void on_no_word(evutil_socket_t fd ZG_UNUSED, short what ZG_UNUSED, void *arg)
{
	struct zg_local *l = arg;
	bool outer = zg_local_enter(l);

	told(l, false);
	zg_local_leave(l, outer);
}

void zg_local_narrowed(struct zg_worker *w, const struct zg_msg_stdio_narrowed *m)
{
	struct zg_local *l = zg_local_find(w, m->session);
	bool outer;

	if (!l || !l->narrow.asking || l->narrow.turn != m->turn)
		return; /* too late: what it says may not be so any more */
	outer = zg_local_enter(l);
	told(l, m->error == 0);
	zg_local_leave(l, outer);
}

/* the session's ------------------------------------------------------------------- */

void zg_narrow_init(struct zg_local *l)
{
	TAILQ_INIT(&l->narrow.waiting);
	(void)event_assign(&l->narrow.timer, l->worker->base, -1, 0, on_no_word, l);
}

void zg_narrow_release(struct zg_narrow *n)
{
	if (event_initialized(&n->timer))
		(void)event_del(&n->timer);
}

void zg_narrow_pause(struct zg_local *l)
{
	l->narrow.paused = true;
}

void zg_narrow_begin(struct zg_local *l)
{
	struct zg_narrow *n = &l->narrow;

	(void)event_del(&n->timer);
	n->asking = n->unknown = false;
	n->now[0] = '\0';
}

void zg_narrow_resume(struct zg_local *l)
{
	l->narrow.paused = l->closing;
	advance(l);
}

bool zg_narrow_holds(const struct zg_local *l, const struct zg_turn *t)
{
	const struct zg_narrow *n = &l->narrow;

	return t->state == ZG_TURN_NONE ||
	       (t->state == ZG_TURN_HAS && !n->unknown && strcmp(n->now, t->profile) == 0);
}

void zg_narrow_give(struct zg_local *l, struct zg_turn *t)
{
	struct zg_narrow *n = &l->narrow;

	if (t->state == ZG_TURN_NONE)
		return;
	if (t->state == ZG_TURN_WAITS)
		leave_line(n, t, ZG_TURN_NONE);
	n->running -= t->state == ZG_TURN_HAS;
	t->state = ZG_TURN_NONE;
	advance(l);
}

/* the step ------------------------------------------------------------------------- */

static void on_time(evutil_socket_t fd ZG_UNUSED, short what ZG_UNUSED, void *arg)
{
	struct zg_request *r = arg;
	struct zg_local *l = r->local->session;
	struct zg_turn *t = &r->local->turn;

	if (!l || t->state != ZG_TURN_WAITS)
		return;
	leave_line(&l->narrow, t, ZG_TURN_REFUSED);
	t->refused = too_late;
	zg_request_run(r);
}

/* What the server does not execute needs no turn: what was asked of the client, or
 * cancelled, belongs to calls that run; a ping says that it is there. */
static bool needs_turn(const struct zg_request *r)
{
	return r->rpc.kind == ZG_RPC_REQUEST && !r->local->listen &&
	       !zg_slice_eq(r->rpc.method, ZG_SLICE("ping"));
}

static enum zg_next get_in_line(struct zg_request *r)
{
	const struct timeval limit = {r->runtime_sec, 0};
	struct zg_local *l = r->local->session;
	struct zg_turn *t = &r->local->turn;
	bool outer;

	if (!profile_of(r, t->profile))
		return zg_answer_with(r, ZG_A_DENY, ZG_C_DENIED,
				      "zerogate denied this call: server \"%s\" cannot be held to "
				      "the %u network_allowlists of its rules together [rules: %s]",
				      r->server->id, r->decision.constraints.allowlist_count,
				      r->rules);
	t->request = r;
	t->until_ns = zg_now_ns() + r->runtime_sec * UINT64_C(1000000000);
	t->state = ZG_TURN_WAITS;
	TAILQ_INSERT_TAIL(&l->narrow.waiting, t, link);
	if (event_initialized(&r->timer))
		(void)event_del(&r->timer);
	(void)event_assign(&r->timer, r->worker->base, -1, 0, on_time, r);
	(void)event_add(&r->timer, &limit);
	outer = zg_local_enter(l);
	advance(l); /* others may run, and end */
	zg_local_leave(l, outer);
	return ZG_NEXT;
}

enum zg_next zg_step_narrow(struct zg_request *r)
{
	struct zg_local *l = r->local ? r->local->session : NULL;
	struct zg_turn *t = r->local ? &r->local->turn : NULL;

	if (!l || l->closing || l->lost || !needs_turn(r))
		return ZG_NEXT; /* a session that is over is told of when it is dispatched */
	if (t->state == ZG_TURN_NONE && get_in_line(r) != ZG_NEXT)
		return ZG_ANSWER;
	if (t->state == ZG_TURN_WAITS)
		return ZG_WAIT;
	if (t->state == ZG_TURN_REFUSED)
		return zg_answer_with(r, ZG_A_FAIL, ZG_C_UNAVAILABLE,
				      "zerogate: the call was not executed: %s", t->refused);
	r->narrowed = t->profile; /* it lives as long as the request does */
	return ZG_NEXT;
}
