/* SPDX-License-Identifier: Apache-2.0 */
/*
 * issuer.c - see issuer.h. Trust: the place is registered, what it says is the
 * network's: it is bounded here and read by the config role alone. A fetch is a
 * request like any other from its upstream step on (address checks, pins, CA,
 * proxy, time), whose client is this file.
 */
#include "issuer.h"

#include "client_whole.h"
#include "ipc.h"
#include "log.h"
#include "request.h"

#define SECOND UINT64_C(1000000000)

struct zg_issuer_fetch {
	struct zg_client client; /* first: what the request knows of us */
	struct zg_worker *worker;
	struct zg_issuer_fetch *next;
	struct zg_request *request; /* NULL: none runs */
	uint64_t due_ns;	    /* when the next one begins */
	uint64_t tried_ns;	    /* when the last one began; 0 = none did */
	bool failed;		    /* told once */
	char server[ZG_SERVER_LEN];
};

/* the answer ------------------------------------------------------------------- */

static bool hand_over(const struct zg_issuer_fetch *f, struct zg_slice text)
{
	struct zg_msg_keys_fetched m = {.bytes = (uint32_t)text.len};

	(void)zg_str_cut(m.server, sizeof(m.server), zg_slice_str(f->server));
	for (; m.offset < text.len; m.offset += m.chunk) {
		m.chunk = text.len - m.offset < sizeof(m.text) ? (uint32_t)(text.len - m.offset)
							       : sizeof(m.text);
		memcpy(m.text, text.ptr + m.offset, m.chunk);
		if (zg_msg_send(f->worker->channel, ZG_MSG_KEYS_FETCHED, &m, -1) < 0)
			return false;
	}
	return true;
}

static void on_finish(struct zg_client *c, const struct zg_http_answer *a)
{
	struct zg_issuer_fetch *f = (struct zg_issuer_fetch *)c;
	const bool good = a->status == 200 && a->body.len && a->body.len <= ZG_JWKS_BYTES &&
			  hand_over(f, a->body);

	f->request = NULL;
	f->due_ns = zg_now_ns() + (good ? ZG_JWKS_FRESH_SEC : ZG_JWKS_RETRY_SEC) * SECOND;
	if (!good && !f->failed)
		zg_log(ZG_LOG_WARN, "the keys from %s cannot be fetched: HTTP %d", f->server,
		       a->status);
	f->failed = !good;
}

static const struct zg_client_ops ops = ZG_CLIENT_WHOLE(on_finish);

/* when to ask ------------------------------------------------------------------ */

static void begin(struct zg_issuer_fetch *f)
{
	struct zg_worker *w = f->worker;
	const struct zg_server_def *s = zg_snapshot_server(&w->live->snap, zg_slice_str(f->server));

	f->tried_ns = zg_now_ns();
	f->due_ns = f->tried_ns + ZG_JWKS_RETRY_SEC * SECOND;
	if (!s || s->use != ZG_USE_KEYS) /* withdrawn: the configuration says so */
		return;
	f->request = zg_request_new(w, &f->client);
	if (!f->request)
		return;
	f->request->head.field[ZG_HF_ACCEPT] =
		ZG_SLICE("application/jwk-set+json, application/json");
	zg_request_fetch(f->request, s, ZG_HM_GET, ZG_JWKS_FETCH_SEC);
}

/* One worker looks after them all. */
static void on_due(evutil_socket_t fd ZG_UNUSED, short what ZG_UNUSED, void *arg)
{
	static const struct timeval second = {1, 0};
	struct zg_worker *w = arg;
	const uint64_t now = zg_now_ns();

	for (struct zg_issuer_fetch *f = w->issuers.fetch; f; f = f->next)
		if (!f->request && now >= f->due_ns)
			begin(f);
	(void)event_add(&w->issuers.due, &second);
}

static struct zg_issuer_fetch *fetch_of(struct zg_worker *w, const char *server)
{
	struct zg_issuer_fetch *f = w->issuers.fetch;

	while (f && strcmp(f->server, server) != 0)
		f = f->next;
	return f;
}

static void add(struct zg_worker *w, const char *server)
{
	struct zg_issuer_fetch *f =
		server[0] && !fetch_of(w, server) ? calloc(1, sizeof(*f)) : NULL;

	if (!f)
		return;
	f->client.ops = &ops;
	f->worker = w;
	(void)zg_str_cut(f->server, sizeof(f->server), zg_slice_str(server));
	f->next = w->issuers.fetch;
	w->issuers.fetch = f;
}

void zg_issuers_live(struct zg_worker *w)
{
	static const struct timeval now = {0, 0};
	const struct zg_settings *s = w->live->snap.settings;

	for (uint32_t l = 0; l < s->listen_count; l++)
		for (uint32_t i = 0; i < s->auth[l].issuer_count; i++)
			add(w, s->auth[l].issuer[i].server);
	if (w->index != 0 || !w->issuers.fetch || event_initialized(&w->issuers.due))
		return;
	(void)event_assign(&w->issuers.due, w->base, -1, 0, on_due, w);
	(void)event_add(&w->issuers.due, &now);
}

bool zg_issuers_wanted(struct zg_worker *w, const struct zg_issuer *is)
{
	struct zg_issuer_fetch *f = is->server[0] ? fetch_of(w, is->server) : NULL;

	if (!f)
		return false;
	if (f->request)
		return true;
	/* a token is anybody's to make: it sets no pace */
	if (f->tried_ns && zg_now_ns() - f->tried_ns < ZG_JWKS_RETRY_SEC * SECOND)
		return false;
	begin(f);
	return f->request != NULL;
}

void zg_issuers_release(struct zg_worker *w)
{
	struct zg_issuer_fetch *f;

	if (event_initialized(&w->issuers.due))
		(void)event_del(&w->issuers.due);
	while ((f = w->issuers.fetch)) {
		w->issuers.fetch = f->next;
		free(f);
	}
}
