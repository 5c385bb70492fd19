/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compile_impl.h - what the parts of the compiler share: compile.c numbers
 * atoms, chooses pivots and hangs rules; compile_cond.c writes conditions,
 * compile_registry.c the registry.
 */
#ifndef ZG_COMPILE_IMPL_H
#define ZG_COMPILE_IMPL_H

#include "compile.h"
#include "section.h"

/* An exact value that some condition names. */
struct zg_atom {
	uint32_t key;
	struct zg_slice value;
	uint32_t uses;			   /* by conditions that could be a pivot */
	struct zg_row_span rules, classes; /* what hangs here */
};

/* A rule of either sort. */
struct zg_entry {
	const struct zg_conds_src *match, *unless;
	uint32_t pivot; /* index within match, or ZG_NO_INDEX */
};

struct zg_compiler {
	struct zg_arena *arena;
	const struct zg_policy_src *policy;
	const struct zg_rule_src **rule;
	const struct zg_class_src **class;
	struct zg_entry *entry; /* of the rules, then of the classes */
	size_t entry_count;
	struct zg_slice *key; /* sorted names of labels; key id = place + ZG_KEY_LABELS */
	size_t key_count;
	struct zg_atom *atom; /* sorted by (key, value) */
	size_t atom_count;
	uint32_t facts; /* bit per enum zg_fact */
	struct zg_buf table[ZG_PT_MAX];
	bool failed;
};

/* n * size bytes of the arena; NULL marks the compiler as failed. */
void *zg_compile_alloc(struct zg_compiler *c, size_t n, size_t size);
/* Rows that a table has by now; row: the size of one. */
uint32_t zg_rows(const struct zg_compiler *c, enum zg_policy_table t, size_t row);

struct zg_row_text zg_put_text(struct zg_compiler *c, struct zg_slice s);
void zg_put_texts(struct zg_compiler *c, enum zg_policy_table t, const struct zg_slice *s,
		  size_t n);
/* A hash table of n rows; hash gives the place a row would like. */
void zg_put_slots(struct zg_compiler *c, enum zg_policy_table t, size_t n,
		  uint32_t (*hash)(const struct zg_compiler *, size_t row));

/* compile.c: of a condition with values */
uint32_t zg_key_of(const struct zg_compiler *c, const struct zg_cond_src *cond);
const struct zg_atom *zg_atom_find(const struct zg_compiler *c, uint32_t key,
				   struct zg_slice value);
/* Value i is a '*' pattern. */
bool zg_globbed(const struct zg_cond_src *cond, size_t i);
/* Its values are atoms, but for the patterns among them. */
bool zg_has_atoms(const struct zg_cond_src *cond);

/* compile_cond.c */
struct zg_row_span zg_put_conds(struct zg_compiler *c, const struct zg_conds_src *conds);
void zg_put_regexes(struct zg_compiler *c);

/* compile_registry.c */
struct zg_row_span zg_put_labels(struct zg_compiler *c, const struct zg_labels_src *l);
struct zg_row_span zg_put_tags(struct zg_compiler *c, const struct zg_texts *tags);
void zg_put_servers(struct zg_compiler *c, const struct zg_server_src *servers, size_t n);

#endif
