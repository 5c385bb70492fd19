// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * unix.bpf.c - layer 2 for unix sockets: connect(), and datagrams that name
 * their destination, judged by the path that the task names. An object of its
 * own: the hooks came with Linux 6.7. What lies behind the path (a link, a
 * mount) is not seen here; the LSM layer judges the socket that was found.
 */
#include "unix.bpf.h"

struct bpf_sock_addr_kern {
	void *uaddr;
	__u32 uaddrlen;
} __attribute__((preserve_access_index));

/* The whole context of the hook: the public one has no unix address. */
extern void *bpf_cast_to_kern_ctx(void *obj) __ksym;

static __noinline int zg_tell_unix(const struct zg_sun *n, const struct zg_dest *d,
				   const struct zg_answer *a, __u64 netns_cookie)
{
	__u32 kind = a->audit ? ZG_E_WOULD_DENY : ZG_E_DENY;
	struct zg_event *ev = zg_reserve(kind);

	if (!ev)
		return 0;
	zg_fill_event(ev, d, a, kind, ZG_L_UNIX);
	zg_fill_task(ev);
	ev->family = AF_UNIX;
	ev->netns_cookie = netns_cookie;
	__builtin_memcpy(ev->path, n->key.path, sizeof(ev->path));
	bpf_ringbuf_submit(ev, 0);
	return 0;
}

static __always_inline int zg_gate_unix(struct bpf_sock_addr *ctx)
{
	struct bpf_sock_addr_kern *k = bpf_cast_to_kern_ctx(ctx);
	struct zg_dest d = {};
	struct zg_answer a = {};
	struct zg_sun n;

	if (!zg_read_sun(&n, k->uaddr, k->uaddrlen))
		d.refused = ZG_GR_UNIX;
	zg_judge_unix(&n, &d, &a);
	if (a.profile == ZG_PROFILE_NONE || a.verdict == ZG_V_ALLOW)
		return ZG_PASS;
	zg_tell_unix(&n, &d, &a, bpf_get_netns_cookie(ctx));
	return a.audit ? ZG_PASS : ZG_EPERM;
}

SEC("cgroup/connect_unix")
int zg_unix_connect(struct bpf_sock_addr *ctx)
{
	return zg_gate_unix(ctx);
}

SEC("cgroup/sendmsg_unix")
int zg_unix_sendmsg(struct bpf_sock_addr *ctx)
{
	return zg_gate_unix(ctx);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
