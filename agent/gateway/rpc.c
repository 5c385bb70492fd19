/* SPDX-License-Identifier: Apache-2.0 */
/* rpc.c - see rpc.h. Trust: every byte is the client's. */
#include "rpc.h"

#include "json_tree.h"

/* Depth and number of values before a tree is built of them. */
static const char *check_shape(struct zg_slice text)
{
	size_t depth = 0, values = 1;
	bool string = false;

	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];

		if (string) {
			if (c == '\\')
				i++;
			else if (c == '"')
				string = false;
			continue;
		}
		if (c == '"')
			string = true;
		else if ((c == '[' || c == '{') && ++depth > ZG_JSON_DEPTH)
			return "the message is nested too deeply";
		else if ((c == ']' || c == '}') && depth)
			depth--;
		values += c == ',' || c == '[' || c == '{';
		if (values > ZG_JSON_VALUES_MAX)
			return "the message has too many values";
	}
	return NULL;
}

/*
 * Some decoders (Go's, for one) match member names without regard to case, the
 * two letters outside ASCII that fold into it included. A key that such a
 * decoder would take for `name` is an attempt to say two things at once.
 */
static bool folds_to(const char *key, size_t len, const char *name)
{
	size_t i = 0;

	for (; *name; name++) {
		unsigned char c = i < len ? (unsigned char)key[i] : 0;

		if (c == 0xc5 && len - i >= 2 && (unsigned char)key[i + 1] == 0xbf) {
			c = 's'; /* U+017F */
			i += 2;
		} else if (c == 0xe2 && len - i >= 3 && !memcmp(key + i, "\xe2\x84\xaa", 3)) {
			c = 'k'; /* U+212A */
			i += 3;
		} else {
			c = c >= 'A' && c <= 'Z' ? (unsigned char)(c | 0x20) : c;
			i++;
		}
		if (c != (unsigned char)(*name | (*name == '_' ? 0 : 0x20)))
			return false;
	}
	return i == len;
}

static const char *check_top(json_t *root)
{
	static const char *const known[] = {"jsonrpc", "id", "method", "params", "result", "error"};
	const char *key;
	json_t *value;

	json_object_foreach(root, key, value)
	{
		bool ok = false;

		(void)value;
		for (size_t i = 0; !ok && i < sizeof(known) / sizeof(known[0]); i++)
			ok = strcmp(key, known[i]) == 0;
		if (!ok)
			return "the message has an unknown member";
	}
	return NULL;
}

static const char *check_params(json_t *params)
{
	static const char *const judged[] = {
		"name",		  "arguments", "uri", "_meta",		"ref",
		"requestId",	  "taskId",    "url", "inputResponses", "requestState",
		"protocolVersion"};
	const char *key;
	json_t *value;

	json_object_foreach(params, key, value)
	{
		size_t len = strlen(key);

		(void)value;
		for (size_t i = 0; i < sizeof(judged) / sizeof(judged[0]); i++)
			if (strcmp(key, judged[i]) != 0 && folds_to(key, len, judged[i]))
				return "a member of params differs from a known one in case only";
	}
	return NULL;
}

/* A request's id as JSON text: string or integer (MCP allows nothing else). */
static bool read_id(struct zg_rpc *m, const json_t *id)
{
	size_t n;

	if (!json_is_string(id) && !json_is_integer(id))
		return false;
	n = json_dumpb(id, m->id, sizeof(m->id) - 1, JSON_ENCODE_ANY | JSON_COMPACT);
	if (n == 0 || n >= sizeof(m->id)) {
		m->id[0] = '\0';
		return false;
	}
	m->id[n] = '\0';
	return true;
}

static struct zg_slice text_of(const json_t *string)
{
	return (struct zg_slice){json_string_value(string), json_string_length(string)};
}

/* Does the message name its version, as newer versions do? era.c judges it. */
static bool says_version(const struct zg_rpc *m)
{
	return json_object_get(json_object_get(m->params, "_meta"), ZG_META_VERSION);
}

/* Where each method names what it is about. */
static const struct {
	const char *method;
	const char *object; /* member of params that holds it; NULL = params itself */
	const char *member[2];
	bool required;
	bool is_name; /* bounded: it stands whole in records and approvals */
	bool named;   /* Mcp-Name repeats it */
	bool legacy;  /* newer versions have no such method, whatever params say */
} subjects[] = {
	{"tools/call", NULL, {"name", NULL}, true, true, true},
	{"prompts/get", NULL, {"name", NULL}, true, true, true},
	{"resources/read", NULL, {"uri", NULL}, true, false, true},
	{"resources/subscribe", NULL, {"uri", NULL}, true, false, false, true},
	{"resources/unsubscribe", NULL, {"uri", NULL}, true, false, false, true},
	{"completion/complete", "ref", {"name", "uri"}, false, false, false},
	{"tasks/get", NULL, {"taskId", NULL}, true, false, true},
	{"tasks/update", NULL, {"taskId", NULL}, true, false, true},
	{"tasks/cancel", NULL, {"taskId", NULL}, true, false, true},
	{"tasks/result", NULL, {"taskId", NULL}, true, false, false},
	{"elicitation/create", NULL, {"url", NULL}, false, false, false},
};

const char *zg_rpc_subject(struct zg_rpc *m)
{
	for (size_t i = 0; i < sizeof(subjects) / sizeof(subjects[0]); i++) {
		const json_t *in = m->params, *value = NULL;

		if (!zg_slice_eq(m->method, zg_slice_str(subjects[i].method)))
			continue;
		if (subjects[i].object)
			in = json_object_get(in, subjects[i].object);
		for (size_t j = 0; !value && j < 2 && subjects[i].member[j]; j++)
			value = json_object_get(in, subjects[i].member[j]);
		if (!value && (!subjects[i].required || (subjects[i].legacy && says_version(m))))
			return NULL;
		if (!json_is_string(value) || json_string_length(value) == 0)
			return "params do not name what the call is about";
		m->tool = text_of(value);
		m->named = subjects[i].named;
		if (subjects[i].is_name && m->tool.len >= ZG_TOOL_LEN)
			return "the name in params is too long";
		return NULL;
	}
	return NULL;
}

/* Under which what is no call is judged: no message may pass for it. */
static const char *const transport_names[] = {"response", "stream/open", "session/delete"};

static int read_call(struct zg_rpc *m, const json_t *method, const char **why)
{
	json_t *params = json_object_get(m->root, "params");
	const json_t *id = json_object_get(m->root, "id");

	m->kind = id ? ZG_RPC_REQUEST : ZG_RPC_NOTIFICATION;
	m->method = text_of(method);
	*why = "method is not a short string";
	if (!json_is_string(method) || !m->method.len || m->method.len >= ZG_METHOD_LEN)
		return ZG_RPC_INVALID_REQUEST;
	*why = "method is a name of the transport's own";
	for (size_t i = 0; i < sizeof(transport_names) / sizeof(transport_names[0]); i++)
		if (zg_slice_eq(m->method, zg_slice_str(transport_names[i])))
			return ZG_RPC_INVALID_REQUEST;
	*why = "a message has either a method or a result";
	if (json_object_get(m->root, "result") || json_object_get(m->root, "error"))
		return ZG_RPC_INVALID_REQUEST;
	*why = "id is neither an integer nor a short string";
	if (id && !m->id[0])
		return ZG_RPC_INVALID_REQUEST;
	*why = "params is not an object";
	if (params && !json_is_object(params))
		return ZG_RPC_INVALID_PARAMS;
	m->params = params;
	m->arguments = params ? json_object_get(params, "arguments") : NULL;
	*why = "arguments is not an object";
	if (m->arguments && !json_is_object(m->arguments))
		return ZG_RPC_INVALID_PARAMS;
	*why = params ? check_params(params) : NULL;
	if (!*why)
		*why = zg_rpc_subject(m);
	return *why ? ZG_RPC_INVALID_PARAMS : 0;
}

static int read_response(struct zg_rpc *m, const char **why)
{
	const json_t *result = json_object_get(m->root, "result");
	const json_t *error = json_object_get(m->root, "error");

	*why = "a message needs a method, or an id with one of result and error";
	if (!result == !error || !m->id[0] || json_object_get(m->root, "params"))
		return ZG_RPC_INVALID_REQUEST;
	m->kind = ZG_RPC_RESPONSE;
	m->method = ZG_SLICE("response");
	return 0;
}

json_t *zg_rpc_tree(struct zg_slice text)
{
	return check_shape(text) ? NULL : zg_json_tree(text);
}

int zg_rpc_parse(struct zg_rpc *m, struct zg_slice text, const char **why)
{
	const json_t *version, *id, *method;

	*m = (struct zg_rpc){0};
	*why = check_shape(text);
	if (*why)
		return ZG_RPC_PARSE_ERROR;
	m->root = zg_json_tree(text);
	*why = "the message is not strict JSON (RFC 8259, no duplicate keys)";
	if (!m->root)
		return ZG_RPC_PARSE_ERROR;
	*why = "a batch holds messages, not batches";
	if (json_is_array(m->root))
		return ZG_RPC_INVALID_REQUEST;
	*why = "the message is not an object";
	if (!json_is_object(m->root))
		return ZG_RPC_INVALID_REQUEST;
	id = json_object_get(m->root, "id");
	if (id)
		(void)read_id(m, id); /* judged where the kind is known */
	*why = check_top(m->root);
	if (*why)
		return ZG_RPC_INVALID_REQUEST;
	version = json_object_get(m->root, "jsonrpc");
	*why = "jsonrpc is not \"2.0\"";
	if (!json_is_string(version) || !zg_slice_eq(text_of(version), ZG_SLICE("2.0")))
		return ZG_RPC_INVALID_REQUEST;
	method = json_object_get(m->root, "method");
	return method ? read_call(m, method, why) : read_response(m, why);
}

void zg_rpc_release(struct zg_rpc *m)
{
	json_decref(m->root);
	*m = (struct zg_rpc){0};
}
