// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * gate.bpf.c - the kernel gate in one object: each layer is a header of its
 * own, and all share the maps and the one verdict. Runs in the kernel; takes
 * nothing on trust from the task that it judges.
 */
#include "bind.bpf.h"
#include "connect.bpf.h"
#include "create.bpf.h"
#include "packet.bpf.h"
#include "peername.bpf.h"
#include "resolve.bpf.h"
#include "sendmsg.bpf.h"
#include "setsockopt.bpf.h"
#include "sockops.bpf.h"
#include "sockopt.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";
