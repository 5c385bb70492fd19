/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parse.h - policy text (zerogate-policy(5)) to rules. Several files add up to
 * one policy; neither their order nor that of their rules means anything.
 */
#ifndef ZG_PARSE_H
#define ZG_PARSE_H

#include "model.h"

/* Add one file's rules to p. Errors go to ctx->diag; then p must not be used. */
void zg_policy_parse(const struct zg_yaml_ctx *ctx, struct zg_slice text, struct zg_policy_src *p);

/* What only shows when all files are read: ids used twice. Compiles all regular
 * expressions, each once. To be called before zg_policy_compile. */
void zg_policy_check(struct zg_policy_src *p, struct zg_arena *arena, struct zg_diag *diag);

#endif
