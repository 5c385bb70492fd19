/* SPDX-License-Identifier: Apache-2.0 */
/* kernel_names.c - see kernel_names.h. Trust: runs as root, on maps of our own. */
#include "kernel_names.h"

#include <errno.h>
#include <string.h>

int zg_tables_put_names(struct zg_tables *t, uint32_t slot)
{
	const struct zg_gate_names *n = t->names;

	for (size_t i = 0; n && i < n->count; i++) {
		struct zg_name_key key = n->key[i];
		int r;

		key.slot = (uint8_t)slot;
		r = zg_map_put(&t->name, &key, &n->val[i], 1);
		if (r < 0)
			return r;
	}
	return 0;
}

int zg_tables_learn(struct zg_tables *t, struct zg_name_key key, const struct zg_name_val *val)
{
	key.slot = zg_tables_slot(t);
	return zg_map_put(&t->name, &key, val, 1);
}

int zg_tables_unlearn(struct zg_tables *t, struct zg_name_key key)
{
	key.slot = zg_tables_slot(t);
	return zg_map_delete(&t->name, &key, 1);
}

uint64_t zg_tables_name_used(struct zg_tables *t, struct zg_name_key key)
{
	struct zg_name_val val;

	key.slot = zg_tables_slot(t);
	return zg_map_get(&t->name, &key, &val) < 0 ? 0 : val.used_ns;
}

struct remembered {
	int (*fn)(const struct zg_learned_key *key, uint64_t expires_ns, void *arg);
	void *arg;
};

static int one_remembered(const void *key, const void *value, void *arg)
{
	const struct remembered *r = arg;
	struct zg_learned_key k;
	struct zg_learned_val v;

	memcpy(&k, key, sizeof(k));
	memcpy(&v, value, sizeof(v));
	return r->fn(&k, v.expires_ns, r->arg);
}

int zg_tables_remembered(struct zg_tables *t,
			 int (*fn)(const struct zg_learned_key *key, uint64_t expires_ns,
				   void *arg),
			 void *arg)
{
	struct remembered r = {fn, arg};

	return zg_map_each(&t->learned, one_remembered, &r);
}
