/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log.h - the agent's own diagnostics on stderr (journald reads the "<N>"
 * prefix). Not the audit stream, and never a place for arguments or secrets.
 * Only role loops log, once per failure.
 */
#ifndef ZG_LOG_H
#define ZG_LOG_H

#include "cleanup.h"
#include "err.h"

enum zg_log_level {
	ZG_LOG_ERR = 3,
	ZG_LOG_WARN = 4,
	ZG_LOG_NOTICE = 5,
	ZG_LOG_INFO = 6,
	ZG_LOG_DEBUG = 7,
};

/* role: "parent", "gateway", ...; the string must outlive the process. */
void zg_log_init(const char *role);
void zg_log(enum zg_log_level level, const char *fmt, ...) ZG_PRINTF(2, 3);
void zg_log_err(enum zg_log_level level, const char *doing, const struct zg_err *e);

#endif
