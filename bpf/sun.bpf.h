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

/* 1 if two bytes are the same, else 0: for loops that calculate and do not
 * branch, because the verifier would follow each of the many ways through. */
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

/* Along a name, byte by byte. By bpf_loop(), whose body the verifier judges
 * once; it came with Linux 5.17, before the hooks that this is for. */
struct zg_walk {
	struct zg_sun *name;
	__u32 part;  /* before the first slash there is nothing */
	__u32 ended; /* a NUL was seen */
	__u32 slash;
	__u32 bad;
};

static long zg_walk_path(__u32 i, struct zg_walk *w)
{
	struct zg_sun *n = w->name;
	__u32 c, alive, at_slash, at_dot, dots;

	if (i >= ZG_EVENT_PATH)
		return 1;
	c = (__u8)n->key.path[i];
	w->ended |= zg_same_byte(c, 0);
	alive = 1 - w->ended;
	at_slash = alive * zg_same_byte(c, '/');
	at_dot = alive * zg_same_byte(c, '.');
	dots = w->part + 1 - ((w->part + 1) >> 2); /* two, and a third is plain */
	w->bad |= at_slash * (w->part ^ ZG_PART_PLAIN);
	w->slash += at_slash * (i - w->slash);
	w->part = at_dot * dots + (alive - at_dot - at_slash) * ZG_PART_PLAIN + w->ended * w->part;
	n->key.path[i] = c * alive;
	return 0;
}

static long zg_walk_abstract(__u32 i, struct zg_walk *w)
{
	__u32 c, nul;

	i++; /* the NUL that makes it abstract */
	if (i >= ZG_SUN_PATH_MAX)
		return 1;
	c = (__u8)w->name->key.path[i];
	nul = zg_same_byte(c, 0);
	w->bad |= w->ended * (1 - nul);
	w->ended |= nul;
	w->slash += zg_same_byte(c, '/') * (i - w->slash);
	return 0;
}

/* Zeros behind the end; false: relative, or not plain ("//", "/./", "/../"). */
static __always_inline bool zg_plain_path(struct zg_sun *n)
{
	struct zg_walk w = {.name = n, .part = ZG_PART_PLAIN};

	bpf_loop(ZG_EVENT_PATH, zg_walk_path, &w, 0);
	n->slash = w.slash;
	return n->key.path[0] == '/' && !w.bad && w.part == ZG_PART_PLAIN;
}

/* False: a NUL within the name of that many bytes, which no entry can tell
 * from its end. */
static __always_inline bool zg_plain_abstract(struct zg_sun *n, __u32 bytes)
{
	struct zg_walk w = {.name = n};

	bpf_loop(bytes - 1, zg_walk_abstract, &w, 0);
	n->slash = w.slash;
	n->key.path[0] = '@';
	return !w.bad && !w.ended;
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
static __noinline ZG_UNUSED bool zg_read_sun(struct zg_sun *n, const void *addr, __u32 bytes)
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
