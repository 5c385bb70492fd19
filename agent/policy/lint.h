/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lint.h - what is allowed to stand in a policy and is most likely a mistake:
 * rules that never decide, that no call can meet, that allow more than anybody
 * reviews. Findings are opinions: they never change what is decided. Pure but for
 * memory.
 */
#ifndef ZG_LINT_H
#define ZG_LINT_H

#include "model.h"

/* X(NAME, text) */
#define ZG_LINT_KINDS(X)                                                                           \
	X(SHADOWED, "shadowed")		  /* other rules decide whatever it matches */             \
	X(CONTRADICTORY, "contradictory") /* its conditions cannot hold together */                \
	X(UNREACHABLE, "unreachable")	  /* it names what nobody registered */                    \
	X(BROAD, "over-broad")		  /* it allows more than anybody reviews */                \
	X(UNCLASSIFIED, "unclassified")	  /* tools that are writes because nobody said what */

enum zg_lint_kind {
#define X(NAME, text) ZG_LINT_##NAME,
	ZG_LINT_KINDS(X)
#undef X
};

struct zg_lint_item {
	enum zg_lint_kind kind;
	const char *rule; /* its id; "" = about no rule */
	const char *file;
	uint32_t line, column;
	const char *what, *hint;
};

struct zg_lint {
	struct zg_arena arena; /* all of it */
	struct zg_lint_item *item;
	size_t kept, count; /* count: also those beyond ZG_LINT_MAX */
};

struct zg_lint_server {
	const struct zg_server_src *entry;
	const char *file;
	bool trusts; /* its own annotations classify its tools */
	bool called; /* false: nobody can call it */
};

struct zg_lint_tool { /* that a server was seen to have */
	struct zg_slice server, tool;
};

struct zg_lint_input {
	const struct zg_policy_src *policy;
	const struct zg_lint_server *server; /* none: nothing is held against the registry */
	size_t server_count;
	const struct zg_slice *profile; /* names; the n-th is kernel profile ZG_PROFILE_FIRST + n */
	size_t profile_count;
	const struct zg_lint_tool *seen;
	size_t seen_count;
};

/* Append to out, which is zero-filled before the first time. -ENOMEM: not all of it. */
int zg_lint(struct zg_lint *out, const struct zg_lint_input *in) ZG_MUST_CHECK;
void zg_lint_release(struct zg_lint *l);
const char *zg_lint_text(enum zg_lint_kind kind);

#endif
