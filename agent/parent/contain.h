/* SPDX-License-Identifier: Apache-2.0 */
/*
 * contain.h - containment: a profile is denied everything until a person lifts
 * that. The pinned maps keep it over restarts of the agent; a root-owned folder
 * in the state folder, one empty file a profile, keeps it over detach and reboot.
 */
#ifndef ZG_CONTAIN_H
#define ZG_CONTAIN_H

#include "state.h"

/* Open that folder, made by zg_prepare_state, and contain what it names. The
 * gate is open, and no generation is applied or no cgroup governed yet. */
int zg_contain_restore(struct zg_parent *p, struct zg_err *e) ZG_MUST_CHECK;

/* Contain or resume, by the word of who asks (already found to be entitled), and
 * end the profile's sockets. -ENOENT: no such profile; e names those that exist. */
int zg_contain(struct zg_parent *p, const struct zg_msg_ctl_contain *ask, pid_t pid, uid_t uid,
	       struct zg_msg_ctl_contained *out, struct zg_err *e) ZG_MUST_CHECK;

/* Names of the contained profiles, by comma; "" if there are none. */
void zg_contain_list(const struct zg_parent *p, char *out, size_t size);

#endif
