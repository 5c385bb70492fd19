/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trace.h - why each rule matches a call or does not: all rules, all
 * conditions, for people. Pure as the decision is; not for the path of a call.
 */
#ifndef ZG_TRACE_H
#define ZG_TRACE_H

#include "buf.h"
#include "decide.h"

enum zg_traced { ZG_TRACED_NO = 0, ZG_TRACED_UNKNOWN, ZG_TRACED_YES };

struct zg_trace_cond {
	bool unless; /* it stands there, not in match */
	enum zg_traced holds;
	struct zg_slice what;	  /* "label mcp.tool", "argument /path", ... */
	struct zg_slice expected; /* as the policy says it, roughly */
	struct zg_slice found;
};

typedef void zg_trace_fn(void *arg, const struct zg_trace_cond *c);

/* How many rules there are; they are numbered from 0. */
size_t zg_trace_rules(const struct zg_policy *p);

/* Does the rule match? Calls fn for each of its conditions, whose texts live that
 * long. show: arguments as they are, else their type and length. */
enum zg_traced zg_trace_rule(const struct zg_policy *p, const struct zg_envelope *env,
			     uint16_t rule, bool show, zg_trace_fn *fn, void *arg);

#endif
