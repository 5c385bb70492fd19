/* SPDX-License-Identifier: Apache-2.0 */
/*
 * regex.h - regular expressions over arguments, by Hyperscan: its automata
 * read a text once, whatever the expression, and no code is made at run time.
 * Compiled where the configuration is (zg_regex_compile), taken up from the
 * section by whoever decides.
 */
#ifndef ZG_REGEX_H
#define ZG_REGEX_H

#include "arena.h"
#include "section.h"

/* Compile one; *database is in the arena. False: why says what is wrong. */
bool zg_regex_compile(struct zg_slice pattern, struct zg_arena *arena, struct zg_slice *database,
		      char *why, size_t why_size);

/* All of a section; NULL in *out if it has none. -EBADMSG: not what a compiler
 * of this build and CPU made; -ENOMEM. */
int zg_regexes_new(struct zg_regexes **out, const struct zg_policy_view *v) ZG_MUST_CHECK;
void zg_regexes_free(struct zg_regexes *r);

/* Does it find something in text (valid UTF-8)? UNKNOWN: it could not be asked.
 * Uses scratch memory of r: one caller at a time. */
enum zg_truth zg_regex_find(struct zg_regexes *r, uint32_t number, struct zg_slice text);

#endif
