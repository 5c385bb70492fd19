/* SPDX-License-Identifier: Apache-2.0 */
/*
 * children.c - supervision of the ledger, the resolver and the gateways (state.h). Trust:
 * a child may be compromised: its messages are checked by ipc.h, and only the
 * few that a role may send are answered; anything else ends that child.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/wait.h>

#include "connection.h"
#include "log.h"
#include "notify_command.h"
#include "proof.h"
#include "spawn.h"
#include "state.h"
#include "local.h"

#define LONG_LIFE_MS	10000 /* a child that lived so long starts anew at once */
#define BACK_OFF_MIN_MS 50
#define BACK_OFF_MAX_MS 1000 /* a dead child is back within a second */
#define STOP_MS		4000 /* then it is killed */
#define TURN		64   /* messages of one child, then it is another's turn */

static bool is_ledger(const struct zg_child *c)
{
	return c == &c->parent->children.ledger;
}

static bool is_resolver(const struct zg_child *c)
{
	return c == &c->parent->children.resolver;
}

static bool is_gateway(const struct zg_child *c)
{
	return !is_ledger(c) && !is_resolver(c);
}

/* sending: in order, without ever blocking the loop ------------------------- */

/* The socket's buffer holds more than a child is ever owed at once; a child
 * that lets it run full does not read, and is replaced. */
static void send_to(struct zg_child *c, enum zg_msg_type type, const void *body, int fd)
{
	int rc;

	if (c->pid < 0)
		return;
	rc = zg_msg_send(c->sock, type, body, fd);
	if (rc == 0 || rc == -EPIPE) /* its end is seen by the reader */
		return;
	zg_log(ZG_LOG_ERR, "%s %u does not take %s: %s; replacing it", c->role, c->worker,
	       zg_msg_name(type), strerror(-rc));
	(void)kill(c->pid, SIGKILL);
}

static void give(struct zg_child *c, enum zg_fd_kind kind, uint32_t index, int fd)
{
	struct zg_msg_give_fd body = {.kind = kind, .index = index};

	send_to(c, ZG_MSG_GIVE_FD, &body, fd);
}

static void send_snapshot(struct zg_child *c)
{
	struct zg_parent *p = c->parent;
	struct zg_msg_snapshot body = {.generation = p->generation};

	if (is_gateway(c))
		give(c, ZG_FD_SECRETS, 0, p->secrets_fd);
	memcpy(body.id, p->snapshot.header->id, sizeof(body.id));
	send_to(c, ZG_MSG_SNAPSHOT, &body, p->snapshot_fd);
}

void zg_children_tell(struct zg_parent *p, uint32_t worker, enum zg_msg_type type, const void *body,
		      int fd)
{
	send_to(&p->children.gateway[worker], type, body, fd);
}

void zg_children_tell_ledger(struct zg_parent *p, enum zg_msg_type type, const void *body, int fd)
{
	if (p->children.ledger.ready)
		send_to(&p->children.ledger, type, body, fd);
}

bool zg_children_next_gateway(const struct zg_parent *p, uint32_t *turn, uint32_t *worker)
{
	for (uint32_t i = 0; i < p->children.workers; i++) {
		*worker = (*turn)++ % p->children.workers;
		if (p->children.gateway[*worker].ready)
			return true;
	}
	return false;
}

/* A fresh channel between a gateway and the ledger, when both are there. */
static void connect_ledger(struct zg_parent *p, struct zg_child *gateway)
{
	struct zg_child *ledger = &p->children.ledger;
	int pair[2];

	if (gateway->pid < 0 || ledger->pid < 0)
		return;
	if (zg_ipc_pair(pair, true) < 0) {
		zg_log(ZG_LOG_ERR, "no channel between gateway %u and the ledger: %s",
		       gateway->worker, strerror(errno));
		return;
	}
	give(ledger, ZG_FD_LEDGER, gateway->worker, pair[0]);
	give(gateway, ZG_FD_LEDGER, gateway->worker, pair[1]);
	(void)close(pair[0]);
	(void)close(pair[1]);
}

/* Ours: the ledger knows it by its index, which no gateway has. */
static void link_ledger(struct zg_parent *p, struct zg_child *ledger)
{
	int pair[2];

	if (zg_ipc_pair(pair, true) < 0) {
		zg_log(ZG_LOG_ERR, "no channel to ask the ledger about connections: %m");
		return;
	}
	give(ledger, ZG_FD_LEDGER, ZG_LINK_PARENT, pair[0]);
	(void)close(pair[0]);
	zg_connections_link(p, pair[1]);
}

static void give_ledger(struct zg_parent *p, struct zg_child *c)
{
	struct zg_children *all = &p->children;

	give(c, ZG_FD_STATE_DIR, 0, all->state_dir);
	give(c, ZG_FD_RING_EVENT, 0, all->ring_event);
	for (uint32_t i = 0; i <= all->workers; i++)
		give(c, ZG_FD_RING, i, all->ring_fd[i]);
	for (uint32_t i = 0; i < all->workers; i++)
		connect_ledger(p, &all->gateway[i]);
	link_ledger(p, c);
}

static void give_gateway(struct zg_parent *p, struct zg_child *c)
{
	struct zg_children *all = &p->children;

	for (uint32_t i = 0; i < p->settings.listen_count; i++)
		give(c, ZG_FD_LISTENER, i, all->listener[i]);
	give(c, ZG_FD_RING, c->worker + 1, all->ring_fd[c->worker + 1]);
	give(c, ZG_FD_RING_EVENT, 0, all->ring_event);
	connect_ledger(p, c);
}

static void give_dns(void *arg, const char *profile, enum zg_dns_socket which, int fd)
{
	struct zg_msg_give_fd body = {.kind = ZG_FD_DNS, .index = which};

	(void)zg_str_cut(body.profile, sizeof(body.profile), zg_slice_str(profile));
	send_to(arg, ZG_MSG_GIVE_FD, &body, fd);
}

/* All of them, each time: it keeps what it has. */
static void give_resolver(struct zg_parent *p)
{
	zg_names_sockets(p->names, give_dns, &p->children.resolver);
}

/* life and death ------------------------------------------------------------- */

static void on_readable(evutil_socket_t sock, short what, void *arg);
static void start_one(struct zg_child *c);

static void on_again(evutil_socket_t sock, short what, void *arg)
{
	(void)sock;
	(void)what;
	start_one(arg);
}

static void start_later(struct zg_child *c)
{
	uint32_t shift = c->failures > 5 ? 5 : c->failures;
	uint32_t ms = BACK_OFF_MIN_MS << shift;
	struct timeval tv;

	if (c->parent->children.stopping)
		return;
	if (ms > BACK_OFF_MAX_MS)
		ms = BACK_OFF_MAX_MS;
	tv = (struct timeval){.tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000) * 1000};
	if (event_add(c->again, &tv) < 0)
		zg_log(ZG_LOG_ERR, "no timer to restart %s %u", c->role, c->worker);
}

static void start_one(struct zg_child *c)
{
	const int room = ZG_CHANNEL_BYTES;
	struct zg_parent *p = c->parent;
	bool ledger = is_ledger(c);
	struct zg_msg_start start = {
		.worker = c->worker, .workers = p->children.workers, .boot_id = p->boot_id};
	zg_autofd int dir = zg_cgroups_role(&p->cgroups, c->role, NULL);
	struct zg_spawn spawn = {.role = c->role,
				 .cgroup = dir,
				 .drop = true,
				 .uid = ledger ? p->ledger_uid : p->user_uid,
				 .gid = ledger ? p->ledger_gid : p->user_gid,
				 /* the ledger still has rings to empty when we are gone */
				 .death_signal = ledger ? 0 : SIGKILL};
	struct zg_err e;
	int rc;

	rc = dir < 0 ? zg_err_set(&e, -dir, "the %s cgroup is gone", c->role)
		     : zg_spawn(&spawn, &c->pid, &c->sock, &e);
	if (rc < 0) {
		zg_log_err(ZG_LOG_ERR, "cannot start a child", &e);
		c->pid = -1;
		c->failures++;
		start_later(c);
		return;
	}
	/* a resolver of many profiles is given more at once than is usual */
	if (setsockopt(c->sock, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room)) < 0)
		zg_log(ZG_LOG_WARN, "the channel to %s stays small: %m", c->role);
	c->started_ms = zg_parent_now_ms();
	c->readable = event_new(p->loop, c->sock, EV_READ | EV_PERSIST, on_readable, c);
	if (!c->readable || event_add(c->readable, NULL) < 0)
		(void)kill(c->pid, SIGKILL); /* reaped, then tried again */
	if (ledger)
		give_ledger(p, c);
	else if (is_resolver(c))
		give_resolver(p);
	else
		give_gateway(p, c);
	send_snapshot(c);
	send_to(c, ZG_MSG_START, &start, -1);
}

static void record_exit(struct zg_child *c, int status)
{
	struct zg_parent *p = c->parent;
	struct zg_record r;
	char text[128];

	if (WIFSIGNALED(status))
		(void)snprintf(text, sizeof(text), "%s %u was killed by signal %d (%s)", c->role,
			       c->worker, WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		(void)snprintf(text, sizeof(text), "%s %u ended with status %d", c->role, c->worker,
			       WEXITSTATUS(status));
	zg_log(ZG_LOG_ERR, "%s", text);
	zg_record_init(&r, ZG_RK_AGENT_CHILD_EXIT);
	zg_record_str(&r, ZG_RF_message, zg_slice_str(text));
	zg_record_str(&r, ZG_RF_role, zg_slice_str(c->role));
	ZG_REC_NUM(&r, worker, c->worker);
	ZG_REC_NUM(&r, pid, (uint64_t)c->pid);
	if (WIFSIGNALED(status))
		ZG_REC_NUM(&r, signal, (uint64_t)WTERMSIG(status));
	else
		ZG_REC_NUM(&r, status, (uint64_t)WEXITSTATUS(status));
	(void)zg_events_record(p, &r);
}

static void forget(struct zg_child *c)
{
	if (c->readable)
		event_free(c->readable);
	c->readable = NULL;
	zg_close_(&c->sock);
	c->sock = -1;
	c->pid = -1;
	c->ready = false;
}

static void died(struct zg_child *c, int status)
{
	struct zg_parent *p = c->parent;

	/* first of all: nobody may think that records are taken */
	if (is_ledger(c))
		for (uint32_t i = 0; i <= p->children.workers; i++)
			zg_ring_set_state(&p->children.ring[i], ZG_RING_DOWN);
	if (!p->children.stopping) {
		record_exit(c, status);
		p->children.restarts++;
		if (zg_parent_now_ms() - c->started_ms >= LONG_LIFE_MS)
			c->failures = 0;
	}
	forget(c);
	if (is_gateway(c) && !p->children.stopping)
		zg_stdio_worker_died(p, c->worker);
	start_later(c);
	c->failures++;
}

static void reap_one(struct zg_child *c, int flags)
{
	int status;

	if (c->pid > 0 && waitpid(c->pid, &status, flags) == c->pid)
		died(c, status);
}

void zg_children_reap(struct zg_parent *p)
{
	zg_canary_reap(p);
	zg_stdio_reap(p);
	zg_notices_reap(p);
	reap_one(&p->children.ledger, WNOHANG);
	reap_one(&p->children.resolver, WNOHANG);
	for (uint32_t i = 0; i < p->children.workers; i++)
		reap_one(&p->children.gateway[i], WNOHANG);
}

/* messages -------------------------------------------------------------------- */

static void answer_cgroup(struct zg_child *c, const struct zg_msg_cgroup_query *q)
{
	struct zg_msg_cgroup_path answer = {.cgroup_id = q->cgroup_id};

	/* "" says that it is gone, or not ours to name */
	(void)!zg_cgroups_path(&c->parent->cgroups, q->cgroup_id, answer.path);
	send_to(c, ZG_MSG_CGROUP_PATH, &answer, -1);
}

/* The answer to a question waits for this one. */
static int answer_learn(struct zg_child *c, struct zg_msg_name_learn *m)
{
	struct zg_parent *p = c->parent;
	struct zg_msg_name_learned answer;
	uint32_t fresh;
	int rc;

	if (!m->profile[0]) /* the agent's own question: of a server */
		return zg_server_names_learn(p, m);
	rc = zg_names_learn(p->names, &p->snapshot, m, &answer, &fresh);

	if (rc < 0)
		return rc;
	send_to(c, ZG_MSG_NAME_LEARNED, &answer, -1);
	if (fresh)
		zg_names_record_learned(p, m, fresh);
	return 0;
}

static void answer_sni(struct zg_child *c, struct zg_msg_sni_query *q)
{
	struct zg_parent *p = c->parent;
	struct zg_msg_sni_answer answer = {.query = q->query};

	ZG_MSG_TEXT(q->profile);
	ZG_MSG_TEXT(q->name);
	answer.allowed =
		zg_names_verify(p->names, &p->snapshot, q->profile, q->name, q->addr, q->port);
	(void)!zg_cgroups_path(&p->cgroups, q->cgroup_id, answer.cgroup);
	send_to(c, ZG_MSG_SNI_ANSWER, &answer, -1);
}

/* One gateway to another. Nobody is replaced for not taking it: what one of them
 * can send at will must not end its sibling. */
static int relay(struct zg_child *c, const struct zg_msg_relay *m)
{
	struct zg_children *all = &c->parent->children;

	if (!is_gateway(c) || m->worker >= all->workers)
		return -EPROTO;
	if (all->gateway[m->worker].pid > 0)
		(void)!zg_msg_send(all->gateway[m->worker].sock, ZG_MSG_RELAY, m, -1);
	return 0;
}

static void answer_executable(void *arg, uint32_t worker, const struct zg_msg_exe_answer *a)
{
	zg_children_tell(arg, worker, ZG_MSG_EXE_ANSWER, a, -1);
}

static int on_message(struct zg_child *c, struct zg_msg *m)
{
	switch ((int)m->type) {
	case ZG_MSG_READY:
		c->ready = true;
		/* one that has started does not know what files there are to approve */
		if (is_ledger(c) && c->parent->snapshot.settings->files_submit)
			zg_parent_reload_changed(c->parent);
		zg_children_announce(c->parent);
		return 0;
	case ZG_MSG_SNAPSHOT_OK:
		return 0;
	case ZG_MSG_CGROUP_QUERY:
		if (!is_gateway(c))
			return -EPROTO;
		answer_cgroup(c, (const struct zg_msg_cgroup_query *)(const void *)m->body);
		return 0;
	case ZG_MSG_SNI_QUERY:
		if (!is_gateway(c))
			return -EPROTO;
		answer_sni(c, (void *)m->body);
		return 0;
	case ZG_MSG_EXE_QUERY:
		if (!is_gateway(c))
			return -EPROTO;
		zg_executables_ask(c->parent->executables, c->worker, (const void *)m->body);
		return 0;
	case ZG_MSG_STDIO_CLOSED:
		if (!is_gateway(c))
			return -EPROTO;
		zg_stdio_closed(c->parent, c->worker, (const void *)m->body);
		return 0;
	case ZG_MSG_STDIO_NARROW:
		if (!is_gateway(c))
			return -EPROTO;
		zg_stdio_narrow(c->parent, c->worker, (void *)m->body);
		return 0;
	case ZG_MSG_KEYS_FETCHED:
		return is_gateway(c) ? zg_issuer_keys_take(c->parent, c->worker, (void *)m->body)
				     : -EPROTO;
	case ZG_MSG_RELAY:
		return relay(c, (const struct zg_msg_relay *)(const void *)m->body);
	case ZG_MSG_REGISTRY_CHANGED:
		if (!is_ledger(c))
			return -EPROTO;
		zg_parent_registry(
			c->parent,
			((const struct zg_msg_registry_changed *)(const void *)m->body)->change);
		return 0;
	case ZG_MSG_NOTIFY:
		return is_ledger(c) ? zg_notices_begin(c->parent, (void *)m->body) : -EPROTO;
	case ZG_MSG_NAME_LEARN:
		return is_resolver(c) ? answer_learn(c, (void *)m->body) : -EPROTO;
	case ZG_MSG_NAME_REFUSED:
		if (!is_resolver(c))
			return -EPROTO;
		zg_names_record_refused(c->parent, (void *)m->body);
		return 0;
	default: /* no other message is a child's to send */
		return -EPROTO;
	}
}

static void on_readable(evutil_socket_t sock, short what, void *arg)
{
	struct zg_child *c = arg;
	struct zg_msg m = {.fd = -1};
	int rc = 0;

	(void)what;
	for (int i = 0; i < TURN; i++) {
		rc = zg_msg_recv((int)sock, &m);
		if (rc == 0)
			rc = on_message(c, &m);
		zg_msg_release(&m);
		if (rc < 0)
			break;
	}
	if (rc == 0 || rc == -EAGAIN)
		return;
	/* it has ended or is about to: SIGCHLD tells how */
	if (rc == -EPROTO)
		zg_log(ZG_LOG_ERR, "%s %u broke the protocol; replacing it", c->role, c->worker);
	(void)event_del(c->readable);
	(void)kill(c->pid, SIGKILL);
}

/* ------------------------------------------------------------------------------ */

static int prepare_child(struct zg_parent *p, struct zg_child *c, const char *role, uint32_t worker)
{
	*c = (struct zg_child){.parent = p, .role = role, .worker = worker, .pid = -1, .sock = -1};
	c->again = event_new(p->loop, -1, 0, on_again, c);
	return c->again ? 0 : -ENOMEM;
}

int zg_children_prepare(struct zg_parent *p, struct zg_err *e)
{
	struct zg_children *all = &p->children;
	int rc = prepare_child(p, &all->ledger, "ledger", 0);

	if (rc == 0)
		rc = prepare_child(p, &all->resolver, "resolver", 0);
	for (uint32_t i = 0; rc == 0 && i < all->workers; i++)
		rc = prepare_child(p, &all->gateway[i], "gateway", i);
	if (rc == 0)
		rc = zg_executables_new(&p->executables, p->loop, answer_executable, p);
	if (rc < 0)
		return zg_err_set(e, -rc, "no memory for the children");
	rc = zg_connections_new(p, e);
	if (rc < 0)
		return rc;
	all->ring_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (all->ring_event < 0)
		return zg_err_set(e, errno, "eventfd: %m");
	for (uint32_t i = 0; i <= all->workers; i++) {
		all->ring_fd[i] = zg_ring_create();
		rc = all->ring_fd[i] < 0
			     ? all->ring_fd[i]
			     : zg_ring_attach(&all->ring[i], all->ring_fd[i], all->ring_event);
		if (rc < 0)
			return zg_err_set(e, -rc, "cannot make a ring: %s", strerror(-rc));
	}
	return 0;
}

/* The ledger first, so that its end of the channels is there. */
void zg_children_start(struct zg_parent *p)
{
	start_one(&p->children.ledger);
	start_one(&p->children.resolver);
	for (uint32_t i = 0; i < p->children.workers; i++)
		start_one(&p->children.gateway[i]);
}

void zg_children_snapshot(struct zg_parent *p)
{
	give_resolver(p);
	send_snapshot(&p->children.resolver);
	send_snapshot(&p->children.ledger);
	for (uint32_t i = 0; i < p->children.workers; i++)
		send_snapshot(&p->children.gateway[i]);
}

uint32_t zg_children_workers_ready(const struct zg_parent *p)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < p->children.workers; i++)
		n += p->children.gateway[i].ready;
	return n;
}

static bool all_ready(const struct zg_parent *p)
{
	return p->children.ledger.ready && p->children.resolver.ready &&
	       zg_children_workers_ready(p) == p->children.workers;
}

void zg_children_announce(struct zg_parent *p)
{
	if (!p->announced && p->proofs && all_ready(p)) {
		p->announced = true;
		zg_parent_announce(p);
	}
}

/* The end of its channel asks a child to finish; what does not is killed. */
static void stop_one(struct zg_child *c, uint64_t deadline)
{
	const struct timespec nap = {.tv_nsec = 5000000};

	if (c->again)
		event_free(c->again);
	c->again = NULL;
	if (c->pid < 0)
		return;
	if (c->readable)
		(void)event_del(c->readable);
	zg_close_(&c->sock);
	c->sock = -1;
	while (c->pid > 0) {
		reap_one(c, WNOHANG);
		if (c->pid < 0)
			break;
		if (zg_parent_now_ms() >= deadline) {
			zg_log(ZG_LOG_WARN, "%s %u does not end; killing it", c->role, c->worker);
			(void)kill(c->pid, SIGKILL);
			reap_one(c, 0);
		}
		(void)nanosleep(&nap, NULL);
	}
}

void zg_children_stop(struct zg_parent *p)
{
	uint64_t deadline = zg_parent_now_ms() + STOP_MS;

	p->children.stopping = true;
	for (uint32_t i = 0; i < p->children.workers; i++) {
		struct zg_child *c = &p->children.gateway[i];

		if (c->readable)
			(void)event_del(c->readable);
		zg_close_(&c->sock); /* all at once */
		c->sock = -1;
	}
	for (uint32_t i = 0; i < p->children.workers; i++)
		stop_one(&p->children.gateway[i], deadline);
	stop_one(&p->children.resolver, deadline);
	stop_one(&p->children.ledger, zg_parent_now_ms() + STOP_MS);
}

void zg_children_release(struct zg_parent *p)
{
	struct zg_children *all = &p->children;

	for (uint32_t i = 0; i <= ZG_WORKERS_MAX; i++) {
		if (all->ring[i].shared)
			zg_ring_release(&all->ring[i]);
		zg_close_(&all->ring_fd[i]);
	}
	for (uint32_t i = 0; i < ZG_LISTEN_MAX; i++)
		zg_close_(&all->listener[i]);
	zg_close_(&all->ring_event);
	zg_close_(&all->state_dir);
	zg_executables_free(p->executables);
	zg_connections_free(p->connections);
}
