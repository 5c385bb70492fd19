/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listen.h - the sockets that the agent serves on, made by the parent so that
 * a restarted child loses no connection that is still in the backlog.
 */
#ifndef ZG_LISTEN_H
#define ZG_LISTEN_H

#include <stdbool.h>

#include "err.h"
#include "zg_snapshot.h"

/* TCP, non-blocking, IPv6 only where the address is one, no SO_REUSEPORT: no
 * second process can share the port. A descriptor or -errno. */
int zg_listen_tcp(const struct zg_listen *at, struct zg_err *e) ZG_MUST_CHECK;

/* A datagram and a stream socket on one port of 127.0.0.1, or of ::1, that the
 * kernel chooses. 0, or -errno; -EADDRNOTAVAIL, -EAFNOSUPPORT: no such family. */
int zg_listen_dns(bool v6, int *udp, int *tcp, uint16_t *port, struct zg_err *e) ZG_MUST_CHECK;

/* The control socket: SEQPACKET, open to all; who asks is known by the
 * kernel's word. Replaces a dead agent's. */
int zg_listen_control(const char *path, struct zg_err *e) ZG_MUST_CHECK;

#endif
