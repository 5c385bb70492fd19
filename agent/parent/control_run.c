/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control_run.c - `zerogate run` on the control socket: a run begins, and what the
 * kernel refused to it is told when it is over. Trust: any process may ask; a run
 * is told of to its own user alone.
 */
#include "control_impl.h"

#include <errno.h>

void zg_control_run(struct zg_parent *p, struct zg_control_client *c,
		    const struct zg_control_peer *who, struct zg_msg *m)
{
	struct zg_msg_ctl_run ask;
	struct zg_msg_ctl_run_started started;
	struct zg_err e;
	int rc;

	memcpy(&ask, m->body, sizeof(ask));
	ZG_MSG_TEXT(ask.profile);
	ZG_MSG_TEXT(ask.comm);
	if (!who->placed) {
		zg_control_refuse(c, ESRCH, "the cgroup of the asking process cannot be told");
		return;
	}
	rc = zg_runs_begin(p, &ask, who->pid, who->pidfd, who->uid, who->profile, &started, &e);
	if (rc < 0)
		zg_control_finish(c, rc == -ENOENT || rc == -EINVAL ? 2 : 1, &e);
	else if (zg_control_send(c, ZG_MSG_CTL_RUN_STARTED, &started))
		zg_control_finish(c, 0, NULL);
}

/* What the kernel refused to a run; whole = nothing waits to be counted. */
static void answer_report(struct zg_parent *p, struct zg_control_client *c, bool whole)
{
	struct zg_run *r = zg_runs_find(p, c->report.run);
	uint32_t status = c->report.exit_status;
	struct zg_err e;
	bool missing;

	c->report.run = 0;
	if (!r) {
		zg_control_refuse(c, ENOENT, "there is no such run");
		return;
	}
	missing = !whole || zg_events_lost(p) != r->lost_before;
	for (uint32_t i = 0; i < r->denials; i++)
		if (!zg_control_send(c, ZG_MSG_CTL_RUN_DENIAL, &r->denial[i]))
			return;
	if (r->more)
		(void)zg_err_set(&e, 0, "and %u times for further destinations%s", r->more,
				 missing ? "; some refusals could not be counted" : "");
	else
		(void)zg_err_set(&e, 0, "some refusals could not be counted");
	zg_control_finish(c, 0, r->more || missing ? &e : NULL);
	zg_runs_reported(p, r, status);
}

void zg_control_counted(struct zg_parent *p, bool whole)
{
	uint64_t now = zg_parent_now_ms();

	for (size_t i = 0; p->control && i < ZG_CTL_CLIENTS_MAX; i++) {
		struct zg_control_client *c = &p->control->client[i];

		if (c->sock >= 0 && c->report.run && (whole || now >= c->report_until_ms))
			answer_report(p, c, whole);
	}
}

void zg_control_run_report(struct zg_parent *p, struct zg_control_client *c,
			   const struct zg_control_peer *who, struct zg_msg *m)
{
	struct zg_msg_ctl_run_report ask;
	struct zg_run *r;

	memcpy(&ask, m->body, sizeof(ask));
	r = zg_runs_find(p, ask.run);
	if (!r || r->uid != who->uid) {
		zg_control_refuse(
			c, ENOENT,
			"this run is not known here (was the agent restarted?): what was refused "
			"stands in the audit log");
		return;
	}
	c->report = ask;
	c->report_until_ms = zg_parent_now_ms() + ZG_RUN_REPORT_MS;
	/* what the kernel refused up to now, not up to the last wake-up */
	zg_events_drain(p);
}
