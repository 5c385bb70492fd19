/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lint_cond.c - conditions held against each other: which one follows from which,
 * which two cannot hold at once. Trust: parsed rules. True is certain; whatever would
 * take more than a look at values (regular expressions above all) is not claimed.
 */
#include "facts.h"
#include "lint_impl.h"

#define WEEK_MINUTES 10080
#define MONDAY_SEC   345600 /* the first one since 1970 */

struct week {
	uint64_t minute[(WEEK_MINUTES + 63) / 64];
};

static void fill_week(const struct zg_cond_src *c, struct week *out)
{
	*out = (struct week){0};
	for (uint64_t m = 0; m < WEEK_MINUTES; m++)
		for (size_t i = 0; i < c->window_count; i++)
			if (zg_window_has(&c->window[i], MONDAY_SEC + m * 60))
				out->minute[m / 64] |= UINT64_C(1) << (m & 63);
}

/* Is a within b; do they share nothing? */
static void compare_weeks(const struct zg_cond_src *a, const struct zg_cond_src *b, bool *within,
			  bool *apart)
{
	struct week x, y;

	fill_week(a, &x);
	fill_week(b, &y);
	*within = *apart = true;
	for (size_t i = 0; i < ZG_COUNT(x.minute); i++) {
		*within = *within && !(x.minute[i] & ~y.minute[i]);
		*apart = *apart && !(x.minute[i] & y.minute[i]);
	}
}

static bool is_arg(const struct zg_cond_src *c)
{
	return c->kind >= ZG_CK_ARG_IS && c->kind <= ZG_CK_ARG_ABSENT;
}

/* Of a path's steps, the first n. */
static bool same_steps(const struct zg_texts *a, const struct zg_texts *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!zg_slice_eq(a->item[i], b->item[i]))
			return false;
	return true;
}

/* Are both about the same thing? */
static bool same_subject(const struct zg_cond_src *a, const struct zg_cond_src *b)
{
	if (is_arg(a) && is_arg(b))
		return a->steps.count == b->steps.count &&
		       same_steps(&a->steps, &b->steps, a->steps.count);
	if (a->kind != b->kind)
		return false;
	if (a->kind == ZG_CK_LABEL)
		return zg_slice_eq(a->key, b->key);
	return a->kind != ZG_CK_FACT || a->fact == b->fact;
}

/* Whatever narrow matches, wide matches: a '*' of the one can only be met by one of
 * the other, since no pattern holds '*' as a letter. */
static bool covers(const struct zg_cond_src *c, struct zg_slice wide, struct zg_slice narrow)
{
	return zg_cond_globs(c) ? zg_star_match(wide, narrow) : zg_slice_eq(wide, narrow);
}

static bool listed(const struct zg_cond_src *c, struct zg_slice value)
{
	for (size_t i = 0; i < c->values.count; i++)
		if (covers(c, c->values.item[i], value))
			return true;
	return false;
}

static bool all_listed(const struct zg_cond_src *in, const struct zg_cond_src *values)
{
	for (size_t i = 0; i < values->values.count; i++)
		if (!listed(in, values->values.item[i]))
			return false;
	return true;
}

bool zg_patterns_meet(struct zg_slice a, struct zg_slice b)
{
	if (!zg_is_glob(a))
		return zg_star_match(b, a);
	if (!zg_is_glob(b))
		return zg_star_match(a, b);
	for (size_t i = 0; i < a.len && i < b.len && a.ptr[i] != '*' && b.ptr[i] != '*'; i++)
		if (a.ptr[i] != b.ptr[i])
			return false;
	for (size_t i = 1; i <= a.len && i <= b.len; i++) {
		const char x = a.ptr[a.len - i], y = b.ptr[b.len - i];

		if (x == '*' || y == '*')
			break;
		if (x != y)
			return false;
	}
	return true;
}

static bool values_apart(const struct zg_cond_src *a, const struct zg_cond_src *b)
{
	for (size_t i = 0; i < a->values.count; i++)
		for (size_t j = 0; j < b->values.count; j++)
			if (zg_cond_globs(a)
				    ? zg_patterns_meet(a->values.item[i], b->values.item[j])
				    : zg_slice_eq(a->values.item[i], b->values.item[j]))
				return false;
	return true;
}

/* uids ---------------------------------------------------------------------- */

/* The n-th number or range of a condition on uids. */
static bool uid_range(const struct zg_cond_src *c, size_t n, struct zg_range_src *out)
{
	uint64_t uid;

	if (n < c->range_count) {
		*out = c->range[n];
		return true;
	}
	n -= c->range_count;
	if (n >= c->values.count || zg_slice_u64(c->values.item[n], UINT32_MAX, &uid) < 0)
		return false;
	*out = (struct zg_range_src){(uint32_t)uid, (uint32_t)uid};
	return true;
}

static void compare_uids(const struct zg_cond_src *a, const struct zg_cond_src *b, bool *within,
			 bool *apart)
{
	struct zg_range_src x, y;

	*within = *apart = true;
	for (size_t i = 0; uid_range(a, i, &x); i++) {
		bool inside = false;

		for (size_t j = 0; uid_range(b, j, &y); j++) {
			inside = inside || (x.min >= y.min && x.max <= y.max);
			*apart = *apart && (x.max < y.min || x.min > y.max);
		}
		*within = *within && inside;
	}
}

/* arguments ------------------------------------------------------------------ */

static bool same_scalar(const struct zg_scalar_src *wide, const struct zg_scalar_src *narrow)
{
	const bool text = narrow->kind == ZG_SCALAR_TEXT || narrow->kind == ZG_SCALAR_GLOB;

	if (wide->kind == ZG_SCALAR_GLOB)
		return text && zg_star_match(wide->text, narrow->text);
	if (wide->kind != narrow->kind)
		return false;
	if (wide->kind == ZG_SCALAR_TEXT)
		return zg_slice_eq(wide->text, narrow->text);
	return wide->kind != ZG_SCALAR_NUMBER || zg_number_order(wide->number, narrow->number) == 0;
}

static bool scalars_meet(const struct zg_scalar_src *a, const struct zg_scalar_src *b)
{
	if (a->kind == ZG_SCALAR_GLOB && b->kind == ZG_SCALAR_GLOB)
		return zg_patterns_meet(a->text, b->text);
	return same_scalar(a, b) || same_scalar(b, a);
}

static bool in_range(const struct zg_cond_src *range, const struct zg_scalar_src *s)
{
	return s->kind == ZG_SCALAR_NUMBER &&
	       (!range->has_min || zg_number_order(s->number, range->min) >= 0) &&
	       (!range->has_max || zg_number_order(s->number, range->max) <= 0);
}

static bool is_implies(const struct zg_cond_src *is, const struct zg_cond_src *weak)
{
	for (size_t i = 0; i < is->scalar_count; i++) {
		bool found = weak->kind == ZG_CK_ARG_RANGE && in_range(weak, &is->scalar[i]);

		for (size_t j = 0; weak->kind == ZG_CK_ARG_IS && j < weak->scalar_count; j++)
			found = found || same_scalar(&weak->scalar[j], &is->scalar[i]);
		if (!found)
			return false;
	}
	return true;
}

static bool range_implies(const struct zg_cond_src *a, const struct zg_cond_src *b)
{
	return (!b->has_min || (a->has_min && zg_number_order(a->min, b->min) >= 0)) &&
	       (!b->has_max || (a->has_max && zg_number_order(a->max, b->max) <= 0));
}

static bool arg_implies(const struct zg_cond_src *strong, const struct zg_cond_src *weak)
{
	if (weak->kind == ZG_CK_ARG_PRESENT)
		return strong->kind != ZG_CK_ARG_ABSENT;
	if (strong->kind == ZG_CK_ARG_IS)
		return is_implies(strong, weak);
	if (strong->kind != weak->kind)
		return false;
	if (strong->kind == ZG_CK_ARG_RANGE)
		return range_implies(strong, weak);
	return strong->kind != ZG_CK_ARG_REGEX || all_listed(weak, strong);
}

static bool is_excludes(const struct zg_cond_src *is, const struct zg_cond_src *other)
{
	for (size_t i = 0; i < is->scalar_count; i++) {
		const struct zg_scalar_src *s = &is->scalar[i];

		if (other->kind == ZG_CK_ARG_RANGE && in_range(other, s))
			return false;
		if (other->kind == ZG_CK_ARG_REGEX &&
		    (s->kind == ZG_SCALAR_TEXT || s->kind == ZG_SCALAR_GLOB))
			return false;
		for (size_t j = 0; other->kind == ZG_CK_ARG_IS && j < other->scalar_count; j++)
			if (scalars_meet(s, &other->scalar[j]))
				return false;
	}
	return true;
}

static bool arg_excludes(const struct zg_cond_src *a, const struct zg_cond_src *b)
{
	if (a->kind == ZG_CK_ARG_ABSENT || b->kind == ZG_CK_ARG_ABSENT)
		return a->kind != b->kind;
	if (a->kind == ZG_CK_ARG_PRESENT || b->kind == ZG_CK_ARG_PRESENT)
		return false;
	if (a->kind == ZG_CK_ARG_IS)
		return is_excludes(a, b);
	if (b->kind == ZG_CK_ARG_IS)
		return is_excludes(b, a);
	if (a->kind != b->kind)
		return true; /* a number here, a text there */
	if (a->kind == ZG_CK_ARG_REGEX)
		return false;
	return (a->has_max && b->has_min && zg_number_order(a->max, b->min) < 0) ||
	       (b->has_max && a->has_min && zg_number_order(b->max, a->min) < 0);
}

/* ----------------------------------------------------------------------------- */

static bool names_server(const struct zg_cond_src *c)
{
	return c->kind == ZG_CK_LABEL && zg_slice_eq(c->key, ZG_SLICE("mcp.server"));
}

/* deny_servers_not_in against mcp.server: how many of its names are in the list? */
static bool servers_in_list(const struct zg_cond_src *names, const struct zg_cond_src *list,
			    size_t want)
{
	size_t in = 0;

	for (size_t i = 0; i < names->values.count; i++) {
		struct zg_slice name = zg_slice_trim(names->values.item[i]);

		if (zg_is_glob(name))
			return false;
		for (size_t j = 0; j < list->values.count; j++)
			if (zg_slice_ieq(name, list->values.item[j])) {
				in++;
				break;
			}
	}
	return in == want;
}

bool zg_cond_always(const struct zg_cond_src *c)
{
	bool action;

	if (c->kind != ZG_CK_LABEL)
		return false;
	action = zg_slice_eq(c->key, ZG_SLICE("mcp.action"));
	if (!action && !names_server(c) && !zg_slice_eq(c->key, ZG_SLICE("mcp.method")))
		return false;
	return listed(c, ZG_SLICE("*")) ||
	       (action && listed(c, ZG_SLICE("read")) && listed(c, ZG_SLICE("write")));
}

bool zg_cond_implies(const struct zg_cond_src *strong, const struct zg_cond_src *weak)
{
	bool within, apart;

	if (names_server(strong) && weak->kind == ZG_CK_SERVER_NOT_IN)
		return servers_in_list(strong, weak, 0);
	if (is_arg(strong) && weak->kind == ZG_CK_ARG_PRESENT && strong->kind != ZG_CK_ARG_ABSENT &&
	    strong->steps.count > weak->steps.count)
		return same_steps(&strong->steps, &weak->steps, weak->steps.count);
	if (!same_subject(strong, weak))
		return false;
	if (is_arg(strong))
		return arg_implies(strong, weak);
	if (strong->kind == ZG_CK_TIME) {
		compare_weeks(strong, weak, &within, &apart);
		return within;
	}
	if (strong->kind == ZG_CK_UID) {
		compare_uids(strong, weak, &within, &apart);
		return within;
	}
	if (strong->kind == ZG_CK_SERVER_NOT_IN)
		return all_listed(strong, weak);
	return all_listed(weak, strong);
}

bool zg_cond_excludes(const struct zg_cond_src *a, const struct zg_cond_src *b)
{
	bool within, apart;

	if (names_server(a) && b->kind == ZG_CK_SERVER_NOT_IN)
		return servers_in_list(a, b, a->values.count);
	if (names_server(b) && a->kind == ZG_CK_SERVER_NOT_IN)
		return servers_in_list(b, a, b->values.count);
	if (!same_subject(a, b))
		return false;
	if (is_arg(a))
		return arg_excludes(a, b);
	if (a->kind == ZG_CK_TIME) {
		compare_weeks(a, b, &within, &apart);
		return apart;
	}
	if (a->kind == ZG_CK_UID) {
		compare_uids(a, b, &within, &apart);
		return apart;
	}
	/* a call may have many tags, and be in none of two lists */
	return a->kind != ZG_CK_RISK_TAG && a->kind != ZG_CK_SERVER_NOT_IN && values_apart(a, b);
}

bool zg_conds_imply(const struct zg_conds_src *strong, const struct zg_conds_src *weak)
{
	for (size_t i = 0; i < weak->count; i++) {
		bool found = zg_cond_always(&weak->item[i]);

		for (size_t j = 0; !found && j < strong->count; j++)
			found = zg_cond_implies(&strong->item[j], &weak->item[i]);
		if (!found)
			return false;
	}
	return true;
}
