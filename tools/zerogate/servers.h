/* SPDX-License-Identifier: Apache-2.0 */
/* servers.h - what the parts of `zerogate servers` share. */
#ifndef ZG_CLI_SERVERS_H
#define ZG_CLI_SERVERS_H

#include "slice.h"

/* The lines that differ between two canonical JSON texts, laid out over lines,
 * to stdout; what is no printable ASCII is written as an escape. */
void zg_diff_print(struct zg_slice old, struct zg_slice new);

#endif
