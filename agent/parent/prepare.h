/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prepare.h - what must be there before the loop: users, folders, locks, the
 * bpffs, and then as few privileges as the loop needs.
 */
#ifndef ZG_PREPARE_H
#define ZG_PREPARE_H

#include "state.h"

/* Fill p's paths from p->settings, relative ones from the config's folder. */
int zg_prepare_paths(struct zg_parent *p, struct zg_err *e) ZG_MUST_CHECK;
/* Where the files of the configuration are now: links of root's are followed once,
 * so that one load reads one version of what is replaced as a whole. */
int zg_prepare_sources(struct zg_parent *p, struct zg_err *e) ZG_MUST_CHECK;
/* Look the configured users and group up; the hint says how to make them. */
int zg_prepare_users(struct zg_parent *p, struct zg_err *e) ZG_MUST_CHECK;
/* Make the runtime and pin folders and lock them against a second agent.
 * -EWOULDBLOCK if one runs. */
int zg_prepare_locks(struct zg_parent *p, struct zg_err *e) ZG_MUST_CHECK;
/* Make the state folder the ledger's, with a folder of root's own in it, which is
 * left open in p->contained_dir; an O_DIRECTORY descriptor. */
int zg_prepare_state(struct zg_parent *p, struct zg_err *e) ZG_MUST_CHECK;
/* Give up every capability that the loop does not need, for good. */
int zg_prepare_privileges(struct zg_err *e) ZG_MUST_CHECK;

#endif
