/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * stdio_write.bpf.h - writes to stdout where the kernel has trampolines: those
 * of pipes and unix sockets themselves, whoever asked for them. Nothing else of
 * the machine pays.
 */
#ifndef ZG_STDIO_WRITE_BPF_H
#define ZG_STDIO_WRITE_BPF_H

#include "stdio.bpf.h"

struct kiocb {
	struct file *ki_filp;
} __attribute__((preserve_access_index));

enum iter_type { /* its numbers move; found by name */
		 ITER_IOVEC,
		 ITER_UBUF,
};

/* One user buffer since 6.0, under this name; the vector's has had two. */
struct iov_iter {
	__u8 iter_type;
	unsigned long iov_offset;
	unsigned long count;
	unsigned long nr_segs;
	void *ubuf;
} __attribute__((preserve_access_index));

struct iov_iter___named {
	const struct iovec *iov;
} __attribute__((preserve_access_index));

struct iov_iter___hidden {
	const struct iovec *__iov;
} __attribute__((preserve_access_index));

struct socket {
	struct file *file;
} __attribute__((preserve_access_index));

struct msghdr {
	struct iov_iter msg_iter;
} __attribute__((preserve_access_index));

static __always_inline const struct iovec *zg_vector_of(const struct iov_iter *iter)
{
	const struct iov_iter___named *named = (const void *)iter;
	const struct iov_iter___hidden *hidden = (const void *)iter;

	return bpf_core_field_exists(named->iov) ? BPF_CORE_READ(named, iov)
						 : BPF_CORE_READ(hidden, __iov);
}

static __always_inline void zg_look_vector(struct zg_stdio *s, __u32 program,
					   const struct iov_iter *iter)
{
	const struct iovec *vector = zg_vector_of(iter);
	__u64 count = BPF_CORE_READ(iter, nr_segs), skip = BPF_CORE_READ(iter, iov_offset);

	for (__u32 i = 0; i < ZG_STDIO_PARTS; i++) {
		struct iovec part;

		if (i >= count || bpf_probe_read_kernel(&part, sizeof(part), &vector[i]) ||
		    skip > part.iov_len ||
		    !zg_stdio_look(s, program, (__u64)part.iov_base + skip, part.iov_len - skip))
			break;
		skip = 0;
	}
}

static __always_inline void zg_look_iter(const struct file *file, __u32 program,
					 const struct iov_iter *iter)
{
	struct zg_stdio *s = zg_watched();
	__u8 type = BPF_CORE_READ(iter, iter_type);

	if (!s || !s->ino || zg_channel_of(file) != s->ino)
		return;
	if (bpf_core_enum_value_exists(enum iter_type, ITER_UBUF) &&
	    type == bpf_core_enum_value(enum iter_type, ITER_UBUF))
		zg_stdio_look(s, program,
			      (__u64)BPF_CORE_READ(iter, ubuf) + BPF_CORE_READ(iter, iov_offset),
			      BPF_CORE_READ(iter, count));
	else if (type == bpf_core_enum_value(enum iter_type, ITER_IOVEC))
		zg_look_vector(s, program, iter);
}

SEC("fentry/pipe_write") /* until 6.15 */
int BPF_PROG(zg_stdio_pipe, struct kiocb *iocb, struct iov_iter *from)
{
	zg_look_iter(BPF_CORE_READ(iocb, ki_filp), ZG_ON_PIPE, from);
	return 0;
}

SEC("fentry/anon_pipe_write") /* since */
int BPF_PROG(zg_stdio_anon, struct kiocb *iocb, struct iov_iter *from)
{
	zg_look_iter(BPF_CORE_READ(iocb, ki_filp), ZG_ON_PIPE, from);
	return 0;
}

SEC("fentry/unix_stream_sendmsg")
int BPF_PROG(zg_stdio_unix, struct socket *sock, struct msghdr *msg)
{
	zg_look_iter(BPF_CORE_READ(sock, file), ZG_ON_SOCKET, &msg->msg_iter);
	return 0;
}

SEC("fexit/pipe_write")
int BPF_PROG(zg_stdio_pipe_2)
{
	zg_stdio_again(ZG_ON_PIPE);
	return 0;
}

SEC("fexit/anon_pipe_write")
int BPF_PROG(zg_stdio_anon_2)
{
	zg_stdio_again(ZG_ON_PIPE);
	return 0;
}

SEC("fexit/unix_stream_sendmsg")
int BPF_PROG(zg_stdio_unix_2)
{
	zg_stdio_again(ZG_ON_SOCKET);
	return 0;
}

#endif
