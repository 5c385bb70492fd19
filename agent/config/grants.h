/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grants.h - what the configuration and the registry let each profile reach,
 * as the list that tables.c compiles: allow, deny and listen entries, the gateway's
 * listeners, registered endpoints, and the cloud metadata addresses that
 * nobody reaches by accident.
 */
#ifndef ZG_GRANTS_H
#define ZG_GRANTS_H

#include "registry.h"
#include "settings.h"
#include "tables.h"

struct zg_grants {
	struct zg_grant *item;
	size_t count;
	size_t cap;
};

/* servers are sorted; their policy.profiles say who may use them.
 * 0, -ENOMEM, -E2BIG. */
int zg_grants_build(struct zg_grants *out, const struct zg_settings_src *s,
		    struct zg_entry_src *const *servers, size_t server_count,
		    struct zg_err *e) ZG_MUST_CHECK;
void zg_grants_release(struct zg_grants *g);

/* A range, without the port of DNS over TLS unless it is that port alone: what
 * hides its questions is opened by name only. How many ranges are left. */
size_t zg_ports_without_dot(struct zg_port_range r, struct zg_port_range out[2]);

/* The entry that a grant's number stands for; NULL = none of the file's. */
const struct zg_entry *zg_grants_entry(const struct zg_settings_src *s, uint32_t number);

#endif
