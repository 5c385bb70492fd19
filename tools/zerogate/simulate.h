/* SPDX-License-Identifier: Apache-2.0 */
/* simulate.h - what the parts of zerogate policy simulate share. */
#ifndef ZG_SIMULATE_H
#define ZG_SIMULATE_H

#include <jansson.h>

#include "decide.h"
#include "load.h"

/* A configuration that records are judged by. */
struct zg_replay {
	struct zg_loaded loaded;
	struct zg_policy policy;
};

#define ZG_REPLAY_WAYS 4 /* what depends on arguments: classes or not; restricted or not */

struct zg_outcomes {
	struct {
		enum zg_decision_kind kind;
		char rules[ZG_RULES_LEN];
	} way[ZG_REPLAY_WAYS]; /* the first is the strictest but for classify rules */
	enum zg_decision_kind least, most;
	enum zg_action action;
};

/* 0, or the exit status after saying why. */
int zg_replay_open(struct zg_replay *r, const char *config);
void zg_replay_close(struct zg_replay *r);

/* A record of a call, judged anew. */
void zg_replay_judge(const struct zg_replay *r, const json_t *record, struct zg_outcomes *out);

/* "2026-01-02T03:04:05..." in seconds since 1970; 0 = it is none. */
uint64_t zg_record_sec(const char *time);

#endif
