/* SPDX-License-Identifier: Apache-2.0 */
/* verify.h - zerogate audit verify: offline, needs no agent. */
#ifndef ZG_VERIFY_H
#define ZG_VERIFY_H

#include "cli.h"

/* argv[0] is "verify"; the exit status. */
int zg_audit_verify(const struct zg_cli *cli, int argc, char **argv);

#endif
