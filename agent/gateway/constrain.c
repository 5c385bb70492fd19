/* SPDX-License-Identifier: Apache-2.0 */
/* constrain.c - see constrain.h. Trust: the arguments are the client's. */
#include "constrain.h"

#include <errno.h>

#include "decide.h"
#include "request.h"

/* Schemes whose host a lenient parser finds behind any number of slashes. */
static const struct zg_slice special[] = {{"http", 4}, {"https", 5}, {"ws", 2},
					  {"wss", 3},  {"ftp", 3},   {"file", 4}};

static bool is_alnum(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* Cut "scheme:" off; false: there is none. */
static bool take_scheme(struct zg_slice *s, bool *is_special)
{
	size_t n = 0;
	struct zg_slice scheme;

	while (n < s->len && (is_alnum(s->ptr[n]) || strchr("+-.", s->ptr[n] ? s->ptr[n] : 'a')))
		n++;
	if (n == 0 || n == s->len || s->ptr[n] != ':')
		return false;
	scheme = (struct zg_slice){s->ptr, n};
	*is_special = false;
	for (size_t i = 0; i < sizeof(special) / sizeof(special[0]); i++)
		*is_special |= zg_slice_ieq(scheme, special[i]);
	s->ptr += n + 1;
	s->len -= n + 1;
	return true;
}

static size_t count_slashes(struct zg_slice s, bool backslash)
{
	size_t n = 0;

	while (n < s.len && (s.ptr[n] == '/' || (backslash && s.ptr[n] == '\\')))
		n++;
	return n;
}

/* user:password@host:port -> host; "" if it holds what a host never does. */
static void take_host(struct zg_slice authority, char out[256])
{
	struct zg_slice h = authority;
	const char *at = h.len ? memrchr(h.ptr, '@', h.len) : NULL;
	const char *end;

	out[0] = '\0';
	if (at) {
		h.len -= (size_t)(at + 1 - h.ptr);
		h.ptr = at + 1;
	}
	if (h.len && h.ptr[0] == '[') {
		end = memchr(h.ptr, ']', h.len);
		if (!end)
			return;
		h = (struct zg_slice){h.ptr + 1, (size_t)(end - h.ptr) - 1};
	} else {
		end = h.len ? memchr(h.ptr, ':', h.len) : NULL;
		h.len = end ? (size_t)(end - h.ptr) : h.len;
		if (h.len && h.ptr[h.len - 1] == '.')
			h.len--;
	}
	if (!h.len || h.len >= 256)
		return;
	for (size_t i = 0; i < h.len; i++) {
		char c = h.ptr[i];

		if (!is_alnum(c) && c != '-' && c != '.' && c != '_' && c != ':') {
			out[0] = '\0'; /* percent, non-ASCII: cannot be told */
			return;
		}
		out[i] = (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
		out[i + 1] = '\0';
	}
}

/* The scheme is behind us: is there a place for a host, and where? */
static bool find_authority(struct zg_slice *s, bool has_scheme, bool is_special)
{
	size_t slashes = count_slashes(*s, !has_scheme || is_special);

	if (is_special ? s->len == slashes : slashes < 2)
		return false;
	s->ptr += slashes;
	s->len -= slashes;
	return true;
}

/* The bytes of a blank that starts s: what Python and JavaScript trim, too. */
static size_t blank(struct zg_slice s)
{
	static const char *const wide[] = {"\xc2\x85",	   "\xc2\xa0",	   "\xe1\x9a\x80",
					   "\xe2\x80\xa8", "\xe2\x80\xa9", "\xe2\x80\xaf",
					   "\xe2\x81\x9f", "\xe3\x80\x80", "\xef\xbb\xbf"};

	if (!s.len || (unsigned char)s.ptr[0] <= 0x20)
		return s.len != 0;
	for (size_t i = 0; i < sizeof(wide) / sizeof(wide[0]); i++)
		if (zg_slice_starts(s, zg_slice_str(wide[i])))
			return strlen(wide[i]);
	return s.len >= 3 && memcmp(s.ptr, "\xe2\x80", 2) == 0 && (unsigned char)s.ptr[2] <= 0x8a
		       ? 3
		       : 0;
}

bool zg_url_host(struct zg_slice text, char out[256])
{
	char clean[1024];
	struct zg_slice s = {clean, 0}, rest;
	bool is_special = false, has_scheme, cut;
	size_t n;

	/* parsers skip blanks and controls in front, and tabs and line ends anywhere */
	while ((n = blank(text))) {
		text.ptr += n;
		text.len -= n;
	}
	for (n = 0; n < text.len && s.len < sizeof(clean); n++)
		if (text.ptr[n] != '\t' && text.ptr[n] != '\n' && text.ptr[n] != '\r')
			clean[s.len++] = text.ptr[n];
	cut = n < text.len;
	rest = s;
	has_scheme = take_scheme(&rest, &is_special);
	if (has_scheme && is_special && rest.len && rest.ptr[0] == ' ')
		return false; /* "http: see below" is prose */
	if (!has_scheme)
		rest = s;
	/* any number of slashes may stand before a host: it is behind what is looked at */
	if (cut && is_special && count_slashes(rest, true) == rest.len) {
		out[0] = '\0';
		return true;
	}
	if (!find_authority(&rest, has_scheme, is_special))
		return false;
	for (size_t i = 0; i < rest.len; i++) {
		unsigned char c = (unsigned char)rest.ptr[i];

		if (c == '/' || c == '?' || c == '#' || c <= 0x20 || c == '"' || c == '<' ||
		    c == '>' || (c == '\\' && (is_special || !has_scheme))) {
			rest.len = i;
			break;
		}
	}
	take_host(rest, out);
	return true;
}

/* the step ------------------------------------------------------------------ */

static bool host_allowed(const struct zg_live *l, const struct zg_constraints *c, const char *host)
{
	for (uint16_t i = 0; i < c->allowlist_count; i++)
		if (!host[0] ||
		    !zg_policy_allowlist_has(&l->policy, c->allowlist[i], zg_slice_str(host)))
			return false;
	return true;
}

/* The first URL-valued string below v whose host is not allowed; its host in
 * host. Depth is bounded by the parser (ZG_JSON_DEPTH). */
static bool find_foreign(const struct zg_live *l, const struct zg_constraints *c, const json_t *v,
			 char host[256])
{
	json_t *child;
	const char *key;
	size_t i;

	if (json_is_string(v)) {
		struct zg_slice s = {json_string_value(v), json_string_length(v)};

		return zg_url_host(s, host) && !host_allowed(l, c, host);
	}
	if (json_is_array(v)) {
		json_array_foreach(v, i, child)
		{
			if (find_foreign(l, c, child, host))
				return true;
		}
		return false;
	}
	json_object_foreach((json_t *)(uintptr_t)v, key, child)
	{
		if (zg_url_host(zg_slice_str(key), host) && !host_allowed(l, c, host))
			return true;
		if (find_foreign(l, c, child, host))
			return true;
	}
	return false;
}

bool zg_hosts_allowed(const struct zg_live *l, const struct zg_decision *d, const json_t *params,
		      char host[256])
{
	host[0] = '\0';
	return !d->constraints.allowlist_count || !params ||
	       !find_foreign(l, &d->constraints, params, host);
}

static enum zg_next check_hosts(struct zg_request *r)
{
	char host[256];

	if (!r->decision.constraints.allowlist_count)
		return ZG_NEXT;
	/* a local server is not dialled: what it dials is the kernel's to judge */
	if (!r->local && !host_allowed(r->live, &r->decision.constraints, r->server->host))
		return zg_answer_with(r, ZG_A_DENY, ZG_C_DENIED,
				      "zerogate denied this call: network_allowlist does not hold "
				      "the server's host %s [rules: %s]",
				      r->server->host, r->rules);
	if (!zg_hosts_allowed(r->live, &r->decision, r->rpc.params, host))
		return zg_answer_with(r, ZG_A_DENY, ZG_C_DENIED,
				      "zerogate denied this call: network_allowlist does not hold "
				      "the host %s of an argument [rules: %s]",
				      host[0] ? host : "(unreadable)", r->rules);
	return ZG_NEXT;
}

enum zg_next zg_step_constrain(struct zg_request *r)
{
	const struct zg_constraints *c = &r->decision.constraints;
	bool stream = r->head.method == ZG_HM_GET;

	/* on a stream of HTTP+SSE each call has a time of its own */
	r->runtime_sec = r->door == ZG_DOOR_SSE ? ZG_SSE_OPEN_SEC
			 : c->max_runtime_sec	? c->max_runtime_sec
			 : stream		? ZG_STREAM_OPEN_SEC
						: ZG_RUNTIME_DEFAULT_SEC;
	/* its answer comes on a stream that other calls share */
	if (r->door == ZG_DOOR_MESSAGES && r->rpc.kind == ZG_RPC_REQUEST &&
	    (c->max_output_bytes || c->redact))
		return zg_answer_with(r, ZG_A_DENY, ZG_C_DENIED,
				      "zerogate denied this call: %s cannot be enforced over "
				      "HTTP+SSE (2024-11-05); use streamable HTTP [rules: %s]",
				      c->max_output_bytes ? "max_output_bytes" : "redact",
				      r->rules);
	return check_hosts(r);
}
