/* SPDX-License-Identifier: Apache-2.0 */
/*
 * namerule.h - what a snapshot says about a host name. The resolver asks before
 * it sends a question on, the parent again before the gate learns an answer.
 */
#ifndef ZG_NAMERULE_H
#define ZG_NAMERULE_H

#include "hostname.h"
#include "snapshot.h"

/* The names of one profile. */
struct zg_namerules {
	const struct zg_name_def *def;
	size_t count;
};

struct zg_namerules zg_namerules_of(const struct zg_snapshot *s, uint32_t profile);

struct zg_namerule {
	enum zg_name_reason reason; /* ZG_NR_NONE: it may be resolved */
	bool server;		    /* a registered server's: it is where its endpoints are */
	bool local;		    /* to addresses of this machine and its networks too */
	const char *wildcard;	    /* only a wildcard covers it: this one; else NULL */
};

/* Deny wins; a DNS over HTTPS service must be named exactly. */
struct zg_namerule zg_namerule_of(struct zg_namerules r, struct zg_slice host);

/* The next allow entry after *at (start with 0) that covers host, or NULL. */
const struct zg_name_def *zg_namerule_next(struct zg_namerules r, struct zg_slice host, size_t *at);

#endif
