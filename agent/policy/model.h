/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model.h - policy and registry as read, before they are compiled: what
 * parse.c and config/registry.c fill in and compile.c turns into a section.
 * All memory is an arena's, all text stays as the author wrote it unless a
 * comment says otherwise. Nothing here travels.
 */
#ifndef ZG_MODEL_H
#define ZG_MODEL_H

#include "decision.h"
#include "envelope.h"
#include "document.h"
#include "limit.h"

enum zg_cond_kind {
	ZG_CK_LABEL = 0,     /* the label exists and one pattern matches its value */
	ZG_CK_RISK_TAG,	     /* one tag in common */
	ZG_CK_SERVER_NOT_IN, /* mcp.server exists and is not listed (trimmed, any case) */
	ZG_CK_MAX
};

struct zg_cond_src {
	enum zg_cond_kind kind;
	struct zg_slice key;	/* LABEL: its key */
	struct zg_texts values; /* SERVER_NOT_IN: trimmed and in lower case */
	uint32_t line, column;
};

struct zg_conds_src {
	struct zg_cond_src *item; /* all must hold */
	size_t count;
};

struct zg_constraints_src {
	uint32_t max_runtime_sec; /* 0 = none */
	uint32_t max_retries;
	bool has_max_retries;
	struct zg_texts allowlist; /* lower-case hosts, "*.x" for what ends in .x */
	uint32_t max_output_bytes; /* 0 = none */
	uint32_t approvers;	   /* likewise; a member of the rule */
	enum zg_redact redact;
	struct zg_limit limit[ZG_LIMITS_MAX]; /* rates and calls at once; rule: not set */
	size_t limit_count;
};

struct zg_rule_src {
	struct zg_slice id;
	struct zg_slice reason; /* may be empty */
	const char *file;
	uint32_t line, column;
	enum zg_decision_kind decision;
	struct zg_conds_src match; /* none: every call */
	struct zg_conds_src unless;
	bool has_unless;
	struct zg_constraints_src constraints;
	struct zg_rule_src *next;
};

struct zg_policy_src {
	struct zg_rule_src *rules; /* of all files, in no particular order */
	size_t rule_count;
	enum zg_decision_kind default_decision; /* DENY unless set */
	const char *default_file;		/* NULL = nobody set it */
	uint32_t default_line;
};

struct zg_label_src {
	struct zg_slice key;
	struct zg_slice value;
};

struct zg_labels_src {
	struct zg_label_src *item;
	size_t count;
};

struct zg_tool_src {
	struct zg_slice pattern; /* exact, or with '*' */
	enum zg_action action;
	struct zg_labels_src labels; /* on top of the server's */
	struct zg_texts risk_tags;
	bool has_risk_tags; /* then they replace the server's */
};

/* What classification needs of one registered server. */
struct zg_server_src {
	struct zg_slice id;
	struct zg_labels_src labels;
	struct zg_texts risk_tags;
	struct zg_tool_src *tools;
	size_t tool_count;
	struct zg_tool_src *methods; /* extensions of the protocol that it may use */
	size_t method_count;
	uint32_t *profiles; /* kernel profile ids that may use it */
	size_t profile_count;
};

static inline bool zg_is_glob(struct zg_slice s)
{
	return s.len && memchr(s.ptr, '*', s.len) != NULL;
}

/* A word that may name a rule, label, tag or server: letters, digits and . _ - / : */
bool zg_word_ok(struct zg_slice s, size_t max);

/* Bytes, then length: the one order of everything that is sorted here. */
int zg_slice_order(struct zg_slice a, struct zg_slice b);

/* Trimmed and in lower case, in the arena; empty when memory ran out. */
struct zg_slice zg_lower_trimmed(struct zg_arena *arena, struct zg_slice s);

/* A host as a constraint or an allow entry may name it: lower-case DNS name or
 * IP literal, with "*." in front when wildcard is set. */
bool zg_host_ok(struct zg_slice host, bool wildcard);

#endif
