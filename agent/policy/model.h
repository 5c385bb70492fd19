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
	ZG_CK_FACT,	     /* the kernel's word on the principal: one pattern matches it */
	ZG_CK_UID,	     /* one number or range */
	ZG_CK_USER,	     /* one name; its number where the name is not known */
	ZG_CK_TIME,	     /* one window */
	ZG_CK_ARG_IS,	     /* an argument is one of these scalars, or matches a '*' pattern */
	ZG_CK_ARG_REGEX,     /* it is text that one expression finds something in */
	ZG_CK_ARG_RANGE,     /* it is a number between two */
	ZG_CK_ARG_PRESENT,
	ZG_CK_ARG_ABSENT,
	ZG_CK_MAX
};

/* What a FACT is about; in the order of the section's keys. */
enum zg_fact {
	ZG_FACT_PROFILE = 0,
	ZG_FACT_CGROUP,
	ZG_FACT_UNIT,
	ZG_FACT_USER,
	ZG_FACT_UID,
	ZG_FACT_EXECUTABLE,
	ZG_FACT_SHA256,
	ZG_FACT_MAX
};

struct zg_range_src { /* of uids, both ends in it */
	uint32_t min, max;
};

/* Days on which it begins; from > to: it ends on the day after. */
struct zg_window {
	uint16_t from, to; /* minutes of the day; to may be 1440 */
	int16_t offset;	   /* minutes that the zone is ahead of UTC */
	uint8_t days;	   /* bit 0 = Monday */
	uint8_t pad;
};

/* A JSON number as both sides read it: exact within 64 bits, else a double. */
struct zg_number {
	double real;
	int64_t integer;
	uint8_t is_integer;
	uint8_t pad[7];
};

enum zg_scalar_kind {
	ZG_SCALAR_TEXT = 0,
	ZG_SCALAR_GLOB,
	ZG_SCALAR_NUMBER,
	ZG_SCALAR_TRUE,
	ZG_SCALAR_FALSE,
	ZG_SCALAR_NULL,
	ZG_SCALAR_MAX
};

struct zg_scalar_src {
	enum zg_scalar_kind kind;
	struct zg_slice text; /* TEXT, GLOB */
	struct zg_number number;
};

struct zg_cond_src {
	enum zg_cond_kind kind;
	enum zg_fact fact;	/* FACT */
	struct zg_slice key;	/* LABEL: its key; ARG_*: the pointer as it was written */
	struct zg_texts values; /* LABEL, RISK_TAG, FACT, UID, USER, ARG_REGEX;
				   SERVER_NOT_IN: trimmed and in lower case */
	struct zg_range_src *range;
	size_t range_count; /* UID; USER: one of each name whose number is known */
	struct zg_window *window;
	size_t window_count;
	struct zg_texts steps; /* ARG_*: the pointer's tokens, unescaped */
	struct zg_scalar_src *scalar;
	size_t scalar_count; /* ARG_IS */
	struct zg_number min, max;
	bool has_min, has_max; /* ARG_RANGE */
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

struct zg_label_src {
	struct zg_slice key;
	struct zg_slice value;
};

struct zg_labels_src {
	struct zg_label_src *item;
	size_t count;
};

struct zg_rule_src {
	struct zg_slice id;
	struct zg_slice reason;	     /* may be empty */
	struct zg_slice remediation; /* may be empty */
	struct zg_labels_src annotate;
	const char *file;
	uint32_t line, column;
	enum zg_decision_kind decision;
	struct zg_conds_src match; /* none: every call */
	struct zg_conds_src unless;
	bool has_unless;
	struct zg_constraints_src constraints;
	struct zg_rule_src *next;
};

struct zg_regex_src {
	struct zg_slice pattern;
	struct zg_slice database; /* serialised (regex.h) */
};

/* What calls that match are, beside what the registry says. */
struct zg_class_src {
	struct zg_slice id;
	const char *file;
	uint32_t line, column;
	struct zg_conds_src match;
	struct zg_conds_src unless;
	bool has_action;
	enum zg_action action;
	struct zg_labels_src labels;
	struct zg_texts risk_tags;
	struct zg_class_src *next;
};

struct zg_policy_src {
	struct zg_rule_src *rules; /* of all files, in no particular order */
	size_t rule_count;
	struct zg_class_src *classes; /* likewise */
	size_t class_count;
	struct zg_regex_src *regex; /* of all of them, by pattern; from zg_policy_check */
	size_t regex_count;
	enum zg_decision_kind default_decision; /* DENY unless set */
	const char *default_file;		/* NULL = nobody set it */
	uint32_t default_line;
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
	struct zg_tool_src *resources; /* by URI */
	size_t resource_count;
	struct zg_tool_src *prompts;
	size_t prompt_count;
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

/* May '*' stand in these values, or are they compared exactly? */
bool zg_cond_globs(const struct zg_cond_src *c);

/* A JSON number, by RFC 8259's grammar alone. False: it is none, or too large. */
bool zg_number_parse(struct zg_slice s, struct zg_number *out);
/* -1, 0, 1; exact also between integers and doubles. */
int zg_number_order(struct zg_number a, struct zg_number b);

/* Bytes, then length: the one order of everything that is sorted here. */
int zg_slice_order(struct zg_slice a, struct zg_slice b);

/* Trimmed and in lower case, in the arena; empty when memory ran out. */
struct zg_slice zg_lower_trimmed(struct zg_arena *arena, struct zg_slice s);

/* A host as a constraint or an allow entry may name it: lower-case DNS name or
 * IP literal, with "*." in front when wildcard is set. */
bool zg_host_ok(struct zg_slice host, bool wildcard);

#endif
