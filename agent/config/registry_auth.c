/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry_auth.c - what proves to a remote server who we are, and to us who it
 * is (registry_impl.h): headers, files of credentials, CAs and pinned keys.
 * Names files only; a secret in the entry itself is an error.
 */
#include "registry_impl.h"

#define PIN_LEN (sizeof("sha256//") - 1 + 44) /* base64 of 32 bytes */

/* RFC 9110: token */
static bool is_token(struct zg_slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!((s.ptr[i] >= '0' && s.ptr[i] <= '9') ||
		      ((s.ptr[i] | 0x20) >= 'a' && (s.ptr[i] | 0x20) <= 'z') ||
		      memchr("!#$%&'*+-.^_`|~", s.ptr[i], 15)))
			return false;
	return s.len > 0;
}

static bool is_visible(struct zg_slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] < 0x20 || s.ptr[i] > 0x7e)
			return false;
	return s.len > 0;
}

/* What the connection, the protocol or the gateway itself speaks for. */
static bool is_ours(struct zg_slice name)
{
	static const char *const ours[] = {
		"host",
		"connection",
		"content-length",
		"content-type",
		"transfer-encoding",
		"te",
		"upgrade",
		"expect",
		"accept",
		"keep-alive",
		"cookie",
		"proxy-authorization",
		"accept-encoding",
		"trailer",
		"last-event-id",
	};

	for (size_t i = 0; i < ZG_COUNT(ours); i++)
		if (zg_slice_ieq(name, zg_slice_str(ours[i])))
			return true;
	return name.len >= 4 && zg_slice_ieq((struct zg_slice){name.ptr, 4}, ZG_SLICE("mcp-"));
}

static struct zg_credential_def *add(struct zg_registry_reader *r, const struct zg_json_path *at,
				     enum zg_secret_kind kind)
{
	struct zg_entry_src *e = r->entry;

	if (e->credential_count == ZG_CREDENTIALS_SERVER_MAX) {
		zg_registry_bad(r, at, "more than %d headers and files of one server",
				ZG_CREDENTIALS_SERVER_MAX);
		return NULL;
	}
	e->credential[e->credential_count] = (struct zg_credential_def){.kind = kind};
	return &e->credential[e->credential_count++];
}

/* A path, kept as it stands: the agent opens it. */
static void add_file(struct zg_registry_reader *r, const json_t *j, const struct zg_json_path *at,
		     enum zg_secret_kind kind)
{
	static const struct zg_slice named = {"credential:", 11};
	struct zg_slice path = zg_registry_text(j), name = path;
	struct zg_credential_def *c = add(r, at, kind);

	if (!c)
		return;
	zg_registry_copy(r, j, at, c->path, sizeof(c->path));
	if (zg_slice_starts(path, named)) {
		name = (struct zg_slice){path.ptr + named.len, path.len - named.len};
		if (memchr(name.ptr, '/', name.len) || zg_slice_eq(name, ZG_SLICE("..")))
			name.len = 0;
	}
	if (!is_visible(name)) {
		zg_registry_bad(r, at,
				"a file is an absolute path, one below the folder of "
				"servers, or \"credential:NAME\"");
		zg_diag_hint(r->ctx->diag,
			     "it is opened by the agent, and never stands in the entry");
	}
}

#define FILE_MEMBER(name, kind)                                                                    \
	static void take_##name(struct zg_registry_reader *r, const json_t *j,                     \
				const struct zg_json_path *at)                                     \
	{                                                                                          \
		add_file(r, j, at, kind);                                                          \
	}
FILE_MEMBER(bearer, ZG_SK_AUTHORIZATION)
FILE_MEMBER(cert, ZG_SK_CLIENT_CERT)
FILE_MEMBER(key, ZG_SK_CLIENT_KEY)
FILE_MEMBER(value, ZG_SK_HEADER)
#undef FILE_MEMBER

/* The value's file is the last that was added. */
static void set_header(struct zg_registry_reader *r, const json_t *j, const struct zg_json_path *at)
{
	struct zg_credential_def *c = &r->entry->credential[r->entry->credential_count - 1];
	struct zg_slice name = zg_registry_text(j);

	if (!is_token(name) || is_ours(name) || zg_slice_ieq(name, ZG_SLICE("user-agent"))) {
		zg_registry_bad(r, at, "'%.*s' is not a header that an entry may set",
				ZG_FMT(name));
		zg_diag_hint(
			r->ctx->diag,
			"the agent sets what belongs to HTTP and MCP; any other name may be used");
		return;
	}
	zg_registry_copy(r, j, at, c->header, sizeof(c->header));
}

static void take_one(struct zg_registry_reader *r, const json_t *j, const struct zg_json_path *at)
{
	static const struct zg_registry_member of_bearer[] = {
		{"bearer_file", JSON_STRING, true, take_bearer}};
	static const struct zg_registry_member of_header[] = {
		{"header", JSON_STRING, true, NULL}, {"value_file", JSON_STRING, true, take_value}};
	static const struct zg_registry_member of_cert[] = {
		{"client_cert_file", JSON_STRING, true, take_cert},
		{"client_key_file", JSON_STRING, true, take_key}};
	const struct zg_json_path header = {.up = at, .key = "header"};

	if (json_is_object(j) && json_object_get(j, "bearer_file")) {
		(void)zg_registry_members(r, j, at, "auth", of_bearer, ZG_COUNT(of_bearer));
	} else if (json_is_object(j) && json_object_get(j, "header")) {
		if (zg_registry_members(r, j, at, "auth", of_header, ZG_COUNT(of_header)))
			set_header(r, json_object_get(j, "header"), &header);
	} else if (json_is_object(j) && json_object_get(j, "client_cert_file")) {
		(void)zg_registry_members(r, j, at, "auth", of_cert, ZG_COUNT(of_cert));
	} else {
		zg_registry_bad(r, at, "auth names no file");
		zg_diag_hint(r->ctx->diag, "{\"bearer_file\": ...}, {\"header\": ..., "
					   "\"value_file\": ...} or {\"client_cert_file\": ..., "
					   "\"client_key_file\": ...}");
	}
}

void zg_registry_take_auth(struct zg_registry_reader *r, const json_t *j,
			   const struct zg_json_path *at)
{
	const json_t *one;
	size_t i;

	if (!json_is_array(j)) {
		take_one(r, j, at);
		return;
	}
	json_array_foreach((json_t *)(uintptr_t)j, i, one)
	{
		const struct zg_json_path here = {.up = at, .index = i};

		take_one(r, one, &here);
	}
}

void zg_registry_take_ca_file(struct zg_registry_reader *r, const json_t *j,
			      const struct zg_json_path *at)
{
	add_file(r, j, at, ZG_SK_CA_BUNDLE);
}

/* remotes[].headers of server.json: what has a fixed value is sent. */
static void take_input(struct zg_registry_reader *r, const json_t *j, const struct zg_json_path *at)
{
	const struct zg_json_path of_name = {.up = at, .key = "name"};
	const struct zg_json_path of_value = {.up = at, .key = "value"};
	const json_t *name = json_object_get(j, "name"), *value = json_object_get(j, "value");
	struct zg_credential_def *c;

	if (!json_is_object(j) || !json_is_string(name)) {
		zg_registry_bad(r, at, "a header is an object with a 'name'");
		return;
	}
	if (!value) /* the user of another client would be asked for it */
		return;
	if (json_is_true(json_object_get(j, "isSecret")) ||
	    zg_slice_ieq(zg_registry_text(name), ZG_SLICE("authorization"))) {
		zg_registry_bad(r, &of_value, "a secret does not belong into the registry");
		zg_diag_hint(r->ctx->diag, "remove the value, put it into a file of root's, mode "
					   "0600, and name that under _meta: \"auth\"");
		return;
	}
	if (!json_is_string(value) || !is_visible(zg_registry_text(value)) ||
	    strpbrk(json_string_value(value), "{}")) {
		zg_registry_bad(r, &of_value,
				"a header's value is printable text without {variables}");
		zg_diag_hint(r->ctx->diag,
			     "write the value out; a secret comes from a file, by \"auth\"");
		return;
	}
	c = add(r, at, ZG_SK_HEADER);
	if (!c)
		return;
	set_header(r, name, &of_name);
	zg_registry_copy(r, value, &of_value, c->value, sizeof(c->value));
}

void zg_registry_take_headers(struct zg_registry_reader *r, const json_t *j,
			      const struct zg_json_path *at)
{
	const json_t *one;
	size_t i;

	json_array_foreach((json_t *)(uintptr_t)j, i, one)
	{
		const struct zg_json_path here = {.up = at, .index = i};

		take_input(r, one, &here);
	}
}

static bool pin_ok(struct zg_slice s)
{
	if (s.len != PIN_LEN || !zg_slice_starts(s, ZG_SLICE("sha256//")) ||
	    s.ptr[s.len - 1] != '=')
		return false;
	for (size_t i = sizeof("sha256//") - 1; i < s.len - 1; i++)
		if (!((s.ptr[i] >= '0' && s.ptr[i] <= '9') || s.ptr[i] == '+' || s.ptr[i] == '/' ||
		      ((s.ptr[i] | 0x20) >= 'a' && (s.ptr[i] | 0x20) <= 'z')))
			return false;
	return true;
}

void zg_registry_take_pins(struct zg_registry_reader *r, const json_t *j,
			   const struct zg_json_path *at)
{
	char *out = r->entry->def.pins;
	size_t used = 0, i;
	const json_t *one;

	json_array_foreach((json_t *)(uintptr_t)j, i, one)
	{
		const struct zg_json_path here = {.up = at, .index = i};
		struct zg_slice pin = json_is_string(one) ? zg_registry_text(one) : ZG_SLICE("");

		if (!pin_ok(pin)) {
			zg_registry_bad(r, &here,
					"a pin is \"sha256//\" and the base64 of 32 bytes");
			zg_diag_hint(
				r->ctx->diag,
				"openssl x509 -pubkey -noout -in cert.pem | openssl pkey -pubin "
				"-outform der | openssl dgst -sha256 -binary | base64");
		} else if (used + pin.len + 2 > ZG_PINS_LEN) {
			zg_registry_bad(r, &here, "too many pins");
		} else {
			used += (size_t)snprintf(out + used, ZG_PINS_LEN - used, "%s%s",
						 used ? ";" : "", pin.ptr);
		}
	}
}

static const struct {
	const char *text, *by_https;
} uses[] = {
	[ZG_USE_MCP] = {"mcp", NULL},
	[ZG_USE_KEYS] = {"keys", "keys are fetched by https"},
	[ZG_USE_WEBHOOK] = {"webhook", "notifications are posted by https"},
};

void zg_registry_take_use(struct zg_registry_reader *r, const json_t *j,
			  const struct zg_json_path *at)
{
	const char *use = json_string_value(j);

	for (size_t i = 0; i < ZG_COUNT(uses); i++) {
		if (strcmp(use, uses[i].text) == 0) {
			r->entry->def.use = (uint8_t)i;
			return;
		}
	}
	zg_registry_bad(r, at, "'%.64s' is no use of an entry", use);
	zg_diag_hint(r->ctx->diag, "mcp (a server), keys (an issuer's jwks_uri), or webhook (where "
				   "notifications go)");
}

static bool is_loopback(const struct zg_entry_src *e)
{
	static const uint8_t v6[16] = {[15] = 1};
	static const uint8_t v4[13] = {[10] = 0xff, [11] = 0xff, [12] = 127};

	for (size_t i = 0; i < e->address_count; i++)
		if (memcmp(e->address[i], v6, sizeof(v6)) != 0 &&
		    memcmp(e->address[i], v4, sizeof(v4)) != 0)
			return false;
	return e->address_count > 0;
}

static void take_reason(struct zg_registry_reader *r, const json_t *j,
			const struct zg_json_path *at)
{
	struct zg_server_def *d = &r->entry->def;

	zg_registry_copy(r, j, at, d->passthrough_reason, sizeof(d->passthrough_reason));
	if (!json_string_length(j))
		zg_registry_bad(r, at, "the reason is empty");
}

static void take_authorization(struct zg_registry_reader *r, const json_t *j,
			       const struct zg_json_path *at)
{
	(void)at;
	r->entry->def.passthrough = json_is_true(j);
}

void zg_registry_take_passthrough(struct zg_registry_reader *r, const json_t *j,
				  const struct zg_json_path *at)
{
	static const struct zg_registry_member known[] = {
		{"authorization", JSON_TRUE, true, take_authorization},
		{"reason", JSON_STRING, true, take_reason},
	};

	(void)zg_registry_members(r, j, at, "passthrough", known, ZG_COUNT(known));
}

/* What does not go together. */
void zg_registry_finish_auth(struct zg_registry_reader *r)
{
	const struct zg_entry_src *e = r->entry;
	size_t authorization = 0, of_tls = e->def.pins[0] != '\0', secrets = 0;

	for (size_t i = 0; i < e->credential_count; i++) {
		const struct zg_credential_def *c = &e->credential[i];

		authorization += c->kind == ZG_SK_AUTHORIZATION ||
				 zg_slice_ieq(zg_slice_str(c->header), ZG_SLICE("authorization"));
		of_tls += c->kind == ZG_SK_CLIENT_CERT || c->kind == ZG_SK_CA_BUNDLE;
		secrets += c->kind != ZG_SK_CA_BUNDLE && c->path[0];
	}
	if (authorization + e->def.passthrough > 1) {
		zg_registry_bad(r, NULL,
				"more than one Authorization: auth and passthrough "
				"exclude each other");
		zg_diag_hint(r->ctx->diag, "keep one of both");
	}
	if (uses[e->def.use].by_https && !e->def.tls && !is_loopback(e)) {
		zg_registry_bad(r, NULL, "%s", uses[e->def.use].by_https);
		zg_diag_hint(r->ctx->diag, "plain http is for loopback addresses alone");
	}
	if (of_tls && !e->def.tls) {
		zg_registry_bad(r, NULL, "pins, ca_file and client certificates need an https URL");
		zg_diag_hint(r->ctx->diag, "https in the URL of the remote, or without them");
	}
	if (secrets && !e->def.tls)
		zg_diag_notice(r->ctx->diag, r->ctx->file, 0, 0,
			       "server '%s' is given credentials over http, unencrypted",
			       e->def.id);
	if (e->def.passthrough)
		zg_diag_notice(r->ctx->diag, r->ctx->file, 0, 0,
			       "server '%s' is given the Authorization of its clients: %s",
			       e->def.id, e->def.passthrough_reason);
}
