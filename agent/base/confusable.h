/* SPDX-License-Identifier: Apache-2.0 */
/*
 * confusable.h - when two names look the same to a person or a model. A short
 * table of letters of other scripts that look like ASCII ones (after Unicode's
 * confusables.txt, the Latin look-alikes of Cyrillic, Greek and full-width
 * forms); not the whole of Unicode's.
 */
#ifndef ZG_CONFUSABLE_H
#define ZG_CONFUSABLE_H

#include <stddef.h>
#include <stdint.h>

#include "slice.h"

/* The next character of valid UTF-8 text, which is cut off; 0 at its end. A
 * byte that is none stands for itself. */
uint32_t zg_next_char(struct zg_slice *s);

/* The ASCII letter, in lower case, that c looks like; 0 = none. ASCII letters
 * and digits look like themselves. */
char zg_looks_like(uint32_t c);

/* Characters that leave no mark: Unicode's default-ignorable ones. */
bool zg_is_invisible(uint32_t c);

/* What names have in common that can be taken for one another: lower case,
 * look-alikes made Latin, no _ - . blanks or invisible characters; digits
 * that look like letters (0, 1) as these. Cut to size. */
void zg_skeleton(char *out, size_t size, struct zg_slice name);

#endif
