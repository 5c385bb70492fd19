/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * unix.bpf.h - the verdict on a unix socket, by the name that the current task
 * gives or that the socket itself has.
 */
#ifndef ZG_UNIX_BPF_H
#define ZG_UNIX_BPF_H

#include "event.bpf.h"

/* d->refused is all that is read of d. Not static: see zg_judge. */
__noinline int zg_judge_unix(struct zg_sun *n, struct zg_dest *d, struct zg_answer *a)
{
	return n && d && a ? zg_decide(ZG_TASK, n, d, a) : 0;
}

#endif
