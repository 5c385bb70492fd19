/* SPDX-License-Identifier: Apache-2.0 */
/* registry_command.c - how a local server is started (registry_impl.h). Opens nothing. */
#include "registry_impl.h"

void zg_registry_take_command(struct zg_registry_reader *r, const json_t *j,
			      const struct zg_json_path *at)
{
	r->command = true;
	if (!json_string_length(j))
		zg_registry_bad(r, at, "the command is empty");
}

void zg_registry_take_packages(struct zg_registry_reader *r, const json_t *j,
			       const struct zg_json_path *at)
{
	(void)at;
	r->packages = json_array_size(j) > 0;
}

void zg_registry_take_sha256(struct zg_registry_reader *r, const json_t *j,
			     const struct zg_json_path *at)
{
	const char *s = json_string_value(j);

	if (strlen(s) != 64 || strspn(s, "0123456789abcdef") != 64)
		zg_registry_bad(r, at, "sha256 must be 64 lower-case hex digits");
}

void zg_registry_finish_command(struct zg_registry_reader *r)
{
	struct zg_entry_src *e = r->entry;

	e->def.transport = ZG_T_STDIO;
	zg_diag_notice(r->ctx->diag, r->ctx->file, 0, 0,
		       "server '%s' is local (stdio): not served yet", e->def.id);
}
