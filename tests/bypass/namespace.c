/* SPDX-License-Identifier: Apache-2.0 */
/* namespace.c - the same from namespaces that the process makes for itself. */
#include "bypass.h"

#include <sys/syscall.h>

static int user(struct stage *st ZG_UNUSED)
{
	return unshare(CLONE_NEWUSER) < 0 ? errno : step_dial(OUT4, PORT);
}

static int cgroups(struct stage *st ZG_UNUSED)
{
	return unshare(CLONE_NEWUSER | CLONE_NEWCGROUP) < 0 ? errno : step_dial(OUT4, PORT);
}

static int pids(struct stage *st ZG_UNUSED)
{
	pid_t pid;

	if (unshare(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS) < 0)
		return errno;
	pid = fork();
	if (pid == 0)
		_exit(step_dial(OUT6, PORT));
	return lab_wait(pid);
}

/* It leaves the network namespace, its socket stays. */
static int socket_stays(struct stage *st ZG_UNUSED)
{
	int fd = step_socket(OUT4, SOCK_STREAM), r;

	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return errno;
	r = step_connect(fd, OUT4, PORT);
	return r ? r : step_send(fd);
}

static int datagram_stays(struct stage *st ZG_UNUSED)
{
	int fd = step_socket(OUT6, SOCK_DGRAM);

	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return errno;
	return step_sendto(fd, 0, OUT6, PORT);
}

/* All capabilities, as far as a new user namespace gives them. */
static int raw_in_user(struct stage *st ZG_UNUSED)
{
	int fd = step_socket(OUT4, SOCK_STREAM), r;

	if (unshare(CLONE_NEWUSER) < 0)
		return errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_MARK, &(int){1}, sizeof(int));
	(void)setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3);
	r = step_connect(fd, OUT4, PORT);
	return r ? r : step_send(fd);
}

/* As root: out to another namespace, and back by its descriptor. */
static int and_back(struct stage *st ZG_UNUSED)
{
	int here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	if (here < 0 || unshare(CLONE_NEWNET) < 0 || setns(here, CLONE_NEWNET) < 0)
		return errno;
	return step_dial(OUT4, PORT);
}

static const struct attempt namespace_attempts_rows[] = {
	{"ns-user", T_NAMESPACE, "user namespace", user, .optional = true},
	{"ns-cgroup", T_NAMESPACE, "cgroup namespace", cgroups, .optional = true},
	{"ns-pid", T_NAMESPACE, "pid, mount, ipc and uts namespaces", pids, .optional = true},
	{"ns-net-socket", T_NAMESPACE, "a socket kept from the network it left", socket_stays,
	 .optional = true},
	{"ns-net-datagram", T_NAMESPACE, "a datagram socket kept", datagram_stays,
	 .optional = true},
	{"ns-user-flags", T_NAMESPACE, "with a new namespace's capabilities", raw_in_user,
	 .optional = true},
	{"ns-net-back", T_NAMESPACE, "to another network and back, as root", and_back,
	 .root = true},
};
ATTEMPTS(namespace_attempts);
