/* SPDX-License-Identifier: Apache-2.0 */
/* registry_remote.c - where a remote server is dialled (registry_impl.h). Resolves nothing:
 * the addresses of a name come from the resolver. */
#include "registry_impl.h"

#include "url.h"

void zg_registry_take_addresses(struct zg_registry_reader *r, const json_t *j,
				const struct zg_json_path *at)
{
	struct zg_entry_src *e = r->entry;
	json_t *value;
	size_t i;

	if (json_array_size(j) > ZG_ENDPOINTS_PER_SERVER) {
		zg_registry_bad(r, at, "more than %d addresses", ZG_ENDPOINTS_PER_SERVER);
		return;
	}
	json_array_foreach((json_t *)(uintptr_t)j, i, value)
	{
		const struct zg_json_path here = {.up = at, .index = i};

		if (!json_is_string(value) ||
		    zg_addr_parse(zg_registry_text(value), e->address[e->address_count]) < 0) {
			zg_registry_bad(r, &here,
					"an address is a string such as \"127.0.0.1\" or \"::1\"");
			zg_diag_hint(r->ctx->diag, "a name is no address: it stands in the URL");
		} else
			e->address_count++;
	}
}

void zg_registry_take_local(struct zg_registry_reader *r, const json_t *j,
			    const struct zg_json_path *at)
{
	(void)at;
	r->entry->def.local = json_is_true(j);
}

void zg_registry_take_proxy(struct zg_registry_reader *r, const json_t *j,
			    const struct zg_json_path *at)
{
	(void)at;
	r->entry->proxy = json_is_true(j) ? ZG_PW_ALWAYS : ZG_PW_NEVER;
}

static void take_url(struct zg_registry_reader *r, const json_t *j, const struct zg_json_path *at)
{
	const char *wrong = zg_url_parse(zg_registry_text(j), &r->entry->def);

	if (!wrong)
		return;
	zg_registry_bad(r, at, "url: %s", wrong);
	zg_diag_hint(r->ctx->diag, "https://host[:port]/path");
}

void zg_registry_take_remotes(struct zg_registry_reader *r, const json_t *j,
			      const struct zg_json_path *at)
{
	static const struct zg_registry_member known[] = {
		{"type", JSON_STRING, true, NULL},
		{"url", JSON_STRING, true, take_url},
		{"headers", JSON_ARRAY, false, zg_registry_take_headers},
	};
	const char *type;

	if (json_array_size(j) == 1) {
		const struct zg_json_path here = {.up = at, .index = 0};
		const json_t *remote = json_array_get(j, 0);

		if (!json_is_object(remote)) {
			zg_registry_bad(r, &here, "a remote must be an object");
			return;
		}
		r->remote = true;
		if (!zg_registry_members(r, remote, &here, "a remote", known, ZG_COUNT(known)))
			return;
		type = json_string_value(json_object_get(remote, "type"));
		if (strcmp(type, "sse") == 0)
			r->entry->def.transport = ZG_T_SSE;
		else if (strcmp(type, "streamable-http") != 0) {
			zg_registry_bad(r, &here,
					"a remote's type is \"streamable-http\" or \"sse\"");
			zg_diag_hint(
				r->ctx->diag,
				"\"streamable-http\", unless the server speaks 2024-11-05 alone");
		}
	} else if (json_array_size(j) > 1) {
		zg_registry_bad(r, at, "more than one remote");
		zg_diag_hint(r->ctx->diag,
			     "keep the one that is to be used: each opens an endpoint");
	}
}

/* Addresses that need no resolver. */
static void find_addresses(struct zg_registry_reader *r)
{
	struct zg_entry_src *e = r->entry;
	struct zg_slice host = zg_slice_str(e->def.host);
	uint8_t literal[16];

	if (zg_addr_parse(host, literal) == 0) {
		if (e->address_count)
			zg_registry_bad(r, NULL,
					"the URL's host is an address, so 'addresses' must go");
		memcpy(e->address[0], literal, sizeof(literal));
		e->address_count = 1;
	} else if (!e->address_count && zg_slice_eq(host, ZG_SLICE("localhost"))) {
		(void)zg_addr_parse(ZG_SLICE("127.0.0.1"), e->address[0]);
		(void)zg_addr_parse(ZG_SLICE("::1"), e->address[1]);
		e->address_count = 2;
	}
}

void zg_registry_finish_remote(struct zg_registry_reader *r)
{
	struct zg_entry_src *e = r->entry;

	find_addresses(r);
	e->fixed_count = e->address_count;
	e->def.by_name = !e->address_count;
	zg_registry_finish_auth(r);
}
