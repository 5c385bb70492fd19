/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hold.c - see hold.h. Trust: a gateway may be compromised: it can ask, and
 * drop what it asked for, but not decide. One that breaks the wire's contract
 * or does not read its answers loses its connection. Never blocks.
 */
#include "hold.h"

#include <errno.h>
#include <event2/event.h>

#include "ipc.h"
#include "log.h"

#define WAITERS_MAX	  (ZG_LINK_PARENT * ZG_HOLDS_MAX)
#define MESSAGES_PER_WAKE 32  /* then the other sockets have their turn */
#define MESSAGES_QUEUED	  512 /* more than one socket holds */
#define QUESTIONS_MAX	  (2 * MESSAGES_PER_WAKE)

static uint64_t now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

static void remove_waiter(struct zg_holds *h, size_t i)
{
	memmove(&h->waiters[i], &h->waiters[i + 1], (h->count - i - 1) * sizeof(*h->waiters));
	h->count--;
}

static void drop_link(struct zg_hold_link *l)
{
	struct zg_holds *h = l->owner;
	uint32_t index = (uint32_t)(l - h->link);
	size_t kept = 0;

	if (l->sock < 0)
		return;
	for (size_t i = 0; i < h->count; i++)
		if (h->waiters[i].link != index)
			h->waiters[kept++] = h->waiters[i];
	h->count = kept;
	zg_quotas_link_gone(&h->quotas, index, now_ns());
	if (h->notify)
		zg_notify_link_gone(h->notify, index);
	event_free(l->reads);
	event_free(l->writes);
	(void)close(l->sock);
	free(l->queue);
	zg_buf_release(&l->text);
	*l = (struct zg_hold_link){.owner = h, .sock = -1};
}

void zg_holds_release(struct zg_holds *h)
{
	for (int i = 0; i <= ZG_LINK_PARENT; i++)
		drop_link(&h->link[i]);
	zg_quotas_release(&h->quotas);
	if (h->again)
		event_free(h->again);
	free(h->questions);
	free(h->waiters);
	*h = (struct zg_holds){0};
}

/* --- answers ------------------------------------------------------------------- */

static void flush(struct zg_hold_link *l)
{
	size_t sent = 0;
	int rc = 0;

	while (sent < l->queued) {
		rc = zg_msg_send(l->sock, l->queue[sent].type, &l->queue[sent].body, -1);
		if (rc < 0)
			break;
		sent++;
	}
	if (rc < 0 && rc != -EAGAIN) {
		drop_link(l);
		return;
	}
	l->queued -= sent;
	memmove(l->queue, l->queue + sent, l->queued * sizeof(*l->queue));
	if (l->queued && event_add(l->writes, NULL) < 0)
		drop_link(l);
}

/* Never drops the link itself: callers walk the waiters. */
static void answer(struct zg_holds *h, uint32_t link, const struct zg_hold_answer *m)
{
	struct zg_hold_link *l = &h->link[link];

	if (l->sock < 0 || l->queued == ZG_HOLD_QUEUE_MAX)
		return; /* the first: gone; the second: flush finds it dead or drops it */
	l->queue[l->queued++] = *m;
}

/* Whoever follows the list hears of it in a round of the loop of its own. */
static void tell_change(struct zg_holds *h)
{
	if (h->told == h->approvals->change || !h->changed)
		return;
	h->told = h->approvals->change;
	event_active(h->changed, EV_TIMEOUT, 0);
}

static void flush_all(struct zg_holds *h)
{
	tell_change(h);
	for (int i = 0; i <= ZG_LINK_PARENT; i++) {
		struct zg_hold_link *l = &h->link[i];

		if (l->sock < 0 || !l->queued)
			continue;
		flush(l);
		if (l->sock >= 0 && l->queued == ZG_HOLD_QUEUE_MAX) {
			zg_log(ZG_LOG_ERR, "gateway %d does not read its answers; dropped", i);
			drop_link(l);
		}
	}
}

static void tell(struct zg_holds *h, const struct zg_waiter *w, enum zg_hold_state state,
		 const struct zg_approval *a, const char *reason)
{
	struct zg_hold_answer m = {
		.type = ZG_MSG_HOLD_STATE,
		.body.hold = {.call = w->call, .state = state, .approver_uid = a->m.approver_uid}};

	memcpy(m.body.hold.approval, a->m.approval, sizeof(m.body.hold.approval));
	(void)zg_str_cut(m.body.hold.reason, sizeof(m.body.hold.reason), zg_slice_str(reason));
	m.body.hold.for_sec = a->for_sec;
	m.body.hold.conflict = a->conflict;
	memcpy(m.body.hold.other, a->other, sizeof(m.body.hold.other));
	m.body.hold.approvers = a->m.approvers;
	m.body.hold.agreed = a->m.agreed;
	answer(h, w->link, &m);
}

/* Everybody who waits for this approval: the newest gets newest, the others rest. */
static void tell_waiters(struct zg_holds *h, const struct zg_approval *a, enum zg_hold_state newest,
			 enum zg_hold_state rest, const char *reason)
{
	enum zg_hold_state state = newest;

	for (size_t i = h->count; i > 0; i--) {
		if (strcmp(h->waiters[i - 1].approval, a->m.approval) != 0)
			continue;
		tell(h, &h->waiters[i - 1], state, a,
		     state == ZG_HOLD_SUPERSEDED ? "another request for the same call was executed"
						 : reason);
		remove_waiter(h, i - 1);
		state = rest;
	}
	flush_all(h);
}

static bool waits(const struct zg_holds *h, const char *approval)
{
	for (size_t i = 0; i < h->count; i++)
		if (strcmp(h->waiters[i].approval, approval) == 0)
			return true;
	return false;
}

/* Of connections the parent speaks, of everything else a gateway. */
static bool is_connection(const char *server)
{
	return strcmp(server, ZG_CONNECTION_SERVER) == 0;
}

/*
 * What is particular about connections. They are granted to the parent while it
 * waits, never beforehand: what it asked before a restart, it asks again when it
 * is tried again. And one that was granted can be taken back, by a denial: the
 * parent ends it, and records that. 1: done; 0: decide as of any other; -errno.
 */
static int decide_connection(struct zg_holds *h, const struct zg_msg_ctl_approval_decide *d,
			     const struct zg_ctl_peer *peer, struct zg_approval *out,
			     struct zg_msg_ctl_end *end)
{
	struct zg_hold_answer m = {.type = ZG_MSG_HOLD_STATE, .body.hold.state = ZG_HOLD_DENIED};
	struct zg_approval a;

	if (peer->governed || !(peer->roles & ZG_ROLE_APPROVER) ||
	    zg_store_get(&h->approvals->store, d->approval, &a) < 0 || !is_connection(a.m.server))
		return 0;
	if (d->approve && a.m.state == ZG_AS_PENDING && !waits(h, d->approval)) {
		*end = (struct zg_msg_ctl_end){.error = -ESTALE, .exit = 1};
		(void)zg_str_cut(end->what, sizeof(end->what),
				 ZG_SLICE("expired: it was asked before the agent was restarted"));
		(void)zg_str_cut(end->hint, sizeof(end->hint),
				 ZG_SLICE("it can be decided when the connection is tried again"));
		return -ESTALE;
	}
	if (d->approve || a.m.state != ZG_AS_CONSUMED)
		return 0;
	memcpy(m.body.hold.approval, a.m.approval, sizeof(m.body.hold.approval));
	(void)zg_str_cut(m.body.hold.reason, sizeof(m.body.hold.reason), zg_slice_str(d->reason));
	m.body.hold.approver_uid = peer->uid;
	answer(h, ZG_LINK_PARENT, &m);
	flush_all(h);
	*out = a;
	out->m.state = ZG_AS_DENIED; /* for who asked: it was used, and stays so in the book */
	return 1;
}

int zg_holds_decide(struct zg_holds *h, const struct zg_msg_ctl_approval_decide *d,
		    const struct zg_ctl_peer *peer, struct zg_approval *out,
		    struct zg_msg_ctl_end *end)
{
	int rc = decide_connection(h, d, peer, out, end);

	if (rc)
		return rc < 0 ? rc : 0;
	rc = zg_approvals_decide(h->approvals, d, peer, waits(h, d->approval), out, end);
	if (rc < 0)
		return rc;
	out->for_sec = d->for_sec;
	if (out->m.state == ZG_AS_DENIED)
		tell_waiters(h, out, ZG_HOLD_DENIED, ZG_HOLD_DENIED, out->m.reason);
	else if (out->m.state != ZG_AS_PENDING)
		tell_waiters(h, out, ZG_HOLD_GRANTED, ZG_HOLD_SUPERSEDED, out->m.reason);
	tell_change(h);
	return 0;
}

/* As many as can be at once; others have their turn before the next of them. */
void zg_holds_tick(struct zg_holds *h)
{
	static const struct timeval now = {0};
	const struct zg_approval *a;
	int n;

	zg_quotas_tick(&h->quotas, now_ns());
	if (h->approvals->trail->failed)
		return; /* nothing can be voided without evidence */
	n = zg_approvals_expire(h->approvals, &a);
	for (int i = 0; i < n; i++)
		tell_waiters(h, &a[i], ZG_HOLD_EXPIRED, ZG_HOLD_EXPIRED, a[i].m.reason);
	/* without the event, the next tick */
	if (n > 0 && h->approvals->backlog && event_add(h->again, &now) < 0)
		return;
}

static void on_again(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	zg_holds_tick(arg);
}

int zg_holds_init(struct zg_holds *h, struct event_base *base, struct zg_approvals *approvals)
{
	*h = (struct zg_holds){.base = base, .approvals = approvals};
	for (int i = 0; i <= ZG_LINK_PARENT; i++) {
		h->link[i].owner = h;
		h->link[i].sock = -1;
	}
	h->waiters = calloc(WAITERS_MAX, sizeof(*h->waiters));
	h->questions = calloc(QUESTIONS_MAX, sizeof(*h->questions));
	h->again = event_new(base, -1, 0, on_again, h);
	return h->waiters && h->questions && h->again ? zg_quotas_init(&h->quotas) : -ENOMEM;
}

/* One whose socket is full has other things to do: the next one's turn. */
int zg_holds_post(struct zg_holds *h, const struct zg_msg_notify *m, uint32_t *link)
{
	for (uint32_t i = 0; i < ZG_WORKERS_MAX; i++) {
		uint32_t at = h->turn++ % ZG_WORKERS_MAX;

		if (h->link[at].sock >= 0 &&
		    zg_msg_send(h->link[at].sock, ZG_MSG_NOTIFY, m, -1) == 0) {
			*link = at;
			return 0;
		}
	}
	return -ENOTCONN;
}

static void posted(struct zg_hold_link *l, struct zg_msg_notify_done *m)
{
	struct zg_holds *h = l->owner;

	if (h->notify)
		zg_notify_done(h->notify, ZG_NW_WEBHOOK, (uint32_t)(l - h->link), m,
			       now_ns() / 1000000);
}

/* --- requests ------------------------------------------------------------------ */

static void terminate(struct zg_msg_hold *m)
{
	ZG_MSG_TEXT(m->principal.profile);
	ZG_MSG_TEXT(m->principal.cgroup);
	ZG_MSG_TEXT(m->principal.comm);
	ZG_MSG_TEXT(m->server);
	ZG_MSG_TEXT(m->method);
	ZG_MSG_TEXT(m->tool);
	ZG_MSG_TEXT(m->rules);
	ZG_MSG_TEXT(m->risk_tags);
	ZG_MSG_TEXT(m->why);
	ZG_MSG_TEXT(m->args_text);
	ZG_MSG_TEXT(m->approval);
}

static const char *no_room(const struct zg_holds *h, uint32_t link, const struct zg_msg_hold *m)
{
	size_t same = 0;

	if (m->question > ZG_HQ_WITHDRAW || (m->question == ZG_HQ_WITHDRAW && !m->approval[0]))
		return "this cannot be asked";
	if (is_connection(m->server) != (link == ZG_LINK_PARENT))
		return "this is not the asker's to ask";
	if (h->count == WAITERS_MAX)
		return "too many calls wait for approval on this host";
	for (size_t i = 0; i < h->count; i++) {
		if (h->waiters[i].link == link && h->waiters[i].call == m->call)
			return "this call waits already";
		if (h->waiters[i].cgroup_id == m->principal.cgroup_id)
			same++;
	}
	return same >= ZG_HOLDS_PRINCIPAL_MAX ? "too many calls of this client wait for approval"
					      : NULL;
}

static void hold(struct zg_hold_link *l, struct zg_msg_hold *m)
{
	struct zg_holds *h = l->owner;
	struct zg_waiter w = {.link = (uint32_t)(l - h->link),
			      .call = m->call,
			      .cgroup_id = m->principal.cgroup_id};
	struct zg_approval a = {0};
	enum zg_hold_state state;
	const char *full;

	terminate(m);
	full = no_room(h, w.link, m);
	if (full) {
		tell(h, &w, ZG_HOLD_REFUSED, &a, full);
		return;
	}
	/* here, and not inside the lookup, so that others who wait are told */
	zg_holds_tick(h);
	if (h->approvals->backlog) {
		int rc = zg_approvals_void(h->approvals, m, &a);

		if (rc == 0)
			tell_waiters(h, &a, ZG_HOLD_EXPIRED, ZG_HOLD_EXPIRED, a.m.reason);
		a = (struct zg_approval){0};
		if (rc < 0 && rc != -ENOENT) {
			tell(h, &w, ZG_HOLD_REFUSED, &a, "the approvals cannot be read");
			return;
		}
	}
	if (l->sock < 0)
		return; /* gone while others were told: nothing is consumed for it */
	state = zg_approvals_hold(h->approvals, m, &a);
	if (state == ZG_HOLD_PENDING && m->question == ZG_HQ_USE) {
		memcpy(w.approval, a.m.approval, sizeof(w.approval));
		h->waiters[h->count++] = w;
	}
	tell(h, &w, state, &a, a.m.reason);
	if (m->question == ZG_HQ_WITHDRAW && state == ZG_HOLD_EXPIRED)
		tell_waiters(h, &a, ZG_HOLD_EXPIRED, ZG_HOLD_EXPIRED, a.m.reason);
}

static void release(struct zg_hold_link *l, const struct zg_msg_hold_release *m)
{
	struct zg_holds *h = l->owner;
	uint32_t link = (uint32_t)(l - h->link);
	static const struct zg_approval none;

	for (size_t i = 0; i < h->count; i++) {
		if (h->waiters[i].link == link && h->waiters[i].call == m->call) {
			tell(h, &h->waiters[i], ZG_HOLD_RELEASED, &none, "");
			remove_waiter(h, i);
			return;
		}
	}
}

/* An answer that finds no room is not sent: who waits for it refuses by itself. */
static int use_token(struct zg_hold_link *l, const struct zg_msg_token_use *m)
{
	struct zg_msg_token_used answer = {
		.call = m->call,
		.state = l->owner->tokens ? zg_tokens_use(l->owner->tokens, m->id, m->expires)
					  : ZG_TOKEN_REFUSED,
	};
	int rc = zg_msg_send(l->sock, ZG_MSG_TOKEN_USED, &answer, -1);

	return rc == -EAGAIN ? 0 : rc;
}

/* To every worker but the one that says it; one that does not read is not told. */
static void pass_cancel(const struct zg_hold_link *from, const struct zg_msg_call_cancel *m)
{
	struct zg_msg_call_cancelled tell;

	memcpy(tell.key, m->key, sizeof(tell.key));
	for (size_t i = 0; i < ZG_WORKERS_MAX; i++) {
		struct zg_hold_link *l = &from->owner->link[i];

		if (l != from && l->sock >= 0 &&
		    zg_msg_send(l->sock, ZG_MSG_CALL_CANCELLED, &tell, -1) < 0)
			continue; /* its link shows that by itself */
	}
}

/* --- definitions ----------------------------------------------------------------- */

/* Every gateway but the one that is answered itself. */
static void tell_all(struct zg_holds *h, const struct zg_hold_link *but,
		     const struct zg_msg_pin_state *m)
{
	struct zg_hold_answer a = {.type = ZG_MSG_PIN_STATE, .body.pin = *m};

	a.body.pin.call = 0;
	for (uint32_t i = 0; i < ZG_WORKERS_MAX; i++)
		if (&h->link[i] != but)
			answer(h, i, &a);
}

/* Collect the chunks of a text. 1: it is whole; 0: more follows; -EPROTO. */
static int collect(struct zg_hold_link *l, const struct zg_msg_pin_seen *q)
{
	if (q->bytes > ZG_PIN_TEXT_BYTES || q->chunk > sizeof(q->text))
		return -EPROTO;
	if (q->offset == 0) {
		zg_buf_release(&l->text);
		l->text = ZG_BUF(ZG_PIN_TEXT_BYTES);
		memcpy(l->sha256, q->sha256, sizeof(l->sha256));
	}
	if (q->offset != l->text.len || q->offset > q->bytes || q->chunk > q->bytes - q->offset ||
	    memcmp(l->sha256, q->sha256, sizeof(l->sha256)) != 0)
		return -EPROTO;
	zg_buf_add(&l->text, q->text, q->chunk);
	return zg_buf_ok(&l->text) ? l->text.len == q->bytes : l->text.error;
}

static int pin_seen(struct zg_hold_link *l, struct zg_msg_pin_seen *q)
{
	struct zg_hold_answer a = {.type = ZG_MSG_PIN_STATE};
	bool news = false;
	int rc = q->question == ZG_PQ_SEEN ? collect(l, q) : 1;

	if (rc < 0)
		return rc;
	ZG_MSG_TEXT(q->server);
	ZG_MSG_TEXT(q->name);
	ZG_MSG_TEXT(q->mentions);
	a.body.pin = (struct zg_msg_pin_state){.call = q->call, .state = ZG_PS_MORE};
	if (rc > 0) {
		if (l->owner->pins)
			zg_pins_question(l->owner->pins, q, zg_buf_slice(&l->text), &a.body.pin,
					 &news);
		else
			a.body.pin.state = ZG_PS_UNAVAILABLE;
		zg_buf_release(&l->text);
		l->text = ZG_BUF(ZG_PIN_TEXT_BYTES);
	}
	answer(l->owner, (uint32_t)(l - l->owner->link), &a);
	if (news)
		tell_all(l->owner, l, &a.body.pin);
	return 0;
}

int zg_holds_trust(struct zg_holds *h, const struct zg_msg_ctl_pin_trust *t,
		   const struct zg_ctl_peer *peer, struct zg_msg_ctl_end *end)
{
	struct zg_msg_pin_state state;
	int rc = zg_pins_trust(h->pins, t, peer, &state, end);

	if (rc < 0)
		return rc;
	tell_all(h, NULL, &state);
	flush_all(h);
	return 0;
}

/* --- limits ---------------------------------------------------------------------- */

/* No room to remember the question is an answer, too. */
static void ask_quota(struct zg_hold_link *l, const struct zg_msg_quota_ask *m)
{
	struct zg_holds *h = l->owner;
	struct zg_hold_answer a = {.type = ZG_MSG_QUOTA_TOLD,
				   .body.quota = {.call = m->call, .state = ZG_QS_REFUSED}};
	uint32_t link = (uint32_t)(l - h->link);

	if (h->question_count == QUESTIONS_MAX)
		answer(h, link, &a);
	else
		h->questions[h->question_count++] =
			(struct zg_quota_question){.link = link, .ask = *m};
}

/* Also of a call whose question has not been answered yet. */
static void quota_done(struct zg_hold_link *l, const struct zg_msg_quota_done *m)
{
	struct zg_holds *h = l->owner;
	size_t kept = 0;

	for (size_t i = 0; i < h->question_count; i++)
		if (h->questions[i].ask.call != m->call)
			h->questions[kept++] = h->questions[i];
	h->question_count = kept;
	zg_quotas_done(&h->quotas, m, now_ns());
}

static void answer_questions(struct zg_holds *h)
{
	for (size_t i = 0; i < h->question_count; i++) {
		const struct zg_quota_question *q = &h->questions[i];
		struct zg_hold_answer a = {.type = ZG_MSG_QUOTA_TOLD};

		if (h->link[q->link].sock < 0)
			continue;
		if (zg_quotas_ask(&h->quotas, q->link, &q->ask, now_ns(), &a.body.quota) < 0) {
			zg_log(ZG_LOG_ERR, "gateway %u asks for limits that are none; dropped",
			       q->link);
			drop_link(&h->link[q->link]);
			continue;
		}
		answer(h, q->link, &a);
	}
	h->question_count = 0;
}

static int handle(struct zg_hold_link *l, struct zg_msg *m)
{
	union {
		struct zg_msg_hold hold;
		struct zg_msg_hold_release release;
		struct zg_msg_pin_seen pin;
		struct zg_msg_token_use use;
		struct zg_msg_call_cancel cancel;
		struct zg_msg_quota_ask ask;
		struct zg_msg_quota_done done;
		struct zg_msg_notify_done posted;
	} body;

	memcpy(&body, m->body, sizeof(body));
	if (m->type == ZG_MSG_HOLD)
		hold(l, &body.hold);
	else if (m->type == ZG_MSG_HOLD_RELEASE)
		release(l, &body.release);
	else if (m->type == ZG_MSG_PIN_SEEN)
		return pin_seen(l, &body.pin);
	else if (m->type == ZG_MSG_TOKEN_USE)
		return use_token(l, &body.use);
	else if (m->type == ZG_MSG_CALL_CANCEL)
		pass_cancel(l, &body.cancel);
	else if (m->type == ZG_MSG_QUOTA_ASK)
		ask_quota(l, &body.ask);
	else if (m->type == ZG_MSG_QUOTA_DONE)
		quota_done(l, &body.done);
	else if (m->type == ZG_MSG_NOTIFY_DONE)
		posted(l, &body.posted);
	else
		return -EPROTO;
	return 0;
}

static void read_link(struct zg_hold_link *l, int most)
{
	struct zg_msg m;

	for (int i = 0; i < most; i++) {
		int rc = zg_msg_recv(l->sock, &m);

		if (rc == -EAGAIN)
			break;
		if (rc == 0) {
			rc = handle(l, &m);
			zg_msg_release(&m);
		}
		if (rc == -EPROTO)
			zg_log(ZG_LOG_ERR, "gateway %td broke the wire's contract; dropped",
			       l - l->owner->link);
		if (rc < 0)
			drop_link(l);
		/* the tick inside may have found the link dead, too */
		if (l->sock < 0)
			break;
	}
}

static void on_read(evutil_socket_t fd, short what, void *arg)
{
	struct zg_hold_link *l = arg;
	struct zg_holds *h = l->owner;

	(void)fd;
	(void)what;
	read_link(l, MESSAGES_PER_WAKE);
	for (int i = 0; h->question_count && i < ZG_WORKERS_MAX; i++)
		if (&h->link[i] != l && h->link[i].sock >= 0)
			read_link(&h->link[i], MESSAGES_QUEUED);
	answer_questions(h);
	flush_all(h);
}

static void on_write(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	flush(arg);
}

int zg_holds_link(struct zg_holds *h, uint32_t worker, int sock)
{
	struct zg_hold_link new = {.owner = h, .sock = sock};
	struct zg_hold_link *l;

	if (worker > ZG_LINK_PARENT || evutil_make_socket_nonblocking(sock) < 0)
		return -EINVAL;
	l = &h->link[worker];
	drop_link(l);
	new.queue = calloc(ZG_HOLD_QUEUE_MAX, sizeof(*new.queue));
	new.reads = event_new(h->base, sock, EV_READ | EV_PERSIST, on_read, l);
	new.writes = event_new(h->base, sock, EV_WRITE, on_write, l);
	if (!new.queue || !new.reads || !new.writes || event_add(new.reads, NULL) < 0) {
		free(new.queue);
		if (new.reads)
			event_free(new.reads);
		if (new.writes)
			event_free(new.writes);
		return -ENOMEM;
	}
	*l = new;
	return 0;
}
