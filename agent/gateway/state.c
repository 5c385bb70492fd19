/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state.c - see state.h. Trust: the state is the server's and is not looked
 * into; what comes back is the client's until it has been opened. A token is
 * bound to its caller and server (seal.h), and here to the method and to all
 * parameters but the answers; the ledger knows which were used.
 */
#include "state.h"

#include <errno.h>

#include "digest.h"
#include "ipc.h"
#include "json_span.h"
#include "request.h"
#include "server_message.h"

#define DIGEST_BYTES 32

static bool mentions(struct zg_slice text, struct zg_slice what)
{
	return text.len && memmem(text.ptr, text.len, what.ptr, what.len) != NULL;
}

/* What a retry has in common with the request it repeats. */
static int digest_request(const struct zg_request *r, uint8_t out[DIGEST_BYTES])
{
	static const char *const varies[] = {"_meta", "inputResponses", "requestState"};
	json_t *rest = r->rpc.params ? json_copy((json_t *)(uintptr_t)r->rpc.params)
				     : json_object(); /* shallow */
	zg_autobuf text = ZG_BUF(ZG_REQUEST_BYTES);
	char *dump;

	if (!rest)
		return -ENOMEM;
	for (size_t i = 0; i < sizeof(varies) / sizeof(varies[0]); i++)
		(void)json_object_del(rest, varies[i]);
	dump = json_dumps(rest, JSON_COMPACT | JSON_SORT_KEYS);
	json_decref(rest);
	if (!dump)
		return -ENOMEM;
	zg_buf_add(&text, r->rpc.method.ptr, r->rpc.method.len);
	zg_buf_char(&text, ' ');
	zg_buf_str(&text, dump);
	free(dump);
	if (!zg_buf_ok(&text))
		return text.error;
	zg_sha256(out, text.ptr, text.len);
	return 0;
}

/* out: to the client ----------------------------------------------------------- */

static bool has_rounds(const struct zg_request *r)
{
	return zg_era_modern(r->era) && r->rpc.kind == ZG_RPC_REQUEST;
}

static struct zg_slice in_result(struct zg_slice text, const char *name)
{
	struct zg_slice result = zg_json_member(zg_slice_trim(text), "result");

	return result.ptr ? zg_json_member(result, name) : (struct zg_slice){0};
}

/* m->text with span replaced, in the buffer that it is not in; what is released
 * ends in r->output.released. */
static int splice(struct zg_request *r, struct zg_server_message *m, struct zg_slice span,
		  struct zg_slice with)
{
	struct zg_buf *released = &r->output.released, *spare = &r->worker->splice;
	bool in_spare = m->text.ptr == spare->ptr;
	struct zg_buf *out = in_spare ? released : spare;

	zg_buf_reset(out);
	zg_json_splice(m->text, span, with, out);
	if (!zg_buf_ok(out))
		return zg_withhold(r, out->error, "it could not be rebuilt");
	if (!in_spare) {
		struct zg_buf swap = *released;

		*released = *spare;
		*spare = swap;
	}
	m->text = zg_buf_slice(released);
	m->changed = true;
	return 0;
}

int zg_state_take(struct zg_request *r, struct zg_server_message *m)
{
	struct zg_buf *out = &r->worker->splice;
	struct zg_slice state;

	if (!has_rounds(r) || !mentions(m->text, ZG_SLICE("requestState")))
		return 0;
	state = in_result(m->text, "requestState");
	if (!state.ptr || state.ptr[0] != '"')
		return 0;
	if (state.len > ZG_SEAL_PAYLOAD - DIGEST_BYTES)
		return zg_withhold(r, -EFBIG, "its requestState is too long");
	zg_buf_reset(out);
	zg_json_splice(m->text, state, ZG_SLICE("\"\""), out);
	if (!zg_buf_ok(out))
		return zg_withhold(r, out->error, "it could not be rebuilt");
	m->state = state;
	m->text = zg_buf_slice(out);
	return 0;
}

int zg_state_put(struct zg_request *r, struct zg_server_message *m)
{
	const struct zg_seal_owner owner = {zg_slice_str(r->server->id), &r->principal,
					    zg_slice_str(r->subject)};
	zg_autobuf payload = ZG_BUF(ZG_SEAL_PAYLOAD);
	struct zg_buf *token = &r->worker->token;
	uint8_t digest[DIGEST_BYTES];
	int rc;

	if (!m->state.ptr)
		return 0;
	rc = digest_request(r, digest);
	zg_buf_add(&payload, digest, sizeof(digest));
	zg_buf_add(&payload, m->state.ptr, m->state.len);
	zg_buf_reset(token);
	zg_buf_char(token, '"');
	if (rc == 0)
		rc = payload.error;
	if (rc == 0)
		rc = zg_seal(&r->live->seal, ZG_SEAL_STATE, &owner, zg_real_sec(), ZG_STATE_TTL_SEC,
			     zg_buf_slice(&payload), token);
	zg_buf_char(token, '"');
	if (rc < 0 || !zg_buf_ok(token))
		return zg_withhold(r, rc < 0 ? rc : token->error,
				   "its requestState could not be sealed");
	return splice(r, m, in_result(m->text, "requestState"), zg_buf_slice(token));
}

/*
 * Lists are filtered and secrets masked for one caller, whom no cache beside
 * the client's own can tell from another: what a server calls public is not so
 * behind a gateway. An absent scope is read as public by some.
 */
int zg_cache_private(struct zg_request *r, struct zg_server_message *m)
{
	struct zg_slice result, scope;

	if (!has_rounds(r) || !mentions(m->text, ZG_SLICE("ttlMs")))
		return 0;
	result = zg_json_member(zg_slice_trim(m->text), "result");
	if (!result.ptr || !zg_json_member(result, "ttlMs").ptr)
		return 0;
	scope = zg_json_member(result, "cacheScope");
	if (scope.ptr && zg_slice_eq(scope, ZG_SLICE("\"private\"")))
		return 0;
	if (scope.ptr)
		return splice(r, m, scope, ZG_SLICE("\"private\""));
	return splice(r, m, (struct zg_slice){result.ptr, 1},
		      ZG_SLICE("{\"cacheScope\":\"private\","));
}

/* in: from the client ------------------------------------------------------------ */

/* The body says what the server said; params keep the token, whose text stands
 * for this round in digests and approvals. */
static int put_back(struct zg_request *r, struct zg_slice state)
{
	struct zg_slice body = zg_buf_slice(&r->body);
	struct zg_slice params = zg_json_member(zg_slice_trim(body), "params");
	struct zg_slice span =
		params.ptr ? zg_json_member(params, "requestState") : (struct zg_slice){0};
	struct zg_buf fresh = ZG_BUF(ZG_REQUEST_BYTES);

	if (!span.ptr)
		return -EBADMSG;
	zg_json_splice(body, span, state, &fresh);
	if (!zg_buf_ok(&fresh)) {
		int error = fresh.error;

		zg_buf_release(&fresh);
		return error;
	}
	zg_buf_release(&r->body);
	r->body = fresh;
	return 0;
}

enum zg_next zg_step_state(struct zg_request *r)
{
	const json_t *token = has_rounds(r) ? json_object_get(r->rpc.params, "requestState") : NULL;
	struct zg_seal_owner owner = {.principal = &r->principal,
				      .subject = zg_slice_str(r->subject)};
	uint8_t digest[DIGEST_BYTES];
	enum zg_seal_verdict v;
	struct zg_sealed s;

	if (!token || !r->server)
		return ZG_NEXT;
	owner.server = zg_slice_str(r->server->id);
	v = zg_seal_open(&r->live->seal, ZG_SEAL_STATE, &owner, zg_real_sec(), ZG_STATE_TTL_SEC,
			 (struct zg_slice){json_string_value(token), json_string_length(token)},
			 &r->worker->token, &s);
	if (v != ZG_SEAL_OPEN)
		return zg_refuse_token(r, 400, "requestState", v);
	if (digest_request(r, digest) < 0)
		return zg_refuse(r, 503, ZG_C_UNAVAILABLE, "no memory for the request's digest");
	if (s.payload.len < DIGEST_BYTES || memcmp(s.payload.ptr, digest, DIGEST_BYTES) != 0)
		return zg_refuse_token(r, 400, "requestState", ZG_SEAL_FOREIGN);
	if (put_back(r, (struct zg_slice){s.payload.ptr + DIGEST_BYTES,
					  s.payload.len - DIGEST_BYTES}) < 0)
		return zg_refuse(r, 413, ZG_C_HTTP, "the message with its state is too large");
	memcpy(r->state.id, s.id, sizeof(r->state.id));
	r->state.expires = s.expires;
	r->state.opened = true;
	return ZG_NEXT;
}

/* spending ------------------------------------------------------------------------- */

static void on_spend_time(evutil_socket_t fd ZG_UNUSED, short what ZG_UNUSED, void *arg)
{
	struct zg_request *r = arg;

	zg_worker_read_ledger(r->worker); /* a word that is on its way counts */
	if (r->state.told)
		return;
	r->state.told = true; /* refused */
	zg_request_run(r);
}

static enum zg_next ask_ledger(struct zg_request *r)
{
	static const struct timeval wait = {ZG_STATE_WAIT_MS / 1000,
					    (ZG_STATE_WAIT_MS % 1000) * 1000};
	struct zg_msg_token_use m = {.call = r->call, .expires = r->state.expires};

	memcpy(m.id, r->state.id, sizeof(m.id));
	if (r->worker->ledger < 0 || zg_msg_send(r->worker->ledger, ZG_MSG_TOKEN_USE, &m, -1) < 0)
		return zg_answer_with(r, ZG_A_FAIL, ZG_C_UNAVAILABLE,
				      "zerogate: the ledger cannot be reached");
	r->state.sent = true;
	if (event_initialized(&r->timer))
		(void)event_del(&r->timer);
	(void)event_assign(&r->timer, r->worker->base, -1, 0, on_spend_time, r);
	(void)event_add(&r->timer, &wait);
	return ZG_WAIT;
}

/* After everything else has said yes: from here on the state is used up. */
enum zg_next zg_step_spend(struct zg_request *r)
{
	if (!r->state.opened)
		return ZG_NEXT;
	if (!r->state.sent)
		return ask_ledger(r);
	if (!r->state.told)
		return ZG_WAIT;
	(void)event_del(&r->timer);
	switch (r->state.word) {
	case ZG_TOKEN_FRESH:
		return ZG_NEXT;
	case ZG_TOKEN_USED_UP:
		return zg_refuse(r, 400, ZG_C_TOKEN,
				 "requestState was used before; start the call anew");
	case ZG_TOKEN_REFUSED:
		break;
	}
	return zg_answer_with(r, ZG_A_FAIL, ZG_C_UNAVAILABLE,
			      "zerogate: the use of this requestState cannot be recorded; start "
			      "the call anew");
}

void zg_state_used(struct zg_worker *w, const struct zg_msg_token_used *m)
{
	struct zg_request *r = zg_request_of(w, m->call);

	if (!r || !r->state.sent || r->state.told)
		return;
	r->state.told = true;
	r->state.word = m->state == ZG_TOKEN_FRESH     ? ZG_TOKEN_FRESH
			: m->state == ZG_TOKEN_USED_UP ? ZG_TOKEN_USED_UP
						       : ZG_TOKEN_REFUSED;
	zg_request_run(r);
}
