/* SPDX-License-Identifier: Apache-2.0 */
/*
 * relay.c - what has to be said on a stream of HTTP+SSE by a worker that need
 * not hold it (endpoint.h): one bounded message through the parent, dropped
 * where nobody takes it. Trust: the text is a sibling's; a stream is found by
 * its number alone, which no other stream of this host ever had.
 */
#include <errno.h>

#include "endpoint.h"
#include "ipc.h"
#include "request.h"
#include "upstream.h"

/* A call that the server has, on the stream where its answer must come. */
struct zg_expected {
	LIST_ENTRY(zg_expected) link;
	struct zg_request *stream;
	struct event timer;
	uint64_t call;
	bool limited;
	char id[ZG_RPC_ID_BYTES];
	char message[]; /* if it does not */
};

static void forget(struct zg_expected *x, enum zg_quota_end end)
{
	if (x->limited)
		zg_quota_late(x->stream->worker, x->call, end);
	LIST_REMOVE(x, link);
	x->stream->endpoint.expecting--;
	(void)event_del(&x->timer);
	free(x);
}

void zg_relay_end(struct zg_request *stream)
{
	struct zg_expected *x;

	while ((x = LIST_FIRST(&stream->endpoint.expected)))
		forget(x, ZG_QE_FAILED);
}

/* the stream's side --------------------------------------------------------------- */

static void say(struct zg_request *stream, const char *message)
{
	struct zg_buf *event = &stream->worker->scratch;

	zg_buf_reset(event);
	zg_buf_str(event, "event: message\ndata: ");
	zg_buf_str(event, message);
	zg_buf_str(event, "\n\n");
	if (zg_buf_ok(event) && stream->client)
		zg_client_stream_write(stream->client, zg_buf_slice(event));
}

static void on_time(evutil_socket_t fd ZG_UNUSED, short what ZG_UNUSED, void *arg)
{
	struct zg_expected *x = arg;

	zg_upstream_cancel(x->stream, x->id);
	say(x->stream, x->message);
	zg_evidence_late(x->stream, x->call, ZG_O_TIMEOUT, 0);
	forget(x, ZG_QE_FAILED);
}

/* Ids of answers that came before anybody said that they were expected. */
static uint64_t hash_id(const char *id, size_t len)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325); /* FNV-1a: a hint, not a proof */

	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)id[i]) * UINT64_C(0x100000001b3);
	return h ? h : 1;
}

static bool came_early(struct zg_request *stream, const char *id)
{
	uint64_t h = hash_id(id, strlen(id));

	for (size_t i = 0; i < ZG_EARLY_ANSWERS; i++) {
		if (stream->endpoint.early[i] != h)
			continue;
		stream->endpoint.early[i] = 0;
		return true;
	}
	return false;
}

static void expect(struct zg_request *stream, const struct zg_msg_relay *m)
{
	const struct timeval limit = {m->sec, 0};
	struct zg_expected *x;

	if (came_early(stream, m->id)) {
		if (m->limited)
			zg_quota_late(stream->worker, m->call, ZG_QE_NEUTRAL);
		return;
	}
	x = stream->endpoint.expecting < ZG_EXPECTED_MAX ? malloc(sizeof(*x) + m->bytes + 1) : NULL;
	if (!x) { /* what cannot be bounded does not run */
		if (m->limited)
			zg_quota_late(stream->worker, m->call, ZG_QE_FAILED);
		zg_upstream_cancel(stream, m->id);
		say(stream, m->text);
		return;
	}
	x->stream = stream;
	x->call = m->call;
	x->limited = m->limited != 0;
	memcpy(x->id, m->id, sizeof(x->id));
	memcpy(x->message, m->text, m->bytes + 1);
	LIST_INSERT_HEAD(&stream->endpoint.expected, x, link);
	stream->endpoint.expecting++;
	(void)event_assign(&x->timer, stream->worker->base, -1, 0, on_time, x);
	(void)event_add(&x->timer, &limit);
}

/* Both are JSON; servers may write an id in another way than clients did. */
static bool same_id(const char *ours, struct zg_slice theirs)
{
	json_t *a, *b;
	bool same;

	if (zg_slice_eq(theirs, zg_slice_str(ours)))
		return true;
	if (!theirs.len || (theirs.ptr[0] == '"') != (ours[0] == '"'))
		return false;
	a = json_loads(ours, JSON_DECODE_ANY, NULL);
	b = json_loadb(theirs.ptr, theirs.len, JSON_DECODE_ANY, NULL);
	same = json_equal(a, b);
	json_decref(a);
	json_decref(b);
	return same;
}

static struct zg_expected *find(struct zg_request *stream, struct zg_slice id)
{
	struct zg_expected *x;

	LIST_FOREACH(x, &stream->endpoint.expected, link)
	{
		if (same_id(x->id, id))
			return x;
	}
	return NULL;
}

void zg_relay_answered(struct zg_request *stream, const struct zg_json_facts *answer)
{
	struct zg_expected *x = find(stream, answer->id);
	uint64_t *early = stream->endpoint.early;

	if (x) {
		zg_evidence_late(stream, x->call,
				 answer->error.ptr  ? ZG_O_RPC_ERROR
				 : answer->is_error ? ZG_O_TOOL_ERROR
						    : ZG_O_OK,
				 answer->result.len);
		forget(x, answer->error.ptr || answer->is_error ? ZG_QE_FAILED : ZG_QE_DONE);
		return;
	}
	if (!answer->id.len)
		return;
	memmove(early + 1, early, (ZG_EARLY_ANSWERS - 1) * sizeof(*early));
	early[0] = hash_id(answer->id.ptr, answer->id.len);
}

/* Its client does not want it any more: no answer has to come. */
static void cancelled(struct zg_request *stream, const char *id)
{
	struct zg_expected *x = find(stream, zg_slice_str(id));

	if (!x)
		return;
	zg_evidence_late(stream, x->call, ZG_O_CANCELLED, 0);
	forget(x, ZG_QE_FAILED);
}

void zg_relay_take(struct zg_worker *w, struct zg_msg_relay *m)
{
	struct zg_request *r;

	ZG_MSG_TEXT(m->id);
	ZG_MSG_TEXT(m->text);
	m->bytes = (uint32_t)strlen(m->text);
	if (strpbrk(m->text, "\r\n"))
		return; /* one line is one message */
	r = zg_request_of(w, m->stream);
	if (!r || r->door != ZG_DOOR_SSE || !r->output.streaming)
		return;
	if (!m->bytes)
		cancelled(r, m->id);
	else if (m->sec)
		expect(r, m);
	else
		say(r, m->text);
}

/* the POST's side --------------------------------------------------------------------- */

static void relay(struct zg_request *post, const char *id, struct zg_slice message, uint32_t sec)
{
	struct zg_worker *w = post->worker;
	struct zg_msg_relay m = {
		.stream = post->endpoint.stream,
		.call = post->call,
		.worker = post->endpoint.worker,
		.sec = sec,
		.limited = sec && post->quota.elsewhere,
	};

	if (message.len >= sizeof(m.text)) {
		w->unrelayed++;
		return;
	}
	if (message.len)
		memcpy(m.text, message.ptr, message.len);
	(void)zg_str_cut(m.id, sizeof(m.id), zg_slice_str(id));
	if (m.worker == w->index)
		zg_relay_take(w, &m);
	else if (zg_msg_send(w->channel, ZG_MSG_RELAY, &m, -1) < 0)
		w->unrelayed++;
}

void zg_relay_say(struct zg_request *post, struct zg_slice message)
{
	relay(post, post->rpc.id, message, 0);
}

void zg_relay_expect(struct zg_request *post, struct zg_slice message)
{
	uint64_t spent = (zg_now_ns() - post->dispatched_ns) / UINT64_C(1000000000);

	post->quota.elsewhere = zg_quota_limited(post);
	relay(post, post->rpc.id, message,
	      spent < post->runtime_sec ? post->runtime_sec - (uint32_t)spent : 1);
}

void zg_relay_cancelled(struct zg_request *post)
{
	const json_t *id = json_object_get(post->rpc.params, "requestId");
	char text[ZG_RPC_ID_BYTES];
	size_t n = id ? json_dumpb(id, text, sizeof(text) - 1, JSON_ENCODE_ANY | JSON_COMPACT) : 0;

	if (!n || n >= sizeof(text))
		return;
	text[n] = '\0';
	relay(post, text, (struct zg_slice){0}, 0);
}
