/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel_ask.h - the program that answers zg_kernel_ask (kernel.h): an object
 * of its own on the gate's maps, loaded with it, never attached or pinned.
 */
#ifndef ZG_KERNEL_ASK_H
#define ZG_KERNEL_ASK_H

#include <bpf/libbpf.h>

#include "err.h"
#include "zg_abi.h"

struct zg_ask;

/* gate is loaded and outlives this. */
int zg_ask_open(struct zg_ask **out, const struct bpf_object *gate, struct zg_err *e) ZG_MUST_CHECK;
void zg_ask_close(struct zg_ask *a);
int zg_ask(const struct zg_ask *a, struct zg_question *q) ZG_MUST_CHECK;

#endif
