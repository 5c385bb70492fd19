/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hold_progress.c - a client that gave a progress token hears, while its call
 * waits for a person, that it does: clients that count their time from the last
 * progress wait longer than others. The answer follows on the same stream.
 */
#include <strings.h>

#include "endpoint.h"
#include "hold_way.h"

static const json_t *token_of(const struct zg_request *r)
{
	return json_object_get(json_object_get(r->rpc.params, "_meta"), "progressToken");
}

/* Pipes and the streams of HTTP+SSE are open already. */
static bool takes_events(const struct zg_request *r)
{
	struct zg_slice accept = r->head.field[ZG_HF_ACCEPT];
	static const struct zg_slice stream = {"text/event-stream", 17};

	if (r->local || (r->door == ZG_DOOR_MESSAGES && r->endpoint.stream))
		return true;
	for (size_t i = 0; i + stream.len <= accept.len; i++)
		if (strncasecmp(accept.ptr + i, stream.ptr, stream.len) == 0)
			return true;
	return false;
}

bool zg_progress_fits(const struct zg_request *r)
{
	const json_t *token = token_of(r);

	return (json_is_integer(token) ||
		(json_is_string(token) && json_string_length(token) < ZG_RPC_ID_BYTES)) &&
	       takes_events(r);
}

uint32_t zg_progress_sec(const struct zg_request *r ZG_UNUSED)
{
	return ZG_HOLD_PROGRESS_SEC;
}

static void say(struct zg_request *r, struct zg_slice message)
{
	struct zg_buf *event = &r->worker->token;

	if (r->door == ZG_DOOR_MESSAGES) {
		zg_relay_say(r, message);
		return;
	}
	if (!r->hold.streaming)
		zg_client_stream_begin(r->client, (struct zg_slice){0});
	r->hold.streaming = true;
	zg_buf_reset(event);
	zg_buf_str(event, "data: ");
	zg_buf_add(event, message.ptr, message.len);
	zg_buf_str(event, "\n\n");
	if (zg_buf_ok(event))
		zg_client_stream_write(r->client, zg_buf_slice(event));
}

void zg_progress_tick(struct zg_request *r)
{
	struct zg_buf *text = &r->worker->splice;
	char votes[ZG_VOTES_LEN];
	char *token;

	if (!r->client || !r->hold.approval[0] || zg_client_backlog(r->client))
		return;
	token = json_dumps(token_of(r), JSON_ENCODE_ANY | JSON_COMPACT);
	if (!token)
		return;
	/* it has to increase all the way, and the server's own begins after ours */
	zg_buf_reset(text);
	zg_buf_fmt(text,
		   "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":"
		   "{\"progressToken\":%s,\"progress\":%.6f,\"message\":\"waiting for approval ",
		   token, 1e-6 * ++r->hold.ticks);
	free(token);
	zg_buf_str(text, r->hold.approval);
	zg_buf_str(text, zg_hold_votes(r, votes));
	zg_buf_str(text, "\"}}");
	if (zg_buf_ok(text))
		say(r, zg_buf_slice(text));
}
