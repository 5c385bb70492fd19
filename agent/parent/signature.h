/* SPDX-License-Identifier: Apache-2.0 */
/*
 * signature.h - what MCP looks like (tbl/mcp_signature.h), made into the one
 * automaton that the kernel gate runs over streams, and into words for records.
 * Pure: no I/O, no kernel.
 */
#ifndef ZG_SIGNATURE_H
#define ZG_SIGNATURE_H

#include <stddef.h>
#include <stdint.h>

#include "cleanup.h"
#include "zg_abi.h"

/* The same table gives the same automaton, id included. -ENOMEM; -ENOSPC: the
 * table has outgrown ZG_SIG_STATES, ZG_SIG_CLASSES or ZG_SIG_RULES. */
int zg_signature_build(struct zg_automaton *out) ZG_MUST_CHECK;

/* The names of signatures, a bit of enum zg_signature each: "a, b". Cut at
 * whole names where room ends. */
void zg_signature_text(uint32_t bits, char *out, size_t bytes);

#endif
