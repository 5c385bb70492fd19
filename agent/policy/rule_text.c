/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rule_text.c - what a checked section says of its rules, for people and
 * records (decide.h). Trust: rule numbers may be anything.
 */
#include "section.h"

struct zg_slice zg_policy_rule_id(const struct zg_policy *p, uint16_t rule)
{
	struct zg_policy_view v = zg_policy_view(p);

	return rule < v.header->table[ZG_PT_RULES].count ? zg_row_slice(&v, v.rules[rule].id)
							 : (struct zg_slice){"", 0};
}

struct zg_slice zg_policy_rule_place(const struct zg_policy *p, uint16_t rule)
{
	struct zg_policy_view v = zg_policy_view(p);

	return rule < v.header->table[ZG_PT_RULES].count ? zg_row_slice(&v, v.rules[rule].place)
							 : (struct zg_slice){"", 0};
}

struct zg_slice zg_policy_rule_reason(const struct zg_policy *p, uint16_t rule)
{
	struct zg_policy_view v = zg_policy_view(p);

	return rule < v.header->table[ZG_PT_RULES].count ? zg_row_slice(&v, v.rules[rule].reason)
							 : (struct zg_slice){"", 0};
}

struct zg_slice zg_policy_rule_remediation(const struct zg_policy *p, uint16_t rule)
{
	struct zg_policy_view v = zg_policy_view(p);

	return rule < v.header->table[ZG_PT_RULES].count
		       ? zg_row_slice(&v, v.rules[rule].remediation)
		       : (struct zg_slice){"", 0};
}

bool zg_policy_rule_label(const struct zg_policy *p, uint16_t rule, size_t i, struct zg_label *out)
{
	struct zg_policy_view v = zg_policy_view(p);
	const struct zg_row_label *l;

	if (rule >= v.header->table[ZG_PT_RULES].count || i >= v.rules[rule].annotate.count)
		return false;
	l = &v.labels[v.rules[rule].annotate.first + i];
	*out = (struct zg_label){zg_row_slice(&v, l->key), zg_row_slice(&v, l->value)};
	return true;
}

struct zg_slice zg_policy_allowlist_entry(const struct zg_policy *p, uint16_t list, size_t i)
{
	struct zg_policy_view v = zg_policy_view(p);

	if (list >= v.header->table[ZG_PT_LISTS].count || i >= v.lists[list].count)
		return (struct zg_slice){"", 0};
	return zg_row_slice(&v, v.hosts[v.lists[list].first + i]);
}
