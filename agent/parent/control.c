/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control.c - the control socket (state.h). Trust: any process on the machine
 * connects. Who it is comes from the kernel alone (control_peer.c); what it may
 * ask for stands in one table. The ledger's verbs are handed over with that word.
 */
#include "control_impl.h"

#include <errno.h>
#include <sys/socket.h>

#include "contain.h"
#include "enforcement.h"
#include "listen.h"
#include "local.h"
#include "log.h"
#include "proof.h"

/* places that are kept free for those who decide, however many users others are */
#define KEPT_PLACES 16

/* answers --------------------------------------------------------------------- */

static void drop(struct zg_control_client *c)
{
	uint64_t session;

	if (c->readable)
		event_free(c->readable);
	zg_close_(&c->sock);
	session = c->stdio;
	*c = (struct zg_control_client){.parent = c->parent, .sock = -1};
	if (session)
		zg_stdio_gone(c->parent, session);
}

bool zg_control_send(struct zg_control_client *c, enum zg_msg_type type, const void *body)
{
	if (zg_msg_send(c->sock, type, body, -1) == 0)
		return true;
	drop(c);
	return false;
}

void zg_control_finish(struct zg_control_client *c, uint32_t status, const struct zg_err *e)
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
	(void)zg_control_send(c, ZG_MSG_CTL_END, &body);
}

void zg_control_refuse(struct zg_control_client *c, int code, const char *what)
{
	struct zg_err e;

	(void)zg_err_set(&e, code, "%s", what);
	zg_control_finish(c, 1, &e);
}

/* verbs --------------------------------------------------------------------------- */

static void do_status(struct zg_parent *p, struct zg_control_client *c,
		      const struct zg_control_peer *who, struct zg_msg *m)
{
	struct zg_msg_ctl_status status;

	(void)who;
	(void)m;
	zg_parent_status(p, &status);
	if (zg_control_send(c, ZG_MSG_CTL_STATUS, &status))
		zg_control_finish(c, 0, NULL);
}

static bool send_finding(void *arg, const struct zg_msg_ctl_finding *f)
{
	return zg_control_send(arg, ZG_MSG_CTL_FINDING, f);
}

void zg_control_proved(struct zg_parent *p)
{
	const char *repaired = zg_proof_repaired(p);
	struct zg_err e;

	(void)zg_err_set(&e, 0, "this was found, and repaired: %s", repaired);
	for (size_t i = 0; p->control && i < ZG_CTL_CLIENTS_MAX; i++) {
		struct zg_control_client *c = &p->control->client[i];

		if (c->sock < 0 || !c->proof || p->proofs < c->proof)
			continue;
		c->proof = 0;
		zg_enforcement_findings(p, send_finding, c);
		if (c->sock >= 0)
			zg_control_finish(c, repaired[0] != '\0', repaired[0] ? &e : NULL);
	}
}

/* Answered when a round that begins after the question is over. */
static void do_doctor(struct zg_parent *p, struct zg_control_client *c,
		      const struct zg_control_peer *who, struct zg_msg *m)
{
	(void)who;
	(void)m;
	c->proof = zg_proof_ask(p);
}

static void do_reload(struct zg_parent *p, struct zg_control_client *c,
		      const struct zg_control_peer *who, struct zg_msg *m)
{
	(void)who;
	(void)m;
	c->waits = true;
	zg_parent_reload(p);
}

static void do_detach(struct zg_parent *p, struct zg_control_client *c,
		      const struct zg_control_peer *who, struct zg_msg *m)
{
	struct zg_err e;
	int rc = zg_parent_detach(p, &e);

	(void)m;
	if (rc == 0)
		zg_log(ZG_LOG_WARN, "detached by pid %d, uid %u: nothing is enforced any more",
		       (int)who->pid, (unsigned)who->uid);
	zg_control_finish(c, rc < 0, rc < 0 ? &e : NULL);
}

static void do_contain(struct zg_parent *p, struct zg_control_client *c,
		       const struct zg_control_peer *who, struct zg_msg *m)
{
	struct zg_msg_ctl_contain ask;
	struct zg_msg_ctl_contained done;
	struct zg_err e;
	int rc;

	memcpy(&ask, m->body, sizeof(ask));
	ZG_MSG_TEXT(ask.profile);
	ZG_MSG_TEXT(ask.reason);
	rc = zg_contain(p, &ask, who->pid, who->uid, &done, &e);
	if (rc == 0 && !zg_control_send(c, ZG_MSG_CTL_CONTAINED, &done))
		return;
	zg_control_finish(c, rc == -ENOENT ? 2 : rc < 0, rc < 0 ? &e : NULL);
}

static void do_handover(struct zg_parent *p, struct zg_control_client *c,
			const struct zg_control_peer *who, struct zg_msg *m)
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
		zg_control_refuse(c, EMSGSIZE, "the request is too long");
		return;
	}
	memcpy(body.body, m->body, body.bytes);
	if (ledger->ready)
		rc = zg_msg_send(ledger->sock, ZG_MSG_CTL_HANDOVER, &body, c->sock);
	if (rc < 0) {
		(void)zg_err_set(&e, -rc, "the ledger is not there: %s", strerror(-rc));
		zg_err_hint(&e, "it is being restarted; try again");
		zg_control_finish(c, 3, &e);
	}
	drop(c); /* the ledger has it, or nobody */
}

enum who { ANYONE, UNGOVERNED, APPROVER, ROOT };

static const struct verb {
	enum zg_msg_type type;
	enum who who;
	zg_control_verb *run;
} verbs[] = {
	{ZG_MSG_CTL_STATUS_GET, UNGOVERNED, do_status},
	{ZG_MSG_CTL_DOCTOR, UNGOVERNED, do_doctor},
	{ZG_MSG_CTL_RELOAD, ROOT, do_reload},
	{ZG_MSG_CTL_DETACH, ROOT, do_detach},
	{ZG_MSG_CTL_CONTAIN, APPROVER, do_contain},
	{ZG_MSG_CTL_RUN, ANYONE, zg_control_run},
	{ZG_MSG_CTL_RUN_REPORT, ANYONE, zg_control_run_report},
	{ZG_MSG_CTL_STDIO, ANYONE, zg_control_stdio},
	{ZG_MSG_CTL_STDIO_ENV, ANYONE, zg_control_stdio_env},
	{ZG_MSG_CTL_STDIO_GO, ANYONE, zg_control_stdio_go},
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

static bool may(const struct zg_control_peer *who, enum who required)
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

static void on_request(struct zg_control_client *c, struct zg_msg *m)
{
	struct zg_parent *p = c->parent;
	const struct verb *v = NULL;
	struct zg_control_peer who;

	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (verbs[i].type == m->type)
			v = &verbs[i];
	if (!v) {
		drop(c);
		return;
	}
	if (zg_control_identify(p, c->sock, &who) < 0)
		zg_control_refuse(c, ESRCH, "the asking process is gone or out of sight");
	else if (!may(&who, v->who))
		zg_control_refuse(c, EPERM, whom[v->who]);
	else
		v->run(p, c, &who, m);
	zg_close_(&who.pidfd);
}

static void on_readable(evutil_socket_t sock, short what, void *arg)
{
	struct zg_control_client *c = arg;
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

static struct zg_control_client *free_client(struct zg_control *ctl, uid_t uid, bool stranger)
{
	struct zg_control_client *at = NULL;
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
	struct zg_control_client *c = NULL;
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
	*c = (struct zg_control_client){
		.parent = p, .sock = sock, .uid = cred.uid, .stranger = stranger};
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
		struct zg_control_client *c = &p->control->client[i];

		if (c->sock < 0 || !c->waits)
			continue;
		c->waits = false;
		zg_control_finish(c, e != NULL, e ? &first : NULL);
	}
}

int zg_control_start(struct zg_parent *p, struct zg_err *e)
{
	struct zg_control *ctl = calloc(1, sizeof(*ctl));
	char path[ZG_PATH_LEN + 16];

	if (!ctl)
		return zg_err_set(e, ENOMEM, "no memory for the control socket");
	for (size_t i = 0; i < ZG_CTL_CLIENTS_MAX; i++)
		ctl->client[i] = (struct zg_control_client){.parent = p, .sock = -1};
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
