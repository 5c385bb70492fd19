/* SPDX-License-Identifier: Apache-2.0 */
/* users.c - see users.h. Trust: rules were parsed; only root's word says who has
 * which uid. Never opens a file. */
#include "users.h"

#include <errno.h>

struct user {
	struct zg_slice name;
	uint32_t uid;
	bool known;
};

static int by_name(const void *a, const void *b)
{
	return zg_slice_order(((const struct user *)a)->name, ((const struct user *)b)->name);
}

/* Names of one set of conditions, into user if it is there; how many. */
static size_t collect(const struct zg_conds_src *c, struct user *user)
{
	size_t n = 0;

	for (size_t i = 0; i < c->count; i++)
		for (size_t j = 0; c->item[i].kind == ZG_CK_USER && j < c->item[i].values.count;
		     j++, n++)
			if (user)
				user[n] = (struct user){.name = c->item[i].values.item[j]};
	return n;
}

static size_t collect_all(const struct zg_policy_src *p, struct user *user)
{
	size_t n = 0;

	for (const struct zg_rule_src *r = p->rules; r; r = r->next) {
		n += collect(&r->match, user ? user + n : NULL);
		n += collect(&r->unless, user ? user + n : NULL);
	}
	return n;
}

static int resolve(const struct zg_conds_src *c, const struct user *user, size_t n,
		   struct zg_arena *arena)
{
	for (size_t i = 0; i < c->count; i++) {
		struct zg_cond_src *cond = &c->item[i];

		if (cond->kind != ZG_CK_USER)
			continue;
		cond->range = zg_arena_alloc(arena, cond->values.count * sizeof(*cond->range));
		if (!cond->range)
			return -ENOMEM;
		cond->range_count = 0;
		for (size_t j = 0; j < cond->values.count; j++) {
			const struct user want = {.name = cond->values.item[j]};
			const struct user *u = bsearch(&want, user, n, sizeof(*user), by_name);

			if (u && u->known)
				cond->range[cond->range_count++] =
					(struct zg_range_src){u->uid, u->uid};
		}
	}
	return 0;
}

int zg_policy_users(struct zg_policy_src *p, struct zg_arena *arena, zg_user_fn *find, void *arg)
{
	size_t named = collect_all(p, NULL), n = 0;
	struct user *user;
	int rc = 0;

	if (!named)
		return 0;
	user = zg_arena_alloc(arena, named * sizeof(*user));
	if (!user)
		return -ENOMEM;
	(void)collect_all(p, user);
	qsort(user, named, sizeof(*user), by_name);
	for (size_t i = 0; i < named; i++)
		if (!n || by_name(&user[n - 1], &user[i]) != 0)
			user[n++] = user[i];
	if (n > ZG_POLICY_USERS_MAX)
		return -E2BIG;
	for (size_t i = 0; i < n && rc >= 0; i++) {
		rc = find(arg, user[i].name, &user[i].uid);
		user[i].known = rc > 0;
	}
	for (struct zg_rule_src *r = p->rules; r && rc >= 0; r = r->next) {
		rc = resolve(&r->match, user, n, arena);
		if (rc == 0)
			rc = resolve(&r->unless, user, n, arena);
	}
	return rc < 0 ? rc : 0;
}
