/* SPDX-License-Identifier: Apache-2.0 */
/*
 * number.c - numbers of policies and of arguments (model.h), read by one
 * reader and compared without loss. Trust: text may be anything.
 */
#include <jansson.h>

#include "model.h"

#define NUMBER_LEN 64

bool zg_number_parse(struct zg_slice s, struct zg_number *out)
{
	struct zg_number n = {0};
	json_t *j;

	if (!s.len || s.len > NUMBER_LEN || (s.ptr[0] != '-' && (s.ptr[0] < '0' || s.ptr[0] > '9')))
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (!strchr("+-.eE0123456789", s.ptr[i]) || !s.ptr[i])
			return false;
	j = json_loadb(s.ptr, s.len, JSON_DECODE_ANY, NULL);
	if (!json_is_number(j)) {
		json_decref(j);
		return false;
	}
	n.is_integer = json_is_integer(j);
	if (n.is_integer)
		n.integer = json_integer_value(j);
	else
		n.real = json_real_value(j);
	json_decref(j);
	*out = n;
	return true;
}

static int order(double a, double b)
{
	return (a > b) - (a < b);
}

/* An integer and a double, the latter finite. */
static int mixed(int64_t a, double b)
{
	int64_t whole;

	if (b >= 9223372036854775808.0)
		return -1;
	if (b < -9223372036854775808.0)
		return 1;
	whole = (int64_t)b; /* towards zero, and exact */
	if (a != whole)
		return a < whole ? -1 : 1;
	return order((double)whole, b);
}

int zg_number_order(struct zg_number a, struct zg_number b)
{
	if (a.is_integer && b.is_integer)
		return (a.integer > b.integer) - (a.integer < b.integer);
	if (a.is_integer)
		return mixed(a.integer, b.real);
	if (b.is_integer)
		return -mixed(b.integer, a.real);
	return order(a.real, b.real);
}
