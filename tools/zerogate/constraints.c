/* SPDX-License-Identifier: Apache-2.0 */
/*
 * constraints.c - see constraints.h. Trust: names and hosts are the operator's;
 * all of them are encoded.
 */
#include "constraints.h"

#include <errno.h>
#include <string.h>

#include "limit.h"

static bool in_all(const struct zg_policy *p, const struct zg_constraints *c, struct zg_slice host)
{
	for (uint16_t i = 0; i < c->allowlist_count; i++)
		if (!zg_policy_allowlist_has(p, c->allowlist[i], host))
			return false;
	return true;
}

static bool in_earlier(const struct zg_policy *p, const struct zg_constraints *c, uint16_t list,
		       struct zg_slice host)
{
	struct zg_slice other;

	for (uint16_t i = 0; i < list; i++)
		for (size_t j = 0; (other = zg_policy_allowlist_entry(p, c->allowlist[i], j)).len;
		     j++)
			if (zg_slice_eq(other, host))
				return true;
	return false;
}

/* What all lists have in common, each entry once. */
static json_t *hosts_json(const struct zg_policy *p, const struct zg_constraints *c)
{
	json_t *list = json_array();
	struct zg_slice host;

	for (uint16_t i = 0; i < c->allowlist_count; i++)
		for (size_t j = 0; (host = zg_policy_allowlist_entry(p, c->allowlist[i], j)).len;
		     j++)
			if (in_all(p, c, host) && !in_earlier(p, c, i, host))
				(void)json_array_append_new(list, json_stringn(host.ptr, host.len));
	return list;
}

static json_t *by_json(uint32_t by)
{
	static const char *const names[ZG_LB_MAX] = {
#define X(NAME, text) [ZG_LB_N_##NAME] = (text),
		ZG_LIMIT_BY(X)
#undef X
	};
	json_t *list = json_array();

	for (int i = 0; i < ZG_LB_MAX; i++)
		if (by & 1u << i)
			(void)json_array_append_new(list, json_string(names[i]));
	return list;
}

static const char *per_text(uint32_t sec)
{
#define X(NAME, text, seconds)                                                                     \
	if (sec == (seconds))                                                                      \
		return text;
	ZG_LIMIT_PER(X)
#undef X
	return "";
}

static json_t *limits_json(const struct zg_policy *p, const struct zg_constraints *c,
			   enum zg_quota_kind kind)
{
	json_t *list = json_array();

	for (uint16_t i = 0; i < c->limit_count; i++) {
		struct zg_limit l = zg_policy_limit(p, c->limit[i]);
		struct zg_slice rule = zg_policy_rule_id(p, (uint16_t)l.rule);
		json_t *one;

		if (l.kind != kind)
			continue;
		one = json_object();
		(void)json_object_set_new(one, "rule", json_stringn(rule.ptr, rule.len));
		(void)json_object_set_new(one, "calls", json_integer(l.calls));
		if (kind == ZG_QK_RATE)
			(void)json_object_set_new(one, "per", json_string(per_text(l.sec)));
		if (l.by)
			(void)json_object_set_new(one, "by", by_json(l.by));
		(void)json_array_append_new(list, one);
	}
	return list;
}

/* Only what is set. */
static void put_number(json_t *to, const char *name, bool set, uint64_t n)
{
	if (set)
		(void)json_object_set_new(to, name, json_integer((json_int_t)n));
}

static void put_list(json_t *to, const char *name, bool set, json_t *list)
{
	if (set)
		(void)json_object_set_new(to, name, list);
	else
		json_decref(list);
}

json_t *zg_constraints_json(const struct zg_policy *p, const struct zg_constraints *c)
{
	json_t *j = json_object();
	json_t *rate = limits_json(p, c, ZG_QK_RATE);
	json_t *concurrent = limits_json(p, c, ZG_QK_CONCURRENT);

	put_number(j, "max_runtime_sec", c->max_runtime_sec, c->max_runtime_sec);
	put_number(j, "max_retries", c->has_max_retries, c->max_retries);
	put_list(j, "network_allowlist", c->allowlist_count, hosts_json(p, c));
	put_number(j, "max_output_bytes", c->max_output_bytes, c->max_output_bytes);
	if (c->redact)
		(void)json_object_set_new(j, "redact", json_string(zg_redact_text_of(c->redact)));
	put_list(j, "rate", json_array_size(rate), rate);
	put_list(j, "max_concurrent", json_array_size(concurrent), concurrent);
	put_number(j, "approvers", c->approvers > 1, c->approvers);
	return j;
}

static void put_json(const json_t *j, struct zg_buf *out)
{
	char *text = json_dumps(j, JSON_COMPACT | JSON_ENCODE_ANY);

	if (text)
		zg_buf_str(out, text);
	else
		out->error = -ENOMEM;
	free(text);
}

void zg_constraints_put(const struct zg_policy *p, const struct zg_constraints *c,
			struct zg_buf *out)
{
	json_t *j = zg_constraints_json(p, c);

	put_json(j, out);
	json_decref(j);
}

void zg_constraints_put_lines(const struct zg_policy *p, const struct zg_constraints *c,
			      struct zg_buf *out)
{
	json_t *j = zg_constraints_json(p, c), *value;
	const char *name;

	json_object_foreach(j, name, value)
	{
		zg_buf_fmt(out, "  %s ", name);
		if (json_is_string(value))
			zg_buf_str(out, json_string_value(value));
		else
			put_json(value, out);
		zg_buf_char(out, '\n');
	}
	json_decref(j);
}

/* expected ------------------------------------------------------------------------ */

/* A case's limit in the shape of ours, without the rule. NULL: it is none. */
static json_t *wanted_limit(const json_t *want)
{
	const json_t *calls = json_is_object(want) ? json_object_get(want, "calls") : want;
	json_t *by = json_object_get(want, "by"), *one, *item;
	static const char *const order[ZG_LB_MAX] = {
#define X(NAME, text) [ZG_LB_N_##NAME] = (text),
		ZG_LIMIT_BY(X)
#undef X
	};
	json_t *list;
	uint64_t n;
	size_t i;

	if (!json_is_string(calls) ||
	    zg_slice_u64(zg_slice_str(json_string_value(calls)), UINT32_MAX, &n) < 0)
		return NULL;
	one = json_pack("{s:I}", "calls", (json_int_t)n);
	if (json_object_get(want, "per"))
		(void)json_object_set(one, "per", json_object_get(want, "per"));
	if (!by)
		return one;
	list = json_array();
	for (int b = 0; b < ZG_LB_MAX; b++) {
		bool has = json_is_string(by) && strcmp(json_string_value(by), order[b]) == 0;

		json_array_foreach(by, i, item) has |=
			json_is_string(item) && strcmp(json_string_value(item), order[b]) == 0;
		if (has)
			(void)json_array_append_new(list, json_string(order[b]));
	}
	(void)json_object_set_new(one, "by", list);
	return one;
}

/* Take one limit that equals want out of got. */
static bool take_limit(json_t *got, const json_t *want)
{
	json_t *wanted = wanted_limit(want), *one;
	size_t i, found = SIZE_MAX;

	json_array_foreach(got, i, one)
	{
		json_t *plain = json_copy(one);

		(void)json_object_del(plain, "rule");
		if (found == SIZE_MAX && wanted && json_equal(plain, wanted))
			found = i;
		json_decref(plain);
	}
	json_decref(wanted);
	return found != SIZE_MAX && json_array_remove(got, found) == 0;
}

static bool limits_match(json_t *got, const json_t *want)
{
	const json_t *one;
	size_t i;

	if (!json_is_array(want))
		return take_limit(got, want) && !json_array_size(got);
	json_array_foreach((json_t *)(uintptr_t)want, i,
			   one) if (!take_limit(got, one)) return false;
	return !json_array_size(got);
}

/* The same hosts, in any order. */
static bool hosts_match(const json_t *got, const json_t *want)
{
	const json_t *host, *other;
	size_t i, j, found = 0;

	json_array_foreach((json_t *)(uintptr_t)got, i, host)
	{
		bool wanted = false;

		json_array_foreach((json_t *)(uintptr_t)want, j, other) wanted |=
			json_equal(host, other);
		found += wanted;
	}
	return found == json_array_size(got) && found == json_array_size(want);
}

static bool value_matches(const json_t *got, const json_t *want)
{
	uint64_t n;

	if (!json_is_string(want))
		return false;
	if (json_is_string(got))
		return json_equal(got, want);
	return zg_slice_u64(zg_slice_str(json_string_value(want)), UINT32_MAX, &n) == 0 &&
	       (json_int_t)n == json_integer_value(got);
}

bool zg_constraints_match(const struct zg_policy *p, const struct zg_constraints *c,
			  const json_t *want)
{
	json_t *all = zg_constraints_json(p, c), *got;
	bool good = json_object_size(all) == json_object_size(want);
	const char *name;

	json_object_foreach(all, name, got)
	{
		const json_t *w = json_object_get(want, name);

		if (!w)
			good = false;
		else if (strcmp(name, "network_allowlist") == 0)
			good &= hosts_match(got, w);
		else if (json_is_array(got))
			good &= limits_match(got, w);
		else
			good &= value_matches(got, w);
	}
	json_decref(all);
	return good;
}
