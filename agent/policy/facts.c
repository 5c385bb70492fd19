/* SPDX-License-Identifier: Apache-2.0 */
/*
 * facts.c - see facts.h. Pure: no I/O, no clock, no allocation, no globals.
 * Trust: envelope text may be hostile, the section is checked (section.c).
 * What is not known, or would cost too much, is UNKNOWN: whoever asks then
 * takes the stricter of both answers.
 */
#include "facts.h"

#define FOLDED_MAX 256 /* a longer server name is in no list: ids have 63 bytes */

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

static void add_tag(const struct zg_policy_view *v, struct zg_facts *f, struct zg_slice tag)
{
	uint32_t atom = find_atom(v, ZG_KEY_RISK_TAG, tag);

	if (atom == ZG_NO_INDEX)
		return;
	for (size_t i = 0; i < f->tag_count; i++)
		if (f->tag[i] == atom)
			return;
	f->tag[f->tag_count++] = atom;
}

static void gather_labels(const struct zg_policy_view *v, const struct zg_envelope *env,
			  struct zg_facts *f)
{
	for (size_t i = 0; i < env->label_count; i++) {
		const struct zg_label *l = &env->labels[i];
		uint32_t key = find_key(v, l->key);

		if (key == ZG_NO_INDEX)
			continue;
		for (size_t j = 0; j < f->label_count; j++)
			if (f->label[j].key == key)
				f->twice = true;
		f->label[f->label_count++] =
			(struct zg_fact_label){key, find_atom(v, key, l->value), l->value};
		if (zg_slice_eq(l->key, ZG_SLICE("mcp.server"))) {
			f->has_server = true;
			f->server = find_folded(v, l->value);
		}
	}
}

struct zg_slice zg_unit_of(struct zg_slice cgroup)
{
	static const struct zg_slice suffix[] = {{".service", 8}, {".scope", 6}, {".slice", 6}};

	while (cgroup.len) {
		size_t at = cgroup.len;
		struct zg_slice part;

		while (at && cgroup.ptr[at - 1] != '/')
			at--;
		part = (struct zg_slice){cgroup.ptr + at, cgroup.len - at};
		for (size_t i = 0; i < ZG_COUNT(suffix); i++)
			if (part.len > suffix[i].len &&
			    zg_slice_eq(suffix[i],
					(struct zg_slice){part.ptr + part.len - suffix[i].len,
							  suffix[i].len}))
				return part;
		cgroup.len = at ? at - 1 : 0;
	}
	return (struct zg_slice){0};
}

/* A fact of which an empty text says that it is not known. */
static void know(struct zg_facts *f, enum zg_fact which, struct zg_slice value)
{
	f->fact[which].known = value.len > 0;
	f->fact[which].value = value;
}

/* A path that was cut could match, or not match, anything. */
static struct zg_slice whole_path(const struct zg_principal *p)
{
	struct zg_slice s = {p->cgroup, strnlen(p->cgroup, sizeof(p->cgroup))};

	return s.len == sizeof(p->cgroup) - 1 || zg_slice_starts(s, ZG_SLICE("..."))
		       ? (struct zg_slice){0}
		       : s;
}

static void gather_principal(const struct zg_envelope *env, struct zg_facts *f)
{
	const struct zg_principal *p = env->principal;
	struct zg_slice unit = env->unit;

	if (p) {
		struct zg_slice cgroup = whole_path(p);

		know(f, ZG_FACT_PROFILE,
		     (struct zg_slice){p->profile, strnlen(p->profile, sizeof(p->profile))});
		know(f, ZG_FACT_CGROUP, cgroup);
		if (!unit.len)
			unit = zg_unit_of(cgroup);
		f->fact[ZG_FACT_UNIT].none = cgroup.len && !unit.len;
		if (!env->uid_unknown) {
			int n = snprintf(f->uid, sizeof(f->uid), "%u", p->uid);

			know(f, ZG_FACT_UID, (struct zg_slice){f->uid, n > 0 ? (size_t)n : 0});
		}
	}
	know(f, ZG_FACT_UNIT, unit);
	know(f, ZG_FACT_USER, env->user);
	know(f, ZG_FACT_EXECUTABLE, env->executable);
	if (env->executable_sha256) {
		zg_hex(f->sha256, env->executable_sha256, 32);
		know(f, ZG_FACT_SHA256, zg_slice_str(f->sha256));
	}
	f->fact[ZG_FACT_UNIT].known |= f->fact[ZG_FACT_UNIT].none;
}

void zg_facts_gather(const struct zg_policy *p, const struct zg_policy_view *v,
		     const struct zg_envelope *env, struct zg_facts *f)
{
	f->env = env;
	f->regexes = p->regexes;
	f->label_count = f->tag_count = 0;
	f->has_server = f->twice = false;
	f->server = ZG_NO_INDEX;
	f->budget = ZG_MATCH_BYTES;
	gather_labels(v, env, f);
	for (size_t i = 0; i < env->risk_tag_count; i++)
		add_tag(v, f, env->risk_tags[i]);
	memset(f->fact, 0, sizeof(f->fact));
	if (!v->header->facts)
		return;
	gather_principal(env, f);
	for (uint32_t i = 0; i < ZG_FACT_MAX; i++)
		f->fact[i].atom = f->fact[i].known && (v->header->facts >> i & 1)
					  ? find_atom(v, ZG_KEY_FACTS + i, f->fact[i].value)
					  : ZG_NO_INDEX;
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

static bool label_holds(const struct zg_policy_view *v, const struct zg_facts *f,
			const struct zg_row_cond *c)
{
	const struct zg_fact_label *fact = NULL;

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

static enum zg_truth truth(bool b)
{
	return b ? ZG_TRUE : ZG_FALSE;
}

static bool in_range(const struct zg_policy_view *v, const struct zg_row_cond *c, uint32_t uid)
{
	for (uint32_t i = 0; i < c->more.count; i++)
		if (uid >= v->uids[c->more.first + i].min && uid <= v->uids[c->more.first + i].max)
			return true;
	return false;
}

static enum zg_truth fact_holds(const struct zg_policy_view *v, const struct zg_facts *f,
				const struct zg_row_cond *c)
{
	const struct zg_fact_text *t = &f->fact[c->key - ZG_KEY_FACTS];

	if (!t->known)
		return ZG_UNKNOWN;
	if (t->none)
		return ZG_FALSE;
	if (listed(v, c->atoms, t->atom))
		return ZG_TRUE;
	for (uint32_t i = 0; i < c->globs.count; i++)
		if (zg_star_match(zg_row_slice(v, v->globs[c->globs.first + i]), t->value))
			return ZG_TRUE;
	return ZG_FALSE;
}

static enum zg_truth uid_holds(const struct zg_policy_view *v, const struct zg_facts *f,
			       const struct zg_row_cond *c)
{
	enum zg_truth t = fact_holds(v, f, c);

	return t == ZG_FALSE && in_range(v, c, f->env->principal->uid) ? ZG_TRUE : t;
}

/* By name; by number, where the configuration could tell the names' numbers. */
static enum zg_truth user_holds(const struct zg_policy_view *v, const struct zg_facts *f,
				const struct zg_row_cond *c)
{
	enum zg_truth t = fact_holds(v, f, c);

	if (t != ZG_UNKNOWN || !f->fact[ZG_FACT_UID].known)
		return t;
	if (in_range(v, c, f->env->principal->uid))
		return ZG_TRUE;
	return c->more.count == c->atoms.count ? ZG_FALSE : ZG_UNKNOWN;
}

static enum zg_truth time_holds(const struct zg_policy_view *v, const struct zg_facts *f,
				const struct zg_row_cond *c)
{
	if (!f->env->time_sec)
		return ZG_UNKNOWN;
	for (uint32_t i = 0; i < c->more.count; i++)
		if (zg_window_has(&v->windows[c->more.first + i], f->env->time_sec))
			return ZG_TRUE;
	return ZG_FALSE;
}

size_t zg_first_tag(const struct zg_policy_view *v, const struct zg_facts *f,
		    const struct zg_row_cond *c)
{
	size_t i = 0;

	while (i < f->tag_count && !listed(v, c->atoms, f->tag[i]))
		i++;
	return i;
}

enum zg_truth zg_cond_holds(const struct zg_policy_view *v, struct zg_facts *f,
			    const struct zg_row_cond *c)
{
	switch ((enum zg_cond_kind)c->kind) {
	case ZG_CK_LABEL:
		return truth(label_holds(v, f, c));
	case ZG_CK_RISK_TAG:
		return truth(zg_first_tag(v, f, c) < f->tag_count);
	case ZG_CK_SERVER_NOT_IN:
		return truth(f->has_server && !listed(v, c->atoms, f->server));
	case ZG_CK_FACT:
		return fact_holds(v, f, c);
	case ZG_CK_UID:
		return uid_holds(v, f, c);
	case ZG_CK_USER:
		return user_holds(v, f, c);
	case ZG_CK_TIME:
		return time_holds(v, f, c);
	case ZG_CK_ARG_IS:
	case ZG_CK_ARG_REGEX:
	case ZG_CK_ARG_RANGE:
	case ZG_CK_ARG_PRESENT:
	case ZG_CK_ARG_ABSENT:
		return f->env->preview || f->env->arguments_unknown ? ZG_UNKNOWN
								    : zg_arg_holds(v, f, c);
	case ZG_CK_MAX:
		break;
	}
	return ZG_FALSE;
}

static bool reads_arguments(const struct zg_row_cond *c)
{
	return c->kind >= ZG_CK_ARG_IS && c->kind <= ZG_CK_ARG_ABSENT;
}

/* Those that read arguments come last: whatever else fails spares them. */
enum zg_truth zg_conds_hold(const struct zg_policy_view *v, struct zg_facts *f,
			    struct zg_row_span span, uint32_t but)
{
	enum zg_truth all = ZG_TRUE;

	for (int last = 0; last < 2; last++)
		for (uint32_t i = 0; all != ZG_FALSE && i < span.count; i++) {
			const struct zg_row_cond *c = &v->conds[span.first + i];
			enum zg_truth t = ZG_TRUE;

			if (i != but && reads_arguments(c) == last)
				t = zg_cond_holds(v, f, c);
			all = t < all ? t : all;
		}
	return all;
}

enum zg_truth zg_rule_holds(const struct zg_policy_view *v, struct zg_facts *f,
			    struct zg_row_span match, struct zg_row_span unless, uint32_t but)
{
	enum zg_truth m = zg_conds_hold(v, f, match, but), u;

	if (m == ZG_FALSE || !unless.count)
		return m;
	u = (enum zg_truth)(ZG_TRUE - zg_conds_hold(v, f, unless, ZG_NO_INDEX));
	return u < m ? u : m;
}
