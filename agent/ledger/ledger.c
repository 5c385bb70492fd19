/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger.c - the ledger role: takes its things from the parent, locks itself
 * in, then runs one loop over rings, gateways and control connections. Trust:
 * runs as a user of its own, believes the parent, and checks everybody else.
 * It never sees HTTP or JSON from outside, and never reaches the network.
 */
#include "ledger.h"

#include <errno.h>
#include <event2/event.h>
#include <poll.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/eventfd.h>

#include "control.h"
#include "ipc.h"
#include "log.h"
#include "servers.h"
#include "sandbox.h"
#include "snapshot.h"

#define DATABASE	   "approvals.db"
#define PINS		   "pins.db"
#define SERVERS		   "servers.db"
#define MAX_FILES	   1024	     /* control clients hold two each, the rest is small */
#define MAX_MEMORY	   536870912 /* rings, one mapped segment and a database cache */
#define DRAINS_PER_WAKE	   16	     /* then the other sockets have their turn */
#define PACE_US		   1000	     /* between two looks at rings in use; a ring holds more */
#define CHECKPOINT_SECONDS 60	     /* no record stays unsigned for longer */
#define PRUNE_SECONDS	   3600

/* Beyond what every role needs: files in its own folder, for SQLite and the
 * log, and the journal's socket. */
static const int syscalls[] = {
	SCMP_SYS(open),	      SCMP_SYS(openat),	   SCMP_SYS(stat),	SCMP_SYS(lstat),
	SCMP_SYS(newfstatat), SCMP_SYS(access),	   SCMP_SYS(faccessat), SCMP_SYS(faccessat2),
	SCMP_SYS(unlink),     SCMP_SYS(unlinkat),  SCMP_SYS(ftruncate), SCMP_SYS(fsync),
	SCMP_SYS(fdatasync),  SCMP_SYS(fallocate), SCMP_SYS(fchmod),	SCMP_SYS(fchown),
	SCMP_SYS(getdents64), SCMP_SYS(connect),   SCMP_SYS(fstatfs),	SCMP_SYS(utimensat),
	SCMP_SYS(rename),     SCMP_SYS(renameat),  SCMP_SYS(renameat2),
};

struct ledger {
	int channel;
	int state_dir;
	int wake; /* eventfd of the rings */
	int link[ZG_LINK_PARENT + 1];
	int ring[ZG_WORKERS_MAX + 1];
	uint64_t boot;
	uint64_t signed_at; /* seconds, monotonic: when nothing was unsigned */
	uint64_t pruned_at;
	uint64_t used_at; /* when the last uses of servers were stored */
	enum zg_durability durability;
	uint32_t ttl_sec;
	char high_risk_tags[ZG_FINDINGS_LEN];
	uint8_t snapshot[32];
	bool running; /* initialised; else things are only collected */
	int status;
	struct event_base *base;
	struct event *on_channel, *on_wake, *on_pace, *on_tick, *on_change;
	struct zg_trail trail;
	struct zg_approvals approvals;
	struct zg_pins pins;
	struct zg_servers servers;
	struct zg_tokens tokens;
	struct zg_holds holds;
	struct zg_controls controls;
	struct zg_notify notify;
	struct zg_notify_def notify_def;
};

static uint64_t now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static uint64_t seconds(void)
{
	return now_ms() / 1000;
}

/* --- records --------------------------------------------------------------------- */

/* Of the records that were just taken: what came of calls that somebody approved. */
static void note_outcomes(struct ledger *l)
{
	for (size_t i = 0; i < l->trail.batch_count; i++) {
		const struct zg_record *r = &l->trail.batch[i].record;

		if (r->kind == ZG_RK_CALL_OUTCOME && ZG_REC_HAS(r, approval) &&
		    ZG_REC_HAS(r, outcome))
			zg_approvals_outcome(&l->approvals, r->approval, r->outcome);
	}
}

/*
 * Where one record came more follow, so the next look is a moment later and
 * nobody has to ring for it: under load a record costs its producer no system
 * call and us no wake-up. Only a look that finds nothing ends in sleep.
 */
static void on_pace(evutil_socket_t fd, short what, void *arg)
{
	static const struct timeval pace = {.tv_usec = PACE_US}, at_once = {0};
	struct ledger *l = arg;
	bool any = false;
	int rc = 1;

	(void)fd;
	(void)what;
	if (l->trail.failed)
		return; /* the tick tries again; records stay where they are */
	for (int i = 0; i < DRAINS_PER_WAKE && rc > 0; i++) {
		rc = zg_trail_drain(&l->trail);
		any = any || l->trail.drained > 0;
		for (size_t n = 0; rc >= 0 && n < l->trail.drained; n++)
			zg_servers_used(&l->servers, &l->trail.batch[n].record);
		if (rc >= 0)
			note_outcomes(l);
	}
	if (rc >= 0 && (any || !zg_trail_may_sleep(&l->trail)) &&
	    event_add(l->on_pace, rc > 0 ? &at_once : &pace) < 0)
		zg_log(ZG_LOG_ERR, "no timer for the rings: the next look is the tick's");
	zg_controls_wake(&l->controls);
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
	uint64_t rung;

	if (read(fd, &rung, sizeof(rung)) < 0 && errno != EAGAIN)
		zg_log(ZG_LOG_ERR, "the rings' eventfd: %s", strerror(errno));
	on_pace(fd, what, arg);
}

/* What the channel has no room for is told with the next tick. */
static void tell_registry(void *arg)
{
	struct ledger *l = arg;
	const struct zg_msg_registry_changed m = {.change = l->servers.change};

	if (zg_servers_tell(&l->servers) &&
	    zg_msg_send(l->channel, ZG_MSG_REGISTRY_CHANGED, &m, -1) == 0)
		l->servers.told = m.change;
}

static int send_notice(void *arg, enum zg_notify_way way, const struct zg_msg_notify *m,
		       uint32_t *link)
{
	struct ledger *l = arg;

	return way == ZG_NW_WEBHOOK ? zg_holds_post(&l->holds, m, link)
				    : zg_msg_send(l->channel, ZG_MSG_NOTIFY, m, -1);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct ledger *l = arg;
	uint64_t now = seconds();

	if (zg_trail_retry(&l->trail) < 0)
		return;
	/* also for a producer that did not ring */
	on_wake(l->wake, what, l);
	(void)fd;
	zg_holds_tick(&l->holds);
	if (!zg_audit_unsigned(l->trail.audit))
		l->signed_at = now;
	if (now - l->signed_at >= CHECKPOINT_SECONDS && zg_trail_checkpoint(&l->trail) == 0)
		l->signed_at = now;
	if (!zg_audit_synced(l->trail.audit) && zg_trail_sync(&l->trail) < 0)
		return; /* said so; calls are refused */
	zg_notify_run(&l->notify, now_ms());
	zg_servers_tick(&l->servers);
	tell_registry(l);
	if (now - l->used_at >= CHECKPOINT_SECONDS) {
		l->used_at = now;
		zg_servers_store_uses(&l->servers);
	}
	if (now - l->pruned_at >= PRUNE_SECONDS) {
		l->pruned_at = now;
		if (zg_approvals_prune(&l->approvals) < 0)
			zg_log(ZG_LOG_WARN,
			       "old approvals could not be deleted; tried again later");
	}
	zg_controls_wake(&l->controls);
}

static void on_change(evutil_socket_t fd, short what, void *arg)
{
	struct ledger *l = arg;

	(void)fd;
	(void)what;
	zg_controls_wake(&l->controls);
	zg_notify_run(&l->notify, now_ms());
}

/* --- the parent ------------------------------------------------------------------- */

static int give_ring(struct ledger *l, uint32_t index, struct zg_msg *m)
{
	int rc;

	if (index > ZG_WORKERS_MAX)
		return -EPROTO;
	if (!l->running) {
		zg_close_(&l->ring[index]);
		l->ring[index] = zg_take_fd(&m->fd);
		return 0;
	}
	rc = zg_trail_add_ring(&l->trail, m->fd, index, l->boot);
	if (rc == 0)
		event_active(l->on_wake, EV_READ, 0);
	return rc;
}

static int give_link(struct ledger *l, uint32_t index, struct zg_msg *m)
{
	int rc;

	if (index > ZG_LINK_PARENT)
		return -EPROTO;
	if (!l->running) {
		zg_close_(&l->link[index]);
		l->link[index] = zg_take_fd(&m->fd);
		return 0;
	}
	rc = zg_holds_link(&l->holds, index, m->fd);
	if (rc == 0)
		m->fd = -1;
	return rc;
}

static int give_fd(struct ledger *l, struct zg_msg *m)
{
	struct zg_msg_give_fd give;
	int *one;

	memcpy(&give, m->body, sizeof(give));
	switch (give.kind) {
	case ZG_FD_RING:
		return give_ring(l, give.index, m);
	case ZG_FD_LEDGER:
		return give_link(l, give.index, m);
	case ZG_FD_STATE_DIR:
	case ZG_FD_RING_EVENT:
		one = give.kind == ZG_FD_STATE_DIR ? &l->state_dir : &l->wake;
		if (*one >= 0)
			return -EPROTO;
		*one = zg_take_fd(&m->fd);
		return 0;
	default: /* not an enum: a number from a message */
		return -EPROTO;
	}
}

static int take_snapshot(struct ledger *l, const struct zg_msg *m)
{
	struct zg_msg_snapshot said;
	struct zg_msg_snapshot_ok ok;
	struct zg_snapshot s;
	struct zg_err e = {0};
	int rc = zg_snapshot_open(&s, m->fd, &e);

	if (rc < 0) {
		zg_log_err(ZG_LOG_ERR, "snapshot", &e);
		return rc;
	}
	memcpy(&said, m->body, sizeof(said));
	memcpy(l->snapshot, said.id, sizeof(l->snapshot));
	l->ttl_sec = s.settings->approval_ttl_sec;
	memcpy(l->high_risk_tags, s.settings->high_risk_tags, sizeof(l->high_risk_tags));
	l->durability = (enum zg_durability)s.settings->durability;
	l->notify_def = s.settings->notify;
	rc = zg_pins_registry(&l->pins, &s);
	if (rc == 0)
		rc = zg_servers_snapshot(&l->servers, &s);
	zg_snapshot_close(&s);
	if (rc < 0)
		return rc;
	if (!l->running)
		return 0;
	zg_audit_set_durability(l->trail.audit, l->durability);
	zg_audit_set_snapshot(l->trail.audit, l->snapshot);
	zg_notify_settings(&l->notify, &l->notify_def);
	zg_approvals_policy(&l->approvals, l->snapshot, l->ttl_sec, l->high_risk_tags);
	zg_holds_tick(&l->holds);
	ok.generation = said.generation;
	return zg_msg_send(l->channel, ZG_MSG_SNAPSHOT_OK, &ok, -1);
}

static int start(struct ledger *l, const struct zg_msg *m);

static void handover(struct ledger *l, struct zg_msg *m)
{
	struct zg_msg_ctl_handover h;

	memcpy(&h, m->body, sizeof(h));
	zg_controls_accept(&l->controls, &h, zg_take_fd(&m->fd));
}

static void taken(struct ledger *l, const struct zg_msg *m)
{
	struct zg_msg_registry_taken said;

	memcpy(&said, m->body, sizeof(said));
	ZG_MSG_TEXT(said.what);
	zg_servers_taken(&l->servers, &said);
	tell_registry(l);
	zg_controls_wake(&l->controls);
}

static void told(struct ledger *l, const struct zg_msg *m)
{
	struct zg_msg_notify_done said;

	memcpy(&said, m->body, sizeof(said));
	zg_notify_done(&l->notify, ZG_NW_COMMAND, ZG_NOTIFY_NO_LINK, &said, now_ms());
}

/* Its place in the file is shared with the parent: left alone. */
static void file_submitted(struct ledger *l, struct zg_msg *m)
{
	struct zg_msg_registry_file said;
	char *text = malloc(ZG_ENTRY_BYTES);
	size_t have = 0;
	ssize_t n = text ? 1 : 0;

	memcpy(&said, m->body, sizeof(said));
	ZG_MSG_TEXT(said.entry.id);
	ZG_MSG_TEXT(said.entry.owner);
	ZG_MSG_TEXT(said.entry.version);
	ZG_MSG_TEXT(said.entry.transport);
	ZG_MSG_TEXT(said.entry.endpoint);
	ZG_MSG_TEXT(said.entry.reason);
	while (n > 0 && have < ZG_ENTRY_BYTES) {
		n = pread(m->fd, text + have, ZG_ENTRY_BYTES - have, (off_t)have);
		have += n > 0 ? (size_t)n : 0;
	}
	if (n >= 0 && text)
		zg_servers_file(&l->servers, &said.entry, (struct zg_slice){text, have});
	else
		zg_log(ZG_LOG_ERR, "the file of server %s could not be read", said.entry.id);
	free(text);
}

static int handle(struct ledger *l, struct zg_msg *m)
{
	if (m->type == ZG_MSG_GIVE_FD)
		return give_fd(l, m);
	if (m->type == ZG_MSG_SNAPSHOT)
		return take_snapshot(l, m);
	if (m->type == ZG_MSG_START && !l->running)
		return start(l, m);
	if (m->type == ZG_MSG_CTL_HANDOVER && l->running) {
		handover(l, m);
		return 0;
	}
	if (m->type == ZG_MSG_REGISTRY_FILE && l->running) {
		file_submitted(l, m);
		return 0;
	}
	if (m->type == ZG_MSG_NOTIFY_DONE && l->running) {
		told(l, m);
		return 0;
	}
	if (m->type == ZG_MSG_REGISTRY_TAKEN && l->running) {
		taken(l, m);
		return 0;
	}
	return -EPROTO;
}

static void on_channel(evutil_socket_t fd, short what, void *arg)
{
	struct ledger *l = arg;
	struct zg_msg m = {.fd = -1};
	int rc = zg_msg_recv(fd, &m);

	(void)what;
	if (rc == -EAGAIN)
		return;
	if (rc == 0) {
		rc = handle(l, &m);
		zg_msg_release(&m);
	}
	if (rc == 0)
		return;
	/* the end of the channel is the order to finish; all else is a failure */
	l->status = rc == -EPIPE ? 0 : 1;
	if (rc != -EPIPE)
		zg_log(ZG_LOG_ERR, "the parent's channel: %s", strerror(-rc));
	(void)event_base_loopbreak(l->base);
}

/* --- coming and going --------------------------------------------------------------- */

static int open_files(struct ledger *l, struct zg_err *e)
{
	struct zg_audit *audit;
	int rc;

	if (l->state_dir < 0 || l->wake < 0)
		return zg_err_set(e, EPROTO, "the parent did not give what the ledger needs");
	if (fchdir(l->state_dir) < 0)
		return zg_err_set(e, errno, "cannot enter the state folder: %m");
	rc = zg_audit_open(&audit, l->state_dir, e);
	if (rc < 0)
		return rc;
	zg_audit_set_durability(audit, l->durability);
	zg_audit_set_snapshot(audit, l->snapshot);
	rc = zg_trail_init(&l->trail, audit, ZG_JOURNAL_SOCKET);
	if (rc < 0) {
		zg_audit_free(audit);
		return zg_err_set(e, -rc, "cannot make a socket for the journal: %s",
				  strerror(-rc));
	}
	for (uint32_t i = 0; i <= ZG_WORKERS_MAX; i++) {
		rc = l->ring[i] < 0 ? 0 : zg_trail_add_ring(&l->trail, l->ring[i], i, l->boot);
		if (rc < 0)
			return zg_err_set(e, -rc, "ring %u: %s", i, strerror(-rc));
		zg_close_(&l->ring[i]);
		l->ring[i] = -1;
	}
	rc = zg_approvals_open(&l->approvals, DATABASE, &l->trail, e);
	if (rc == 0)
		zg_approvals_recover(&l->approvals);
	if (rc == 0)
		rc = zg_tokens_open(&l->tokens, &l->approvals.store, e);
	if (rc == 0)
		rc = zg_notify_open(&l->notify, &l->approvals.store, &l->trail, send_notice, l, e);
	if (rc == 0) {
		zg_notify_settings(&l->notify, &l->notify_def);
		l->approvals.notify = &l->notify;
	}
	if (rc == 0)
		rc = zg_pins_open(&l->pins, PINS, &l->trail, e);
	l->approvals.pins = &l->pins;
	if (rc == 0)
		rc = zg_servers_open(&l->servers, SERVERS, l->state_dir, &l->trail, e);
	if (rc == 0 && (rc = zg_servers_mirror_all(&l->servers)) < 0)
		return zg_err_set(e, -rc, "cannot write registry/: %s", strerror(-rc));
	if (rc == 0)
		zg_approvals_policy(&l->approvals, l->snapshot, l->ttl_sec, l->high_risk_tags);
	return rc;
}

static int open_sockets(struct ledger *l, struct zg_err *e)
{
	const struct timeval second = {.tv_sec = 1};
	int rc = zg_holds_init(&l->holds, l->base, &l->approvals);

	l->holds.tokens = &l->tokens;
	l->holds.pins = &l->pins;
	l->holds.notify = &l->notify;
	for (uint32_t i = 0; i <= ZG_LINK_PARENT && rc == 0; i++) {
		if (l->link[i] >= 0)
			rc = zg_holds_link(&l->holds, i, l->link[i]);
		if (rc == 0)
			l->link[i] = -1;
	}
	zg_controls_init(&l->controls, l->base, &l->trail, &l->approvals, &l->holds);
	l->controls.servers = &l->servers;
	l->controls.changed = tell_registry;
	l->controls.changed_arg = l;
	l->on_wake = event_new(l->base, l->wake, EV_READ | EV_PERSIST, on_wake, l);
	l->on_pace = event_new(l->base, -1, 0, on_pace, l);
	l->on_tick = event_new(l->base, -1, EV_PERSIST, on_tick, l);
	l->on_change = event_new(l->base, -1, 0, on_change, l);
	l->holds.changed = l->on_change;
	if (rc < 0 || evutil_make_socket_nonblocking(l->wake) < 0 || !l->on_wake || !l->on_pace ||
	    !l->on_tick || !l->on_change || event_add(l->on_wake, NULL) < 0 ||
	    event_add(l->on_tick, &second) < 0)
		return zg_err_set(e, ENOMEM, "cannot set up the event loop");
	return 0;
}

static int start(struct ledger *l, const struct zg_msg *m)
{
	const struct zg_sandbox sandbox = {.role = "ledger",
					   .syscalls = syscalls,
					   .syscall_count = sizeof(syscalls) / sizeof(syscalls[0]),
					   .max_files = MAX_FILES,
					   .max_memory = MAX_MEMORY};
	const struct zg_msg_ready ready = {.pid = (uint32_t)getpid()};
	struct zg_msg_start said;
	struct zg_err e = {0};
	int rc;

	memcpy(&said, m->body, sizeof(said));
	l->boot = said.boot_id;
	rc = open_files(l, &e);
	if (rc == 0)
		rc = open_sockets(l, &e);
	if (rc == 0)
		rc = zg_sandbox_enter(&sandbox, &e);
	if (rc < 0) {
		zg_log_err(ZG_LOG_ERR, "start", &e);
		return rc == -EPIPE ? -EIO : rc;
	}
	l->running = true;
	l->signed_at = l->pruned_at = seconds();
	zg_trail_start(&l->trail);
	event_active(l->on_wake, EV_READ, 0);
	return zg_msg_send(l->channel, ZG_MSG_READY, &ready, -1);
}

/* The parent is gone: what is in the rings is all there will be. */
static void finish(struct ledger *l)
{
	int rc = 1;

	zg_trail_stop(&l->trail);
	if (zg_trail_retry(&l->trail) == 0) {
		while (rc > 0)
			rc = zg_trail_drain(&l->trail);
		zg_servers_store_uses(&l->servers);
		if (rc == 0)
			rc = zg_trail_checkpoint(&l->trail);
	}
	if (rc != 0) {
		zg_log(ZG_LOG_ERR, "records in the rings could not be written and are lost");
		l->status = 1;
	}
}

static void release(struct ledger *l)
{
	struct event *events[] = {l->on_channel, l->on_wake, l->on_pace, l->on_tick, l->on_change};

	if (l->running) {
		zg_controls_release(&l->controls);
		zg_holds_release(&l->holds);
		zg_notify_close(&l->notify);
		zg_tokens_close(&l->tokens);
		zg_pins_close(&l->pins);
		zg_servers_close(&l->servers);
		zg_approvals_close(&l->approvals);
		zg_trail_release(&l->trail);
	}
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
		if (events[i])
			event_free(events[i]);
	if (l->base)
		event_base_free(l->base);
	zg_close_(&l->state_dir);
	zg_close_(&l->wake);
}

int zg_ledger_main(int sock)
{
	static const int ignored[] = {SIGXFSZ, SIGPIPE, SIGINT, SIGTERM};
	static struct ledger l = {.state_dir = -1, .wake = -1};

	zg_log_init("ledger");
	/* a limit on the file size is an error to handle, not a reason to die; an
	 * order to stop comes from the parent, which drains us last */
	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		if (signal(ignored[i], SIG_IGN) == SIG_ERR)
			return 1;
	(void)umask(0077);
	l.channel = sock;
	for (int i = 0; i <= ZG_LINK_PARENT; i++)
		l.link[i] = -1;
	for (int i = 0; i <= ZG_WORKERS_MAX; i++)
		l.ring[i] = -1;
	l.base = event_base_new();
	if (l.base)
		l.on_channel = event_new(l.base, sock, EV_READ | EV_PERSIST, on_channel, &l);
	if (!l.on_channel || evutil_make_socket_nonblocking(sock) < 0 ||
	    event_add(l.on_channel, NULL) < 0 || event_base_dispatch(l.base) < 0)
		l.status = 1;
	if (l.running)
		finish(&l);
	release(&l);
	return l.status;
}
