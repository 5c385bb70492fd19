/* SPDX-License-Identifier: Apache-2.0 */
/* listen.c - see listen.h. Trust: binds what the configuration names, no more. */
#include "listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "slice.h"
#include "sockaddr.h"

#define BACKLOG	   1024 /* connections that wait while a worker restarts */
#define PORT_TRIES 16

int zg_listen_tcp(const struct zg_listen *at, struct zg_err *e)
{
	struct sockaddr_storage addr;
	socklen_t len = zg_sockaddr(&addr, at->addr, at->port);
	char text[INET6_ADDRSTRLEN];
	zg_autofd int fd = -1;
	int one = 1, rc;

	fd = socket(addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
	if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0 &&
	    (addr.ss_family == AF_INET ||
	     setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) == 0) &&
	    bind(fd, (struct sockaddr *)&addr, len) == 0 && listen(fd, BACKLOG) == 0)
		return zg_take_fd(&fd);
	rc = -errno;
	zg_addr_text(text, sizeof(text), at->addr);
	(void)zg_err_set(e, -rc, "cannot listen on %s port %u: %s", text, at->port, strerror(-rc));
	if (rc == -EADDRINUSE)
		zg_err_hint(e, "another process has it: ss -ltnp sport = :%u", at->port);
	else if (rc == -EADDRNOTAVAIL)
		zg_err_hint(e, "no interface has this address");
	return rc;
}

static int bind_dns(struct zg_listen *at, int type)
{
	struct sockaddr_storage addr;
	socklen_t len = zg_sockaddr(&addr, at->addr, at->port);
	zg_autofd int fd = socket(addr.ss_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int one = 1;

	if (fd < 0 ||
	    (addr.ss_family == AF_INET6 &&
	     setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) < 0) ||
	    bind(fd, (struct sockaddr *)&addr, len) < 0 ||
	    (type == SOCK_STREAM && listen(fd, BACKLOG) < 0) ||
	    getsockname(fd, (struct sockaddr *)&addr, &len) < 0)
		return -errno;
	at->port = ntohs(addr.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&addr)->sin6_port
						    : ((struct sockaddr_in *)&addr)->sin_port);
	return zg_take_fd(&fd);
}

int zg_listen_dns(bool v6, int *udp, int *tcp, uint16_t *port, struct zg_err *e)
{
	static const uint8_t loopback4[16] = {[10] = 0xff, 0xff, 127, 0, 0, 1};
	static const uint8_t loopback6[16] = {[15] = 1};
	int rc = -EADDRINUSE;

	/* the port that one protocol got may be another's in the other */
	for (int i = 0; i < PORT_TRIES && rc == -EADDRINUSE; i++) {
		struct zg_listen at = {0};
		zg_autofd int stream = -1, datagram = -1;

		memcpy(at.addr, v6 ? loopback6 : loopback4, sizeof(at.addr));
		stream = bind_dns(&at, SOCK_STREAM);
		datagram = stream < 0 ? stream : bind_dns(&at, SOCK_DGRAM);
		if (datagram >= 0) {
			*udp = zg_take_fd(&datagram);
			*tcp = zg_take_fd(&stream);
			*port = at.port;
			return 0;
		}
		rc = datagram;
	}
	return zg_err_set(e, -rc, "cannot listen for DNS on %s: %s", v6 ? "::1" : "127.0.0.1",
			  strerror(-rc));
}

int zg_listen_control(const char *path, struct zg_err *e)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	zg_autofd int fd = -1;

	if (!zg_str_cut(at.sun_path, sizeof(at.sun_path), zg_slice_str(path)))
		return zg_err_set(e, ENAMETOOLONG, "the control socket's path is too long: %s",
				  path);
	/* the lock on the folder is ours, so what lies there is a dead agent's */
	if (unlink(path) < 0 && errno != ENOENT)
		return zg_err_set(e, errno, "cannot remove %s: %m", path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || chmod(path, 0666) < 0 ||
	    listen(fd, ZG_CTL_CLIENTS_MAX) < 0)
		return zg_err_set(e, errno, "cannot listen on %s: %m", path);
	return zg_take_fd(&fd);
}
