/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unix.c - sockets of processes outside that are reached by a path or an
 * abstract name, and other ways to spell the path.
 */
#include "bypass.h"

#include <sys/un.h>

static struct endpoint unix_at(const char *path)
{
	struct endpoint ep = {0};
	struct sockaddr_un *un = (struct sockaddr_un *)&ep.ss;
	size_t n = strlen(path);

	un->sun_family = AF_UNIX;
	memcpy(un->sun_path, path, n + 1);
	if (path[0] == '@')
		un->sun_path[0] = '\0';
	ep.bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + (path[0] != '@'));
	return ep;
}

static int unix_dial(int type, const char *path)
{
	struct endpoint to = unix_at(path);
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&to.ss, to.bytes) < 0)
		return errno;
	return step_send(fd);
}

static int unix_sendto(const char *path)
{
	struct endpoint to = unix_at(path);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return errno;
	return sendto(fd, MARK, MARK_LEN, 0, (struct sockaddr *)&to.ss, to.bytes) < 0 ? errno : 0;
}

static int stream(struct stage *st ZG_UNUSED)
{
	return unix_dial(SOCK_STREAM, UNIX_STREAM);
}

static int packets(struct stage *st ZG_UNUSED)
{
	return unix_dial(SOCK_SEQPACKET, UNIX_SEQ);
}

static int dgram(struct stage *st ZG_UNUSED)
{
	return unix_sendto(UNIX_DGRAM);
}

static int dgram_connected(struct stage *st ZG_UNUSED)
{
	return unix_dial(SOCK_DGRAM, UNIX_DGRAM);
}

static int abstract(struct stage *st ZG_UNUSED)
{
	return unix_dial(SOCK_STREAM, UNIX_ABSTRACT);
}

static int abstract_dgram(struct stage *st ZG_UNUSED)
{
	return unix_sendto(UNIX_ABSTRACT_DGRAM);
}

static int relative(struct stage *st ZG_UNUSED)
{
	return chdir("/run") < 0 ? errno : unix_dial(SOCK_STREAM, "zg-stream");
}

static int dotted(struct stage *st ZG_UNUSED)
{
	return unix_dial(SOCK_STREAM, UNIX_OK "/../zg-stream");
}

static int doubled(struct stage *st ZG_UNUSED)
{
	return unix_dial(SOCK_STREAM, "//run//zg-stream");
}

static int through_proc(struct stage *st ZG_UNUSED)
{
	return unix_dial(SOCK_STREAM, "/proc/self/root" UNIX_STREAM);
}

static int own_link(struct stage *st ZG_UNUSED)
{
	char link[64];

	(void)snprintf(link, sizeof(link), "/run/tmp/%d", (int)getpid());
	if (symlink(UNIX_STREAM, link) < 0)
		return errno;
	return unix_dial(SOCK_STREAM, link);
}

/* A socket from outside that has no peer yet. */
static int make_unix(struct stage *st)
{
	st->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return st->fd < 0 ? errno : 0;
}

static int use_unix(struct stage *st)
{
	struct endpoint to = unix_at(UNIX_STREAM);

	if (connect(st->fd, (struct sockaddr *)&to.ss, to.bytes) < 0)
		return errno;
	return step_send(st->fd);
}

static int docker(struct stage *st ZG_UNUSED)
{
	return unix_dial(SOCK_STREAM, "/run/docker.sock");
}

static int system_bus(struct stage *st ZG_UNUSED)
{
	return unix_dial(SOCK_STREAM, "/run/dbus/system_bus_socket");
}

static int systemd(struct stage *st ZG_UNUSED)
{
	return unix_dial(SOCK_STREAM, "/run/systemd/private");
}

static int user_bus(struct stage *st ZG_UNUSED)
{
	return unix_dial(SOCK_STREAM, "/run/user/65533/bus");
}

static int containerd(struct stage *st ZG_UNUSED)
{
	return unix_dial(SOCK_STREAM, "/run/containerd/containerd.sock");
}

/* An allowed folder that holds a link of the attacker's. */
static int alias_link(struct stage *st ZG_UNUSED)
{
	char link[64];

	(void)snprintf(link, sizeof(link), UNIX_OK "/%d", (int)getpid());
	if (symlink(UNIX_STREAM, link) < 0)
		return errno;
	return unix_dial(SOCK_STREAM, link);
}

/* In a mount namespace of its own, an allowed folder is what it wants it to be. */
static int alias_mount(struct stage *st ZG_UNUSED)
{
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0 ||
	    mount("/run", UNIX_OK, NULL, MS_BIND, NULL) < 0)
		return errno;
	return unix_dial(SOCK_STREAM, UNIX_OK "/zg-stream");
}

static const struct attempt unix_attempts_rows[] = {
	{"unix-stream", T_UNIX, "stream, by path", stream},
	{"unix-packets", T_UNIX, "sequenced packets, by path", packets},
	{"unix-dgram", T_UNIX, "datagram, by path", dgram},
	{"unix-dgram-connect", T_UNIX, "datagram, connected", dgram_connected},
	{"unix-abstract", T_UNIX, "stream, by abstract name", abstract},
	{"unix-abstract-dgram", T_UNIX, "datagram, by abstract name", abstract_dgram},
	{"unix-relative", T_UNIX, "a path relative to its folder", relative},
	{"unix-dotted", T_UNIX, "a path that leaves an allowed folder", dotted},
	{"unix-doubled", T_UNIX, "a path with doubled slashes", doubled},
	{"unix-proc", T_UNIX, "through /proc/self/root", through_proc},
	{"unix-link", T_UNIX, "through a link of its own", own_link},
	{"unix-inherited", T_UNIX, "an inherited socket without a peer", use_unix,
	 .before = make_unix},
	{"unix-docker", T_UNIX_CONTROL, "the container engine's", docker},
	{"unix-containerd", T_UNIX_CONTROL, "containerd's", containerd},
	{"unix-dbus", T_UNIX_CONTROL, "D-Bus' system bus", system_bus},
	{"unix-user-bus", T_UNIX_CONTROL, "D-Bus' user bus", user_bus},
	{"unix-systemd", T_UNIX_CONTROL, "systemd's private socket", systemd},
	{"alias-link", T_UNIX_ALIAS, "a link in an allowed folder it may write", alias_link},
	{"alias-mount", T_UNIX_ALIAS, "a mount of its own over an allowed folder", alias_mount,
	 .optional = true},
};
ATTEMPTS(unix_attempts);
