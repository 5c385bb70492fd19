/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decide.h - the decision, and the questions about a compiled policy. Pure:
 * no I/O, no clock, no allocation, no globals. A struct zg_policy is a checked
 * view of the snapshot's policy section and costs nothing to copy. Whoever
 * decides does so alone: regular expressions share scratch memory.
 */
#ifndef ZG_DECIDE_H
#define ZG_DECIDE_H

#include "cleanup.h"
#include "decision.h"
#include "envelope.h"
#include "err.h"

struct zg_regexes;

struct zg_policy {
	const void *bytes; /* borrowed */
	size_t size;
	struct zg_regexes *regexes; /* NULL = has none; copies borrow it */
};

/* Check every offset and index of the section once, and take up its regular
 * expressions. -EBADMSG, -ENOMEM; *p is then untouched. */
int zg_policy_open(struct zg_policy *p, const void *bytes, size_t size,
		   struct zg_err *e) ZG_MUST_CHECK;
/* Once, by who opened it; zero-filled is fine. */
void zg_policy_close(struct zg_policy *p);

/* Fill env from the registry: action, labels (mcp.* and the server's and the
 * tool's), risk tags. Server, method and tool are given by the caller.
 * 0; -ENOENT: the server is not registered; -ENOTSUP: unknown method. In both
 * cases env is complete enough to be recorded and zg_decide denies it. */
int zg_envelope_classify(const struct zg_policy *p, struct zg_envelope *env) ZG_MUST_CHECK;

/* Set or replace one label (overflow is marked in env). */
void zg_envelope_label(struct zg_envelope *env, struct zg_slice key, struct zg_slice value);

/* Is the server registered, and may the profile use it? Not whether it may call. */
bool zg_policy_may_use(const struct zg_policy *p, struct zg_slice server, uint32_t profile);

/* Judge. *d is always filled; a DENY is a value. */
void zg_decide(const struct zg_policy *p, const struct zg_envelope *env, struct zg_decision *d);

/* Id of a rule, by index; its file:line for people. Borrowed from the snapshot. */
struct zg_slice zg_policy_rule_id(const struct zg_policy *p, uint16_t rule);
struct zg_slice zg_policy_rule_place(const struct zg_policy *p, uint16_t rule);
/* The policy author's `reason` text, or empty. */
struct zg_slice zg_policy_rule_reason(const struct zg_policy *p, uint16_t rule);

/* What its author says can be done about it, or empty. */
struct zg_slice zg_policy_rule_remediation(const struct zg_policy *p, uint16_t rule);
/* Its labels for the record: the i-th; false behind the last. */
bool zg_policy_rule_label(const struct zg_policy *p, uint16_t rule, size_t i, struct zg_label *out);

/* May this host (lower case, no port, no brackets) be used under list? */
bool zg_policy_allowlist_has(const struct zg_policy *p, uint16_t list, struct zg_slice host);

/* The i-th entry of a list as its author wrote it ("*.x" covers what ends in
 * .x), for people; empty behind the last. */
struct zg_slice zg_policy_allowlist_entry(const struct zg_policy *p, uint16_t list, size_t i);

/* One sentence for the person or model: why d is what it is. */
void zg_decision_reason_text(const struct zg_policy *p, const struct zg_envelope *env,
			     const struct zg_decision *d, char *out, size_t size);
/* What the decisive rule's author says can be done, or empty. */
struct zg_slice zg_decision_remediation(const struct zg_policy *p, const struct zg_decision *d);
/* A line for each matching rule that has a reason: "id: reason"; "" if none has. */
void zg_decision_why_text(const struct zg_policy *p, const struct zg_decision *d, char *out,
			  size_t size);
/* Comma list of key=value: what the matching rules annotate, sorted, each once. */
void zg_decision_labels_text(const struct zg_policy *p, const struct zg_decision *d, char *out,
			     size_t size);
/* Comma list of its risk tags. */
void zg_envelope_tags_text(const struct zg_envelope *env, char *out, size_t size);
/* Comma list of the matching rules' ids. */
void zg_decision_rules_text(const struct zg_policy *p, const struct zg_decision *d, char *out,
			    size_t size);

/* Does any condition ask what the caller executes? If none does, nobody needs to
 * find it out. */
bool zg_policy_asks_executable(const struct zg_policy *p);

#endif
