/* SPDX-License-Identifier: Apache-2.0 */
/* status.h - what the parts of `zerogate status` share. */
#ifndef ZG_CLI_STATUS_H
#define ZG_CLI_STATUS_H

#include "buf.h"
#include "cli.h"

#define ZG_SERVER_STATES 5 /* submitted, approved, live, suspended, revoked */

struct zg_status_people {
	bool known; /* the ledger has told */
	uint64_t servers[ZG_SERVER_STATES];
	uint64_t servers_waiting; /* for one approval, or two */
	uint64_t connections_waiting;
	uint64_t calls_waiting;
};

void zg_status_people(const struct zg_cli *cli, struct zg_status_people *out);
void zg_status_people_print(const struct zg_status_people *p);
/* Two members, after another. */
void zg_status_people_json(struct zg_buf *b, const struct zg_status_people *p);

#endif
