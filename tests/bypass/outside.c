/* SPDX-License-Identifier: Apache-2.0 */
/*
 * outside.c - through another process of the same user that nobody governs, or
 * by becoming one.
 */
#include "bypass.h"

#include <linux/sched.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>

/* processes -------------------------------------------------------------------- */

/* An ordinary program of the user's that happens to hold something worth having. */
static int be_outside(struct stage *st)
{
	char byte;

	/* as after execve(); and where Yama asks for it, it consents */
	if (prctl(PR_SET_DUMPABLE, 1) < 0)
		return errno;
	(void)prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
	st->fd = step_socket(OUT4, SOCK_STREAM);
	(void)step_connect(st->fd, OUT4, PORT);
	st->told->port = (uint16_t)st->fd;
	step_ready(st);
	return recv(st->link[1], &byte, 1, 0) < 0 ? errno : 0;
}

/* Private to each process: only the one outside has the mark in it. */
static char secret[sizeof(MARK)];

static int keep_secret(struct stage *st)
{
	memcpy(secret, MARK, sizeof(MARK));
	return be_outside(st);
}

static int has_secret(struct stage *st, const void *bytes)
{
	if (memcmp(bytes, MARK, MARK_LEN) == 0)
		st->told->arrived = 1;
	return 0;
}

static int by_ptrace(struct stage *st)
{
	long words[sizeof(secret) / sizeof(long)];

	if (ptrace(PTRACE_ATTACH, st->told->outside, NULL, NULL) < 0)
		return errno;
	if (waitpid(st->told->outside, NULL, __WALL) < 0)
		return errno;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		words[i] =
			ptrace(PTRACE_PEEKDATA, st->told->outside, secret + i * sizeof(long), NULL);
	if (memcmp(words, MARK, sizeof(words)) == 0)
		st->told->arrived = 1;
	return 0;
}

static int by_vm_read(struct stage *st)
{
	char copy[sizeof(secret)] = "";
	struct iovec to = {copy, sizeof(copy)}, from = {secret, sizeof(secret)};

	if (process_vm_readv(st->told->outside, &to, 1, &from, 1, 0) < 0)
		return errno;
	return has_secret(st, copy);
}

static int by_proc_mem(struct stage *st)
{
	char path[64], copy[sizeof(secret)] = "";
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%d/mem", (int)st->told->outside);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || pread(fd, copy, sizeof(copy), (off_t)(uintptr_t)secret) < 0)
		return errno;
	return has_secret(st, copy);
}

/* Its connected socket, taken without its knowledge. */
static int by_pidfd(struct stage *st)
{
	int pidfd = (int)syscall(SYS_pidfd_open, st->told->outside, 0), fd;

	if (pidfd < 0)
		return errno;
	fd = (int)syscall(SYS_pidfd_getfd, pidfd, st->told->port, 0);
	return fd < 0 ? errno : step_send(fd);
}

/* cgroups ----------------------------------------------------------------------- */

static int leave_then_dial(struct stage *st)
{
	if (!lab_enter(lab_path(st->lab, st->told->loose).text))
		return errno;
	return step_dial(OUT4, PORT);
}

/* Its child is born elsewhere. */
static int born_elsewhere(struct stage *st)
{
	int at = open(lab_path(st->lab, st->told->loose).text, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct clone_args a = {
		.flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD, .cgroup = (uint64_t)at};
	pid_t pid;

	if (at < 0)
		return errno;
	pid = (pid_t)syscall(SYS_clone3, &a, sizeof(a));
	if (pid < 0)
		return errno;
	if (pid == 0)
		_exit(step_dial(OUT4, PORT));
	return lab_wait(pid);
}

/* The file was opened while nobody governed it. */
static int open_procs(struct stage *st)
{
	zg_autofd int at =
		open(lab_path(st->lab, st->told->loose).text, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	st->fd = openat(at, "cgroup.procs", O_WRONLY | O_CLOEXEC);
	return st->fd < 0 ? errno : 0;
}

static int leave_by_fd(struct stage *st)
{
	if (write(st->fd, "0", 1) != 1)
		return errno;
	return step_dial(OUT6, PORT);
}

static const struct attempt outside_attempts_rows[] = {
	{"ptrace", T_PTRACE, "attach and read", by_ptrace, .outside = keep_secret, .inbound = true},
	{"vm-read", T_PTRACE, "process_vm_readv", by_vm_read, .outside = keep_secret,
	 .inbound = true},
	{"proc-mem", T_PTRACE, "/proc/PID/mem", by_proc_mem, .outside = keep_secret,
	 .inbound = true},
	{"pidfd-getfd", T_PTRACE, "its connected socket, by pidfd_getfd", by_pidfd,
	 .outside = be_outside},
	{"leave", T_LEAVE, "writes itself into another cgroup", leave_then_dial},
	{"leave-child", T_LEAVE, "a child born in another cgroup", born_elsewhere},
	{"leave-fd", T_LEAVE, "by a file opened before it was governed", leave_by_fd,
	 .before = open_procs},
};
ATTEMPTS(outside_attempts);
