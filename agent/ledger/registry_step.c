/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry_step.c - a step in a server's life that was taken, or refused: its
 * record, its row, its file, and what the parent says when it is in force. Trust:
 * as registry.c, which has judged it. Nothing that cannot be recorded or stored
 * holds.
 */
#include <errno.h>

#include "log.h"
#include "servers_impl.h"

#define RETRY_MS 5000 /* a change that could not be put in force */

const struct zg_step_conflict zg_step_conflict[ZG_CONFLICT_MAX] = {
#define X(NAME, text, hint) [ZG_CONFLICT_##NAME] = {text, hint},
#include "tbl/conflict.h"
#undef X
};

const struct zg_server_entry zg_entry_none = {
	.security_uid = UINT32_MAX, .owner_uid = UINT32_MAX, .submitter_uid = UINT32_MAX};

uint64_t zg_step_now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

bool zg_entry_there(const struct zg_server_entry *e)
{
	return memcmp(e->sha256, zg_entry_none.sha256, sizeof(e->sha256)) != 0;
}

int zg_step_no(struct zg_msg_ctl_end *end, int error, const char *word, const char *hint,
	       const char *what)
{
	zg_autobuf b = ZG_BUF(ZG_REASON_LEN * 2);

	*end = (struct zg_msg_ctl_end){.error = -error, .exit = 1};
	zg_buf_fmt(&b, "%s: %s", word, what);
	(void)zg_str_cut(end->what, sizeof(end->what), zg_buf_slice(&b));
	(void)zg_str_cut(end->hint, sizeof(end->hint), zg_slice_str(hint));
	return -error;
}

int zg_step_needs_reason(const char *reason, struct zg_msg_ctl_end *end)
{
	return reason[strspn(reason, " \t")]
		       ? 0
		       : zg_step_no(end, EINVAL, "invalid", "say why: --reason TEXT",
				    "a step in a server's life is recorded with its reason");
}

static void describe(struct zg_record *r, const char *id, const struct zg_step *st)
{
	char message[ZG_SERVER_LEN + 128];

	zg_record_init(r, st->kind);
	(void)snprintf(message, sizeof(message), "server %s %s", id, st->what);
	zg_record_str(r, ZG_RF_message, zg_slice_str(message));
	zg_record_str(r, ZG_RF_server, zg_slice_str(id));
	zg_record_str(r, ZG_RF_decision, st->refused ? ZG_SLICE("DENY") : ZG_SLICE("ALLOW"));
	zg_record_str(r, ZG_RF_acted_as, zg_slice_str(st->acted_as));
	zg_record_str(r, ZG_RF_owner, zg_slice_str(st->of->owner));
	zg_record_str(r, ZG_RF_reason, zg_slice_str(st->reason));
	if (st->of->owner[0])
		zg_record_bytes(r, ZG_RF_entry_sha256, st->of->sha256);
	if (st->uid != UINT32_MAX) {
		ZG_REC_NUM(r, uid, st->uid);
		ZG_REC_NUM(r, pid, st->pid);
	}
}

static int keep_step(struct zg_servers *s, const char *id, const struct zg_step *st)
{
	struct zg_msg_ctl_server_step m = {
		.uid = st->uid, .pid = st->pid, .time_ms = zg_step_now_ms()};

	(void)zg_str_cut(m.id, sizeof(m.id), zg_slice_str(id));
	(void)zg_str_cut(m.what, sizeof(m.what), zg_slice_str(zg_record_kind_text(st->kind)));
	(void)zg_str_cut(m.acted_as, sizeof(m.acted_as), zg_slice_str(st->acted_as));
	(void)zg_str_cut(m.reason, sizeof(m.reason), zg_slice_str(st->reason));
	memcpy(m.sha256, st->of->sha256, sizeof(m.sha256));
	return zg_servers_step(s, &m);
}

/* A step that was not taken is told, too. */
int zg_step_refuse(struct zg_servers *s, const char *id, struct zg_step st,
		   const struct zg_msg_ctl_end *end)
{
	struct zg_record r;

	st.refused = true;
	st.reason = end->what;
	st.what = "stays as it is: a step was refused";
	describe(&r, id, &st);
	if (zg_trail_emit(s->trail, &r, 1) < 0)
		zg_log(ZG_LOG_ERR, "a refused step of server %s could not be recorded", id);
	return end->error;
}

int zg_step_conclude(struct zg_servers *s, struct zg_server_row *row, const struct zg_step *st,
		     enum zg_step_with with, struct zg_slice text)
{
	struct zg_record r;
	int rc = zg_servers_begin(s);

	row->changed_ms = zg_step_now_ms();
	if (rc == 0)
		rc = zg_servers_put(s, row);
	if (rc == 0 && with == WITH_TEXT)
		rc = zg_servers_put_text(s, row->id, text);
	if (rc == 0 && with == PROMOTED)
		rc = zg_servers_promote(s, row->id);
	if (rc == 0)
		rc = keep_step(s, row->id, st);
	if (rc == 0) {
		describe(&r, row->id, st);
		rc = zg_trail_emit(s->trail, &r, 1);
	}
	if (rc < 0) {
		zg_servers_rollback(s);
		return rc;
	}
	return zg_servers_commit(s);
}

/* files and the parent ------------------------------------------------------------ */

void zg_step_mirror(struct zg_servers *s, const struct zg_server_row *row)
{
	int rc = s->unsynced ? -EAGAIN : zg_servers_mirror(s, row);

	if (rc == 0)
		rc = zg_servers_try_next(s);
	if (rc < 0) {
		s->unsynced = true;
		zg_log(ZG_LOG_ERR, "registry/ could not be written: %s", strerror(-rc));
	}
}

bool zg_step_on_trial(const struct zg_servers *s, const struct zg_server_row *row)
{
	return strcmp(s->trial, row->id) == 0;
}

void zg_servers_tick(struct zg_servers *s)
{
	if (s->unsynced && zg_servers_mirror_all(s) == 0) {
		s->unsynced = false;
		s->change++;
	}
	/* what the parent could not put in force, or was not there to hear of */
	if (s->taken == s->change && s->good != s->change && !s->trial[0] &&
	    zg_step_now_ms() - s->failed_ms >= RETRY_MS)
		s->change++;
}

bool zg_servers_tell(const struct zg_servers *s)
{
	return s->told != s->change;
}

/* What was on trial is live, or cannot be. */
static int settle(struct zg_servers *s, struct zg_server_row *row, const char *error)
{
	struct zg_step st = {.kind = row->resuming ? ZG_RK_SERVER_RESUME : ZG_RK_SERVER_LIVE,
			     .acted_as = "agent",
			     .uid = UINT32_MAX,
			     .reason = error,
			     .what = error[0] ? "cannot be in force as it was approved" : "is live",
			     .refused = error[0] != '\0'};
	const bool promoted = !row->resuming && !error[0];

	(void)zg_str_cut(row->problem, sizeof(row->problem), zg_slice_str(error));
	if (promoted) {
		row->live = row->next;
		row->next = zg_entry_none;
		row->pending = ZG_SP_NONE;
		row->state = ZG_SS_LIVE;
	} else if (!error[0]) {
		row->state = row->live.owner[0] ? ZG_SS_LIVE : ZG_SS_NONE;
	}
	st.of = promoted || row->resuming ? &row->live : &row->next;
	row->resuming = 0;
	return zg_step_conclude(s, row, &st, promoted ? PROMOTED : ALONE, ZG_SLICE(""));
}

void zg_servers_taken(struct zg_servers *s, const struct zg_msg_registry_taken *m)
{
	const char *error = m->error ? m->what[0] ? m->what : "it could not be compiled" : "";
	struct zg_server_row row;
	int rc = 0;

	s->taken = m->change;
	if (!m->error)
		s->good = m->change;
	else
		s->failed_ms = zg_step_now_ms();
	/* one that came to trial meanwhile was not in that answer */
	if (!s->trial[0] || m->change < s->trial_change)
		return;
	if (zg_servers_get(s, s->trial, &row) == 0 &&
	    (row.resuming || row.pending == ZG_SP_APPROVED)) {
		rc = settle(s, &row, error);
		if (rc < 0) {
			/* the files say what they said: the same is tried again */
			zg_log(ZG_LOG_ERR, "a step of server %s could not be stored: %s", row.id,
			       strerror(-rc));
			s->unsynced = true;
			return;
		}
		rc = zg_servers_mirror(s, &row);
	}
	if (rc == 0)
		rc = zg_servers_end_trial(s);
	if (rc == 0)
		rc = zg_servers_try_next(s);
	s->unsynced = s->unsynced || rc < 0;
}
