/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session.c - what a server gives a client to come back with (session ids, ids
 * of events), sealed for the caller whom the kernel attested and opened before
 * it is sent on. Trust: ids of servers are checked before they are sealed,
 * tokens of clients before they are believed. A token is never a proof of who
 * calls: the kernel says that, and policy judges each call anew.
 */
#include <errno.h>

#include "endpoint.h"
#include "request.h"

enum zg_next zg_refuse_token(struct zg_request *r, int status, const char *what,
			     enum zg_seal_verdict v)
{
	r->recorded = zg_request_text(r, "%s refused: %s", what, zg_seal_text(v));
	return zg_refuse(r, status, ZG_C_TOKEN, "%s %s", what,
			 v == ZG_SEAL_EXPIRED ? "has expired" : "is not known here");
}

static struct zg_seal_owner owner_of(const struct zg_request *r)
{
	return (struct zg_seal_owner){zg_slice_str(r->server->id), &r->principal,
				      zg_slice_str(r->subject)};
}

static enum zg_seal_verdict open_field(struct zg_request *r, enum zg_seal_purpose purpose,
				       struct zg_slice *field)
{
	struct zg_seal_owner owner = owner_of(r);
	struct zg_sealed s;
	const char *copy;
	enum zg_seal_verdict v = zg_seal_open(&r->live->seal, purpose, &owner, zg_real_sec(),
					      ZG_SESSION_TTL_SEC, *field, &r->worker->scratch, &s);

	if (v != ZG_SEAL_OPEN)
		return v;
	copy = zg_arena_copy(&r->arena, s.payload);
	if (!copy)
		return ZG_SEAL_MALFORMED;
	*field = (struct zg_slice){copy, s.payload.len};
	return v;
}

/* Before judgement: a request in a session that is not the caller's own is none. */
enum zg_next zg_step_session(struct zg_request *r)
{
	struct zg_slice *session = &r->head.field[ZG_HF_MCP_SESSION_ID];
	struct zg_slice *event = &r->head.field[ZG_HF_LAST_EVENT_ID];
	struct zg_slice token = *session;
	enum zg_seal_verdict v;

	if (!r->server)
		return ZG_NEXT; /* denied next */
	if (session->ptr) {
		v = open_field(r, ZG_SEAL_SESSION, session);
		if (v != ZG_SEAL_OPEN) /* on a 404 clients initialise anew */
			return zg_refuse_token(r, 404, "the session", v);
		r->session_token = token;
	} else if (event->ptr) {
		v = open_field(r, ZG_SEAL_EVENT, event);
		if (v != ZG_SEAL_OPEN)
			return zg_refuse_token(r, 400, "Last-Event-ID", v);
	}
	return r->door == ZG_DOOR_MESSAGES ? zg_endpoint_open(r) : ZG_NEXT;
}

/* Visible ASCII (blanks are allowed in ids of events): it stands in a header. */
static bool fits(struct zg_slice id, char least)
{
	for (size_t i = 0; i < id.len; i++)
		if (id.ptr[i] < least || id.ptr[i] > 0x7e)
			return false;
	return id.len > 0 && id.len <= ZG_SESSION_ID_BYTES;
}

static int seal(struct zg_request *r, enum zg_seal_purpose purpose, struct zg_slice id,
		struct zg_buf *out)
{
	struct zg_seal_owner owner = owner_of(r);

	zg_buf_reset(out);
	return zg_seal(&r->live->seal, purpose, &owner, zg_real_sec(), ZG_SESSION_TTL_SEC, id, out);
}

int zg_session_seal(struct zg_request *r)
{
	struct zg_slice *id = &r->output.session;
	struct zg_buf *token = &r->worker->token;
	const char *copy;
	int rc;

	/* servers repeat it in every answer: clients then keep the token they have */
	if (r->session_token.ptr && zg_slice_eq(*id, r->head.field[ZG_HF_MCP_SESSION_ID])) {
		*id = r->session_token;
		return 0;
	}
	if (!fits(*id, 0x21))
		return -EBADMSG;
	rc = seal(r, ZG_SEAL_SESSION, *id, token);
	if (rc < 0)
		return rc;
	copy = zg_arena_copy(&r->arena, zg_buf_slice(token));
	if (!copy)
		return -ENOMEM;
	*id = (struct zg_slice){copy, token->len};
	return 0;
}

int zg_session_event_id(struct zg_request *r, struct zg_slice id, struct zg_slice *out)
{
	struct zg_buf *token = &r->worker->token;
	int rc;

	/* one that could not come back as a header is of no use to anybody */
	if (r->session_token.ptr || r->output.session.ptr || zg_era_modern(r->era) ||
	    !fits(id, 0x20))
		return 0;
	rc = seal(r, ZG_SEAL_EVENT, id, token);
	if (rc == 0)
		*out = zg_buf_slice(token);
	return rc;
}
