/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hold_task.c - a call that waits for a person as a task: the extension
 * io.modelcontextprotocol/tasks of 2026-07-28, and the experimental tasks of
 * 2025-11-25. The task's id is a sealed token that holds the call, so that no
 * worker keeps anything: what is asked of the task becomes the call again, is
 * judged again, and is executed by whoever first comes for its result
 * (tasks/get; tasks/result in 2025-11-25) after its approval, which is good for
 * once. Ids that do not open here are the server's. Trust: see hold_token.c.
 *
 * The server never hears of the task: it is asked for the result itself, and not
 * told of what its client could be asked in between.
 */
#include <errno.h>
#include <time.h>

#include "hold_way.h"
#include "json_span.h"
#include "server_message.h"

#define TASKS	     "io.modelcontextprotocol/tasks"
#define CAPABILITIES "io.modelcontextprotocol/clientCapabilities"
#define RELATED	     "io.modelcontextprotocol/related-task"
#define IMMEDIATE    "io.modelcontextprotocol/model-immediate-response"

static bool declares(const struct zg_request *r)
{
	const json_t *meta = json_object_get(r->rpc.params, "_meta");
	const json_t *caps = json_object_get(meta, CAPABILITIES);

	return json_is_object(json_object_get(json_object_get(caps, "extensions"), TASKS));
}

bool zg_task_fits(const struct zg_request *r)
{
	if (!zg_slice_eq(r->rpc.method, ZG_SLICE("tools/call")) || r->state.opened ||
	    r->hold.claim[0] || r->body.len > ZG_TASK_BYTES)
		return false;
	if (zg_era_modern(r->era))
		return declares(r);
	return r->era == ZG_ERA_2025_11_25 &&
	       json_is_object(json_object_get(r->rpc.params, "task"));
}

/* the task as its client sees it ------------------------------------------------ */

static void put_time(uint64_t sec, struct zg_buf *out)
{
	time_t t = (time_t)sec;
	struct tm tm;
	char text[32];

	if (gmtime_r(&t, &tm) && strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm))
		zg_buf_fmt(out, "\"%s\"", text);
	else
		zg_buf_str(out, "\"\"");
}

/* Its members, without braces. */
static void put_task(const struct zg_request *r, const char *status, const char *message,
		     struct zg_buf *out)
{
	const bool modern = zg_era_modern(r->era);
	uint32_t ttl = r->live->snap.settings->approval_ttl_sec;

	zg_buf_str(out, "\"taskId\":\"");
	zg_buf_add(out, r->hold.task_id.ptr, r->hold.task_id.len);
	zg_buf_fmt(out, "\",\"status\":\"%s\",\"statusMessage\":", status);
	zg_buf_json(out, zg_slice_str(message));
	zg_buf_str(out, ",\"createdAt\":");
	put_time(r->hold.created, out);
	zg_buf_str(out, ",\"lastUpdatedAt\":");
	put_time(zg_real_sec(), out);
	zg_buf_fmt(out, ",\"ttl%s\":%llu,\"pollInterval%s\":%d", modern ? "Ms" : "",
		   (unsigned long long)(ttl ? ttl : ZG_APPROVAL_TTL_SEC) * 1000, modern ? "Ms" : "",
		   ZG_TASK_POLL_MS);
}

/* The answer is the task as it stands; it is not recorded, its approval is. */
static enum zg_next show(struct zg_request *r, const char *status, const char *message)
{
	zg_autobuf out = ZG_BUF(4 * ZG_SEAL_PAYLOAD);

	zg_buf_str(&out, zg_era_modern(r->era) ? "{\"resultType\":\"complete\"," : "{");
	put_task(r, status, message, &out);
	zg_buf_char(&out, '}');
	if (!zg_buf_ok(&out))
		return zg_answer_with(r, ZG_A_FAIL, ZG_C_UNAVAILABLE, "zerogate: no memory");
	r->quiet = true;
	return zg_wait_result(r, zg_buf_slice(&out), message);
}

/* creation ------------------------------------------------------------------------ */

/* What is not the server's to know: it would answer with a task of its own, or
 * ask for what nobody could bring it. */
static int put_meta(const struct zg_request *r, struct zg_buf *out)
{
	static const char *const asked[] = {"elicitation", "sampling", "roots", "tasks"};
	json_t *meta = json_deep_copy(json_object_get(r->rpc.params, "_meta"));
	json_t *caps = json_object_get(meta, CAPABILITIES);
	char *text;

	if (!meta)
		meta = json_object();
	(void)json_object_del(meta, "progressToken");
	(void)json_object_del(json_object_get(caps, "extensions"), TASKS);
	for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++)
		(void)json_object_del(caps, asked[i]);
	text = json_dumps(meta, JSON_COMPACT);
	json_decref(meta);
	if (!text)
		return -ENOMEM;
	zg_buf_str(out, text);
	free(text);
	return out->error;
}

static int put_call(const struct zg_request *r, struct zg_buf *out)
{
	static const char *const but[] = {"_meta", "task", NULL};
	struct zg_slice body = zg_slice_trim(zg_buf_slice(&r->body));
	const char *comma = "";
	int rc;

	zg_buf_fmt(out, "{\"approval\":\"%s\",\"created\":%llu,\"name\":", r->hold.approval,
		   (unsigned long long)r->hold.created);
	zg_buf_json(out, r->head.field[ZG_HF_MCP_NAME]);
	zg_buf_str(out, ",\"headers\":[");
	for (size_t i = 0; i < r->head.extra_count; i++) {
		zg_buf_str(out, comma);
		zg_buf_json(out, r->head.extra[i].name);
		zg_buf_char(out, ',');
		zg_buf_json(out, r->head.extra[i].value);
		comma = ",";
	}
	zg_buf_str(out, "],\"params\":{");
	zg_wait_members(zg_json_member(body, "params"), but, out);
	zg_buf_str(out, "\"_meta\":");
	rc = put_meta(r, out);
	zg_buf_str(out, "}}");
	return rc < 0 ? rc : out->error;
}

enum zg_next zg_task_create(struct zg_request *r)
{
	zg_autobuf payload = ZG_BUF(ZG_TASK_BYTES), out = ZG_BUF(4 * ZG_SEAL_PAYLOAD);
	struct zg_buf *id = &r->worker->token;
	char text[2 * ZG_NAME_LEN + 64];

	r->hold.created = zg_real_sec();
	if (!r->hold.approval[0] || put_call(r, &payload) < 0 ||
	    zg_wait_seal(r, ZG_SEAL_TASK, zg_buf_slice(&payload), id) < 0)
		return zg_way_pending(r);
	r->hold.task_id = zg_buf_slice(id);
	(void)snprintf(text, sizeof(text), "zerogate: pending approval %s", r->hold.approval);
	if (zg_era_modern(r->era)) {
		zg_buf_str(&out, "{\"resultType\":\"task\",");
		put_task(r, "working", text, &out);
	} else {
		zg_buf_str(&out, "{\"task\":{");
		put_task(r, "working", text, &out);
		zg_buf_str(&out, "},\"_meta\":{\"" IMMEDIATE "\":");
		zg_buf_json(&out, zg_slice_str(text));
		zg_buf_char(&out, '}');
	}
	zg_buf_char(&out, '}');
	if (!zg_buf_ok(&out))
		return zg_way_pending(r);
	return zg_wait_result(r, zg_buf_slice(&out), text);
}

/* what is asked of it --------------------------------------------------------------- */

static enum zg_task_op op_of(const struct zg_request *r)
{
	static const struct {
		const char *method;
		enum zg_task_op op;
	} ops[] = {
		{"tasks/get", ZG_TO_GET},
		{"tasks/result", ZG_TO_RESULT},
		{"tasks/cancel", ZG_TO_CANCEL},
		{"tasks/update", ZG_TO_UPDATE},
	};

	if (r->rpc.kind == ZG_RPC_REQUEST)
		for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
			if (zg_slice_eq(r->rpc.method, zg_slice_str(ops[i].method)))
				return ops[i].op;
	return ZG_TO_NONE;
}

static struct zg_slice keep(struct zg_request *r, const json_t *text)
{
	struct zg_slice s = {json_string_value(text), json_string_length(text)};

	s.ptr = zg_arena_copy(&r->arena, s);
	return s.ptr ? s : (struct zg_slice){0};
}

/* Headers repeat the message: those of the call come back with it. */
static int restore_headers(struct zg_request *r, const json_t *kept)
{
	const json_t *headers = json_object_get(kept, "headers");
	size_t n = json_array_size(headers) / 2;
	struct zg_http_pair *extra = zg_arena_alloc(&r->arena, (n ? n : 1) * sizeof(*extra));

	if (!extra)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		extra[i].name = keep(r, json_array_get(headers, 2 * i));
		extra[i].value = keep(r, json_array_get(headers, 2 * i + 1));
	}
	r->head.extra = extra;
	r->head.extra_count = n;
	if (r->head.field[ZG_HF_MCP_METHOD].ptr)
		r->head.field[ZG_HF_MCP_METHOD] = ZG_SLICE("tools/call");
	r->head.field[ZG_HF_MCP_NAME] = (struct zg_slice){0};
	if (json_string_length(json_object_get(kept, "name")))
		r->head.field[ZG_HF_MCP_NAME] = keep(r, json_object_get(kept, "name"));
	return zg_arena_ok(&r->arena) ? 0 : -ENOMEM;
}

/* The request is the call that the task stands for. */
static int become_call(struct zg_request *r, struct zg_slice payload)
{
	json_t *kept = json_loadb(payload.ptr, payload.len, 0, NULL);
	zg_autobuf body = ZG_BUF(ZG_REQUEST_BYTES);
	struct zg_slice params = zg_json_member(payload, "params");
	int rc;

	if (!kept)
		return -EBADMSG;
	r->hold.created = (uint64_t)json_integer_value(json_object_get(kept, "created"));
	(void)zg_str_cut(r->hold.claim, sizeof(r->hold.claim),
			 zg_slice_str(json_string_value(json_object_get(kept, "approval"))));
	rc = restore_headers(r, kept);
	json_decref(kept);
	zg_buf_fmt(&body, "{\"jsonrpc\":\"2.0\",\"id\":%s,\"method\":\"tools/call\",\"params\":",
		   r->rpc.id);
	zg_buf_add(&body, params.ptr, params.len);
	zg_buf_char(&body, '}');
	if (rc == 0)
		rc = zg_buf_ok(&body) ? zg_wait_retell(r, zg_buf_slice(&body)) : body.error;
	return rc;
}

enum zg_next zg_task_resume(struct zg_request *r)
{
	enum zg_task_op op = op_of(r);
	struct zg_slice payload;
	enum zg_seal_verdict v;

	if (op == ZG_TO_NONE)
		return ZG_NEXT;
	v = zg_wait_open(r, ZG_SEAL_TASK, r->rpc.tool, ZG_TASK_BYTES, &payload);
	if (v == ZG_SEAL_MALFORMED || v == ZG_SEAL_TAMPERED)
		return ZG_NEXT; /* the server's */
	if (v != ZG_SEAL_OPEN) {
		r->recorded = zg_request_text(r, "task refused: %s", zg_seal_text(v));
		return zg_refuse(r, 200, ZG_RPC_INVALID_PARAMS, "zerogate: the task %s",
				 v == ZG_SEAL_EXPIRED ? "has expired" : "is not known here");
	}
	if (zg_era_modern(r->era) && !declares(r))
		return zg_refuse(r, 400, ZG_C_CAPABILITY,
				 "the extension " TASKS " is not declared");
	if (op == ZG_TO_UPDATE) { /* nothing was asked for: what is brought is ignored */
		r->quiet = true;
		return zg_wait_result(r, ZG_SLICE("{\"resultType\":\"complete\"}"), "task update");
	}
	r->hold.task_id = (struct zg_slice){zg_arena_copy(&r->arena, r->rpc.tool), r->rpc.tool.len};
	if (!r->hold.task_id.ptr || become_call(r, payload) < 0)
		return zg_refuse(r, 503, ZG_C_UNAVAILABLE, "no memory for the task's call");
	r->hold.task = op;
	r->hold.question = op == ZG_TO_GET	? ZG_HQ_LOOK
			   : op == ZG_TO_CANCEL ? ZG_HQ_WITHDRAW
						: ZG_HQ_USE;
	return ZG_NEXT;
}

/* waiting --------------------------------------------------------------------------------- */

bool zg_task_polls(const struct zg_request *r)
{
	return r->hold.task == ZG_TO_GET || r->hold.task == ZG_TO_CANCEL;
}

bool zg_task_fetches(const struct zg_request *r)
{
	return r->hold.task == ZG_TO_RESULT;
}

enum zg_next zg_task_over(struct zg_request *r)
{
	if (!r->hold.approval[0])
		return zg_answer_with(r, ZG_A_FAIL, ZG_C_UNAVAILABLE,
				      "zerogate: the ledger does not answer; ask again");
	if (r->hold.task == ZG_TO_GET)
		return show(r, "working",
			    zg_request_text(r, "zerogate: pending approval %s", r->hold.approval));
	return zg_answer_with(r, ZG_A_FAIL, ZG_C_PENDING,
			      "zerogate: pending approval %s; poll the task and ask again",
			      r->hold.approval);
}

enum zg_next zg_task_heard(struct zg_request *r)
{
	const bool modern = zg_era_modern(r->era), get = r->hold.task == ZG_TO_GET;

	if (r->hold.state == ZG_HOLD_REFUSED || r->hold.state == ZG_HOLD_GRANTED)
		return ZG_NEXT;
	if (r->hold.state == ZG_HOLD_READY && !modern)
		return show(r, "input_required",
			    zg_request_text(r,
					    "zerogate: %s is approved; tasks/result executes the "
					    "call, once",
					    r->hold.approval));
	if (r->hold.state == ZG_HOLD_READY) {
		r->hold.question = ZG_HQ_USE;
		return zg_hold_ask(r);
	}
	if (r->hold.conflict == ZG_CONFLICT_CANCELLED && r->hold.task != ZG_TO_RESULT)
		return modern && !get ? zg_wait_result(r, ZG_SLICE("{\"resultType\":\"complete\"}"),
						       "zerogate: the task was cancelled")
				      : show(r, "cancelled", "zerogate: cancelled by its client");
	if (r->hold.task != ZG_TO_CANCEL)
		return ZG_NEXT;
	return modern ? zg_wait_result(r, ZG_SLICE("{\"resultType\":\"complete\"}"),
				       "zerogate: the task is over already")
		      : zg_refuse(r, 200, ZG_RPC_INVALID_PARAMS,
				  "zerogate: the task is over already");
}

/* its end ------------------------------------------------------------------------------------ */

static void put_related(const struct zg_request *r, struct zg_buf *out)
{
	zg_buf_str(out, "\"" RELATED "\":{\"taskId\":\"");
	zg_buf_add(out, r->hold.task_id.ptr, r->hold.task_id.len);
	zg_buf_str(out, "\"}");
}

bool zg_task_body(const struct zg_request *r, struct zg_buf *out)
{
	const bool modern = zg_era_modern(r->era), get = r->hold.task == ZG_TO_GET;

	/* what may still come to another end is told by an error */
	if ((r->answer.kind != ZG_A_DENY && !r->intent) || r->hold.task == ZG_TO_CANCEL)
		return false;
	zg_buf_fmt(out, "{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{", r->rpc.id);
	if (get) {
		zg_buf_str(out, modern ? "\"resultType\":\"complete\"," : "");
		put_task(r, "completed", r->answer.text, out);
	}
	if (get && modern)
		zg_buf_str(out, ",\"result\":{\"resultType\":\"complete\",");
	if (!get) {
		zg_buf_str(out, "\"_meta\":{");
		put_related(r, out);
		zg_buf_str(out, "},");
	}
	if (!get || modern) {
		zg_buf_str(out, "\"content\":[{\"type\":\"text\",\"text\":");
		zg_buf_json(out, zg_slice_str(r->answer.text));
		zg_buf_str(out, "}],\"isError\":true");
	}
	zg_buf_str(out, get && modern ? "}}}" : "}}");
	return true;
}

/* The result of the call, inside the task that it completes. */
static void wrap(const struct zg_request *r, struct zg_slice result, struct zg_slice error,
		 struct zg_buf *out)
{
	zg_buf_fmt(out, "{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{\"resultType\":\"complete\",",
		   r->rpc.id);
	put_task(r, error.ptr ? "failed" : "completed", "zerogate: the approved call was executed",
		 out);
	zg_buf_str(out, error.ptr ? ",\"error\":" : ",\"result\":");
	zg_buf_add(out, error.ptr ? error.ptr : result.ptr, error.ptr ? error.len : result.len);
	zg_buf_str(out, "}}");
}

/* Which task it is the result of: in a _meta of its own, or in the server's. */
static void relate(const struct zg_request *r, struct zg_slice text, struct zg_slice result,
		   struct zg_buf *out)
{
	struct zg_slice meta = zg_json_member(result, "_meta");
	struct zg_slice into = meta.ptr && meta.ptr[0] == '{' ? meta : result;
	struct zg_slice rest = {into.ptr + 1, into.len - 1};
	zg_autobuf start = ZG_BUF(4 * ZG_SEAL_PAYLOAD);

	zg_buf_str(&start, into.ptr == meta.ptr ? "{" : "{\"_meta\":{");
	put_related(r, &start);
	zg_buf_str(&start, into.ptr == meta.ptr ? "" : "}");
	if (zg_slice_trim(rest).ptr[0] != '}')
		zg_buf_char(&start, ',');
	if (!zg_buf_ok(&start))
		out->error = start.error;
	zg_json_splice(text, (struct zg_slice){into.ptr, 1}, zg_buf_slice(&start), out);
}

int zg_task_result(struct zg_request *r, struct zg_server_message *m)
{
	struct zg_buf *spare = &r->worker->splice, *released = &r->output.released, swap;
	struct zg_slice text = zg_slice_trim(m->text);
	struct zg_slice result = zg_json_member(text, "result");
	struct zg_slice error = zg_json_member(text, "error");

	if (!r->hold.task || (!result.ptr && !error.ptr))
		return 0;
	if (m->state.ptr || zg_slice_eq(m->facts.result_type, ZG_SLICE("\"input_required\"")))
		return zg_withhold(r, -EBADMSG, "it asks for what a task cannot bring it");
	if (error.ptr && r->hold.task != ZG_TO_GET)
		return 0;
	zg_buf_reset(spare);
	if (r->hold.task == ZG_TO_GET)
		wrap(r, result, error, spare);
	else if (result.ptr[0] == '{')
		relate(r, text, result, spare);
	else
		return zg_withhold(r, -EBADMSG, "its result is no object");
	if (!zg_buf_ok(spare))
		return zg_withhold(r, spare->error, "it could not be rebuilt");
	swap = *released;
	*released = *spare;
	*spare = swap;
	m->text = zg_buf_slice(released);
	m->changed = true;
	return 0;
}
