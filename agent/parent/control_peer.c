/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control_peer.c - who asks on the control socket. Trust: the kernel's word alone
 * (peer credentials, groups, and the cgroup of a process that provably still
 * lives); nothing that the process says.
 */
#include "control_impl.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* Linux 6.5 */
#endif

/* A descriptor of the process that connected. Older kernels only give its
 * number: then the owner must match, which leaves a process of the same user. */
static int peer_pidfd(int sock, const struct ucred *who)
{
	socklen_t len = sizeof(int);
	char path[32];
	struct stat st;
	int fd;

	if (getsockopt(sock, SOL_SOCKET, SO_PEERPIDFD, &fd, &len) == 0)
		return fd;
	if (errno != ENOPROTOOPT)
		return -errno;
	fd = (int)syscall(SYS_pidfd_open, who->pid, 0);
	if (fd < 0)
		return -errno;
	(void)snprintf(path, sizeof(path), "/proc/%d", (int)who->pid);
	if (stat(path, &st) == 0 && (st.st_uid == who->uid || st.st_uid == 0))
		return fd;
	(void)close(fd);
	return -ESRCH;
}

static bool alive(int pidfd)
{
	struct pollfd p = {.fd = pidfd, .events = POLLIN};

	return poll(&p, 1, 0) == 0;
}

/* Where it is now. Not to be told counts as governed by whoever decides. */
static void place(struct zg_parent *p, struct zg_control_peer *who)
{
	char path[ZG_CGROUP_LEN] = "", abs[ZG_PATH_LEN + ZG_CGROUP_LEN];
	struct stat st;
	int rc = zg_cgroups_of_pid(&p->cgroups, who->pid, path);

	who->profile = ZG_PROFILE_NONE;
	if ((rc < 0 && rc != -EXDEV) || !alive(who->pidfd))
		return; /* the number may be another's already */
	if (rc == 0) {
		who->profile = zg_cgroups_profile(&p->cgroups, path);
		memcpy(who->cgroup, path, sizeof(who->cgroup));
		(void)snprintf(abs, sizeof(abs), "%s/%s", p->cgroups.root_path, path);
		who->cgroup_id = stat(abs, &st) == 0 ? st.st_ino : 0;
	}
	who->placed = true;
}

int zg_control_identify(struct zg_parent *p, int sock, struct zg_control_peer *who)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	*who = (struct zg_control_peer){.pidfd = -1};
	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return -errno;
	if (cred.pid <= 0)
		return -ESRCH; /* of a pid namespace that is not below ours */
	who->pid = cred.pid;
	who->uid = cred.uid;
	who->gid = cred.gid;
	who->pidfd = peer_pidfd(sock, &cred);
	if (who->pidfd < 0)
		return who->pidfd;
	zg_people_roles(&p->people, sock, &cred, &who->roles, &who->owners);
	place(p, who);
	return 0;
}
