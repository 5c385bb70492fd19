/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server_names.h - where the names of registered servers lead to, as the
 * resolver reports it: judged here, remembered for as long as it holds, and
 * compiled into the configuration in force (reload.c) when it has changed.
 */
#ifndef ZG_PARENT_SERVER_NAMES_H
#define ZG_PARENT_SERVER_NAMES_H

#include "err.h"
#include "zg_wire.h"

struct zg_parent;
struct zg_server_names;

int zg_server_names_open(struct zg_parent *p, struct zg_err *e) ZG_MUST_CHECK;
void zg_server_names_free(struct zg_server_names *n);

/* 0, or -EPROTO: no honest resolver says that. */
int zg_server_names_learn(struct zg_parent *p, struct zg_msg_name_learn *m) ZG_MUST_CHECK;

/* Every few seconds: what has expired goes. */
void zg_server_names_sweep(struct zg_parent *p);

/* All of them as ZG_CF_ADDRESSES, for a compilation that begins now: a memfd of
 * the caller's, or -errno. */
int zg_server_names_file(struct zg_server_names *n) ZG_MUST_CHECK;

#endif
