/* SPDX-License-Identifier: Apache-2.0 */
/* era.c - see era.h. Trust: header and message are the client's. Pure. */
#include "era.h"

#include "local.h"
#include "request.h"

#define META_CAPABILITIES "io.modelcontextprotocol/clientCapabilities"

static const char *const texts[ZG_ERA_MAX] = {[ZG_ERA_UNSAID] = "",
#define X(NAME, text) [ZG_ERA_##NAME] = (text),
					      ZG_ERAS(X)
#undef X
};

enum zg_era zg_era_of(struct zg_slice text)
{
	for (int e = ZG_ERA_UNSAID + 1; e < ZG_ERA_MAX; e++)
		if (zg_slice_eq(text, zg_slice_str(texts[e])))
			return (enum zg_era)e;
	return ZG_ERA_UNSAID;
}

const char *zg_era_text(enum zg_era era)
{
	return texts[era];
}

void zg_era_data(struct zg_slice requested, const struct zg_rpc *m, struct zg_buf *out)
{
	bool modern = json_object_get(json_object_get(m->params, "_meta"), ZG_META_VERSION);
	const char *comma = "";

	zg_buf_str(out, "{\"supported\":[");
	for (int e = ZG_ERA_MAX - 1; e > ZG_ERA_UNSAID; e--) {
		if (zg_era_modern((enum zg_era)e) != modern)
			continue;
		zg_buf_fmt(out, "%s\"%s\"", comma, texts[e]);
		comma = ",";
	}
	zg_buf_str(out, "],\"requested\":");
	zg_buf_json(out, requested);
	zg_buf_char(out, '}');
}

enum method_era { LEGACY, MODERN, EVER };

static const struct {
	struct zg_slice text;
	enum method_era era;
} methods[] = {
#define X(text, asker, class, era) {{"" text, sizeof(text) - 1}, era},
#include "tbl/mcp_method.h"
#undef X
};

bool zg_era_has(enum zg_era era, struct zg_slice method)
{
	if (!zg_era_modern(era))
		return true;
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (zg_slice_eq(method, methods[i].text))
			return methods[i].era != LEGACY;
	return true; /* policy knows whether it is an extension */
}

/* What a request of a modern version has to say of itself. */
static const char *check_envelope(const struct zg_rpc *m, const json_t *meta)
{
	if (m->kind == ZG_RPC_RESPONSE)
		return "this version has no responses of clients";
	if (m->kind != ZG_RPC_REQUEST)
		return NULL;
	if (!json_object_get(meta, ZG_META_VERSION))
		return "_meta has no " ZG_META_VERSION;
	if (!json_is_object(json_object_get(meta, META_CAPABILITIES)))
		return "_meta has no object " META_CAPABILITIES;
	return NULL;
}

int zg_era_judge(enum zg_era *out, struct zg_slice header, const struct zg_rpc *m,
		 struct zg_slice *requested, const char **why)
{
	const json_t *meta = json_object_get(m->params, "_meta");
	const json_t *version = json_object_get(meta, ZG_META_VERSION);
	struct zg_slice body = {json_string_value(version), json_string_length(version)};
	enum zg_era era;

	*why = ZG_META_VERSION " is not a string";
	if (version && !body.ptr)
		return ZG_RPC_INVALID_PARAMS;
	*requested = header.ptr ? header : body;
	*why = "MCP-Protocol-Version contradicts the message";
	if (header.ptr && body.ptr && !zg_slice_eq(header, body))
		return ZG_C_HEADER_MISMATCH;
	era = zg_era_of(*requested);
	*why = "the protocol version is not supported";
	if (requested->ptr && era == ZG_ERA_UNSAID)
		return ZG_C_VERSION;
	if (zg_era_modern(era)) {
		*why = "there is no MCP-Protocol-Version header";
		if (!header.ptr)
			return ZG_C_HEADER_MISMATCH;
		*why = check_envelope(m, meta);
		if (*why)
			return m->kind == ZG_RPC_RESPONSE ? ZG_RPC_INVALID_REQUEST
							  : ZG_RPC_INVALID_PARAMS;
	}
	*out = era;
	return 0;
}

enum zg_next zg_step_era(struct zg_request *r)
{
	enum zg_era era = ZG_ERA_UNSAID;
	const char *why = "";
	/* a pipe has no headers: there the message alone says it */
	struct zg_slice header =
		r->local ? zg_local_version(r) : r->head.field[ZG_HF_MCP_PROTOCOL_VERSION];
	int code = zg_era_judge(&era, header, &r->rpc, &r->requested_version, &why);

	if (code)
		return zg_refuse(r, 400, code, "%s", why);
	if (era != ZG_ERA_UNSAID)
		r->era = era;
	if (zg_era_modern(r->era) && r->head.method != ZG_HM_POST)
		return zg_refuse(r, 405, ZG_C_HTTP, "this version of the protocol has POST alone");
	return ZG_NEXT;
}
