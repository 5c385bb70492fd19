/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cancel.c - the end of a call by the word of its client. Legacy versions say it
 * with a notification, which goes on to the server and is told to all workers
 * through the ledger, as it may have come to another one; what the server has
 * not seen yet is ended here. In modern versions the client just leaves
 * (zg_request_client_gone). Trust: who may cancel is who could have called: the
 * same attested principal, server and session.
 */
#include <errno.h>

#include "digest.h"
#include "ipc.h"
#include "request.h"

static void add_part(struct zg_buf *b, const void *bytes, size_t n)
{
	uint64_t length = n;

	zg_buf_add(b, &length, sizeof(length));
	zg_buf_add(b, bytes, n);
}

/* What only a request's own client can name; id as JSON text. */
static int key_of(const struct zg_request *r, const char *id, uint8_t key[32])
{
	const struct zg_principal *p = &r->principal;
	zg_autobuf b = ZG_BUF(ZG_HTTP_HEADER_BYTES + 4096);

	add_part(&b, p->profile, strlen(p->profile));
	add_part(&b, &p->uid, sizeof(p->uid));
	add_part(&b, p->cgroup, strlen(p->cgroup));
	add_part(&b, r->server_id.ptr, r->server_id.len);
	add_part(&b, r->session_token.ptr, r->session_token.len);
	add_part(&b, &r->endpoint.stream, sizeof(r->endpoint.stream));
	add_part(&b, id, strlen(id));
	if (!zg_buf_ok(&b))
		return b.error;
	zg_sha256(key, b.ptr, b.len);
	return 0;
}

static void cancel_call(struct zg_request *r)
{
	static const struct timeval grace = {ZG_CANCEL_SEC, 0};

	if (r->local && !r->intent)
		return; /* local_call.c ends it, and keeps the word from the server */
	r->cancel_asked = true;
	if (r->intent) { /* the server has it, and a while to end it by itself */
		(void)event_add(&r->timer, &grace);
		return;
	}
	(void)zg_answer_with(r, ZG_A_FAIL, ZG_C_CANCELLED,
			     "zerogate: the call was cancelled before it was dispatched");
	zg_request_end(r);
}

void zg_cancel_message(struct zg_worker *w, const struct zg_msg_call_cancelled *m)
{
	uint8_t key[32];
	struct zg_request *r;

	TAILQ_FOREACH(r, &w->requests, link)
	{
		if (r->rpc.kind != ZG_RPC_REQUEST || !r->judged || r->running || r->cancel_asked ||
		    zg_era_modern(r->era) || key_of(r, r->rpc.id, key) < 0 ||
		    memcmp(key, m->key, sizeof(key)) != 0)
			continue;
		cancel_call(r);
		return;
	}
}

enum zg_next zg_step_cancel(struct zg_request *r)
{
	const json_t *id = json_object_get(r->rpc.params, "requestId");
	struct zg_msg_call_cancelled here;
	struct zg_msg_call_cancel told;
	char text[ZG_RPC_ID_BYTES];
	size_t n;

	if (r->rpc.kind != ZG_RPC_NOTIFICATION || zg_era_modern(r->era) ||
	    !zg_slice_eq(r->rpc.method, ZG_SLICE("notifications/cancelled")) ||
	    (!json_is_string(id) && !json_is_integer(id)))
		return ZG_NEXT;
	n = json_dumpb(id, text, sizeof(text) - 1, JSON_ENCODE_ANY | JSON_COMPACT);
	if (n == 0 || n >= sizeof(text))
		return ZG_NEXT; /* no request has such an id */
	text[n] = '\0';
	if (key_of(r, text, here.key) < 0)
		return ZG_NEXT;
	memcpy(told.key, here.key, sizeof(told.key));
	zg_cancel_message(r->worker, &here);
	/* best effort: without a ledger no call of another worker waits for long */
	if (r->worker->ledger >= 0 &&
	    zg_msg_send(r->worker->ledger, ZG_MSG_CALL_CANCEL, &told, -1) < 0)
		return ZG_NEXT;
	return ZG_NEXT;
}
