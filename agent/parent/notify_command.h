/* SPDX-License-Identifier: Apache-2.0 */
/*
 * notify_command.h - the command that tells people of events (zerogate.yaml(5), notify): the
 * ledger says which event, the configuration in force says what is started and as
 * whom. One event, one process tree in a cgroup of its own, for a bounded time.
 */
#ifndef ZG_NOTIFY_COMMAND_H
#define ZG_NOTIFY_COMMAND_H

#include "state.h"

int zg_notices_start(struct zg_parent *p, struct zg_err *e) ZG_MUST_CHECK;
void zg_notices_release(struct zg_parent *p);

/* From the ledger, which is told how it ended. -EPROTO: no message of a sane one. */
int zg_notices_begin(struct zg_parent *p, struct zg_msg_notify *m) ZG_MUST_CHECK;

/* SIGCHLD */
void zg_notices_reap(struct zg_parent *p);

#endif
