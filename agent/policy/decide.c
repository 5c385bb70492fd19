/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decide.c - the decision. Pure: no I/O, no clock, no allocation, no globals.
 * Trust: envelope text may be hostile, the section is checked (section.c).
 * Whatever cannot be judged completely is a DENY.
 *
 * The path: turn the envelope into atoms, visit the rules that hang at them
 * and the residual ones, and fold what matches: minimum of the decisions,
 * tightest of the constraints.
 */
#include "facts.h"
#include "lookup.h"

/* Keep the lowest ZG_MATCHED_MAX rule numbers, ascending. */
static void name_rule(struct zg_decision *d, uint16_t rule)
{
	uint16_t i = d->rule_count;

	d->matched++;
	if (i == ZG_MATCHED_MAX) {
		if (d->rule[i - 1] < rule)
			return;
		i--;
	} else {
		d->rule_count++;
	}
	for (; i > 0 && d->rule[i - 1] > rule; i--)
		d->rule[i] = d->rule[i - 1];
	d->rule[i] = rule;
}

/* False: more allowlists than can be carried. */
static bool add_allowlist(struct zg_constraints *c, uint16_t list)
{
	for (uint16_t i = 0; i < c->allowlist_count; i++)
		if (c->allowlist[i] == list)
			return true;
	if (c->allowlist_count == ZG_ALLOWLISTS_MAX)
		return false;
	c->allowlist[c->allowlist_count++] = list;
	return true;
}

/* Limits are never merged: each counts by itself, and every one must have room. */
static bool add_limits(struct zg_constraints *c, struct zg_row_span limits)
{
	for (uint32_t i = 0; i < limits.count; i++) {
		if (c->limit_count == ZG_LIMITS_MAX)
			return false;
		c->limit[c->limit_count++] = (uint16_t)(limits.first + i);
	}
	return true;
}

static bool tighten(struct zg_constraints *c, const struct zg_row_rule *r)
{
	if (r->max_output_bytes &&
	    (!c->max_output_bytes || r->max_output_bytes < c->max_output_bytes))
		c->max_output_bytes = r->max_output_bytes;
	if (r->redact > c->redact)
		c->redact = (enum zg_redact)r->redact;
	if (r->approvers > c->approvers)
		c->approvers = r->approvers;
	if (r->max_runtime_sec && (!c->max_runtime_sec || r->max_runtime_sec < c->max_runtime_sec))
		c->max_runtime_sec = r->max_runtime_sec;
	if (r->has_max_retries && (!c->has_max_retries || r->max_retries < c->max_retries)) {
		c->has_max_retries = true;
		c->max_retries = r->max_retries;
	}
	return add_limits(c, r->limits) &&
	       (r->allowlist == ZG_NO_ALLOWLIST || add_allowlist(c, r->allowlist));
}

struct verdict {
	struct zg_decision *d;
	struct zg_facts *facts;
	bool overflow;
	bool certain; /* some rule matches for sure, or denies if it does */
};

/*
 * but: a condition known to hold, or ZG_NO_INDEX. A rule of which nobody can
 * tell whether it matches restricts, and grants nothing: no approval either.
 */
static void take(const struct zg_policy_view *v, struct verdict *out, uint16_t number, uint32_t but)
{
	const struct zg_row_rule *r = &v->rules[number];
	struct zg_decision *d = out->d;
	enum zg_decision_kind kind = (enum zg_decision_kind)r->decision;
	enum zg_truth t = zg_rule_holds(v, out->facts, r->match, r->unless, but);

	if (t == ZG_UNKNOWN && out->facts->env->preview)
		t = kind == ZG_D_DENY || kind == ZG_D_REQUIRE_APPROVAL ? ZG_FALSE : ZG_TRUE;
	if (t == ZG_FALSE)
		return;
	if (!tighten(&d->constraints, r))
		out->overflow = true;
	if (t == ZG_UNKNOWN && kind != ZG_D_DENY && kind != ZG_D_REQUIRE_APPROVAL)
		return;
	out->certain |= t == ZG_TRUE || kind == ZG_D_DENY;
	if (!d->matched || kind < d->kind || (kind == d->kind && number < d->decisive)) {
		d->kind = kind;
		d->decisive = number;
	}
	name_rule(d, number);
}

static void visit(const struct zg_policy_view *v, struct verdict *out, uint32_t atom)
{
	struct zg_row_span span;

	if (atom == ZG_NO_INDEX)
		return;
	span = v->atoms[atom].rules;
	for (uint32_t i = 0; i < span.count; i++) {
		uint16_t number = v->postings[span.first + i];

		take(v, out, number, v->rules[number].pivot);
	}
}

/* A rule may hang at several tags of this call: count it at the first only. */
static void visit_tag(const struct zg_policy_view *v, struct verdict *out, size_t tag)
{
	const struct zg_row_span span = v->atoms[out->facts->tag[tag]].rules;

	for (uint32_t i = 0; i < span.count; i++) {
		uint16_t number = v->postings[span.first + i];
		const struct zg_row_rule *r = &v->rules[number];

		if (r->pivot != ZG_NO_INDEX &&
		    zg_first_tag(v, out->facts, &v->conds[r->match.first + r->pivot]) == tag)
			take(v, out, number, r->pivot);
	}
}

/* Rules that were not looked up: all their conditions are open. */
static void visit_all(const struct zg_policy_view *v, struct verdict *out, struct zg_row_span span)
{
	for (uint32_t i = 0; i < span.count; i++)
		take(v, out, v->postings[span.first + i], ZG_NO_INDEX);
}

static void visit_fact(const struct zg_policy_view *v, struct verdict *out, int fact)
{
	if (out->facts->fact[fact].known)
		visit(v, out, out->facts->fact[fact].atom);
	else
		visit_all(v, out, v->header->unknown[fact]);
}

static bool profile_may(const struct zg_policy_view *v, const struct zg_row_server *s,
			uint32_t profile)
{
	for (uint32_t i = 0; i < s->profiles.count; i++)
		if (v->profiles[s->profiles.first + i] == profile)
			return true;
	return false;
}

bool zg_policy_may_use(const struct zg_policy *p, struct zg_slice server, uint32_t profile)
{
	const struct zg_policy_view v = zg_policy_view(p);
	const struct zg_row_server *s = zg_find_server(&v, server);

	return s && profile_may(&v, s, profile);
}

static void deny(struct zg_decision *d, enum zg_decision_reason reason)
{
	d->kind = ZG_D_DENY;
	d->reason = reason;
	d->decisive = UINT16_MAX;
	d->constraints = (struct zg_constraints){0};
}

/* What is denied before any rule is read. */
static bool judge_first(const struct zg_policy_view *v, const struct zg_envelope *env,
			struct zg_decision *d)
{
	const struct zg_row_server *s = zg_find_server(v, env->server);
	const struct zg_row_tool *row;

	if (!s)
		deny(d, ZG_DR_UNREGISTERED);
	else if (zg_method_class(v, s, env, &row) == ZG_METHOD_UNKNOWN)
		deny(d, ZG_DR_UNKNOWN_METHOD);
	else if (env->principal && !env->profile_unknown &&
		 !profile_may(v, s, env->principal->profile_id))
		deny(d, ZG_DR_PROFILE);
	else if (env->overflow || env->label_count > ZG_LABELS_MAX ||
		 env->risk_tag_count > ZG_RISK_TAGS_MAX)
		deny(d, ZG_DR_OVERFLOW);
	else if (env->unclear)
		deny(d, ZG_DR_UNCLEAR);
	else if (env->other_form)
		deny(d, ZG_DR_FORM);
	else
		return true;
	return false;
}

static void decide(const struct zg_policy *p, const struct zg_envelope *env, struct zg_decision *d)
{
	const struct zg_policy_view v = zg_policy_view(p);
	struct zg_facts facts;
	struct verdict out = {.d = d, .facts = &facts};

	*d = (struct zg_decision){.decisive = UINT16_MAX};
	if (!judge_first(&v, env, d))
		return;
	zg_facts_gather(p, &v, env, &facts);
	for (size_t i = 0; i < facts.label_count; i++)
		visit(&v, &out, facts.label[i].atom);
	for (size_t i = 0; i < facts.tag_count; i++)
		visit_tag(&v, &out, i);
	for (int i = 0; v.header->facts && i < ZG_FACT_MAX; i++)
		visit_fact(&v, &out, i);
	visit_all(&v, &out, v.header->residual);
	if (d->matched && (out.certain || d->kind <= v.header->default_decision)) {
		d->reason = ZG_DR_RULE;
	} else {
		d->kind = (enum zg_decision_kind)v.header->default_decision;
		d->decisive = UINT16_MAX;
		d->matched = d->rule_count = 0;
	}
	if (facts.twice || (out.overflow && d->kind != ZG_D_DENY))
		deny(d, ZG_DR_OVERFLOW);
	if (d->kind == ZG_D_DENY)
		d->constraints = (struct zg_constraints){0};
}

/* By the same rules, all of which are named. */
static bool same_rules(const struct zg_decision *a, const struct zg_decision *b)
{
	return a->kind == b->kind && a->reason == b->reason && a->matched == b->matched &&
	       a->matched == a->rule_count &&
	       memcmp(a->rule, b->rule, a->rule_count * sizeof(a->rule[0])) == 0;
}

/*
 * Servers may take two URIs for one, and policy must not take one for two: what
 * other rules match in its normal form is denied.
 */
static void judge_form(const struct zg_policy *p, const struct zg_envelope *env,
		       struct zg_decision *d)
{
	char text[ZG_URI_BYTES];
	struct zg_decision other;
	struct zg_envelope twin;
	struct zg_slice plain;

	if (!zg_other_form(env, text, &plain))
		return;
	twin = *env;
	twin.tool = plain;
	for (size_t i = 0; i < twin.label_count; i++)
		if (zg_slice_eq(twin.labels[i].key, ZG_SLICE("mcp.tool")) ||
		    zg_slice_eq(twin.labels[i].key, ZG_SLICE("mcp.resource")))
			twin.labels[i].value = plain;
	decide(p, &twin, &other);
	if (!plain.len || !same_rules(d, &other))
		deny(d, ZG_DR_FORM);
}

void zg_decide(const struct zg_policy *p, const struct zg_envelope *env, struct zg_decision *d)
{
	decide(p, env, d);
	if (d->kind != ZG_D_DENY && zg_about_resource(env))
		judge_form(p, env, d);
}

bool zg_policy_allowlist_has(const struct zg_policy *p, uint16_t list, struct zg_slice host)
{
	const struct zg_policy_view v = zg_policy_view(p);

	if (list >= v.header->table[ZG_PT_LISTS].count)
		return false;
	for (uint32_t i = 0; i < v.lists[list].count; i++) {
		struct zg_slice entry = zg_row_slice(&v, v.hosts[v.lists[list].first + i]);

		if (zg_slice_eq(entry, host))
			return true;
		/* "*.x" covers what ends in ".x"; an address never does */
		if (entry.len && entry.ptr[0] == '*' && host.len >= entry.len &&
		    zg_slice_eq((struct zg_slice){entry.ptr + 1, entry.len - 1},
				(struct zg_slice){host.ptr + host.len - (entry.len - 1),
						  entry.len - 1}))
			return true;
	}
	return false;
}

bool zg_policy_asks_executable(const struct zg_policy *p)
{
	const uint32_t about = 1u << ZG_FACT_EXECUTABLE | 1u << ZG_FACT_SHA256;

	return (zg_policy_view(p).header->facts & about) != 0;
}
