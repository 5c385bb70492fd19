// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * ask.bpf.c - the agent's own question to the verdict: "what would happen?".
 * Shares the gate's maps, is never attached and judges no traffic.
 *
 * The question is the packet of a BPF_PROG_TEST_RUN, and so is the answer. Of
 * the programs that can be run like that from Linux 5.15 on, a "syscall" one is
 * sleepable and may not look into the trie of addresses, an XDP one makes older
 * kernels patch their dispatcher at each run, and a cgroup_skb one may not
 * write into its packet. A traffic classifier has none of these limits.
 */
#include "verdict.bpf.h"

SEC("tc")
int zg_ask(struct __sk_buff *skb)
{
	struct zg_question *q = (void *)(long)skb->data;
	const struct zg_ctl *ctl = zg_get_ctl();
	struct zg_dest d = {};
	struct zg_answer a = {};

	if ((void *)(q + 1) > (void *)(long)skb->data_end)
		return -1;
	__builtin_memcpy(d.wire.byte, q->addr, sizeof(d.wire));
	d.proto = q->proto;
	d.port_be = q->port_be;
	d.local_port_be = q->local_port_be;
	d.ways = q->live		     ? ZG_WAY_OUT | ZG_WAY_IN
		 : q->direction == ZG_DIR_IN ? ZG_WAY_IN
					     : ZG_WAY_OUT;
	zg_unwrap(&d);
	zg_decide(ZG_QUESTION, q, &d, &a);
	if (a.verdict == ZG_V_RESOLVE) {
		a.verdict = zg_is_resolver(&d, &a) ? ZG_V_ALLOW : ZG_V_DENY;
		a.reason = a.verdict == ZG_V_ALLOW ? ZG_GR_NONE : ZG_GR_RESOLVER;
	}
	q->verdict = a.verdict;
	q->reason = a.reason;
	q->audit = a.audit;
	q->gateway = ctl && zg_is_gateway(ctl, &d);
	q->answered = a.profile;
	q->identity = a.identity;
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
