/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proof.c - see proof.h: when a round runs, what it looks at, and the repair of
 * what it finds broken. The maps are read in slices of ZG_READBACK_MS with
 * pauses between them, so that a million addresses never hold the loop up.
 * Trust: root looking at its own work; nothing of it comes from a workload.
 */
#include "proof.h"

#include <errno.h>

#include "enforcement.h"
#include "log.h"
#include "reconcile.h"
#include "reload.h"

#define SLICE_PAUSE_USEC 12000
#define TRIES		 3 /* of a table that differs, a pause apart */

struct zg_proof {
	struct zg_looked last[ZG_LOOKS]; /* of the last whole round */
	struct zg_looked now[ZG_LOOKS];	 /* of the one that runs */
	bool running, canary_done, maps_done;
	bool asked;		    /* somebody waits: one more as soon as it may be */
	uint32_t again;		    /* looks at tables that differed, perhaps for a moment */
	bool repaired;		    /* in this round: it has been looked at twice */
	char broken[ZG_REASON_LEN]; /* what this round found and repaired, or "" */
	uint64_t ended_ms;
	struct zg_readback readback;
	struct event *begin; /* the next round */
	struct event *slice;
};

static void set_timer(struct event *ev, uint64_t ms)
{
	const struct timeval tv = {.tv_sec = (time_t)(ms / 1000),
				   .tv_usec = (suseconds_t)(ms % 1000) * 1000};

	if (event_add(ev, &tv) < 0)
		zg_log(ZG_LOG_ERR, "no timer for the self-proof");
}

static void found(struct zg_looked *look, enum zg_finding_state state, const char *text)
{
	look->state = state;
	(void)zg_str_cut(look->text, sizeof(look->text), zg_slice_str(text));
}

/* the three looks ------------------------------------------------------------- */

static void look_at_programs(struct zg_parent *p, struct zg_looked *look)
{
	struct zg_err e;

	if (zg_kernel_verify(p->kernel, &e) < 0)
		found(look, ZG_FS_BROKEN, e.what);
	else
		found(look, ZG_FS_OK, "");
}

static void member_of(const void *arg, size_t i, uint64_t *id, uint32_t *profile)
{
	const struct zg_cgroups *c = arg;

	*id = c->entry[i].id;
	*profile = c->entry[i].profile;
}

/* True when the maps were read to their end. Cgroups come and go: who is
 * governed is compared after what we were told of that, and a difference
 * counts when it lasts. */
static bool look_at_maps(struct zg_parent *p, struct zg_looked *look)
{
	const struct zg_intent intent = {.snapshot = &p->snapshot,
					 .members = p->cgroups.entries,
					 .member = member_of,
					 .arg = &p->cgroups};
	struct zg_err e;
	int rc = zg_kernel_readback(p->kernel, &intent, &p->proof->readback, &e);

	if (rc < 0 && p->proof->again++ < TRIES)
		return false;
	if (rc < 0)
		found(look, ZG_FS_BROKEN, e.what);
	else
		found(look, ZG_FS_OK, "");
	return rc != 0;
}

/* repair -------------------------------------------------------------------------- */

/* Everything anew from what we know: attachments, members, tables. */
static int repair(struct zg_parent *p, struct zg_err *e)
{
	int rc = zg_kernel_repair(p->kernel, e);

	if (rc < 0)
		return rc;
	for (size_t i = 0; rc == 0 && i < p->cgroups.entries; i++)
		rc = zg_kernel_govern(p->kernel, p->cgroups.entry[i].id,
				      p->cgroups.entry[i].profile);
	if (rc < 0)
		return zg_err_set(e, -rc, "writing who is governed: %s", strerror(-rc));
	return zg_reload_apply(p, e); /* which releases whom no glob names */
}

/* Everybody must know that it was broken, also if it is not any more. */
static void tell_and_repair(struct zg_parent *p)
{
	struct zg_proof *proof = p->proof;
	struct zg_err e;

	p->proofs_failed++;
	memcpy(proof->last, proof->now, sizeof(proof->last));
	zg_enforcement_update(p);
	proof->repaired = true;
	(void)zg_str_cut(proof->broken, sizeof(proof->broken),
			 zg_slice_str(zg_enforcement_text(p)));
	if (repair(p, &e) < 0)
		zg_log_err(ZG_LOG_ERR, "cannot repair the kernel gate", &e);
	else
		zg_log(ZG_LOG_WARN, "the kernel gate was written anew");
}

/* rounds --------------------------------------------------------------------------- */

static bool broken(const struct zg_proof *proof)
{
	for (size_t i = 0; i < ZG_LOOKS; i++)
		if (proof->now[i].state == ZG_FS_BROKEN)
			return true;
	return false;
}

/* A canary that gets through where nothing else is wrong: once is enough. */
static bool repair_may_help(const struct zg_proof *proof)
{
	return proof->now[ZG_LOOK_PROGRAMS].state == ZG_FS_BROKEN ||
	       proof->now[ZG_LOOK_MAPS].state == ZG_FS_BROKEN ||
	       proof->last[ZG_LOOK_CANARY].state != ZG_FS_BROKEN;
}

static void end_if_done(struct zg_parent *p)
{
	struct zg_proof *proof = p->proof;
	struct timespec now;

	if (!proof->running || !proof->canary_done || !proof->maps_done)
		return;
	proof->running = false;
	proof->ended_ms = zg_parent_now_ms();
	(void)clock_gettime(CLOCK_REALTIME, &now);
	zg_reconcile_now(p);
	p->proofs++;
	p->proved_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	if (broken(proof) && !proof->repaired && repair_may_help(proof)) {
		tell_and_repair(p);
		set_timer(proof->begin, ZG_PROOF_PAUSE_MS);
		return; /* whoever waits is told when it was looked at again */
	}
	p->proofs_failed += broken(proof);
	proof->repaired = false;
	memcpy(proof->last, proof->now, sizeof(proof->last));
	zg_enforcement_update(p);
	zg_control_proved(p);
	zg_children_announce(p);
	set_timer(proof->begin, proof->asked ? ZG_PROOF_PAUSE_MS : ZG_PROOF_SEC * 1000);
}

void zg_proof_canary(struct zg_parent *p, const struct zg_looked *look)
{
	p->proof->now[ZG_LOOK_CANARY] = *look;
	p->proof->canary_done = true;
	end_if_done(p);
}

static void on_slice(evutil_socket_t fd, short what, void *arg)
{
	const struct timeval pause = {.tv_usec = SLICE_PAUSE_USEC};
	struct zg_parent *p = arg;

	(void)fd;
	(void)what;
	if (!p->proof->running || p->proof->maps_done)
		return;
	zg_parent_cgroups(p);
	p->proof->maps_done = look_at_maps(p, &p->proof->now[ZG_LOOK_MAPS]);
	if (!p->proof->maps_done && event_add(p->proof->slice, &pause) < 0) {
		found(&p->proof->now[ZG_LOOK_MAPS], ZG_FS_ABSENT, "no timer to read the maps back");
		p->proof->maps_done = true;
	}
	end_if_done(p);
}

static void start_round(struct zg_parent *p)
{
	struct zg_proof *proof = p->proof;

	proof->running = true;
	proof->asked = proof->canary_done = proof->maps_done = false;
	proof->readback = (struct zg_readback){0};
	proof->again = 0;
	if (!proof->repaired)
		proof->broken[0] = '\0';
	look_at_programs(p, &proof->now[ZG_LOOK_PROGRAMS]);
	zg_canary_round(p);
	on_slice(-1, 0, p);
}

static void on_begin(evutil_socket_t fd, short what, void *arg)
{
	struct zg_parent *p = arg;

	(void)fd;
	(void)what;
	if (!p->proof->running)
		start_round(p);
}

/* Not sooner than ZG_PROOF_PAUSE_MS after the last one: the gate tells a
 * refused packet's flow once a second. */
uint64_t zg_proof_ask(struct zg_parent *p)
{
	struct zg_proof *proof = p->proof;
	uint64_t next = proof->ended_ms + ZG_PROOF_PAUSE_MS, now = zg_parent_now_ms();

	proof->asked = true;
	if (!proof->running)
		set_timer(proof->begin, next > now ? next - now : 0);
	return p->proofs + (proof->running ? 2 : 1); /* one that runs began too early */
}

void zg_proof_look(struct zg_parent *p)
{
	struct zg_proof *proof = p->proof;
	struct zg_looked look;

	look_at_programs(p, &look);
	/* that all is well again is for a whole round to say */
	if (look.state == ZG_FS_OK || proof->last[ZG_LOOK_PROGRAMS].state == look.state)
		return;
	proof->last[ZG_LOOK_PROGRAMS] = look;
	zg_enforcement_update(p);
	(void)zg_proof_ask(p); /* and repair it */
}

const char *zg_proof_repaired(const struct zg_parent *p)
{
	return p->proof->broken;
}

const struct zg_looked *zg_proof_last(const struct zg_parent *p, enum zg_look look)
{
	return &p->proof->last[look];
}

int zg_proof_start(struct zg_parent *p, struct zg_err *e)
{
	struct zg_proof *proof = calloc(1, sizeof(*proof));
	int rc;

	if (!proof)
		return zg_err_set(e, ENOMEM, "no memory for the self-proof");
	p->proof = proof;
	for (size_t i = 0; i < ZG_LOOKS; i++)
		found(&proof->last[i], ZG_FS_ABSENT, "not proved yet");
	rc = zg_enforcement_start(p, e);
	if (rc < 0)
		return rc;
	proof->begin = event_new(p->loop, -1, 0, on_begin, p);
	proof->slice = event_new(p->loop, -1, 0, on_slice, p);
	if (!proof->begin || !proof->slice)
		return zg_err_set(e, ENOMEM, "no memory for the self-proof");
	rc = zg_canary_start(p, e);
	if (rc < 0)
		return rc;
	look_at_programs(p, &proof->last[ZG_LOOK_PROGRAMS]);
	set_timer(proof->begin, 0);
	return 0;
}

void zg_proof_release(struct zg_parent *p)
{
	struct zg_proof *proof = p->proof;

	zg_canary_release(p);
	zg_enforcement_release(p);
	if (!proof)
		return;
	if (proof->begin)
		event_free(proof->begin);
	if (proof->slice)
		event_free(proof->slice);
	free(proof);
	p->proof = NULL;
}
