/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel_readback.h - are the gate's maps what was put in force? Part of
 * kernel.c's job; zg_kernel_readback (kernel.h) is its only user.
 */
#ifndef ZG_KERNEL_READBACK_H
#define ZG_KERNEL_READBACK_H

#include "kernel.h"
#include "kernel_tables.h"

int zg_tables_readback(const struct zg_tables *t, const struct zg_intent *intent,
		       struct zg_readback *at, struct zg_err *e) ZG_MUST_CHECK;

#endif
