/* SPDX-License-Identifier: Apache-2.0 */
/*
 * err.h - the error contract.
 *
 * A function that can fail returns 0 or -errno and leaves its out-parameters
 * alone when it fails. One that reads what people wrote also fills a
 * struct zg_err: where it is, what is wrong, and the next step. Libraries do
 * not log; the owning loop logs once. A deny is a value, never an error.
 */
#ifndef ZG_ERR_H
#define ZG_ERR_H

#include <stdint.h>

#include "zg_limits.h"
#include "cleanup.h"

struct zg_err {
	char file[ZG_PATH_LEN]; /* "" = not about a file */
	uint32_t line;		/* 1-based; 0 = unknown */
	uint32_t column;	/* 1-based, in bytes; 0 = unknown */
	char what[ZG_REASON_LEN];
	char hint[ZG_REASON_LEN]; /* the next step; may be "" */
};

/* Fill e (may be NULL) and return -code. A text too long ends in "...". */
int zg_err_set(struct zg_err *e, int code, const char *fmt, ...) ZG_PRINTF(3, 4);

/* As zg_err_set, with a place. */
int zg_err_at(struct zg_err *e, int code, const char *file, uint32_t line, uint32_t column,
	      const char *fmt, ...) ZG_PRINTF(6, 7);

/* Add the next step to a filled error. */
void zg_err_hint(struct zg_err *e, const char *fmt, ...) ZG_PRINTF(2, 3);

/* "file:line:column: what (hint)"; returns out, always NUL-terminated. */
const char *zg_err_text(const struct zg_err *e, char *out, size_t size);

#endif
