/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control_servers.c - verbs of the control socket about registered servers. Trust:
 * as control.c; who may take a step is registry.c's to say. An entry that is handed
 * in comes in pieces, after the request; whoever changes what is in force is
 * answered when it is, or cannot be.
 */
#include <errno.h>

#include "control_impl.h"
#include "ipc.h"
#include "servers.h"

static uint64_t monotonic_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void set(struct zg_ctl_client *k, const struct zg_msg_ctl_end *end)
{
	k->slot.end = *end;
	k->type = ZG_MSG_CTL_END;
}

/* submit --------------------------------------------------------------------------- */

/* Nothing to say until the entry is whole. */
static int nothing_yet(struct zg_ctl_client *k)
{
	if (!k->take)
		return -ENODATA;
	if (monotonic_ms() < k->until_ms)
		return 0;
	zg_ctl_set_end(k, ETIMEDOUT, "invalid: the entry did not arrive", "");
	return 1;
}

static int take_text(struct zg_ctl_client *k)
{
	struct zg_msg m = {.fd = -1};
	struct zg_msg_ctl_server_text piece;
	struct zg_msg_ctl_end end;
	int rc = zg_msg_recv(k->sock, &m);

	if (rc == -EAGAIN)
		return 0;
	if (rc < 0)
		return rc;
	memcpy(&piece, m.body, sizeof(piece));
	rc = m.type == ZG_MSG_CTL_SERVER_TEXT && piece.bytes <= sizeof(piece.text) ? 0 : -EPROTO;
	zg_msg_release(&m);
	if (rc < 0)
		return rc;
	zg_buf_add(&k->text, piece.text, piece.bytes);
	if (zg_buf_ok(&k->text) && k->text.len < k->submit.bytes && piece.bytes)
		return 0;
	k->take = NULL;
	if (zg_servers_submit(k->owner->servers, &k->submit, zg_buf_slice(&k->text), &k->peer,
			      &end) < 0)
		set(k, &end);
	return 0;
}

void zg_ctl_server_submit(struct zg_ctl_client *k, const struct zg_msg_ctl_handover *h)
{
	struct zg_msg_ctl_server_submit *m = &k->submit;

	memcpy(m, h->body, sizeof(*m));
	ZG_MSG_TEXT(m->id);
	ZG_MSG_TEXT(m->owner);
	ZG_MSG_TEXT(m->version);
	ZG_MSG_TEXT(m->transport);
	ZG_MSG_TEXT(m->endpoint);
	ZG_MSG_TEXT(m->reason);
	if (!m->bytes || m->bytes > ZG_ENTRY_BYTES) {
		zg_ctl_set_end(k, EMSGSIZE, "invalid: an entry has 1 to 65536 bytes", "");
		return;
	}
	k->peer = h->peer;
	k->until_ms = monotonic_ms() + ZG_REGISTRY_TAKE_MS;
	k->take = take_text;
	k->produce = nothing_yet;
}

/* steps ---------------------------------------------------------------------------- */

static int until_in_force(struct zg_ctl_client *k)
{
	struct zg_servers *s = k->owner->servers;
	struct zg_server_row row;

	if (zg_servers_get(s, k->id, &row) == 0 && row.problem[0]) {
		zg_ctl_set_end(k, EINVAL, row.problem,
			       "it is approved and not in force; submit another entry, or approve "
			       "this one again when the reason is gone");
		return 1;
	}
	if (s->good >= k->change && strcasecmp(s->trial, k->id) != 0)
		return -ENODATA;
	if (monotonic_ms() < k->until_ms)
		return 0;
	zg_ctl_set_end(k, ETIMEDOUT, "stored, and not in force yet", "see zerogate status");
	return 1;
}

void zg_ctl_server_decide(struct zg_ctl_client *k, const struct zg_msg_ctl_handover *h)
{
	struct zg_msg_ctl_server_decide m;
	struct zg_msg_ctl_end end;

	memcpy(&m, h->body, sizeof(m));
	ZG_MSG_TEXT(m.id);
	ZG_MSG_TEXT(m.reason);
	if (zg_servers_decide(k->owner->servers, &m, &h->peer, &k->change, &end) < 0) {
		set(k, &end);
		return;
	}
	if (!k->change)
		return;
	memcpy(k->id, m.id, sizeof(k->id));
	k->until_ms = monotonic_ms() + ZG_REGISTRY_TAKE_MS;
	k->produce = until_in_force;
	if (k->owner->changed)
		k->owner->changed(k->owner->changed_arg);
}

/* list and show ---------------------------------------------------------------------- */

enum { ROW = 0, NEXT_TEXT, LIVE_TEXT, STEPS };

static bool row_of_index(struct zg_servers *s, size_t i, struct zg_server_row *row)
{
	struct zg_server_row known;

	*row = s->here[i].shown;
	return zg_servers_get(s, row->id, &known) == -ENOENT;
}

/* The next server: those with a row first, then files that nobody decided on. */
static int next_server(struct zg_ctl_client *k)
{
	struct zg_servers *s = k->owner->servers;
	struct zg_server_row row;
	int rc;

	do {
		rc = zg_servers_page(s, k->row, &row);
		if (rc == 0)
			k->row = row.row;
		while (rc == -ENOENT && k->here < s->here_count)
			rc = row_of_index(s, k->here++, &row) ? 0 : -ENOENT;
		if (rc < 0)
			return rc == -ENOENT ? -ENODATA : rc;
	} while (k->pins.server[0] && strcasecmp(k->pins.server, row.id) != 0);
	zg_servers_show(s, k->owner->holds->pins, &row, &k->slot.server);
	memcpy(k->id, row.id, sizeof(k->id));
	k->type = ZG_MSG_CTL_SERVER;
	k->part = k->all ? NEXT_TEXT : ROW;
	k->offset = 0;
	k->step = 0;
	return 1;
}

static int next_piece(struct zg_ctl_client *k)
{
	struct zg_msg_ctl_server_text *m = &k->slot.server_text;
	size_t left;
	int rc = 0;

	*m = (struct zg_msg_ctl_server_text){.pending = k->part == NEXT_TEXT};
	if (!k->offset) {
		zg_buf_reset(&k->text);
		rc = zg_servers_text(k->owner->servers, k->id, m->pending != 0, &k->text);
	}
	if (rc < 0)
		return rc;
	left = k->text.len - k->offset;
	m->bytes = (uint32_t)(left < sizeof(m->text) ? left : sizeof(m->text));
	if (m->bytes)
		memcpy(m->text, k->text.ptr + k->offset, m->bytes);
	k->offset += m->bytes;
	m->last = k->offset == k->text.len;
	if (m->last) {
		k->part++;
		k->offset = 0;
	}
	k->type = ZG_MSG_CTL_SERVER_TEXT;
	return 1;
}

static int next_part(struct zg_ctl_client *k)
{
	int rc;

	if (k->part == NEXT_TEXT || k->part == LIVE_TEXT)
		return next_piece(k);
	if (k->part == STEPS) {
		rc = zg_servers_steps(k->owner->servers, k->id, &k->step, &k->slot.server_step);
		if (rc == 0)
			k->type = ZG_MSG_CTL_SERVER_STEP;
		if (rc != -ENOENT)
			return rc < 0 ? rc : 1;
		k->part = ROW;
	}
	return next_server(k);
}

void zg_ctl_servers_list(struct zg_ctl_client *k, const struct zg_msg_ctl_handover *h)
{
	struct zg_msg_ctl_servers_list m;

	memcpy(&m, h->body, sizeof(m));
	ZG_MSG_TEXT(m.id);
	memcpy(k->pins.server, m.id, sizeof(m.id));
	k->all = m.texts != 0;
	k->produce = next_part;
}
