/* SPDX-License-Identifier: Apache-2.0 */
/* model.c - see model.h. Trust: slices may hold anything. Only copies are allocated. */
#include "model.h"

static bool alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool zg_word_ok(struct zg_slice s, size_t max)
{
	if (!s.len || s.len > max || !alnum(s.ptr[0]))
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (!alnum(s.ptr[i]) && !memchr("._-/:", s.ptr[i], 5))
			return false;
	return true;
}

int zg_slice_order(struct zg_slice a, struct zg_slice b)
{
	size_t n = a.len < b.len ? a.len : b.len;
	int c = n ? memcmp(a.ptr, b.ptr, n) : 0;

	return c ? c : (a.len > b.len) - (a.len < b.len);
}

bool zg_cond_globs(const struct zg_cond_src *c)
{
	return c->kind == ZG_CK_LABEL || (c->kind == ZG_CK_FACT && c->fact != ZG_FACT_SHA256);
}

struct zg_slice zg_lower_trimmed(struct zg_arena *arena, struct zg_slice s)
{
	char *copy;

	s = zg_slice_trim(s);
	copy = zg_arena_copy(arena, s);
	for (size_t i = 0; copy && i < s.len; i++)
		if (copy[i] >= 'A' && copy[i] <= 'Z')
			copy[i] = (char)(copy[i] | 0x20);
	return (struct zg_slice){copy, copy ? s.len : 0};
}

/* RFC 1123 labels, and the underscore that real names use. */
static bool dns_name(struct zg_slice s)
{
	size_t label = 0;

	if (!s.len || s.len > 253)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];

		if (c == '.') {
			if (!label || s.ptr[i - 1] == '-')
				return false;
			label = 0;
			continue;
		}
		if (!alnum(c) && c != '_' && (c != '-' || !label))
			return false;
		if ((c >= 'A' && c <= 'Z') || ++label > 63)
			return false;
	}
	return label && s.ptr[s.len - 1] != '-';
}

bool zg_host_ok(struct zg_slice host, bool wildcard)
{
	uint8_t addr[16];

	if (zg_addr_parse(host, addr) == 0)
		return true;
	if (wildcard && zg_slice_starts(host, ZG_SLICE("*."))) {
		host.ptr += 2;
		host.len -= 2;
		return dns_name(host) && memchr(host.ptr, '.', host.len);
	}
	return dns_name(host);
}
