/* SPDX-License-Identifier: Apache-2.0 */
/*
 * section.h - the compiled policy inside a snapshot, private to this folder:
 * compile.c writes it, section.c checks it, decide.c and classify.c read it.
 *
 * Flat and position independent: tables of fixed-size rows, all references
 * are row numbers, all text lies in one table. An *atom* is a (key, value)
 * pair that some rule names exactly. Every rule hangs at the atoms of its most
 * selective exact condition (its pivot), so that a decision visits the rules
 * that share an atom with the call, not all rules; rules without an exact
 * condition form the residual list and are always visited.
 */
#ifndef ZG_SECTION_H
#define ZG_SECTION_H

#include "decide.h"
#include "model.h"

#define ZG_POLICY_MAGIC 0x32504f4cu
#define ZG_NO_INDEX	UINT32_MAX
#define ZG_NO_ALLOWLIST UINT16_MAX

struct zg_row_text { /* into TEXT */
	uint32_t offset;
	uint32_t len;
};

struct zg_row_span { /* rows of another table */
	uint32_t first;
	uint32_t count;
};

/* Keys that are not labels come first; facts in the order of enum zg_fact. */
enum zg_key_id {
	ZG_KEY_RISK_TAG = 0,
	ZG_KEY_SERVER_FOLDED,
	ZG_KEY_FACTS,
	ZG_KEY_LABELS = ZG_KEY_FACTS + ZG_FACT_MAX
};

/* Of a condition that cannot be evaluated: neither holds nor does not. */
enum zg_truth { ZG_FALSE = 0, ZG_UNKNOWN = 1, ZG_TRUE = 2 };

struct zg_row_key {
	struct zg_row_text name;
};

struct zg_row_atom {
	uint32_t key;
	struct zg_row_text value;
	struct zg_row_span rules;   /* POSTINGS: rules whose pivot has this atom */
	struct zg_row_span classes; /* likewise of CLASSES */
};

struct zg_row_cond {
	uint32_t kind;		  /* enum zg_cond_kind */
	uint32_t key;		  /* ARG_*: row of POINTERS */
	struct zg_row_span atoms; /* VALUES, ascending */
	struct zg_row_span globs; /* GLOBS */
	struct zg_row_span more;  /* by kind: UIDS, WINDOWS, SCALARS, REFS, BOUNDS */
};

struct zg_row_pointer {
	struct zg_row_text text;
	struct zg_row_span steps; /* STEPS */
};

struct zg_row_step {
	struct zg_row_text name;
	uint32_t index; /* of an array, or ZG_NO_INDEX */
};

struct zg_row_scalar {
	struct zg_number number;
	struct zg_row_text text;
	uint32_t kind; /* enum zg_scalar_kind */
	uint32_t pad;
};

struct zg_row_bounds {
	struct zg_number min, max;
	uint8_t has_min, has_max;
	uint8_t pad[6];
};

struct zg_row_regex {
	struct zg_row_text pattern;
	struct zg_row_span database; /* BLOB */
	uint8_t sha256[32];	     /* of it */
};

/* What calls that match are; action 0: says nothing of it, else 1 + enum zg_action. */
struct zg_row_class {
	struct zg_row_text id;
	struct zg_row_text place;
	struct zg_row_span match;  /* CONDS */
	struct zg_row_span unless; /* CONDS */
	struct zg_row_span labels; /* LABELS */
	struct zg_row_span tags;   /* TAGS */
	uint32_t pivot;
	uint32_t action;
};

struct zg_row_rule {
	struct zg_row_text id;
	struct zg_row_text place;
	struct zg_row_text reason;
	struct zg_row_text remediation;
	struct zg_row_span annotate; /* LABELS */
	struct zg_row_span match;    /* CONDS */
	struct zg_row_span unless;   /* CONDS; none: no exception */
	uint32_t pivot;		     /* index within match, or ZG_NO_INDEX */
	uint32_t max_runtime_sec;
	uint32_t max_retries;
	uint32_t max_output_bytes;
	struct zg_row_span limits; /* LIMITS */
	uint16_t allowlist;	   /* row of LISTS, or ZG_NO_ALLOWLIST */
	uint8_t decision;
	uint8_t has_max_retries;
	uint8_t redact; /* enum zg_redact */
	uint8_t approvers;
	uint8_t pad[2];
};

struct zg_row_label {
	struct zg_row_text key;
	struct zg_row_text value;
};

struct zg_row_tool {
	struct zg_row_text pattern;
	struct zg_row_span labels; /* LABELS */
	struct zg_row_span tags;   /* TAGS */
	uint8_t action;
	uint8_t has_tags;
	uint8_t pad[2];
};

struct zg_row_server {
	struct zg_row_text id;
	struct zg_row_span labels;
	struct zg_row_span tags;
	struct zg_row_span tools;     /* TOOLS with an exact name, sorted */
	struct zg_row_span globs;     /* TOOLS with a pattern, most specific first */
	struct zg_row_span resources; /* likewise, by URI */
	struct zg_row_span resource_globs;
	struct zg_row_span prompts;
	struct zg_row_span prompt_globs;
	struct zg_row_span methods; /* extension methods, likewise in TOOLS */
	struct zg_row_span method_globs;
	struct zg_row_span profiles; /* PROFILES that may use it, ascending */
};

/* X(NAME, name, row type) */
#define ZG_POLICY_TABLES(X)                                                                        \
	X(TEXT, text, char)                                                                        \
	X(KEYS, keys, struct zg_row_key)                                                           \
	X(KEY_SLOTS, key_slots, uint32_t)                                                          \
	X(ATOMS, atoms, struct zg_row_atom)                                                        \
	X(ATOM_SLOTS, atom_slots, uint32_t)                                                        \
	X(POSTINGS, postings, uint16_t)                                                            \
	X(RULES, rules, struct zg_row_rule)                                                        \
	X(CONDS, conds, struct zg_row_cond)                                                        \
	X(VALUES, values, uint32_t)                                                                \
	X(GLOBS, globs, struct zg_row_text)                                                        \
	X(LISTS, lists, struct zg_row_span)                                                        \
	X(LIMITS, limits, struct zg_limit)                                                         \
	X(HOSTS, hosts, struct zg_row_text)                                                        \
	X(SERVERS, servers, struct zg_row_server)                                                  \
	X(SERVER_SLOTS, server_slots, uint32_t)                                                    \
	X(TOOLS, tools, struct zg_row_tool)                                                        \
	X(LABELS, labels, struct zg_row_label)                                                     \
	X(TAGS, tags, struct zg_row_text)                                                          \
	X(PROFILES, profiles, uint32_t)                                                            \
	X(CLASSES, classes, struct zg_row_class)                                                   \
	X(POINTERS, pointers, struct zg_row_pointer)                                               \
	X(STEPS, steps, struct zg_row_step)                                                        \
	X(SCALARS, scalars, struct zg_row_scalar)                                                  \
	X(BOUNDS, bounds, struct zg_row_bounds)                                                    \
	X(UIDS, uids, struct zg_range_src)                                                         \
	X(WINDOWS, windows, struct zg_window)                                                      \
	X(REFS, refs, uint32_t)                                                                    \
	X(REGEXES, regexes, struct zg_row_regex)                                                   \
	X(BLOB, blob, char)

enum zg_policy_table {
#define X(NAME, name, type) ZG_PT_##NAME,
	ZG_POLICY_TABLES(X)
#undef X
		ZG_PT_MAX
};

struct zg_policy_header {
	uint32_t magic;
	uint32_t bytes; /* of the whole section */
	uint32_t default_decision;
	uint32_t pad;
	struct zg_row_span residual;		 /* POSTINGS */
	struct zg_row_span class_residual;	 /* POSTINGS, of CLASSES */
	struct zg_row_span unknown[ZG_FACT_MAX]; /* POSTINGS: rules to visit if it is not known */
	uint32_t facts; /* bit per enum zg_fact: some condition asks for it */
	uint32_t pad2;
	struct zg_row_span table[ZG_PT_MAX]; /* first = byte offset, multiple of 8 */
};

/* The tables of a checked section. */
struct zg_policy_view {
	const struct zg_policy_header *header;
#define X(NAME, name, type) const type *name;
	ZG_POLICY_TABLES(X)
#undef X
};

static inline struct zg_policy_view zg_policy_view(const struct zg_policy *p)
{
	const struct zg_policy_header *h = p->bytes;
	const char *base = p->bytes;

	return (struct zg_policy_view){.header = h,
#define X(NAME, name, type) .name = (const void *)(base + h->table[ZG_PT_##NAME].first),
				       ZG_POLICY_TABLES(X)
#undef X
	};
}

static inline struct zg_slice zg_row_slice(const struct zg_policy_view *v, struct zg_row_text t)
{
	return (struct zg_slice){v->text + t.offset, t.len};
}

/* FNV-1a, seeded by the key; tables hold row + 1 (0 = free), probed in line. */
static inline uint32_t zg_row_hash(uint32_t key, struct zg_slice s)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325) ^ ((uint64_t)key * 0x9e3779b97f4a7c15u);

	for (size_t i = 0; i < s.len; i++)
		h = (h ^ (unsigned char)s.ptr[i]) * UINT64_C(0x100000001b3);
	return (uint32_t)(h ^ h >> 32);
}

#endif
