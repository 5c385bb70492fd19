/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reload.h - a new configuration takes the old one's place, or does not: a
 * bad one leaves everything as it was, and both outcomes are recorded.
 */
#ifndef ZG_RELOAD_H
#define ZG_RELOAD_H

#include "state.h"

void zg_reload_init(struct zg_parent *p);
void zg_reload_release(struct zg_parent *p);

/* Put p->snapshot in force in the kernel gate, members included. */
int zg_reload_apply(struct zg_parent *p, struct zg_err *e) ZG_MUST_CHECK;

/* What is known of the policy on trial, and what it would have decided otherwise. */
void zg_reload_shadow_status(const struct zg_parent *p, struct zg_msg_ctl_status *out);

/* Know all cgroups that the gate governs, those that it governed by itself too. */
int zg_reload_adopt(struct zg_parent *p) ZG_MUST_CHECK;

#endif
