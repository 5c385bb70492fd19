/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diag.h - everything that is wrong with what people wrote, not only the first
 * thing. Readers of policies, registry and settings add to one list and go on
 * where they can; the owner prints it. Notices are true but harmless facts
 * (an entry that is not enforced yet); they never stop a load.
 */
#ifndef ZG_DIAG_H
#define ZG_DIAG_H

#include <stdbool.h>

#include "cleanup.h"
#include "err.h"

struct zg_diag {
	struct zg_err *item; /* errors and notices, in the order of their finding */
	bool *notice;	     /* item i is a notice */
	size_t kept;
	size_t errors; /* all of them, also those beyond ZG_DIAG_MAX */
	size_t notices;
	bool last_kept; /* zg_diag_hint belongs to a kept item */
};

void zg_diag_release(struct zg_diag *d);

/* Add an error, or a notice; line and column 0 = unknown. */
void zg_diag_error(struct zg_diag *d, const char *file, uint32_t line, uint32_t column,
		   const char *fmt, ...) ZG_PRINTF(5, 6);
void zg_diag_notice(struct zg_diag *d, const char *file, uint32_t line, uint32_t column,
		    const char *fmt, ...) ZG_PRINTF(5, 6);

/* The next step, for the item that was added last. */
void zg_diag_hint(struct zg_diag *d, const char *fmt, ...) ZG_PRINTF(2, 3);

/* Add an error that a callee filled. */
void zg_diag_add(struct zg_diag *d, const struct zg_err *e);

#endif
