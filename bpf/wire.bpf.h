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

#define ZG_TCP_AT  12 /* data offset in 4 bytes, in the upper half; flags */
#define ZG_TCP_SYN 0x02
#define ZG_TCP_RST 0x04
#define ZG_TCP_ACK 0x10

/*
 * Who may have dialled: what comes to a listener, or goes from it, was dialled
 * by the other end; a SYN alone that goes out dials itself. And a reset without
 * data carries no byte, so it may leave whatever the verdict: the other end of
 * a connection that was withdrawn learns that it is over.
 */
static __always_inline bool zg_read_tcp(struct __sk_buff *skb, struct zg_dest *d, __u32 at)
{
	__u8 tcp[2];

	if (bpf_skb_load_bytes(skb, at + ZG_TCP_AT, tcp, sizeof(tcp)))
		return false;
	d->reset = !d->inbound && (tcp[1] & ZG_TCP_RST) && skb->len == at + (tcp[0] >> 4) * 4;
	if (zg_is_listener(skb))
		d->ways = ZG_WAY_IN;
	else if (!d->inbound && (tcp[1] & (ZG_TCP_SYN | ZG_TCP_ACK)) == ZG_TCP_SYN)
		d->ways = ZG_WAY_OUT;
	return true;
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
		d->local_port_be = d->inbound ? port[1] : port[0];
		d->transport = at;
		d->ways = ZG_WAY_OUT | ZG_WAY_IN;
		if (d->proto == IPPROTO_TCP && !zg_read_tcp(skb, d, at))
			return 0;
	}
	d->refused = ZG_GR_NONE;
	return 0;
}

#endif
