/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * lsm.bpf.h - what the security hooks share: they answer 0 or -EPERM.
 */
#ifndef ZG_LSM_BPF_H
#define ZG_LSM_BPF_H

#include "event.bpf.h"

#include <bpf/bpf_tracing.h>

#define ZG_LSM_EPERM (-1)

/* Ask the one verdict for the current task, and record a refusal. */
static __noinline int zg_lsm_judge(struct zg_dest *d)
{
	struct zg_answer a;

	zg_judge(d, &a);
	if (a.profile == ZG_PROFILE_NONE)
		return 0;
	return zg_answer_in(0, d, &a, ZG_L_LSM) == ZG_PASS ? 0 : ZG_LSM_EPERM;
}

#endif
