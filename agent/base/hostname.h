/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hostname.h - what config, resolver and parent must agree on about host names
 * and the addresses they stand for. Names are lower case, without a dot at the
 * end. Pure.
 */
#ifndef ZG_HOSTNAME_H
#define ZG_HOSTNAME_H

#include "slice.h"
#include "zg_wire.h"

/* Letters, digits, hyphens and (as real names have them) underscores: 1 to 63
 * in a label, no hyphen at its ends, 253 in all. */
bool zg_hostname_ok(struct zg_slice name);

/* "*.a.example" covers every name below a.example, not a.example itself; any
 * other pattern covers itself. */
bool zg_hostname_matches(struct zg_slice pattern, struct zg_slice name);

/* Does it resolve names for others over HTTPS? No wildcard covers those. */
bool zg_hostname_is_doh(struct zg_slice name);

/* Their well-known addresses, and where clouds hand out credentials: closed
 * unless an entry names the address, or for the former the host, exactly. */
struct zg_closed_addr {
	const char *addr;
	const char *host; /* of a DNS over HTTPS service; NULL: metadata */
};
extern const struct zg_closed_addr zg_closed_addrs[];
extern const size_t zg_closed_addr_count;

/* May a name stand for this address (16 bytes, as zg_abi.h)? local: its entry
 * says so. NAT64 and 6to4 are judged by what they stand for. */
enum zg_name_reason zg_hostname_addr(const uint8_t addr[16], bool local);

#endif
