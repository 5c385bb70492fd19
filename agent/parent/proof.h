/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proof.h - the agent proves its own enforcement: on start, every ZG_PROOF_SEC
 * and when `zerogate doctor` asks. One round is three looks: are the programs
 * attached (zg_kernel_verify), do the maps hold what was put in force
 * (zg_kernel_readback), and does a workload of our own meet a closed door
 * (proof_canary.c). What is found broken is repaired once and looked at again;
 * enforcement.c says in one sentence where that leaves us.
 */
#ifndef ZG_PROOF_H
#define ZG_PROOF_H

#include "state.h"

enum zg_look { ZG_LOOK_PROGRAMS, ZG_LOOK_MAPS, ZG_LOOK_CANARY, ZG_LOOKS };

/* What one look found: ABSENT is "could not be proved", BROKEN "is not so". */
struct zg_looked {
	enum zg_finding_state state;
	char text[ZG_REASON_LEN]; /* "" when all is well */
};

/* proof.c ------------------------------------------------------------------- */

int zg_proof_start(struct zg_parent *p, struct zg_err *e) ZG_MUST_CHECK;
/* A round as soon as it may be. Its number: zg_control_proved follows with
 * p->proofs at least that when it is over. */
uint64_t zg_proof_ask(struct zg_parent *p);
/* The programs alone, at once. */
void zg_proof_look(struct zg_parent *p);
/* What the last round found, worst of its life for each look. */
const struct zg_looked *zg_proof_last(const struct zg_parent *p, enum zg_look look);
/* What the last round found broken before it was repaired, or "". */
const char *zg_proof_repaired(const struct zg_parent *p);
void zg_proof_release(struct zg_parent *p);

/* proof_canary.c -------------------------------------------------------------- */

int zg_canary_start(struct zg_parent *p, struct zg_err *e) ZG_MUST_CHECK;
/* One round; zg_proof_canary follows within ZG_PROOF_MS. */
void zg_canary_round(struct zg_parent *p);
/* An event of ZG_PROFILE_CANARY: never a denial of somebody else's. */
void zg_canary_event(struct zg_parent *p, const struct zg_event *ev);
void zg_canary_reap(struct zg_parent *p); /* SIGCHLD */
void zg_canary_release(struct zg_parent *p);
void zg_proof_canary(struct zg_parent *p, const struct zg_looked *found); /* proof.c's */

#endif
