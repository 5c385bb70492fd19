/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parse_constraints.c - see parse_constraints.h. Trust: policy files belong to
 * the operator; what cannot be enforced exactly as written is an error. Never
 * opens a file.
 */
#include "parse_constraints.h"

static void parse_runtime(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct zg_constraints_src *c = into;

	(void)zg_yaml_uint(ctx, y, 1, ZG_POLICY_RUNTIME_MAX, &c->max_runtime_sec);
}

static void parse_retries(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct zg_constraints_src *c = into;

	c->has_max_retries = zg_yaml_uint(ctx, y, 0, ZG_POLICY_RETRIES_MAX, &c->max_retries);
}

static void parse_allowlist(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct zg_constraints_src *c = into;
	struct zg_texts hosts;

	if (!zg_yaml_texts(ctx, y, &hosts))
		return;
	for (size_t i = 0; i < hosts.count; i++) {
		struct zg_slice host = zg_lower_trimmed(ctx->arena, hosts.item[i]);

		if (!zg_host_ok(host, true)) {
			zg_yaml_error(ctx, y, "'%.*s' is not a host", ZG_FMT(hosts.item[i]));
			zg_diag_hint(ctx->diag, "a name or an address without scheme, port or "
						"path; '*.' may stand in front of a name");
			return;
		}
		hosts.item[i] = host;
	}
	c->allowlist = hosts;
}

static const struct zg_yaml_field constraint_fields[] = {
	{"max_runtime_sec", parse_runtime, false},
	{"max_retries", parse_retries, false},
	{"network_allowlist", parse_allowlist, false},
};

void zg_constraints_parse(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y,
			  struct zg_constraints_src *c)
{
	if (zg_yaml_map(ctx, y, "constraints", constraint_fields, ZG_COUNT(constraint_fields), c) &&
	    !y->count)
		zg_yaml_error(ctx, y, "constraints without a constraint");
}
