/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local.c - see local.h: the sessions, and their end, whoever brings it. Trust:
 * gateways speak for the sessions that they serve, and no others; what the server
 * was started as stays bounded by its cgroup until that is empty.
 */
#include "local.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include "local_impl.h"
#include "log.h"

struct zg_stdio *zg_stdio_find(struct zg_parent *p, uint64_t id)
{
	for (size_t i = 0; p->stdio && id && i < ZG_STDIO_MAX; i++)
		if (p->stdio->s[i].state != STDIO_FREE && p->stdio->s[i].id == id)
			return &p->stdio->s[i];
	return NULL;
}

/* the end ----------------------------------------------------------------------- */

void zg_stdio_free(struct zg_stdio *s)
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
	*s = (struct zg_stdio){.state = STDIO_FREE};
}

void zg_stdio_after(struct zg_stdio *s, uint32_t ms)
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
		zg_stdio_after(s, 20);
		return;
	}
	if (s->client)
		zg_control_end(s->client, s->exit, s->has_why ? &s->why : NULL);
	zg_stdio_free(s);
}

static void because(struct zg_stdio *s, uint32_t status, const char *why)
{
	s->exit = status;
	(void)zg_err_set(&s->why, 0, "server %s: %s", s->server, why);
	s->has_why = true;
}

void zg_stdio_end(struct zg_stdio *s, uint32_t status, const char *why)
{
	struct zg_msg_stdio_close body = {.session = s->id};

	if (s->state == STDIO_ENDING)
		return;
	s->state = STDIO_ENDING;
	s->exit = status;
	if (why)
		because(s, status, why);
	for (size_t i = 0; i < ZG_SE_MAX; i++) {
		zg_close_(&s->end[i]);
		s->end[i] = -1;
	}
	if (s->open)
		zg_children_tell(s->parent, s->worker, ZG_MSG_STDIO_CLOSE, &body, -1);
	zg_stdio_after(s, ZG_STDIO_END_MS);
	finish(s);
}

void zg_stdio_on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct zg_stdio *s = arg;

	(void)fd;
	(void)what;
	if (s->state != STDIO_ENDING) {
		zg_stdio_end(s, 1, "it did not start in time");
		zg_stdio_cgroup_kill(&s->cgroup);
		return;
	}
	if (s->pid > 0 && s->turns++ == 0) {
		(void)kill(s->pid, SIGTERM);
		zg_stdio_after(s, ZG_STDIO_END_MS);
	} else if (s->pid > 0) {
		zg_stdio_cgroup_kill(&s->cgroup); /* SIGCHLD follows */
	} else {
		finish(s);
	}
}

void zg_stdio_on_caller_ended(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	zg_stdio_end(arg, 0, NULL);
}

void zg_stdio_gone(struct zg_parent *p, uint64_t id)
{
	struct zg_stdio *s = zg_stdio_find(p, id);

	if (!s)
		return;
	s->client = NULL;
	zg_stdio_end(s, 0, NULL);
}

/* what others tell ------------------------------------------------------------------- */

/* -EBUSY: try again in a moment. */
static void restart(struct zg_stdio *s)
{
	struct zg_err e;

	if (s->pid > 0 || !s->lost || s->state != STDIO_RUNNING)
		return;
	zg_stdio_cgroup_kill(&s->cgroup);
	if (zg_stdio_cgroup_remove(s->parent, &s->cgroup) == -EBUSY) {
		/* its last processes are going: as long as they are, another one waits */
		zg_stdio_end(s, 1, "its processes do not end");
		return;
	}
	s->restarts++;
	if (s->started)
		event_free(s->started);
	s->started = NULL;
	s->state = STDIO_STARTING;
	zg_stdio_after(s, ZG_STDIO_START_MS);
	if (zg_stdio_run(s, &e) < 0)
		zg_stdio_end(s, 1, e.what);
}

static bool may_restart(const struct zg_stdio *s)
{
	const struct zg_stdio_def *def = zg_snapshot_stdio(&s->parent->snapshot, s->server);

	return s->state == STDIO_RUNNING && def && def->restart == ZG_SR_ON_FAILURE && s->failed &&
	       s->restarts < ZG_STDIO_RESTARTS;
}

static void exited(struct zg_stdio *s, int status)
{
	char text[64];

	if (s->started_ms && s->state != STDIO_STARTING)
		zg_stdio_record_exit(s, status);
	s->pid = -1;
	s->failed = !WIFEXITED(status) || WEXITSTATUS(status) != 0;
	zg_stdio_cgroup_kill(&s->cgroup); /* nothing outlives it */
	if (s->state == STDIO_STARTING && s->status >= 0)
		return; /* why is still to be read */
	if (may_restart(s)) {
		restart(s); /* or when the gateway has let go of it */
		return;
	}
	if (WIFSIGNALED(status))
		(void)snprintf(text, sizeof(text), "it was ended by signal %d", WTERMSIG(status));
	else
		(void)snprintf(text, sizeof(text), "it ended with status %d", WEXITSTATUS(status));
	if (s->state == STDIO_ENDING)
		finish(s);
	else
		zg_stdio_end(s, s->failed, s->failed ? text : NULL);
}

void zg_stdio_reap(struct zg_parent *p)
{
	for (size_t i = 0; p->stdio && i < ZG_STDIO_MAX; i++) {
		struct zg_stdio *s = &p->stdio->s[i];
		int status;

		if (s->state != STDIO_FREE && s->pid > 0 &&
		    waitpid(s->pid, &status, WNOHANG) == s->pid)
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
	struct zg_stdio *s = zg_stdio_find(p, m->session);
	const char *why = cause_text(m->cause);

	if (!s || !s->open || s->worker != worker)
		return;
	if (!m->lost && (m->garbage || m->withheld || m->muted))
		zg_stdio_record_odd(s, m);
	if (m->lost && s->state != STDIO_RUNNING)
		return; /* it is told to close anyway, and says so */
	if (m->lost) {
		s->lost = true;
		zg_stdio_cgroup_kill(&s->cgroup); /* a server without output serves nobody */
		restart(s);
		return;
	}
	s->open = false;
	if (s->state != STDIO_ENDING) {
		zg_stdio_end(s, why != NULL, why);
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
	struct zg_stdio *s = zg_stdio_find(p, m->session);
	const struct zg_stdio_def *def = s ? zg_snapshot_stdio(&p->snapshot, s->server) : NULL;
	int rc = -ESRCH;

	ZG_MSG_TEXT(m->profile);
	if (def && s->open && s->worker == worker && s->state == STDIO_RUNNING)
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

		if (s->state == STDIO_FREE || !s->open || s->worker != worker)
			continue;
		s->open = false;
		if (s->state == STDIO_ENDING)
			finish(s);
		else
			zg_stdio_end(s, 3, "the gateway that served it ended; start it again");
	}
}

void zg_stdio_reconsider(struct zg_parent *p)
{
	for (size_t i = 0; p->stdio && i < ZG_STDIO_MAX; i++) {
		struct zg_stdio *s = &p->stdio->s[i];
		const struct zg_stdio_def *def = zg_snapshot_stdio(&p->snapshot, s->server);
		uint32_t profile =
			zg_snapshot_profile_id(&p->snapshot, zg_slice_str(s->caller.profile));

		if (s->state == STDIO_FREE || s->state == STDIO_ENDING)
			continue;
		if (!def || memcmp(def->digest, s->digest, sizeof(s->digest)) != 0 ||
		    !zg_stdio_may(def, profile))
			zg_stdio_end(s, 1, "its registry entry or the right to it changed");
		else if (zg_kernel_contained(p->kernel, s->caller.profile))
			zg_stdio_end(s, 1, "the profile is contained");
		else if (s->cgroup.dir >= 0 &&
			 zg_stdio_cgroup_narrow(p, def, &s->cgroup, s->cgroup.narrowed) < 0)
			zg_stdio_end(s, 1, "it cannot be governed any more as its calls are");
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

		if (s->state == STDIO_FREE)
			continue;
		zg_stdio_cgroup_kill(&s->cgroup);
		if (s->pid > 0)
			(void)waitpid(s->pid, NULL, 0);
		for (int k = 0; k < 100 && zg_stdio_cgroup_remove(p, &s->cgroup) == -EBUSY; k++) {
			const struct timespec nap = {.tv_nsec = 5000000};

			(void)nanosleep(&nap, NULL);
		}
		zg_stdio_free(s);
	}
	free(p->stdio);
	p->stdio = NULL;
}
