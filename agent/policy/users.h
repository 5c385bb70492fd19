/* SPDX-License-Identifier: Apache-2.0 */
/*
 * users.h - the uids of the users that a policy names. The kernel attests
 * uids alone, and who compiles a policy may not open a file: so it asks.
 */
#ifndef ZG_USERS_H
#define ZG_USERS_H

#include "model.h"

/* 1: *uid is set; 0: there is no such user, or nobody can tell; or -errno. */
typedef int zg_user_fn(void *arg, struct zg_slice name, uint32_t *uid);

/* Ask for each name once, between parsing and compiling. What is not known stays
 * so: conditions that name it can then not be evaluated for other users. 0 or
 * the first -errno; -E2BIG: more than ZG_POLICY_USERS_MAX names. */
int zg_policy_users(struct zg_policy_src *p, struct zg_arena *arena, zg_user_fn *find,
		    void *arg) ZG_MUST_CHECK;

#endif
