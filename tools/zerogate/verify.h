/* SPDX-License-Identifier: Apache-2.0 */
/* verify.h - the audit log, offline and as the running agent has it. */
#ifndef ZG_VERIFY_H
#define ZG_VERIFY_H

#include "cli.h"
#include "slice.h"

/* STATE_DIR/audit as a zerogate.yaml has it, to be freed; NULL after saying why. */
char *zg_audit_dir(const char *config);

/* Each line of the running agent's log, as zerogate audit tail has it, until line says
 * false. An exit status. */
int zg_audit_follow(const struct zg_cli *cli, const struct zg_msg_ctl_audit_tail *ask,
		    bool (*line)(void *arg, struct zg_slice text), void *arg);

/* argv[0] is "verify"; the exit status. */
int zg_audit_verify(const struct zg_cli *cli, int argc, char **argv);

#endif
