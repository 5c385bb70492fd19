/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tables.h - from "this profile may reach that block on those ports" to what
 * the kernel gate looks up: prefix -> identity, (profile, identity, protocol,
 * direction) -> port ranges. Pure computation; the parent only copies the result.
 *
 * The trie answers with its longest prefix alone, so each prefix carries the
 * union of all grants that cover it. Where they disagree on a port, deny wins
 * over redirect and redirect over allow. IPv4 lies inside IPv6 (v4-mapped),
 * but an IPv6 block that happens to cover that corner grants nothing to IPv4.
 *
 * What a profile may listen on at all, whoever dials, is a rule of identity 0.
 */
#ifndef ZG_TABLES_H
#define ZG_TABLES_H

#include "err.h"
#include "zg_snapshot.h"

struct zg_grant {
	uint8_t addr[16]; /* bits beyond prefixlen are zero */
	uint32_t prefixlen;
	uint32_t profile; /* kernel profile id */
	uint16_t lo, hi;
	uint8_t proto;
	uint8_t verdict;   /* enum zg_verdict */
	uint8_t direction; /* enum zg_direction: whose ports lo and hi are */
	uint8_t pad;
	uint32_t entry; /* the caller's number for error messages */
};

struct zg_gate_tables {
	struct zg_prefix_def *prefixes; /* sorted by (addr, prefixlen) */
	size_t prefix_count;
	struct zg_rule_def *rules;
	size_t rule_count;
};

/* Sorts grants in place. Deterministic: the same set of grants gives the same
 * tables. -ENOMEM; -E2BIG with *entry naming a grant that is part of it: more
 * than ZG_PORT_RULES_MAX ranges, ZG_PREFIXES_MAX or ZG_RULES_MAX (e says). */
int zg_gate_tables_build(struct zg_gate_tables *out, struct zg_grant *grants, size_t count,
			 uint32_t *entry, struct zg_err *e) ZG_MUST_CHECK;
void zg_gate_tables_release(struct zg_gate_tables *t);

#endif
