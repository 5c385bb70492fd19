/* SPDX-License-Identifier: Apache-2.0 */
/*
 * notify_command.c - see notify_command.h. Trust: path, arguments and user are root's
 * word; what the command is told on its standard input comes from the ledger as it is,
 * and is never read here. It runs without any privilege (launch.h), it can hold up
 * nothing, and what it says goes to the log, escaped and capped.
 */
#include "notify_command.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <sys/wait.h>

#include "launch.h"
#include "log.h"

#define RETRY_MS    20 /* between two looks at a cgroup that is not empty yet */
#define RETRIES_MAX 250
#define DRAINS_MAX  64 /* reads of what it left behind; more is not kept anyway */

struct notice {
	struct zg_parent *parent;
	bool used;
	pid_t pid; /* -1 = ended */
	int cgroup;
	int output; /* what it says */
	int status; /* of its start */
	bool timed_out;
	uint32_t tries; /* to remove its cgroup */
	size_t said;	/* bytes of its output so far */
	struct zg_launch_failure failure;
	struct event *readable, *timer;
	struct zg_msg_notify_done done;
	char path[ZG_CGROUP_LEN];
};

struct zg_notices {
	struct notice n[ZG_NOTIFY_AT_ONCE];
	uint64_t count; /* names of cgroups */
};

/* what it says ------------------------------------------------------------------- */

/* Line by line as far as it goes; beyond the cap it is read and forgotten, so that
 * the command never waits for us. */
static void say(struct notice *n, char *text, size_t len)
{
	size_t room = n->said < ZG_NOTIFY_LOG_BYTES ? ZG_NOTIFY_LOG_BYTES - n->said : 0;
	char *line, *rest = text;

	n->said += len;
	text[len < room ? len : room] = '\0';
	for (char *c = text; *c; c++)
		if ((unsigned char)*c < 0x20 && *c != '\n')
			*c = '?';
		else if ((unsigned char)*c > 0x7e)
			*c = '?';
	while ((line = strsep(&rest, "\n")))
		if (line[0])
			zg_log(ZG_LOG_INFO, "notify command: %.400s", line);
	if (room && n->said >= ZG_NOTIFY_LOG_BYTES)
		zg_log(ZG_LOG_INFO, "notify command: (it says more, which is not kept)");
}

static bool hear(struct notice *n)
{
	char text[2048];
	ssize_t got = read(n->output, text, sizeof(text) - 1);

	if (got > 0)
		say(n, text, (size_t)got);
	else if (got == 0 || (errno != EAGAIN && errno != EINTR))
		(void)event_del(n->readable);
	return got > 0;
}

static void on_output(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)hear(arg);
}

/* the end ------------------------------------------------------------------------ */

static int put(int dir, const char *name, const char *text)
{
	zg_autofd int fd = openat(dir, name, O_WRONLY | O_CLOEXEC);

	return fd < 0 || write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

static void after(struct notice *n, uint64_t ms)
{
	const struct timeval tv = {.tv_sec = (time_t)(ms / 1000),
				   .tv_usec = (suseconds_t)(ms % 1000) * 1000};

	if (n->timer)
		(void)event_add(n->timer, &tv);
}

static void free_notice(struct notice *n)
{
	if (n->readable)
		event_free(n->readable);
	if (n->timer)
		event_free(n->timer);
	zg_close_(&n->cgroup);
	zg_close_(&n->output);
	zg_close_(&n->status);
	*n = (struct notice){0};
}

/* Nothing outlives it: its cgroup is killed, then removed. */
static bool is_gone(struct notice *n)
{
	if (n->pid > 0)
		return false;
	(void)put(n->cgroup, "cgroup.kill", "1");
	return n->cgroup < 0 || unlinkat(n->parent->cgroups.root, n->path, AT_REMOVEDIR) == 0 ||
	       errno != EBUSY;
}

static void finish(struct notice *n)
{
	if (n->pid > 0)
		return;
	if (!is_gone(n) && n->tries++ < RETRIES_MAX) {
		after(n, RETRY_MS);
		return;
	}
	zg_children_tell_ledger(n->parent, ZG_MSG_NOTIFY_DONE, &n->done, -1);
	free_notice(n);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct notice *n = arg;

	(void)fd;
	(void)what;
	if (n->pid < 0) {
		finish(n);
		return;
	}
	n->timed_out = true;
	(void)put(n->cgroup, "cgroup.kill", "1");
	(void)kill(n->pid, SIGKILL); /* SIGCHLD follows */
}

/* Whether it executed at all is known by now: the status descriptor closed with it. */
static void exited(struct notice *n, int status)
{
	struct zg_launch_failure f = {0};
	char what[ZG_REASON_LEN] = "";

	n->pid = -1;
	for (int i = 0; i < DRAINS_MAX && hear(n); i++)
		continue;
	if (read(n->status, &f, sizeof(f)) == (ssize_t)sizeof(f)) {
		f.what[sizeof(f.what) - 1] = '\0';
		(void)snprintf(what, sizeof(what), "the command cannot %s: %s", f.what,
			       strerror(f.error));
	} else if (n->timed_out) {
		(void)snprintf(what, sizeof(what), "the command was killed: its time was over");
	} else if (WIFSIGNALED(status)) {
		(void)snprintf(what, sizeof(what), "the command was ended by signal %d",
			       WTERMSIG(status));
	} else if (WEXITSTATUS(status)) {
		n->done.status = (uint32_t)WEXITSTATUS(status);
		(void)snprintf(what, sizeof(what), "the command ended with status %d",
			       WEXITSTATUS(status));
	}
	n->done.delivered = !what[0];
	memcpy(n->done.what, what, sizeof(n->done.what));
	(void)event_del(n->timer);
	finish(n);
}

void zg_notices_reap(struct zg_parent *p)
{
	for (size_t i = 0; p->notices && i < ZG_NOTIFY_AT_ONCE; i++) {
		struct notice *n = &p->notices->n[i];
		int status;

		if (n->used && n->pid > 0 && waitpid(n->pid, &status, WNOHANG) == n->pid)
			exited(n, status);
	}
}

/* the beginning ------------------------------------------------------------------ */

struct identity {
	uid_t uid;
	gid_t gid;
	gid_t groups[64];
	int count;
};

static int identity_of(const struct zg_parent *p, const struct zg_notify_def *def,
		       struct identity *out, struct zg_err *e)
{
	const struct passwd *pw;

	*out = (struct identity){.uid = p->user_uid, .gid = p->user_gid};
	if (!def->user[0])
		return 0;
	pw = getpwnam(def->user);
	if (!pw)
		return zg_err_set(e, ENOENT, "the user '%s' does not exist", def->user);
	if (pw->pw_uid == 0 || pw->pw_uid == p->ledger_uid)
		return zg_err_set(e, EPERM, "the command must not run as '%s'", def->user);
	out->uid = pw->pw_uid;
	out->gid = pw->pw_gid;
	out->count = (int)(sizeof(out->groups) / sizeof(out->groups[0]));
	if (getgrouplist(def->user, pw->pw_gid, out->groups, &out->count) < 0)
		return zg_err_set(e, E2BIG, "the user '%s' has too many groups", def->user);
	return 0;
}

static int make_cgroup(struct notice *n, struct zg_err *e)
{
	struct zg_parent *p = n->parent;
	char pids[16];

	(void)snprintf(pids, sizeof(pids), "%d", ZG_NOTIFY_PIDS);
	if (snprintf(n->path, sizeof(n->path), "%s/notify/%llu", p->cgroups.own,
		     (unsigned long long)++p->notices->count) >= (int)sizeof(n->path))
		return zg_err_set(e, ENAMETOOLONG, "the path of its cgroup is too long");
	n->cgroup = zg_cgroups_make(&p->cgroups, n->path, false);
	if (n->cgroup < 0)
		return zg_err_set(e, -n->cgroup, "cannot make the cgroup %s: %s", n->path,
				  strerror(-n->cgroup));
	/* where this machine has that controller; its time is bounded anyway */
	(void)put(n->cgroup, "pids.max", pids);
	return 0;
}

static int launch(struct notice *n, const struct zg_msg_notify *m, int pipes[3][2],
		  struct zg_err *e)
{
	const struct zg_notify_def *def = &n->parent->snapshot.settings->notify;
	char event[ZG_NAME_LEN + 16], delivery[ZG_NAME_LEN + 24];
	char *argv[ZG_NOTIFY_ARGS_MAX + 2] = {(char *)(uintptr_t)def->command};
	char *envp[] = {(char *)(uintptr_t) "PATH=/usr/local/bin:/usr/bin:/bin",
			(char *)(uintptr_t) "LANG=C.UTF-8",
			(char *)(uintptr_t) "HOME=/",
			event,
			delivery,
			NULL};
	struct identity who;
	int rc = identity_of(n->parent, def, &who, e);
	struct zg_launch l = {.command = def->command,
			      .argv = argv,
			      .envp = envp,
			      .cwd = "",
			      .cgroup = n->cgroup,
			      .std = {pipes[0][0], pipes[1][1], pipes[1][1]},
			      .status = pipes[2][1],
			      .uid = who.uid,
			      .gid = who.gid,
			      .groups = who.groups,
			      .group_count = (size_t)who.count};

	(void)snprintf(event, sizeof(event), "ZEROGATE_EVENT=%s", m->event);
	(void)snprintf(delivery, sizeof(delivery), "ZEROGATE_DELIVERY=%s", m->delivery);
	for (uint32_t i = 0; i < def->arg_count; i++)
		argv[i + 1] = (char *)(uintptr_t)def->arg[i];
	return rc < 0 ? rc : zg_launch(&l, &n->pid, e);
}

/* The whole of the event fits into a pipe: nobody waits for the command to read it. */
static int feed(int fd, const struct zg_msg_notify *m, struct zg_err *e)
{
	/* not even where pipes are short */
	if (evutil_make_socket_nonblocking(fd) < 0 ||
	    write(fd, m->text, m->bytes) != (ssize_t)m->bytes)
		return zg_err_set(e, EIO, "its input cannot be written");
	return 0;
}

static int begin(struct notice *n, const struct zg_msg_notify *m, struct zg_err *e)
{
	const struct zg_notify_def *def = &n->parent->snapshot.settings->notify;
	int pipes[3][2] = {{-1, -1}, {-1, -1}, {-1, -1}};
	int rc = def->command[0] ? 0 : zg_err_set(e, ESTALE, "no command is configured any more");

	for (size_t i = 0; i < 3 && rc == 0; i++)
		if (pipe2(pipes[i], O_CLOEXEC) < 0)
			rc = zg_err_set(e, errno, "no pipe: %m");
	if (rc == 0)
		rc = feed(pipes[0][1], m, e);
	if (rc == 0)
		rc = make_cgroup(n, e);
	if (rc == 0) {
		n->timer = event_new(n->parent->loop, -1, 0, on_timer, n);
		n->readable =
			event_new(n->parent->loop, pipes[1][0], EV_READ | EV_PERSIST, on_output, n);
		if (!n->timer || !n->readable || evutil_make_socket_nonblocking(pipes[1][0]) < 0 ||
		    evutil_make_socket_nonblocking(pipes[2][0]) < 0 ||
		    event_add(n->readable, NULL) < 0)
			rc = zg_err_set(e, ENOMEM, "no memory for its output");
	}
	if (rc == 0)
		rc = launch(n, m, pipes, e);
	if (rc == 0) {
		n->output = zg_take_fd(&pipes[1][0]);
		n->status = zg_take_fd(&pipes[2][0]);
		after(n, def->timeout_sec * UINT64_C(1000));
	} else if (n->readable) {
		(void)event_del(n->readable);
	}
	for (size_t i = 0; i < 6; i++)
		zg_close_(&pipes[i / 2][i % 2]);
	return rc;
}

int zg_notices_begin(struct zg_parent *p, struct zg_msg_notify *m)
{
	struct notice *free_slot = NULL;
	struct zg_err e = {0};

	ZG_MSG_TEXT(m->delivery);
	ZG_MSG_TEXT(m->event);
	if (m->bytes > sizeof(m->text) || !m->delivery[0])
		return -EPROTO;
	for (size_t i = 0; i < ZG_NOTIFY_AT_ONCE; i++) {
		struct notice *n = &p->notices->n[i];

		/* a ledger that was replaced asks again for what runs */
		if (n->used && strcmp(n->done.delivery, m->delivery) == 0)
			return 0;
		if (!n->used && !free_slot)
			free_slot = n;
	}
	if (!free_slot) {
		struct zg_msg_notify_done busy = {0};

		memcpy(busy.delivery, m->delivery, sizeof(busy.delivery));
		(void)zg_str_cut(busy.what, sizeof(busy.what),
				 ZG_SLICE("too many commands run at once"));
		zg_children_tell_ledger(p, ZG_MSG_NOTIFY_DONE, &busy, -1);
		return 0;
	}
	*free_slot = (struct notice){
		.parent = p, .used = true, .pid = -1, .cgroup = -1, .output = -1, .status = -1};
	memcpy(free_slot->done.delivery, m->delivery, sizeof(m->delivery));
	if (begin(free_slot, m, &e) < 0) {
		(void)snprintf(free_slot->done.what, sizeof(free_slot->done.what),
			       "the command cannot be started: %.200s", e.what);
		finish(free_slot);
	}
	return 0;
}

int zg_notices_start(struct zg_parent *p, struct zg_err *e)
{
	p->notices = calloc(1, sizeof(*p->notices));
	return p->notices ? 0 : zg_err_set(e, ENOMEM, "no memory for notifications");
}

/* The agent ends: so does what it started. */
void zg_notices_release(struct zg_parent *p)
{
	const struct timespec nap = {.tv_nsec = 5000000};

	for (size_t i = 0; p->notices && i < ZG_NOTIFY_AT_ONCE; i++) {
		struct notice *n = &p->notices->n[i];

		if (!n->used)
			continue;
		(void)put(n->cgroup, "cgroup.kill", "1");
		if (n->pid > 0) {
			(void)kill(n->pid, SIGKILL);
			(void)waitpid(n->pid, NULL, 0);
			n->pid = -1;
		}
		for (int k = 0; k < 100 && !is_gone(n); k++)
			(void)nanosleep(&nap, NULL);
		free_notice(n);
	}
	free(p->notices);
	p->notices = NULL;
}
