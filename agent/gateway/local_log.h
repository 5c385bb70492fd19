/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local_log.h - the standard error of a local server, line by line, on its way
 * to the agent's log and so to journald: bounded, at a bounded rate, control
 * characters made visible, secrets masked.
 */
#ifndef ZG_GATEWAY_LOCAL_LOG_H
#define ZG_GATEWAY_LOCAL_LOG_H

#include "lines.h"

struct zg_worker;

struct zg_local_log {
	struct zg_lines lines;
	uint64_t second;
	uint32_t said;
	uint64_t muted; /* lines that were too many */
};

void zg_local_log_init(struct zg_local_log *l);
void zg_local_log_release(struct zg_local_log *l);
void zg_local_log_say(struct zg_local_log *l, struct zg_worker *w, const char *server,
		      struct zg_slice line);

#endif
