/* SPDX-License-Identifier: Apache-2.0 */
/*
 * webhook.c - see webhook.h. Trust: the place is registered, what it answers is the
 * network's: of that only the status counts. A post is a request like any other from
 * its upstream step on (address checks, pins, CA, proxy, time), whose client is this
 * file. The secret is in the bundle of secrets and nowhere else.
 */
#include "webhook.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "client_whole.h"
#include "ipc.h"
#include "log.h"
#include "request.h"

struct post {
	struct zg_client client; /* first: what the request knows of us */
	struct zg_worker *worker;
	struct zg_request *request;
	char delivery[ZG_NAME_LEN];
};

void zg_notify_sign(char out[ZG_NOTIFY_SIGNATURE_LEN], struct zg_slice secret, uint64_t unix_sec,
		    struct zg_slice body)
{
	static const char hex[] = "0123456789abcdef";
	zg_autobuf text = ZG_BUF(ZG_NOTIFY_BYTES + 32);
	uint8_t mac[32] = {0};
	size_t at;

	zg_buf_u64(&text, unix_sec);
	zg_buf_char(&text, '.');
	zg_buf_add(&text, body.ptr, body.len);
	/* without memory: one that is not valid, and the post is tried again */
	if (!zg_buf_ok(&text) || !HMAC(EVP_sha256(), secret.ptr, (int)secret.len,
				       (const unsigned char *)text.ptr, text.len, mac, NULL))
		memset(mac, 0, sizeof(mac));
	at = (size_t)snprintf(out, ZG_NOTIFY_SIGNATURE_LEN,
			      "t=%llu,v1=", (unsigned long long)unix_sec);
	for (size_t i = 0; i < sizeof(mac); i++) {
		out[at++] = hex[mac[i] >> 4];
		out[at++] = hex[mac[i] & 15];
	}
	out[at] = '\0';
}

/* the end --------------------------------------------------------------------- */

/* A ledger that is not there gives it to another gateway, or to us again. */
static void tell(struct zg_worker *w, const char *delivery, int status, const char *what)
{
	struct zg_msg_notify_done m = {.delivered = !what[0],
				       .status = status > 0 ? (uint32_t)status : 0};

	(void)zg_str_cut(m.delivery, sizeof(m.delivery), zg_slice_str(delivery));
	(void)zg_str_cut(m.what, sizeof(m.what), zg_slice_str(what));
	if (w->ledger >= 0 && zg_msg_send(w->ledger, ZG_MSG_NOTIFY_DONE, &m, -1) < 0)
		zg_log(ZG_LOG_WARN, "the ledger is not told how %s ended", delivery);
}

static void on_finish(struct zg_client *c, const struct zg_http_answer *a)
{
	struct post *p = (struct post *)c;
	const struct zg_request *r = p->request;
	char what[ZG_REASON_LEN] = "";

	if (r->failure[0])
		(void)snprintf(what, sizeof(what), "the webhook %.200s", r->failure);
	else if (r->cut)
		(void)snprintf(what, sizeof(what), "the webhook did not answer in %d s",
			       ZG_NOTIFY_POST_SEC);
	else if (a->status < 200 || a->status > 299)
		(void)snprintf(what, sizeof(what), "the webhook answered with HTTP %d", a->status);
	tell(p->worker, p->delivery, a->status, what);
	free(p);
}

static const struct zg_client_ops ops = ZG_CLIENT_WHOLE(on_finish);

/* the beginning ----------------------------------------------------------------- */

static void set_header(struct zg_request *r, const char *name, const char *value)
{
	r->head.extra[r->head.extra_count++] =
		(struct zg_http_pair){zg_slice_str(name), zg_slice_str(zg_request_keep(r, value))};
}

static bool fill(struct zg_request *r, const struct zg_msg_notify *m, struct zg_slice secret)
{
	char signature[ZG_NOTIFY_SIGNATURE_LEN];

	zg_buf_add(&r->body, m->text, m->bytes);
	r->head.extra = zg_arena_alloc(&r->arena, 3 * sizeof(*r->head.extra));
	if (!zg_buf_ok(&r->body) || !r->head.extra)
		return false;
	zg_notify_sign(signature, secret, zg_real_sec(), zg_buf_slice(&r->body));
	set_header(r, "X-Zerogate-Signature", signature);
	set_header(r, "X-Zerogate-Event", m->event);
	set_header(r, "X-Zerogate-Delivery", m->delivery);
	r->head.field[ZG_HF_CONTENT_TYPE] = ZG_SLICE("application/json");
	r->head.field[ZG_HF_ACCEPT] = ZG_SLICE("*/*");
	return true;
}

static const char *begin(struct zg_worker *w, const struct zg_msg_notify *m)
{
	const struct zg_slice id = zg_slice_str(w->live->snap.settings->notify.server);
	const struct zg_server_def *s = id.len ? zg_snapshot_server(&w->live->snap, id) : NULL;
	const struct zg_slice secret =
		zg_secrets_find(&w->live->secrets, ZG_SK_NOTIFY, ZG_SLICE(""), 0);
	struct post *p;

	if (!s || s->use != ZG_USE_WEBHOOK)
		return "the place of the webhook is not registered";
	if (!secret.len)
		return "there is no secret to sign it with";
	p = calloc(1, sizeof(*p));
	if (!p)
		return "no memory for it";
	p->client.ops = &ops;
	p->worker = w;
	memcpy(p->delivery, m->delivery, sizeof(p->delivery));
	p->request = zg_request_new(w, &p->client);
	if (!p->request || !fill(p->request, m, secret)) {
		if (p->request) {
			p->request->client = NULL;
			p->request->quiet = true;
			zg_request_end(p->request);
		}
		free(p);
		return "no memory for it";
	}
	zg_request_fetch(p->request, s, ZG_HM_POST, ZG_NOTIFY_POST_SEC);
	return NULL;
}

void zg_notify_message(struct zg_worker *w, struct zg_msg_notify *m)
{
	const char *wrong = "it is malformed";

	ZG_MSG_TEXT(m->delivery);
	ZG_MSG_TEXT(m->event);
	if (m->bytes <= sizeof(m->text))
		wrong = begin(w, m);
	if (wrong)
		tell(w, m->delivery, 0, wrong);
}
