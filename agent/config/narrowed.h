/* SPDX-License-Identifier: Apache-2.0 */
/*
 * narrowed.h - what each local server may reach while a call runs on it that
 * policy holds to network_allowlists: a profile of its own for every list, and
 * for lists together as far as there is room, behind all others.
 *
 * An entry of the server that a list covers stays; of a wider one stays what the
 * list names. Whatever cannot be told from the texts - the address of a name, a
 * unix socket - is not covered.
 */
#ifndef ZG_CONFIG_NARROWED_H
#define ZG_CONFIG_NARROWED_H

#include "registry.h"
#include "settings.h"

/* Append them to s->profiles, in which the servers' own are. -ENOMEM. Lists for
 * which there is no room are told of: calls under them will be denied. */
int zg_narrowed_build(struct zg_settings_src *s, const struct zg_policy_src *policy,
		      struct zg_entry_src *const *servers, size_t count, struct zg_arena *arena,
		      struct zg_diag *diag) ZG_MUST_CHECK;

#endif
