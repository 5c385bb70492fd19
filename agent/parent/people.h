/* SPDX-License-Identifier: Apache-2.0 */
/*
 * people.h - what a person may do at the control socket: which groups
 * zerogate.yaml gives which role, and which of them the kernel says a peer has.
 */
#ifndef ZG_PEOPLE_H
#define ZG_PEOPLE_H

#include <sys/socket.h>

#include "err.h"
#include "zg_snapshot.h"
#include "zg_wire.h"

#define ZG_NO_GROUP ((gid_t)-1) /* then only root has the role */

struct zg_people {
	gid_t approvers;
	gid_t security;
	gid_t break_glass;
	gid_t owner[ZG_OWNERS_MAX]; /* by their places in the settings */
	uint32_t owners;
};

/* The groups that the settings name. -ENOENT: one of them does not exist; out is
 * untouched. */
int zg_people_find(struct zg_people *out, const struct zg_settings *s,
		   struct zg_err *e) ZG_MUST_CHECK;

/* The roles (bits of enum zg_role_bit) and owners of who connected, by its
 * groups as they were when it did. Root has all; who cannot be told has none. */
void zg_people_roles(const struct zg_people *p, int sock, const struct ucred *who, uint32_t *roles,
		     uint64_t *owners);

#endif
