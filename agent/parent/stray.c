/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stray.c - see stray.h. Trust: the kernel's word for what lives and for what
 * is allowed; nothing is decided here. A socket belongs to the cgroup that its
 * packets are judged by, which is where it was made.
 */
#include "stray.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define OWNERS	  256 /* cgroups remembered while the sockets are walked */
#define LEVELS_UP 1   /* a cgroup above our root: never a governed one's id */

/* A cgroup as the gate is asked about it. */
struct owner {
	uint64_t id; /* 0 = none */
	bool known;
	bool free; /* nobody governs it */
	struct zg_question who;
};

struct walk {
	struct zg_parent *p;
	struct zg_strays *out;
	struct owner owner[OWNERS];
};

/* whose -------------------------------------------------------------------- */

static size_t depth_of(const char *path)
{
	size_t n = 0;

	for (; *path; path++)
		n += *path == '/';
	return n;
}

/* The ids of a cgroup's ancestors, as the gate's own walk would meet them. */
static int fill_ancestors(const struct zg_cgroups *c, uint64_t id, struct zg_question *q)
{
	size_t level = depth_of(c->root_name);
	char path[ZG_CGROUP_LEN], part[ZG_CGROUP_LEN];
	struct stat st;
	int rc = zg_cgroups_path(c, id, path);

	if (rc < 0)
		return rc;
	q->cgroup_id = id;
	for (size_t i = 0; i < level && i < ZG_CGROUP_DEPTH_MAX; i++)
		q->ancestor[i] = LEVELS_UP;
	for (char *end = path;; level++) {
		size_t n = (size_t)(end - path);

		memcpy(part, path, n);
		part[n] = '\0';
		if (fstatat(c->root, n ? part : ".", &st, AT_SYMLINK_NOFOLLOW) < 0)
			return -errno;
		if (level < ZG_CGROUP_DEPTH_MAX)
			q->ancestor[level] = st.st_ino;
		if (!*end)
			return 0;
		end = strchrnul(n ? end + 1 : end, '/');
	}
}

static struct owner *owner_of(struct walk *w, uint64_t id)
{
	struct owner *o = &w->owner[id % OWNERS];

	if (o->id == id)
		return o;
	*o = (struct owner){.id = id};
	o->known = fill_ancestors(&w->p->cgroups, id, &o->who) == 0;
	return o;
}

/* what of it ------------------------------------------------------------------- */

/* gcc 12 loses sight of a list that is held through the walk's pointer */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
static int add(struct zg_strays *out, const struct zg_socket *s, const struct zg_question *q)
{
	if (out->count == out->room) {
		size_t more = out->room ? 2 * out->room : 64;
		struct zg_stray *grown = reallocarray(out->stray, more, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		out->stray = grown;
		out->room = more;
	}
	out->stray[out->count++] = (struct zg_stray){
		.socket = *s,
		.profile = q->answered,
		/* what is registered is reached through the gateway only */
		.reason = q->verdict == ZG_V_DENY ? q->reason : ZG_GR_DIRECT,
		.audit = q->audit,
	};
	return 0;
}
#pragma GCC diagnostic pop

/*
 * A connection to the gateway serves what its client had dialled: it stays
 * while that is still redirected, for the profile that it was attested under.
 */
static int judge_redirected(struct walk *w, const struct zg_socket *s, struct zg_question *q)
{
	struct zg_socket told = *s;
	struct zg_origin o;

	if (zg_kernel_origin(w->p->kernel, s->local, s->local_port, s->remote, s->remote_port, &o) <
	    0)
		return 0; /* attested to nobody: the gateway refuses it */
	q->live = 0;
	memcpy(q->addr, o.dst, sizeof(q->addr));
	q->port_be = o.dst_port_be;
	if (zg_kernel_ask(w->p->kernel, q) < 0)
		return -EIO;
	if (q->verdict == ZG_V_REDIRECT &&
	    strncmp(zg_snapshot_profile(&w->p->snapshot, q->answered), o.profile_name,
		    sizeof(o.profile_name)) == 0)
		return 0;
	q->audit = 0; /* it leads nowhere now: the client may dial anew */
	memcpy(told.remote, o.dst, sizeof(told.remote));
	told.remote_port = ntohs(o.dst_port_be);
	return add(w->out, &told, q);
}

static int judge(const struct zg_socket *s, void *arg)
{
	struct walk *w = arg;
	struct owner *o = owner_of(w, s->cgroup_id);
	struct zg_question q;
	bool contained;

	if (!o->known || o->free)
		return 0;
	q = o->who;
	memcpy(q.addr, s->remote, sizeof(q.addr));
	q.port_be = htons(s->remote_port);
	q.local_port_be = htons(s->local_port);
	q.proto = s->proto;
	q.live = 1; /* either end may have dialled */
	if (zg_kernel_ask(w->p->kernel, &q) < 0)
		return -EIO;
	/* the canary keeps what must not be allowed: that is its purpose */
	o->free = q.answered == ZG_PROFILE_NONE || q.answered == ZG_PROFILE_CANARY;
	if (o->free)
		return 0;
	if (q.verdict == ZG_V_REDIRECT && q.gateway)
		return judge_redirected(w, s, &q);
	/* contained: with or without a peer */
	contained = q.verdict == ZG_V_DENY && q.reason == ZG_GR_CONTAINED;
	if (!contained && (!s->connected || q.verdict == ZG_V_ALLOW))
		return 0;
	return add(w->out, s, &q);
}

int zg_strays_find(struct zg_parent *p, struct zg_sockdiag *d, uint64_t cgroup_id,
		   struct zg_strays *out)
{
	zg_autofree struct walk *w = calloc(1, sizeof(*w));

	*out = (struct zg_strays){0};
	if (!w)
		return -ENOMEM;
	w->p = p;
	w->out = out;
	return zg_sockdiag_each(d, cgroup_id, judge, w);
}

void zg_strays_release(struct zg_strays *s)
{
	free(s->stray);
	*s = (struct zg_strays){0};
}
