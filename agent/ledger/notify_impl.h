/* SPDX-License-Identifier: Apache-2.0 */
/* notify_impl.h - what notify.c (the queue) and notify_text.c (an event) share. */
#ifndef ZG_LEDGER_NOTIFY_IMPL_H
#define ZG_LEDGER_NOTIFY_IMPL_H

#include <errno.h>

#include "buf.h"
#include "notify.h"
#include "record.h"

/* a: NULL = it is about none. 0, -ENOMEM or -EFBIG. */
int zg_notify_text(struct zg_buf *out, const char *delivery, const char *host,
		   const struct zg_record *r, const struct zg_approval *a) ZG_MUST_CHECK;

#endif
