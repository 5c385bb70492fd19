/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hold_way.h - the ways in which a client can be kept waiting for a person. Which
 * one a call gets stands in the table of hold_way.c, by what its client declared
 * with it. A way never decides anything: what is executed is the ledger's word,
 * and what a client brings back is a token of ours that names an approval.
 */
#ifndef ZG_GATEWAY_HOLD_WAY_H
#define ZG_GATEWAY_HOLD_WAY_H

#include "request.h"

struct zg_way {
	const char *name;
	/* did the client declare what this way needs? */
	bool (*fits)(const struct zg_request *r);
	/* how long the call itself waits */
	uint32_t (*seconds)(const struct zg_request *r);
	/* it is over as soon as its approval has a number */
	bool at_once;
	/* while it waits, at first when its approval has a number; NULL: silence */
	void (*tick)(struct zg_request *r);
	/* the answer, if nobody has decided till then */
	enum zg_next (*over)(struct zg_request *r);
};

const struct zg_way *zg_way_of(const struct zg_request *r);

/* "args_changed: what to do about it"; "" for NONE and what is no conflict */
const char *zg_conflict_text(uint32_t conflict);

#define ZG_VOTES_LEN 64
/* " (1 of 2 people agree)", or "" where one is enough */
const char *zg_hold_votes(const struct zg_request *r, char out[ZG_VOTES_LEN]);

/* hold_way.c: what fits every client. A tool result (another method: an error)
 * that tells to retry the same call. */
enum zg_next zg_way_pending(struct zg_request *r);
/* hold_sec of zerogate.yaml */
uint32_t zg_way_hold_sec(const struct zg_request *r);

/* hold_progress.c: notifications/progress on the call's own stream */
bool zg_progress_fits(const struct zg_request *r);
uint32_t zg_progress_sec(const struct zg_request *r);
void zg_progress_tick(struct zg_request *r);

/* hold_state.c: rounds of 2026-07-28 with a requestState of ours */
bool zg_rounds_fits(const struct zg_request *r);
enum zg_next zg_rounds_over(struct zg_request *r);
/* The client came back with one: the request is what it was in the round before. */
enum zg_next zg_rounds_resume(struct zg_request *r);

/* hold_task.c: a task of ours, polled by its client */
bool zg_task_fits(const struct zg_request *r);
enum zg_next zg_task_create(struct zg_request *r);
bool zg_task_polls(const struct zg_request *r);
bool zg_task_fetches(const struct zg_request *r);
enum zg_next zg_task_over(struct zg_request *r);
enum zg_next zg_task_resume(struct zg_request *r);
/* The ledger has spoken of a task's approval: NEXT: as of any call's. */
enum zg_next zg_task_heard(struct zg_request *r);

/* hold.c: ask the ledger r->hold.question. Returns ZG_WAIT or ZG_ANSWER. */
enum zg_next zg_hold_ask(struct zg_request *r);

/* hold_token.c: what both kinds of tokens have in common */
/* Seal what a client is to come back with; out is overwritten. -errno. */
int zg_wait_seal(struct zg_request *r, enum zg_seal_purpose purpose, struct zg_slice payload,
		 struct zg_buf *out) ZG_MUST_CHECK;
/* Open it: MALFORMED or TAMPERED means that it is not of this kind. The payload
 * is in memory of the request's own. */
enum zg_seal_verdict zg_wait_open(struct zg_request *r, enum zg_seal_purpose purpose,
				  struct zg_slice token, size_t max,
				  struct zg_slice *payload) ZG_MUST_CHECK;
/* The message is body from now on. 0 or -errno. */
int zg_wait_retell(struct zg_request *r, struct zg_slice body) ZG_MUST_CHECK;
/* Append the members of a JSON object's text that are not in but (NULL at its
 * end), each with a comma behind it. */
void zg_wait_members(struct zg_slice object, const char *const *but, struct zg_buf *out);
/* The answer is a result of ours; text is for records. Returns ZG_ANSWER. */
enum zg_next zg_wait_result(struct zg_request *r, struct zg_slice json, const char *text);

#endif
