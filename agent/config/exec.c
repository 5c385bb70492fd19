/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec.c - the executables that a profile may not run. Trust: as settings.c.
 * Which file a path leads to is the parent's to find out: nothing is opened here.
 */
#include "settings.h"

#define EXECS_MAX (ZG_EXECS_MAX / 2) /* two generations lie in the kernel's table */

static void parse_deny(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct zg_profile_src *p = into;

	if (!zg_yaml_texts(ctx, y, &p->exec_deny))
		return;
	if (p->exec_deny.count > EXECS_MAX)
		zg_yaml_error(ctx, y, "more than %d executables", EXECS_MAX);
	for (size_t i = 0; i < p->exec_deny.count; i++) {
		struct zg_slice path = p->exec_deny.item[i];

		if (path.len > 1 && path.len < ZG_PATH_LEN && path.ptr[0] == '/' &&
		    !memchr(path.ptr, '*', path.len))
			continue;
		zg_yaml_error(ctx, y, "'%.*s' is not the path of an executable", ZG_FMT(path));
		zg_diag_hint(ctx->diag, "an absolute path such as /usr/bin/docker, without '*'");
	}
}

void zg_exec_parse(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	static const struct zg_yaml_field fields[] = {{"deny", parse_deny, true}};

	(void)zg_yaml_map(ctx, y, "exec", fields, ZG_COUNT(fields), into);
}
