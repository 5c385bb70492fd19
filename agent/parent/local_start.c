/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local_start.c - the command of a session (local.h) and its way to a gateway.
 * Trust: what is run, with which arguments and as whom, stands in the snapshot
 * alone; never as root, nor as a user of the agent's.
 */
#include "local_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>

#include "launch.h"
#include "log.h"

/* as whom ---------------------------------------------------------------------- */

struct identity {
	uid_t uid;
	gid_t gid;
	gid_t groups[64];
	const gid_t *group;
	size_t count;
	char home[ZG_PATH_LEN];
};

static int named_user(const struct zg_parent *p, const char *name, struct identity *out,
		      struct zg_err *e)
{
	const struct passwd *pw = getpwnam(name);
	int n = 64;

	if (!pw)
		return zg_err_set(e, ENOENT, "the user '%s' does not exist", name);
	if (pw->pw_uid == 0 || pw->pw_uid == p->user_uid || pw->pw_uid == p->ledger_uid)
		return zg_err_set(e, EPERM, "a server must not run as '%s'", name);
	out->uid = pw->pw_uid;
	out->gid = pw->pw_gid;
	(void)zg_str_cut(out->home, sizeof(out->home), zg_slice_str(pw->pw_dir));
	if (getgrouplist(name, pw->pw_gid, out->groups, &n) < 0)
		return zg_err_set(e, E2BIG, "the user '%s' has too many groups", name);
	out->group = out->groups;
	out->count = (size_t)n;
	return 0;
}

static int identity_of(const struct zg_stdio *s, const struct zg_stdio_def *def,
		       struct identity *out, struct zg_err *e)
{
	const size_t slot = (size_t)(s - s->parent->stdio->s);

	*out = (struct identity){.home = "/"};
	if (def->private_tmp)
		(void)zg_str_cut(out->home, sizeof(out->home), ZG_SLICE("/tmp"));
	switch ((enum zg_stdio_user)def->who) {
	case ZG_SU_OWN:
		out->uid = (uid_t)(ZG_STDIO_UID + slot);
		out->gid = (gid_t)out->uid;
		return 0;
	case ZG_SU_NAMED:
		return named_user(s->parent, def->user, out, e);
	case ZG_SU_CALLER:
		if (s->caller.uid == 0 || s->caller.uid == s->parent->user_uid ||
		    s->caller.uid == s->parent->ledger_uid)
			return zg_err_set(e, EPERM, "a server must not run as uid %u",
					  s->caller.uid);
		out->uid = s->caller.uid;
		out->gid = s->caller.gid;
		out->group = s->groups;
		out->count = s->group_count;
		return 0;
	}
	return zg_err_set(e, EPERM, "nobody to run as");
}

/* with which words ------------------------------------------------------------- */

struct words {
	char *argv[ZG_STDIO_ARGS_MAX + 2];
	char *envp[2 * ZG_STDIO_ENV_MAX + 8];
	char home[ZG_PATH_LEN + 8];
};

static bool has_name(char *const *list, size_t n, const char *text)
{
	size_t len = strcspn(text, "=") + 1;

	for (size_t i = 0; i < n; i++)
		if (strncmp(list[i], text, len) == 0)
			return true;
	return false;
}

/* What the operator fixed, then what the client was asked for, then the usual. */
static void words_of(const struct zg_stdio *s, const struct zg_stdio_def *def,
		     const struct identity *who, struct words *w)
{
	const struct zg_snapshot *snap = &s->parent->snapshot;
	const char *usual[] = {"PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8", w->home,
			       "TMPDIR=/tmp"};
	const char *at = zg_snapshot_text(snap, &def->args);
	size_t n = 0;

	w->argv[n++] = (char *)(uintptr_t)def->command;
	for (uint32_t i = 0; i < def->args.count; i++, at = zg_snapshot_text_next(at))
		w->argv[n++] = (char *)(uintptr_t)at;
	w->argv[n] = NULL;
	n = 0;
	at = zg_snapshot_text(snap, &def->env);
	for (uint32_t i = 0; i < def->env.count; i++, at = zg_snapshot_text_next(at))
		w->envp[n++] = (char *)(uintptr_t)at;
	for (size_t i = 0; i < s->envs; i++)
		if (!has_name(w->envp, n, s->env[i]))
			w->envp[n++] = s->env[i];
	(void)snprintf(w->home, sizeof(w->home), "HOME=%s", who->home);
	for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++)
		if (!has_name(w->envp, n, usual[i]))
			w->envp[n++] = (char *)(uintptr_t)usual[i];
	w->envp[n] = NULL;
}

/* start ------------------------------------------------------------------------ */

static void on_started(evutil_socket_t fd, short what, void *arg);

static int launch(struct zg_stdio *s, const struct zg_stdio_def *def, int pipes[4][2],
		  struct zg_err *e)
{
	struct identity who;
	struct words w;
	int rc = identity_of(s, def, &who, e);
	struct zg_launch l = {.command = def->command,
			      .argv = w.argv,
			      .envp = w.envp,
			      .cwd = def->cwd,
			      .sha256 = def->has_sha256 ? def->sha256 : NULL,
			      .cgroup = s->cgroup.dir,
			      .std = {pipes[0][0], pipes[1][1], pipes[2][1]},
			      .status = pipes[3][1],
			      .uid = who.uid,
			      .gid = who.gid,
			      .groups = who.group,
			      .group_count = who.count,
			      .private_tmp = def->private_tmp,
			      .processes = def->who == ZG_SU_OWN ? def->pids : 0};

	if (rc < 0)
		return rc;
	words_of(s, def, &who, &w);
	return zg_launch(&l, &s->pid, e);
}

int zg_stdio_run(struct zg_stdio *s, struct zg_err *e)
{
	struct zg_parent *p = s->parent;
	const struct zg_stdio_def *def = zg_snapshot_stdio(&p->snapshot, s->server);
	int pipes[4][2] = {{-1, -1}, {-1, -1}, {-1, -1}, {-1, -1}};
	int rc = 0;

	if (!def || memcmp(def->digest, s->digest, sizeof(s->digest)) != 0)
		return zg_err_set(e, ESTALE, "its registry entry changed meanwhile");
	for (size_t i = 0; i < 4 && rc == 0; i++)
		if (pipe2(pipes[i], O_CLOEXEC) < 0)
			rc = zg_err_set(e, errno, "no pipe: %m");
	if (rc == 0)
		rc = zg_stdio_cgroup_make(p, def, s->id * 16 + s->restarts, &s->cgroup, e);
	if (rc == 0)
		rc = launch(s, def, pipes, e);
	if (rc == 0) {
		s->started_ms = zg_parent_now_ms();
		s->end[ZG_SE_SERVER_IN] = zg_take_fd(&pipes[0][1]);
		s->end[ZG_SE_SERVER_OUT] = zg_take_fd(&pipes[1][0]);
		s->end[ZG_SE_SERVER_ERR] = zg_take_fd(&pipes[2][0]);
		s->status = zg_take_fd(&pipes[3][0]);
		s->started = event_new(p->loop, s->status, EV_READ, on_started, s);
		if (!s->started || event_add(s->started, NULL) < 0)
			rc = zg_err_set(e, ENOMEM, "no memory for its start");
	}
	for (size_t i = 0; i < 8; i++)
		zg_close_(&pipes[i / 2][i % 2]);
	return rc;
}

int zg_stdio_go(struct zg_parent *p, uint64_t id, int *fd, struct zg_err *e)
{
	struct zg_stdio *s = zg_stdio_find(p, id);
	int rc;

	if (!s || s->state != STDIO_ASKING)
		return zg_err_set(e, EPROTO, "no session was asked for");
	if (!zg_stdio_is_pipe(*fd))
		return zg_err_set(e, EINVAL, "standard output is neither a pipe nor a unix socket");
	s->end[ZG_SE_CLIENT_OUT] = zg_take_fd(fd);
	s->state = STDIO_STARTING;
	rc = zg_stdio_run(s, e);
	if (rc < 0)
		zg_stdio_record_refused(p, s, e);
	return rc;
}

/* to a gateway ----------------------------------------------------------------- */

/* Hand what we have to a gateway; the first time, any that is ready. */
static bool hand_over(struct zg_stdio *s)
{
	struct zg_parent *p = s->parent;
	struct zg_msg_stdio_open body = {
		.session = s->id, .again = s->open, .principal = s->caller};

	if (!s->open && !zg_children_next_gateway(p, &p->stdio->turn, &s->worker))
		return false;
	for (uint32_t i = 0; i < ZG_SE_MAX; i++) {
		struct zg_msg_stdio_fd end = {.session = s->id, .end = i};

		if (s->end[i] < 0)
			continue;
		zg_children_tell(p, s->worker, ZG_MSG_STDIO_FD, &end, s->end[i]);
		zg_close_(&s->end[i]);
		s->end[i] = -1;
	}
	memcpy(body.server, s->server, sizeof(body.server));
	zg_children_tell(p, s->worker, ZG_MSG_STDIO_OPEN, &body, -1);
	s->open = true;
	s->lost = false;
	return true;
}

static void told_failure(struct zg_stdio *s, const struct zg_launch_failure *f)
{
	char text[ZG_REASON_LEN];
	struct zg_err e;

	(void)snprintf(text, sizeof(text), "it cannot %.120s: %s", f->what,
		       f->error == EKEYREJECTED ? "refused" : strerror(f->error));
	(void)zg_err_set(&e, f->error, "server %s: %.200s", s->server, text);
	zg_stdio_record_refused(s->parent, s, &e);
	zg_log(ZG_LOG_WARN, "%s", e.what);
	zg_stdio_end(s, 1, text);
}

/* The child executed (nothing and the end), or says why not. */
static void on_started(evutil_socket_t fd, short what, void *arg)
{
	struct zg_stdio *s = arg;
	struct zg_launch_failure f = {0};
	struct zg_msg_ctl_stdio_started started = {.pid = (uint32_t)s->pid};
	ssize_t n = read((int)fd, &f, sizeof(f));

	(void)what;
	zg_close_(&s->status);
	s->status = -1;
	if (s->state != STDIO_STARTING)
		return;
	f.what[sizeof(f.what) - 1] = '\0';
	if (n != 0) {
		told_failure(s, &f);
		return;
	}
	zg_stdio_record_start(s);
	s->state = STDIO_RUNNING;
	(void)event_del(s->timer);
	if (!hand_over(s)) {
		zg_stdio_end(s, 3, "no gateway is ready");
		return;
	}
	memcpy(started.cgroup, s->cgroup.path, sizeof(started.cgroup));
	memcpy(started.limits, s->cgroup.limits, sizeof(started.limits));
	if (!s->restarts && s->client &&
	    !zg_control_tell(s->client, ZG_MSG_CTL_STDIO_STARTED, &started))
		return;
}
