/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry.c - see servers.h: who may take which step, and what it comes to.
 * Trust: an entry, its owner and all texts are what a person handed in; who that
 * is, and of which groups, is the kernel's word by way of the parent. Nothing
 * that cannot be recorded or stored holds. Never reads an entry.
 */
#include "servers.h"

#include <errno.h>

#include "digest.h"
#include "log.h"
#include "snapshot.h"

#define RETRY_MS 5000 /* a change that could not be put in force */

#define CONFLICT(name) conflict[ZG_CONFLICT_##name].text, conflict[ZG_CONFLICT_##name].hint

static const struct {
	const char *text, *hint;
} conflict[ZG_CONFLICT_MAX] = {
#define X(NAME, text, hint) [ZG_CONFLICT_##NAME] = {text, hint},
#include "tbl/conflict.h"
#undef X
};

static const struct zg_server_entry nothing = {
	.security_uid = UINT32_MAX, .owner_uid = UINT32_MAX, .submitter_uid = UINT32_MAX};

static uint64_t now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* what is in force --------------------------------------------------------------- */

static int by_id(const void *key, const void *here)
{
	return strcmp(key, ((const struct zg_server_here *)here)->shown.id);
}

const struct zg_server_here *zg_servers_here(const struct zg_servers *s, const char *id)
{
	return s->here_count ? bsearch(id, s->here, s->here_count, sizeof(*s->here), by_id) : NULL;
}

static void describe_here(struct zg_server_row *out, const struct zg_server_def *def)
{
	static const char *const transport[] = {
		[ZG_T_STREAMABLE_HTTP] = "streamable-http",
		[ZG_T_SSE] = "sse",
		[ZG_T_STDIO] = "stdio",
	};

	*out = (struct zg_server_row){.live = nothing};
	memcpy(out->id, def->id, sizeof(out->id));
	memcpy(out->live.owner, def->owner, sizeof(out->live.owner));
	memcpy(out->live.version, def->version, sizeof(out->live.version));
	(void)zg_str_cut(out->live.transport, sizeof(out->live.transport),
			 zg_slice_str(def->transport < sizeof(transport) / sizeof(transport[0]) &&
						      transport[def->transport]
					      ? transport[def->transport]
					      : ""));
	(void)zg_str_cut(out->live.endpoint, sizeof(out->live.endpoint), zg_slice_str(def->url));
}

int zg_servers_snapshot(struct zg_servers *s, const struct zg_snapshot *snap)
{
	struct zg_server_here *here = calloc(snap->server_count + 1, sizeof(*here));

	if (!here)
		return -ENOMEM;
	for (size_t i = 0; i < snap->server_count; i++) { /* sorted by id as they are */
		const struct zg_server_here *was = zg_servers_here(s, snap->servers[i].id);

		describe_here(&here[i].shown, &snap->servers[i]);
		here[i].used_ms = was	  ? was->used_ms
				  : s->db ? zg_servers_use(s, here[i].shown.id)
					  : 0;
		here[i].unstored = was && was->unstored;
	}
	free(s->here);
	s->here = here;
	s->here_count = snap->server_count;
	memcpy(s->owner, snap->settings->owner, sizeof(s->owner));
	s->owner_count = snap->settings->owner_count;
	return 0;
}

void zg_servers_used(struct zg_servers *s, const struct zg_record *r)
{
	struct zg_server_here *here;

	if (r->kind != ZG_RK_CALL_INTENT && r->kind != ZG_RK_CALL_OUTCOME)
		return;
	here = s->here_count ? bsearch(r->server, s->here, s->here_count, sizeof(*s->here), by_id)
			     : NULL;
	if (!here)
		return;
	here->used_ms = r->time_ns / 1000000;
	here->unstored = true;
}

void zg_servers_store_uses(struct zg_servers *s)
{
	bool any = false;
	int rc = 0;

	for (size_t i = 0; i < s->here_count && rc == 0; i++) {
		if (!s->here[i].unstored)
			continue;
		if (!any)
			rc = zg_servers_begin(s);
		any = true;
		if (rc == 0)
			rc = zg_servers_put_use(s, s->here[i].shown.id, s->here[i].used_ms);
	}
	if (!any)
		return;
	if (rc == 0)
		rc = zg_servers_commit(s);
	else
		zg_servers_rollback(s);
	for (size_t i = 0; i < s->here_count && rc == 0; i++)
		s->here[i].unstored = false;
	if (rc < 0)
		zg_log(ZG_LOG_WARN, "when servers were used last could not be stored: %s",
		       strerror(-rc));
}

static bool has_entry(const struct zg_server_entry *e)
{
	return memcmp(e->sha256, nothing.sha256, sizeof(e->sha256)) != 0;
}

/* steps -------------------------------------------------------------------------- */

static int no(struct zg_msg_ctl_end *end, int error, const char *word, const char *hint,
	      const char *what)
{
	zg_autobuf b = ZG_BUF(ZG_REASON_LEN * 2);

	*end = (struct zg_msg_ctl_end){.error = -error, .exit = 1};
	zg_buf_fmt(&b, "%s: %s", word, what);
	(void)zg_str_cut(end->what, sizeof(end->what), zg_buf_slice(&b));
	(void)zg_str_cut(end->hint, sizeof(end->hint), zg_slice_str(hint));
	return -error;
}

struct step {
	enum zg_record_kind kind;
	const char *acted_as;
	uint32_t uid, pid;
	const char *reason;
	const char *what; /* for the message */
	const struct zg_server_entry *of;
	bool refused;
};

static void describe(struct zg_record *r, const char *id, const struct step *st)
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

static int keep_step(struct zg_servers *s, const char *id, const struct step *st)
{
	struct zg_msg_ctl_server_step m = {.uid = st->uid, .pid = st->pid, .time_ms = now_ms()};

	(void)zg_str_cut(m.id, sizeof(m.id), zg_slice_str(id));
	(void)zg_str_cut(m.what, sizeof(m.what), zg_slice_str(zg_record_kind_text(st->kind)));
	(void)zg_str_cut(m.acted_as, sizeof(m.acted_as), zg_slice_str(st->acted_as));
	(void)zg_str_cut(m.reason, sizeof(m.reason), zg_slice_str(st->reason));
	memcpy(m.sha256, st->of->sha256, sizeof(m.sha256));
	return zg_servers_step(s, &m);
}

/* A step that was not taken is told, too. */
static int refuse(struct zg_servers *s, const char *id, struct step st,
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

/* Evidence first, then the transaction: what = 1 the text comes, 2 it becomes live. */
enum with { ALONE, WITH_TEXT, PROMOTED };

static int conclude(struct zg_servers *s, struct zg_server_row *row, const struct step *st,
		    enum with with, struct zg_slice text)
{
	struct zg_record r;
	int rc = zg_servers_begin(s);

	row->changed_ms = now_ms();
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

/* The files follow the rows; what cannot be written now is tried each second. */
static void mirror(struct zg_servers *s, const struct zg_server_row *row)
{
	int rc = s->unsynced ? -EAGAIN : zg_servers_mirror(s, row);

	if (rc == 0)
		rc = zg_servers_try_next(s);
	if (rc < 0) {
		s->unsynced = true;
		zg_log(ZG_LOG_ERR, "registry/ could not be written: %s", strerror(-rc));
	}
}

void zg_servers_tick(struct zg_servers *s)
{
	if (s->unsynced && zg_servers_mirror_all(s) == 0) {
		s->unsynced = false;
		s->change++;
	}
	/* what the parent could not put in force, or was not there to hear of */
	if (s->taken == s->change && s->good != s->change && !s->trial[0] &&
	    now_ms() - s->failed_ms >= RETRY_MS)
		s->change++;
}

bool zg_servers_tell(const struct zg_servers *s)
{
	return s->told != s->change;
}

/* who ---------------------------------------------------------------------------- */

static bool owns(const struct zg_servers *s, const struct zg_ctl_peer *peer, const char *owner)
{
	if (peer->uid == 0)
		return true;
	for (uint32_t i = 0; i < s->owner_count; i++)
		if (strcmp(s->owner[i].name, owner) == 0)
			return peer->owners >> i & 1;
	return false;
}

static bool secures(const struct zg_ctl_peer *peer)
{
	return peer->uid == 0 || (peer->roles & ZG_ROLE_SECURITY) != 0;
}

static const char *role_of(const struct zg_servers *s, const struct zg_ctl_peer *peer,
			   const char *owner)
{
	if (peer->roles & ZG_ROLE_SECURITY && peer->uid != 0)
		return "security";
	if (peer->uid == 0)
		return "root";
	return owns(s, peer, owner) ? "owner" : "approver";
}

static int governed(struct zg_msg_ctl_end *end)
{
	return no(end, EPERM, conflict[ZG_CONFLICT_NOT_AUTHORISED].text,
		  "ask from a session outside governed cgroups",
		  "a process in a governed cgroup has no say over servers");
}

/* submit --------------------------------------------------------------------------- */

static bool id_ok(const char *id)
{
	size_t n = strnlen(id, ZG_SERVER_LEN);

	return n && n < ZG_SERVER_LEN && id[0] != '.' &&
	       strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == n;
}

static int may_submit(struct zg_servers *s, const struct zg_msg_ctl_server_submit *m,
		      struct zg_slice text, const struct zg_ctl_peer *peer,
		      struct zg_msg_ctl_end *end)
{
	uint8_t sha256[32];

	zg_sha256(sha256, text.ptr ? text.ptr : "", text.len);
	if (peer->governed)
		return governed(end);
	if (!peer->roles && !peer->owners)
		return no(end, EPERM, CONFLICT(NOT_AUTHORISED),
			  "only root, approvers, security and owners submit servers");
	if (!id_ok(m->id) || !m->owner[0])
		return no(end, EINVAL, "invalid", "zerogate servers add checks an entry first",
			  "an entry needs an id and an owner");
	if (!text.len || text.len != m->bytes || memcmp(sha256, m->sha256, sizeof(sha256)) != 0)
		return no(end, EINVAL, "invalid", "are zerogate and zerogated of one version?",
			  "the entry did not arrive as it was sent");
	return s->trail->failed ? no(end, EIO, "storage", "see zerogate status; is the disk full?",
				     "nothing can be recorded now")
				: 0;
}

static void take_entry(struct zg_server_entry *out, const struct zg_msg_ctl_server_submit *m,
		       uint32_t uid)
{
	*out = nothing;
	memcpy(out->owner, m->owner, sizeof(out->owner));
	memcpy(out->version, m->version, sizeof(out->version));
	memcpy(out->transport, m->transport, sizeof(out->transport));
	memcpy(out->endpoint, m->endpoint, sizeof(out->endpoint));
	memcpy(out->sha256, m->sha256, sizeof(out->sha256));
	out->submitter_uid = uid;
}

static bool on_trial(const struct zg_servers *s, const struct zg_server_row *row)
{
	return strcmp(s->trial, row->id) == 0;
}

static int submit(struct zg_servers *s, const struct zg_msg_ctl_server_submit *m,
		  struct zg_slice text, const struct step *by, struct zg_msg_ctl_end *end)
{
	struct zg_server_row row = {.live = nothing, .next = nothing};
	struct step st = *by;
	uint64_t count = 0;
	int rc = zg_servers_get(s, m->id, &row);

	if (rc == -ENOENT) {
		rc = zg_servers_count(s, &count);
		memcpy(row.id, m->id, sizeof(row.id));
	}
	if (rc == 0 && count >= ZG_SERVERS_MAX)
		return no(end, ENOSPC, "full", "", "there are as many servers as can be kept");
	if (rc == 0 && row.pending && memcmp(row.next.sha256, m->sha256, 32) == 0)
		return no(end, EALREADY, "already", "zerogate servers approve",
			  "exactly this entry is submitted");
	if (rc == 0 && row.state == ZG_SS_LIVE && memcmp(row.live.sha256, m->sha256, 32) == 0)
		return no(end, EALREADY, "already", "", "exactly this entry is live");
	if (rc == 0 && row.pending == ZG_SP_APPROVED && on_trial(s, &row))
		return no(end, EBUSY, "busy", "try again in a moment",
			  "what was approved before is being put in force");
	if (rc == 0) {
		take_entry(&row.next, m, by->uid);
		row.pending = ZG_SP_SUBMITTED;
		row.problem[0] = '\0';
		st.of = &row.next;
		rc = conclude(s, &row, &st, WITH_TEXT, text);
	}
	return rc < 0 ? no(end, -rc, "storage", "see zerogate status; is the disk full?",
			   "it could not be stored, and is not submitted")
		      : 0;
}

int zg_servers_submit(struct zg_servers *s, const struct zg_msg_ctl_server_submit *m,
		      struct zg_slice text, const struct zg_ctl_peer *peer,
		      struct zg_msg_ctl_end *end)
{
	struct zg_server_entry said;
	struct step st = {.kind = ZG_RK_SERVER_SUBMIT,
			  .acted_as = "submitter",
			  .uid = peer->uid,
			  .pid = peer->pid,
			  .reason = m->reason,
			  .what = "is submitted for approval",
			  .of = &said};
	int rc = may_submit(s, m, text, peer, end);

	take_entry(&said, m, peer->uid);
	if (rc == 0)
		rc = submit(s, m, text, &st, end);
	return rc < 0 && end->error != -EALREADY ? refuse(s, m->id, st, end) : rc;
}

void zg_servers_file(struct zg_servers *s, const struct zg_msg_ctl_server_submit *m,
		     struct zg_slice text)
{
	const struct step st = {.kind = ZG_RK_SERVER_SUBMIT,
				.acted_as = "file",
				.uid = 0,
				.reason = m->reason,
				.what = "is submitted by its file"};
	struct zg_msg_ctl_end end = {0};
	struct zg_server_row row;
	uint8_t sha256[32];

	/* a suspended or revoked one is not submitted anew at each load */
	if (zg_servers_get(s, m->id, &row) == 0 &&
	    memcmp(row.live.sha256, m->sha256, sizeof(m->sha256)) == 0)
		return;
	zg_sha256(sha256, text.ptr, text.len);
	if (memcmp(sha256, m->sha256, sizeof(sha256)) != 0 || !id_ok(m->id) ||
	    (submit(s, m, text, &st, &end) < 0 && end.error != -EALREADY))
		zg_log(ZG_LOG_ERR, "the file of server %s could not be submitted: %s", m->id,
		       end.what);
}

/* approve -------------------------------------------------------------------------- */

static int approve(struct zg_servers *s, struct zg_server_row *row,
		   const struct zg_msg_ctl_server_decide *m, const struct zg_ctl_peer *peer,
		   struct step *st, struct zg_msg_ctl_end *end)
{
	struct zg_server_entry *e = &row->next;
	const bool as_security = m->security != 2 && secures(peer);
	const bool as_owner = m->security != 1 && owns(s, peer, e->owner);

	if (!as_security && !as_owner)
		return no(end, EPERM, CONFLICT(NOT_AUTHORISED),
			  "an approval comes from the security group, the other from the owner's "
			  "group");
	if (e->security_uid == peer->uid || e->owner_uid == peer->uid)
		return no(end, EPERM, CONFLICT(SELF_APPROVAL),
			  "you have given one of the two approvals");
	if (as_security && e->security_uid == UINT32_MAX && peer->uid != e->submitter_uid) {
		e->security_uid = peer->uid;
		st->acted_as = "security";
	} else if (as_owner && e->owner_uid == UINT32_MAX) {
		e->owner_uid = peer->uid;
		st->acted_as = "owner";
	} else if (as_security && e->security_uid == UINT32_MAX) {
		return no(end, EPERM, CONFLICT(SELF_APPROVAL),
			  "who submits a server does not give its security approval");
	} else {
		return no(end, EALREADY, CONFLICT(ALREADY_DECIDED),
			  "that approval was given by somebody else; the other one is missing");
	}
	if (e->security_uid != UINT32_MAX && e->owner_uid != UINT32_MAX)
		row->pending = ZG_SP_APPROVED;
	st->what = row->pending == ZG_SP_APPROVED ? "is approved by two people"
						  : "is approved by one of two people";
	return 0;
}

static int check_approve(struct zg_servers *s, struct zg_server_row *row,
			 const struct zg_msg_ctl_server_decide *m, const struct zg_ctl_peer *peer,
			 struct step *st, struct zg_msg_ctl_end *end)
{
	int rc;

	st->of = &row->next;
	if (row->pending == ZG_SP_NONE)
		return no(end, ENOENT, "not_found", "zerogate servers list",
			  "nothing is submitted under this id");
	rc = row->pending == ZG_SP_SUBMITTED ? approve(s, row, m, peer, st, end) : 0;
	if (rc < 0)
		return rc;
	if (st->acted_as[0] == '\0' && !row->problem[0])
		return no(end, EALREADY, CONFLICT(ALREADY_DECIDED), "two people approved it");
	if (st->acted_as[0] == '\0' && !secures(peer) && !owns(s, peer, row->next.owner))
		return no(end, EPERM, CONFLICT(NOT_AUTHORISED),
			  "only security and its owner try again");
	if (memcmp(row->next.sha256, m->sha256, sizeof(m->sha256)) != 0)
		return no(end, ESTALE, CONFLICT(ENTRY_CHANGED),
			  "another entry was submitted since");
	if (st->acted_as[0] == '\0') {
		st->acted_as = secures(peer) ? "security" : "owner";
		st->what = "is tried once more";
	}
	row->problem[0] = '\0';
	return 0;
}

/* suspend, resume, revoke -------------------------------------------------------------- */

static int check_stop(struct zg_servers *s, struct zg_server_row *row,
		      const struct zg_msg_ctl_server_decide *m, const struct zg_ctl_peer *peer,
		      struct step *st, struct zg_msg_ctl_end *end)
{
	const char *owner = row->live.owner[0] ? row->live.owner : row->next.owner;
	const bool revoke = m->verb == ZG_SV_REVOKE;

	if (!peer->roles && !secures(peer) && !owns(s, peer, owner))
		return no(end, EPERM, CONFLICT(NOT_AUTHORISED),
			  "only approvers, security and its owner stop a server");
	if (row->state == ZG_SS_REVOKED || (!revoke && row->state == ZG_SS_SUSPENDED))
		return no(end, EALREADY, CONFLICT(ALREADY_DECIDED),
			  row->state == ZG_SS_REVOKED ? "it is revoked" : "it is suspended");
	if (!revoke && row->state == ZG_SS_NONE && !zg_servers_here(s, row->id))
		return no(end, ENOENT, "not_found", "zerogate servers revoke drops a submission",
			  "it is not live");
	st->acted_as = role_of(s, peer, owner);
	if (row->pending == ZG_SP_APPROVED) /* it does not go live behind the suspension */
		(void)zg_str_cut(row->problem, sizeof(row->problem),
				 ZG_SLICE("suspended before it was in force"));
	row->state = revoke ? ZG_SS_REVOKED : ZG_SS_SUSPENDED;
	row->resuming = 0;
	if (revoke) {			    /* approvals that were given do not outlive it */
		if (!has_entry(&row->live)) /* remembered: its file does not submit it again */
			row->live = row->next;
		row->pending = ZG_SP_NONE;
		row->problem[0] = '\0';
		row->next = nothing;
	}
	st->what = revoke ? "is revoked" : "is suspended";
	return 0;
}

static int check_resume(struct zg_servers *s, struct zg_server_row *row,
			const struct zg_ctl_peer *peer, struct step *st, struct zg_msg_ctl_end *end)
{
	if (!secures(peer) && !owns(s, peer, row->live.owner))
		return no(end, EPERM, CONFLICT(NOT_AUTHORISED),
			  "only security and its owner resume a server");
	if (row->state != ZG_SS_SUSPENDED || row->resuming)
		return no(end, EALREADY, CONFLICT(ALREADY_DECIDED), "it is not suspended");
	st->acted_as = role_of(s, peer, row->live.owner);
	row->resuming = 1;
	row->problem[0] = '\0';
	st->what = "is resumed";
	return 0;
}

static int find(struct zg_servers *s, const struct zg_msg_ctl_server_decide *m,
		struct zg_server_row *row, struct zg_msg_ctl_end *end)
{
	const struct zg_server_here *here = zg_servers_here(s, m->id);
	int rc = zg_servers_get(s, m->id, row);

	if (rc == -ENOENT && here) {
		*row = (struct zg_server_row){.live = nothing, .next = nothing};
		memcpy(row->id, here->shown.id, sizeof(row->id));
		rc = 0;
	}
	if (rc == -ENOENT)
		return no(end, ENOENT, "not_found", "zerogate servers list",
			  "there is no such server");
	return rc < 0 ? no(end, -rc, "storage", "", "the servers cannot be read") : 0;
}

static int check(struct zg_servers *s, struct zg_server_row *row,
		 const struct zg_msg_ctl_server_decide *m, const struct zg_ctl_peer *peer,
		 struct step *st, struct zg_msg_ctl_end *end)
{
	int rc = peer->governed ? governed(end) : find(s, m, row, end);

	if (rc < 0)
		return rc;
	st->of = &row->live;
	switch (m->verb) {
	case ZG_SV_APPROVE:
		return check_approve(s, row, m, peer, st, end);
	case ZG_SV_SUSPEND:
	case ZG_SV_REVOKE:
		return check_stop(s, row, m, peer, st, end);
	case ZG_SV_RESUME:
		return check_resume(s, row, peer, st, end);
	default: /* a number from a message */
		return no(end, EINVAL, "invalid", "", "there is no such step");
	}
}

static enum zg_record_kind kind_of(uint32_t verb)
{
	return verb == ZG_SV_SUSPEND  ? ZG_RK_SERVER_SUSPEND
	       : verb == ZG_SV_RESUME ? ZG_RK_SERVER_RESUME
	       : verb == ZG_SV_REVOKE ? ZG_RK_SERVER_REVOKE
				      : ZG_RK_SERVER_APPROVE;
}

int zg_servers_decide(struct zg_servers *s, const struct zg_msg_ctl_server_decide *m,
		      const struct zg_ctl_peer *peer, uint64_t *wait, struct zg_msg_ctl_end *end)
{
	struct zg_server_row row = {.live = nothing, .next = nothing};
	struct step st = {.kind = kind_of(m->verb),
			  .acted_as = "",
			  .uid = peer->uid,
			  .pid = peer->pid,
			  .reason = m->reason,
			  .of = &row.live};
	int rc = check(s, &row, m, peer, &st, end);

	*wait = 0;
	if (rc < 0)
		return refuse(s, m->id, st, end);
	rc = conclude(s, &row, &st, ALONE, ZG_SLICE(""));
	if (rc < 0)
		return no(end, -rc, "storage", "see zerogate status; is the disk full?",
			  "it could not be stored and does not hold");
	if (m->verb == ZG_SV_APPROVE && row.pending != ZG_SP_APPROVED)
		return 0;
	if ((m->verb == ZG_SV_REVOKE || m->verb == ZG_SV_SUSPEND) && on_trial(s, &row) &&
	    zg_servers_end_trial(s) < 0)
		s->unsynced = true;
	mirror(s, &row);
	*wait = s->change;
	return 0;
}

/* the parent's answer -------------------------------------------------------------------- */

/* What was on trial is live, or cannot be. */
static int settle(struct zg_servers *s, struct zg_server_row *row, const char *error)
{
	struct step st = {.kind = row->resuming ? ZG_RK_SERVER_RESUME : ZG_RK_SERVER_LIVE,
			  .acted_as = "agent",
			  .uid = UINT32_MAX,
			  .reason = error,
			  .what = error[0] ? "cannot be in force as it was approved" : "is live",
			  .refused = error[0] != '\0'};
	const bool promoted = !row->resuming && !error[0];

	(void)zg_str_cut(row->problem, sizeof(row->problem), zg_slice_str(error));
	if (promoted) {
		row->live = row->next;
		row->next = nothing;
		row->pending = ZG_SP_NONE;
		row->state = ZG_SS_LIVE;
	} else if (!error[0]) {
		row->state = row->live.owner[0] ? ZG_SS_LIVE : ZG_SS_NONE;
	}
	st.of = promoted || row->resuming ? &row->live : &row->next;
	row->resuming = 0;
	return conclude(s, row, &st, promoted ? PROMOTED : ALONE, ZG_SLICE(""));
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
		s->failed_ms = now_ms();
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

/* shown ---------------------------------------------------------------------------------- */

void zg_servers_show(struct zg_servers *s, struct zg_pins *pins, const struct zg_server_row *row,
		     struct zg_msg_ctl_server *out)
{
	const struct zg_server_here *here = zg_servers_here(s, row->id);
	const struct zg_server_entry *e = row->pending	       ? &row->next
					  : row->live.owner[0] ? &row->live
					  : here	       ? &here->shown.live
							       : &row->next;
	uint64_t pinned = 0, withheld = 0;

	*out = (struct zg_msg_ctl_server){.state = row->state,
					  .pending = row->pending,
					  .in_force = here != NULL,
					  .from_file = here && !has_entry(&row->live),
					  .submitter_uid = e->submitter_uid,
					  .security_uid = e->security_uid,
					  .owner_uid = e->owner_uid,
					  .changed_ms = row->changed_ms,
					  .used_ms = here ? here->used_ms
							  : zg_servers_use(s, row->id)};
	memcpy(out->id, row->id, sizeof(out->id));
	memcpy(out->owner, e->owner, sizeof(out->owner));
	memcpy(out->version, e->version, sizeof(out->version));
	memcpy(out->transport, e->transport, sizeof(out->transport));
	memcpy(out->endpoint, e->endpoint, sizeof(out->endpoint));
	memcpy(out->sha256, e->sha256, sizeof(out->sha256));
	memcpy(out->problem, row->problem, sizeof(out->problem));
	if (zg_pins_tally(pins, row->id, &pinned, &withheld) == 0) {
		out->pins = (uint32_t)pinned;
		out->withheld = (uint32_t)withheld;
	}
}
