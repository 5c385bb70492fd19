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
#include "lookup.h"

#define FOLDED_MAX 256 /* a longer server name is in no list: ids have 63 bytes */

struct fact {
	uint32_t key;
	uint32_t atom; /* ZG_NO_INDEX: no rule names this value exactly */
	struct zg_slice value;
};

struct facts {
	struct fact label[ZG_LABELS_MAX];
	size_t label_count;
	uint32_t tag[ZG_RISK_TAGS_MAX]; /* atoms only: tags have no globs */
	size_t tag_count;
	bool has_server;
	uint32_t server; /* atom of the folded name */
	bool twice;	 /* a label was given twice */
};

static uint32_t find_key(const struct zg_policy_view *v, struct zg_slice name)
{
	const uint32_t mask = v->header->table[ZG_PT_KEY_SLOTS].count - 1;

	for (uint32_t i = zg_row_hash(0, name) & mask; v->key_slots[i]; i = (i + 1) & mask)
		if (zg_slice_eq(zg_row_slice(v, v->keys[v->key_slots[i] - 1].name), name))
			return v->key_slots[i] - 1;
	return ZG_NO_INDEX;
}

static uint32_t find_atom(const struct zg_policy_view *v, uint32_t key, struct zg_slice value)
{
	const uint32_t mask = v->header->table[ZG_PT_ATOM_SLOTS].count - 1;

	for (uint32_t i = zg_row_hash(key, value) & mask; v->atom_slots[i]; i = (i + 1) & mask) {
		const struct zg_row_atom *a = &v->atoms[v->atom_slots[i] - 1];

		if (a->key == key && zg_slice_eq(zg_row_slice(v, a->value), value))
			return v->atom_slots[i] - 1;
	}
	return ZG_NO_INDEX;
}

static uint32_t find_folded(const struct zg_policy_view *v, struct zg_slice server)
{
	char folded[FOLDED_MAX];

	server = zg_slice_trim(server);
	if (server.len > sizeof(folded))
		return ZG_NO_INDEX;
	for (size_t i = 0; i < server.len; i++) {
		char c = server.ptr[i];

		folded[i] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
	}
	return find_atom(v, ZG_KEY_SERVER_FOLDED, (struct zg_slice){folded, server.len});
}

static void add_tag(const struct zg_policy_view *v, struct facts *f, struct zg_slice tag)
{
	uint32_t atom = find_atom(v, ZG_KEY_RISK_TAG, tag);

	if (atom == ZG_NO_INDEX)
		return;
	for (size_t i = 0; i < f->tag_count; i++)
		if (f->tag[i] == atom)
			return;
	f->tag[f->tag_count++] = atom;
}

static void gather(const struct zg_policy_view *v, const struct zg_envelope *env, struct facts *f)
{
	f->label_count = f->tag_count = 0;
	f->has_server = f->twice = false;
	f->server = ZG_NO_INDEX;
	for (size_t i = 0; i < env->label_count; i++) {
		const struct zg_label *l = &env->labels[i];
		uint32_t key = find_key(v, l->key);

		if (key == ZG_NO_INDEX)
			continue;
		for (size_t j = 0; j < f->label_count; j++)
			if (f->label[j].key == key)
				f->twice = true;
		f->label[f->label_count++] =
			(struct fact){key, find_atom(v, key, l->value), l->value};
		if (zg_slice_eq(l->key, ZG_SLICE("mcp.server"))) {
			f->has_server = true;
			f->server = find_folded(v, l->value);
		}
	}
	for (size_t i = 0; i < env->risk_tag_count; i++)
		add_tag(v, f, env->risk_tags[i]);
}

static bool listed(const struct zg_policy_view *v, struct zg_row_span span, uint32_t atom)
{
	const uint32_t *at = v->values + span.first;
	uint32_t lo = 0, hi = span.count;

	if (atom == ZG_NO_INDEX)
		return false;
	while (hi - lo > 8) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (at[mid] <= atom)
			lo = mid;
		else
			hi = mid;
	}
	for (; lo < hi; lo++)
		if (at[lo] == atom)
			return true;
	return false;
}

static bool label_holds(const struct zg_policy_view *v, const struct facts *f,
			const struct zg_row_cond *c)
{
	const struct fact *fact = NULL;

	for (size_t i = 0; i < f->label_count; i++)
		if (f->label[i].key == c->key)
			fact = &f->label[i];
	if (!fact)
		return false;
	if (listed(v, c->atoms, fact->atom))
		return true;
	for (uint32_t i = 0; i < c->globs.count; i++)
		if (zg_star_match(zg_row_slice(v, v->globs[c->globs.first + i]), fact->value))
			return true;
	return false;
}

/* Index of the first tag that is listed, or tag_count. */
static size_t first_tag(const struct zg_policy_view *v, const struct facts *f,
			const struct zg_row_cond *c)
{
	size_t i = 0;

	while (i < f->tag_count && !listed(v, c->atoms, f->tag[i]))
		i++;
	return i;
}

static bool holds(const struct zg_policy_view *v, const struct facts *f,
		  const struct zg_row_cond *c)
{
	switch ((enum zg_cond_kind)c->kind) {
	case ZG_CK_LABEL:
		return label_holds(v, f, c);
	case ZG_CK_RISK_TAG:
		return first_tag(v, f, c) < f->tag_count;
	case ZG_CK_SERVER_NOT_IN:
		return f->has_server && !listed(v, c->atoms, f->server);
	case ZG_CK_MAX:
		break;
	}
	return false;
}

/* All conditions of a span but one. */
static bool all_hold(const struct zg_policy_view *v, const struct facts *f, struct zg_row_span span,
		     uint32_t but)
{
	for (uint32_t i = 0; i < span.count; i++)
		if (i != but && !holds(v, f, &v->conds[span.first + i]))
			return false;
	return true;
}

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
	const struct facts *facts;
	bool overflow;
};

static void take(const struct zg_policy_view *v, struct verdict *out, uint16_t number)
{
	const struct zg_row_rule *r = &v->rules[number];
	struct zg_decision *d = out->d;
	enum zg_decision_kind kind = (enum zg_decision_kind)r->decision;

	if (!all_hold(v, out->facts, r->match, r->pivot))
		return;
	if (r->unless.count && all_hold(v, out->facts, r->unless, ZG_NO_INDEX))
		return;
	if (!d->matched || kind < d->kind || (kind == d->kind && number < d->decisive)) {
		d->kind = kind;
		d->decisive = number;
	}
	name_rule(d, number);
	if (!tighten(&d->constraints, r))
		out->overflow = true;
}

static void visit(const struct zg_policy_view *v, struct verdict *out, uint32_t atom)
{
	const struct zg_row_span span = v->atoms[atom].rules;

	for (uint32_t i = 0; i < span.count; i++)
		take(v, out, v->postings[span.first + i]);
}

/* A rule may hang at several tags of this call: count it at the first only. */
static void visit_tag(const struct zg_policy_view *v, struct verdict *out, size_t tag)
{
	const struct zg_row_span span = v->atoms[out->facts->tag[tag]].rules;

	for (uint32_t i = 0; i < span.count; i++) {
		uint16_t number = v->postings[span.first + i];
		const struct zg_row_rule *r = &v->rules[number];

		if (r->pivot != ZG_NO_INDEX &&
		    first_tag(v, out->facts, &v->conds[r->match.first + r->pivot]) == tag)
			take(v, out, number);
	}
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
	else if (env->principal && !profile_may(v, s, env->principal->profile_id))
		deny(d, ZG_DR_PROFILE);
	else if (env->overflow || env->label_count > ZG_LABELS_MAX ||
		 env->risk_tag_count > ZG_RISK_TAGS_MAX)
		deny(d, ZG_DR_OVERFLOW);
	else
		return true;
	return false;
}

void zg_decide(const struct zg_policy *p, const struct zg_envelope *env, struct zg_decision *d)
{
	const struct zg_policy_view v = zg_policy_view(p);
	const struct zg_row_span residual = v.header->residual;
	struct facts facts;
	struct verdict out = {d, &facts, false};

	*d = (struct zg_decision){.decisive = UINT16_MAX};
	if (!judge_first(&v, env, d))
		return;
	gather(&v, env, &facts);
	for (size_t i = 0; i < facts.label_count; i++)
		if (facts.label[i].atom != ZG_NO_INDEX)
			visit(&v, &out, facts.label[i].atom);
	for (size_t i = 0; i < facts.tag_count; i++)
		visit_tag(&v, &out, i);
	for (uint32_t i = 0; i < residual.count; i++)
		take(&v, &out, v.postings[residual.first + i]);
	if (!d->matched)
		d->kind = (enum zg_decision_kind)v.header->default_decision;
	else
		d->reason = ZG_DR_RULE;
	if (facts.twice || (out.overflow && d->kind != ZG_D_DENY))
		deny(d, ZG_DR_OVERFLOW);
	if (d->kind == ZG_D_DENY)
		d->constraints = (struct zg_constraints){0};
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
	return zg_policy_view(p).header->asks_executable != 0;
}
