/* SPDX-License-Identifier: Apache-2.0 */
/*
 * batch.c - see batch.h. Trust: the messages are the client's. To a member's
 * request this is a client (client.h), to the client it is one request, which
 * waits here until all members have ended.
 */
#include "batch.h"

#include "request.h"

#define FAILURE_BYTES 512 /* what put_failure writes at most */

struct member {
	struct zg_client client; /* first */
	struct zg_batch *batch;
	struct zg_request *request; /* NULL: not begun, or over */
	struct zg_slice text;
	bool silent;	/* a notification or a response: it gets no answer */
	size_t at, len; /* of its answer in the batch's */
};

struct zg_batch {
	struct zg_request *outer;
	json_t *tree;
	struct zg_buf answers;
	size_t count, next, running;
	int status;	/* of all members so far, if it is the same; 200 if not */
	bool streaming; /* the client gets events */
	bool cut;
	bool pumping; /* members that end at once must not recurse */
	struct member member[ZG_BATCH_MAX];
};

static const struct zg_client_ops member_ops;

size_t zg_batch_split(struct zg_slice text, struct zg_slice *out, size_t max)
{
	size_t depth = 0, count = 0, from = 0;
	bool string = false;

	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];

		if (string) {
			i += c == '\\';
			string = c != '"';
			continue;
		}
		string = c == '"';
		if ((c == ',' && depth == 1) || (c == ']' && depth == 1)) {
			struct zg_slice one =
				zg_slice_trim((struct zg_slice){text.ptr + from, i - from});

			if (one.len && count < max)
				out[count] = one;
			count += one.len > 0;
			from = i + 1;
		}
		if (c == '[' || c == '{') {
			if (depth++ == 0)
				from = i + 1;
		} else if (c == ']' || c == '}') {
			depth--;
		}
	}
	return count;
}

/* answers ------------------------------------------------------------------- */

static void send_event(struct zg_batch *b, struct zg_slice json)
{
	struct zg_buf *event = &b->outer->worker->scratch;
	struct zg_sse_event none = {.raw = {"data:\n\n", 7}};

	zg_buf_reset(event);
	zg_sse_rewrite(&none, NULL, &json, event);
	if (b->outer->client && zg_buf_ok(event))
		zg_client_stream_write(b->outer->client, zg_buf_slice(event));
}

/* What a request is told if its own words do not fit, or there are none. */
static void put_failure(struct zg_batch *b, const struct member *m, struct zg_buf *out)
{
	const json_t *one = json_array_get(b->tree, (size_t)(m - b->member));
	struct zg_rpc q = {0};
	const char *why;

	if (zg_rpc_parse(&q, m->text, &why) || !one)
		q.id[0] = '\0';
	zg_buf_fmt(out,
		   "{\"jsonrpc\":\"2.0\",\"id\":%s,\"error\":{\"code\":%d,\"message\":"
		   "\"zerogate: the answer does not fit into the batch's\"}}",
		   q.id[0] ? q.id : "null", ZG_C_UNAVAILABLE);
	zg_rpc_release(&q);
}

static void keep_answer(struct zg_batch *b, struct member *m, struct zg_slice json)
{
	m->at = b->answers.len;
	if (json.len && json.len + b->answers.len <= ZG_RESPONSE_BYTES)
		zg_buf_add(&b->answers, json.ptr, json.len);
	else
		put_failure(b, m, &b->answers);
	m->len = b->answers.len - m->at;
}

static struct zg_slice answer_of(const struct member *m)
{
	return (struct zg_slice){m->batch->answers.ptr + m->at, m->len};
}

static void pump(struct zg_batch *b);

static void ended(struct member *m)
{
	struct zg_batch *b = m->batch;

	m->request = NULL;
	b->running--;
	pump(b);
}

static struct member *member_of(struct zg_client *c)
{
	return (struct member *)c;
}

static void on_finish(struct zg_client *c, const struct zg_http_answer *a)
{
	struct member *m = member_of(c);
	struct zg_batch *b = m->batch;

	b->status = !b->status || b->status == a->status ? a->status : 200;
	if (!m->silent && b->streaming && a->body.len) {
		send_event(b, a->body);
	} else if (!m->silent) {
		keep_answer(b, m, a->body);
		if (b->streaming)
			send_event(b, answer_of(m));
	}
	ended(m);
}

static void on_stream_begin(struct zg_client *c, struct zg_slice session)
{
	struct zg_batch *b = member_of(c)->batch;

	b->status = 200;
	if (b->streaming)
		return;
	b->streaming = true;
	zg_client_stream_begin(b->outer->client, session);
	for (size_t i = 0; i < b->next; i++)
		if (b->member[i].len)
			send_event(b, answer_of(&b->member[i]));
}

static void on_stream_write(struct zg_client *c, struct zg_slice bytes)
{
	zg_client_stream_write(member_of(c)->batch->outer->client, bytes);
}

static void on_stream_end(struct zg_client *c, bool cut)
{
	member_of(c)->batch->cut |= cut;
	ended(member_of(c));
}

static size_t on_backlog(const struct zg_client *c)
{
	const struct zg_batch *b = ((const struct member *)c)->batch;

	return b->streaming ? zg_client_backlog(b->outer->client) : 0;
}

static void on_want_body(struct zg_client *c ZG_UNUSED)
{
	/* never asked: a member's body is there from the start */
}

static const struct zg_client_ops member_ops = {
	.want_body = on_want_body,
	.finish = on_finish,
	.stream_begin = on_stream_begin,
	.stream_write = on_stream_write,
	.stream_end = on_stream_end,
	.backlog = on_backlog,
};

/* members ------------------------------------------------------------------- */

static void copy(struct zg_request *r, struct zg_slice *s)
{
	if (s->ptr)
		s->ptr = zg_arena_copy(&r->arena, *s);
}

/* The head is the batch's, in memory of the member's own: it may outlive it. */
static bool fill_request(struct zg_request *r, const struct zg_request *outer, struct zg_slice text)
{
	r->attested = outer->attested;
	r->origin = outer->origin;
	r->era = outer->era;
	r->head = outer->head;
	copy(r, &r->head.target);
	for (int f = 0; f < ZG_HF_MAX; f++)
		copy(r, &r->head.field[f]);
	if (!zg_request_keep_extra(r))
		return false;
	for (size_t i = 0; i < r->head.extra_count; i++) {
		copy(r, &r->head.extra[i].name);
		copy(r, &r->head.extra[i].value);
	}
	zg_buf_add(&r->body, text.ptr, text.len);
	r->body_complete = true;
	return zg_arena_ok(&r->arena) && zg_buf_ok(&r->body);
}

static void begin(struct zg_batch *b, struct member *m)
{
	m->request = zg_request_new(b->outer->worker, &m->client);
	if (!m->request) {
		if (!m->silent)
			keep_answer(b, m, (struct zg_slice){0});
		return;
	}
	b->running++;
	if (fill_request(m->request, b->outer, m->text)) {
		zg_request_run(m->request);
		return;
	}
	(void)zg_refuse(m->request, 503, ZG_C_UNAVAILABLE, "no memory");
	m->request->step = UINT32_MAX; /* no step is run; it is recorded and answered */
	zg_request_run(m->request);
}

/* Begin as many as may run; when all are over, the batch goes on. */
static void pump(struct zg_batch *b)
{
	if (b->pumping)
		return;
	b->pumping = true;
	while (b->next < b->count && b->running < ZG_BATCH_RUNNING)
		begin(b, &b->member[b->next++]);
	b->pumping = false;
	if (b->next == b->count && !b->running)
		zg_request_run(b->outer); /* does nothing if that has called us */
}

/* the step ------------------------------------------------------------------ */

static bool is_silent(const json_t *one)
{
	return json_object_get(one, "method")
		       ? !json_object_get(one, "id")
		       : json_object_get(one, "result") || json_object_get(one, "error");
}

/* What makes the whole of it no batch; NULL: nothing. */
static const char *check(const json_t *tree)
{
	size_t n = json_array_size(tree);

	if (!n)
		return "the batch is empty";
	if (n > ZG_BATCH_MAX)
		return "the batch has too many messages";
	for (size_t i = 0; i < n; i++) {
		const json_t *one = json_array_get(tree, i);
		const json_t *method = json_object_get(one, "method");
		const json_t *id = method ? json_object_get(one, "id") : NULL;

		if (json_is_string(method) && !strcmp(json_string_value(method), "initialize"))
			return "initialize cannot be part of a batch";
		for (size_t j = 0; id && j < i; j++) {
			const json_t *other = json_array_get(tree, j);

			if (json_object_get(other, "method") &&
			    json_equal(id, json_object_get(other, "id")))
				return "two requests of the batch have the same id";
		}
	}
	return NULL;
}

static enum zg_next start(struct zg_request *r, json_t *tree)
{
	struct zg_slice text[ZG_BATCH_MAX];
	struct zg_batch *b = calloc(1, sizeof(*b));

	if (!b) {
		json_decref(tree);
		return zg_refuse(r, 503, ZG_C_UNAVAILABLE, "no memory");
	}
	b->outer = r;
	b->tree = tree;
	b->answers = ZG_BUF(ZG_RESPONSE_BYTES + ZG_BATCH_MAX * FAILURE_BYTES);
	r->batch = b;
	b->count = zg_batch_split(zg_buf_slice(&r->body), text, ZG_BATCH_MAX);
	if (b->count != json_array_size(tree))
		return zg_refuse(r, 400, ZG_RPC_INVALID_REQUEST, "the batch cannot be read");
	for (size_t i = 0; i < b->count; i++) {
		b->member[i] =
			(struct member){.client = {&member_ops}, .batch = b, .text = text[i]};
		b->member[i].silent = is_silent(json_array_get(tree, i));
	}
	pump(b);
	return ZG_NEXT;
}

static bool is_batch(const struct zg_request *r)
{
	struct zg_slice text = zg_slice_trim(zg_buf_slice(&r->body));

	return r->head.method == ZG_HM_POST && text.len && text.ptr[0] == '[';
}

enum zg_next zg_step_batch(struct zg_request *r)
{
	struct zg_slice requested = {0};
	const char *why = "";
	json_t *tree;
	int code;

	if (!r->batch) {
		if (!is_batch(r))
			return ZG_NEXT;
		if (r->local)
			return zg_refuse(r, 400, ZG_RPC_INVALID_REQUEST,
					 "there are no batches over pipes");
		code = zg_era_judge(&r->era, r->head.field[ZG_HF_MCP_PROTOCOL_VERSION], &r->rpc,
				    &requested, &why);
		r->requested_version = requested;
		if (code)
			return zg_refuse(r, 400, code, "%s", why);
		if (!zg_era_batches(r->era))
			return zg_refuse(r, 400, ZG_RPC_INVALID_REQUEST,
					 "this version of the protocol has no batches");
		tree = zg_rpc_tree(zg_buf_slice(&r->body));
		if (!tree)
			return zg_refuse(r, 400, ZG_RPC_PARSE_ERROR,
					 "the batch is not strict JSON, or too large");
		why = check(tree);
		if (why) {
			json_decref(tree);
			return zg_refuse(r, 400, ZG_RPC_INVALID_REQUEST, "%s", why);
		}
		if (start(r, tree) == ZG_ANSWER)
			return ZG_ANSWER;
	}
	if (r->batch->next < r->batch->count || r->batch->running)
		return ZG_WAIT;
	r->answer.kind = ZG_A_BATCH;
	return ZG_ANSWER;
}

void zg_batch_reply(struct zg_request *r)
{
	const struct zg_batch *b = r->batch;
	struct zg_buf *out = &r->output.released;
	struct zg_http_answer a = {.status = b->status ? b->status : 202};
	const char *comma = "[";

	if (b->streaming) {
		zg_client_stream_end(r->client, b->cut);
		return;
	}
	zg_buf_reset(out);
	for (size_t i = 0; i < b->count; i++) {
		if (!b->member[i].len)
			continue;
		zg_buf_str(out, comma);
		zg_buf_add(out, answer_of(&b->member[i]).ptr, b->member[i].len);
		comma = ",";
	}
	if (out->len) {
		zg_buf_char(out, ']');
		a.type = ZG_SLICE("application/json");
		a.status = a.status < 300 ? 200 : a.status;
	}
	if (!zg_buf_ok(out)) {
		zg_buf_reset(out);
		a = (struct zg_http_answer){.status = 503};
	}
	a.body = zg_buf_slice(out);
	zg_client_finish(r->client, &a);
}

void zg_batch_client_gone(struct zg_request *r)
{
	struct zg_batch *b = r->batch;

	b->pumping = true; /* nothing more begins */
	for (size_t i = 0; i < b->next; i++) {
		struct zg_request *member = b->member[i].request;

		b->member[i].request = NULL;
		if (member)
			zg_request_client_gone(member);
	}
}

void zg_batch_drained(struct zg_request *r)
{
	for (size_t i = 0; i < r->batch->next; i++)
		if (r->batch->member[i].request)
			zg_request_client_drained(r->batch->member[i].request);
}

void zg_batch_free(struct zg_batch *b)
{
	if (!b)
		return;
	json_decref(b->tree);
	zg_buf_release(&b->answers);
	free(b);
}
