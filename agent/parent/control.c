/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control.c - the control socket (state.h). Trust: any process on the machine
 * connects. Who it is comes from the kernel alone (peer credentials, groups,
 * and the cgroup of a process that provably still lives); what it may ask for
 * stands in one table. The ledger's verbs are handed over with that word.
 */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "contain.h"
#include "enforcement.h"
#include "listen.h"
#include "log.h"
#include "proof.h"
#include "state.h"
#include "local.h"

/* places that are kept free for those who decide, however many users others are */
#define KEPT_PLACES 16

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* Linux 6.5 */
#endif

struct peer {
	pid_t pid;
	uid_t uid;
	gid_t gid;
	int pidfd;
	uint32_t roles;	  /* bits of enum zg_role_bit */
	uint64_t owners;  /* as zg_ctl_peer.owners */
	bool placed;	  /* its cgroup is known */
	uint32_t profile; /* that governs it */
	uint64_t cgroup_id;
	char cgroup[ZG_CGROUP_LEN];
};

struct client {
	struct zg_parent *parent;
	int sock; /* -1 = free */
	uid_t uid;
	bool stranger; /* nobody who decides */
	bool waits;    /* for the reload that runs */
	/* of a run, until all that the kernel refused is counted; .run 0 = none */
	struct zg_msg_ctl_run_report report;
	uint64_t report_until_ms;
	uint64_t stdio; /* its session with a local server; 0 = none */
	uint64_t proof; /* the round of self-proof that it waits for; 0 = none */
	struct event *readable;
};

struct zg_control {
	int listener;
	struct event *accept;
	struct client client[ZG_CTL_CLIENTS_MAX];
};

/* who asks ------------------------------------------------------------------ */

/* A descriptor of the process that connected. Older kernels only give its
 * number: then the owner must match, which leaves a process of the same user. */
static int peer_pidfd(int sock, const struct ucred *who)
{
	socklen_t len = sizeof(int);
	char path[32];
	struct stat st;
	int fd;

	if (getsockopt(sock, SOL_SOCKET, SO_PEERPIDFD, &fd, &len) == 0)
		return fd;
	if (errno != ENOPROTOOPT)
		return -errno;
	fd = (int)syscall(SYS_pidfd_open, who->pid, 0);
	if (fd < 0)
		return -errno;
	(void)snprintf(path, sizeof(path), "/proc/%d", (int)who->pid);
	if (stat(path, &st) == 0 && (st.st_uid == who->uid || st.st_uid == 0))
		return fd;
	(void)close(fd);
	return -ESRCH;
}

static bool alive(int pidfd)
{
	struct pollfd p = {.fd = pidfd, .events = POLLIN};

	return poll(&p, 1, 0) == 0;
}

/* Where it is now. Not to be told counts as governed by whoever decides. */
static void place(struct zg_parent *p, struct peer *who)
{
	char path[ZG_CGROUP_LEN] = "", abs[ZG_PATH_LEN + ZG_CGROUP_LEN];
	struct stat st;
	int rc = zg_cgroups_of_pid(&p->cgroups, who->pid, path);

	who->profile = ZG_PROFILE_NONE;
	if ((rc < 0 && rc != -EXDEV) || !alive(who->pidfd))
		return; /* the number may be another's already */
	if (rc == 0) {
		who->profile = zg_cgroups_profile(&p->cgroups, path);
		memcpy(who->cgroup, path, sizeof(who->cgroup));
		(void)snprintf(abs, sizeof(abs), "%s/%s", p->cgroups.root_path, path);
		who->cgroup_id = stat(abs, &st) == 0 ? st.st_ino : 0;
	}
	who->placed = true;
}

static int identify(struct zg_parent *p, int sock, struct peer *who)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	*who = (struct peer){.pidfd = -1};
	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return -errno;
	if (cred.pid <= 0)
		return -ESRCH; /* of a pid namespace that is not below ours */
	who->pid = cred.pid;
	who->uid = cred.uid;
	who->gid = cred.gid;
	who->pidfd = peer_pidfd(sock, &cred);
	if (who->pidfd < 0)
		return who->pidfd;
	zg_people_roles(&p->people, sock, &cred, &who->roles, &who->owners);
	place(p, who);
	return 0;
}

/* answers --------------------------------------------------------------------- */

static void drop(struct client *c)
{
	uint64_t session;

	if (c->readable)
		event_free(c->readable);
	zg_close_(&c->sock);
	session = c->stdio;
	*c = (struct client){.parent = c->parent, .sock = -1};
	if (session)
		zg_stdio_gone(c->parent, session);
}

/* Never waits: a client that does not read is dropped. False: it was. */
static bool send_to(struct client *c, enum zg_msg_type type, const void *body)
{
	if (zg_msg_send(c->sock, type, body, -1) == 0)
		return true;
	drop(c);
	return false;
}

static void end(struct client *c, uint32_t status, const struct zg_err *e)
{
	struct zg_msg_ctl_end body = {.exit = status, .error = status ? -EIO : 0};

	if (e) {
		char text[ZG_PATH_LEN + ZG_REASON_LEN];
		struct zg_err plain = *e;

		plain.hint[0] = '\0';
		(void)zg_err_text(&plain, text, sizeof(text));
		(void)zg_str_cut(body.what, sizeof(body.what), zg_slice_str(text));
		memcpy(body.hint, e->hint, sizeof(body.hint));
	}
	(void)send_to(c, ZG_MSG_CTL_END, &body);
}

static void refuse(struct client *c, int code, const char *what)
{
	struct zg_err e;

	(void)zg_err_set(&e, code, "%s", what);
	end(c, 1, &e);
}

/* verbs --------------------------------------------------------------------------- */

static void do_status(struct zg_parent *p, struct client *c, const struct peer *who,
		      struct zg_msg *m)
{
	struct zg_msg_ctl_status status;

	(void)who;
	(void)m;
	zg_parent_status(p, &status);
	if (send_to(c, ZG_MSG_CTL_STATUS, &status))
		end(c, 0, NULL);
}

static bool send_finding(void *arg, const struct zg_msg_ctl_finding *f)
{
	return send_to(arg, ZG_MSG_CTL_FINDING, f);
}

void zg_control_proved(struct zg_parent *p)
{
	const char *repaired = zg_proof_repaired(p);
	struct zg_err e;

	(void)zg_err_set(&e, 0, "this was found, and repaired: %s", repaired);
	for (size_t i = 0; p->control && i < ZG_CTL_CLIENTS_MAX; i++) {
		struct client *c = &p->control->client[i];

		if (c->sock < 0 || !c->proof || p->proofs < c->proof)
			continue;
		c->proof = 0;
		zg_enforcement_findings(p, send_finding, c);
		if (c->sock >= 0)
			end(c, repaired[0] != '\0', repaired[0] ? &e : NULL);
	}
}

/* Answered when a round that begins after the question is over. */
static void do_doctor(struct zg_parent *p, struct client *c, const struct peer *who,
		      struct zg_msg *m)
{
	(void)who;
	(void)m;
	c->proof = zg_proof_ask(p);
}

static void do_reload(struct zg_parent *p, struct client *c, const struct peer *who,
		      struct zg_msg *m)
{
	(void)who;
	(void)m;
	c->waits = true;
	zg_parent_reload(p);
}

static void do_detach(struct zg_parent *p, struct client *c, const struct peer *who,
		      struct zg_msg *m)
{
	struct zg_err e;
	int rc = zg_parent_detach(p, &e);

	(void)m;
	if (rc == 0)
		zg_log(ZG_LOG_WARN, "detached by pid %d, uid %u: nothing is enforced any more",
		       (int)who->pid, (unsigned)who->uid);
	end(c, rc < 0, rc < 0 ? &e : NULL);
}

static void do_contain(struct zg_parent *p, struct client *c, const struct peer *who,
		       struct zg_msg *m)
{
	struct zg_msg_ctl_contain ask;
	struct zg_msg_ctl_contained done;
	struct zg_err e;
	int rc;

	memcpy(&ask, m->body, sizeof(ask));
	ZG_MSG_TEXT(ask.profile);
	ZG_MSG_TEXT(ask.reason);
	rc = zg_contain(p, &ask, who->pid, who->uid, &done, &e);
	if (rc == 0 && !send_to(c, ZG_MSG_CTL_CONTAINED, &done))
		return;
	end(c, rc == -ENOENT ? 2 : rc < 0, rc < 0 ? &e : NULL);
}

static void do_run(struct zg_parent *p, struct client *c, const struct peer *who, struct zg_msg *m)
{
	struct zg_msg_ctl_run ask;
	struct zg_msg_ctl_run_started started;
	struct zg_err e;
	int rc;

	memcpy(&ask, m->body, sizeof(ask));
	ZG_MSG_TEXT(ask.profile);
	ZG_MSG_TEXT(ask.comm);
	if (!who->placed) {
		refuse(c, ESRCH, "the cgroup of the asking process cannot be told");
		return;
	}
	rc = zg_runs_begin(p, &ask, who->pid, who->pidfd, who->uid, who->profile, &started, &e);
	if (rc < 0)
		end(c, rc == -ENOENT || rc == -EINVAL ? 2 : 1, &e);
	else if (send_to(c, ZG_MSG_CTL_RUN_STARTED, &started))
		end(c, 0, NULL);
}

/* What the kernel refused to a run; whole = nothing waits to be counted. */
static void answer_report(struct zg_parent *p, struct client *c, bool whole)
{
	struct zg_run *r = zg_runs_find(p, c->report.run);
	uint32_t status = c->report.exit_status;
	struct zg_err e;
	bool missing;

	c->report.run = 0;
	if (!r) {
		refuse(c, ENOENT, "there is no such run");
		return;
	}
	missing = !whole || zg_events_lost(p) != r->lost_before;
	for (uint32_t i = 0; i < r->denials; i++)
		if (!send_to(c, ZG_MSG_CTL_RUN_DENIAL, &r->denial[i]))
			return;
	if (r->more)
		(void)zg_err_set(&e, 0, "and %u times for further destinations%s", r->more,
				 missing ? "; some refusals could not be counted" : "");
	else
		(void)zg_err_set(&e, 0, "some refusals could not be counted");
	end(c, 0, r->more || missing ? &e : NULL);
	zg_runs_reported(p, r, status);
}

void zg_control_counted(struct zg_parent *p, bool whole)
{
	uint64_t now = zg_parent_now_ms();

	for (size_t i = 0; p->control && i < ZG_CTL_CLIENTS_MAX; i++) {
		struct client *c = &p->control->client[i];

		if (c->sock >= 0 && c->report.run && (whole || now >= c->report_until_ms))
			answer_report(p, c, whole);
	}
}

static void do_run_report(struct zg_parent *p, struct client *c, const struct peer *who,
			  struct zg_msg *m)
{
	struct zg_msg_ctl_run_report ask;
	struct zg_run *r;

	memcpy(&ask, m->body, sizeof(ask));
	r = zg_runs_find(p, ask.run);
	if (!r || r->uid != who->uid) {
		refuse(c, ENOENT,
		       "this run is not known here (was the agent restarted?): what was refused "
		       "stands in the audit log");
		return;
	}
	c->report = ask;
	c->report_until_ms = zg_parent_now_ms() + ZG_RUN_REPORT_MS;
	/* what the kernel refused up to now, not up to the last wake-up */
	zg_events_drain(p);
}

static void do_handover(struct zg_parent *p, struct client *c, const struct peer *who,
			struct zg_msg *m)
{
	struct zg_child *ledger = &p->children.ledger;
	struct zg_msg_ctl_handover body = {
		.peer = {.pid = (uint32_t)who->pid,
			 .uid = who->uid,
			 .gid = who->gid,
			 .governed = !who->placed || who->profile != ZG_PROFILE_NONE,
			 .roles = who->roles,
			 .cgroup_id = who->cgroup_id,
			 .owners = who->owners},
		.type = m->type,
		.bytes = (uint32_t)zg_msg_bytes(m->type),
	};
	struct zg_err e;
	int rc = -EPIPE;

	if (body.bytes > sizeof(body.body)) {
		refuse(c, EMSGSIZE, "the request is too long");
		return;
	}
	memcpy(body.body, m->body, body.bytes);
	if (ledger->ready)
		rc = zg_msg_send(ledger->sock, ZG_MSG_CTL_HANDOVER, &body, c->sock);
	if (rc < 0) {
		(void)zg_err_set(&e, -rc, "the ledger is not there: %s", strerror(-rc));
		zg_err_hint(&e, "it is being restarted; try again");
		end(c, 3, &e);
	}
	drop(c); /* the ledger has it, or nobody */
}

/* sessions with local servers --------------------------------------------------- */

bool zg_control_tell(void *client, enum zg_msg_type type, const void *body)
{
	return send_to(client, type, body);
}

void zg_control_end(void *client, uint32_t status, const struct zg_err *e)
{
	struct client *c = client;

	c->stdio = 0; /* it is over */
	end(c, status, e);
}

/* The session ends with it, or was never begun. */
static void refuse_stdio(struct client *c, int rc, const struct zg_err *e)
{
	uint64_t session = c->stdio;

	c->stdio = 0;
	end(c, rc == -ENOENT || rc == -EINVAL ? 2 : 1, e);
	if (session)
		zg_stdio_gone(c->parent, session);
}

static void do_stdio(struct zg_parent *p, struct client *c, const struct peer *who,
		     struct zg_msg *m)
{
	const struct zg_stdio_caller caller = {.pid = who->pid,
					       .uid = who->uid,
					       .gid = who->gid,
					       .sock = c->sock,
					       .pidfd = who->pidfd,
					       .profile = who->profile,
					       .cgroup_id = who->cgroup_id,
					       .cgroup = who->cgroup};
	struct zg_msg_ctl_stdio ask;
	struct zg_err e;
	int rc;

	memcpy(&ask, m->body, sizeof(ask));
	ZG_MSG_TEXT(ask.server);
	if (!who->placed || c->stdio) {
		refuse(c, ESRCH, "the cgroup of the asking process cannot be told");
		return;
	}
	rc = zg_stdio_begin(p, &caller, c, &ask, &m->fd, &c->stdio, &e);
	if (rc < 0 && c->sock >= 0)
		refuse_stdio(c, rc, &e);
}

static void do_stdio_env(struct zg_parent *p, struct client *c, const struct peer *who,
			 struct zg_msg *m)
{
	struct zg_msg_ctl_stdio_env env;
	struct zg_err e;
	int rc;

	(void)who;
	memcpy(&env, m->body, sizeof(env));
	ZG_MSG_TEXT(env.name);
	ZG_MSG_TEXT(env.value);
	rc = zg_stdio_env(p, c->stdio, &env, &e);
	if (rc < 0)
		refuse_stdio(c, rc, &e);
}

static void do_stdio_go(struct zg_parent *p, struct client *c, const struct peer *who,
			struct zg_msg *m)
{
	struct zg_err e;
	int rc;

	(void)who;
	rc = zg_stdio_go(p, c->stdio, &m->fd, &e);
	if (rc < 0 && c->sock >= 0)
		refuse_stdio(c, rc, &e);
}

enum who { ANYONE, UNGOVERNED, APPROVER, ROOT };

static const struct verb {
	enum zg_msg_type type;
	enum who who;
	void (*run)(struct zg_parent *p, struct client *c, const struct peer *who,
		    struct zg_msg *m);
} verbs[] = {
	{ZG_MSG_CTL_STATUS_GET, UNGOVERNED, do_status},
	{ZG_MSG_CTL_DOCTOR, UNGOVERNED, do_doctor},
	{ZG_MSG_CTL_RELOAD, ROOT, do_reload},
	{ZG_MSG_CTL_DETACH, ROOT, do_detach},
	{ZG_MSG_CTL_CONTAIN, APPROVER, do_contain},
	{ZG_MSG_CTL_RUN, ANYONE, do_run},
	{ZG_MSG_CTL_RUN_REPORT, ANYONE, do_run_report},
	{ZG_MSG_CTL_STDIO, ANYONE, do_stdio},
	{ZG_MSG_CTL_STDIO_ENV, ANYONE, do_stdio_env},
	{ZG_MSG_CTL_STDIO_GO, ANYONE, do_stdio_go},
	/* the ledger decides by the peer that is handed over */
	{ZG_MSG_CTL_APPROVALS_LIST, ANYONE, do_handover},
	{ZG_MSG_CTL_APPROVAL_SHOW, ANYONE, do_handover},
	{ZG_MSG_CTL_APPROVAL_DECIDE, ANYONE, do_handover},
	{ZG_MSG_CTL_GATES_LIST, ANYONE, do_handover},
	{ZG_MSG_CTL_GATE_LIFT, ANYONE, do_handover},
	{ZG_MSG_CTL_AUDIT_TAIL, ANYONE, do_handover},
	{ZG_MSG_CTL_PINS_LIST, ANYONE, do_handover},
	{ZG_MSG_CTL_PIN_SHOW, ANYONE, do_handover},
	{ZG_MSG_CTL_PIN_TRUST, ANYONE, do_handover},
	{ZG_MSG_CTL_SERVERS_LIST, ANYONE, do_handover},
	{ZG_MSG_CTL_SERVER_SUBMIT, ANYONE, do_handover},
	{ZG_MSG_CTL_SERVER_DECIDE, ANYONE, do_handover},
};

static const char *const whom[] = {
	[ANYONE] = "",
	[UNGOVERNED] = "not from a governed cgroup",
	[APPROVER] = "only root and approvers may do this, from outside governed cgroups",
	[ROOT] = "only root may do this, from outside governed cgroups",
};

static bool may(const struct peer *who, enum who required)
{
	bool free_peer = who->placed && who->profile == ZG_PROFILE_NONE;

	switch (required) {
	case ANYONE:
		return true;
	case UNGOVERNED:
		return free_peer;
	case APPROVER:
		return free_peer && (who->roles & ZG_ROLE_APPROVER) != 0;
	case ROOT:
		return free_peer && who->uid == 0;
	}
	return false;
}

static void on_request(struct client *c, struct zg_msg *m)
{
	struct zg_parent *p = c->parent;
	const struct verb *v = NULL;
	struct peer who;

	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (verbs[i].type == m->type)
			v = &verbs[i];
	if (!v) {
		drop(c);
		return;
	}
	if (identify(p, c->sock, &who) < 0)
		refuse(c, ESRCH, "the asking process is gone or out of sight");
	else if (!may(&who, v->who))
		refuse(c, EPERM, whom[v->who]);
	else
		v->run(p, c, &who, m);
	zg_close_(&who.pidfd);
}

static void on_readable(evutil_socket_t sock, short what, void *arg)
{
	struct client *c = arg;
	struct zg_msg m = {.fd = -1};
	int rc;

	if (what & EV_TIMEOUT) {
		if (!c->waits && !c->proof && !c->stdio)
			drop(c);
		return;
	}
	rc = zg_msg_recv((int)sock, &m);
	if (rc == 0)
		on_request(c, &m);
	else if (rc != -EAGAIN)
		drop(c);
	zg_msg_release(&m);
}

/* connections --------------------------------------------------------------------- */

static struct client *free_client(struct zg_control *ctl, uid_t uid, bool stranger)
{
	struct client *at = NULL;
	size_t same = 0, strangers = 0;

	for (size_t i = 0; i < ZG_CTL_CLIENTS_MAX; i++) {
		if (ctl->client[i].sock < 0) {
			at = &ctl->client[i];
			continue;
		}
		same += ctl->client[i].uid == uid;
		strangers += ctl->client[i].stranger;
	}
	if (stranger && strangers >= ZG_CTL_CLIENTS_MAX - KEPT_PLACES)
		return NULL;
	return uid != 0 && same >= ZG_CTL_CLIENTS_UID_MAX ? NULL : at;
}

/* Has whoever connected no part in any decision? */
static bool is_stranger(const struct zg_parent *p, int sock, const struct ucred *who)
{
	uint64_t owners;
	uint32_t roles;

	zg_people_roles(&p->people, sock, who, &roles, &owners);
	return !roles && !owners;
}

static void on_accept(evutil_socket_t listener, short what, void *arg)
{
	const struct timeval idle = {.tv_sec = ZG_CTL_IDLE_SEC};
	struct zg_parent *p = arg;
	int sock = accept4((int)listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct ucred cred = {.uid = (uid_t)-1};
	socklen_t len = sizeof(cred);
	struct client *c = NULL;
	bool stranger = true;

	(void)what;
	if (sock < 0)
		return;
	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0) {
		stranger = is_stranger(p, sock, &cred);
		c = free_client(p->control, cred.uid, stranger);
	}
	if (!c) {
		(void)close(sock);
		return;
	}
	*c = (struct client){.parent = p, .sock = sock, .uid = cred.uid, .stranger = stranger};
	c->readable = event_new(p->loop, sock, EV_READ | EV_PERSIST, on_readable, c);
	if (!c->readable || event_add(c->readable, &idle) < 0)
		drop(c);
}

void zg_control_reloaded(struct zg_parent *p, const struct zg_err *e, size_t errors)
{
	struct zg_err first;

	if (e) {
		first = *e;
		if (errors > 1 && !first.hint[0])
			zg_err_hint(&first, "and %zu more: see the agent's log", errors - 1);
	}
	for (size_t i = 0; p->control && i < ZG_CTL_CLIENTS_MAX; i++) {
		struct client *c = &p->control->client[i];

		if (c->sock < 0 || !c->waits)
			continue;
		c->waits = false;
		end(c, e != NULL, e ? &first : NULL);
	}
}

int zg_control_start(struct zg_parent *p, struct zg_err *e)
{
	struct zg_control *ctl = calloc(1, sizeof(*ctl));
	char path[ZG_PATH_LEN + 16];

	if (!ctl)
		return zg_err_set(e, ENOMEM, "no memory for the control socket");
	for (size_t i = 0; i < ZG_CTL_CLIENTS_MAX; i++)
		ctl->client[i] = (struct client){.parent = p, .sock = -1};
	p->control = ctl;
	(void)snprintf(path, sizeof(path), "%s/control.sock", p->runtime_dir);
	ctl->listener = zg_listen_control(path, e);
	if (ctl->listener < 0)
		return ctl->listener;
	ctl->accept = event_new(p->loop, ctl->listener, EV_READ | EV_PERSIST, on_accept, p);
	if (!ctl->accept || event_add(ctl->accept, NULL) < 0)
		return zg_err_set(e, ENOMEM, "no memory for the control socket");
	return 0;
}

void zg_control_stop(struct zg_parent *p)
{
	char path[ZG_PATH_LEN + 16];

	if (!p->control)
		return;
	for (size_t i = 0; i < ZG_CTL_CLIENTS_MAX; i++)
		if (p->control->client[i].sock >= 0)
			drop(&p->control->client[i]);
	if (p->control->accept)
		event_free(p->control->accept);
	zg_close_(&p->control->listener);
	(void)snprintf(path, sizeof(path), "%s/control.sock", p->runtime_dir);
	(void)unlink(path);
	free(p->control);
	p->control = NULL;
}
