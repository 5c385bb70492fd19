/* SPDX-License-Identifier: Apache-2.0 */
/*
 * launch.c - see launch.h. Trust: runs in a child that is still root until its
 * ids are dropped; everything that names a file comes after that, so that the
 * server's identity decides what it may open. The child's memory is the
 * parent's until it executes: it stays undumpable, so that nobody of the same
 * uid can look into it.
 */
#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "digest.h"
#include "zg_limits.h"

#define STATUS 3 /* where the child keeps its status descriptor */
#define CGROUP 4

#define MAP_LINES 340 /* the kernel takes no more of one id map */

/* private tmp ---------------------------------------------------------------- */

static int write_map(pid_t pid, const char *which, const char *text)
{
	zg_autofd int fd = -1;
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, which);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	return fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) ? -errno : 0;
}

/* Every group once: a map with one twice is refused. */
static int map_groups(const struct zg_launch *l, pid_t pid)
{
	char text[4096];
	size_t n = 0;

	for (size_t i = 0; i <= l->group_count && i < MAP_LINES; i++) {
		gid_t gid = i ? l->groups[i - 1] : l->gid;
		bool known = i && gid == l->gid;
		int k;

		for (size_t j = 1; j < i; j++)
			known |= l->groups[j - 1] == gid;
		if (known)
			continue;
		k = snprintf(text + n, sizeof(text) - n, "%u %u 1\n", gid, gid);
		if (k < 0 || (size_t)k >= sizeof(text) - n)
			return -E2BIG;
		n += (size_t)k;
	}
	return write_map(pid, "gid_map", text);
}

/*
 * A user namespace in which the server's ids are themselves, so that it can have
 * a mount namespace: the agent has no right to make one in the machine's own.
 * The ids can be mapped only from outside: a second child stays there and does it.
 */
static const char *own_namespace(const struct zg_launch *l)
{
	pid_t self = getpid(), helper;
	int pair[2], status = -1;
	char text[64];
	char byte = 0;

	if (pipe2(pair, O_CLOEXEC) < 0)
		return "make a pipe";
	helper = fork();
	if (helper == 0) {
		int rc;

		(void)close(pair[1]);
		if (read(pair[0], &byte, 1) != 1)
			_exit(1);
		(void)snprintf(text, sizeof(text), "%u %u 1\n", l->uid, l->uid);
		rc = map_groups(l, self);
		if (rc == 0)
			rc = write_map(self, "uid_map", text);
		_exit(rc < 0 ? -rc : 0);
	}
	(void)close(pair[0]);
	if (helper < 0)
		return "fork";
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0) {
		int error = errno;

		(void)close(pair[1]);
		(void)waitpid(helper, NULL, 0);
		errno = error;
		return "have a /tmp of its own (user namespaces; \"private_tmp\": false does "
		       "without)";
	}
	if (write(pair[1], &byte, 1) != 1)
		return "wake its helper";
	(void)close(pair[1]);
	if (waitpid(helper, &status, 0) < 0 || !WIFEXITED(status) || WEXITSTATUS(status)) {
		errno = WIFEXITED(status) ? WEXITSTATUS(status) : EIO;
		return "map its ids";
	}
	return NULL;
}

/* Not of root's in there, whom nobody maps: then nothing could be written. */
static const char *own_tmp(void)
{
	static const char *const places[] = {"/tmp", "/var/tmp", "/dev/shm"};

	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		return "cut itself off from other mounts";
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (mount("tmpfs", places[i], "tmpfs", MS_NOSUID | MS_NODEV,
			  "mode=1777,size=" ZG_STDIO_TMP_BYTES) < 0 &&
		    errno != ENOENT)
			return "mount a /tmp of its own";
	return NULL;
}

/* identity ---------------------------------------------------------------------- */

static const char *drop_capabilities(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	const struct __user_cap_data_struct none[2] = {0};

	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 && errno != EINVAL)
		return "drop its ambient capabilities";
	return syscall(SYS_capset, &head, none) < 0 ? "drop its capabilities" : NULL;
}

static const char *take_identity(const struct zg_launch *l)
{
	uid_t r, eff, saved;

	errno = EPERM;
	if (l->uid == 0 || setgroups(l->group_count, l->groups) < 0 ||
	    setresgid(l->gid, l->gid, l->gid) < 0 || setresuid(l->uid, l->uid, l->uid) < 0)
		return "take its ids";
	if (getresuid(&r, &eff, &saved) < 0 || r != l->uid || eff != l->uid || saved != l->uid)
		return "take its ids for good";
	return NULL;
}

static const char *become(const struct zg_launch *l)
{
	const char *failed = l->private_tmp ? own_namespace(l) : NULL;

	if (!failed)
		failed = take_identity(l);
	if (!failed && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		failed = "hide its memory";
	if (!failed && l->private_tmp)
		failed = own_tmp();
	if (!failed)
		failed = drop_capabilities();
	if (!failed && setuid(0) == 0)
		failed = "renounce root";
	return failed;
}

/* surroundings ------------------------------------------------------------------- */

static const char *place_descriptors(const struct zg_launch *l)
{
	int kept[5] = {l->std[0], l->std[1], l->std[2], l->status, l->cgroup};

	/* out of each other's way first */
	for (size_t i = 0; i < 5; i++) {
		kept[i] = fcntl(kept[i], F_DUPFD_CLOEXEC, 16);
		if (kept[i] < 0)
			return "keep its descriptors";
	}
	for (int i = 0; i < 5; i++)
		if (dup3(kept[i], i, i > 2 ? O_CLOEXEC : 0) < 0 && errno != EINVAL)
			return "place its descriptors";
	return syscall(SYS_close_range, CGROUP + 1, ~0U, 0) < 0 ? "close stray descriptors" : NULL;
}

static const char *join_cgroup(void)
{
	zg_autofd int fd = openat(CGROUP, "cgroup.procs", O_WRONLY | O_CLOEXEC);

	return fd < 0 || write(fd, "0", 1) != 1 ? "join its cgroup" : NULL;
}

static bool limit(int what, rlim_t value)
{
	const struct rlimit r = {value, value};

	return setrlimit(what, &r) == 0;
}

static const char *set_limits(const struct zg_launch *l)
{
	if (!limit(RLIMIT_CORE, 0) || !limit(RLIMIT_NOFILE, ZG_STDIO_FILES) ||
	    !limit(RLIMIT_MEMLOCK, 65536) || !limit(RLIMIT_MSGQUEUE, 0))
		return "set its limits";
	return l->processes && !limit(RLIMIT_NPROC, l->processes) ? "set its limits" : NULL;
}

static const char *set_signals(void)
{
	sigset_t none;

	for (int i = 1; i < NSIG; i++)
		(void)signal(i, SIG_DFL); /* fails for KILL and STOP, rightly */
	(void)sigemptyset(&none);
	return sigprocmask(SIG_SETMASK, &none, NULL) < 0 ? "set its signals" : NULL;
}

/* the executable ------------------------------------------------------------------ */

static bool only_root_writes(const struct stat *st)
{
	return st->st_uid == 0 && !(st->st_mode & (S_IWGRP | S_IWOTH));
}

/* A copy that nobody can write to any more. */
static int seal_copy(int from, size_t bytes)
{
	zg_autofd int fd = memfd_create("server", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	size_t done = 0;

	while (fd >= 0 && done < bytes) {
		char part[65536];
		ssize_t n = read(from, part, sizeof(part));

		if (n <= 0 || write(fd, part, (size_t)n) != n)
			return n < 0 ? -errno : -EIO;
		done += (size_t)n;
	}
	if (fd < 0 || fchmod(fd, 0500) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
		return -errno;
	return zg_take_fd(&fd);
}

static const char *check_hash(const struct zg_launch *l, int *fd, const struct stat *st)
{
	size_t bytes = (size_t)st->st_size;
	uint8_t hash[32];
	void *map;
	int copy;

	errno = EFBIG;
	if (!bytes || st->st_size > ZG_STDIO_HASH_BYTES)
		return "hash the command: it is empty or too large";
	if (!only_root_writes(st)) {
		copy = seal_copy(*fd, bytes);
		if (copy < 0) {
			errno = -copy;
			return "copy the command to hash it";
		}
		(void)close(*fd);
		*fd = copy;
	}
	map = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, *fd, 0);
	if (map == MAP_FAILED)
		return "read the command to hash it";
	zg_sha256(hash, map, bytes);
	(void)munmap(map, bytes);
	errno = EKEYREJECTED;
	return memcmp(hash, l->sha256, sizeof(hash)) == 0
		       ? NULL
		       : "start the command: its sha256 is not the registered one";
}

/* A script's interpreter opens it again, by this descriptor: it must be there. */
static void keep_for_script(int fd)
{
	char magic[2];

	if (pread(fd, magic, 2, 0) == 2 && magic[0] == '#' && magic[1] == '!')
		(void)fcntl(fd, F_SETFD, 0);
}

/* seen: what was there before, because only the machine's own user namespace
 * tells whose it is. */
static const char *execute(const struct zg_launch *l, const struct stat *seen)
{
	int fd = open(l->command, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	const char *failed;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return "open the command";
	errno = EACCES;
	if (!S_ISREG(st.st_mode))
		return "start the command: it is not a file";
	if (st.st_dev != seen->st_dev || st.st_ino != seen->st_ino)
		return "start the command: it changed meanwhile";
	if (!l->sha256 && !only_root_writes(seen) &&
	    (seen->st_uid != l->uid || (seen->st_mode & (S_IWGRP | S_IWOTH))))
		return "start the command: others can write to it, and it has no sha256";
	failed = l->sha256 ? check_hash(l, &fd, seen) : NULL;
	if (failed)
		return failed;
	keep_for_script(fd);
	(void)syscall(SYS_execveat, fd, "", l->argv, l->envp, AT_EMPTY_PATH);
	return "execute the command";
}

static const char *child(const struct zg_launch *l, pid_t parent)
{
	const char *failed = set_signals();
	struct stat seen;

	if (!failed && stat(l->command, &seen) < 0)
		failed = "find the command";
	if (!failed && setsid() < 0)
		failed = "begin a session";
	if (!failed)
		failed = place_descriptors(l);
	if (!failed)
		failed = join_cgroup();
	if (!failed)
		failed = set_limits(l);
	if (!failed)
		failed = become(l);
	if (failed)
		return failed;
	(void)umask(l->processes ? 077 : 022);
	/* after the ids: changing them clears it */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return "bind its life to the agent's";
	if (getppid() != parent)
		_exit(127);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return "renounce new privileges";
	if (chdir(l->cwd[0] ? l->cwd : l->private_tmp ? "/tmp" : "/") < 0)
		return "enter its folder";
	return execute(l, &seen);
}

int zg_launch(const struct zg_launch *l, pid_t *pid, struct zg_err *e)
{
	pid_t parent = getpid(), made = fork();

	if (made < 0)
		return zg_err_set(e, errno, "cannot fork: %m");
	if (made == 0) {
		struct zg_launch_failure f = {0};
		const char *failed = child(l, parent);

		f.error = errno;
		(void)snprintf(f.what, sizeof(f.what), "%s", failed);
		/* the descriptor may not have been placed yet; one of the two is it */
		if (write(STATUS, &f, sizeof(f)) != (ssize_t)sizeof(f) &&
		    write(l->status, &f, sizeof(f)) != (ssize_t)sizeof(f))
			_exit(126);
		_exit(127);
	}
	*pid = made;
	return 0;
}
