/* SPDX-License-Identifier: Apache-2.0 */
/* redirect.c - see redirect.h. Trust: the location is the server's. */
#include "redirect.h"

#include <curl/curl.h>
#include <stdio.h>

struct parts {
	char *scheme, *host, *port, *path, *query, *user;
};

static void parts_release(struct parts *p)
{
	curl_free(p->scheme);
	curl_free(p->host);
	curl_free(p->port);
	curl_free(p->path);
	curl_free(p->query);
	curl_free(p->user);
}

/* What is not there stays NULL. */
static bool take_apart(CURLU *url, struct parts *p)
{
	(void)curl_url_get(url, CURLUPART_QUERY, &p->query, 0);
	(void)curl_url_get(url, CURLUPART_USER, &p->user, 0);
	return curl_url_get(url, CURLUPART_SCHEME, &p->scheme, 0) == CURLUE_OK &&
	       curl_url_get(url, CURLUPART_HOST, &p->host, 0) == CURLUE_OK &&
	       curl_url_get(url, CURLUPART_PORT, &p->port, CURLU_DEFAULT_PORT) == CURLUE_OK &&
	       curl_url_get(url, CURLUPART_PATH, &p->path, 0) == CURLUE_OK;
}

static bool same_origin(const struct parts *p, const struct zg_server_def *s)
{
	struct zg_slice host = zg_slice_str(p->host);
	uint64_t port = 0;

	if (host.len > 2 && host.ptr[0] == '[')
		host = (struct zg_slice){host.ptr + 1, host.len - 2};
	return !p->user && zg_slice_u64(zg_slice_str(p->port), UINT16_MAX, &port) == 0 &&
	       port == s->port && zg_slice_ieq(host, zg_slice_str(s->host)) &&
	       strcmp(p->scheme, s->tls ? "https" : "http") == 0;
}

static bool describe(struct zg_redirect *out, const struct parts *p, const struct zg_server_def *s)
{
	int n;

	out->same_origin = same_origin(p, s);
	n = snprintf(out->path, sizeof(out->path), "%s%s%s", p->path, p->query ? "?" : "",
		     p->query ? p->query : "");
	if (out->same_origin && (n < 0 || (size_t)n >= sizeof(out->path)))
		return false;
	n = snprintf(out->origin, sizeof(out->origin), "%.16s://%.*s:%.8s", p->scheme,
		     ZG_HOST_LEN - 1, p->host, p->port);
	return n > 0;
}

bool zg_redirect_read(struct zg_redirect *out, const struct zg_server_def *s, struct zg_slice from,
		      struct zg_slice location)
{
	const bool v6 = strchr(s->host, ':') != NULL;
	char base[3 * ZG_PATH_LEN], target[3 * ZG_PATH_LEN];
	struct parts p = {0};
	CURLU *url;
	bool ok;

	*out = (struct zg_redirect){0};
	for (size_t i = 0; i < location.len; i++)
		if (location.ptr[i] <= 0x20 || location.ptr[i] >= 0x7f)
			return false;
	if (!location.len || !zg_str_cut(target, sizeof(target), location) ||
	    snprintf(base, sizeof(base), "%s://%s%s%s:%u%.*s", s->tls ? "https" : "http",
		     v6 ? "[" : "", s->host, v6 ? "]" : "", s->port, (int)from.len,
		     from.ptr) >= (int)sizeof(base))
		return false;
	url = curl_url();
	ok = url && curl_url_set(url, CURLUPART_URL, base, CURLU_PATH_AS_IS) == CURLUE_OK &&
	     curl_url_set(url, CURLUPART_URL, target, CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK &&
	     take_apart(url, &p) && describe(out, &p, s);
	parts_release(&p);
	curl_url_cleanup(url);
	return ok;
}
