/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel_tables.c - see kernel_tables.h and the two-slot scheme of zg_abi.h.
 *
 * An application writes the idle slot only, so it can fail at any point before
 * the flip and nothing that is enforced has changed; what it wrote is taken
 * back. A crash leaves the same idle leftovers, which the next application
 * finds by reading the maps back. Trust: runs as root; the snapshot was bounds-
 * checked by zg_snapshot_open, its table order is checked here.
 */
#include "kernel_tables.h"

#include <errno.h>
#include <string.h>

#include "kernel_exec.h"
#include "kernel_members.h"
#include "kernel_names.h"
#include "kernel_prefixes.h"
#include "kernel_unix.h"
#include "signature.h"

#define CHUNK 4096 /* rules converted at a time */

void zg_tables_release(struct zg_tables *t)
{
	free(t->prefix);
	t->prefix = NULL;
	free(t->contained);
	t->contained = NULL;
	t->contained_count = 0;
	for (size_t slot = 0; slot < 2; slot++) {
		free(t->exec_meant[slot].key);
		t->exec_meant[slot] = (struct zg_exec_list){0};
	}
}

/* rules ---------------------------------------------------------------------- */

static bool rule_of(const void *key, const void *slot)
{
	return ((const struct zg_rule_key *)key)->slot == *(const uint32_t *)slot;
}

static bool unix_of(const void *key, const void *slot)
{
	return ((const struct zg_unix_key *)key)->slot == *(const uint32_t *)slot;
}

static bool exec_of(const void *key, const void *slot)
{
	return ((const struct zg_exec_key *)key)->slot == *(const uint32_t *)slot;
}

static bool name_of(const void *key, const void *slot)
{
	return ((const struct zg_name_key *)key)->slot == *(const uint32_t *)slot;
}

static bool grant_of_another_epoch(const void *key, const void *epoch)
{
	return ((const struct zg_grant_key *)key)->epoch != *(const uint32_t *)epoch;
}

/* They ended with their epoch; this makes room. */
static int purge_grants(struct zg_tables *t)
{
	const uint32_t epoch = t->ctl->epoch;

	return zg_map_delete_if(&t->grant, grant_of_another_epoch, &epoch);
}

/* What exists for one slot only. */
static int purge_slot(struct zg_tables *t, uint32_t slot)
{
	int r = zg_map_delete_if(&t->rule, rule_of, &slot);

	if (r == 0)
		r = zg_map_delete_if(&t->unix_, unix_of, &slot);
	if (r == 0)
		r = zg_map_delete_if(&t->exec, exec_of, &slot);
	return r < 0 ? r : zg_map_delete_if(&t->name, name_of, &slot);
}

static int put_rules(struct zg_tables *t, const struct zg_snapshot *s, uint32_t slot)
{
	zg_autofree struct zg_rule_key *key = calloc(CHUNK, sizeof(*key));
	zg_autofree struct zg_rule_val *value = calloc(CHUNK, sizeof(*value));

	if (!key || !value)
		return -ENOMEM;
	for (size_t done = 0; done < s->rule_count;) {
		size_t n = 0;
		int r;

		for (; n < CHUNK && done < s->rule_count; n++, done++) {
			const struct zg_rule_def *d = &s->rules[done];

			key[n] = (struct zg_rule_key){
				.profile = d->profile,
				.identity = d->identity,
				.proto = (uint8_t)d->proto,
				.slot = (uint8_t)slot,
				.direction = (uint8_t)d->direction,
			};
			value[n] = d->val;
		}
		r = zg_map_put(&t->rule, key, value, n);
		if (r < 0)
			return r;
	}
	return 0;
}

/* generations ---------------------------------------------------------------- */

/* Learn what is in force from the maps, and remove what an application that
 * did not end has left in the idle slot. */
static int resync(struct zg_tables *t)
{
	struct zg_prefix_def *prefix;
	size_t count;
	int r = zg_prefixes_read(t, zg_tables_slot(t), &prefix, &count);

	if (r == 0)
		r = purge_slot(t, !zg_tables_slot(t));
	else
		prefix = NULL;
	if (r < 0) {
		free(prefix);
		return r;
	}
	free(t->prefix);
	t->prefix = prefix;
	t->prefix_count = t->prefix_room = count;
	t->known = true;
	return 0;
}

/* Before anything is written: afterwards nothing may fail. */
static int make_room(struct zg_tables *t, size_t count)
{
	struct zg_prefix_def *grown;

	if (count <= t->prefix_room)
		return 0;
	grown = reallocarray(t->prefix, count, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	t->prefix = grown;
	t->prefix_room = count;
	return 0;
}

static int refuse(struct zg_err *e, int r, const char *table)
{
	if (r == -ENOSPC || r == -E2BIG)
		return zg_err_set(e, ENOSPC, "the kernel's table of %s is full", table);
	return zg_err_set(e, -r, "writing the kernel's table of %s: %s", table, strerror(-r));
}

static int fill_idle_slot(struct zg_tables *t, const struct zg_snapshot *s,
			  const struct zg_change_set *set, struct zg_err *e)
{
	int r = put_rules(t, s, set->new);

	if (r < 0)
		return refuse(e, r, "rules");
	r = zg_unix_put(&t->unix_, s, set->new, t->control);
	if (r < 0)
		return refuse(e, r, "unix sockets");
	r = zg_exec_put(&t->exec, s, set->new, &t->exec_meant[set->new]);
	if (r < 0)
		return refuse(e, r, "denied executables");
	r = zg_tables_put_names(t, set->new);
	if (r < 0)
		return refuse(e, r, "learned names");
	r = zg_tables_put_profiles(t, s, set);
	if (r < 0)
		return refuse(e, r, "profiles");
	r = zg_prefixes_write(t, set, ZG_PREPARE);
	if (r < 0)
		return refuse(e, r, "addresses");
	return 0;
}

int zg_tables_apply(struct zg_tables *t, const struct zg_snapshot *s, uint64_t generation,
		    struct zg_err *e)
{
	struct zg_change_set set = {.old = zg_tables_slot(t), .new = !zg_tables_slot(t)};
	int r;

	if (zg_prefix_check(s->prefixes, s->prefix_count) < 0)
		return zg_err_set(e, EBADMSG, "the snapshot's prefixes are not in order");
	r = t->known ? 0 : resync(t);
	if (r < 0)
		return refuse(e, r, "addresses");
	r = make_room(t, s->prefix_count);
	if (r == 0)
		r = zg_prefix_diff(t->prefix, t->prefix_count, s->prefixes, s->prefix_count,
				   &set.prefix, &set.prefix_count);
	if (r < 0)
		return zg_err_set(e, -r, "no memory to compare the tables of addresses");
	/* before the first flip no rule makes anything of an identity */
	set.at_once = t->ctl->epoch == 0;
	r = fill_idle_slot(t, s, &set, e);
	if (r < 0) {
		/* taken back now, or by the read-back before the next application */
		t->known = zg_prefixes_write(t, &set, ZG_UNDO) == 0 && purge_slot(t, set.new) == 0;
		free(set.prefix);
		return r;
	}
	__atomic_store_n(&t->ctl->epoch, t->ctl->epoch + 1, __ATOMIC_SEQ_CST);
	__atomic_store_n(&t->ctl->generation, generation, __ATOMIC_SEQ_CST);
	t->known = zg_prefixes_write(t, &set, ZG_SETTLE) == 0 && purge_slot(t, set.old) == 0 &&
		   purge_grants(t) == 0;
	free(set.prefix);
	if (s->prefix_count)
		/* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): make_room() made it */
		memcpy(t->prefix, s->prefixes, s->prefix_count * sizeof(*t->prefix));
	t->prefix_count = s->prefix_count;
	return 0;
}

/* single writes ---------------------------------------------------------------- */

int zg_tables_signatures_hold(const struct zg_tables *t, struct zg_automaton *wanted)
{
	zg_autofree struct zg_automaton *had = calloc(1, sizeof(*had));
	const uint32_t key = 0;
	int r = had ? zg_signature_build(wanted) : -ENOMEM;

	if (r == 0)
		r = zg_map_get(&t->automaton, &key, had);
	return r < 0 ? r : memcmp(had, wanted, sizeof(*had)) == 0;
}

/* One that is the same stays: connections are in the midst of it. */
int zg_tables_set_signatures(const struct zg_tables *t)
{
	zg_autofree struct zg_automaton *wanted = calloc(1, sizeof(*wanted));
	const uint32_t key = 0;
	int r = wanted ? zg_tables_signatures_hold(t, wanted) : -ENOMEM;

	return r == 0 ? zg_map_put(&t->automaton, &key, wanted, 1) : r < 0 ? r : 0;
}

int zg_tables_grant(struct zg_tables *t, struct zg_grant_key key, uint64_t expires_ns)
{
	const struct zg_grant_val value = {.expires_ns = expires_ns};

	key.epoch = t->ctl->epoch;
	return expires_ns ? zg_map_put(&t->grant, &key, &value, 1)
			  : zg_map_delete(&t->grant, &key, 1);
}
