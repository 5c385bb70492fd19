/* SPDX-License-Identifier: Apache-2.0 */
/*
 * people.c - see people.h. Trust: groups of a peer come from the kernel alone;
 * names of groups from root's configuration. Never asks the peer anything.
 */
#include "people.h"

#include <errno.h>
#include <grp.h>
#include <stdbool.h>

#include "cleanup.h"

#define PEER_GROUPS_MAX 65536 /* the kernel's NGROUPS_MAX */

static int find(const char *name, const char *what, gid_t *out, struct zg_err *e)
{
	const struct group *gr;
	int rc;

	*out = ZG_NO_GROUP;
	if (!name[0])
		return 0;
	gr = getgrnam(name);
	if (!gr) {
		rc = zg_err_set(e, ENOENT, "the group '%s' (%s) does not exist", name, what);
		zg_err_hint(e, "systemd-sysusers, or: groupadd --system %s", name);
		return rc;
	}
	*out = gr->gr_gid;
	return 0;
}

int zg_people_find(struct zg_people *out, const struct zg_settings *s, struct zg_err *e)
{
	struct zg_people p = {.owners = s->owner_count};
	int rc = find(s->approver_group, "approvers", &p.approvers, e);

	if (rc == 0)
		rc = find(s->security_group, "security_group", &p.security, e);
	if (rc == 0)
		rc = find(s->break_glass_group, "break_glass_group", &p.break_glass, e);
	for (uint32_t i = 0; i < s->owner_count && rc == 0; i++)
		rc = find(s->owner[i].group, "owners", &p.owner[i], e);
	if (rc == 0)
		*out = p;
	return rc;
}

struct groups {
	gid_t primary;
	gid_t *list;
	size_t count;
};

/* All groups of the peer, or just its first if they cannot be told. */
static void read_groups(int sock, struct groups *g)
{
	socklen_t len = 0;

	/* the first call says how much room it takes */
	if (getsockopt(sock, SOL_SOCKET, SO_PEERGROUPS, NULL, &len) == 0 || errno != ERANGE ||
	    len > PEER_GROUPS_MAX * sizeof(gid_t))
		return;
	g->list = malloc(len);
	if (g->list && getsockopt(sock, SOL_SOCKET, SO_PEERGROUPS, g->list, &len) == 0)
		g->count = len / sizeof(gid_t);
}

static bool member(const struct groups *g, gid_t gid)
{
	if (gid == ZG_NO_GROUP)
		return false;
	if (g->primary == gid)
		return true;
	for (size_t i = 0; i < g->count; i++)
		if (g->list[i] == gid)
			return true;
	return false;
}

void zg_people_roles(const struct zg_people *p, int sock, const struct ucred *who, uint32_t *roles,
		     uint64_t *owners)
{
	struct groups g = {.primary = who->gid};
	bool root = who->uid == 0;
	const struct {
		gid_t gid;
		uint32_t bit;
	} table[] = {
		{p->approvers, ZG_ROLE_APPROVER},
		{p->security, ZG_ROLE_SECURITY},
		{p->break_glass, ZG_ROLE_BREAK_GLASS},
	};

	*roles = 0;
	*owners = 0;
	if (!root)
		read_groups(sock, &g);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (root || member(&g, table[i].gid))
			*roles |= table[i].bit;
	for (uint32_t i = 0; i < p->owners; i++)
		if (root || member(&g, p->owner[i]))
			*owners |= UINT64_C(1) << i;
	free(g.list);
}
