/* SPDX-License-Identifier: Apache-2.0 */
/* learn_impl.h - what learn.c (collecting) and learn_print.c share. */
#ifndef ZG_LEARN_IMPL_H
#define ZG_LEARN_IMPL_H

#include "learn.h"
#include "zg_wire.h"

#define WHAT_LEN 256 /* a host name, a path or a sentence */

enum list { LIST_ALLOW, LIST_LISTEN, LIST_NOTE };

enum kind { KIND_CIDR, KIND_HOST, KIND_UNIX, KIND_LISTEN, KIND_NOTE };

/* What makes an entry one that a person must think about first. */
enum care {
	CARE_NONE,
	CARE_CLOSED,
	CARE_PROCESS,
	CARE_LOCAL,
	CARE_DENIED,
	CARE_RANGES,
	CARE_GUESS
};

/* Compared member by member, in this order: equal ones are counted as one. */
struct need {
	char profile[ZG_NAME_LEN];
	enum list list;
	enum care care;
	enum kind kind;
	char what[WHAT_LEN];
	char proto[8];
	uint16_t port;
	uint16_t local_port; /* of a packet, until zg_learn_settle() */
	uint64_t count;
	char comm[ZG_COMM_LEN]; /* of the first */
};

struct zg_learn {
	const char *profile, *since;
	struct need *need;
	size_t count, room;
	char first[40], last[40]; /* times of the records that counted */
	uint64_t records;
};

/* When all is known: each need once, sorted. A packet of a flow that came to a
 * served port is no dialling; what is known exactly replaces what is not. */
void zg_learn_settle(struct zg_learn *l);

#endif
