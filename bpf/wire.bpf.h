/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * wire.bpf.h - what a packet says: the other end's address and port, where it
 * really goes to or comes from. A packet that could go elsewhere than its
 * header says, or that hides its ports, is refused. Trusts nothing in it.
 *
 * The hook sees packets before they are cut into fragments and after they were
 * put together again. So a fragment here was made by hand, and there is no
 * honest one to lose.
 */
#ifndef ZG_WIRE_BPF_H
#define ZG_WIRE_BPF_H

#include <linux/ip.h>
#include <linux/ipv6.h>

#include "addr.bpf.h"

#define ZG_EXT_MAX  8		      /* extension headers walked; honest packets have one */
#define ZG_FRAGMENT bpf_htons(0x3fff) /* more fragments, or not the first */

/* Finds the transport header; false to refuse. IPv4 options are refused as a
 * whole: source routes are one of them, and no ordinary program sets any. */
static __always_inline bool zg_walk4(struct __sk_buff *skb, struct zg_dest *d, __u32 *at)
{
	struct iphdr ip;

	if (bpf_skb_load_bytes(skb, 0, &ip, sizeof(ip)))
		return false;
	*at = sizeof(ip);
	zg_set_v4(&d->wire, d->inbound ? ip.saddr : ip.daddr);
	d->proto = ip.protocol;
	return ip.version == 4 && ip.ihl == sizeof(ip) / 4 && !(ip.frag_off & ZG_FRAGMENT);
}

/* Routing and fragment headers end the walk without a result; any other
 * protocol ends it with one, and is judged by its number. */
static __always_inline bool zg_walk6(struct __sk_buff *skb, struct zg_dest *d, __u32 *at)
{
	struct ipv6hdr ip;
	__u8 ext[2]; /* next header, length in 8 bytes beyond the first 8 */

	if (bpf_skb_load_bytes(skb, 0, &ip, sizeof(ip)))
		return false;
	*at = sizeof(ip);
	__builtin_memcpy(d->wire.byte, d->inbound ? &ip.saddr : &ip.daddr, sizeof(d->wire));
	d->proto = ip.nexthdr;
	if (ip.version != 6)
		return false;
	for (int i = 0; i < ZG_EXT_MAX; i++) {
		if (d->proto == IPPROTO_ROUTING || d->proto == IPPROTO_FRAGMENT)
			return false;
		if (d->proto != IPPROTO_HOPOPTS && d->proto != IPPROTO_DSTOPTS)
			return true;
		if (bpf_skb_load_bytes(skb, *at, ext, sizeof(ext)))
			return false;
		d->proto = ext[0];
		*at += (ext[1] + 1) * 8;
	}
	return false;
}

/* The hook sets a packet's socket to the listener until a connection is whole. */
static __always_inline bool zg_is_listener(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;

	return sk && sk->state == BPF_TCP_LISTEN;
}

/*
 * A reset without data carries no byte, so it may leave whatever the verdict:
 * the other end of a connection that was withdrawn learns that it is over.
 */
static __always_inline bool zg_is_reset(struct __sk_buff *skb, __u32 at)
{
	__u8 tcp[2]; /* data offset in 4 bytes, in the upper half; flags */

	if (bpf_skb_load_bytes(skb, at + 12, tcp, sizeof(tcp)))
		return false;
	return (tcp[1] & 0x04) && skb->len == at + (tcp[0] >> 4) * 4;
}

/* Fill d from a packet of a socket; d->refused says why its address and port
 * need not be looked at. Not static: the verifier judges it once, by itself,
 * and not again with each state of its callers. */
__noinline int zg_read_packet(struct __sk_buff *skb, struct zg_dest *d)
{
	__u16 port[2]; /* source, destination */
	__u32 at;
	bool found;

	if (!d)
		return 0;
	found = skb->protocol == bpf_htons(ETH_P_IP) ? zg_walk4(skb, d, &at)
						     : zg_walk6(skb, d, &at);
	zg_unwrap(d);
	d->refused = ZG_GR_PACKET;
	if (!found)
		return 0;
	if (d->proto == IPPROTO_TCP || d->proto == IPPROTO_UDP) {
		if (bpf_skb_load_bytes(skb, at, port, sizeof(port)))
			return 0;
		d->port_be = d->inbound ? port[0] : port[1];
	}
	d->reset = !d->inbound && d->proto == IPPROTO_TCP && zg_is_reset(skb, at);
	d->refused = zg_is_listener(skb) ? ZG_GR_INBOUND : ZG_GR_NONE;
	return 0;
}

#endif
