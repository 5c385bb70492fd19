/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cgroup_nursery.c - which cgroups that do not exist yet a glob will name, in a
 * form that the kernel can match as they are made: the last part of a glob that
 * is a name, or a name with one "*". What is harder waits for inotify, which
 * sees all of them too.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cgroup_impl.h"

struct nursery {
	struct zg_nursery_key key[ZG_NURSERY_MAX];
	struct zg_nursery value[ZG_NURSERY_MAX];
	size_t count;
};

/* False if the kernel cannot match it. */
static bool translate(const char *part, struct zg_nursery *out)
{
	size_t n = strlen(part), prefix = strcspn(part, "*");
	size_t suffix = prefix < n ? n - prefix - 1 : 0;

	if (strpbrk(part, "?[\\") || memchr(part + n - suffix, '*', suffix) ||
	    prefix > sizeof(out->prefix) || suffix > sizeof(out->suffix))
		return false;
	out->exact = prefix == n;
	out->prefix_bytes = (uint8_t)prefix;
	out->suffix_bytes = (uint8_t)suffix;
	memcpy(out->prefix, part, prefix);
	memcpy(out->suffix, part + n - suffix, suffix);
	return true;
}

static void add(struct nursery *n, uint64_t folder, uint32_t *index, const char *part,
		uint32_t profile)
{
	struct zg_nursery value = {.profile = {profile, profile}};

	if (n->count == ZG_NURSERY_MAX || *index == ZG_NURSERY_RULES || !translate(part, &value))
		return;
	n->key[n->count] = (struct zg_nursery_key){.folder = folder, .index = (*index)++};
	n->value[n->count++] = value;
}

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* Is path the child of a folder? */
static bool is_child(const char *path, const char *folder)
{
	size_t n = strlen(folder);

	return n ? strncmp(path, folder, n) == 0 && path[n] == '/' && !strchr(path + n + 1, '/')
		 : path[0] && !strchr(path, '/');
}

static void add_folder(const struct zg_cgroups *c, const struct zg_cgroup_watch *folder,
		       struct nursery *n)
{
	size_t depth = zg_cgroup_depth(folder->path);
	uint32_t index = 0;

	if (is_child(c->own, folder->path)) /* no glob governs the agent itself */
		add(n, folder->id, &index, last_part(c->own), ZG_PROFILE_NONE);
	for (size_t i = 0; i < c->defs; i++)
		if (zg_cgroup_depth(c->def[i].glob) == depth + 1 &&
		    zg_cgroup_leads_to(c->def[i].glob, folder->path))
			add(n, folder->id, &index, last_part(c->def[i].glob), c->def[i].profile);
}

int zg_cgroups_settled(struct zg_cgroups *c)
{
	zg_autofree struct nursery *n = NULL;
	int rc;

	if (!c->gate.settled)
		return 0;
	n = calloc(1, sizeof(*n));
	if (!n)
		return -ENOMEM;
	for (size_t i = 0; i < c->watches; i++)
		add_folder(c, &c->watch[i], n);
	rc = c->gate.settled(c->gate.arg, n->key, n->value, n->count);
	c->unsettled = rc < 0;
	return rc;
}
