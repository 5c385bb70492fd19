/* SPDX-License-Identifier: Apache-2.0 */
/* parse_constraints.h - `constraints:` of a rule (zerogate-policy(5)). */
#ifndef ZG_PARSE_CONSTRAINTS_H
#define ZG_PARSE_CONSTRAINTS_H

#include "model.h"

/* Fill c from the map y. Errors go to ctx->diag; an empty map is one. */
void zg_constraints_parse(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y,
			  struct zg_constraints_src *c);

#endif
