/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cgroup.c - see cgroup.h: the tree, our place in it, names. Trust: root
 * acting on a tree in which others may create and remove directories at any
 * time; a path is resolved below the root's descriptor and never followed out
 * of it.
 */
#include "cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

#include "cgroup_impl.h"
#include "slice.h"

#define MARK	      "user.zerogate"
#define FILEID_KERNFS 0xfe /* open_by_handle_at of a cgroup by its id */

static const char *const roles[] = {"parent", "gateway", "resolver", "ledger",
				    "config", "canary",	 "servers",  "notify"};

/* paths ------------------------------------------------------------------- */

bool zg_cgroup_join(char *out, size_t size, const char *a, const char *b)
{
	int n = snprintf(out, size, "%s%s%s", a, a[0] && b[0] ? "/" : "", b);

	return n >= 0 && (size_t)n < size;
}

size_t zg_cgroup_head(const char *text, size_t n)
{
	const char *at = text;

	while (n && *at) {
		at = strchrnul(at, '/');
		if (--n && *at)
			at++;
	}
	return (size_t)(at - text);
}

size_t zg_cgroup_depth(const char *path)
{
	size_t n = path[0] != '\0';

	for (; *path; path++)
		n += *path == '/';
	return n;
}

int zg_cgroup_open(int root, const char *path)
{
	int fd =
		openat(root, path[0] ? path : ".", O_DIRECTORY | O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	return fd < 0 ? -errno : fd;
}

/* root -------------------------------------------------------------------- */

/* Longest cgroup2 mount point that holds path, or the first if path is "". */
static int find_mount(const char *path, char out[ZG_PATH_LEN])
{
	zg_autofree char *line = NULL;
	zg_autofile FILE *f = fopen("/proc/self/mountinfo", "re");
	size_t cap = 0, best = 0;
	bool found = false;

	if (!f)
		return -errno;
	while (getline(&line, &cap, f) > 0) {
		char point[ZG_PATH_LEN];
		const char *tail = strstr(line, " - ");
		size_t n;

		if (!tail || strncmp(tail, " - cgroup2 ", 11) != 0 ||
		    sscanf(line, "%*s %*s %*s %*s %511s", point) != 1)
			continue;
		n = strlen(point);
		if (path[0] &&
		    (strncmp(path, point, n) != 0 || (path[n] != '/' && path[n] != '\0')))
			continue;
		if (found && (!path[0] || n <= best))
			continue;
		found = true;
		best = n;
		memcpy(out, point, n + 1);
	}
	return found ? 0 : -ENOENT;
}

/* "0::/path" of /proc/PID/cgroup. */
static int read_membership(const char *file, char out[ZG_PATH_LEN])
{
	zg_autofree char *line = NULL;
	zg_autofile FILE *f = fopen(file, "re");
	size_t cap = 0;
	ssize_t n;

	if (!f)
		return errno == ENOENT ? -ESRCH : -errno;
	while ((n = getline(&line, &cap, f)) > 0) {
		if (strncmp(line, "0::", 3) != 0)
			continue;
		if (line[n - 1] == '\n')
			line[n - 1] = '\0';
		return zg_str_cut(out, ZG_PATH_LEN, zg_slice_str(line + 3)) ? 0 : -ENAMETOOLONG;
	}
	return -ESRCH;
}

int zg_cgroups_open(struct zg_cgroups *c, const char *path, struct zg_err *e)
{
	char mount[ZG_PATH_LEN];
	struct statfs fs;
	int rc;

	*c = (struct zg_cgroups){.root = -1, .inotify = -1, .linger_sec = ZG_CGROUP_LINGER_SEC};
	rc = find_mount(path, mount);
	if (rc < 0) {
		rc = zg_err_set(e, -rc, "no cgroup2 file system holds %s",
				path[0] ? path : "this machine's cgroups");
		zg_err_hint(e, "mount -t cgroup2 cgroup2 /sys/fs/cgroup");
		return rc;
	}
	if (!path[0])
		path = mount;
	c->root = open(path, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	if (c->root < 0 || fstatfs(c->root, &fs) < 0)
		return zg_err_set(e, errno, "cannot open the cgroup root %s: %m", path);
	if (fs.f_type != CGROUP2_SUPER_MAGIC)
		return zg_err_set(e, EINVAL, "%s is not in a cgroup2 file system", path);
	(void)zg_str_cut(c->root_path, sizeof(c->root_path), zg_slice_str(path));
	(void)zg_str_cut(c->root_name, sizeof(c->root_name), zg_slice_str(path + strlen(mount)));
	for (size_t n = strlen(c->root_name); n && c->root_name[n - 1] == '/'; n--)
		c->root_name[n - 1] = '\0';
	c->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (c->inotify < 0)
		return zg_err_set(e, errno, "inotify: %m");
	return 0;
}

void zg_cgroups_close(struct zg_cgroups *c)
{
	zg_close_(&c->root);
	zg_close_(&c->inotify);
	free(c->entry);
	free(c->watch);
	free(c->def);
	*c = (struct zg_cgroups){.root = -1, .inotify = -1};
}

/* Path below the root of a name from /proc/PID/cgroup. */
static int below_root(const struct zg_cgroups *c, const char *name, char *out, size_t size)
{
	size_t n = strlen(c->root_name);

	if (strncmp(name, c->root_name, n) != 0 || name[n] != '/' ||
	    strncmp(name + n, "/..", 3) == 0)
		return -EXDEV;
	return zg_str_cut(out, size, zg_slice_str(name + n + 1)) ? 0 : -ENAMETOOLONG;
}

int zg_cgroups_of_pid(const struct zg_cgroups *c, pid_t pid, char out[ZG_CGROUP_LEN])
{
	char file[64], name[ZG_PATH_LEN];
	int rc;

	(void)snprintf(file, sizeof(file), "/proc/%d/cgroup", (int)pid);
	rc = read_membership(file, name);
	return rc < 0 ? rc : below_root(c, name, out, ZG_CGROUP_LEN);
}

int zg_cgroups_path(const struct zg_cgroups *c, uint64_t id, char out[ZG_CGROUP_LEN])
{
	union {
		struct file_handle handle;
		char space[sizeof(struct file_handle) + sizeof(uint64_t)];
	} h = {.handle = {.handle_bytes = sizeof(id), .handle_type = FILEID_KERNFS}};
	char link[64], path[PATH_MAX];
	size_t n = strlen(c->root_path);
	zg_autofd int fd = -1;
	ssize_t len;

	out[0] = '\0';
	memcpy(h.space + sizeof(struct file_handle), &id, sizeof(id));
	fd = open_by_handle_at(c->root, &h.handle, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return errno == ESTALE ? -ENOENT : -errno;
	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, path, sizeof(path) - 1);
	if (len < 0)
		return -errno;
	path[len] = '\0';
	if (strncmp(path, c->root_path, n) != 0 || (path[n] != '/' && path[n] != '\0'))
		return -EXDEV;
	if (zg_str_cut(out, ZG_CGROUP_LEN, zg_slice_str(path[n] ? path + n + 1 : "")))
		return 0;
	/* the end of a path says more than its start */
	memcpy(out, "...", 3);
	memcpy(out + 3, path + len - (ZG_CGROUP_LEN - 4), ZG_CGROUP_LEN - 3);
	return 0;
}

int zg_cgroups_make(const struct zg_cgroups *c, const char *path, bool mark)
{
	size_t count = zg_cgroup_depth(path);
	char part[ZG_CGROUP_LEN];
	int fd;

	for (size_t i = 1; i <= count; i++) {
		size_t n = zg_cgroup_head(path, i);

		if (n >= sizeof(part))
			return -ENAMETOOLONG;
		memcpy(part, path, n);
		part[n] = '\0';
		if (mkdirat(c->root, part, 0755) < 0) {
			if (errno != EEXIST)
				return -errno;
			continue;
		}
		fd = zg_cgroup_open(c->root, part);
		if (fd >= 0 && mark)
			(void)fsetxattr(fd, MARK, "1", 1, 0); /* without it, it merely stays */
		zg_close_(&fd);
	}
	return zg_cgroup_open(c->root, path);
}

/* the agent's own ---------------------------------------------------------- */

static int write_to(int dir, const char *name, const char *text)
{
	zg_autofd int fd = openat(dir, name, O_WRONLY | O_CLOEXEC);

	return fd < 0 || write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

static int enter(int dir)
{
	return write_to(dir, "cgroup.procs", "0");
}

int zg_cgroups_settle(struct zg_cgroups *c, struct zg_err *e)
{
	static const char service[] = ".service";
	char here[ZG_CGROUP_LEN];
	size_t n;
	int rc;

	rc = read_membership("/proc/self/cgroup", c->home);
	if (rc < 0)
		return zg_err_set(e, -rc, "cannot read /proc/self/cgroup: %s", strerror(-rc));
	c->own_made = true;
	if (below_root(c, c->home, here, sizeof(here)) == 0) {
		n = strlen(here);
		c->own_made = n < sizeof(service) ||
			      strcmp(here + n - (sizeof(service) - 1), service) != 0;
	}
	(void)zg_str_cut(c->own, sizeof(c->own),
			 zg_slice_str(c->own_made ? "zerogate.agent" : here));
	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
		char path[ZG_CGROUP_LEN];
		zg_autofd int dir = -1;

		if (!zg_cgroup_join(path, sizeof(path), c->own, roles[i]))
			return zg_err_set(e, ENAMETOOLONG, "the path of our cgroup is too long");
		dir = zg_cgroups_make(c, path, c->own_made);
		rc = dir < 0 ? dir : 0;
		if (rc == 0 && i == 0)
			rc = enter(dir);
		if (rc < 0) {
			rc = zg_err_set(e, -rc, "cannot %s the cgroup %s/%s: %s",
					dir < 0 ? "make" : "enter", c->root_path, path,
					strerror(-rc));
			zg_err_hint(e, "run zerogated as root; in a unit, set Delegate=yes");
			return rc;
		}
	}
	return 0;
}

/* Until no process is in it. 0, -ETIMEDOUT. */
static int await_empty(int dir, int timeout_ms)
{
	zg_autofd int fd = openat(dir, "cgroup.events", O_RDONLY | O_CLOEXEC);
	struct pollfd p = {.fd = fd, .events = POLLPRI};

	for (;;) {
		char text[256];
		ssize_t n = fd < 0 ? -1 : pread(fd, text, sizeof(text) - 1, 0);

		if (n < 0)
			return -errno;
		text[n] = '\0';
		if (strstr(text, "populated 0"))
			return 0;
		/* the kernel marks a change since the last read */
		if (poll(&p, 1, timeout_ms) == 0)
			return -ETIMEDOUT;
	}
}

/* The empty cgroups of a former agent's servers. */
static void remove_below(int dir)
{
	int fd = openat(dir, ".", O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *de;

	if (!d) {
		zg_close_(&fd);
		return;
	}
	while ((de = readdir(d)))
		if (de->d_type == DT_DIR && de->d_name[0] != '.')
			(void)unlinkat(fd, de->d_name, AT_REMOVEDIR);
	(void)closedir(d);
}

int zg_cgroups_clear(const struct zg_cgroups *c, struct zg_err *e)
{
	static const char *const left[] = {"gateway", "resolver", "config", "canary",
					   "servers", "notify",	  "ledger"};

	for (size_t i = 0; i < sizeof(left) / sizeof(left[0]); i++) {
		zg_autofd int dir = zg_cgroups_role(c, left[i], NULL);
		bool ledger = strcmp(left[i], "ledger") == 0;
		int rc = dir < 0 ? dir : -ETIMEDOUT;

		if (dir >= 0 && ledger)
			rc = await_empty(dir, ZG_LEDGER_END_SEC * 1000);
		if (rc == -ETIMEDOUT)
			rc = write_to(dir, "cgroup.kill", "1");
		if (rc == 0)
			rc = await_empty(dir, ZG_LEDGER_END_SEC * 1000);
		if (rc == 0 && (strcmp(left[i], "servers") == 0 || strcmp(left[i], "notify") == 0))
			remove_below(dir);
		if (rc < 0)
			return zg_err_set(e, -rc, "a former agent's %s does not end: %s", left[i],
					  strerror(-rc));
	}
	return 0;
}

void zg_cgroups_leave(struct zg_cgroups *c)
{
	char path[ZG_CGROUP_LEN];
	zg_autofd int home = -1;

	if (!c->own_made) /* a service's cgroup is the service manager's to remove */
		return;
	/* the way back leads through the mount, which may be above the root */
	if (c->home[0]) {
		size_t mount = strlen(c->root_path) - strlen(c->root_name);
		char back[2 * ZG_PATH_LEN];

		(void)snprintf(back, sizeof(back), "%.*s%s", (int)mount, c->root_path, c->home);
		home = open(back, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	}
	if (home >= 0 && enter(home) < 0)
		return; /* what we still occupy cannot be removed */
	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
		if (zg_cgroup_join(path, sizeof(path), c->own, roles[i]))
			(void)unlinkat(c->root, path, AT_REMOVEDIR);
	(void)unlinkat(c->root, c->own, AT_REMOVEDIR);
}

int zg_cgroups_role(const struct zg_cgroups *c, const char *role, uint64_t *id)
{
	char path[ZG_CGROUP_LEN];
	struct stat st;
	int fd;

	if (!zg_cgroup_join(path, sizeof(path), c->own, role))
		return -ENAMETOOLONG;
	fd = zg_cgroup_open(c->root, path);
	if (fd >= 0 && id) {
		if (fstat(fd, &st) < 0) {
			int rc = -errno;

			(void)close(fd);
			return rc;
		}
		*id = st.st_ino;
	}
	return fd;
}

/* clean up ------------------------------------------------------------------- */

bool zg_cgroup_literal(const char *glob)
{
	return glob[0] && !strpbrk(glob, "*?[\\");
}

static void sweep_runs(const struct zg_cgroups *c, const char *path)
{
	int fd = zg_cgroup_open(c->root, path);
	struct dirent *de;
	DIR *dir;

	if (fd < 0)
		return;
	dir = fdopendir(fd);
	if (!dir) {
		(void)close(fd);
		return;
	}
	while ((de = readdir(dir)))
		if (de->d_type == DT_DIR &&
		    strncmp(de->d_name, ZG_RUN_PREFIX, strlen(ZG_RUN_PREFIX)) == 0)
			(void)unlinkat(fd, de->d_name, AT_REMOVEDIR); /* EBUSY: in use */
	(void)closedir(dir);
}

void zg_cgroups_sweep(const struct zg_cgroups *c, const struct zg_cgroup_def *defs, size_t count,
		      bool marked)
{
	for (size_t i = 0; i < count; i++) {
		zg_autofd int fd = -1;
		char mark;

		if (!zg_cgroup_literal(defs[i].glob))
			continue;
		sweep_runs(c, defs[i].glob);
		fd = marked ? zg_cgroup_open(c->root, defs[i].glob) : -1;
		if (fd >= 0 && fgetxattr(fd, MARK, &mark, 1) == 1)
			(void)unlinkat(c->root, defs[i].glob, AT_REMOVEDIR);
	}
}
