/* SPDX-License-Identifier: Apache-2.0 */
/* url.c - see url.h. Trust: text from a file; bounded, no allocation. */
#include "url.h"

#include "model.h"

static bool printable(struct zg_slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] <= ' ' || s.ptr[i] >= 0x7f || memchr("\\\"<>^`{|}", s.ptr[i], 9))
			return false;
	return true;
}

/* The first of any of these bytes, or the end. */
static size_t find(struct zg_slice s, const char *any)
{
	size_t i = 0;

	while (i < s.len && !strchr(any, s.ptr[i]))
		i++;
	return i;
}

static struct zg_slice cut_front(struct zg_slice s, size_t n)
{
	return (struct zg_slice){s.ptr + n, s.len - n};
}

/* "127.1" or "2130706433" are addresses to some and names to others. */
static bool looks_numeric(struct zg_slice host)
{
	size_t i = host.len;

	while (i && host.ptr[i - 1] != '.')
		i--;
	return i < host.len && host.ptr[i] >= '0' && host.ptr[i] <= '9';
}

static const char *parse_host(struct zg_slice authority, struct zg_slice *rest, char *out,
			      size_t size)
{
	bool bracket = authority.len && authority.ptr[0] == '[';
	size_t end = find(authority, bracket ? "]" : ":");
	struct zg_slice host = {authority.ptr + bracket, end - bracket};
	uint8_t addr[16];

	if (bracket && end == authority.len)
		return "'[' without ']'";
	if (!host.len || host.len >= size)
		return "the host is missing or too long";
	for (size_t i = 0; i < host.len; i++) {
		char c = host.ptr[i];

		out[i] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
	}
	out[host.len] = '\0';
	host.ptr = out;
	*rest = cut_front(authority, end + bracket);
	if (zg_addr_parse(host, addr) == 0)
		return bracket == !!memchr(host.ptr, ':', host.len) ? NULL
								    : "brackets are for IPv6";
	if (bracket || looks_numeric(host) || !zg_host_ok(host, false))
		return "the host is not a name or address";
	return NULL;
}

const char *zg_url_parse(struct zg_slice url, struct zg_server_def *d)
{
	struct zg_server_def made = *d;
	struct zg_slice rest, authority, port;
	const char *wrong;
	uint64_t number;
	size_t scheme;

	if (!zg_str_cut(made.url, sizeof(made.url), url) || !printable(url))
		return "too long, or with characters that no URL has";
	made.tls = zg_slice_starts(url, ZG_SLICE("https://"));
	scheme = made.tls ? strlen("https://") : strlen("http://");
	if (!made.tls && !zg_slice_starts(url, ZG_SLICE("http://")))
		return "the scheme must be http or https";
	rest = cut_front(url, scheme);
	if (find(rest, "#@") < rest.len)
		return "a user or fragment has no place in it";
	authority = (struct zg_slice){rest.ptr, find(rest, "/?")};
	rest = cut_front(rest, authority.len);
	wrong = parse_host(authority, &port, made.host, sizeof(made.host));
	if (wrong)
		return wrong;
	made.port = made.tls ? 443 : 80;
	if (port.len) {
		if (port.ptr[0] != ':' ||
		    zg_slice_u64(cut_front(port, 1), UINT16_MAX, &number) < 0 || !number)
			return "the port is not one";
		made.port = (uint16_t)number;
	}
	if (snprintf(made.path, sizeof(made.path), "%s%.*s",
		     rest.len && rest.ptr[0] == '/' ? "" : "/", (int)rest.len,
		     rest.ptr) >= (int)sizeof(made.path))
		return "the path is too long";
	*d = made;
	return NULL;
}
