/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sockdiag.h - the TCP and UDP sockets that live now, and their end
 * (SOCK_DIAG over netlink; the parent's CAP_NET_ADMIN). Says nothing about
 * what is allowed.
 *
 * Only sockets of the agent's own network namespace are seen, and of those
 * only the ones that belong to a cgroup: half-open and closing connections
 * (SYN_RECV, TIME_WAIT) have no process behind them. What cannot be seen or
 * ended here is still judged packet by packet.
 */
#ifndef ZG_SOCKDIAG_H
#define ZG_SOCKDIAG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/inet_diag.h>

#include "cleanup.h"

struct zg_sockdiag;

struct zg_socket {
	uint64_t cgroup_id; /* of its creation: the cgroup that packets are judged by */
	uint8_t local[16];  /* IPv4 as v4-mapped */
	uint8_t remote[16]; /* all zero without a peer */
	uint16_t local_port, remote_port; /* host order */
	uint32_t uid;
	uint8_t proto; /* IPPROTO_TCP or IPPROTO_UDP */
	uint8_t family;
	bool listening;		    /* TCP that accepts */
	bool connected;		    /* it has a peer */
	struct inet_diag_sockid id; /* the kernel's name for it, cookie included */
};

/* One netlink socket, for as long as the caller likes. 0 or -errno. */
int zg_sockdiag_open(struct zg_sockdiag **out) ZG_MUST_CHECK;
void zg_sockdiag_close(struct zg_sockdiag *d);

/* Call fn for each socket of a cgroup, or of all if it is 0, until it fails.
 * fn must not use d. 0, what fn returned, or -errno. */
int zg_sockdiag_each(struct zg_sockdiag *d, uint64_t cgroup_id,
		     int (*fn)(const struct zg_socket *s, void *arg), void *arg) ZG_MUST_CHECK;

/* End it at once: its owner gets ECONNABORTED, a TCP peer a reset. -ENOENT when
 * it is gone already, -EOPNOTSUPP where the kernel cannot. */
int zg_sockdiag_destroy(struct zg_sockdiag *d, const struct zg_socket *s) ZG_MUST_CHECK;

/* End every socket of a cgroup that has this peer; how many, or -errno. */
int zg_sockdiag_destroy_flow(struct zg_sockdiag *d, uint64_t cgroup_id, uint8_t proto,
			     const uint8_t remote[16], uint16_t remote_port) ZG_MUST_CHECK;

#endif
