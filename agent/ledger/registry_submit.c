/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry_submit.c - entries that are handed in, by people or as files of root's,
 * and wait for two approvals. Trust: an entry and all texts are the submitter's;
 * who that is, is the kernel's word by way of the parent. Never reads an entry.
 */
#include <errno.h>

#include "digest.h"
#include "log.h"
#include "servers_impl.h"

_Static_assert(ZG_SERVERS_MAX == 4096, "what a person is told below");

static bool id_ok(const char *id)
{
	size_t n = strnlen(id, ZG_SERVER_LEN);

	return n && n < ZG_SERVER_LEN && id[0] != '.' &&
	       strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == n;
}

/* They are shown to people, and written where lines count. */
static bool texts_ok(const struct zg_msg_ctl_server_submit *m)
{
	const char *const texts[] = {m->owner, m->version, m->transport, m->endpoint};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		for (const char *c = texts[i]; *c; c++)
			if ((unsigned char)*c < 0x20 || *c == 0x7f)
				return false;
	return m->owner[0] != '\0';
}

static int may_submit(struct zg_servers *s, const struct zg_msg_ctl_server_submit *m,
		      struct zg_slice text, const struct zg_ctl_peer *peer,
		      struct zg_msg_ctl_end *end)
{
	uint8_t sha256[32];

	zg_sha256(sha256, text.ptr ? text.ptr : "", text.len);
	if (peer->governed)
		return zg_step_governed(end);
	if (!peer->roles && !peer->owners)
		return zg_step_no(end, EPERM, CONFLICT(NOT_AUTHORISED),
				  "only root, approvers, security and owners submit servers");
	if (!id_ok(m->id) || !texts_ok(m))
		return zg_step_no(end, EINVAL, "invalid",
				  "zerogate servers add checks an entry first",
				  "an entry needs an id and an owner");
	if (!text.len || text.len != m->bytes || memcmp(sha256, m->sha256, sizeof(sha256)) != 0)
		return zg_step_no(end, EINVAL, "invalid",
				  "are zerogate and zerogated of one version?",
				  "the entry did not arrive as it was sent");
	if (zg_step_needs_reason(m->reason, end) < 0)
		return -EINVAL;
	return s->trail->failed
		       ? zg_step_no(end, EIO, "storage", "see zerogate status; is the disk full?",
				    "nothing can be recorded now")
		       : 0;
}

static void take_entry(struct zg_server_entry *out, const struct zg_msg_ctl_server_submit *m,
		       uint32_t uid)
{
	*out = zg_entry_none;
	memcpy(out->owner, m->owner, sizeof(out->owner));
	memcpy(out->version, m->version, sizeof(out->version));
	memcpy(out->transport, m->transport, sizeof(out->transport));
	memcpy(out->endpoint, m->endpoint, sizeof(out->endpoint));
	memcpy(out->sha256, m->sha256, sizeof(out->sha256));
	out->submitter_uid = uid;
}

static int submit(struct zg_servers *s, const struct zg_msg_ctl_server_submit *m,
		  struct zg_slice text, const struct zg_step *by, struct zg_msg_ctl_end *end)
{
	struct zg_server_row row = {.live = zg_entry_none, .next = zg_entry_none};
	struct zg_step st = *by;
	uint64_t count = 0;
	int rc = zg_servers_get(s, m->id, &row);

	if (rc == -ENOENT) {
		rc = zg_servers_count(s, &count);
		memcpy(row.id, m->id, sizeof(row.id));
	}
	if (rc == 0 && count >= ZG_SERVERS_MAX)
		return zg_step_no(end, ENOSPC, "full",
				  "submit it under the id of a server that was revoked: zerogate "
				  "servers list",
				  "4096 ids are in use, and one that was used is kept for good");
	if (rc == 0 && row.pending && memcmp(row.next.sha256, m->sha256, 32) == 0)
		return zg_step_no(end, EALREADY, "already", "zerogate servers approve",
				  "exactly this entry is submitted");
	if (rc == 0 && row.state == ZG_SS_LIVE && memcmp(row.live.sha256, m->sha256, 32) == 0)
		return zg_step_no(end, EALREADY, "already", "", "exactly this entry is live");
	if (rc == 0 && row.pending == ZG_SP_APPROVED && zg_step_on_trial(s, &row))
		return zg_step_no(end, EBUSY, "busy", "try again in a moment",
				  "what was approved before is being put in force");
	if (rc == 0) {
		take_entry(&row.next, m, by->uid);
		row.pending = ZG_SP_SUBMITTED;
		row.problem[0] = '\0';
		st.of = &row.next;
		rc = zg_step_conclude(s, &row, &st, WITH_TEXT, text);
	}
	return rc < 0 ? zg_step_no(end, -rc, "storage", "see zerogate status; is the disk full?",
				   "it could not be stored, and is not submitted")
		      : 0;
}

int zg_servers_submit(struct zg_servers *s, const struct zg_msg_ctl_server_submit *m,
		      struct zg_slice text, const struct zg_ctl_peer *peer,
		      struct zg_msg_ctl_end *end)
{
	struct zg_server_entry said;
	struct zg_step st = {.kind = ZG_RK_SERVER_SUBMIT,
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
	return rc < 0 && end->error != -EALREADY ? zg_step_refuse(s, m->id, st, end) : rc;
}

void zg_servers_file(struct zg_servers *s, const struct zg_msg_ctl_server_submit *m,
		     struct zg_slice text)
{
	const struct zg_step st = {.kind = ZG_RK_SERVER_SUBMIT,
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
