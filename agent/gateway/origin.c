/* SPDX-License-Identifier: Apache-2.0 */
/* origin.c - see origin.h. Trust: the kernel's and the parent's words only. */
#include "origin.h"

#include <errno.h>
#include <sys/socket.h>

#include "ipc.h"
#include "request.h"

int zg_origin_read(int fd, struct zg_origin *out)
{
	struct zg_origin o;
	socklen_t len = sizeof(o);

	if (getsockopt(fd, ZG_SOL, ZG_SO_ORIGIN, &o, &len) < 0)
		return -errno;
	/* a profile of 0 is nobody's; the gateway's own is never a caller's */
	if (len != sizeof(o) || o.profile < ZG_PROFILE_FIRST || !o.cgroup_id)
		return -ENOPROTOOPT;
	o.comm[sizeof(o.comm) - 1] = '\0';
	o.profile_name[sizeof(o.profile_name) - 1] = '\0';
	*out = o;
	return 0;
}

int zg_cgroup_names_init(struct zg_cgroup_names *n)
{
	n->entry = calloc(ZG_CGROUP_NAMES, sizeof(*n->entry));
	return n->entry ? 0 : -ENOMEM;
}

void zg_cgroup_names_release(struct zg_cgroup_names *n)
{
	free(n->entry);
	n->entry = NULL;
}

const char *zg_cgroup_names_get(const struct zg_cgroup_names *n, uint64_t cgroup_id)
{
	const struct zg_cgroup_name *e = &n->entry[cgroup_id % ZG_CGROUP_NAMES];

	return cgroup_id && e->cgroup_id == cgroup_id && !e->asked ? e->path : NULL;
}

bool zg_cgroup_names_ask(struct zg_cgroup_names *n, uint64_t cgroup_id)
{
	struct zg_cgroup_name *e = &n->entry[cgroup_id % ZG_CGROUP_NAMES];

	if (e->cgroup_id == cgroup_id && e->asked)
		return false;
	e->cgroup_id = cgroup_id;
	e->asked = true;
	return true;
}

void zg_cgroup_names_put(struct zg_cgroup_names *n, uint64_t cgroup_id, const char *path)
{
	struct zg_cgroup_name *e = &n->entry[cgroup_id % ZG_CGROUP_NAMES];

	e->cgroup_id = cgroup_id;
	e->asked = false;
	(void)zg_str_cut(e->path, sizeof(e->path), zg_slice_str(path));
}

void zg_cgroup_names_forget(struct zg_cgroup_names *n, uint64_t cgroup_id)
{
	struct zg_cgroup_name *e = &n->entry[cgroup_id % ZG_CGROUP_NAMES];

	if (e->cgroup_id == cgroup_id)
		e->cgroup_id = 0;
}

/* All but its cgroup path; profile is the id in the snapshot that will judge. */
static void fill_principal(const struct zg_origin *o, uint32_t profile, struct zg_principal *p)
{
	*p = (struct zg_principal){
		.cgroup_id = o->cgroup_id,
		.start_ns = o->start_ns,
		.pid = o->pid,
		.uid = o->uid,
		.gid = o->gid,
		.profile_id = profile,
	};
	(void)zg_str_cut(p->profile, sizeof(p->profile), zg_slice_str(o->profile_name));
	(void)zg_str_cut(p->comm, sizeof(p->comm), zg_slice_str(o->comm));
}

enum zg_next zg_step_origin(struct zg_request *r)
{
	struct zg_worker *w = r->worker;
	struct zg_msg_cgroup_query query = {.cgroup_id = r->origin.cgroup_id};
	const char *path;
	uint32_t profile;

	if (!r->admitted) {
		r->admitted = zg_admit(&w->admission, r->origin.cgroup_id, ZG_ADMIT_REQUEST);
		if (!r->admitted)
			return zg_refuse(r, 429, ZG_C_BUSY, "too many requests at once");
	}
	if (!r->attested)
		return zg_refuse(r, 403, ZG_C_NO_ORIGIN,
				 "nobody attests who is calling: start the client with "
				 "`zerogate run -- COMMAND`");
	/* by name: the connection may be older than the configuration in force,
	 * and in another configuration the same id is another profile's */
	profile = zg_snapshot_profile_id(&r->live->snap, zg_slice_str(r->origin.profile_name));
	if (!profile)
		return zg_refuse(r, 403, ZG_C_NO_ORIGIN,
				 "the caller's profile is not in the configuration in force");
	if (!r->principal.cgroup_id)
		fill_principal(&r->origin, profile, &r->principal);
	path = zg_cgroup_names_get(&w->names, r->origin.cgroup_id);
	if (!path) {
		if (!zg_cgroup_names_ask(&w->names, r->origin.cgroup_id))
			return ZG_WAIT;
		if (zg_msg_send(w->channel, ZG_MSG_CGROUP_QUERY, &query, -1) < 0) {
			zg_cgroup_names_forget(&w->names, r->origin.cgroup_id);
			return zg_refuse(r, 503, ZG_C_UNAVAILABLE,
					 "the parent cannot name the caller's cgroup now");
		}
		return ZG_WAIT;
	}
	if (!path[0])
		return zg_refuse(r, 403, ZG_C_NO_ORIGIN, "the caller's cgroup is gone");
	(void)zg_str_cut(r->principal.cgroup, sizeof(r->principal.cgroup), zg_slice_str(path));
	return ZG_NEXT;
}
