/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nowhere.h - names of servers of which the parent has said that they lead
 * nowhere for now: calls to them fail at once. A forgotten one costs a wait.
 */
#ifndef ZG_GATEWAY_NOWHERE_H
#define ZG_GATEWAY_NOWHERE_H

#include <stdbool.h>
#include <stdint.h>

#include "zg_limits.h"
#include "zg_wire.h"

struct zg_worker;

struct zg_nowhere_names { /* zeroed: none */
	struct zg_nowhere_name {
		char name[ZG_HOST_LEN];
		uint64_t until_ns; /* CLOCK_MONOTONIC */
	} at[ZG_NOWHERE_NAMES];
};

void zg_nowhere_put(struct zg_nowhere_names *n, const char *name, uint64_t until_ns);
bool zg_nowhere_known(const struct zg_nowhere_names *n, const char *name, uint64_t now_ns);

/* The parent's word: what waits for that name goes on. */
void zg_nowhere_message(struct zg_worker *w, struct zg_msg_name_nowhere *m);

#endif
