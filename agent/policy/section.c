/* SPDX-License-Identifier: Apache-2.0 */
/*
 * section.c - zg_policy_open: is a compiled section safe to read? Trust: its
 * writer is less privileged than its readers, so every offset, row number and
 * enum is checked here once; afterwards decide.c checks nothing. Whether the
 * rules say what the operator wrote is not something bytes can prove.
 */
#include <errno.h>
#include <math.h>

#include "regex.h"

static const size_t row_bytes[ZG_PT_MAX] = {
#define X(NAME, name, type) [ZG_PT_##NAME] = sizeof(type),
	ZG_POLICY_TABLES(X)
#undef X
};

static uint32_t rows(const struct zg_policy_view *v, enum zg_policy_table t)
{
	return v->header->table[t].count;
}

static bool text_ok(const struct zg_policy_view *v, struct zg_row_text t)
{
	uint32_t n = rows(v, ZG_PT_TEXT);

	return t.offset <= n && t.len <= n - t.offset;
}

static bool span_ok(const struct zg_policy_view *v, struct zg_row_span s, enum zg_policy_table t)
{
	uint32_t n = rows(v, t);

	return s.first <= n && s.count <= n - s.first;
}

/* Numbers of another table's rows; off = 1 for hash slots, where 0 is free. */
static bool numbers_ok(const uint32_t *at, uint32_t count, uint32_t limit, uint32_t off)
{
	for (uint32_t i = 0; i < count; i++)
		if (at[i] >= limit + off)
			return false;
	return true;
}

/* A power of two with a free slot, or probing would not end. */
static bool slots_ok(const uint32_t *at, uint32_t count, uint32_t limit)
{
	uint32_t used = 0;

	if (!count || (count & (count - 1)) || !numbers_ok(at, count, limit, 1))
		return false;
	for (uint32_t i = 0; i < count; i++)
		used += at[i] != 0;
	return used < count;
}

static bool texts_ok(const struct zg_policy_view *v, const struct zg_row_text *t, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (!text_ok(v, t[i]))
			return false;
	return true;
}

/* Numbers of rules, or of classes. */
static bool postings_ok(const struct zg_policy_view *v, struct zg_row_span s,
			enum zg_policy_table of)
{
	if (!span_ok(v, s, ZG_PT_POSTINGS))
		return false;
	for (uint32_t i = 0; i < s.count; i++)
		if (v->postings[s.first + i] >= rows(v, of))
			return false;
	return true;
}

static bool atoms_ok(const struct zg_policy_view *v)
{
	for (uint32_t i = 0; i < rows(v, ZG_PT_KEYS); i++)
		if (!text_ok(v, v->keys[i].name))
			return false;
	for (uint32_t i = 0; i < rows(v, ZG_PT_ATOMS); i++) {
		const struct zg_row_atom *a = &v->atoms[i];

		if (a->key >= rows(v, ZG_PT_KEYS) || !text_ok(v, a->value) ||
		    !postings_ok(v, a->rules, ZG_PT_RULES) ||
		    !postings_ok(v, a->classes, ZG_PT_CLASSES))
			return false;
	}
	for (int f = 0; f < ZG_FACT_MAX; f++)
		if (!postings_ok(v, v->header->unknown[f], ZG_PT_RULES))
			return false;
	return slots_ok(v->key_slots, rows(v, ZG_PT_KEY_SLOTS), rows(v, ZG_PT_KEYS)) &&
	       slots_ok(v->atom_slots, rows(v, ZG_PT_ATOM_SLOTS), rows(v, ZG_PT_ATOMS)) &&
	       numbers_ok(v->values, rows(v, ZG_PT_VALUES), rows(v, ZG_PT_ATOMS), 0) &&
	       postings_ok(v, v->header->residual, ZG_PT_RULES) &&
	       postings_ok(v, v->header->class_residual, ZG_PT_CLASSES);
}

static bool number_ok(const struct zg_number *n)
{
	return n->is_integer <= 1 && isfinite(n->real);
}

/* What conditions compare with. */
static bool operands_ok(const struct zg_policy_view *v)
{
	for (uint32_t i = 0; i < rows(v, ZG_PT_POINTERS); i++)
		if (!text_ok(v, v->pointers[i].text) ||
		    !span_ok(v, v->pointers[i].steps, ZG_PT_STEPS))
			return false;
	for (uint32_t i = 0; i < rows(v, ZG_PT_STEPS); i++)
		if (!text_ok(v, v->steps[i].name))
			return false;
	for (uint32_t i = 0; i < rows(v, ZG_PT_SCALARS); i++)
		if (!text_ok(v, v->scalars[i].text) || !number_ok(&v->scalars[i].number) ||
		    v->scalars[i].kind >= ZG_SCALAR_MAX)
			return false;
	for (uint32_t i = 0; i < rows(v, ZG_PT_BOUNDS); i++)
		if (!number_ok(&v->bounds[i].min) || !number_ok(&v->bounds[i].max) ||
		    v->bounds[i].has_min > 1 || v->bounds[i].has_max > 1)
			return false;
	for (uint32_t i = 0; i < rows(v, ZG_PT_REGEXES); i++)
		if (!text_ok(v, v->regexes[i].pattern) ||
		    !span_ok(v, v->regexes[i].database, ZG_PT_BLOB))
			return false;
	return rows(v, ZG_PT_REGEXES) <= ZG_REGEX_MAX &&
	       numbers_ok(v->refs, rows(v, ZG_PT_REFS), rows(v, ZG_PT_REGEXES), 0);
}

#define UID_KEY	 (ZG_KEY_FACTS + ZG_FACT_UID)
#define USER_KEY (ZG_KEY_FACTS + ZG_FACT_USER)

/* A condition's key, and the table that its span "more" lies in; MAX: it is empty. */
static bool cond_ok(const struct zg_policy_view *v, const struct zg_row_cond *c)
{
	static const struct {
		uint32_t lowest, highest;
		enum zg_policy_table keys, more;
	} shape[ZG_CK_MAX] = {
		[ZG_CK_LABEL] = {ZG_KEY_LABELS, UINT32_MAX, ZG_PT_KEYS, ZG_PT_MAX},
		[ZG_CK_RISK_TAG] = {0, UINT32_MAX, ZG_PT_KEYS, ZG_PT_MAX},
		[ZG_CK_SERVER_NOT_IN] = {0, UINT32_MAX, ZG_PT_KEYS, ZG_PT_MAX},
		[ZG_CK_FACT] = {ZG_KEY_FACTS, ZG_KEY_LABELS - 1, ZG_PT_KEYS, ZG_PT_MAX},
		/* who compares numbers has one: a principal is known then */
		[ZG_CK_UID] = {UID_KEY, UID_KEY, ZG_PT_KEYS, ZG_PT_UIDS},
		[ZG_CK_USER] = {USER_KEY, USER_KEY, ZG_PT_KEYS, ZG_PT_UIDS},
		[ZG_CK_TIME] = {0, UINT32_MAX, ZG_PT_KEYS, ZG_PT_WINDOWS},
		[ZG_CK_ARG_IS] = {0, UINT32_MAX, ZG_PT_POINTERS, ZG_PT_SCALARS},
		[ZG_CK_ARG_REGEX] = {0, UINT32_MAX, ZG_PT_POINTERS, ZG_PT_REFS},
		[ZG_CK_ARG_RANGE] = {0, UINT32_MAX, ZG_PT_POINTERS, ZG_PT_BOUNDS},
		[ZG_CK_ARG_PRESENT] = {0, UINT32_MAX, ZG_PT_POINTERS, ZG_PT_MAX},
		[ZG_CK_ARG_ABSENT] = {0, UINT32_MAX, ZG_PT_POINTERS, ZG_PT_MAX},
	};

	if (c->kind >= ZG_CK_MAX || c->key < shape[c->kind].lowest ||
	    c->key > shape[c->kind].highest || c->key >= rows(v, shape[c->kind].keys))
		return false;
	return shape[c->kind].more == ZG_PT_MAX ? !c->more.count
						: span_ok(v, c->more, shape[c->kind].more);
}

static bool classes_ok(const struct zg_policy_view *v)
{
	for (uint32_t i = 0; i < rows(v, ZG_PT_CLASSES); i++) {
		const struct zg_row_class *c = &v->classes[i];

		if (!text_ok(v, c->id) || !text_ok(v, c->place) ||
		    !span_ok(v, c->match, ZG_PT_CONDS) || !span_ok(v, c->unless, ZG_PT_CONDS) ||
		    !span_ok(v, c->labels, ZG_PT_LABELS) || !span_ok(v, c->tags, ZG_PT_TAGS) ||
		    (c->pivot != ZG_NO_INDEX && c->pivot >= c->match.count) ||
		    c->action > 1 + ZG_ACTION_READ)
			return false;
	}
	return rows(v, ZG_PT_CLASSES) <= ZG_POLICY_RULES_MAX;
}

/* Within what the language has. */
static bool constraints_ok(const struct zg_row_rule *r)
{
	return r->max_runtime_sec <= ZG_POLICY_RUNTIME_MAX &&
	       r->max_retries <= ZG_POLICY_RETRIES_MAX && r->has_max_retries <= 1 &&
	       r->max_output_bytes <= ZG_POLICY_OUTPUT_MAX && r->redact < ZG_REDACT_MAX &&
	       r->approvers <= ZG_POLICY_APPROVERS_MAX;
}

static bool limit_ok(const struct zg_policy_view *v, const struct zg_limit *l)
{
	bool window = l->kind == ZG_QK_CONCURRENT && l->sec == 1;

#define X(NAME, text, seconds) window = window || (l->kind == ZG_QK_RATE && l->sec == (seconds));
	ZG_LIMIT_PER(X)
#undef X
	return window && l->rule < rows(v, ZG_PT_RULES) && l->calls &&
	       l->calls <= ZG_QUOTA_CALLS_MAX && l->by < 1u << ZG_LB_MAX;
}

static bool rules_ok(const struct zg_policy_view *v)
{
	for (uint32_t i = 0; i < rows(v, ZG_PT_CONDS); i++) {
		const struct zg_row_cond *c = &v->conds[i];

		if (!cond_ok(v, c) || !span_ok(v, c->atoms, ZG_PT_VALUES) ||
		    !span_ok(v, c->globs, ZG_PT_GLOBS))
			return false;
	}
	for (uint32_t i = 0; i < rows(v, ZG_PT_LISTS); i++)
		if (!span_ok(v, v->lists[i], ZG_PT_HOSTS))
			return false;
	for (uint32_t i = 0; i < rows(v, ZG_PT_RULES); i++) {
		const struct zg_row_rule *r = &v->rules[i];

		if (!text_ok(v, r->id) || !text_ok(v, r->place) || !text_ok(v, r->reason) ||
		    !text_ok(v, r->remediation) || !span_ok(v, r->annotate, ZG_PT_LABELS) ||
		    !span_ok(v, r->match, ZG_PT_CONDS) || !span_ok(v, r->unless, ZG_PT_CONDS) ||
		    (r->pivot != ZG_NO_INDEX && r->pivot >= r->match.count) ||
		    (r->allowlist != ZG_NO_ALLOWLIST && r->allowlist >= rows(v, ZG_PT_LISTS)) ||
		    !span_ok(v, r->limits, ZG_PT_LIMITS) || r->decision >= ZG_D_MAX ||
		    !constraints_ok(r))
			return false;
	}
	for (uint32_t i = 0; i < rows(v, ZG_PT_LIMITS); i++)
		if (!limit_ok(v, &v->limits[i]))
			return false;
	return rows(v, ZG_PT_LIMITS) <= UINT16_MAX && rows(v, ZG_PT_RULES) <= ZG_POLICY_RULES_MAX;
}

static bool registry_ok(const struct zg_policy_view *v)
{
	for (uint32_t i = 0; i < rows(v, ZG_PT_LABELS); i++)
		if (!text_ok(v, v->labels[i].key) || !text_ok(v, v->labels[i].value))
			return false;
	for (uint32_t i = 0; i < rows(v, ZG_PT_TOOLS); i++) {
		const struct zg_row_tool *t = &v->tools[i];

		if (!text_ok(v, t->pattern) || !span_ok(v, t->labels, ZG_PT_LABELS) ||
		    !span_ok(v, t->tags, ZG_PT_TAGS) || t->action > ZG_ACTION_READ ||
		    t->has_tags > 1)
			return false;
	}
	for (uint32_t i = 0; i < rows(v, ZG_PT_SERVERS); i++) {
		const struct zg_row_server *s = &v->servers[i];

		if (!text_ok(v, s->id) || !span_ok(v, s->labels, ZG_PT_LABELS) ||
		    !span_ok(v, s->tags, ZG_PT_TAGS) || !span_ok(v, s->tools, ZG_PT_TOOLS) ||
		    !span_ok(v, s->globs, ZG_PT_TOOLS) || !span_ok(v, s->methods, ZG_PT_TOOLS) ||
		    !span_ok(v, s->method_globs, ZG_PT_TOOLS) ||
		    !span_ok(v, s->resources, ZG_PT_TOOLS) ||
		    !span_ok(v, s->resource_globs, ZG_PT_TOOLS) ||
		    !span_ok(v, s->prompts, ZG_PT_TOOLS) ||
		    !span_ok(v, s->prompt_globs, ZG_PT_TOOLS) ||
		    !span_ok(v, s->profiles, ZG_PT_PROFILES))
			return false;
	}
	return slots_ok(v->server_slots, rows(v, ZG_PT_SERVER_SLOTS), rows(v, ZG_PT_SERVERS));
}

static bool tables_ok(const struct zg_policy_header *h, size_t size)
{
	if (size < sizeof(*h) || h->magic != ZG_POLICY_MAGIC || h->bytes != size ||
	    h->default_decision >= ZG_D_MAX)
		return false;
	for (int i = 0; i < ZG_PT_MAX; i++) {
		const struct zg_row_span *t = &h->table[i];

		if (t->first % 8 || t->first < sizeof(*h) || t->first > size ||
		    t->count > (size - t->first) / row_bytes[i])
			return false;
	}
	return h->table[ZG_PT_KEYS].count >= ZG_KEY_LABELS;
}

int zg_policy_open(struct zg_policy *out, const void *bytes, size_t size, struct zg_err *e)
{
	struct zg_policy p = {bytes, size, NULL};
	struct zg_policy_view v;
	int r;

	if (!bytes || (uintptr_t)bytes % 8 || !tables_ok(bytes, size))
		return zg_err_set(e, EBADMSG, "the compiled policy breaks its own format");
	v = zg_policy_view(&p);
	if (!texts_ok(&v, v.globs, rows(&v, ZG_PT_GLOBS)) ||
	    !texts_ok(&v, v.hosts, rows(&v, ZG_PT_HOSTS)) ||
	    !texts_ok(&v, v.tags, rows(&v, ZG_PT_TAGS)) || !atoms_ok(&v) || !operands_ok(&v) ||
	    !rules_ok(&v) || !classes_ok(&v) || !registry_ok(&v))
		return zg_err_set(e, EBADMSG, "the compiled policy breaks its own format");
	r = zg_regexes_new(&p.regexes, &v);
	if (r < 0)
		return zg_err_set(e, -r, "the policy's regular expressions cannot be taken up: %s",
				  r == -EBADMSG ? "they are damaged or of another kind of CPU"
						: strerror(-r));
	*out = p;
	return 0;
}

void zg_policy_close(struct zg_policy *p)
{
	zg_regexes_free(p->regexes);
	*p = (struct zg_policy){0};
}
