/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * lsm_socket.bpf.h - security hooks, sockets: families that no other layer
 * judges.
 */
#ifndef ZG_LSM_SOCKET_BPF_H
#define ZG_LSM_SOCKET_BPF_H

#include "lsm.bpf.h"

static __always_inline bool zg_family_known(int family, int protocol)
{
	return family == AF_INET || family == AF_INET6 || family == AF_UNIX ||
	       (family == AF_NETLINK && protocol == NETLINK_ROUTE);
}

SEC("lsm/socket_create")
int BPF_PROG(zg_lsm_create, int family, int type, int protocol, int kern, int ret)
{
	struct zg_dest d = {.refused = ZG_GR_SOCKET};

	if (ret || kern || zg_family_known(family, protocol))
		return ret;
	d.proto = 0;
	return zg_lsm_judge(&d);
}

#endif
