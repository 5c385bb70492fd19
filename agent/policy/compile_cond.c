/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compile_cond.c - conditions and what they compare with, into the section.
 * Trust: input was parsed and checked; regular expressions were compiled by
 * zg_policy_check. Pure but for memory.
 */
#include "compile_impl.h"
#include "digest.h"

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void put_values(struct zg_compiler *c, const struct zg_cond_src *cond,
		       struct zg_row_cond *row)
{
	struct zg_buf *values = &c->table[ZG_PT_VALUES];

	row->key = zg_key_of(c, cond);
	row->atoms.first = zg_rows(c, ZG_PT_VALUES, sizeof(uint32_t));
	row->globs.first = zg_rows(c, ZG_PT_GLOBS, sizeof(struct zg_row_text));
	for (size_t i = 0; i < cond->values.count; i++) {
		uint32_t number;

		if (zg_globbed(cond, i)) {
			zg_put_texts(c, ZG_PT_GLOBS, &cond->values.item[i], 1);
			row->globs.count++;
			continue;
		}
		number = (uint32_t)(zg_atom_find(c, row->key, cond->values.item[i]) - c->atom);
		zg_buf_add(values, &number, sizeof(number));
		row->atoms.count++;
	}
	if (zg_buf_ok(values) && row->atoms.count)
		qsort(values->ptr + row->atoms.first * sizeof(uint32_t), row->atoms.count,
		      sizeof(uint32_t), by_number);
}

/* The index of an array that a token is too, by RFC 6901: no leading zero. */
static uint32_t index_of(struct zg_slice step)
{
	uint64_t n;

	if ((step.len > 1 && step.ptr[0] == '0') || zg_slice_u64(step, ZG_NO_INDEX - 1, &n) < 0)
		return ZG_NO_INDEX;
	return (uint32_t)n;
}

static uint32_t put_pointer(struct zg_compiler *c, const struct zg_cond_src *cond)
{
	const uint32_t number = zg_rows(c, ZG_PT_POINTERS, sizeof(struct zg_row_pointer));
	struct zg_row_pointer row = {
		.text = zg_put_text(c, cond->key),
		.steps = {zg_rows(c, ZG_PT_STEPS, sizeof(struct zg_row_step)),
			  (uint32_t)cond->steps.count},
	};

	for (size_t i = 0; i < cond->steps.count; i++) {
		struct zg_row_step step = {zg_put_text(c, cond->steps.item[i]),
					   index_of(cond->steps.item[i])};

		zg_buf_add(&c->table[ZG_PT_STEPS], &step, sizeof(step));
	}
	zg_buf_add(&c->table[ZG_PT_POINTERS], &row, sizeof(row));
	return number;
}

static void put_scalars(struct zg_compiler *c, const struct zg_cond_src *cond,
			struct zg_row_cond *row)
{
	row->more = (struct zg_row_span){zg_rows(c, ZG_PT_SCALARS, sizeof(struct zg_row_scalar)),
					 (uint32_t)cond->scalar_count};
	for (size_t i = 0; i < cond->scalar_count; i++) {
		struct zg_row_scalar s = {.number = cond->scalar[i].number,
					  .text = zg_put_text(c, cond->scalar[i].text),
					  .kind = cond->scalar[i].kind};

		zg_buf_add(&c->table[ZG_PT_SCALARS], &s, sizeof(s));
	}
}

static void put_bounds(struct zg_compiler *c, const struct zg_cond_src *cond,
		       struct zg_row_cond *row)
{
	struct zg_row_bounds b = {.min = cond->min,
				  .max = cond->max,
				  .has_min = cond->has_min,
				  .has_max = cond->has_max};

	row->more = (struct zg_row_span){zg_rows(c, ZG_PT_BOUNDS, sizeof(b)), 1};
	zg_buf_add(&c->table[ZG_PT_BOUNDS], &b, sizeof(b));
}

static int by_pattern(const void *a, const void *b)
{
	return zg_slice_order(((const struct zg_regex_src *)a)->pattern,
			      ((const struct zg_regex_src *)b)->pattern);
}

/* REFS; a pattern that nobody compiled fails the whole. */
static void put_refs(struct zg_compiler *c, const struct zg_cond_src *cond, struct zg_row_cond *row)
{
	const struct zg_policy_src *p = c->policy;

	row->more = (struct zg_row_span){zg_rows(c, ZG_PT_REFS, sizeof(uint32_t)),
					 (uint32_t)cond->values.count};
	for (size_t i = 0; i < cond->values.count; i++) {
		const struct zg_regex_src want = {.pattern = cond->values.item[i]};
		const struct zg_regex_src *found =
			p->regex_count
				? bsearch(&want, p->regex, p->regex_count, sizeof(want), by_pattern)
				: NULL;
		uint32_t number = found ? (uint32_t)(found - p->regex) : 0;

		c->failed = c->failed || !found;
		zg_buf_add(&c->table[ZG_PT_REFS], &number, sizeof(number));
	}
}

static void put_uids(struct zg_compiler *c, const struct zg_cond_src *cond, struct zg_row_cond *row)
{
	row->more = (struct zg_row_span){zg_rows(c, ZG_PT_UIDS, sizeof(struct zg_range_src)),
					 (uint32_t)cond->range_count};
	zg_buf_add(&c->table[ZG_PT_UIDS], cond->range, cond->range_count * sizeof(*cond->range));
}

static void put_windows(struct zg_compiler *c, const struct zg_cond_src *cond,
			struct zg_row_cond *row)
{
	row->more = (struct zg_row_span){zg_rows(c, ZG_PT_WINDOWS, sizeof(struct zg_window)),
					 (uint32_t)cond->window_count};
	zg_buf_add(&c->table[ZG_PT_WINDOWS], cond->window,
		   cond->window_count * sizeof(*cond->window));
}

static struct zg_row_cond cond_row(struct zg_compiler *c, const struct zg_cond_src *cond)
{
	struct zg_row_cond row = {.kind = cond->kind};

	if (zg_has_atoms(cond))
		put_values(c, cond, &row);
	else if (cond->kind != ZG_CK_TIME)
		row.key = put_pointer(c, cond);
	switch (cond->kind) {
	case ZG_CK_UID:
	case ZG_CK_USER:
		put_uids(c, cond, &row);
		break;
	case ZG_CK_TIME:
		put_windows(c, cond, &row);
		break;
	case ZG_CK_ARG_IS:
		put_scalars(c, cond, &row);
		break;
	case ZG_CK_ARG_REGEX:
		put_refs(c, cond, &row);
		break;
	case ZG_CK_ARG_RANGE:
		put_bounds(c, cond, &row);
		break;
	case ZG_CK_LABEL:
	case ZG_CK_RISK_TAG:
	case ZG_CK_SERVER_NOT_IN:
	case ZG_CK_FACT:
	case ZG_CK_ARG_PRESENT:
	case ZG_CK_ARG_ABSENT:
	case ZG_CK_MAX:
		break;
	}
	return row;
}

struct zg_row_span zg_put_conds(struct zg_compiler *c, const struct zg_conds_src *conds)
{
	struct zg_row_span span = {zg_rows(c, ZG_PT_CONDS, sizeof(struct zg_row_cond)),
				   (uint32_t)conds->count};

	for (size_t i = 0; i < conds->count; i++) {
		struct zg_row_cond row = cond_row(c, &conds->item[i]);

		zg_buf_add(&c->table[ZG_PT_CONDS], &row, sizeof(row));
	}
	return span;
}

void zg_put_regexes(struct zg_compiler *c)
{
	for (size_t i = 0; i < c->policy->regex_count; i++) {
		const struct zg_regex_src *r = &c->policy->regex[i];
		struct zg_row_regex row = {
			.pattern = zg_put_text(c, r->pattern),
			.database = {zg_rows(c, ZG_PT_BLOB, 1), (uint32_t)r->database.len},
		};

		zg_sha256(row.sha256, r->database.ptr, r->database.len);
		zg_buf_add(&c->table[ZG_PT_BLOB], r->database.ptr, r->database.len);
		zg_buf_add(&c->table[ZG_PT_REGEXES], &row, sizeof(row));
	}
}
