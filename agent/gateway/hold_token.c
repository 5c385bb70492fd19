/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hold_token.c - see hold_way.h: tokens with which a client comes back to a call
 * that waits for a person, and the call they hold. Trust: a token is the
 * client's until it has been opened (seal.h); what it holds then is read and
 * judged like any message.
 */
#include <errno.h>

#include "hold_way.h"
#include "json_span.h"

static struct zg_seal_owner owner_of(const struct zg_request *r)
{
	return (struct zg_seal_owner){zg_slice_str(r->server->id), &r->principal,
				      zg_slice_str(r->subject)};
}

/* As long as the approval itself can live. */
static uint32_t ttl_of(const struct zg_request *r)
{
	uint32_t sec = r->live->snap.settings->approval_ttl_sec;

	return sec ? sec : ZG_APPROVAL_TTL_SEC;
}

int zg_wait_seal(struct zg_request *r, enum zg_seal_purpose purpose, struct zg_slice payload,
		 struct zg_buf *out)
{
	struct zg_seal_owner owner = owner_of(r);

	zg_buf_reset(out);
	return zg_seal(&r->live->seal, purpose, &owner, zg_real_sec(), ttl_of(r), payload, out);
}

enum zg_seal_verdict zg_wait_open(struct zg_request *r, enum zg_seal_purpose purpose,
				  struct zg_slice token, size_t max, struct zg_slice *payload)
{
	struct zg_seal_owner owner = owner_of(r);
	struct zg_sealed s;
	enum zg_seal_verdict v = zg_seal_open(&r->live->seal, purpose, &owner, zg_real_sec(),
					      ttl_of(r), token, &r->worker->token, &s);

	if (v != ZG_SEAL_OPEN)
		return v;
	payload->ptr = s.payload.len <= max ? zg_arena_copy(&r->arena, s.payload) : NULL;
	payload->len = s.payload.len;
	return payload->ptr ? v : ZG_SEAL_FOREIGN;
}

int zg_wait_retell(struct zg_request *r, struct zg_slice body)
{
	const char *why;

	zg_buf_reset(&r->body);
	zg_buf_add(&r->body, body.ptr, body.len);
	if (!zg_buf_ok(&r->body))
		return r->body.error;
	zg_rpc_release(&r->rpc);
	return zg_rpc_parse(&r->rpc, zg_buf_slice(&r->body), &why) ? -EBADMSG : 0;
}

void zg_wait_members(struct zg_slice object, const char *const *but, struct zg_buf *out)
{
	struct zg_json_item item;
	size_t at = 0;

	while (zg_json_next(object, &at, &item)) {
		const char *const *skip = but;

		while (*skip && !zg_json_is(item.name, *skip))
			skip++;
		if (*skip)
			continue;
		zg_buf_add(out, item.name.ptr, item.name.len);
		zg_buf_char(out, ':');
		zg_buf_add(out, item.value.ptr, item.value.len);
		zg_buf_char(out, ',');
	}
}

enum zg_next zg_wait_result(struct zg_request *r, struct zg_slice json, const char *text)
{
	const char *copy = zg_arena_copy(&r->arena, json);

	(void)zg_answer_with(r, ZG_A_DENY, ZG_C_PENDING, "%s", text);
	if (copy)
		r->answer.result = (struct zg_slice){copy, json.len};
	return ZG_ANSWER;
}
