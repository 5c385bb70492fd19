/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prepare.c - see prepare.h. Trust: root, before anything is served. Paths
 * come from a snapshot that an unprivileged role made; they are used as root
 * wrote them and nothing below them is followed blindly.
 */
#include "prepare.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <pwd.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#include "log.h"

#define CONTAINED "contained"
#define KEYS	  "keys"

static int resolve(char out[ZG_PATH_LEN], const char *folder, const char *prefix, const char *path,
		   struct zg_err *e)
{
	int n = path[0] == '/' ? snprintf(out, ZG_PATH_LEN, "%s%s", prefix, path)
			       : snprintf(out, ZG_PATH_LEN, "%s/%s", folder, path);

	if (n < 0 || n >= ZG_PATH_LEN)
		return zg_err_set(e, ENAMETOOLONG, "the path %s is too long", path);
	return 0;
}

/* The folder of a path. */
static void folder_of(char out[ZG_PATH_LEN], const char path[ZG_PATH_LEN])
{
	char *slash;

	memcpy(out, path, ZG_PATH_LEN);
	slash = strrchr(out, '/');
	if (slash)
		*slash = '\0';
}

/* What does not lead anywhere stays as it is: opening it says why. */
static int follow(char path[ZG_PATH_LEN], struct zg_err *e)
{
	zg_autofree char *full = realpath(path, NULL);

	if (full && !zg_str_cut(path, ZG_PATH_LEN, zg_slice_str(full)))
		return zg_err_set(e, ENAMETOOLONG, "the path %s is too long", full);
	return 0;
}

int zg_prepare_sources(struct zg_parent *p, struct zg_err *e)
{
	const struct zg_settings *s = &p->settings;
	const struct {
		char *out;
		const char *path;
	} paths[] = {{p->policies, s->policies},
		     {p->servers, s->servers},
		     {p->shadow_policies, s->shadow_policies}};
	char folder[ZG_PATH_LEN];
	int rc;

	memcpy(p->config, p->config_named, sizeof(p->config));
	rc = follow(p->config, e);
	folder_of(folder, p->config);
	for (size_t i = 0; rc == 0 && i < sizeof(paths) / sizeof(paths[0]); i++) {
		if (!paths[i].path[0])
			continue;
		rc = resolve(paths[i].out, folder, p->options->prefix, paths[i].path, e);
		if (rc == 0)
			rc = follow(paths[i].out, e);
	}
	return rc;
}

int zg_prepare_paths(struct zg_parent *p, struct zg_err *e)
{
	const struct zg_settings *s = &p->settings;
	const char *prefix = p->options->prefix;
	const struct {
		char *out;
		const char *prefix, *path;
	} paths[] = {
		{p->state_dir, prefix, s->state_dir},
		{p->runtime_dir, prefix, s->runtime_dir},
		{p->pin_dir, "", s->pin_dir},
	};
	char folder[ZG_PATH_LEN];
	int n;

	folder_of(folder, p->config);
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		int rc = resolve(paths[i].out, folder, paths[i].prefix, paths[i].path, e);

		if (rc < 0)
			return rc;
	}
	n = snprintf(p->registry, sizeof(p->registry), "%s/registry", p->state_dir);
	if (n < 0 || n >= (int)sizeof(p->registry))
		return zg_err_set(e, ENAMETOOLONG, "the path %s is too long", p->state_dir);
	return zg_prepare_sources(p, e);
}

/* users -------------------------------------------------------------------- */

static int find_user(const char *name, const char *what, uid_t *uid, gid_t *gid, struct zg_err *e)
{
	struct passwd *pw;
	int rc;

	errno = 0;
	pw = getpwnam(name);
	if (!pw) {
		rc = zg_err_set(e, ENOENT, "the user '%s' (%s) does not exist", name, what);
		zg_err_hint(e,
			    "systemd-sysusers, or: useradd --system --no-create-home --shell "
			    "/usr/sbin/nologin %s",
			    name);
		return rc;
	}
	if (pw->pw_uid == 0)
		return zg_err_set(e, EPERM, "%s must not be root", what);
	*uid = pw->pw_uid;
	*gid = pw->pw_gid;
	return 0;
}

int zg_prepare_users(struct zg_parent *p, struct zg_err *e)
{
	const struct zg_settings *s = &p->settings;
	int rc;

	rc = find_user(s->user, "user", &p->user_uid, &p->user_gid, e);
	if (rc == 0)
		rc = find_user(s->ledger_user, "ledger_user", &p->ledger_uid, &p->ledger_gid, e);
	if (rc < 0)
		return rc;
	if (p->user_uid == p->ledger_uid) {
		rc = zg_err_set(e, EINVAL, "user and ledger_user are the same");
		zg_err_hint(e, "a gateway must not be able to write the ledger's files");
		return rc;
	}
	return zg_people_find(&p->people, s, e);
}

/* folders ---------------------------------------------------------------------- */

/* mkdir -p; new folders get mode. */
static int make_folders(const char *path, mode_t mode, struct zg_err *e)
{
	char part[ZG_PATH_LEN];

	for (const char *at = path; *at; at++) {
		size_t n;

		if (at[1] != '/' && at[1] != '\0')
			continue;
		n = (size_t)(at - path) + 1;
		memcpy(part, path, n);
		part[n] = '\0';
		if (mkdir(part, at[1] ? 0755 : mode) < 0 && errno != EEXIST)
			return zg_err_set(e, errno, "cannot make the folder %s: %m", part);
	}
	return 0;
}

static int open_folder(const char *path, struct zg_err *e)
{
	int fd = open(path, O_DIRECTORY | O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? zg_err_set(e, errno, "cannot open the folder %s: %m", path) : fd;
}

static int lock(int fd, const char *path, struct zg_err *e)
{
	int rc;

	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno != EWOULDBLOCK)
		return zg_err_set(e, errno, "cannot lock %s: %m", path);
	rc = zg_err_set(e, EWOULDBLOCK, "another agent uses %s", path);
	zg_err_hint(e, "stop it, or give this one a runtime_dir and pin_dir of its own");
	return rc;
}

/* A bpffs must hold the pins; the usual one is mounted if it is missing. */
static int need_bpffs(const char *pin_dir, struct zg_err *e)
{
	static const char usual[] = "/sys/fs/bpf";
	char parent[ZG_PATH_LEN];
	struct statfs fs;
	char *slash;
	int rc;

	memcpy(parent, pin_dir, sizeof(parent));
	while (statfs(parent, &fs) < 0 && errno == ENOENT && (slash = strrchr(parent, '/')) &&
	       slash != parent)
		*slash = '\0';
	if (statfs(parent, &fs) == 0 && fs.f_type == BPF_FS_MAGIC)
		return 0;
	if (strncmp(pin_dir, usual, sizeof(usual) - 1) == 0 &&
	    mount("bpf", usual, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") == 0)
		return 0;
	rc = zg_err_set(e, EINVAL, "%s is not on a bpf file system", pin_dir);
	zg_err_hint(e, "mount -t bpf bpf %s", usual);
	return rc;
}

int zg_prepare_locks(struct zg_parent *p, struct zg_err *e)
{
	zg_autofd int runtime = -1, pins = -1;
	int rc;

	rc = make_folders(p->runtime_dir, 0755, e);
	if (rc < 0)
		return rc;
	runtime = open_folder(p->runtime_dir, e);
	rc = runtime < 0 ? runtime : lock(runtime, p->runtime_dir, e);
	if (rc == 0)
		rc = need_bpffs(p->pin_dir, e);
	if (rc == 0)
		rc = make_folders(p->pin_dir, 0700, e);
	if (rc < 0)
		return rc;
	pins = open_folder(p->pin_dir, e);
	rc = pins < 0 ? pins : lock(pins, p->pin_dir, e);
	if (rc < 0)
		return rc;
	p->runtime_lock = zg_take_fd(&runtime);
	p->pin_lock = zg_take_fd(&pins);
	return 0;
}

/* Root's folder in the ledger's: whoever else made one of that name is refused. */
static int open_own(int state, const char *name, struct zg_err *e)
{
	zg_autofd int fd = openat(state, name, O_DIRECTORY | O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return zg_err_set(e, errno, "cannot open %s in the state folder: %m", name);
	if (st.st_uid != 0 || (st.st_mode & 07777) != 0700)
		return zg_err_set(e, EPERM, "%s in the state folder is not root's alone", name);
	return zg_take_fd(&fd);
}

static bool is_there(int state, const char *name)
{
	struct stat st;

	return fstatat(state, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static bool make_own(int state, const char *name)
{
	return mkdirat(state, name, 0700) == 0 || errno == EEXIST;
}

int zg_prepare_state(struct zg_parent *p, struct zg_err *e)
{
	zg_autofd int fd = -1;
	struct stat st;
	int rc = make_folders(p->state_dir, 0700, e);

	if (rc < 0)
		return rc;
	fd = open_folder(p->state_dir, e);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return zg_err_set(e, errno, "cannot look at %s: %m", p->state_dir);
	if (st.st_uid != p->ledger_uid || st.st_gid != p->ledger_gid ||
	    (st.st_mode & 07777) != 0700 || !is_there(fd, CONTAINED) || !is_there(fd, KEYS)) {
		/* its mode and content are its owner's to change: ours, for a moment */
		if (fchown(fd, 0, 0) < 0 || fchmod(fd, 0700) < 0 || !make_own(fd, CONTAINED) ||
		    !make_own(fd, KEYS) || fchown(fd, p->ledger_uid, p->ledger_gid) < 0)
			return zg_err_set(e, errno, "cannot give %s to %s: %m", p->state_dir,
					  p->settings.ledger_user);
	}
	p->contained_dir = open_own(fd, CONTAINED, e);
	p->keys_dir = p->contained_dir < 0 ? p->contained_dir : open_own(fd, KEYS, e);
	return p->keys_dir < 0 ? p->keys_dir : zg_take_fd(&fd);
}

/* privileges ----------------------------------------------------------------------- */

#define CAP(n) (UINT64_C(1) << (n))

/* Each with what it is for; zerogated(8) lists them too. */
static const uint64_t needed =
	CAP(CAP_BPF) | CAP(CAP_PERFMON) | CAP(CAP_NET_ADMIN) | /* the kernel gate */
	CAP(CAP_SETUID) | CAP(CAP_SETGID) |		       /* children get ids of their own */
	CAP(CAP_KILL) |					       /* and are ended */
	CAP(CAP_SYS_PTRACE) |				       /* /proc/PID/exe of a caller */
	CAP(CAP_CHOWN) |				       /* the ledger's folder */
	CAP(CAP_DAC_READ_SEARCH); /* a cgroup's name from its id; the ledger's folder */

/* linux/prctl.h of the oldest supported build host knows none of it. */
enum { SET_MDWE = 65, MDWE_REFUSE_EXEC_GAIN = 1, MDWE_NO_INHERIT = 2 };

/* No memory becomes executable here, and no key lies in a core. Local servers
 * are started from here and may compile: they do not inherit the first, which
 * kernels before 6.6 cannot say; there it is left. */
static int harden(struct zg_err *e)
{
	const struct rlimit none = {0, 0};

	if (setrlimit(RLIMIT_CORE, &none) < 0)
		return zg_err_set(e, errno, "RLIMIT_CORE: %m");
	if (prctl(SET_MDWE, MDWE_REFUSE_EXEC_GAIN | MDWE_NO_INHERIT, 0, 0, 0) < 0 &&
	    errno != EINVAL && errno != EPERM)
		return zg_err_set(e, errno, "memory that is both written and executed: %m");
	return 0;
}

int zg_prepare_privileges(struct zg_err *e)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {0};
	uint64_t have;
	struct rlimit files;

	if (syscall(SYS_capget, &head, data) < 0)
		return zg_err_set(e, errno, "capget: %m");
	have = data[0].permitted | (uint64_t)data[1].permitted << 32;
	for (int cap = 0; cap <= CAP_LAST_CAP && (have & CAP(CAP_SETPCAP)); cap++)
		if (!(needed & CAP(cap)) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0 &&
		    errno != EINVAL)
			return zg_err_set(e, errno, "cannot drop capability %d: %m", cap);
	have &= needed;
	for (int i = 0; i < 2; i++) {
		data[i].permitted = data[i].effective = (uint32_t)(have >> (32 * i));
		data[i].inheritable = 0;
	}
	if (syscall(SYS_capset, &head, data) < 0)
		return zg_err_set(e, errno, "capset: %m");
	/* rings, channels, watches: more than the usual soft limit */
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &files) < 0)
			return zg_err_set(e, errno, "RLIMIT_NOFILE: %m");
	}
	return harden(e);
}
