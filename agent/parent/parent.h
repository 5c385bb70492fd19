/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parent.h - entry of the parent role: the only one with privileges. It owns
 * the kernel gate, the cgroups, the listeners and the children, and never
 * parses what people, peers or servers wrote.
 */
#ifndef ZG_PARENT_H
#define ZG_PARENT_H

#include <stdbool.h>

struct zg_parent_options {
	const char *config; /* zerogate.yaml */
	const char *prefix; /* "" or a folder put before absolute state and runtime paths */
	bool check;	    /* validate and exit: 0 good, 1 bad */
	bool detach;	    /* remove pins and cgroups of an agent that does not run, and exit */
};

int zg_parent_main(const struct zg_parent_options *o); /* exit status */

#endif
