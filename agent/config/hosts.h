/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hosts.h - the host names that profiles may resolve, as the snapshot has
 * them, and where they are asked for.
 */
#ifndef ZG_HOSTS_H
#define ZG_HOSTS_H

#include "buf.h"
#include "grants.h"
#include "settings.h"

/* Append the sorted struct zg_name_def[] to out. 0, -ENOMEM; -E2BIG with *at
 * the entry that has more than ZG_PORT_RULES_MAX port ranges. */
int zg_hosts_build(const struct zg_settings_src *s, struct zg_entry_src *const *servers,
		   size_t server_count, struct zg_buf *out,
		   const struct zg_entry **at) ZG_MUST_CHECK;

/* The nameservers of resolv.conf. */
void zg_resolv_parse(struct zg_slice text, struct zg_settings *s);

#endif
