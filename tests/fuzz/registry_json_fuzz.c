/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry_json_fuzz.c - any bytes as a server.json: refused with a place
 * inside the text, or an entry whose texts are whole.
 */
#include "registry.h"

#define WHOLE(text) (memchr((text), '\0', sizeof(text)) != NULL)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct zg_registry_src registry = {0};
	struct zg_diag diag = {0};
	struct zg_arena arena;
	struct zg_yaml_ctx ctx = {"fuzz", &arena, &diag};
	const struct zg_entry_src *s;

	zg_arena_init(&arena, 64u << 20);
	zg_registry_parse(&ctx, (struct zg_slice){(const char *)data, size}, &registry);
	zg_registry_check(&registry, &diag);
	s = registry.servers;
	if (s && !diag.errors &&
	    (!WHOLE(s->def.id) || !s->def.id[0] || !WHOLE(s->def.name) || !WHOLE(s->def.url) ||
	     !WHOLE(s->def.host) || !WHOLE(s->def.path) ||
	     (s->def.transport != ZG_T_STDIO && (s->def.path[0] != '/' || !s->def.port)) ||
	     s->address_count > ZG_ENDPOINTS_PER_SERVER))
		abort();
	zg_diag_release(&diag);
	zg_arena_release(&arena);
	return 0;
}
