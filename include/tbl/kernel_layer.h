/* SPDX-License-Identifier: Apache-2.0 */
/*
 * X(NAME, object, demand, enforces, needs): the optional layers of the kernel
 * gate. object is bpf/<object>.bpf.c; demand: ALWAYS, or DEMAND for one that is
 * attached only while something asks for it. The texts stand in sentences:
 * "enforces ...", "needs ...".
 */
X(LSM, lsm, ALWAYS, "inherited and passed sockets, other socket families, ptrace, tampering",
  "Linux 5.15 with \"bpf\" in the list of security modules (lsm=)")
X(UNIX, unix, ALWAYS, "which unix sockets may be reached by their path or name",
  "Linux 6.7 with BTF")
X(MEMBER, member, ALWAYS, "processes that leave their cgroup, and cgroups as they are made",
  "Linux 5.15 with BTF")
X(STDIO, stdio, DEMAND, "no MCP server on stdio that nobody registered", "Linux 5.15 with BTF")
