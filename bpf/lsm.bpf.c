// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * lsm.bpf.c - the security hooks, where the kernel has them: what no cgroup
 * hook sees. They run for whoever acts, so they judge the current task. Shares
 * the gate's maps and the one verdict.
 */
#include "lsm_socket.bpf.h"
#include "lsm_task.bpf.h"
#include "lsm_unix.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";
