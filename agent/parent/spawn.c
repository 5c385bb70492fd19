/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spawn.c - see spawn.h. Trust: runs as root until the ids are dropped; what
 * a child must not have is taken away here, before its own code runs. Between
 * fork and exec only system calls, no allocation.
 */
#include "spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "ipc.h"
#include "log.h"

#define CHANNEL 3

/* What a child may see of our environment: journald's word on stderr, and the
 * sanitizers' settings in test builds. */
static const char *const keep_env[] = {"JOURNAL_STREAM", "ASAN_OPTIONS", "LSAN_OPTIONS",
				       "UBSAN_OPTIONS", "TSAN_OPTIONS"};
#define KEEP_ENV (sizeof(keep_env) / sizeof(keep_env[0]))

struct plan {
	const struct zg_spawn *s;
	pid_t parent;
	int sock; /* the child's end */
	char *argv[3];
	char *envp[KEEP_ENV + 1];
	char role_arg[64];
	char env_text[KEEP_ENV][256];
};

static void prepare(struct plan *p, const struct zg_spawn *s)
{
	size_t n = 0;

	*p = (struct plan){.s = s, .parent = getpid(), .sock = -1};
	(void)snprintf(p->role_arg, sizeof(p->role_arg), "--role=%s", s->role);
	p->argv[0] = (char *)(uintptr_t) "zerogated";
	p->argv[1] = p->role_arg;
	for (size_t i = 0; i < KEEP_ENV; i++) {
		const char *value = getenv(keep_env[i]);
		int len;

		if (!value)
			continue;
		len = snprintf(p->env_text[n], sizeof(p->env_text[n]), "%s=%s", keep_env[i], value);
		if (len < 0 || (size_t)len >= sizeof(p->env_text[n]))
			continue;
		p->envp[n] = p->env_text[n];
		n++;
	}
}

static const char *join_cgroup(int dir)
{
	int fd = openat(dir, "cgroup.procs", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, "0", 1) != 1)
		return "join its cgroup";
	(void)close(fd);
	return NULL;
}

static const char *drop_ids(uid_t uid, gid_t gid)
{
	uid_t r, eff, saved;

	errno = EPERM;
	if (uid == 0 || setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 ||
	    setresuid(uid, uid, uid) < 0)
		return "drop its ids";
	if (getresuid(&r, &eff, &saved) < 0 || r != uid || eff != uid || saved != uid ||
	    setuid(0) == 0)
		return "drop its ids for good";
	return NULL;
}

/* Three standard descriptors, the channel, nothing else. */
static const char *set_descriptors(int sock)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
		return "set its standard descriptors";
	if (sock == CHANNEL ? fcntl(sock, F_SETFD, 0) < 0 : dup2(sock, CHANNEL) < 0)
		return "pass its channel";
	if (syscall(SYS_close_range, CHANNEL + 1, ~0U, 0) < 0)
		return "close stray descriptors";
	return NULL;
}

static void reset_signals(void)
{
	sigset_t none;

	for (int i = 1; i < NSIG; i++)
		(void)signal(i, SIG_DFL); /* fails for KILL and STOP, rightly */
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static const char *become(struct plan *p)
{
	const struct zg_spawn *s = p->s;
	const char *failed = NULL;

	reset_signals();
	/* a terminal's interrupt is for the parent, which ends us in order */
	if (setpgid(0, 0) < 0)
		return "leave the process group";
	if (s->cgroup >= 0)
		failed = join_cgroup(s->cgroup);
	if (!failed)
		failed = set_descriptors(p->sock);
	if (!failed && s->drop)
		failed = drop_ids(s->uid, s->gid);
	if (failed)
		return failed;
	/* after the ids: changing them clears it */
	if (s->death_signal && prctl(PR_SET_PDEATHSIG, s->death_signal, 0, 0, 0) < 0)
		return "bind its life to the parent's";
	if (getppid() != p->parent)
		_exit(127); /* the parent died in between */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return "renounce new privileges";
	(void)execve("/proc/self/exe", p->argv, p->envp);
	return "execute";
}

int zg_spawn(const struct zg_spawn *s, pid_t *pid, int *sock, struct zg_err *e)
{
	struct plan plan;
	int pair[2], rc;
	pid_t child;

	rc = zg_ipc_pair(pair, false);
	if (rc < 0)
		return zg_err_set(e, -rc, "cannot make the channel of %s: %s", s->role,
				  strerror(-rc));
	prepare(&plan, s);
	plan.sock = pair[1];
	child = fork();
	if (child == 0) {
		const char *failed = become(&plan);

		zg_log(ZG_LOG_ERR, "the %s child cannot %s: %s", s->role, failed, strerror(errno));
		_exit(127);
	}
	rc = child < 0 ? -errno : 0;
	(void)close(pair[1]);
	if (rc == 0 && fcntl(pair[0], F_SETFL, O_NONBLOCK) < 0)
		rc = -errno; /* the child sees the end of its channel */
	if (rc < 0) {
		(void)close(pair[0]);
		return zg_err_set(e, -rc, "cannot start %s: %s", s->role, strerror(-rc));
	}
	*pid = child;
	*sock = pair[0];
	return 0;
}
