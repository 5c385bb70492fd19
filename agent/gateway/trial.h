/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trial.h - the shadow policy: asked about every call, obeyed in none. Only what
 * it would have decided otherwise is recorded, and counted.
 */
#ifndef ZG_GATEWAY_TRIAL_H
#define ZG_GATEWAY_TRIAL_H

#include "decision.h"
#include "envelope.h"
#include "worker.h"

struct zg_trial {
	bool differs;
	enum zg_decision_kind kind; /* the same one: constraints differ */
	char rules[ZG_RULES_LEN];
};

/* A configuration follows w's: another candidate is counted from 0. */
void zg_trial_begin(struct zg_worker *w, const struct zg_live *next);

/* env as it was before it was classified; d is what holds. */
void zg_trial_judge(struct zg_worker *w, const struct zg_live *l, const struct zg_envelope *env,
		    const struct zg_decision *d, struct zg_trial *out);

#endif
