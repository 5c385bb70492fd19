/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * stdio_call.bpf.h - writes to stdout where the kernel has no trampolines: the
 * entry and exit of every system call. That taxes each call of the machine, so
 * it is attached only while a profile asks. Writes that are no calls (io_uring) and
 * those of 32-bit programs do not pass here.
 */
#ifndef ZG_STDIO_CALL_BPF_H
#define ZG_STDIO_CALL_BPF_H

#include <asm/unistd.h>

#include "stdio.bpf.h"

/* The registers of a call's arguments, by architecture. */
struct pt_regs___x86 {
	unsigned long di, si, dx;
} __attribute__((preserve_access_index));

struct pt_regs___arm {
	__u64 regs[31];
} __attribute__((preserve_access_index));

struct pt_regs; /* whole to the kernel alone */

struct zg_call {
	__u64 fd;
	const void *buffer;
	__u64 count;
};

struct zg_msghdr { /* of user space, 64 bit */
	void *name;
	__u64 name_bytes;
	const void *iov;
	__u64 iov_count;
};

static __always_inline void zg_read_call(const struct pt_regs *regs, struct zg_call *c)
{
	const struct pt_regs___x86 *x86 = (const void *)regs;
	const struct pt_regs___arm *arm = (const void *)regs;

	if (bpf_core_field_exists(x86->di)) {
		c->fd = BPF_CORE_READ(x86, di);
		c->buffer = (const void *)BPF_CORE_READ(x86, si);
		c->count = BPF_CORE_READ(x86, dx);
	} else {
		c->fd = BPF_CORE_READ(arm, regs[0]);
		c->buffer = (const void *)BPF_CORE_READ(arm, regs[1]);
		c->count = BPF_CORE_READ(arm, regs[2]);
	}
}

static __noinline int zg_look_parts(struct zg_stdio *s, const void *iov, __u64 count)
{
	for (__u32 i = 0; i < ZG_STDIO_PARTS; i++) {
		struct iovec part;

		if (i >= count ||
		    bpf_probe_read_user(&part, sizeof(part), iov + i * sizeof(part)) ||
		    !zg_stdio_look(s, ZG_ON_CALL, (__u64)part.iov_base, part.iov_len))
			break;
	}
	return 0;
}

static __noinline int zg_look_message(struct zg_stdio *s, const void *message)
{
	struct zg_msghdr m;

	if (!bpf_probe_read_user(&m, sizeof(m), message))
		zg_look_parts(s, m.iov, m.iov_count);
	return 0;
}

static __always_inline bool zg_writes(long id)
{
	return id == __NR_write || id == __NR_writev || id == __NR_pwritev2 || id == __NR_sendto ||
	       id == __NR_sendmsg || id == __NR_sendmmsg;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(zg_stdio_call, struct pt_regs *regs, long id)
{
	struct zg_stdio *s;
	struct zg_call c;

	if (!zg_writes(id))
		return 0;
	s = zg_watched();
	if (!s || !s->ino)
		return 0;
	zg_read_call(regs, &c);
	if (zg_channel_of_fd(c.fd) != s->ino)
		return 0;
	if (id == __NR_writev || id == __NR_pwritev2)
		zg_look_parts(s, c.buffer, c.count);
	else if (id == __NR_sendmsg || id == __NR_sendmmsg) /* of several the first */
		zg_look_message(s, c.buffer);
	else
		zg_stdio_look(s, ZG_ON_CALL, (__u64)c.buffer, c.count);
	return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(zg_stdio_return)
{
	zg_stdio_again(ZG_ON_CALL);
	return 0;
}

#endif
