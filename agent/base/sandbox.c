/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sandbox.c - see sandbox.h. Trust: runs once, before a role reads anything
 * from outside; what it leaves open is all that an attacker inside the role
 * can ask of the kernel. Three answers: allowed; refused with an errno (what
 * libraries probe for and can do without); everything else kills the process.
 * It never loosens anything that was locked before.
 */
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "slice.h"

#ifdef __SANITIZE_ADDRESS__
#define SANITIZED true
#else
#define SANITIZED false
#endif

/* What an event loop over inherited descriptors needs, whatever the role. */
static const int common[] = {
	SCMP_SYS(read),
	SCMP_SYS(write),
	SCMP_SYS(readv),
	SCMP_SYS(writev),
	SCMP_SYS(pread64),
	SCMP_SYS(pwrite64),
	SCMP_SYS(lseek),
	SCMP_SYS(close),
	SCMP_SYS(fstat),
	SCMP_SYS(fcntl),
	SCMP_SYS(recvmsg),
	SCMP_SYS(sendmsg),
	SCMP_SYS(recvfrom),
	SCMP_SYS(sendto),
	SCMP_SYS(accept4),
	SCMP_SYS(shutdown),
	SCMP_SYS(getsockopt),
	SCMP_SYS(setsockopt),
	SCMP_SYS(getsockname),
	SCMP_SYS(getpeername),
	SCMP_SYS(epoll_create1),
	SCMP_SYS(epoll_ctl),
	SCMP_SYS(epoll_wait),
	SCMP_SYS(epoll_pwait),
	SCMP_SYS(epoll_pwait2),
	SCMP_SYS(eventfd2),
	SCMP_SYS(timerfd_create),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(timerfd_settime),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(madvise),
	SCMP_SYS(brk),
	SCMP_SYS(futex),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(time),
	SCMP_SYS(clock_nanosleep),
	SCMP_SYS(nanosleep),
	SCMP_SYS(clock_getres),
	SCMP_SYS(getrandom),
	SCMP_SYS(getpid),
	SCMP_SYS(gettid),
	SCMP_SYS(getuid),
	SCMP_SYS(geteuid),
	SCMP_SYS(getgid),
	SCMP_SYS(getegid),
	SCMP_SYS(getrusage),
	SCMP_SYS(sysinfo),
	SCMP_SYS(uname),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(sigaltstack),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(sched_yield),
	SCMP_SYS(sched_getaffinity),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
};

/* Libraries look for files they can do without: an errno, not death. */
static const int probes[] = {
	SCMP_SYS(open),	      SCMP_SYS(openat),	  SCMP_SYS(openat2),	SCMP_SYS(stat),
	SCMP_SYS(lstat),      SCMP_SYS(statx),	  SCMP_SYS(access),	SCMP_SYS(faccessat),
	SCMP_SYS(faccessat2), SCMP_SYS(readlink), SCMP_SYS(readlinkat), SCMP_SYS(getcwd),
	SCMP_SYS(prlimit64),
};

#ifdef __SANITIZE_ADDRESS__
/* The shadow memory, and what a report needs before the process dies. */
static const int sanitizer[] = {
	SCMP_SYS(openat), SCMP_SYS(readlink), SCMP_SYS(mmap),	    SCMP_SYS(mprotect),
	SCMP_SYS(tgkill), SCMP_SYS(prctl),    SCMP_SYS(newfstatat), SCMP_SYS(prlimit64),
};

/* The leak check traces the process, which a locked one does not let happen;
 * unit tests look for leaks. */
static bool locked;
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
	return locked;
}
#endif

struct filter {
	scmp_filter_ctx ctx;
	const struct zg_sandbox *s;
	int error; /* sticky */
};

static bool listed(const struct zg_sandbox *s, int nr)
{
	for (size_t i = 0; i < s->syscall_count; i++)
		if (s->syscalls[i] == nr)
			return true;
#ifdef __SANITIZE_ADDRESS__
	for (size_t i = 0; i < sizeof(sanitizer) / sizeof(sanitizer[0]); i++)
		if (sanitizer[i] == nr)
			return true;
#endif
	return false;
}

static void allow_all(struct filter *f, const int *nr, size_t count)
{
	for (size_t i = 0; i < count && !f->error; i++)
		f->error = seccomp_rule_add(f->ctx, SCMP_ACT_ALLOW, nr[i], 0);
}

/* A rule with conditions; the role's own unconditional entry comes first. */
static void rule(struct filter *f, uint32_t action, int nr, unsigned count,
		 const struct scmp_arg_cmp *cmp)
{
	if (!f->error && !listed(f->s, nr))
		f->error = seccomp_rule_add_array(f->ctx, action, nr, count, cmp);
}

static void conditional_rules(struct filter *f)
{
	const uint32_t refuse = SCMP_ACT_ERRNO(EACCES);
	const scmp_datum_t exec = PROT_EXEC, type = 0xf;
	static const int ioctls[] = {FIONREAD, FIONBIO, TCGETS};
	static const int families[] = {AF_INET, AF_INET6};
	struct scmp_arg_cmp c[2];

	/* no new executable memory */
	c[0] = SCMP_A2(SCMP_CMP_MASKED_EQ, exec, 0);
	rule(f, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, c);
	rule(f, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, c);
	c[0] = SCMP_A2(SCMP_CMP_MASKED_EQ, exec, exec);
	rule(f, refuse, SCMP_SYS(mmap), 1, c);
	rule(f, refuse, SCMP_SYS(mprotect), 1, c);
	/* fstat() of newer C libraries, but no path */
	c[0] = SCMP_A3(SCMP_CMP_MASKED_EQ, AT_EMPTY_PATH, AT_EMPTY_PATH);
	rule(f, SCMP_ACT_ALLOW, SCMP_SYS(newfstatat), 1, c);
	c[0] = SCMP_A3(SCMP_CMP_MASKED_EQ, AT_EMPTY_PATH, 0);
	rule(f, refuse, SCMP_SYS(newfstatat), 1, c);
	/* abort(), and no signal to anybody else */
	c[0] = SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid());
	rule(f, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, c);
	for (size_t i = 0; i < sizeof(ioctls) / sizeof(ioctls[0]); i++) {
		c[0] = SCMP_A1(SCMP_CMP_EQ, (scmp_datum_t)ioctls[i]);
		rule(f, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, c);
	}
	if (!f->s->inet)
		return;
	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
		c[0] = SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)families[i]);
		c[1] = SCMP_A1(SCMP_CMP_MASKED_EQ, type, SOCK_STREAM);
		rule(f, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2, c);
		/* libcurl asks this way whether IPv6 works */
		c[1] = SCMP_A1(SCMP_CMP_MASKED_EQ, type, SOCK_DGRAM);
		rule(f, f->s->datagrams ? SCMP_ACT_ALLOW : refuse, SCMP_SYS(socket), 2, c);
	}
	rule(f, SCMP_ACT_ALLOW, SCMP_SYS(connect), 0, NULL);
}

static int load_filter(const struct zg_sandbox *s)
{
	struct filter f = {.s = s, .ctx = seccomp_init(SCMP_ACT_KILL_PROCESS)};

	if (!f.ctx)
		return -ENOMEM;
	f.error = seccomp_attr_set(f.ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (!f.error)
		f.error = seccomp_attr_set(f.ctx, SCMP_FLTATR_CTL_TSYNC, 1);
	if (!f.error) /* a binary tree: the cost of a call does not grow with the list */
		f.error = seccomp_attr_set(f.ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	allow_all(&f, common, sizeof(common) / sizeof(common[0]));
	allow_all(&f, s->syscalls, s->syscall_count);
#ifdef __SANITIZE_ADDRESS__
	allow_all(&f, sanitizer, sizeof(sanitizer) / sizeof(sanitizer[0]));
#endif
	conditional_rules(&f);
	for (size_t i = 0; i < sizeof(probes) / sizeof(probes[0]); i++)
		rule(&f, SCMP_ACT_ERRNO(EACCES), probes[i], 0, NULL);
	if (!f.error)
		f.error = seccomp_load(f.ctx);
	seccomp_release(f.ctx);
	return f.error;
}

/* linux/landlock.h of the oldest supported build host knows ABI 1 only. */
struct ruleset {
	uint64_t fs;
	uint64_t net;
	uint64_t scoped;
};

static const struct {
	long abi;
	struct ruleset handled;
} landlock_rights[] = {
	{1, {0x1fff, 0, 0}}, /* execute ... make_sym */
	{2, {0x2000, 0, 0}}, /* refer */
	{3, {0x4000, 0, 0}}, /* truncate */
	{4, {0, 0x3, 0}},    /* bind_tcp, connect_tcp */
	{5, {0x8000, 0, 0}}, /* ioctl_dev */
	{6, {0, 0, 0x3}},    /* abstract unix sockets, signals */
};

/* The sanitizers' reports need /proc, and nothing else. */
static int allow_proc(int set)
{
	zg_autofd int proc = open("/proc", O_PATH | O_CLOEXEC);
	struct landlock_path_beneath_attr beneath = {
		.allowed_access = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR,
		.parent_fd = proc};

	if (proc < 0 ||
	    syscall(SYS_landlock_add_rule, set, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) < 0)
		return -errno;
	return 0;
}

/* No rule: every right that the running kernel knows is handled, none given. */
static int landlock(const struct zg_sandbox *s)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	struct ruleset attr = {0};
	zg_autofd int set = -1;
	int rc;

	if (abi < 0) /* not built in or not enabled: seccomp alone refuses paths */
		return errno == ENOSYS || errno == EOPNOTSUPP ? 0 : -errno;
	for (size_t i = 0; i < sizeof(landlock_rights) / sizeof(landlock_rights[0]); i++) {
		if (landlock_rights[i].abi > abi)
			break;
		attr.fs |= landlock_rights[i].handled.fs;
		attr.scoped |= landlock_rights[i].handled.scoped;
		if (!s->inet)
			attr.net |= landlock_rights[i].handled.net;
	}
	/* a longer structure than the kernel's is fine while its tail is zero */
	set = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	if (set < 0)
		return -errno;
	rc = SANITIZED ? allow_proc(set) : 0;
	if (rc == 0 && syscall(SYS_landlock_restrict_self, set, 0) < 0)
		rc = -errno;
	return rc;
}

static int limit(int resource, uint64_t value)
{
	struct rlimit r;

	if (getrlimit((__rlimit_resource_t)resource, &r) < 0)
		return -errno;
	/* never more than there was */
	r.rlim_max = value < r.rlim_max ? value : r.rlim_max;
	r.rlim_cur = r.rlim_max;
	return setrlimit((__rlimit_resource_t)resource, &r) < 0 ? -errno : 0;
}

int zg_sandbox_enter(const struct zg_sandbox *s, struct zg_err *e)
{
	int rc;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return zg_err_set(e, errno, "%s: no_new_privs: %m", s->role);
#ifdef __SANITIZE_ADDRESS__
	locked = true;
#endif
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return zg_err_set(e, errno, "%s: not dumpable: %m", s->role);
	rc = limit(RLIMIT_CORE, 0);
	if (rc == 0 && s->max_files)
		rc = limit(RLIMIT_NOFILE, s->max_files);
	if (rc == 0 && s->max_memory && !SANITIZED)
		rc = limit(RLIMIT_AS, s->max_memory);
	if (rc < 0)
		return zg_err_set(e, -rc, "%s: resource limits: %s", s->role, strerror(-rc));
	rc = s->no_paths ? landlock(s) : 0;
	if (rc < 0)
		return zg_err_set(e, -rc, "%s: landlock: %s", s->role, strerror(-rc));
	rc = load_filter(s);
	if (rc < 0)
		return zg_err_set(e, -rc, "%s: seccomp: %s", s->role, strerror(-rc));
	return 0;
}
