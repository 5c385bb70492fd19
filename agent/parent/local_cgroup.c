/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local_cgroup.c - the cgroup of one local server (local.h). Trust: root; the
 * server's id was checked to be a word before it became part of a path. A limit
 * that this machine has no controller for is said, and the server runs: what it
 * may reach does not rest on it.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "local.h"
#include "withdraw.h"

static int put(int dir, const char *name, const char *text)
{
	zg_autofd int fd = openat(dir, name, O_WRONLY | O_CLOEXEC);

	return fd < 0 || write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

/* From the root down to the folder of the servers: what is not there, or not ours
 * to hand on, shows when a limit is set. */
static void hand_on(struct zg_parent *p)
{
	static const char *const controllers[] = {"+memory", "+pids", "+cpu"};
	zg_autofd int own = openat(p->cgroups.root, p->cgroups.own, O_DIRECTORY | O_CLOEXEC);
	zg_autofd int servers = zg_cgroups_role(&p->cgroups, "servers", NULL);
	const int dirs[] = {p->cgroups.own_made ? p->cgroups.root : -1, own, servers};

	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++)
		for (size_t k = 0; dirs[i] >= 0 && k < 3; k++)
			(void)put(dirs[i], "cgroup.subtree_control", controllers[k]);
}

static void bound(const struct zg_stdio_def *def, struct zg_stdio_cgroup *c)
{
	char memory[32], pids[32], cpu[48], in[ZG_NAME_LEN * 4] = "", out[ZG_NAME_LEN * 4] = "";
	const struct {
		const char *name, *file;
		const char *value;
		bool wanted;
	} rows[] = {
		{"memory", "memory.max", memory, true},
		{"processes", "pids.max", pids, true},
		{"processor time", "cpu.max", cpu, def->cpu != 0},
	};

	(void)snprintf(memory, sizeof(memory), "%llu", (unsigned long long)def->memory);
	(void)snprintf(pids, sizeof(pids), "%u", def->pids);
	(void)snprintf(cpu, sizeof(cpu), "%u 100000", def->cpu * 1000);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *list = NULL;
		size_t n;

		if (!rows[i].wanted)
			continue;
		list = put(c->dir, rows[i].file, rows[i].value) == 0 ? in : out;
		if (list == out && strcmp(rows[i].file, "pids.max") == 0 && def->who == ZG_SU_OWN)
			list = in; /* by RLIMIT_NPROC, as the uid is its alone */
		n = strlen(list);
		(void)snprintf(list + n, sizeof(in) - n, "%s%s", n ? ", " : "", rows[i].name);
	}
	/* a server that swaps is not bounded by its memory */
	(void)put(c->dir, "memory.swap.max", "0");
	(void)put(c->dir, "memory.oom.group", "1");
	(void)snprintf(c->limits, sizeof(c->limits), "bounded: %s%s%s", in[0] ? in : "nothing",
		       out[0] ? "; no controller here for: " : "", out);
}

int zg_stdio_cgroup_make(struct zg_parent *p, const struct zg_stdio_def *def, uint64_t number,
			 struct zg_stdio_cgroup *out, struct zg_err *e)
{
	struct zg_stdio_cgroup c = {.dir = -1};
	struct stat st;
	int n = snprintf(c.path, sizeof(c.path), "%s/servers/%s-%llu", p->cgroups.own, def->server,
			 (unsigned long long)number);
	int rc;

	if (n < 0 || (size_t)n >= sizeof(c.path))
		return zg_err_set(e, ENAMETOOLONG, "the path of the server's cgroup is too long");
	hand_on(p);
	c.dir = zg_cgroups_make(&p->cgroups, c.path, false);
	if (c.dir < 0 || fstat(c.dir, &st) < 0)
		return zg_err_set(e, c.dir < 0 ? -c.dir : errno, "cannot make the cgroup %s: %s",
				  c.path, strerror(c.dir < 0 ? -c.dir : errno));
	c.id = st.st_ino;
	bound(def, &c);
	rc = zg_cgroups_govern(&p->cgroups, c.id, c.path, def->profile);
	*out = c;
	if (rc < 0) {
		(void)!zg_stdio_cgroup_remove(p, out);
		return zg_err_set(e, -rc, "the cgroup %s cannot be governed: %s", c.path,
				  strerror(-rc));
	}
	return 0;
}

int zg_stdio_cgroup_narrow(struct zg_parent *p, const struct zg_stdio_def *def,
			   struct zg_stdio_cgroup *c, const char *profile)
{
	const char *own = zg_snapshot_profile(&p->snapshot, def->profile);
	char name[ZG_NAME_LEN];
	uint32_t id = def->profile;
	int rc;

	(void)zg_str_cut(name, sizeof(name), zg_slice_str(profile)); /* it may be c's own */
	if (name[0])
		id = zg_snapshot_narrowed(&p->snapshot, def->profile, name);
	if (id == ZG_PROFILE_NONE)
		return -EPERM;
	if (zg_kernel_contained(p->kernel, own))
		id = def->profile;
	rc = zg_cgroups_govern(&p->cgroups, c->id, c->path, id);
	if (rc < 0)
		return rc;
	memcpy(c->narrowed, name, sizeof(c->narrowed));
	if (name[0])
		(void)zg_withdraw_from(p, c->id); /* what is left is judged by packet */
	return 0;
}

void zg_stdio_cgroup_kill(const struct zg_stdio_cgroup *c)
{
	if (c->dir >= 0)
		(void)put(c->dir, "cgroup.kill", "1");
}

int zg_stdio_cgroup_remove(struct zg_parent *p, struct zg_stdio_cgroup *c)
{
	if (c->dir < 0)
		return 0;
	if (unlinkat(p->cgroups.root, c->path, AT_REMOVEDIR) < 0 && errno == EBUSY)
		return -EBUSY;
	zg_close_(&c->dir);
	c->dir = -1;
	zg_cgroups_retire(&p->cgroups, c->id);
	return 0;
}
