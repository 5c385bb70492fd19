/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diff.c - zerogate policy diff: what one configuration decides otherwise than
 * another, rule by rule and field by field. Both are compared in the canonical form
 * that snapshots are named by, so that order, comments and files do not count.
 * Trust: as policy.c.
 */
#include "load.h"
#include "policy.h"

struct diff {
	json_t *changes;
};

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

/* Of rules and servers: both lists name each id once. */
static const char *id_of(const json_t *item)
{
	const json_t *entry = json_object_get(item, "entry");

	return text_of(entry ? entry : item, "id");
}

static json_t *find(const json_t *list, const char *id)
{
	json_t *item;
	size_t i;

	json_array_foreach((json_t *)(uintptr_t)list, i,
			   item) if (strcmp(id_of(item), id) == 0) return item;
	return NULL;
}

static int rank(const json_t *decision)
{
	for (int i = 0; json_is_string(decision) && i < ZG_D_MAX; i++)
		if (strcmp(json_string_value(decision),
			   zg_decision_text((enum zg_decision_kind)i)) == 0)
			return i;
	return -1;
}

static bool holds_all(const json_t *list, const json_t *of)
{
	json_t *want, *has;
	size_t i, j;

	json_array_foreach((json_t *)(uintptr_t)of, i, want)
	{
		bool found = false;

		json_array_foreach((json_t *)(uintptr_t)list, j, has) found =
			found || json_equal(want, has);
		if (!found)
			return false;
	}
	return true;
}

/* Where it can be told from the values alone; "" where it cannot. A bound that is
 * smaller, or was not there, is tighter; so is a list of hosts that lost some. */
static const char *effect(const char *field, const json_t *from, const json_t *to)
{
	bool bound = strncmp(field, "constraints.", strlen("constraints.")) == 0;
	bool more = strcmp(field, "constraints.approvers") == 0;

	if (rank(from) >= 0 && rank(to) >= 0)
		return rank(to) < rank(from) ? "tightened" : "loosened";
	if (!bound)
		return "";
	if (!from || !to)
		return from ? "loosened" : "tightened";
	if (json_is_integer(from) && json_is_integer(to))
		return (json_integer_value(to) < json_integer_value(from)) != more ? "tightened"
										   : "loosened";
	if (strcmp(field, "constraints.network_allowlist") == 0 && holds_all(from, to))
		return "tightened";
	if (strcmp(field, "constraints.network_allowlist") == 0 && holds_all(to, from))
		return "loosened";
	return "";
}

static void add(struct diff *d, const char *what, const char *id, const char *field,
		const json_t *from, const json_t *to)
{
	const char *change = field[0] ? "changed" : from ? "removed" : "added";

	(void)json_array_append_new(d->changes, json_pack("{s:s,s:s,s:s,s:s,s:O?,s:O?,s:s}", "what",
							  what, "id", id, "change", change, "field",
							  field, "from", from, "to", to, "effect",
							  field[0] ? effect(field, from, to) : ""));
}

/* Members that differ; an object's members are named one by one. */
static void compare(struct diff *d, const char *what, const char *id, const char *prefix,
		    const json_t *from, const json_t *to)
{
	const json_t *sides[] = {from, to};
	char field[256];
	const char *key;
	json_t *ignored;

	for (int side = 0; side < 2; side++) {
		json_object_foreach((json_t *)(uintptr_t)sides[side], key, ignored)
		{
			const json_t *a = json_object_get(from, key), *b = json_object_get(to, key);

			if ((side && a) || (a && b && json_equal(a, b)))
				continue; /* seen from the other side, or the same */
			(void)snprintf(field, sizeof(field), "%s%s", prefix, key);
			if (json_is_object(a) && json_is_object(b) && !prefix[0]) {
				(void)snprintf(field, sizeof(field), "%s.",
					       strcmp(key, "entry") == 0 ? "" : key);
				compare(d, what, id, field[0] == '.' ? field + 1 : field, a, b);
			} else {
				add(d, what, id, field, a, b);
			}
		}
	}
}

static void compare_lists(struct diff *d, const char *what, const json_t *from, const json_t *to)
{
	json_t *item;
	size_t i;

	json_array_foreach((json_t *)(uintptr_t)from, i, item)
	{
		const json_t *other = find(to, id_of(item));

		if (other)
			compare(d, what, id_of(item), "", item, other);
		else
			add(d, what, id_of(item), "", item, NULL);
	}
	json_array_foreach((json_t *)(uintptr_t)to, i, item) if (!find(from, id_of(item)))
		add(d, what, id_of(item), "", NULL, item);
}

static void print_value(const json_t *v)
{
	char *text = v && !json_is_null(v)
			     ? json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY | JSON_ENSURE_ASCII)
			     : NULL;

	fputs(text ? text : "(none)", stdout);
	free(text);
}

static void print_text(const json_t *changes)
{
	json_t *c;
	size_t i;

	json_array_foreach((json_t *)(uintptr_t)changes, i, c)
	{
		printf("%s %s %s", text_of(c, "what"), text_of(c, "change"), text_of(c, "id"));
		if (text_of(c, "field")[0]) {
			printf(": %s ", text_of(c, "field"));
			print_value(json_object_get(c, "from"));
			fputs(" -> ", stdout);
			print_value(json_object_get(c, "to"));
			if (text_of(c, "effect")[0])
				printf(" (%s)", text_of(c, "effect"));
		}
		putchar('\n');
	}
	if (!json_array_size(changes))
		puts("both decide the same");
}

static json_t *load(const char *config)
{
	struct zg_diag diag = {0};
	struct zg_loaded l = {0};
	json_t *j = NULL;

	if (zg_load(&l, config, &diag) == 0)
		j = json_loadb(l.canonical.ptr, l.canonical.len, 0, NULL);
	else
		zg_policy_print_diag(stderr, &diag);
	zg_loaded_release(&l);
	zg_diag_release(&diag);
	return j;
}

int zg_policy_diff(const struct zg_policy_args *a)
{
	struct diff d = {json_array()};
	json_t *from = NULL, *to = NULL;
	int status = ZG_EXIT_USAGE;

	if (a->other) {
		from = load(a->config);
		to = load(a->other);
	} else {
		fputs("zerogate: policy diff compares two: --config A --config B\n", stderr);
	}
	if (from && to && d.changes) {
		json_t *was = json_object_get(from, "default_decision"),
		       *is = json_object_get(to, "default_decision");

		if (!json_equal(was, is))
			add(&d, "policy", "", "default_decision", was, is);
		compare_lists(&d, "rule", json_object_get(from, "rules"),
			      json_object_get(to, "rules"));
		compare_lists(&d, "server", json_object_get(from, "servers"),
			      json_object_get(to, "servers"));
		if (!a->json)
			print_text(d.changes);
		else if (json_dumpf(d.changes, stdout, JSON_COMPACT) == 0)
			putchar('\n');
		status = json_array_size(d.changes) ? ZG_EXIT_NO : ZG_EXIT_OK;
	}
	json_decref(from);
	json_decref(to);
	json_decref(d.changes);
	return status;
}
