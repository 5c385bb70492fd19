/* SPDX-License-Identifier: Apache-2.0 */
/* parse_constraints.h - `constraints:` of a rule (zerogate-policy(5)). */
#ifndef ZG_PARSE_CONSTRAINTS_H
#define ZG_PARSE_CONSTRAINTS_H

#include "model.h"

/* Fill c from the map y. Errors go to ctx->diag; an empty map is one. */
void zg_constraints_parse(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y,
			  struct zg_constraints_src *c);

/* `approvers: N`, a member of the rule itself. */
void zg_constraints_approvers(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y,
			      struct zg_constraints_src *c);

/* What a rule's constraints say that its decision or conditions cannot keep.
 * constraints, approvers: where they stand; NULL = the rule has none. */
void zg_constraints_check(const struct zg_yaml_ctx *ctx, const struct zg_rule_src *rule,
			  const struct zg_yaml *constraints, const struct zg_yaml *approvers);

#endif
