/* SPDX-License-Identifier: Apache-2.0 */
/* hold_way.c - see hold_way.h. Trust: what a client declares is its own word; it
 * chooses how the client waits, never whether. */
#include "hold_way.h"

static bool always(const struct zg_request *r ZG_UNUSED)
{
	return true;
}

uint32_t zg_way_hold_sec(const struct zg_request *r)
{
	uint32_t sec = r->live->snap.settings->hold_sec;

	return sec ? sec : ZG_HOLD_DEFAULT_SEC;
}

/* The first that fits. */
static const struct zg_way ways[] = {
	{"poll", zg_task_polls, zg_way_hold_sec, true, NULL, zg_task_over},
	{"result", zg_task_fetches, zg_way_hold_sec, false, NULL, zg_task_over},
	{"task", zg_task_fits, zg_way_hold_sec, true, NULL, zg_task_create},
	{"rounds", zg_rounds_fits, zg_way_hold_sec, false, NULL, zg_rounds_over},
	{"progress", zg_progress_fits, zg_progress_sec, false, zg_progress_tick, zg_way_pending},
	{"retry", always, zg_way_hold_sec, false, NULL, zg_way_pending},
};

const struct zg_way *zg_way_of(const struct zg_request *r)
{
	const struct zg_way *w = ways;

	while (!w->fits(r))
		w++;
	return w;
}

const char *zg_conflict_text(uint32_t conflict)
{
	static const char *const texts[ZG_CONFLICT_MAX] = {
		[ZG_CONFLICT_NONE] = "",
#define X(NAME, text, hint) [ZG_CONFLICT_##NAME] = text ": " hint,
#include "tbl/conflict.h"
#undef X
	};

	return conflict < ZG_CONFLICT_MAX ? texts[conflict] : "";
}

const char *zg_hold_votes(const struct zg_request *r, char out[ZG_VOTES_LEN])
{
	out[0] = '\0';
	if (r->hold.approvers > 1)
		(void)snprintf(out, ZG_VOTES_LEN, " (%u of %u people agree)", r->hold.agreed,
			       r->hold.approvers);
	return out;
}

enum zg_next zg_way_pending(struct zg_request *r)
{
	const struct zg_hold *h = &r->hold;
	char votes[ZG_VOTES_LEN];

	return zg_answer_with(
		r, ZG_A_DENY, ZG_C_PENDING,
		"zerogate: pending approval %s%s%s%s%s%s. A person has to approve this call "
		"[rules: %s]. Nothing was executed. Retry the same call with the same arguments "
		"later; once approved it is executed exactly once.",
		h->approval[0] ? h->approval : "(not yet numbered)", zg_hold_votes(r, votes),
		h->conflict ? ", as " : "", h->conflict ? h->other : "",
		h->conflict ? " does not hold: " : "", zg_conflict_text(h->conflict), r->rules);
}
