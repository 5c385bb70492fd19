/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cgroup_member.c - see cgroup.h: which cgroups the profiles' globs name, now
 * and as they come and go. Trust: root watching a tree that others change at
 * any time; whoever makes a cgroup cannot choose to be overlooked, because a
 * folder is watched before it is listed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>

#include "cgroup.h"
#include "cgroup_impl.h"
#include "slice.h"

#define GLOB_DEPTH_MAX 32    /* components of a glob: deeper trees inherit */
#define WATCHES_MAX    16384 /* directories watched for new children */

void zg_cgroups_set_gate(struct zg_cgroups *c, const struct zg_cgroup_gate *gate)
{
	c->gate = *gate;
}

static struct zg_cgroup_entry *find_id(const struct zg_cgroups *c, uint64_t id)
{
	for (size_t i = 0; i < c->entries; i++)
		if (c->entry[i].id == id)
			return &c->entry[i];
	return NULL;
}

/* Room for one more of a growing table. */
static int grow(void **table, size_t *cap, size_t used, size_t size, size_t max)
{
	size_t more = *cap ? *cap * 2 : 64;
	void *p;

	if (used < *cap)
		return 0;
	if (used >= max)
		return -ENOSPC;
	p = reallocarray(*table, more, size);
	if (!p)
		return -ENOMEM;
	*table = p;
	*cap = more;
	return 0;
}

static void drop_entry(struct zg_cgroups *c, size_t i)
{
	c->entry[i] = c->entry[--c->entries];
}

/* removed cgroups ---------------------------------------------------------------- */

static int64_t now_sec(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

static void bury(struct zg_cgroup_entry *at)
{
	at->gone = now_sec() + 1; /* never 0 */
	at->path[0] = '\0';
}

static bool lingers(const struct zg_cgroups *c, const struct zg_cgroup_entry *at)
{
	return at->gone && now_sec() - at->gone < c->linger_sec;
}

static int release_entry(struct zg_cgroups *c, size_t i)
{
	int rc = c->gate.release(c->gate.arg, c->entry[i].id);

	if (rc < 0 && rc != -ENOENT)
		return rc;
	drop_entry(c, i);
	return 0;
}

static int release_gone(struct zg_cgroups *c)
{
	for (size_t i = c->entries; i-- > 0;) {
		int rc = 0;

		if (c->entry[i].gone && !lingers(c, &c->entry[i]))
			rc = release_entry(c, i);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* Those that live come first: the longest gone makes room. */
static bool make_room(struct zg_cgroups *c)
{
	size_t oldest = c->entries;

	for (size_t i = 0; i < c->entries; i++)
		if (c->entry[i].gone &&
		    (oldest == c->entries || c->entry[i].gone < c->entry[oldest].gone))
			oldest = i;
	return oldest < c->entries && release_entry(c, oldest) == 0;
}

size_t zg_cgroups_living(const struct zg_cgroups *c)
{
	size_t n = 0;

	for (size_t i = 0; i < c->entries; i++)
		n += !c->entry[i].gone;
	return n;
}

/* membership ---------------------------------------------------------------------- */

static int tell_gate(struct zg_cgroups *c, uint64_t id, uint32_t profile)
{
	int rc = c->gate.govern(c->gate.arg, id, profile);

	while ((rc == -E2BIG || rc == -ENOSPC) && make_room(c))
		rc = c->gate.govern(c->gate.arg, id, profile);
	return rc;
}

static int set_member(struct zg_cgroups *c, uint64_t id, const char *path, uint32_t profile,
		      bool fixed, bool tell)
{
	struct zg_cgroup_entry *at;
	int rc;

	if (tell) { /* the gate may have renumbered it: never trust what we remember */
		rc = tell_gate(c, id, profile);
		if (rc < 0)
			return rc;
	}
	at = find_id(c, id);
	if (!at) {
		rc = grow((void **)&c->entry, &c->entry_cap, c->entries, sizeof(*c->entry),
			  ZG_GOVERNED_MAX);
		if (rc < 0)
			return rc;
	}
	if (!at)
		at = &c->entry[c->entries++];
	*at = (struct zg_cgroup_entry){.id = id, .profile = profile, .fixed = fixed, .seen = true};
	(void)zg_str_cut(at->path, sizeof(at->path), zg_slice_str(path));
	c->unsettled = true;
	return 0;
}

int zg_cgroups_govern(struct zg_cgroups *c, uint64_t id, const char *path, uint32_t profile)
{
	return set_member(c, id, path, profile, true, true);
}

int zg_cgroups_adopt(struct zg_cgroups *c, uint64_t id, uint32_t profile)
{
	struct zg_cgroup_entry *known = find_id(c, id);
	char path[ZG_CGROUP_LEN];
	int rc;

	if (known && known->gone)
		known->profile = profile; /* a reload may have renumbered it */
	if (known)
		return 0;
	rc = zg_cgroups_path(c, id, path);
	if (rc < 0 && rc != -ENOENT && rc != -EXDEV)
		return rc;
	rc = set_member(c, id, path, profile, false, false);
	if (rc == 0 && !path[0])
		bury(find_id(c, id));
	return rc;
}

bool zg_cgroup_leads_to(const char *glob, const char *path)
{
	size_t n = zg_cgroup_head(glob, zg_cgroup_depth(path));
	char head[ZG_CGROUP_LEN];

	if (!path[0])
		return true;
	memcpy(head, glob, n);
	head[n] = '\0';
	return fnmatch(head, path, FNM_PATHNAME | FNM_PERIOD) == 0;
}

static uint32_t match(const struct zg_cgroup_def *defs, size_t count, const char *path)
{
	for (size_t i = 0; path[0] && i < count; i++)
		if (zg_cgroup_depth(defs[i].glob) == zg_cgroup_depth(path) &&
		    zg_cgroup_leads_to(defs[i].glob, path))
			return defs[i].profile;
	return ZG_PROFILE_NONE;
}

/* Could a child of path be named by a glob? */
static bool leads_below(const struct zg_cgroups *c, const char *path)
{
	for (size_t i = 0; i < c->defs; i++)
		if (zg_cgroup_depth(c->def[i].glob) > zg_cgroup_depth(path) &&
		    zg_cgroup_leads_to(c->def[i].glob, path))
			return true;
	return false;
}

static int watch(struct zg_cgroups *c, int dir, const char *path)
{
	struct stat st;
	char proc[64];
	int wd, rc;

	if (fstat(dir, &st) < 0)
		return -errno;
	(void)snprintf(proc, sizeof(proc), "/proc/self/fd/%d", dir);
	wd = inotify_add_watch(c->inotify, proc, IN_CREATE | IN_DELETE | IN_ONLYDIR);
	if (wd < 0)
		return -errno;
	for (size_t i = 0; i < c->watches; i++)
		if (c->watch[i].wd == wd)
			return 0;
	rc = grow((void **)&c->watch, &c->watch_cap, c->watches, sizeof(*c->watch), WATCHES_MAX);
	if (rc < 0) {
		(void)inotify_rm_watch(c->inotify, wd);
		return rc;
	}
	c->watch[c->watches].wd = wd;
	c->watch[c->watches].id = st.st_ino;
	(void)zg_str_cut(c->watch[c->watches].path, ZG_CGROUP_LEN, zg_slice_str(path));
	c->watches++;
	c->unsettled = true;
	return 0;
}

/* Govern path if a glob names it, watch it and look below it if one leads
 * there. A directory that vanishes meanwhile is no error. */
static int visit(struct zg_cgroups *c, const char *path, int depth)
{
	uint32_t profile = match(c->def, c->defs, path);
	zg_autofd int fd = zg_cgroup_open(c->root, path);
	struct dirent *de;
	struct stat st;
	DIR *dir;
	int rc;

	if (fd < 0)
		return fd == -ENOENT || fd == -ENOTDIR || fd == -ENODEV ? 0 : fd;
	if (profile != ZG_PROFILE_NONE && strcmp(path, c->own) != 0) {
		if (fstat(fd, &st) < 0)
			return -errno;
		rc = set_member(c, st.st_ino, path, profile, false, true);
		if (rc < 0)
			return rc;
	}
	if (depth >= GLOB_DEPTH_MAX || !leads_below(c, path))
		return 0;
	rc = watch(c, fd, path); /* before the look: nothing appears unseen */
	if (rc < 0)
		return rc;
	dir = fdopendir(fd);
	if (!dir)
		return -errno;
	(void)zg_take_fd(&fd);
	while (rc == 0 && (de = readdir(dir))) {
		char child[ZG_CGROUP_LEN];

		if (de->d_type == DT_DIR && de->d_name[0] != '.' &&
		    zg_cgroup_join(child, sizeof(child), path, de->d_name))
			rc = visit(c, child, depth + 1);
	}
	(void)closedir(dir);
	return rc;
}

int zg_cgroups_follow(struct zg_cgroups *c, const struct zg_cgroup_def *defs, size_t count,
		      struct zg_err *e)
{
	struct zg_cgroup_def *copy = calloc(count ? count : 1, sizeof(*copy));
	int rc;

	if (!copy)
		return zg_err_set(e, ENOMEM, "no memory for the profiles' cgroups");
	memcpy(copy, defs, count * sizeof(*copy));
	free(c->def);
	c->def = copy;
	c->defs = count;
	for (size_t i = 0; i < c->entries; i++)
		c->entry[i].seen = c->entry[i].fixed;
	rc = visit(c, "", 0);
	if (rc < 0)
		return zg_err_set(e, -rc, "cannot govern the profiles' cgroups: %s", strerror(-rc));
	for (size_t i = c->entries; i-- > 0;) {
		if (c->entry[i].seen || lingers(c, &c->entry[i]))
			continue;
		rc = release_entry(c, i);
		if (rc < 0)
			return zg_err_set(e, -rc, "cannot release the cgroup %s: %s",
					  c->entry[i].path, strerror(-rc));
	}
	rc = zg_cgroups_settled(c);
	return rc < 0 ? zg_err_set(e, -rc, "cannot watch the profiles' cgroups: %s", strerror(-rc))
		      : 0;
}

int zg_cgroups_release(struct zg_cgroups *c, uint64_t id)
{
	int rc = c->gate.release(c->gate.arg, id);

	for (size_t i = c->entries; i-- > 0;)
		if (c->entry[i].id == id)
			drop_entry(c, i);
	return rc == -ENOENT ? 0 : rc;
}

void zg_cgroups_retire(struct zg_cgroups *c, uint64_t id)
{
	struct zg_cgroup_entry *at = find_id(c, id);

	if (!at)
		return;
	at->fixed = false;
	bury(at);
}

static void forget(struct zg_cgroups *c, const char *path)
{
	for (size_t i = 0; i < c->entries; i++) {
		if (c->entry[i].fixed || strcmp(c->entry[i].path, path) != 0)
			continue;
		bury(&c->entry[i]);
		return;
	}
	/* the kernel may have governed it as it was made */
	c->unheard |= match(c->def, c->defs, path) != ZG_PROFILE_NONE;
}

static int one_event(struct zg_cgroups *c, const struct inotify_event *ev)
{
	char path[ZG_CGROUP_LEN];

	if (ev->mask & IN_Q_OVERFLOW) {
		c->unheard = true;
		return visit(c, "", 0);
	}
	for (size_t i = 0; i < c->watches; i++) {
		if (c->watch[i].wd != ev->wd)
			continue;
		if (ev->mask & IN_IGNORED) {
			c->watch[i] = c->watch[--c->watches];
			c->unsettled = true;
			return 0;
		}
		if (!(ev->mask & IN_ISDIR) ||
		    !zg_cgroup_join(path, sizeof(path), c->watch[i].path, ev->name))
			return 0;
		/* a directory of this name may have come and gone and come again */
		if (ev->mask & IN_DELETE)
			forget(c, path);
		return visit(c, path, (int)zg_cgroup_depth(path));
	}
	return 0;
}

int zg_cgroups_event(struct zg_cgroups *c)
{
	_Alignas(struct inotify_event) char buf[4096];
	ssize_t n;
	int rc = 0;

	while ((n = read(c->inotify, buf, sizeof(buf))) > 0) {
		for (char *at = buf; at < buf + n;) {
			const struct inotify_event *ev = (const struct inotify_event *)(void *)at;
			int one = one_event(c, ev);

			rc = rc < 0 ? rc : one;
			at += sizeof(*ev) + ev->len;
		}
	}
	if (n < 0 && errno != EAGAIN)
		return -errno;
	if (c->unheard && rc == 0 && c->gate.sweep)
		rc = c->gate.sweep(c->gate.arg);
	c->unheard = c->unheard && rc < 0;
	if (rc == 0)
		rc = release_gone(c);
	if (c->unsettled && rc == 0)
		rc = zg_cgroups_settled(c);
	return rc;
}

uint32_t zg_cgroups_profile(const struct zg_cgroups *c, const char *path)
{
	size_t n = strlen(path);

	while (n) {
		for (size_t i = 0; i < c->entries; i++)
			if (strncmp(c->entry[i].path, path, n) == 0 && !c->entry[i].path[n])
				return c->entry[i].profile;
		while (n && path[--n] != '/')
			;
	}
	return ZG_PROFILE_NONE;
}
