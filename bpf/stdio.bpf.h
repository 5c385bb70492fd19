/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * stdio.bpf.h - MCP servers that nobody registered, on stdio: a governed
 * process that was executed with pipes or sockets as stdin and stdout is
 * watched, and what it writes to that stdout is looked at until it answers an
 * MCP handshake. Detection on top of the gate: whoever controls both ends can
 * agree on other words. Keeps flags, never content.
 *
 * A message is a line (the transport's rule), so the members that make an
 * answer count together only within one. Text that quotes a message has its
 * quotes escaped, and is none.
 */
#ifndef ZG_STDIO_BPF_H
#define ZG_STDIO_BPF_H

#include "event.bpf.h"
#include <bpf/bpf_tracing.h>

#define ZG_SIGKILL     9
#define ZG_STDIO_PIECE 256 /* bytes read at a time; each costs the verifier a turn, */
#define ZG_STDIO_READS 16  /* and so does each piece of a buffer */
#define ZG_STDIO_PARTS 8   /* buffers looked at in one call */

#define S_IFMT	 0170000
#define S_IFIFO	 0010000
#define S_IFSOCK 0140000

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
} __attribute__((preserve_access_index));

struct files_struct {
	struct fdtable *fdt;
} __attribute__((preserve_access_index));

struct task_struct___files {
	struct files_struct *files;
} __attribute__((preserve_access_index));

struct linux_binprm {
	const char *filename;
} __attribute__((preserve_access_index));

struct iovec {
	const void *iov_base;
	unsigned long iov_len;
};

struct zg_stdio {
	__u64 ino;     /* of its stdout; 0 = no longer looked at */
	__u64 last[2]; /* the last 16 bytes, the latest lowest in the second */
	__u32 found;   /* in this line: bits of enum zg_signature */
	__u32 left;    /* bytes that will be looked at */
	__u64 missed;  /* a buffer that was not in memory, and its bytes */
	__u64 missed_bytes;
	char path[ZG_EVENT_PATH]; /* what was executed */
};

struct { /* by group leader; lives and dies with the process: never full */
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct zg_stdio);
} zg_stdio SEC(".maps");

struct zg_piece {
	__u8 byte[ZG_STDIO_PIECE];
};

/* Entries, then exits. */
enum zg_program { ZG_ON_CALL, ZG_ON_PIPE, ZG_ON_SOCKET, ZG_AFTER, ZG_PROGRAMS = 2 * ZG_AFTER };

struct { /* one a program: another may run in the middle of this one */
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, ZG_PROGRAMS);
	__type(key, __u32);
	__type(value, struct zg_piece);
} zg_stdio_piece SEC(".maps");

/* who is watched ------------------------------------------------------------- */

static __always_inline struct zg_stdio *zg_watched(void)
{
	struct task_struct *leader = bpf_get_current_task_btf()->group_leader;

	return leader ? bpf_task_storage_get(&zg_stdio, leader, 0, 0) : NULL;
}

/* The number of a pipe or socket; 0 for anything else. */
static __always_inline __u64 zg_channel_of(const struct file *file)
{
	const struct inode *inode = BPF_CORE_READ(file, f_inode);
	unsigned short type = BPF_CORE_READ(inode, i_mode) & S_IFMT;

	return type == S_IFIFO || type == S_IFSOCK ? BPF_CORE_READ(inode, i_ino) : 0;
}

static __always_inline __u64 zg_channel_of_fd(__u32 fd)
{
	struct task_struct___files *task = (void *)bpf_get_current_task_btf();
	const struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct file **list = BPF_CORE_READ(table, fd), *file = NULL;

	if (fd >= BPF_CORE_READ(table, max_fds) ||
	    bpf_probe_read_kernel(&file, sizeof(file), &list[fd]) || !file)
		return 0;
	return zg_channel_of(file);
}

/* What the current task's profile wants done; ZG_SHADOW_OFF if it has none. */
static __always_inline const struct zg_profile *zg_stdio_profile(struct zg_answer *a)
{
	const struct zg_ctl *ctl = zg_get_ctl();
	__u32 index;

	if (!ctl)
		return NULL;
	a->slot = ZG_READ_ONCE(ctl->epoch) & 1;
	a->profile = zg_profile_of(ZG_TASK, NULL, a->slot);
	if (a->profile == ZG_PROFILE_NONE || a->profile >= ZG_PROFILES_MAX)
		return NULL;
	index = a->slot * ZG_PROFILES_MAX + a->profile;
	return bpf_map_lookup_elem(&zg_profile, &index);
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(zg_stdio_exec, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
	struct zg_stdio fresh = {.left = ZG_STDIO_BYTES}, *s;
	struct zg_answer a = {};
	const struct zg_profile *p = zg_stdio_profile(&a);

	if (p && p->shadow_stdio != ZG_SHADOW_OFF && zg_channel_of_fd(0))
		fresh.ino = zg_channel_of_fd(1);
	if (!fresh.ino) {
		bpf_task_storage_delete(&zg_stdio, task);
		return 0;
	}
	bpf_probe_read_kernel_str(fresh.path, sizeof(fresh.path), BPF_CORE_READ(bprm, filename));
	s = bpf_task_storage_get(&zg_stdio, task, &fresh, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (s)
		*s = fresh;
	return 0;
}

/* A child that goes on with its parent's stdout, without an exec. */
SEC("tp_btf/sched_process_fork")
int BPF_PROG(zg_stdio_fork, struct task_struct *parent, struct task_struct *child)
{
	struct zg_stdio *s, *its;

	if (child->pid != child->tgid)
		return 0;
	s = zg_watched();
	if (!s || !s->ino)
		return 0;
	its = bpf_task_storage_get(&zg_stdio, child, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (its)
		*its = *s;
	return 0;
}

/* what it says ----------------------------------------------------------------- */

#define ZG_SIG_BIT(NAME) (1u << ZG_SIG_##NAME)

#define ZG_TEXT8(s)                                                                                \
	((__u64)(s)[0] << 56 | (__u64)(s)[1] << 48 | (__u64)(s)[2] << 40 | (__u64)(s)[3] << 32 |   \
	 (__u64)(s)[4] << 24 | (__u64)(s)[5] << 16 | (__u64)(s)[6] << 8 | (__u64)(s)[7])
#define ZG_TEXT4(s) ((__u64)(s)[0] << 24 | (__u64)(s)[1] << 16 | (__u64)(s)[2] << 8 | (__u64)(s)[3])

/* What ends with the quote that was just read. */
static __always_inline __u32 zg_member_of(__u64 before, __u64 last)
{
	if (last == ZG_TEXT8("\"result\""))
		return ZG_SIG_BIT(RESULT);
	if (last == ZG_TEXT8("jsonrpc\"") && (before & 0xff) == '"')
		return ZG_SIG_BIT(JSONRPC);
	if (last == ZG_TEXT8("Version\"") && before == ZG_TEXT8("protocol"))
		return ZG_SIG_BIT(PROTOCOL_VERSION);
	before &= 0xffffffff;
	if (last == ZG_TEXT8("verInfo\"") && before == ZG_TEXT4("\"ser"))
		return ZG_SIG_BIT(SERVER_INFO);
	if (last == ZG_TEXT8("verInfo\"") && before == ZG_TEXT4("/ser"))
		return ZG_SIG_BIT(SERVER_INFO);
	return 0;
}

/* "resultType":"complete", with or without a space: the modern era's results. */
static __always_inline __u32 zg_value_of(__u64 before, __u64 last)
{
	if (last == ZG_TEXT8("omplete\"") &&
	    (before == ZG_TEXT8("Type\":\"c") || before == ZG_TEXT8("ype\": \"c")))
		return ZG_SIG_BIT(COMPLETE);
	return 0;
}

static __always_inline bool zg_is_answer(__u32 found)
{
	const __u32 rpc = ZG_SIG_BIT(JSONRPC) | ZG_SIG_BIT(RESULT);
	const __u32 legacy = rpc | ZG_SIG_BIT(PROTOCOL_VERSION) | ZG_SIG_BIT(SERVER_INFO);
	const __u32 modern = rpc | ZG_SIG_BIT(COMPLETE);

	return (found & legacy) == legacy || (found & modern) == modern;
}

/* A quote was read: what is found in the line by now. Not static, as what
 * follows: verified once, by itself, and not with each state of its callers. */
__noinline int zg_stdio_quote(__u64 before, __u64 last, __u32 found)
{
	return found | zg_member_of(before, last) | zg_value_of(before, last);
}

/* Look at n bytes; 1 if they end an answer. */
__noinline int zg_stdio_read(struct zg_stdio *s, const struct zg_piece *p, __u32 n)
{
	__u64 before, last;
	__u32 found;

	if (!s || !p)
		return 0;
	before = s->last[0];
	last = s->last[1];
	found = s->found;
	for (__u32 i = 0; i < ZG_STDIO_PIECE; i++) {
		if (i >= n)
			break;
		before = before << 8 | last >> 56;
		last = last << 8 | p->byte[i];
		if (p->byte[i] == '"') {
			found = zg_stdio_quote(before, last, found);
			if (zg_is_answer(found))
				break;
		} else if (p->byte[i] == '\n') {
			found = 0;
		}
	}
	s->last[0] = before;
	s->last[1] = last;
	s->found = found;
	return zg_is_answer(found);
}

/* what is done ------------------------------------------------------------------ */

__noinline int zg_stdio_answer(struct zg_stdio *s)
{
	struct zg_answer a = {.reason = ZG_GR_SHADOW};
	const struct zg_profile *p = zg_stdio_profile(&a);
	struct zg_dest d = {};
	struct zg_event *ev;
	bool kill;

	if (!s)
		return 0;
	s->ino = 0;
	if (!p || p->shadow_stdio == ZG_SHADOW_OFF)
		return 0;
	kill = p->shadow_stdio == ZG_SHADOW_KILL && p->mode != ZG_MODE_AUDIT;
	ev = zg_reserve(kill ? ZG_E_DENY : ZG_E_WOULD_DENY);
	if (ev) {
		zg_fill_event(ev, &d, &a, kill ? ZG_E_DENY : ZG_E_WOULD_DENY, ZG_L_STDIO);
		zg_fill_task(ev);
		ev->netns_cookie = 0;
		ev->detail = s->found;
		__builtin_memcpy(ev->path, s->path, sizeof(ev->path));
		bpf_ringbuf_submit(ev, 0);
	}
	if (kill)
		bpf_send_signal(ZG_SIGKILL);
	return 0;
}

/* One buffer of a write, which the kernel has not taken yet; 0 to look no
 * further. Not static, as above. */
__noinline int zg_stdio_look(struct zg_stdio *s, __u32 program, __u64 from, __u64 bytes)
{
	struct zg_piece *piece = bpf_map_lookup_elem(&zg_stdio_piece, &program);

	if (!s || !piece)
		return 0;
	for (int i = 0; i < ZG_STDIO_READS; i++) {
		__u32 n = bytes < sizeof(piece->byte) ? bytes : sizeof(piece->byte);

		if (!bytes)
			return 1;
		if (s->left < n)
			break;
		if (bpf_probe_read_user(piece->byte, n, (const void *)from)) {
			s->missed = from;
			s->missed_bytes = bytes;
			return 0;
		}
		s->left -= n;
		if (zg_stdio_read(s, piece, n)) {
			zg_stdio_answer(s);
			return 0;
		}
		from += n;
		bytes -= n;
	}
	s->last[0] = 0; /* what follows is not what came next */
	s->last[1] = 0;
	return 0;
}

/* The write is over: what it brought into memory can be read now. */
static __always_inline void zg_stdio_again(enum zg_program program)
{
	struct zg_stdio *s = zg_watched();
	__u64 from;

	if (!s || !s->missed)
		return;
	from = s->missed;
	if (s->ino)
		zg_stdio_look(s, ZG_AFTER + program, from, s->missed_bytes);
	s->missed = 0;
}

#endif
