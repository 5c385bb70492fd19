/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * addr.bpf.h - a destination, and the one form of each address that is judged:
 * what a task names and what a packet carries are brought to it here.
 */
#ifndef ZG_ADDR_BPF_H
#define ZG_ADDR_BPF_H

#include "kern.bpf.h"

union zg_in {
	__u8 byte[16];
	__u32 word[4]; /* network order */
};

struct zg_dest {	  /* of a packet that came in: where it came from */
	union zg_in addr; /* canonical: what is judged and recorded */
	union zg_in wire; /* what the kernel will dial; IPv4 as v4-mapped */
	__u32 proto;
	__u16 port_be;	     /* as asked for */
	__u16 wire_port_be;  /* as dialled */
	bool rewrite;	     /* governed: the hook writes wire back */
	bool inbound;	     /* a packet that came in */
	bool reset;	     /* a packet that ends a TCP connection and carries nothing */
	__u8 refused;	     /* enum zg_gate_reason: denied to the governed, unseen the rules */
	__u8 ways;	     /* ZG_WAY_*: any of them may allow it; 0 = nothing does */
	__u16 local_port_be; /* our end's, for ZG_WAY_IN */
	__u32 detail;	     /* of the event */
	__u32 transport;     /* where a packet's TCP or UDP header stands */
};

#define ZG_WAY_OUT  1 /* the other end may be dialled */
#define ZG_WAY_IN   2 /* it may dial our port */
#define ZG_WAY_BIND 4 /* alone: port_be is one to be dialled at, by whomever */

#define ZG_MAPPED   bpf_htonl(0x0000ffff) /* ::ffff:0:0/96, third word */
#define ZG_NAT64    bpf_htonl(0x0064ff9b) /* 64:ff9b::/96, RFC 6052 */
#define ZG_6TO4	    0x2002		  /* 2002::/16, RFC 3056 */
#define ZG_LOOPBACK bpf_htonl(0x7f000001)

static __always_inline bool zg_is_v4(const union zg_in *a)
{
	return !a->word[0] && !a->word[1] && a->word[2] == ZG_MAPPED;
}

static __always_inline bool zg_is_loopback(const union zg_in *a) /* 127.0.0.1 or ::1 */
{
	if (zg_is_v4(a))
		return a->word[3] == ZG_LOOPBACK;
	return !a->word[0] && !a->word[1] && !a->word[2] && a->word[3] == bpf_htonl(1);
}

static __always_inline bool zg_same(const union zg_in *a, const __u8 *b)
{
	const union zg_in *o = (const union zg_in *)b;

	return a->word[0] == o->word[0] && a->word[1] == o->word[1] && a->word[2] == o->word[2] &&
	       a->word[3] == o->word[3];
}

static __always_inline void zg_set_v4(union zg_in *a, __u32 v4)
{
	a->word[0] = 0;
	a->word[1] = 0;
	a->word[2] = ZG_MAPPED;
	a->word[3] = v4;
}

/* What NAT64 and 6to4 addresses stand for. */
static __always_inline void zg_unwrap(struct zg_dest *d)
{
	union zg_in *a = &d->addr;

	*a = d->wire;
	if (a->word[0] == ZG_NAT64 && !a->word[1] && !a->word[2])
		zg_set_v4(a, a->word[3]);
	else if (bpf_ntohl(a->word[0]) >> 16 == ZG_6TO4)
		zg_set_v4(a, bpf_htonl(bpf_ntohl(a->word[0]) << 16 | bpf_ntohl(a->word[1]) >> 16));
}

/*
 * The unspecified address is replaced on the wire too: the kernel resolves it
 * to the socket's own bound address, which need not be the loopback address
 * that was judged.
 */
static __always_inline void zg_canonicalise(struct zg_dest *d)
{
	union zg_in *a = &d->wire;

	if (!a->word[0] && !a->word[1] && !a->word[2] && !a->word[3])
		a->byte[15] = 1;
	else if (zg_is_v4(a) && !a->word[3])
		a->word[3] = ZG_LOOPBACK;
	zg_unwrap(d);
}

static __always_inline void zg_load6(union zg_in *to, const struct bpf_sock_addr *ctx)
{
	to->word[0] = ctx->user_ip6[0];
	to->word[1] = ctx->user_ip6[1];
	to->word[2] = ctx->user_ip6[2];
	to->word[3] = ctx->user_ip6[3];
}

static __always_inline void zg_store6(struct bpf_sock_addr *ctx, const union zg_in *from)
{
	ctx->user_ip6[0] = from->word[0];
	ctx->user_ip6[1] = from->word[1];
	ctx->user_ip6[2] = from->word[2];
	ctx->user_ip6[3] = from->word[3];
}

#endif
