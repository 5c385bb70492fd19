// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * stdio.bpf.c - shadow MCP servers on stdio in one object: who is watched and
 * what is looked for (stdio.bpf.h), and two ways to see a write, of which the
 * parent attaches the first that this kernel has.
 */
#include "stdio_call.bpf.h"
#include "stdio_write.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";
