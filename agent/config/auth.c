/* SPDX-License-Identifier: Apache-2.0 */
/* auth.c - see auth.h. Trust: zerogate.yaml is its owner's; all of it is bounded. */
#include "auth.h"

#include <string.h>

#include "cleanup.h"
#include "settings.h"

static bool is_url(struct zg_slice s)
{
	static const struct zg_slice secure = {"https://", 8}, plain = {"http://", 7};

	if (!zg_slice_starts(s, secure) && !zg_slice_starts(s, plain))
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] <= 0x20 || s.ptr[i] > 0x7e || strchr("\"\\<>#?", s.ptr[i]))
			return false;
	return true;
}

/* Tokens for the one must never be sent in clear over a network. */
static bool is_local(struct zg_slice s)
{
	static const char *const hosts[] = {"http://127.0.0.1", "http://localhost", "http://[::1]"};

	for (size_t i = 0; i < ZG_COUNT(hosts); i++) {
		struct zg_slice host = zg_slice_str(hosts[i]);

		if (zg_slice_starts(s, host) &&
		    (s.len == host.len || s.ptr[host.len] == ':' || s.ptr[host.len] == '/'))
			return true;
	}
	return false;
}

static bool take_url(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, char *out, size_t size)
{
	if (!zg_yaml_copy(ctx, y, out, size))
		return false;
	if (!is_url(y->text)) {
		zg_yaml_error(ctx, y, "'%.*s' is not a URL without query and fragment",
			      ZG_FMT(y->text));
		return false;
	}
	if (y->text.ptr[4] != 's' && !is_local(y->text)) {
		zg_yaml_error(ctx, y, "'%.*s' is not https", ZG_FMT(y->text));
		zg_diag_hint(ctx->diag, "plain http is for loopback addresses alone");
		return false;
	}
	return true;
}

static void parse_resource(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct zg_auth *a = into;

	if (!take_url(ctx, y, a->resource, sizeof(a->resource)))
		return;
	if (a->resource[y->text.len - 1] != '/') {
		zg_yaml_error(ctx, y, "resource does not end in a slash");
		zg_diag_hint(ctx->diag, "servers' paths follow it: https://gw.example/ becomes "
					"https://gw.example/<server>/mcp");
	}
}

static void parse_issuer(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	(void)take_url(ctx, y, ((struct zg_issuer *)into)->issuer, ZG_PATH_LEN);
}

static void parse_jwks_file(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	(void)zg_yaml_copy(ctx, y, ((struct zg_issuer *)into)->jwks_file, ZG_PATH_LEN);
}

static void parse_server(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	(void)zg_yaml_copy(ctx, y, ((struct zg_issuer *)into)->server, ZG_SERVER_LEN);
}

static void parse_issuers(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	static const struct zg_yaml_field fields[] = {{"issuer", parse_issuer, true},
						      {"jwks_file", parse_jwks_file, false},
						      {"server", parse_server, false}};
	struct zg_auth *a = into;

	if (y->kind != ZG_Y_LIST || !y->count || y->count > ZG_ISSUERS_MAX) {
		zg_yaml_error(ctx, y, "issuers must be a list of 1 to %d entries", ZG_ISSUERS_MAX);
		return;
	}
	for (const struct zg_yaml *one = y->first; one; one = one->next) {
		struct zg_issuer *is = &a->issuer[a->issuer_count];

		if (!zg_yaml_map(ctx, one, "an issuer", fields, ZG_COUNT(fields), is))
			return;
		if (!is->jwks_file[0] == !is->server[0]) {
			zg_yaml_error(ctx, one, "an issuer has a jwks_file or a server");
			zg_diag_hint(ctx->diag,
				     "server: the id of a registry entry with \"use\": \"keys\", "
				     "whose URL is the issuer's jwks_uri");
		}
		for (uint32_t i = 0; i < a->issuer_count; i++)
			if (strcmp(a->issuer[i].issuer, is->issuer) == 0)
				zg_yaml_error(ctx, one, "the issuer is listed twice");
		a->issuer_count++;
	}
}

/* RFC 6749: visible ASCII without quote and backslash. */
static bool is_scope(struct zg_slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] <= 0x20 || s.ptr[i] > 0x7e || s.ptr[i] == '"' || s.ptr[i] == '\\')
			return false;
	return s.len > 0;
}

static void parse_scopes(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct zg_auth *a = into;
	struct zg_buf out = {.ptr = a->scopes, .cap = sizeof(a->scopes), .max = sizeof(a->scopes)};
	struct zg_texts t;

	if (!zg_yaml_texts(ctx, y, &t))
		return;
	for (size_t i = 0; i < t.count; i++) {
		if (!is_scope(t.item[i])) {
			zg_yaml_error(ctx, y, "'%.*s' is not a scope", ZG_FMT(t.item[i]));
			return;
		}
		if (i)
			zg_buf_char(&out, ' ');
		zg_buf_add(&out, t.item[i].ptr, t.item[i].len);
	}
	zg_buf_char(&out, '\0');
	if (!zg_buf_ok(&out))
		zg_yaml_error(ctx, y, "required_scopes are longer than %zu bytes together",
			      sizeof(a->scopes) - 1);
}

void zg_auth_parse(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, struct zg_auth *out)
{
	static const struct zg_yaml_field fields[] = {
		{"resource", parse_resource, true},
		{"issuers", parse_issuers, true},
		{"required_scopes", parse_scopes, false},
		{"attest", NULL, false},
		{"profile", NULL, false},
	};

	(void)zg_yaml_map(ctx, y, "auth", fields, ZG_COUNT(fields), out);
}

uint32_t zg_auth_files(const struct zg_settings *s)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < s->listen_count; i++)
		for (uint32_t j = 0; j < s->auth[i].issuer_count; j++)
			n += s->auth[i].issuer[j].jwks_file[0] != '\0';
	return n;
}
