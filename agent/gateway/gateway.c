/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway.c - the role: takes its channels and configuration from the parent,
 * locks itself in, and runs the loop. Trust: it reads what clients and servers
 * say, so it is the process that an attacker gets; it has no capability, opens
 * no path, and asks the ledger and the parent for everything that matters.
 */
#include "gateway.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>

#include "endpoint.h"
#include "greet.h"
#include "ipc.h"
#include "local.h"
#include "log.h"
#include "webhook.h"
#include "request.h"
#include "sandbox.h"
#include "splice.h"
#include "state.h"
#include "tls.h"
#include "upstream.h"

#define WORKER_MEMORY (UINT64_C(4) << 30) /* address space; a runaway ends here */

/* What the parent hands over before START. */
struct inherited {
	int listener[ZG_LISTEN_MAX];
	int ring;
	int ring_event;
};

uint64_t zg_now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t zg_real_sec(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec;
}

/* Seconds of the start, a count, the worker: no two workers or lives collide
 * below a million calls a second, and the number is exact in a double. */
uint64_t zg_worker_call(struct zg_worker *w)
{
	return w->call_base + (w->calls++ << 4);
}

int zg_worker_init(struct zg_worker *w)
{
	static const struct timeval idle = {ZG_HTTP_IDLE_SEC, 0}, quiet = {ZG_KEEPALIVE_SEC, 0};
	struct timespec now;
	int rc;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	w->call_base = ((uint64_t)now.tv_sec << 20) + w->index % ZG_WORKERS_MAX;
	w->scratch = ZG_BUF(2 * ZG_RESPONSE_BYTES);
	w->token = ZG_BUF(2 * ZG_SEAL_PAYLOAD);
	w->splice = ZG_BUF(2 * ZG_RESPONSE_BYTES);
	LIST_INIT(&w->conns);
	LIST_INIT(&w->greets);
	LIST_INIT(&w->splices);
	TAILQ_INIT(&w->requests);
	TAILQ_INIT(&w->spare);
	w->calls_of = calloc(ZG_CALL_BUCKETS, sizeof(*w->calls_of));
	if (!w->calls_of)
		return -ENOMEM;
	w->base = event_base_new();
	if (!w->base)
		return -ENOMEM;
	w->idle = event_base_init_common_timeout(w->base, &idle);
	w->quiet = event_base_init_common_timeout(w->base, &quiet);
	json_object_seed(0); /* hash keys of its own, before no path can be opened */
	rc = zg_tls_init(w);
	if (rc == 0)
		rc = zg_admission_init(&w->admission);
	if (rc == 0)
		rc = zg_cgroup_names_init(&w->names);
	if (rc == 0)
		rc = zg_pins_known_init(&w->pins);
	return rc < 0 ? rc : zg_upstream_init(w);
}

void zg_worker_release(struct zg_worker *w)
{
	zg_greets_release(w);
	zg_splices_release(w);
	zg_locals_release(w);
	zg_conns_release(w);
	zg_requests_release(w);
	zg_issuers_release(w);
	free(w->calls_of);
	w->calls_of = NULL;
	zg_upstream_release(w);
	zg_tls_release(w);
	for (size_t i = 0; i < ZG_LISTEN_MAX; i++)
		if (w->listener[i])
			evconnlistener_free(w->listener[i]);
	if (w->channel_event)
		event_free(w->channel_event);
	if (w->ledger_event)
		event_free(w->ledger_event);
	zg_pins_known_release(&w->pins);
	zg_cgroup_names_release(&w->names);
	zg_exe_names_release(&w->executables);
	zg_admission_release(&w->admission);
	zg_findings_release(&w->findings);
	zg_buf_release(&w->scratch);
	zg_buf_release(&w->token);
	zg_buf_release(&w->splice);
	zg_live_unref(w->live);
	w->live = NULL;
	if (w->base)
		event_base_free(w->base);
}

/* the ledger ---------------------------------------------------------------- */

static void drop_ledger(struct zg_worker *w)
{
	if (w->ledger_event)
		event_free(w->ledger_event);
	w->ledger_event = NULL;
	zg_close_(&w->ledger);
	w->ledger = -1;
}

void zg_worker_read_ledger(struct zg_worker *w)
{
	struct zg_msg m = {.fd = -1};
	int rc = 0;

	while (w->ledger >= 0 && (rc = zg_msg_recv(w->ledger, &m)) == 0) {
		zg_msg_release(&m);
		if (m.type == ZG_MSG_HOLD_STATE)
			zg_hold_message(w, (struct zg_msg_hold_state *)m.body);
		else if (m.type == ZG_MSG_TOKEN_USED)
			zg_state_used(w, (const struct zg_msg_token_used *)m.body);
		else if (m.type == ZG_MSG_CALL_CANCELLED)
			zg_cancel_message(w, (const struct zg_msg_call_cancelled *)m.body);
		else if (m.type == ZG_MSG_QUOTA_TOLD)
			zg_quota_message(w, (const struct zg_msg_quota_told *)m.body);
		else if (m.type == ZG_MSG_PIN_STATE)
			zg_pins_message(w, (struct zg_msg_pin_state *)m.body);
		else if (m.type == ZG_MSG_NOTIFY)
			zg_notify_message(w, (struct zg_msg_notify *)m.body);
		else
			rc = -EPROTO;
		if (rc < 0)
			break;
	}
	if (w->ledger >= 0 && rc != -EAGAIN) {
		/* held calls wait on: the parent brings a new ledger */
		zg_log(ZG_LOG_WARN, "the ledger is gone: %s", strerror(-rc));
		drop_ledger(w);
	}
}

static void on_ledger(evutil_socket_t fd ZG_UNUSED, short what ZG_UNUSED, void *arg)
{
	zg_worker_read_ledger(arg);
}

static int take_ledger(struct zg_worker *w, int fd)
{
	drop_ledger(w);
	w->ledger = fd;
	if (evutil_make_socket_nonblocking(fd) < 0)
		return -errno;
	w->ledger_event = event_new(w->base, fd, EV_READ | EV_PERSIST, on_ledger, w);
	if (!w->ledger_event || event_add(w->ledger_event, NULL) < 0)
		return -ENOMEM;
	zg_hold_resend(w);
	zg_pins_resend(w);
	zg_quota_resend(w);
	return 0;
}

/* the parent ---------------------------------------------------------------- */

static void take_cgroup_path(struct zg_worker *w, struct zg_msg_cgroup_path *m)
{
	struct zg_request *r, *next;

	ZG_MSG_TEXT(m->path);
	zg_cgroup_names_put(&w->names, m->cgroup_id, m->path);
	for (r = TAILQ_FIRST(&w->requests); r; r = next) {
		next = TAILQ_NEXT(r, link);
		if (r->origin.cgroup_id == m->cgroup_id && !r->principal.cgroup[0] && r->admitted)
			zg_request_run(r);
	}
	/* "not found" is an answer for now, not for ever */
	if (!m->path[0])
		zg_cgroup_names_forget(&w->names, m->cgroup_id);
}

static int take_secrets(struct zg_worker *w, int fd)
{
	zg_close_(&w->secrets);
	w->secrets = fd;
	return 0;
}

static int take_snapshot(struct zg_worker *w, const struct zg_msg *m)
{
	const struct zg_msg_snapshot *s = (const struct zg_msg_snapshot *)m->body;
	struct zg_msg_snapshot_ok ok = {.generation = s->generation};
	struct zg_live *live;
	struct zg_err e = {0};
	int rc = zg_live_new(&live, m->fd, w->secrets, s->generation, w->live, &e);

	zg_close_(&w->secrets);
	w->secrets = -1;

	if (rc < 0) {
		/* the last good one stays; the parent sees that no OK comes */
		zg_log_err(ZG_LOG_ERR, "new configuration refused", &e);
		return w->live ? 0 : rc;
	}
	if (memcmp(live->snap.header->id, s->id, sizeof(s->id)) != 0) {
		zg_log(ZG_LOG_ERR, "new configuration refused: it is not the announced one");
		zg_live_unref(live);
		return w->live ? 0 : -EBADMSG;
	}
	zg_trial_begin(w, live);
	zg_live_unref(w->live);
	w->live = live;
	if (w->base)
		zg_issuers_live(w);
	if (w->base)
		zg_requests_reconsider(w);
	return w->base ? zg_msg_send(w->channel, ZG_MSG_SNAPSHOT_OK, &ok, -1) : 0;
}

static int on_parent_message(struct zg_worker *w, struct zg_msg *m)
{
	const struct zg_msg_give_fd *give = (const struct zg_msg_give_fd *)m->body;

	switch ((unsigned)m->type) {
	case ZG_MSG_SNAPSHOT:
		return take_snapshot(w, m);
	case ZG_MSG_RELAY:
		zg_relay_take(w, (struct zg_msg_relay *)m->body);
		return 0;
	case ZG_MSG_CGROUP_PATH:
		take_cgroup_path(w, (struct zg_msg_cgroup_path *)m->body);
		return 0;
	case ZG_MSG_EXE_ANSWER:
		zg_executable_answer(w, (struct zg_msg_exe_answer *)m->body);
		return 0;
	case ZG_MSG_NAME_NOWHERE:
		zg_nowhere_message(w, (struct zg_msg_name_nowhere *)m->body);
		return 0;
	case ZG_MSG_SNI_ANSWER:
		zg_greet_answer(w, (struct zg_msg_sni_answer *)m->body);
		return 0;
	case ZG_MSG_STDIO_FD:
		return zg_local_fd(w, (const struct zg_msg_stdio_fd *)m->body, zg_take_fd(&m->fd));
	case ZG_MSG_STDIO_OPEN:
		return zg_local_open(w, (struct zg_msg_stdio_open *)m->body);
	case ZG_MSG_STDIO_CLOSE:
		zg_local_close(w, (const struct zg_msg_stdio_close *)m->body);
		return 0;
	case ZG_MSG_STDIO_NARROWED:
		zg_local_narrowed(w, (const struct zg_msg_stdio_narrowed *)m->body);
		return 0;
	case ZG_MSG_GIVE_FD:
		if (give->kind == ZG_FD_LEDGER)
			return take_ledger(w, zg_take_fd(&m->fd));
		if (give->kind == ZG_FD_SECRETS)
			return take_secrets(w, zg_take_fd(&m->fd));
		if (give->kind == ZG_FD_LISTENER)
			return zg_accept_add(w, zg_take_fd(&m->fd), give->index);
		return -EPROTO;
	default:
		return -EPROTO;
	}
}

static void on_channel(evutil_socket_t fd ZG_UNUSED, short what ZG_UNUSED, void *arg)
{
	struct zg_worker *w = arg;
	struct zg_msg m = {.fd = -1};
	int rc;

	while ((rc = zg_msg_recv(w->channel, &m)) == 0) {
		rc = on_parent_message(w, &m);
		zg_msg_release(&m);
		if (rc < 0)
			break;
	}
	if (rc == -EAGAIN)
		return;
	if (rc != -EPIPE) {
		zg_log(ZG_LOG_ERR, "message of the parent: %s", strerror(-rc));
		w->status = 1;
	}
	(void)event_base_loopbreak(w->base);
}

/* start --------------------------------------------------------------------- */

static int inherit(struct zg_worker *w, struct inherited *in, struct zg_msg *m)
{
	const struct zg_msg_give_fd *give = (const struct zg_msg_give_fd *)m->body;
	int *to = NULL;

	switch (give->kind) {
	case ZG_FD_LISTENER:
		to = give->index < ZG_LISTEN_MAX ? &in->listener[give->index] : NULL;
		break;
	case ZG_FD_RING:
		to = &in->ring;
		break;
	case ZG_FD_RING_EVENT:
		to = &in->ring_event;
		break;
	case ZG_FD_LEDGER: /* again if the ledger was restarted meanwhile */
		zg_close_(&w->ledger);
		w->ledger = -1;
		to = &w->ledger;
		break;
	case ZG_FD_SECRETS:
		return take_secrets(w, zg_take_fd(&m->fd));
	default:
		break;
	}
	if (!to || *to >= 0)
		return -EPROTO;
	*to = zg_take_fd(&m->fd);
	return 0;
}

/* GIVE_FD..., SNAPSHOT, START. */
static int receive_start(struct zg_worker *w, struct inherited *in)
{
	struct zg_msg m = {.fd = -1};
	int rc;

	for (;;) {
		rc = zg_msg_recv(w->channel, &m);
		if (rc < 0)
			return rc;
		if (m.type == ZG_MSG_GIVE_FD)
			rc = inherit(w, in, &m);
		else if (m.type == ZG_MSG_SNAPSHOT)
			rc = take_snapshot(w, &m);
		else if (m.type == ZG_MSG_START)
			w->index = ((const struct zg_msg_start *)m.body)->worker;
		else
			rc = -EPROTO;
		zg_msg_release(&m);
		if (rc < 0)
			return rc;
		if (m.type == ZG_MSG_START)
			return w->live && in->ring >= 0 && in->ring_event >= 0 ? 0 : -EPROTO;
	}
}

static int begin(struct zg_worker *w, struct inherited *in)
{
	int rc = zg_ring_attach(&w->ring, in->ring, in->ring_event);

	zg_close_(&in->ring);
	in->ring = -1;
	if (rc < 0)
		return rc;
	rc = zg_worker_init(w);
	if (rc < 0)
		return rc;
	zg_issuers_live(w);
	if (evutil_make_socket_nonblocking(w->channel) < 0)
		return -errno;
	w->channel_event = event_new(w->base, w->channel, EV_READ | EV_PERSIST, on_channel, w);
	if (!w->channel_event || event_add(w->channel_event, NULL) < 0)
		return -ENOMEM;
	if (w->ledger >= 0)
		rc = take_ledger(w, zg_take_fd(&w->ledger));
	for (uint32_t i = 0; rc == 0 && i < ZG_LISTEN_MAX; i++)
		if (in->listener[i] >= 0)
			rc = zg_accept_add(w, zg_take_fd(&in->listener[i]), i);
	return rc;
}

static int lock_in(struct zg_err *e)
{
	const struct zg_sandbox box = {
		.role = "gateway",
		.no_paths = true,
		.inet = true,
		.max_files = 2 * ZG_CONNECTIONS_MAX + 2 * ZG_INFLIGHT_MAX,
		.max_memory = WORKER_MEMORY,
	};

	return zg_sandbox_enter(&box, e);
}

int zg_gateway_main(int sock)
{
	struct zg_worker w = {.channel = sock, .ledger = -1, .secrets = -1};
	struct inherited in = {.ring = -1, .ring_event = -1};
	struct zg_msg_ready ready = {.pid = (uint32_t)getpid()};
	struct zg_err e = {0};
	int rc;

	zg_log_init("gateway");
	for (size_t i = 0; i < ZG_LISTEN_MAX; i++)
		in.listener[i] = -1;
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		return 1;
	rc = receive_start(&w, &in);
	if (rc == 0)
		rc = begin(&w, &in);
	if (rc < 0) {
		zg_log(ZG_LOG_ERR, "cannot start: %s", strerror(-rc));
		return 1;
	}
	if (lock_in(&e) < 0) {
		zg_log_err(ZG_LOG_ERR, "cannot lock itself in", &e);
		return 1;
	}
	if (zg_msg_send(sock, ZG_MSG_READY, &ready, -1) < 0)
		return 1;
	if (event_base_dispatch(w.base) < 0)
		w.status = 1;
	if (w.unrecorded)
		zg_log(ZG_LOG_ERR, "%llu records found no room in the ring",
		       (unsigned long long)w.unrecorded);
	if (w.unrelayed)
		zg_log(ZG_LOG_WARN, "%llu messages for streams of other workers were lost",
		       (unsigned long long)w.unrelayed);
	rc = w.status;
	zg_worker_release(&w);
	zg_ring_release(&w.ring);
	return rc;
}
