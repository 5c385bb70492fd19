/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control_stdio.c - `zerogate stdio` on the control socket: a session with a local
 * server (local.h) lives as long as the connection that asked for it. Trust: any
 * process may ask; who may is local.h's to say.
 */
#include "control_impl.h"

#include <errno.h>

#include "local.h"

bool zg_control_tell(void *client, enum zg_msg_type type, const void *body)
{
	return zg_control_send(client, type, body);
}

void zg_control_end(void *client, uint32_t status, const struct zg_err *e)
{
	struct zg_control_client *c = client;

	c->stdio = 0; /* it is over */
	zg_control_finish(c, status, e);
}

/* The session ends with it, or was never begun. */
static void refuse_stdio(struct zg_control_client *c, int rc, const struct zg_err *e)
{
	uint64_t session = c->stdio;

	c->stdio = 0;
	zg_control_finish(c, rc == -ENOENT || rc == -EINVAL ? 2 : 1, e);
	if (session)
		zg_stdio_gone(c->parent, session);
}

void zg_control_stdio(struct zg_parent *p, struct zg_control_client *c,
		      const struct zg_control_peer *who, struct zg_msg *m)
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
		zg_control_refuse(c, ESRCH, "the cgroup of the asking process cannot be told");
		return;
	}
	rc = zg_stdio_begin(p, &caller, c, &ask, &m->fd, &c->stdio, &e);
	if (rc < 0 && c->sock >= 0)
		refuse_stdio(c, rc, &e);
}

void zg_control_stdio_env(struct zg_parent *p, struct zg_control_client *c,
			  const struct zg_control_peer *who, struct zg_msg *m)
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

void zg_control_stdio_go(struct zg_parent *p, struct zg_control_client *c,
			 const struct zg_control_peer *who, struct zg_msg *m)
{
	struct zg_err e;
	int rc;

	(void)who;
	rc = zg_stdio_go(p, c->stdio, &m->fd, &e);
	if (rc < 0 && c->sock >= 0)
		refuse_stdio(c, rc, &e);
}
