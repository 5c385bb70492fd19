/* SPDX-License-Identifier: Apache-2.0 */
/*
 * args.c - conditions on a call's arguments (facts.h). Trust: the arguments
 * are a client's, but parsed: depth, size and UTF-8 were checked. What would
 * cost too much to look at is UNKNOWN, never false.
 */
#include "facts.h"
#include "regex.h"

const json_t *zg_arg_find(const struct zg_policy_view *v, const struct zg_envelope *env,
			  uint32_t pointer)
{
	const struct zg_row_span steps = v->pointers[pointer].steps;
	const json_t *at = env->arguments;

	for (uint32_t i = 0; at && i < steps.count; i++) {
		const struct zg_row_step *s = &v->steps[steps.first + i];
		const struct zg_slice name = zg_row_slice(v, s->name);

		if (json_is_object(at))
			at = json_object_getn(at, name.ptr, name.len);
		else if (json_is_array(at) && s->index != ZG_NO_INDEX)
			at = json_array_get(at, s->index);
		else
			at = NULL;
	}
	return at;
}

static struct zg_slice text_of(const json_t *string)
{
	return (struct zg_slice){json_string_value(string), json_string_length(string)};
}

/* May a pattern read this text? */
static bool afford(struct zg_facts *f, struct zg_slice text)
{
	if (text.len > ZG_MATCH_TEXT_BYTES || text.len > f->budget)
		return false;
	f->budget -= text.len;
	return true;
}

static struct zg_number number_of(const json_t *j)
{
	struct zg_number n = {0};

	n.is_integer = json_is_integer(j);
	if (n.is_integer)
		n.integer = json_integer_value(j);
	else
		n.real = json_real_value(j);
	return n;
}

static enum zg_truth truth(bool b)
{
	return b ? ZG_TRUE : ZG_FALSE;
}

static enum zg_truth is_scalar(const struct zg_policy_view *v, struct zg_facts *f,
			       const struct zg_row_scalar *s, const json_t *j)
{
	const struct zg_slice text = zg_row_slice(v, s->text);

	switch ((enum zg_scalar_kind)s->kind) {
	case ZG_SCALAR_TEXT:
		return truth(json_is_string(j) && zg_slice_eq(text, text_of(j)));
	case ZG_SCALAR_GLOB:
		if (!json_is_string(j))
			return ZG_FALSE;
		return afford(f, text_of(j)) ? truth(zg_star_match(text, text_of(j))) : ZG_UNKNOWN;
	case ZG_SCALAR_NUMBER:
		return truth(json_is_number(j) && zg_number_order(s->number, number_of(j)) == 0);
	case ZG_SCALAR_TRUE:
		return truth(json_is_true(j));
	case ZG_SCALAR_FALSE:
		return truth(json_is_false(j));
	case ZG_SCALAR_NULL:
		return truth(json_is_null(j));
	case ZG_SCALAR_MAX:
		break;
	}
	return ZG_FALSE;
}

static enum zg_truth is_any(const struct zg_policy_view *v, struct zg_facts *f,
			    const struct zg_row_cond *c, const json_t *j)
{
	enum zg_truth best = ZG_FALSE;

	for (uint32_t i = 0; best != ZG_TRUE && i < c->more.count; i++) {
		enum zg_truth t = is_scalar(v, f, &v->scalars[c->more.first + i], j);

		best = t > best ? t : best;
	}
	return best;
}

static enum zg_truth finds_any(const struct zg_policy_view *v, struct zg_facts *f,
			       const struct zg_row_cond *c, const json_t *j)
{
	enum zg_truth best = ZG_FALSE;

	if (!json_is_string(j))
		return ZG_FALSE;
	for (uint32_t i = 0; best != ZG_TRUE && i < c->more.count; i++) {
		enum zg_truth t =
			afford(f, text_of(j))
				? zg_regex_find(f->regexes, v->refs[c->more.first + i], text_of(j))
				: ZG_UNKNOWN;

		best = t > best ? t : best;
	}
	return best;
}

static bool within(const struct zg_row_bounds *b, const json_t *j)
{
	struct zg_number n;

	if (!json_is_number(j))
		return false;
	n = number_of(j);
	return (!b->has_min || zg_number_order(n, b->min) >= 0) &&
	       (!b->has_max || zg_number_order(n, b->max) <= 0);
}

enum zg_truth zg_arg_holds(const struct zg_policy_view *v, struct zg_facts *f,
			   const struct zg_row_cond *c)
{
	const json_t *j = zg_arg_find(v, f->env, c->key);

	switch ((enum zg_cond_kind)c->kind) {
	case ZG_CK_ARG_PRESENT:
		return truth(j != NULL);
	case ZG_CK_ARG_ABSENT:
		return truth(j == NULL);
	case ZG_CK_ARG_IS:
		return is_any(v, f, c, j);
	case ZG_CK_ARG_REGEX:
		return finds_any(v, f, c, j);
	case ZG_CK_ARG_RANGE:
		return truth(c->more.count && within(&v->bounds[c->more.first], j));
	case ZG_CK_LABEL:
	case ZG_CK_RISK_TAG:
	case ZG_CK_SERVER_NOT_IN:
	case ZG_CK_FACT:
	case ZG_CK_UID:
	case ZG_CK_USER:
	case ZG_CK_TIME:
	case ZG_CK_MAX:
		break;
	}
	return ZG_FALSE;
}
