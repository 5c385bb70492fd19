/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resolver.c - the role that resolves host names for governed cgroups: takes
 * its sockets and rules from the parent, locks itself in, runs the loop. Trust:
 * it reads what workloads ask and what the network answers; it has no
 * capability, opens no path, and the gate lets it reach its upstream servers
 * alone. It opens nothing by itself: every address is the parent's to confirm.
 */
#include "resolver.h"

#include <errno.h>
#include <seccomp.h>
#include <signal.h>

#include "log.h"
#include "sandbox.h"
#include "server.h"

#define MEMORY_BYTES (UINT64_C(1) << 30) /* address space; a runaway ends here */

uint64_t zg_resolver_now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int take_snapshot(struct zg_resolver *r, const struct zg_msg *m)
{
	const struct zg_msg_snapshot *body = (const struct zg_msg_snapshot *)m->body;
	struct zg_msg_snapshot_ok ok = {.generation = body->generation};
	struct zg_snapshot s, was = r->snapshot;
	struct zg_err e = {0};
	int rc = zg_snapshot_open(&s, m->fd, &e);

	if (rc < 0) {
		zg_log_err(ZG_LOG_ERR, "new configuration refused", &e);
		return rc;
	}
	r->snapshot = s;
	r->preferred = 0;
	zg_desks_snapshot(r);
	zg_hosts_snapshot(r);
	zg_snapshot_close(&was); /* the desks' rules were in it */
	return zg_msg_send(r->channel, ZG_MSG_SNAPSHOT_OK, &ok, -1);
}

static int take_fd(struct zg_resolver *r, struct zg_msg *m)
{
	struct zg_msg_give_fd *give = (struct zg_msg_give_fd *)m->body;

	ZG_MSG_TEXT(give->profile);
	if (give->kind != ZG_FD_DNS ||
	    !zg_desk_give(r, give->profile, give->index, zg_take_fd(&m->fd)))
		return -EPROTO;
	return 0;
}

static int on_message(struct zg_resolver *r, struct zg_msg *m)
{
	switch ((unsigned)m->type) {
	case ZG_MSG_GIVE_FD:
		return take_fd(r, m);
	case ZG_MSG_SNAPSHOT:
		return take_snapshot(r, m);
	case ZG_MSG_NAME_LEARNED:
		zg_query_learned(r, (const struct zg_msg_name_learned *)m->body);
		return 0;
	default:
		return -EPROTO;
	}
}

static void on_channel(evutil_socket_t fd ZG_UNUSED, short what ZG_UNUSED, void *arg)
{
	struct zg_resolver *r = arg;
	struct zg_msg m = {.fd = -1};
	int rc;

	while ((rc = zg_msg_recv(r->channel, &m)) == 0) {
		rc = on_message(r, &m);
		zg_msg_release(&m);
		if (rc < 0)
			break;
	}
	if (rc == -EAGAIN)
		return;
	if (rc != -EPIPE) {
		zg_log(ZG_LOG_ERR, "message of the parent: %s", strerror(-rc));
		r->status = 1;
	}
	(void)event_base_loopbreak(r->base);
}

/* GIVE_FD..., SNAPSHOT, START. */
static int receive_start(struct zg_resolver *r)
{
	struct zg_msg m = {.fd = -1};
	int rc;

	for (;;) {
		rc = zg_msg_recv(r->channel, &m);
		if (rc < 0)
			return rc;
		if (m.type == ZG_MSG_START)
			return r->snapshot.header ? 0 : -EPROTO;
		rc = on_message(r, &m);
		zg_msg_release(&m);
		if (rc < 0)
			return rc;
	}
}

static int begin(struct zg_resolver *r)
{
	int rc;

	r->base = event_base_new();
	if (!r->base)
		return -ENOMEM;
	rc = receive_start(r);
	if (rc < 0)
		return rc;
	if (evutil_make_socket_nonblocking(r->channel) < 0)
		return -errno;
	r->channel_event = event_new(r->base, r->channel, EV_READ | EV_PERSIST, on_channel, r);
	return r->channel_event && event_add(r->channel_event, NULL) == 0 ? 0 : -ENOMEM;
}

static int lock_in(struct zg_err *e)
{
	const struct zg_sandbox box = {
		.role = "resolver",
		.no_paths = true,
		.inet = true,
		.datagrams = true,
		.max_files = ZG_DNS_SOCKETS * ZG_PROFILES_MAX + 4 * ZG_DNS_INFLIGHT_MAX,
		.max_memory = MEMORY_BYTES,
	};

	return zg_sandbox_enter(&box, e);
}

static void release(struct zg_resolver *r)
{
	zg_desks_release(r);
	zg_hosts_release(r);
	if (r->channel_event)
		event_free(r->channel_event);
	zg_snapshot_close(&r->snapshot);
	if (r->base)
		event_base_free(r->base);
}

int zg_resolver_main(int sock)
{
	struct zg_resolver r = {.channel = sock};
	struct zg_msg_ready ready = {.pid = (uint32_t)getpid()};
	struct zg_err e = {0};
	int rc;

	zg_log_init("resolver");
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		return 1;
	rc = begin(&r);
	if (rc < 0) {
		zg_log(ZG_LOG_ERR, "cannot start: %s", strerror(-rc));
		return 1;
	}
	if (lock_in(&e) < 0) {
		zg_log_err(ZG_LOG_ERR, "cannot lock itself in", &e);
		return 1;
	}
	if (zg_msg_send(sock, ZG_MSG_READY, &ready, -1) < 0 || event_base_dispatch(r.base) < 0)
		r.status = 1;
	rc = r.status;
	release(&r);
	return rc;
}
