/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parse_impl.h - what the readers of a policy file share: parse.c reads rules,
 * parse_match.c their conditions, parse_args.c and parse_principal.c the
 * longer ones of these, parse_classify.c the rules that classify.
 */
#ifndef ZG_PARSE_IMPL_H
#define ZG_PARSE_IMPL_H

#include "parse.h"

#define ZG_POLICY_WORD_MAX 128		       /* an id, label, tag or a label's value */
#define ZG_POLICY_TEXT_MAX (ZG_REASON_LEN - 1) /* a reason, a remediation */

/* Conditions on their way in. */
struct zg_match_ctx {
	struct zg_conds_src *into;
	const struct zg_yaml *deny_list; /* the first deny_servers_not_in */
};

/* A map of conditions; what: "match", for messages. classify: only those that
 * may say what a call is. */
bool zg_match_parse(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, const char *what,
		    bool classify, struct zg_match_ctx *m);
/* mcp: at the level of a rule. */
void zg_match_mcp(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *match);

/* A new condition of kind, with y's place; NULL after an error. */
struct zg_cond_src *zg_cond_add(const struct zg_yaml_ctx *ctx, struct zg_match_ctx *m,
				const struct zg_yaml *y, enum zg_cond_kind kind);
/* Zeroed memory of the file's; NULL after an error. */
void *zg_parse_alloc(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, size_t n, size_t size);

/* Fields of condition maps; into is a struct zg_match_ctx. */
void zg_args_parse(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into);
void zg_principal_parse(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into);
void zg_time_parse(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into);

/* classify: of a policy; into is a struct zg_policy_src. */
void zg_classify_parse(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into);

/* A word that names something, into a struct zg_slice; errors are added. */
void zg_id_parse(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, struct zg_slice *out);
/* {key: value}, words both, none of them mcp.*. */
void zg_labels_parse(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y,
		     struct zg_labels_src *out);
/* Risk tags, each a word. False after an error. */
bool zg_tags_parse(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, struct zg_texts *out);
/* A comment that is data: checked, then forgotten. */
void zg_description_parse(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into);

#endif
