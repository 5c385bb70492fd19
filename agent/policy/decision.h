/* SPDX-License-Identifier: Apache-2.0 */
/* decision.h - what policy says of one envelope. Zero-filled, it is a DENY. */
#ifndef ZG_DECISION_H
#define ZG_DECISION_H

#include <stdint.h>

#include "slice.h"
#include "zg_limits.h"

enum zg_decision_kind {
#define X(name, text) ZG_D_##name,
#include "tbl/decision.h"
#undef X
	ZG_D_MAX
};

enum zg_decision_reason {
	ZG_DR_DEFAULT = 0,    /* no rule matched */
	ZG_DR_RULE,	      /* the matching rules decided */
	ZG_DR_UNREGISTERED,   /* the server is not in the registry */
	ZG_DR_OVERFLOW,	      /* more labels, tags or allowlists than can be judged */
	ZG_DR_UNKNOWN_METHOD, /* a method that no classification covers */
	ZG_DR_PROFILE,	      /* the caller's profile may not use this server */
	ZG_DR_UNCLEAR,	      /* classify rules contradict each other about it */
	ZG_DR_FORM,	      /* of its URI's normal form, policy says something else */
};

/* What becomes of findings in the output, from the loosest to the tightest. */
enum zg_redact {
	ZG_REDACT_DEFAULT = 0, /* as the detector says */
	ZG_REDACT_STRICT,      /* whatever is found is redacted at least */
	ZG_REDACT_WITHHOLD,    /* an output with a finding is withheld whole */
	ZG_REDACT_MAX
};

/* Constraints of all matching rules, combined to the tightest. 0 = none. */
struct zg_constraints {
	uint32_t max_runtime_sec;
	uint32_t max_retries;
	bool has_max_retries; /* 0 retries is a constraint too */
	/* every list must contain the host: handles for zg_policy_allowlist_has */
	uint16_t allowlist[ZG_ALLOWLISTS_MAX];
	uint16_t allowlist_count;
	uint64_t max_output_bytes;
	enum zg_redact redact;
	uint32_t approvers; /* different people; 0 and 1 are the same */
	/* rates and concurrency: every one must have room; rows for zg_policy_limit */
	uint16_t limit[ZG_LIMITS_MAX];
	uint16_t limit_count;
};

struct zg_decision {
	enum zg_decision_kind kind;
	enum zg_decision_reason reason;
	uint32_t matched;	       /* how many rules matched */
	uint16_t rule[ZG_MATCHED_MAX]; /* the first of them, by rule index */
	uint16_t rule_count;
	uint16_t decisive; /* a rule that said `kind`; UINT16_MAX = none */
	struct zg_constraints constraints;
};

const char *zg_decision_text(enum zg_decision_kind kind); /* "DENY", ... */
const char *zg_redact_text_of(enum zg_redact level);	  /* "default", ... */

#endif
