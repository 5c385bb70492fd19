/* SPDX-License-Identifier: Apache-2.0 */
/*
 * runs.c - a cgroup for each `zerogate run` (state.h). Trust: any user may
 * ask; moving a process into a governed cgroup only takes rights away. What a
 * process asks for is applied to itself alone, and never loosens the profile
 * that already governs it.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "log.h"
#include "state.h"

/* The first folder of a profile that is no pattern; NULL = there is none. */
static const char *home_of(const struct zg_snapshot *s, uint32_t profile)
{
	for (size_t i = 0; i < s->cgroup_count; i++)
		if (s->cgroups[i].profile == profile && zg_cgroup_literal(s->cgroups[i].glob))
			return s->cgroups[i].glob;
	return NULL;
}

static uint32_t profile_named(const struct zg_snapshot *s, const char *name)
{
	for (size_t i = 0; i < s->profile_count; i++)
		if (!name[0] || strcmp(s->profiles[i].name, name) == 0)
			return (uint32_t)i + ZG_PROFILE_FIRST;
	return ZG_PROFILE_NONE;
}

static struct zg_run *free_slot(struct zg_parent *p, uint32_t uid)
{
	struct zg_run *at = NULL;
	size_t same = 0;

	for (size_t i = 0; i < ZG_RUNS_MAX; i++) {
		if (!p->run[i].ticket)
			at = &p->run[i];
		else
			same += p->run[i].uid == uid;
	}
	return uid != 0 && same >= ZG_RUNS_UID_MAX ? NULL : at;
}

struct zg_run *zg_runs_find(struct zg_parent *p, uint64_t ticket)
{
	for (size_t i = 0; ticket && i < ZG_RUNS_MAX; i++)
		if (p->run[i].ticket == ticket)
			return &p->run[i];
	return NULL;
}

static void record(struct zg_parent *p, const struct zg_run *r, enum zg_record_kind kind)
{
	struct zg_record rec;
	char text[ZG_REASON_LEN];

	if (kind == ZG_RK_RUN_START)
		(void)snprintf(text, sizeof(text), "%s (pid %d) runs under profile %s", r->comm,
			       (int)r->pid, r->profile);
	else
		(void)snprintf(text, sizeof(text), "%s (pid %d) ended; refused %u times", r->comm,
			       (int)r->pid, r->refused);
	zg_record_init(&rec, kind);
	zg_record_str(&rec, ZG_RF_message, zg_slice_str(text));
	zg_record_str(&rec, ZG_RF_profile, zg_slice_str(r->profile));
	zg_record_str(&rec, ZG_RF_cgroup, zg_slice_str(r->path));
	zg_record_str(&rec, ZG_RF_comm, zg_slice_str(r->comm));
	ZG_REC_NUM(&rec, cgroup_id, r->cgroup_id);
	ZG_REC_NUM(&rec, pid, (uint64_t)r->pid);
	ZG_REC_NUM(&rec, uid, r->uid);
	if (kind == ZG_RK_RUN_END) {
		ZG_REC_NUM(&rec, count, r->refused);
		if (r->reported)
			ZG_REC_NUM(&rec, status, r->status);
	}
	(void)zg_events_record(p, &rec);
}

static bool alive(int pidfd)
{
	struct pollfd p = {.fd = pidfd, .events = POLLIN};

	return poll(&p, 1, 0) == 0;
}

/* A new cgroup below the profile's own, which is governed by then. */
static int make_cgroup(struct zg_parent *p, const char *home, uint32_t profile, struct zg_run *r,
		       struct zg_err *e)
{
	zg_autofd int dir = zg_cgroups_make(&p->cgroups, home, true);
	struct stat st;
	int n, fd;

	if (dir < 0)
		return zg_err_set(e, -dir, "cannot make the cgroup %s: %s", home, strerror(-dir));
	/* it may be so new that its arrival was not looked at yet */
	if (zg_cgroups_event(&p->cgroups) < 0 || zg_cgroups_profile(&p->cgroups, home) != profile)
		return zg_err_set(e, EAGAIN, "the cgroup %s is not governed by profile %s", home,
				  r->profile);
	n = snprintf(r->path, sizeof(r->path), "%s/" ZG_RUN_PREFIX "%llu", home,
		     (unsigned long long)p->run_next++);
	if (n < 0 || (size_t)n >= sizeof(r->path))
		return zg_err_set(e, ENAMETOOLONG, "the path of the cgroup is too long");
	fd = zg_cgroups_make(&p->cgroups, r->path, false);
	if (fd < 0 || fstat(fd, &st) < 0)
		return zg_err_set(e, errno, "cannot make the cgroup %s: %m", r->path);
	r->cgroup_id = st.st_ino;
	return fd;
}

/* Watch for "populated 0" first, so that a short life is not missed. */
static int move_in(struct zg_parent *p, struct zg_run *r, int dir, int pidfd, struct zg_err *e)
{
	zg_autofd int procs = openat(dir, "cgroup.procs", O_WRONLY | O_CLOEXEC);
	char text[64];
	int n;

	(void)snprintf(text, sizeof(text), "/proc/self/fd/%d/cgroup.events", dir);
	r->watch = inotify_add_watch(p->run_inotify, text, IN_MODIFY);
	n = snprintf(text, sizeof(text), "%d", (int)r->pid);
	if (r->watch < 0 || procs < 0 || write(procs, text, (size_t)n) != n)
		return zg_err_set(e, errno, "cannot move pid %d into %s: %m", (int)r->pid, r->path);
	/* alive now, so the number was its own when it was moved */
	if (!alive(pidfd))
		return zg_err_set(e, ESRCH, "the process that asked has ended");
	return 0;
}

static int choose(struct zg_parent *p, const struct zg_msg_ctl_run *ask, uint32_t peer_profile,
		  uint32_t *profile, const char **home, struct zg_err *e)
{
	int rc;

	*profile = profile_named(&p->snapshot, ask->profile);
	if (*profile == ZG_PROFILE_NONE) {
		rc = zg_err_set(e, ENOENT, "there is no profile '%s'", ask->profile);
		zg_err_hint(e, "profiles are defined in %s", p->config);
		return rc;
	}
	/* another profile may allow what this one denies */
	if (peer_profile != ZG_PROFILE_NONE && peer_profile != *profile)
		return zg_err_set(e, EPERM, "a governed process cannot change its profile");
	*home = home_of(&p->snapshot, *profile);
	if (!*home) {
		rc = zg_err_set(e, EINVAL, "profile %s names no cgroup without a pattern",
				zg_snapshot_profile(&p->snapshot, *profile));
		zg_err_hint(e, "add one such as zerogate.slice to its cgroups");
		return rc;
	}
	return 0;
}

int zg_runs_begin(struct zg_parent *p, const struct zg_msg_ctl_run *ask, pid_t pid, int pidfd,
		  uint32_t uid, uint32_t peer_profile, struct zg_msg_ctl_run_started *out,
		  struct zg_err *e)
{
	struct zg_run *slot = free_slot(p, uid), r = {.uid = uid, .pid = pid, .watch = -1};
	zg_autofd int dir = -1;
	uint32_t profile = ZG_PROFILE_NONE;
	const char *home = NULL;
	int rc;

	if (!slot)
		return zg_err_set(e, ENOSPC, "too many runs are under way");
	rc = choose(p, ask, peer_profile, &profile, &home, e);
	if (rc < 0)
		return rc;
	(void)zg_str_cut(r.profile, sizeof(r.profile),
			 zg_slice_str(zg_snapshot_profile(&p->snapshot, profile)));
	(void)zg_str_cut(r.comm, sizeof(r.comm), zg_slice_str(ask->comm));
	/* a ticket cannot be guessed by other processes of the same user */
	if (getrandom(&r.ticket, sizeof(r.ticket), 0) != sizeof(r.ticket) || !r.ticket)
		return zg_err_set(e, EIO, "no random ticket");
	dir = make_cgroup(p, home, profile, &r, e);
	if (dir < 0)
		return dir;
	rc = move_in(p, &r, dir, pidfd, e);
	if (rc < 0) {
		if (r.watch >= 0)
			(void)inotify_rm_watch(p->run_inotify, r.watch);
		(void)unlinkat(p->cgroups.root, r.path, AT_REMOVEDIR);
		return rc;
	}
	r.lost_before = zg_events_lost(p);
	*slot = r;
	record(p, slot, ZG_RK_RUN_START);
	*out = (struct zg_msg_ctl_run_started){.run = r.ticket};
	memcpy(out->cgroup, r.path, sizeof(out->cgroup));
	memcpy(out->profile, r.profile, sizeof(out->profile));
	zg_certs_paths(p, out->ca_file, out->ca_bundle);
	return 0;
}

void zg_runs_denied(struct zg_parent *p, const struct zg_event *ev, const char *what)
{
	struct zg_msg_ctl_run_denial *d;
	struct zg_run *r = NULL;

	for (size_t i = 0; i < ZG_RUNS_MAX && !r; i++)
		if (p->run[i].ticket && p->run[i].cgroup_id == ev->cgroup_id)
			r = &p->run[i];
	if (!r)
		return;
	r->refused++;
	for (uint32_t i = 0; i < r->denials; i++) {
		d = &r->denial[i];
		if (d->reason == ev->reason && strcmp(d->what, what) == 0) {
			d->count++;
			return;
		}
	}
	if (r->denials == ZG_RUN_DENIALS_MAX) {
		r->more++;
		return;
	}
	d = &r->denial[r->denials++];
	*d = (struct zg_msg_ctl_run_denial){.reason = ev->reason, .count = 1};
	(void)zg_str_cut(d->what, sizeof(d->what), zg_slice_str(what));
	(void)zg_str_cut(d->comm, sizeof(d->comm),
			 (struct zg_slice){ev->comm, strnlen(ev->comm, sizeof(ev->comm))});
}

static void finish(struct zg_parent *p, struct zg_run *r)
{
	if (!r->recorded)
		record(p, r, ZG_RK_RUN_END);
	r->recorded = true;
	if (r->ended_ms)
		*r = (struct zg_run){0};
}

void zg_runs_reported(struct zg_parent *p, struct zg_run *r, uint32_t status)
{
	r->reported = true;
	r->status = status;
	finish(p, r);
}

/* The cgroup's last process is gone: so is the cgroup. */
static void look(struct zg_parent *p, struct zg_run *r)
{
	if (r->ended_ms || unlinkat(p->cgroups.root, r->path, AT_REMOVEDIR) < 0) {
		if (r->ended_ms || errno != ENOENT)
			return; /* in use again, or still */
	}
	(void)inotify_rm_watch(p->run_inotify, r->watch);
	r->watch = -1;
	r->ended_ms = zg_parent_now_ms();
	if (r->reported)
		finish(p, r);
}

static void on_change(evutil_socket_t fd, short what, void *arg)
{
	_Alignas(struct inotify_event) char buf[4096];
	struct zg_parent *p = arg;
	ssize_t n;

	(void)what;
	while ((n = read((int)fd, buf, sizeof(buf))) > 0) {
		for (char *at = buf; at < buf + n;) {
			const struct inotify_event *ev = (const void *)at;

			for (size_t i = 0; i < ZG_RUNS_MAX; i++)
				if (p->run[i].ticket && p->run[i].watch == ev->wd &&
				    !(ev->mask & IN_IGNORED))
					look(p, &p->run[i]);
			at += sizeof(*ev) + ev->len;
		}
	}
}

/* Nobody asked for the report: its CLI is gone. Also catches what inotify
 * dropped. */
static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct zg_parent *p = arg;
	uint64_t now = zg_parent_now_ms();

	(void)fd;
	(void)what;
	for (size_t i = 0; i < ZG_RUNS_MAX; i++) {
		struct zg_run *r = &p->run[i];

		if (!r->ticket)
			continue;
		look(p, r);
		if (r->ticket && r->ended_ms && now - r->ended_ms > ZG_RUN_LINGER_SEC * 1000)
			finish(p, r);
	}
}

int zg_runs_start(struct zg_parent *p, struct zg_err *e)
{
	const struct timeval tick = {.tv_sec = 5};
	int rc;

	p->run = calloc(ZG_RUNS_MAX, sizeof(*p->run));
	p->run_inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (!p->run || p->run_inotify < 0)
		return zg_err_set(e, errno, "no room for runs: %m");
	/* numbers of a former life may still be in use */
	p->run_next = p->started_ns / 1000000;
	rc = zg_parent_watch(p, p->run_inotify, EV_READ | EV_PERSIST, NULL, on_change);
	if (rc == 0)
		rc = zg_parent_watch(p, -1, EV_PERSIST, &tick, on_tick);
	return rc < 0 ? zg_err_set(e, -rc, "no memory for runs") : 0;
}

void zg_runs_release(struct zg_parent *p)
{
	for (size_t i = 0; p->run && i < ZG_RUNS_MAX; i++)
		if (p->run[i].ticket && !p->run[i].ended_ms)
			(void)unlinkat(p->cgroups.root, p->run[i].path, AT_REMOVEDIR);
	free(p->run);
	p->run = NULL;
	zg_close_(&p->run_inotify);
	p->run_inotify = -1;
}
