/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control.c - see control.h. Trust: any local user may be at the other end; the
 * parent's attestation says who. Rows and lines are read from the store and
 * the log one at a time, when the socket has room for them, so that a slow
 * reader costs one message of memory and never blocks; one that does not read
 * at all is dropped after STALL_SEC.
 */
#include "control_impl.h"

#include <errno.h>
#include <event2/event.h>
#include <sys/stat.h>

#include "ipc.h"

#define STALL_SEC	  30
#define MESSAGES_PER_WAKE 64	 /* then the other sockets have their turn */
#define TAIL_RECORDS_MAX  100000 /* lines from before; older ones are read from the files */

/* --- one client ------------------------------------------------------------------- */

static void drop(struct zg_ctl_client *k)
{
	*k->link = k->next;
	if (k->next)
		k->next->link = k->link;
	k->owner->count--;
	k->owner->strangers -= k->stranger;
	if (k->reads)
		event_free(k->reads);
	if (k->writes)
		event_free(k->writes);
	zg_close_(&k->log);
	zg_buf_release(&k->text);
	(void)close(k->sock);
	free(k);
}

void zg_ctl_set_end(struct zg_ctl_client *k, int error, const char *what, const char *hint)
{
	k->slot.end = (struct zg_msg_ctl_end){.error = -error, .exit = error ? 1 : 0};
	(void)zg_str_cut(k->slot.end.what, sizeof(k->slot.end.what), zg_slice_str(what));
	(void)zg_str_cut(k->slot.end.hint, sizeof(k->slot.end.hint), zg_slice_str(hint));
	k->type = ZG_MSG_CTL_END;
}

/* Fill the slot. False: nothing to send now. */
static bool fill(struct zg_ctl_client *k)
{
	int rc;

	if (k->type != ZG_MSG_NONE)
		return true;
	rc = k->produce(k);
	if (rc == -ENODATA)
		zg_ctl_set_end(k, 0, "", "");
	else if (rc < 0)
		zg_ctl_set_end(k, -rc, "storage: reading failed", "see the log of the agent");
	k->waiting = rc == 0;
	return rc != 0;
}

/* Send while there is something and room; the client may be gone afterwards. */
static void pump(struct zg_ctl_client *k)
{
	const struct timeval stall = {.tv_sec = STALL_SEC};
	const struct timeval soon = {0};

	for (int i = 0; i < MESSAGES_PER_WAKE; i++) {
		int rc;

		if (!fill(k))
			return;
		rc = zg_msg_send(k->sock, k->type, &k->slot, -1);
		if (rc == -EAGAIN) {
			if (event_add(k->writes, &stall) < 0)
				drop(k);
			return;
		}
		if (rc < 0 || k->type == ZG_MSG_CTL_END) {
			drop(k);
			return;
		}
		k->type = ZG_MSG_NONE;
	}
	/* a timeout of nothing: go on in the next round of the loop */
	if (event_add(k->writes, &soon) < 0)
		drop(k);
}

static void on_write(evutil_socket_t fd, short what, void *arg)
{
	struct zg_ctl_client *k = arg;

	(void)fd;
	/* a message that still stands there after STALL_SEC was not wanted */
	if (what == EV_TIMEOUT && k->type != ZG_MSG_NONE)
		drop(k);
	else
		pump(k);
}

static void on_read(evutil_socket_t fd, short what, void *arg)
{
	struct zg_ctl_client *k = arg;

	(void)fd;
	(void)what;
	/* else it hung up, or asked a second thing on a connection that carries one */
	if (!k->take || k->take(k) < 0)
		drop(k);
	else if (!k->take)
		pump(k);
}

/* --- verbs ------------------------------------------------------------------------ */

static int nothing_more(struct zg_ctl_client *k)
{
	(void)k;
	return -ENODATA;
}

/* definitions: rows, and their texts if these were asked for */

static int next_text(struct zg_ctl_client *k)
{
	struct zg_msg_ctl_pin_text *m = &k->slot.pin_text;
	bool cut = false;
	long n;

	*m = (struct zg_msg_ctl_pin_text){.seen = k->texts == 1};
	n = zg_pins_text(k->owner->holds->pins, k->row, m->seen, k->offset, m->text,
			 sizeof(m->text), &cut);
	if (n < 0)
		return (int)n;
	m->bytes = (uint32_t)n;
	m->cut = cut;
	m->last = (size_t)n < sizeof(m->text);
	k->offset += (size_t)n;
	if (m->last) {
		k->texts--;
		k->offset = 0;
	}
	k->type = ZG_MSG_CTL_PIN_TEXT;
	return 1;
}

static int next_pin(struct zg_ctl_client *k)
{
	struct zg_pins *p = k->owner->holds->pins;
	struct zg_pin pin;
	int rc;

	if (k->texts)
		return next_text(k);
	do {
		rc = zg_pins_page(p, k->row, k->pins.server, &pin);
		if (rc < 0)
			return rc == -ENOENT ? -ENODATA : rc;
		k->row = pin.row;
	} while (k->follow && (k->pins.name[0] ? strcmp(k->pins.name, pin.m.name) != 0
					       : pin.m.state == ZG_PS_PINNED));
	zg_pins_describe(p, &pin);
	k->slot.pin = pin.m;
	k->texts = k->follow ? 2 : 0;
	k->type = ZG_MSG_CTL_PIN;
	return 1;
}

static void pins(struct zg_ctl_client *k, const struct zg_msg_ctl_handover *h)
{
	struct zg_msg_ctl_pins_list m;

	memcpy(&m, h->body, sizeof(m));
	ZG_MSG_TEXT(m.server);
	memcpy(k->pins.server, m.server, sizeof(m.server));
	k->produce = next_pin;
}

static void pin_show(struct zg_ctl_client *k, const struct zg_msg_ctl_handover *h)
{
	memcpy(&k->pins, h->body, sizeof(k->pins));
	ZG_MSG_TEXT(k->pins.server);
	ZG_MSG_TEXT(k->pins.name);
	k->follow = true; /* with texts */
	k->produce = next_pin;
}

static void trust(struct zg_ctl_client *k, const struct zg_msg_ctl_handover *h)
{
	struct zg_msg_ctl_pin_trust m;
	struct zg_msg_ctl_end end;

	memcpy(&m, h->body, sizeof(m));
	ZG_MSG_TEXT(m.server);
	ZG_MSG_TEXT(m.name);
	ZG_MSG_TEXT(m.reason);
	if (zg_holds_trust(k->owner->holds, &m, &h->peer, &end) < 0) {
		k->slot.end = end;
		k->type = ZG_MSG_CTL_END;
	}
}

static int open_place(struct zg_ctl_client *k)
{
	if (k->log >= 0)
		return 0;
	k->log = zg_audit_segment(k->owner->trail->audit, k->place.segment);
	return k->log < 0 ? k->log : 0;
}

static int next_line(struct zg_ctl_client *k)
{
	struct zg_msg_ctl_audit_line *m = &k->slot.line;
	struct zg_audit_place end = zg_audit_end(k->owner->trail->audit);
	const char *newline;
	uint64_t left;
	struct stat st;
	ssize_t n;
	int rc;

	if (!k->place.segment) /* the log was empty when it asked */
		k->place.segment = end.segment;
	for (;;) {
		if (!k->place.segment)
			return k->follow ? 0 : -ENODATA;
		rc = open_place(k);
		if (rc < 0 || fstat(k->log, &st) < 0)
			return rc < 0 ? rc : -errno;
		left = (k->place.segment == end.segment ? end.offset : (uint64_t)st.st_size) -
		       k->place.offset;
		if (left)
			break;
		if (k->place.segment >= end.segment)
			return k->follow ? 0 : -ENODATA;
		zg_close_(&k->log);
		k->log = -1;
		k->place = (struct zg_audit_place){k->place.segment + 1, 0};
	}
	*m = (struct zg_msg_ctl_audit_line){0};
	n = pread(k->log, m->text, left < sizeof(m->text) ? (size_t)left : sizeof(m->text),
		  (off_t)k->place.offset);
	if (n <= 0)
		return n < 0 ? -errno : -EIO;
	newline = memchr(m->text, '\n', (size_t)n);
	m->last = newline != NULL;
	m->bytes = newline ? (uint32_t)(newline - m->text) : (uint32_t)n;
	memset(m->text + m->bytes, 0, sizeof(m->text) - m->bytes);
	k->place.offset += m->bytes + m->last;
	k->type = ZG_MSG_CTL_AUDIT_LINE;
	return 1;
}

static void tail(struct zg_ctl_client *k, const struct zg_msg_ctl_handover *h)
{
	struct zg_msg_ctl_audit_tail m;
	uint64_t n;
	int rc;

	memcpy(&m, h->body, sizeof(m));
	n = m.records < TAIL_RECORDS_MAX ? m.records : TAIL_RECORDS_MAX;
	k->place = zg_audit_end(k->owner->trail->audit);
	k->follow = m.follow != 0;
	k->produce = next_line;
	rc = zg_audit_last(k->owner->trail->audit, n, &k->place);
	if (rc < 0)
		zg_ctl_set_end(k, -rc, "storage: the audit log cannot be read", "");
}

static const struct {
	enum zg_msg_type type;
	void (*start)(struct zg_ctl_client *k, const struct zg_msg_ctl_handover *h);
	bool own_check; /* who may is part of the verb's answer, and recorded */
} verbs[] = {
	{ZG_MSG_CTL_APPROVALS_LIST, zg_ctl_approvals_list, false},
	{ZG_MSG_CTL_APPROVAL_SHOW, zg_ctl_approval_show, false},
	{ZG_MSG_CTL_APPROVAL_DECIDE, zg_ctl_approval_decide, true},
	{ZG_MSG_CTL_AUDIT_TAIL, tail, false},
	{ZG_MSG_CTL_PINS_LIST, pins, false},
	{ZG_MSG_CTL_PIN_SHOW, pin_show, false},
	{ZG_MSG_CTL_PIN_TRUST, trust, true},
	{ZG_MSG_CTL_SERVERS_LIST, zg_ctl_servers_list, false},
	{ZG_MSG_CTL_SERVER_SUBMIT, zg_ctl_server_submit, true},
	{ZG_MSG_CTL_SERVER_DECIDE, zg_ctl_server_decide, true},
	{ZG_MSG_CTL_GATES_LIST, zg_ctl_gates_list, true},
	{ZG_MSG_CTL_GATE_LIFT, zg_ctl_gate_lift, true},
};

static bool is_stranger(const struct zg_ctl_peer *peer)
{
	return peer->governed || (!peer->roles && !peer->owners);
}

/* Who has no say must not keep those out who have. */
static bool has_room(const struct zg_controls *c, const struct zg_ctl_client *k)
{
	return c->count <= ZG_CTL_CLIENTS_MAX &&
	       (!k->stranger || c->strangers <= ZG_CTL_CLIENTS_UID_MAX);
}

static void start(struct zg_ctl_client *k, const struct zg_msg_ctl_handover *h)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if ((uint32_t)verbs[i].type != h->type || h->bytes != zg_msg_bytes(verbs[i].type) ||
		    h->bytes > sizeof(h->body))
			continue;
		if (!verbs[i].own_check && h->peer.governed)
			zg_ctl_set_end(k, EPERM,
				       "not_authorised: not for a process in a governed cgroup",
				       "ask from a session outside");
		else if (!verbs[i].own_check && k->stranger)
			zg_ctl_set_end(
				k, EPERM,
				"not_authorised: only for root and the groups of those who decide",
				"ask to be added to the group that zerogate.yaml names under "
				"approvers");
		else
			verbs[i].start(k, h);
		return;
	}
	zg_ctl_set_end(k, EPROTO, "the agent does not know this request",
		       "are zerogate and zerogated of one version?");
}

void zg_controls_accept(struct zg_controls *c, const struct zg_msg_ctl_handover *h, int sock)
{
	struct zg_ctl_client *k = calloc(1, sizeof(*k));

	if (!k || evutil_make_socket_nonblocking(sock) < 0) {
		free(k);
		(void)close(sock);
		return;
	}
	*k = (struct zg_ctl_client){.owner = c,
				    .sock = sock,
				    .log = -1,
				    .stranger = is_stranger(&h->peer),
				    .produce = nothing_more,
				    .text = ZG_BUF(ZG_ENTRY_BYTES),
				    .next = c->clients};
	k->link = &c->clients;
	if (k->next)
		k->next->link = &k->next;
	c->clients = k;
	c->count++;
	c->strangers += k->stranger;
	k->reads = event_new(c->base, sock, EV_READ | EV_PERSIST, on_read, k);
	k->writes = event_new(c->base, sock, EV_WRITE, on_write, k);
	if (!k->reads || !k->writes || event_add(k->reads, NULL) < 0) {
		drop(k);
		return;
	}
	if (!has_room(c, k))
		zg_ctl_set_end(k, EBUSY, "too many clients are connected", "try again later");
	else
		start(k, h);
	pump(k);
}

void zg_controls_init(struct zg_controls *c, struct event_base *base, struct zg_trail *trail,
		      struct zg_approvals *approvals, struct zg_holds *holds)
{
	*c = (struct zg_controls){
		.base = base, .trail = trail, .approvals = approvals, .holds = holds};
}

void zg_controls_release(struct zg_controls *c)
{
	while (c->clients)
		drop(c->clients);
}

void zg_controls_wake(struct zg_controls *c)
{
	struct zg_ctl_client *k = c->clients, *next;

	for (; k; k = next) {
		next = k->next;
		if (k->waiting)
			pump(k);
	}
}
