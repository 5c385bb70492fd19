/* SPDX-License-Identifier: Apache-2.0 */
/*
 * approval_row.h - many approvals in one message (zg_msg_ctl_approval_rows): what
 * a list shows of each, its numbers as they are, its texts as long as they are.
 * `why` and `args_text` never travel in a row.
 */
#ifndef ZG_APPROVAL_ROW_H
#define ZG_APPROVAL_ROW_H

#include <stdbool.h>
#include <stddef.h>

#include "cleanup.h"
#include "zg_wire.h"

/* False: this message has no room for it; an empty one always has. */
bool zg_approval_rows_add(struct zg_msg_ctl_approval_rows *m,
			  const struct zg_msg_ctl_approval *a) ZG_MUST_CHECK;

/* The row at *at, which moves on: 1, 0 after the last, -EPROTO if it is broken. */
int zg_approval_rows_next(const struct zg_msg_ctl_approval_rows *m, size_t *at,
			  struct zg_msg_ctl_approval *out) ZG_MUST_CHECK;

#endif
