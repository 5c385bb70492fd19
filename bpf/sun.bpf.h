/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * sun.bpf.h - the name of a unix socket in the one form that is judged: the
 * kernel's copy of a sockaddr_un, cut where the kernel cuts it, and refused if
 * it could mean something else than it says. Trusts nothing in it but that it
 * lies in kernel memory.
 */
#ifndef ZG_SUN_BPF_H
#define ZG_SUN_BPF_H

#include "maps.bpf.h"

#define ZG_SUN_PATH	2   /* where sun_path is in a sockaddr_un */
#define ZG_SUN_PATH_MAX 108 /* its size */

#define ZG_VAR		"/var/run/" /* is /run, by the FHS */
#define ZG_VAR_SKIP	4
#define ZG_USER		"/run/user/"
#define ZG_USER_STAR	"/run/user/*"
#define ZG_USER_LEN_MAX 11 /* a uid, and the slash behind it */

struct zg_sun {
	struct zg_unix_key key; /* prefixlen, profile and slot are the judge's */
	__u32 slash;		/* where the last one is; 0 = none, or at the start */
};

static __always_inline bool zg_begins(const char *text, const char *with, __u32 bytes)
{
	__u8 differ = 0;

	for (__u32 i = 0; i < bytes; i++)
		differ |= text[i] ^ with[i];
	return !differ;
}

/*
 * 1 if two bytes are the same, else 0. The loops below calculate and do not
 * branch: the verifier would follow each of the many ways through them, as it
 * would if masks were made of this.
 */
static __always_inline __u32 zg_same_byte(__u32 a, __u32 b)
{
	__u32 same = ((a ^ b) - 1) >> 31;

	barrier_var(same);
	return same;
}

/* How a component of a path has begun. */
#define ZG_PART_EMPTY 0
#define ZG_PART_DOT   1
#define ZG_PART_DOTS  2
#define ZG_PART_PLAIN 3

/* Zeros behind the end; false: relative, or not plain ("//", "/./", "/../").
 */
static __noinline ZG_UNUSED int zg_plain_path(struct zg_sun *n)
{
	__u32 part = ZG_PART_PLAIN; /* before the first slash there is nothing */
	__u32 alive = 1;
	__u32 slash = 0;
	__u32 bad = 0;

	for (__u32 i = 0; i < ZG_EVENT_PATH; i++) {
		__u32 c = (__u8)n->key.path[i];
		__u32 dots = part + 1 - ((part + 1) >> 2); /* two, and a third is plain */
		__u32 at_slash, at_dot;

		alive *= 1 - zg_same_byte(c, 0);
		at_slash = alive * zg_same_byte(c, '/');
		at_dot = alive * zg_same_byte(c, '.');
		bad |= at_slash * (part ^ ZG_PART_PLAIN);
		slash += at_slash * (i - slash);
		part = at_dot * dots + (alive - at_dot - at_slash) * ZG_PART_PLAIN +
		       (1 - alive) * part;
		n->key.path[i] = c * alive;
	}
	n->slash = slash;
	return n->key.path[0] == '/' && !bad && part == ZG_PART_PLAIN;
}

/* False: a NUL within the name, which no entry can tell from its end. */
static __noinline ZG_UNUSED int zg_plain_abstract(struct zg_sun *n, __u32 bytes)
{
	__u32 slash = 0;
	__u32 nuls = 0;

	for (__u32 i = 1; i < ZG_SUN_PATH_MAX && i < bytes; i++) {
		__u32 c = (__u8)n->key.path[i];

		nuls |= zg_same_byte(c, 0);
		slash += zg_same_byte(c, '/') * (i - slash);
	}
	n->slash = slash;
	n->key.path[0] = '@';
	return !nuls;
}

/* The same with a star for the user of /run/user/UID/...; false: elsewhere. */
static __always_inline bool zg_any_user(const struct zg_sun *n, struct zg_sun *any)
{
	const __u32 from = sizeof(ZG_USER) - 1, star = sizeof(ZG_USER_STAR) - 1;
	__u32 cut = 0;

	if (!zg_begins(n->key.path, ZG_USER, from))
		return false;
	for (__u32 i = from + ZG_USER_LEN_MAX; i > from; i--)
		cut += zg_same_byte((__u8)n->key.path[i], '/') * (i - cut);
	if (!cut)
		return false;
	cut &= 31; /* nothing new, but the verifier does not remember */
	__builtin_memset(any, 0, sizeof(*any));
	__builtin_memcpy(any->key.path, ZG_USER_STAR, star);
	any->slash = n->slash - cut + star;
	return !bpf_probe_read_kernel(any->key.path + star, ZG_EVENT_PATH - 32, n->key.path + cut);
}

/* From a sockaddr_un of that many bytes. False: it cannot be judged; what was
 * read is left for the record. */
static __always_inline bool zg_read_sun(struct zg_sun *n, const void *addr, __u32 bytes)
{
	const char *path = (const char *)addr + ZG_SUN_PATH;
	char head[sizeof(ZG_VAR)] = {};

	__builtin_memset(n, 0, sizeof(*n));
	if (bytes <= ZG_SUN_PATH || bytes > ZG_SUN_PATH + ZG_SUN_PATH_MAX)
		return false;
	bytes -= ZG_SUN_PATH;
	if (bytes >= sizeof(ZG_VAR) && !bpf_probe_read_kernel(head, sizeof(ZG_VAR) - 1, path) &&
	    zg_begins(head, ZG_VAR, sizeof(ZG_VAR) - 1)) {
		path += ZG_VAR_SKIP;
		bytes -= ZG_VAR_SKIP;
	}
	bytes &= 127; /* nothing new, but the verifier does not remember */
	if (bytes > ZG_SUN_PATH_MAX || bpf_probe_read_kernel(n->key.path, bytes, path))
		return false;
	if (n->key.path[0] ? !zg_plain_path(n) : !zg_plain_abstract(n, bytes))
		return false;
	return true;
}

#endif
