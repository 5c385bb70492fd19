/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel_gateway.c - see kernel_gateway.h. Trust: runs as root; writes the pinned
 * map itself, which the programs read while it does.
 */
#include "kernel_gateway.h"

#include <arpa/inet.h>
#include <string.h>

static bool same_listener(const uint8_t addr[16], uint16_t port_be, const uint8_t to[16],
			  uint16_t to_port_be)
{
	return memcmp(addr, to, 16) == 0 && port_be == to_port_be;
}

/* No port means no listener, so the address is never seen half written. */
static void set_listener(uint8_t addr[16], uint16_t *port_be, const uint8_t to[16],
			 uint16_t to_port_be)
{
	if (same_listener(addr, *port_be, to, to_port_be))
		return;
	__atomic_store_n(port_be, 0, __ATOMIC_SEQ_CST);
	memcpy(addr, to, 16);
	__atomic_store_n(port_be, to_port_be, __ATOMIC_SEQ_CST);
}

static void put_gateway(struct zg_tables *t)
{
	const struct zg_ctl *to = &t->gateway_meant;

	__atomic_store_n(&t->ctl->netns_cookie, to->netns_cookie, __ATOMIC_SEQ_CST);
	set_listener(t->ctl->gateway4, &t->ctl->gateway4_port_be, to->gateway4,
		     to->gateway4_port_be);
	set_listener(t->ctl->gateway6, &t->ctl->gateway6_port_be, to->gateway6,
		     to->gateway6_port_be);
}

void zg_tables_set_gateway(struct zg_tables *t, uint64_t netns_cookie, const struct zg_listen *v4,
			   const struct zg_listen *v6)
{
	struct zg_ctl *to = &t->gateway_meant;

	to->netns_cookie = netns_cookie;
	memcpy(to->gateway4, v4->addr, sizeof(to->gateway4));
	memcpy(to->gateway6, v6->addr, sizeof(to->gateway6));
	to->gateway4_port_be = htons(v4->port);
	to->gateway6_port_be = htons(v6->port);
	put_gateway(t);
}

void zg_tables_own_listener(struct zg_tables *t, bool v4, uint64_t cookie)
{
	*(v4 ? &t->gateway_meant.gateway4_cookie : &t->gateway_meant.gateway6_cookie) = cookie;
	__atomic_store_n(v4 ? &t->ctl->gateway4_cookie : &t->ctl->gateway6_cookie, cookie,
			 __ATOMIC_SEQ_CST);
}

/* A cookie says nothing where no listener is: a former agent's may be there. */
bool zg_tables_gateway_holds(const struct zg_tables *t)
{
	const struct zg_ctl *to = &t->gateway_meant, *is = t->ctl;

	return is->netns_cookie == to->netns_cookie &&
	       same_listener(is->gateway4, is->gateway4_port_be, to->gateway4,
			     to->gateway4_port_be) &&
	       same_listener(is->gateway6, is->gateway6_port_be, to->gateway6,
			     to->gateway6_port_be) &&
	       (!to->gateway4_port_be || is->gateway4_cookie == to->gateway4_cookie) &&
	       (!to->gateway6_port_be || is->gateway6_cookie == to->gateway6_cookie);
}

void zg_tables_restore_gateway(struct zg_tables *t)
{
	zg_tables_own_listener(t, true, t->gateway_meant.gateway4_cookie);
	zg_tables_own_listener(t, false, t->gateway_meant.gateway6_cookie);
	put_gateway(t);
}
