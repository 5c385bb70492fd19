/* SPDX-License-Identifier: Apache-2.0 */
/* names_table.c - see names_impl.h. Trust: names and addresses were checked. */
#include <errno.h>
#include <time.h>

#include "ipc.h"
#include "names_impl.h"

#define SECOND UINT64_C(1000000000)

uint64_t zg_names_now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

/* FNV-1a; whoever fills one bucket on purpose is stopped by the caps. */
static size_t hash(const void *bytes, size_t n, uint32_t seed)
{
	const uint8_t *b = bytes;
	uint32_t h = 2166136261u ^ seed;

	for (size_t i = 0; i < n; i++)
		h = (h ^ b[i]) * 16777619u;
	return h % ZG_NAMES_BUCKETS;
}

static size_t name_bucket(const char *profile, const char *host)
{
	return hash(host, strlen(host), (uint32_t)hash(profile, strlen(profile), 0));
}

size_t zg_names_addr_bucket(const uint8_t addr[16])
{
	return hash(addr, 16, 0);
}

/* the table ------------------------------------------------------------------ */

struct zg_name *zg_names_find(const struct zg_names *n, const char *profile, const char *host)
{
	struct zg_name *at;

	LIST_FOREACH(at, &n->by_name[name_bucket(profile, host)], bucket)
	if (strcmp(at->host, host) == 0 && strcmp(at->profile, profile) == 0)
		return at;
	return NULL;
}

struct zg_name_addr *zg_name_find_addr(const struct zg_name *name, const uint8_t addr[16])
{
	struct zg_name_addr *at;

	LIST_FOREACH(at, &name->addresses, of_name)
	if (memcmp(at->addr, addr, sizeof(at->addr)) == 0)
		return at;
	return NULL;
}

struct zg_name *zg_names_add(struct zg_names *n, const char *profile, const char *host, uint32_t id)
{
	struct zg_name *name = calloc(1, sizeof(*name));

	if (!name)
		return NULL;
	(void)zg_str_cut(name->profile, sizeof(name->profile), zg_slice_str(profile));
	(void)zg_str_cut(name->host, sizeof(name->host), zg_slice_str(host));
	name->id = id;
	LIST_INIT(&name->addresses);
	LIST_INSERT_HEAD(&n->by_name[name_bucket(profile, host)], name, bucket);
	TAILQ_INSERT_TAIL(&n->all, name, link);
	return name;
}

struct zg_name_addr *zg_names_add_addr(struct zg_names *n, struct zg_name *name,
				       const uint8_t addr[16])
{
	struct zg_name_addr *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->name = name;
	memcpy(a->addr, addr, sizeof(a->addr));
	LIST_INSERT_HEAD(&name->addresses, a, of_name);
	LIST_INSERT_HEAD(&n->by_addr[zg_names_addr_bucket(addr)], a, bucket);
	name->count++;
	n->addresses++;
	return a;
}

struct zg_learned_key zg_name_memory(const struct zg_name_addr *a)
{
	struct zg_learned_key key = {0};

	(void)zg_str_cut(key.profile, sizeof(key.profile), zg_slice_str(a->name->profile));
	(void)zg_str_cut(key.name, sizeof(key.name), zg_slice_str(a->name->host));
	memcpy(key.addr, a->addr, sizeof(key.addr));
	return key;
}

void zg_names_drop_addr(struct zg_names *n, struct zg_name_addr *a)
{
	const struct zg_learned_key key = zg_name_memory(a);

	(void)!zg_kernel_forget(n->kernel, &key); /* at worst it is judged again later */
	LIST_REMOVE(a, of_name);
	LIST_REMOVE(a, bucket);
	a->name->count--;
	n->addresses--;
	free(a);
}

void zg_names_drop_empty(struct zg_names *n, struct zg_name *name)
{
	if (name->count)
		return;
	LIST_REMOVE(name, bucket);
	TAILQ_REMOVE(&n->all, name, link);
	free(name);
}

/* open, close ---------------------------------------------------------------- */

/* When a former agent's flows last needed it is not known: just now. */
static int recover(const struct zg_learned_key *key, uint64_t expires_ns, void *arg)
{
	struct zg_names *n = arg;
	struct zg_name *name = zg_names_find(n, key->profile, key->name);
	struct zg_name_addr *a;

	if (!name)
		name = zg_names_add(n, key->profile, key->name, ZG_PROFILE_NONE);
	a = name ? zg_names_add_addr(n, name, key->addr) : NULL;
	if (!a)
		return -ENOMEM;
	a->expires_ns = expires_ns;
	a->used_ns = zg_names_now_ns();
	return 0;
}

int zg_names_open(struct zg_names **out, struct zg_kernel *k, struct zg_err *e)
{
	struct zg_names *n = calloc(1, sizeof(*n));
	int r;

	if (!n)
		return zg_err_set(e, ENOMEM, "no memory for the learned names");
	n->kernel = k;
	TAILQ_INIT(&n->all);
	n->sockets = calloc(ZG_PROFILES_MAX, sizeof(*n->sockets));
	r = n->sockets ? zg_kernel_remembered(k, recover, n) : -ENOMEM;
	if (r < 0) {
		zg_names_free(n);
		return zg_err_set(e, -r, "reading the learned names: %s", strerror(-r));
	}
	*out = n;
	return 0;
}

/* The gate keeps what it holds: it outlives us. */
void zg_names_free(struct zg_names *n)
{
	struct zg_name_addr *a;
	struct zg_name *name;

	if (!n)
		return;
	while ((name = TAILQ_FIRST(&n->all))) {
		while ((a = LIST_FIRST(&name->addresses))) {
			LIST_REMOVE(a, of_name);
			free(a);
		}
		TAILQ_REMOVE(&n->all, name, link);
		free(name);
	}
	for (size_t i = 0; i < n->profiles; i++)
		zg_name_sockets_close(&n->sockets[i]);
	free(n->sockets);
	free(n->key);
	free(n->val);
	free(n);
}
