/* SPDX-License-Identifier: Apache-2.0 */
/* sockaddr.h - from the 16 bytes that addresses are everywhere here (v4-mapped
 * for IPv4) to what the kernel's calls take. */
#ifndef ZG_BASE_SOCKADDR_H
#define ZG_BASE_SOCKADDR_H

#include <stdint.h>
#include <sys/socket.h>

/* port in host order. Returns the length. */
socklen_t zg_sockaddr(struct sockaddr_storage *out, const uint8_t addr[16], uint16_t port);

#endif
