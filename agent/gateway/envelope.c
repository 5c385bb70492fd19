/* SPDX-License-Identifier: Apache-2.0 */
/*
 * envelope.c - from bytes to what policy judges. Trust: the message is the
 * client's; labels and risk tags are added from the registry alone (judge.c).
 */
#include "canonical_json.h"
#include "digest.h"
#include "request.h"

/* GET and DELETE carry no message; policy sees them under names of their own. */
static enum zg_next read_transport(struct zg_request *r)
{
	r->rpc.method =
		r->head.method == ZG_HM_GET ? ZG_SLICE("stream/open") : ZG_SLICE("session/delete");
	return ZG_NEXT;
}

enum zg_next zg_step_rpc(struct zg_request *r)
{
	const char *why = "";
	int code;

	if (r->head.method != ZG_HM_POST)
		return read_transport(r);
	/* until all is known, and for a refusal, the header's word is enough */
	if (r->era == ZG_ERA_UNSAID)
		r->era = zg_era_of(r->head.field[ZG_HF_MCP_PROTOCOL_VERSION]);
	code = zg_rpc_parse(&r->rpc, zg_buf_slice(&r->body), &why);
	if (code)
		return zg_refuse(r, 400, code, "%s", why);
	return ZG_NEXT;
}

/* Is there anything beside what an approval names by itself? */
static bool only_arguments(const struct zg_rpc *m)
{
	json_t *params = (json_t *)(uintptr_t)m->params;
	const char *key;
	json_t *value;

	json_object_foreach(params, key, value)
	{
		(void)value;
		if (strcmp(key, "name") != 0 && strcmp(key, "arguments") != 0 &&
		    strcmp(key, "_meta") != 0 && strcmp(key, "task") != 0)
			return false;
	}
	return true;
}

/*
 * Where params hold more than a name, arguments, _meta and task, all but the last
 * two (progress tokens change with each retry; how a client waits) counts.
 */
int zg_arguments_text(const struct zg_rpc *m, struct zg_buf *out)
{
	json_t *rest;
	int rc;

	if (!m->params || (only_arguments(m) && !m->arguments)) {
		zg_buf_str(out, "{}");
		return out->error;
	}
	if (only_arguments(m))
		return zg_canonical_json(m->arguments, out);
	rest = json_copy((json_t *)(uintptr_t)m->params); /* shallow */
	if (!rest)
		return -ENOMEM;
	(void)json_object_del(rest, "_meta");
	(void)json_object_del(rest, "task");
	rc = zg_canonical_json(rest, out);
	json_decref(rest);
	return rc;
}

enum zg_next zg_step_envelope(struct zg_request *r)
{
	struct zg_buf *text = &r->worker->scratch;

	zg_buf_reset(text);
	if (zg_arguments_text(&r->rpc, text) < 0)
		return zg_refuse(r, 503, ZG_C_UNAVAILABLE, "no memory for the arguments' digest");
	zg_sha256(r->args_sha256, text->ptr, text->len);
	r->args_bytes = text->len;
	r->digested = true;
	return ZG_NEXT;
}
