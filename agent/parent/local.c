/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local.c - see local.h. Trust: any governed process may ask for a server that
 * its profile lists; what is run, with which arguments and as whom, stands in
 * the snapshot alone. From the client come two descriptors, which must be pipes,
 * and the values of variables that the entry names. Nothing of it is read here.
 */
#include "local.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <grp.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "launch.h"
#include "log.h"

enum state {
	FREE = 0,
	ASKING,	  /* the client says its variables */
	STARTING, /* the command is not executed yet */
	RUNNING,
	ENDING, /* to be over when both the server and the gateway are done */
};

struct zg_stdio {
	struct zg_parent *parent;
	enum state state;
	uint64_t id;
	void *client; /* the control connection; NULL = gone */
	struct zg_principal caller;
	gid_t *groups;
	size_t group_count;
	char server[ZG_SERVER_LEN];
	uint8_t digest[32]; /* of the entry that was in force */
	char *env[ZG_STDIO_ENV_MAX];
	size_t envs;
	int end[ZG_SE_MAX]; /* that the gateway has not been given yet */
	struct event *caller_ended;
	int caller_pidfd;
	/* the running command */
	struct zg_stdio_cgroup cgroup;
	pid_t pid;  /* -1 = none */
	int status; /* of its start */
	struct event *started;
	uint64_t started_ms;
	bool failed; /* its last exit was one */
	uint32_t restarts;
	/* the gateway */
	uint32_t worker;
	bool open; /* it holds ends of ours */
	bool lost; /* it waits for another server */
	/* the end */
	struct event *timer;
	unsigned int turns; /* of the timer, while it ends */
	uint32_t exit;	    /* for the client */
	struct zg_err why;
	bool has_why;
};

struct zg_stdios {
	struct zg_stdio s[ZG_STDIO_MAX];
	uint64_t next;
	uint32_t turn; /* which gateway is next */
};

static struct zg_stdio *find(struct zg_parent *p, uint64_t id)
{
	for (size_t i = 0; p->stdio && id && i < ZG_STDIO_MAX; i++)
		if (p->stdio->s[i].state != FREE && p->stdio->s[i].id == id)
			return &p->stdio->s[i];
	return NULL;
}

/* records --------------------------------------------------------------------- */

static void record(struct zg_stdio *s, enum zg_record_kind kind, const char *text, int status)
{
	const struct zg_stdio_def *def = zg_snapshot_stdio(&s->parent->snapshot, s->server);
	struct zg_record r;

	zg_record_init(&r, kind);
	zg_record_str(&r, ZG_RF_message, zg_slice_str(text));
	zg_record_principal(&r, &s->caller);
	zg_record_str(&r, ZG_RF_server, zg_slice_str(s->server));
	zg_record_bytes(&r, ZG_RF_snapshot, s->parent->snapshot.header->id);
	if (def) {
		zg_record_str(&r, ZG_RF_file, zg_slice_str(def->command));
		zg_record_bytes(&r, ZG_RF_args_sha256, def->args_sha256);
	}
	if (s->cgroup.path[0])
		zg_record_str(&r, ZG_RF_evidence, zg_slice_str(s->cgroup.limits));
	if (kind == ZG_RK_SERVER_EXIT) {
		ZG_REC_NUM(&r, duration_us, (zg_parent_now_ms() - s->started_ms) * 1000);
		if (WIFSIGNALED(status))
			ZG_REC_NUM(&r, signal, (uint64_t)WTERMSIG(status));
		else
			ZG_REC_NUM(&r, status, (uint64_t)WEXITSTATUS(status));
	}
	(void)zg_events_record(s->parent, &r);
}

static void record_start(struct zg_stdio *s)
{
	char text[2 * ZG_REASON_LEN];

	(void)snprintf(text, sizeof(text), "server %s started (pid %d) in %s for pid %u", s->server,
		       (int)s->pid, s->cgroup.path, s->caller.pid);
	record(s, ZG_RK_SERVER_START, text, 0);
}

static void record_exit(struct zg_stdio *s, int status)
{
	char text[2 * ZG_REASON_LEN];

	if (WIFSIGNALED(status))
		(void)snprintf(text, sizeof(text),
			       "server %s (pid %d) in %s was ended by signal %d (%s)", s->server,
			       (int)s->pid, s->cgroup.path, WTERMSIG(status),
			       strsignal(WTERMSIG(status)));
	else
		(void)snprintf(text, sizeof(text), "server %s (pid %d) in %s ended with status %d",
			       s->server, (int)s->pid, s->cgroup.path, WEXITSTATUS(status));
	record(s, ZG_RK_SERVER_EXIT, text, status);
}

/* Once a session: how much of what it said was not passed on. */
static void record_odd(struct zg_stdio *s, const struct zg_msg_stdio_closed *m)
{
	char text[ZG_REASON_LEN];

	(void)snprintf(text, sizeof(text),
		       "server %s: %llu lines that were no message, %llu messages not passed on, "
		       "%llu lines of its log not shown",
		       s->server, (unsigned long long)m->garbage, (unsigned long long)m->withheld,
		       (unsigned long long)m->muted);
	record(s, ZG_RK_SERVER_REFUSE, text, 0);
}

/* the end ----------------------------------------------------------------------- */

static void free_session(struct zg_stdio *s)
{
	struct event *all[] = {s->caller_ended, s->started, s->timer};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (all[i])
			event_free(all[i]);
	for (size_t i = 0; i < s->envs; i++)
		free(s->env[i]);
	for (size_t i = 0; i < ZG_SE_MAX; i++)
		zg_close_(&s->end[i]);
	zg_close_(&s->status);
	zg_close_(&s->caller_pidfd);
	free(s->groups);
	*s = (struct zg_stdio){.state = FREE};
}

static void after(struct zg_stdio *s, uint32_t ms)
{
	const struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000) * 1000};

	if (s->timer)
		(void)event_add(s->timer, &tv);
}

/* Both ends are done with it: so are we, once its cgroup is empty. */
static void finish(struct zg_stdio *s)
{
	if (s->pid > 0 || s->open)
		return;
	zg_stdio_cgroup_kill(&s->cgroup);
	if (zg_stdio_cgroup_remove(s->parent, &s->cgroup) == -EBUSY) {
		after(s, 20);
		return;
	}
	if (s->client)
		zg_control_end(s->client, s->exit, s->has_why ? &s->why : NULL);
	free_session(s);
}

static void because(struct zg_stdio *s, uint32_t status, const char *why)
{
	s->exit = status;
	(void)zg_err_set(&s->why, 0, "server %s: %s", s->server, why);
	s->has_why = true;
}

/* Input first, then a signal, then all that is left of its cgroup. */
static void end_session(struct zg_stdio *s, uint32_t status, const char *why)
{
	struct zg_msg_stdio_close body = {.session = s->id};

	if (s->state == ENDING)
		return;
	s->state = ENDING;
	s->exit = status;
	if (why)
		because(s, status, why);
	for (size_t i = 0; i < ZG_SE_MAX; i++) {
		zg_close_(&s->end[i]);
		s->end[i] = -1;
	}
	if (s->open)
		zg_children_tell(s->parent, s->worker, ZG_MSG_STDIO_CLOSE, &body, -1);
	after(s, ZG_STDIO_END_MS);
	finish(s);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct zg_stdio *s = arg;

	(void)fd;
	(void)what;
	if (s->state != ENDING) {
		end_session(s, 1, "it did not start in time");
		zg_stdio_cgroup_kill(&s->cgroup);
		return;
	}
	if (s->pid > 0 && s->turns++ == 0) {
		(void)kill(s->pid, SIGTERM);
		after(s, ZG_STDIO_END_MS);
	} else if (s->pid > 0) {
		zg_stdio_cgroup_kill(&s->cgroup); /* SIGCHLD follows */
	} else {
		finish(s);
	}
}

static void on_caller_ended(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	end_session(arg, 0, NULL);
}

void zg_stdio_gone(struct zg_parent *p, uint64_t id)
{
	struct zg_stdio *s = find(p, id);

	if (!s)
		return;
	s->client = NULL;
	end_session(s, 0, NULL);
}

/* begin -------------------------------------------------------------------------- */

static struct zg_stdio *free_slot(struct zg_parent *p, uid_t uid)
{
	struct zg_stdio *at = NULL;
	size_t same = 0;

	for (size_t i = 0; i < ZG_STDIO_MAX; i++) {
		if (p->stdio->s[i].state == FREE)
			at = at ? at : &p->stdio->s[i];
		else
			same += p->stdio->s[i].caller.uid == uid;
	}
	return uid != 0 && same >= ZG_STDIO_CALLER_MAX ? NULL : at;
}

/* A gateway waits for nobody: what could make it is refused. */
static bool is_pipe(int fd)
{
	socklen_t len = sizeof(int);
	int domain = 0, type = 0;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return false;
	if (S_ISFIFO(st.st_mode))
		return true;
	return S_ISSOCK(st.st_mode) && getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 &&
	       domain == AF_UNIX && getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 &&
	       type == SOCK_STREAM;
}

static int take_groups(struct zg_stdio *s, int sock)
{
	socklen_t len = 0;

	if (getsockopt(sock, SOL_SOCKET, SO_PEERGROUPS, NULL, &len) == 0)
		return 0; /* it has none */
	if (errno != ERANGE || len > 65536 * sizeof(gid_t))
		return -EIO;
	s->groups = malloc(len);
	if (!s->groups || getsockopt(sock, SOL_SOCKET, SO_PEERGROUPS, s->groups, &len) < 0)
		return -ENOMEM;
	s->group_count = len / sizeof(gid_t);
	return 0;
}

static void read_comm(pid_t pid, char out[ZG_COMM_LEN])
{
	char path[32];
	zg_autofd int fd = -1;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : read(fd, out, ZG_COMM_LEN - 1);
	out[n > 0 ? n : 0] = '\0';
	out[strcspn(out, "\n")] = '\0';
}

static int may_begin(struct zg_parent *p, const struct zg_stdio_caller *who, const char *id,
		     const struct zg_stdio_def **def, struct zg_err *e)
{
	int rc = 0;

	if (who->profile < ZG_PROFILE_FIRST) {
		rc = zg_err_set(e, EPERM, "only a governed process may use server '%s'", id);
		zg_err_hint(e, "start the client with: zerogate run -- COMMAND");
		return rc;
	}
	*def = zg_snapshot_stdio(&p->snapshot, id);
	if (!*def && zg_snapshot_server(&p->snapshot, zg_slice_str(id))) {
		rc = zg_err_set(e, EINVAL, "server '%s' is not started by a command", id);
		zg_err_hint(e, "a remote server is reached at its URL, or at the gateway's");
		return rc;
	}
	if (!*def) {
		rc = zg_err_set(e, ENOENT, "server '%s' is not registered", id);
		zg_err_hint(e, "registered servers stand in %s", p->servers);
		return rc;
	}
	if (!zg_stdio_may(*def, who->profile) ||
	    zg_kernel_contained(p->kernel, zg_snapshot_profile(&p->snapshot, who->profile)))
		return zg_err_set(e, EPERM, "profile %s may not use server '%s'",
				  zg_snapshot_profile(&p->snapshot, who->profile), id);
	if ((*def)->who == ZG_SU_CALLER && who->uid == 0)
		return zg_err_set(e, EPERM, "server '%s' runs as its caller, and never as root",
				  id);
	return 0;
}

static int ask_client(struct zg_stdio *s, const struct zg_stdio_def *def)
{
	const char *name = zg_snapshot_text(&s->parent->snapshot, &def->pass);
	struct zg_msg_ctl_stdio_ask ask = {0};

	for (uint32_t i = 0; i < def->pass.count; i++, name = zg_snapshot_text_next(name)) {
		(void)zg_str_cut(ask.name, sizeof(ask.name), zg_slice_str(name));
		if (!zg_control_tell(s->client, ZG_MSG_CTL_STDIO_ASK, &ask))
			return -EPIPE;
	}
	ask = (struct zg_msg_ctl_stdio_ask){.last = 1};
	return zg_control_tell(s->client, ZG_MSG_CTL_STDIO_ASK, &ask) ? 0 : -EPIPE;
}

static void refused(struct zg_parent *p, const struct zg_stdio *s, const struct zg_err *e)
{
	struct zg_stdio about = {.parent = p, .caller = s->caller};

	memcpy(about.server, s->server, sizeof(about.server));
	record(&about, ZG_RK_SERVER_REFUSE, e->what, 0);
}

int zg_stdio_begin(struct zg_parent *p, const struct zg_stdio_caller *who, void *client,
		   const struct zg_msg_ctl_stdio *ask, int *fd, uint64_t *id, struct zg_err *e)
{
	struct zg_stdio *slot = free_slot(p, who->uid);
	struct zg_stdio s = {.parent = p,
			     .client = client,
			     .pid = -1,
			     .status = -1,
			     .caller_pidfd = -1,
			     .cgroup = {.dir = -1},
			     .end = {-1, -1, -1, -1, -1}};
	const struct zg_stdio_def *def = NULL;
	int rc;

	memcpy(s.server, ask->server, sizeof(s.server));
	s.caller = (struct zg_principal){.cgroup_id = who->cgroup_id,
					 .pid = (uint32_t)who->pid,
					 .uid = who->uid,
					 .gid = who->gid,
					 .profile_id = who->profile};
	(void)zg_str_cut(s.caller.profile, sizeof(s.caller.profile),
			 zg_slice_str(zg_snapshot_profile(&p->snapshot, who->profile)));
	(void)zg_str_cut(s.caller.cgroup, sizeof(s.caller.cgroup), zg_slice_str(who->cgroup));
	read_comm(who->pid, s.caller.comm);
	rc = may_begin(p, who, ask->server, &def, e);
	if (rc == 0 && !slot)
		rc = zg_err_set(e, EAGAIN, "too many local servers run");
	if (rc == 0 && !is_pipe(*fd))
		rc = zg_err_set(e, EINVAL, "standard input is neither a pipe nor a unix socket");
	if (rc == 0 && take_groups(&s, who->sock) < 0)
		rc = zg_err_set(e, EIO, "the groups of the asking process cannot be told");
	if (rc < 0) {
		refused(p, &s, e);
		free(s.groups);
		return rc;
	}
	memcpy(s.digest, def->digest, sizeof(s.digest));
	s.state = ASKING;
	s.id = ++p->stdio->next;
	s.caller_pidfd = fcntl(who->pidfd, F_DUPFD_CLOEXEC, 3);
	*slot = s;
	slot->timer = event_new(p->loop, -1, 0, on_timer, slot);
	slot->caller_ended = slot->caller_pidfd < 0 ? NULL
						    : event_new(p->loop, slot->caller_pidfd,
								EV_READ, on_caller_ended, slot);
	if (!slot->timer || !slot->caller_ended || event_add(slot->caller_ended, NULL) < 0) {
		free_session(slot);
		return zg_err_set(e, ENOMEM, "no memory for a session");
	}
	slot->end[ZG_SE_CLIENT_IN] = zg_take_fd(fd);
	after(slot, ZG_STDIO_START_MS);
	*id = slot->id;
	/* a client that does not read is gone, and its session with it */
	if (ask_client(slot, def) < 0)
		return zg_err_set(e, EPIPE, "the client does not listen");
	return 0;
}

int zg_stdio_env(struct zg_parent *p, uint64_t id, const struct zg_msg_ctl_stdio_env *m,
		 struct zg_err *e)
{
	struct zg_stdio *s = find(p, id);
	const struct zg_stdio_def *def = s ? zg_snapshot_stdio(&p->snapshot, s->server) : NULL;
	const char *name = def ? zg_snapshot_text(&p->snapshot, &def->pass) : "";
	bool asked = false;
	char *text;

	if (!def || s->state != ASKING)
		return zg_err_set(e, EPROTO, "no session was asked for");
	for (uint32_t i = 0; i < def->pass.count && !asked; i++, name = zg_snapshot_text_next(name))
		asked = strcmp(name, m->name) == 0;
	for (size_t i = 0; i < s->envs && asked; i++)
		asked = strncmp(s->env[i], m->name, strlen(m->name)) != 0 ||
			s->env[i][strlen(m->name)] != '=';
	if (!asked || s->envs == ZG_STDIO_ENV_MAX)
		return zg_err_set(e, EPROTO, "a variable that was not asked for");
	if (asprintf(&text, "%s=%s", m->name, m->value) < 0)
		return zg_err_set(e, ENOMEM, "no memory for the environment");
	s->env[s->envs++] = text;
	return 0;
}

/* start ---------------------------------------------------------------------------- */

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

/* The command in a cgroup of its own; whether it executes is told later. */
static int start_server(struct zg_stdio *s, struct zg_err *e)
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
	struct zg_stdio *s = find(p, id);
	int rc;

	if (!s || s->state != ASKING)
		return zg_err_set(e, EPROTO, "no session was asked for");
	if (!is_pipe(*fd))
		return zg_err_set(e, EINVAL, "standard output is neither a pipe nor a unix socket");
	s->end[ZG_SE_CLIENT_OUT] = zg_take_fd(fd);
	s->state = STARTING;
	rc = start_server(s, e);
	if (rc < 0)
		refused(p, s, e);
	return rc;
}

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
	refused(s->parent, s, &e);
	zg_log(ZG_LOG_WARN, "%s", e.what);
	end_session(s, 1, text);
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
	if (s->state != STARTING)
		return;
	f.what[sizeof(f.what) - 1] = '\0';
	if (n != 0) {
		told_failure(s, &f);
		return;
	}
	record_start(s);
	s->state = RUNNING;
	(void)event_del(s->timer);
	if (!hand_over(s)) {
		end_session(s, 3, "no gateway is ready");
		return;
	}
	memcpy(started.cgroup, s->cgroup.path, sizeof(started.cgroup));
	memcpy(started.limits, s->cgroup.limits, sizeof(started.limits));
	if (!s->restarts && s->client &&
	    !zg_control_tell(s->client, ZG_MSG_CTL_STDIO_STARTED, &started))
		return;
}

/* what others tell ------------------------------------------------------------------- */

/* -EBUSY: try again in a moment. */
static void restart(struct zg_stdio *s)
{
	struct zg_err e;

	if (s->pid > 0 || !s->lost || s->state != RUNNING)
		return;
	zg_stdio_cgroup_kill(&s->cgroup);
	if (zg_stdio_cgroup_remove(s->parent, &s->cgroup) == -EBUSY) {
		/* its last processes are going: as long as they are, another one waits */
		end_session(s, 1, "its processes do not end");
		return;
	}
	s->restarts++;
	if (s->started)
		event_free(s->started);
	s->started = NULL;
	s->state = STARTING;
	after(s, ZG_STDIO_START_MS);
	if (start_server(s, &e) < 0)
		end_session(s, 1, e.what);
}

static bool may_restart(const struct zg_stdio *s)
{
	const struct zg_stdio_def *def = zg_snapshot_stdio(&s->parent->snapshot, s->server);

	return s->state == RUNNING && def && def->restart == ZG_SR_ON_FAILURE && s->failed &&
	       s->restarts < ZG_STDIO_RESTARTS;
}

static void exited(struct zg_stdio *s, int status)
{
	char text[64];

	if (s->started_ms && s->state != STARTING)
		record_exit(s, status);
	s->pid = -1;
	s->failed = !WIFEXITED(status) || WEXITSTATUS(status) != 0;
	zg_stdio_cgroup_kill(&s->cgroup); /* nothing outlives it */
	if (s->state == STARTING && s->status >= 0)
		return; /* why is still to be read */
	if (may_restart(s)) {
		restart(s); /* or when the gateway has let go of it */
		return;
	}
	if (WIFSIGNALED(status))
		(void)snprintf(text, sizeof(text), "it was ended by signal %d", WTERMSIG(status));
	else
		(void)snprintf(text, sizeof(text), "it ended with status %d", WEXITSTATUS(status));
	if (s->state == ENDING)
		finish(s);
	else
		end_session(s, s->failed, s->failed ? text : NULL);
}

void zg_stdio_reap(struct zg_parent *p)
{
	for (size_t i = 0; p->stdio && i < ZG_STDIO_MAX; i++) {
		struct zg_stdio *s = &p->stdio->s[i];
		int status;

		if (s->state != FREE && s->pid > 0 && waitpid(s->pid, &status, WNOHANG) == s->pid)
			exited(s, status);
	}
}

static const char *cause_text(uint32_t cause)
{
	switch (cause) {
	case ZG_SC_GARBAGE:
		return "it says what is no message";
	case ZG_SC_REFUSED:
		return "the gateway cannot serve it now";
	default:
		return NULL;
	}
}

void zg_stdio_closed(struct zg_parent *p, uint32_t worker, const struct zg_msg_stdio_closed *m)
{
	struct zg_stdio *s = find(p, m->session);
	const char *why = cause_text(m->cause);

	if (!s || !s->open || s->worker != worker)
		return;
	if (!m->lost && (m->garbage || m->withheld || m->muted))
		record_odd(s, m);
	if (m->lost && s->state != RUNNING)
		return; /* it is told to close anyway, and says so */
	if (m->lost) {
		s->lost = true;
		zg_stdio_cgroup_kill(&s->cgroup); /* a server without output serves nobody */
		restart(s);
		return;
	}
	s->open = false;
	if (s->state != ENDING) {
		end_session(s, why != NULL, why);
		return;
	}
	/* the server may have ended because its pipes did: the gateway knows why */
	if (why)
		because(s, 1, why);
	finish(s);
}

/* Whoever does not serve the session has no say, and nobody has while there is no
 * server: the next one begins with a cgroup of its own. */
void zg_stdio_narrow(struct zg_parent *p, uint32_t worker, struct zg_msg_stdio_narrow *m)
{
	struct zg_msg_stdio_narrowed told = {.session = m->session, .turn = m->turn};
	struct zg_stdio *s = find(p, m->session);
	const struct zg_stdio_def *def = s ? zg_snapshot_stdio(&p->snapshot, s->server) : NULL;
	int rc = -ESRCH;

	ZG_MSG_TEXT(m->profile);
	if (def && s->open && s->worker == worker && s->state == RUNNING)
		rc = zg_stdio_cgroup_narrow(p, def, &s->cgroup, m->profile);
	if (rc < 0 && rc != -ESRCH)
		zg_log(ZG_LOG_ERR, "server %s cannot be governed as %s: %s", s->server,
		       m->profile[0] ? m->profile : "before", strerror(-rc));
	told.error = (uint32_t)-rc;
	zg_children_tell(p, worker, ZG_MSG_STDIO_NARROWED, &told, -1);
}

void zg_stdio_worker_died(struct zg_parent *p, uint32_t worker)
{
	for (size_t i = 0; p->stdio && i < ZG_STDIO_MAX; i++) {
		struct zg_stdio *s = &p->stdio->s[i];

		if (s->state == FREE || !s->open || s->worker != worker)
			continue;
		s->open = false;
		if (s->state == ENDING)
			finish(s);
		else
			end_session(s, 3, "the gateway that served it ended; start it again");
	}
}

void zg_stdio_reconsider(struct zg_parent *p)
{
	for (size_t i = 0; p->stdio && i < ZG_STDIO_MAX; i++) {
		struct zg_stdio *s = &p->stdio->s[i];
		const struct zg_stdio_def *def = zg_snapshot_stdio(&p->snapshot, s->server);
		uint32_t profile =
			zg_snapshot_profile_id(&p->snapshot, zg_slice_str(s->caller.profile));

		if (s->state == FREE || s->state == ENDING)
			continue;
		if (!def || memcmp(def->digest, s->digest, sizeof(s->digest)) != 0 ||
		    !zg_stdio_may(def, profile))
			end_session(s, 1, "its registry entry or the right to it changed");
		else if (zg_kernel_contained(p->kernel, s->caller.profile))
			end_session(s, 1, "the profile is contained");
		else if (s->cgroup.dir >= 0 &&
			 zg_stdio_cgroup_narrow(p, def, &s->cgroup, s->cgroup.narrowed) < 0)
			end_session(s, 1, "it cannot be governed any more as its calls are");
	}
}

int zg_stdio_start(struct zg_parent *p, struct zg_err *e)
{
	p->stdio = calloc(1, sizeof(*p->stdio));
	return p->stdio ? 0 : zg_err_set(e, ENOMEM, "no memory for local servers");
}

/* The agent ends: so does what it started. */
void zg_stdio_release(struct zg_parent *p)
{
	for (size_t i = 0; p->stdio && i < ZG_STDIO_MAX; i++) {
		struct zg_stdio *s = &p->stdio->s[i];

		if (s->state == FREE)
			continue;
		zg_stdio_cgroup_kill(&s->cgroup);
		if (s->pid > 0)
			(void)waitpid(s->pid, NULL, 0);
		for (int k = 0; k < 100 && zg_stdio_cgroup_remove(p, &s->cgroup) == -EBUSY; k++) {
			const struct timespec nap = {.tv_nsec = 5000000};

			(void)nanosleep(&nap, NULL);
		}
		free_session(s);
	}
	free(p->stdio);
	p->stdio = NULL;
}
