/* SPDX-License-Identifier: Apache-2.0 */
/* constraints.h - the constraints of a decision: as JSON, for people, and held
 * against what a case expects. */
#ifndef ZG_CLI_CONSTRAINTS_H
#define ZG_CLI_CONSTRAINTS_H

#include <jansson.h>

#include "buf.h"
#include "decide.h"

/* {"max_runtime_sec":60,"rate":[{"rule":"r","calls":10,"per":"minute","by":["tool"]}],...}:
 * what is set, by its name in the policy. network_allowlist is what all lists
 * have in common. NULL: no memory. */
json_t *zg_constraints_json(const struct zg_policy *p, const struct zg_constraints *c);

/* Append them: as one JSON object; as lines of "  name value". */
void zg_constraints_put(const struct zg_policy *p, const struct zg_constraints *c,
			struct zg_buf *out);
void zg_constraints_put_lines(const struct zg_policy *p, const struct zg_constraints *c,
			      struct zg_buf *out);

/* Are they exactly what want says, whose scalars are texts, and limits written as
 * in a policy? Hosts: what all lists have in common. */
bool zg_constraints_match(const struct zg_policy *p, const struct zg_constraints *c,
			  const json_t *want);

#endif
