/* SPDX-License-Identifier: Apache-2.0 */
/* pins.c - see pins.h. Trust: the ledger's word is final, silence is no. */
#include "pins.h"

#include <errno.h>

#include "digest.h"
#include "ipc.h"
#include "listing.h"
#include "request.h"

#define WAYS 4

struct zg_pin_slot {
	uint8_t key[32];
	uint8_t sha256[32];
	uint32_t era; /* 0 = free */
	uint32_t listed;
	uint32_t hints;
	uint32_t state;
};

int zg_pins_known_init(struct zg_pins_known *k)
{
	*k = (struct zg_pins_known){.era = 1, .listed = 1};
	k->slot = calloc(ZG_PIN_SLOTS, sizeof(*k->slot));
	return k->slot ? 0 : -ENOMEM;
}

void zg_pins_known_release(struct zg_pins_known *k)
{
	free(k->slot);
	k->slot = NULL;
}

void zg_pins_forget(struct zg_pins_known *k)
{
	k->era++;
	memset(k->asked, 0, sizeof(k->asked));
}

/* A digest, so that a server cannot choose names that push others out. */
static void key_of(uint8_t key[32], struct zg_slice server, uint32_t kind, struct zg_slice name)
{
	char text[ZG_SERVER_LEN + ZG_TOOL_LEN + 8];
	size_t n = 0;

	memcpy(text, &kind, sizeof(kind));
	n += sizeof(kind);
	memcpy(text + n, server.ptr, server.len);
	n += server.len;
	text[n++] = '\0';
	memcpy(text + n, name.ptr, name.len);
	zg_sha256(key, text, n + name.len);
}

static struct zg_pin_slot *set_of(const struct zg_pins_known *k, const uint8_t key[32])
{
	size_t n = (size_t)key[0] << 8 | key[1];

	return &k->slot[n % (ZG_PIN_SLOTS / WAYS) * WAYS];
}

/* Where key is among what was asked for; of a zero key: a free place. -1: none. */
static int asked_at(const struct zg_pins_known *k, const uint8_t key[32])
{
	for (int i = 0; i < ZG_PIN_ASKED_MAX; i++)
		if (memcmp(k->asked[i], key, sizeof(k->asked[i])) == 0)
			return i;
	return -1;
}

bool zg_pins_find(const struct zg_pins_known *k, struct zg_slice server, enum zg_pin_kind kind,
		  struct zg_slice name, struct zg_pin_word *out)
{
	const struct zg_pin_slot *s;
	uint8_t key[32];

	if (server.len >= ZG_SERVER_LEN || name.len >= ZG_TOOL_LEN)
		return false;
	key_of(key, server, kind, name);
	s = set_of(k, key);
	for (int i = 0; i < WAYS; i++, s++) {
		if (s->era != k->era || memcmp(s->key, key, sizeof(key)) != 0)
			continue;
		if (s->state == ZG_PS_UNLISTED && s->listed != k->listed)
			return false;
		*out = (struct zg_pin_word){.state = (enum zg_pin_state)s->state,
					    .hints = s->hints};
		memcpy(out->sha256, s->sha256, sizeof(out->sha256));
		return true;
	}
	return false;
}

void zg_pins_learn(struct zg_pins_known *k, const struct zg_msg_pin_state *m)
{
	struct zg_pin_slot *set, *to = NULL;
	uint8_t key[32];

	if (m->state == ZG_PS_MORE || m->state == ZG_PS_UNAVAILABLE || m->kind >= ZG_PIN_KINDS)
		return;
	if (m->state == ZG_PS_LISTED)
		k->listed++;
	key_of(key, zg_slice_str(m->server), m->kind, zg_slice_str(m->name));
	set = set_of(k, key);
	for (int i = 0; i < WAYS; i++) {
		if (memcmp(set[i].key, key, sizeof(key)) == 0)
			to = &set[i];
		else if (!to && set[i].era != k->era)
			to = &set[i];
	}
	if (!to)
		to = &set[k->turn++ % WAYS];
	for (int i = 0; i < WAYS; i++)
		if (&set[i] != to && memcmp(set[i].key, key, sizeof(key)) == 0)
			set[i].era = 0;
	*to = (struct zg_pin_slot){
		.era = k->era, .listed = k->listed, .hints = m->hints, .state = m->state};
	memcpy(to->key, key, sizeof(key));
	memcpy(to->sha256, m->sha256, sizeof(to->sha256));
}

bool zg_pin_good(enum zg_pin_state state)
{
	return state == ZG_PS_PINNED || state == ZG_PS_UNLISTED;
}

const char *zg_pin_why(enum zg_pin_state state)
{
	switch (state) {
	case ZG_PS_UNKNOWN:
		return "is in no list that was accepted";
	case ZG_PS_NEW:
		return "is new and was not accepted yet";
	case ZG_PS_CHANGED:
		return "has changed since it was accepted";
	case ZG_PS_FLAGGED:
		return "has a definition that was flagged";
	case ZG_PS_EXCESS:
		return "is one of too many";
	case ZG_PS_UNAVAILABLE:
	case ZG_PS_MORE:
	case ZG_PS_LISTED:
		break;
	case ZG_PS_UNLISTED:
	case ZG_PS_PINNED:
		return "is accepted";
	}
	return "could not be checked";
}

/* a call's question ----------------------------------------------------------- */

static const struct {
	const char *method;
	enum zg_pin_kind kind;
} subjects[] = {
	{"tools/call", ZG_PIN_TOOL},
	{"prompts/get", ZG_PIN_PROMPT},
};

static bool subject_of(const struct zg_request *r, enum zg_pin_kind *kind)
{
	for (size_t i = 0; i < sizeof(subjects) / sizeof(subjects[0]); i++) {
		if (!zg_slice_eq(r->rpc.method, zg_slice_str(subjects[i].method)))
			continue;
		*kind = subjects[i].kind;
		return r->server != NULL;
	}
	return false;
}

static int ask(struct zg_request *r, enum zg_pin_kind kind)
{
	static const uint8_t nothing[32];
	struct zg_pins_known *k = &r->worker->pins;
	struct zg_msg_pin_seen *q;
	uint8_t key[32];
	int rc, free_at;

	if (r->worker->ledger < 0)
		return -ENOTCONN;
	/* one question for all calls of the same thing: they are many after a restart */
	key_of(key, zg_slice_str(r->server->id), kind, r->rpc.tool);
	if (asked_at(k, key) >= 0)
		return 0;
	q = calloc(1, sizeof(*q));
	if (!q)
		return -ENOMEM;
	q->call = r->call;
	q->question = ZG_PQ_ASK;
	q->kind = kind;
	(void)zg_str_cut(q->server, sizeof(q->server), zg_slice_str(r->server->id));
	(void)zg_str_cut(q->name, sizeof(q->name), r->rpc.tool);
	rc = zg_msg_send(r->worker->ledger, ZG_MSG_PIN_SEEN, q, -1);
	free(q);
	free_at = asked_at(k, nothing);
	if (rc == 0 && free_at >= 0)
		memcpy(k->asked[free_at], key, sizeof(key));
	return rc;
}

/* r waits no more; the same may be asked for again. */
static void asked_over(struct zg_request *r)
{
	struct zg_pins_known *k = &r->worker->pins;
	enum zg_pin_kind kind;
	uint8_t key[32];
	int at = -1;

	r->pin_asked = false;
	if (subject_of(r, &kind)) {
		key_of(key, zg_slice_str(r->server->id), kind, r->rpc.tool);
		at = asked_at(k, key);
	}
	if (at >= 0)
		memset(k->asked[at], 0, sizeof(k->asked[at]));
}

static void on_silence(evutil_socket_t fd ZG_UNUSED, short what ZG_UNUSED, void *arg)
{
	struct zg_request *r = arg;

	zg_worker_read_ledger(r->worker);
	if (!r->pin_asked)
		return; /* answered meanwhile */
	asked_over(r);
	r->pin_known = true;
	r->pin.state = ZG_PS_UNAVAILABLE;
	zg_request_run(r);
}

int zg_pin_know(struct zg_request *r)
{
	const struct timeval wait = {ZG_PIN_WAIT_MS / 1000, ZG_PIN_WAIT_MS % 1000 * 1000};
	enum zg_pin_kind kind;

	if (r->pin_asked)
		return ZG_WAIT;
	if (r->pin_known || !subject_of(r, &kind))
		return ZG_NEXT;
	r->pin_known = zg_pins_find(&r->worker->pins, zg_slice_str(r->server->id), kind,
				    r->rpc.tool, &r->pin);
	if (r->pin_known)
		return ZG_NEXT;
	/* if it cannot be sent now, a new ledger gets it (zg_pins_resend), or time is up */
	r->pin_asked = true;
	(void)ask(r, kind);
	if (event_initialized(&r->timer))
		(void)event_del(&r->timer);
	(void)event_assign(&r->timer, r->worker->base, -1, 0, on_silence, r);
	(void)event_add(&r->timer, &wait);
	return ZG_WAIT;
}

enum zg_next zg_step_pin(struct zg_request *r)
{
	struct zg_pin_word who;
	int next = zg_pin_know(r);

	if (next != ZG_NEXT)
		return (enum zg_next)next;
	if (!r->pin_known)
		return ZG_NEXT;
	if (r->pin.state == ZG_PS_UNAVAILABLE)
		return zg_answer_with(r, ZG_A_FAIL, ZG_C_UNAVAILABLE,
				      "zerogate: the call was not executed: whether its "
				      "definition is accepted cannot be checked now");
	if (zg_pins_find(&r->worker->pins, zg_slice_str(r->server->id), ZG_PIN_IDENTITY,
			 ZG_SLICE("serverInfo"), &who) &&
	    !zg_pin_good(who.state))
		return zg_answer_with(r, ZG_A_DENY, ZG_C_DENIED,
				      "zerogate denied this call: server %s now calls itself "
				      "otherwise; a person has to accept that "
				      "(zerogate servers diff %s)",
				      r->server->id, r->server->id);
	if (zg_pin_good(r->pin.state))
		return ZG_NEXT;
	return zg_answer_with(r, ZG_A_DENY, ZG_C_DENIED,
			      "zerogate denied this call: %.*s %s; a person has to accept its "
			      "definition first (zerogate servers diff %s)",
			      (int)r->rpc.tool.len, r->rpc.tool.ptr, zg_pin_why(r->pin.state),
			      r->server->id);
}

/* the ledger -------------------------------------------------------------------- */

static bool asks_for(const struct zg_request *r, const struct zg_msg_pin_state *m)
{
	enum zg_pin_kind kind;

	return r->pin_asked &&
	       (r->call == m->call ||
		(subject_of(r, &kind) && kind == m->kind &&
		 zg_slice_eq(zg_slice_str(r->server->id), zg_slice_str(m->server)) &&
		 zg_slice_eq(r->rpc.tool, zg_slice_str(m->name))));
}

/* Every call that waits for this word. Those that wait are the newest. */
static void answer_all(struct zg_worker *w, const struct zg_msg_pin_state *m)
{
	struct zg_request *r, *next;

	for (r = TAILQ_FIRST(&w->requests); r; r = next) {
		next = TAILQ_NEXT(r, link);
		if (!asks_for(r, m))
			continue;
		(void)event_del(&r->timer);
		asked_over(r);
		r->pin_known = true;
		r->pin.state = (enum zg_pin_state)m->state;
		r->pin.hints = m->hints;
		memcpy(r->pin.sha256, m->sha256, sizeof(r->pin.sha256));
		zg_request_run(r);
	}
}

void zg_pins_message(struct zg_worker *w, struct zg_msg_pin_state *m)
{
	struct zg_request *r;

	ZG_MSG_TEXT(m->server);
	ZG_MSG_TEXT(m->name);
	if (m->state > ZG_PS_LISTED)
		m->state = ZG_PS_UNAVAILABLE;
	if (m->server[0])
		zg_pins_learn(&w->pins, m);
	if (!m->call)
		return;
	r = zg_request_of(w, m->call);
	if (r && zg_listing_waits(r))
		zg_listing_answer(r, m);
	else
		answer_all(w, m);
}

void zg_pins_resend(struct zg_worker *w)
{
	struct zg_request *r;
	enum zg_pin_kind kind;

	zg_pins_forget(&w->pins);
	TAILQ_FOREACH(r, &w->requests, link)
	{
		if (r->pin_asked && subject_of(r, &kind))
			(void)ask(r, kind); /* if not: its time is up soon */
		else if (zg_listing_waits(r))
			zg_listing_resend(r);
	}
}
