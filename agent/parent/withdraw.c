/* SPDX-License-Identifier: Apache-2.0 */
/*
 * withdraw.c - see withdraw.h. Trust: the kernel's word for what lives and for
 * what is allowed; nothing is decided here. A socket belongs to the cgroup that
 * its packets are judged by, which is where it was made.
 */
#include "withdraw.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "log.h"
#include "slice.h"
#include "sockdiag.h"

#define OWNERS	  256 /* cgroups remembered while the sockets are walked */
#define GROUPS	  64  /* destinations told one by one */
#define LEVELS_UP 1   /* a cgroup above our root: never a governed one's id */

/* A cgroup as the gate is asked about it. */
struct owner {
	uint64_t id; /* 0 = none */
	bool known;
	bool free; /* nobody governs it */
	struct zg_question who;
};

/* Sockets that end, told as one. */
struct group {
	struct zg_socket like; /* its remote end is what is told */
	uint8_t reason;
	uint32_t profile;
	struct zg_withdrawn count;
};

struct walk {
	struct zg_parent *p;
	struct owner owner[OWNERS];
	struct doomed {
		struct zg_socket socket;
		uint8_t reason;
		uint32_t profile;
	} * doomed;
	size_t count, room;
};

static const char *const reasons[ZG_GR_MAX] = {
#define X(NAME, text) [ZG_GR_##NAME] = (text),
#include "tbl/gate_reason.h"
#undef X
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

static bool doom(struct walk *w, const struct zg_socket *s, uint8_t reason, uint32_t profile)
{
	if (w->count == w->room) {
		size_t more = w->room ? 2 * w->room : 64;
		struct doomed *grown = reallocarray(w->doomed, more, sizeof(*grown));

		if (!grown)
			return false;
		w->doomed = grown;
		w->room = more;
	}
	w->doomed[w->count++] = (struct doomed){*s, reason, profile};
	return true;
}

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
	memcpy(q->addr, o.dst, sizeof(q->addr));
	q->port_be = o.dst_port_be;
	if (zg_kernel_ask(w->p->kernel, q) < 0)
		return -EIO;
	if (q->verdict == ZG_V_REDIRECT &&
	    strncmp(zg_snapshot_profile(&w->p->snapshot, q->answered), o.profile_name,
		    sizeof(o.profile_name)) == 0)
		return 0;
	memcpy(told.remote, o.dst, sizeof(told.remote));
	told.remote_port = ntohs(o.dst_port_be);
	return doom(w, &told, q->verdict == ZG_V_DENY ? q->reason : ZG_GR_DIRECT, q->answered)
		       ? 0
		       : -ENOMEM;
}

static int judge(const struct zg_socket *s, void *arg)
{
	struct walk *w = arg;
	struct owner *o = owner_of(w, s->cgroup_id);
	struct zg_question q;
	bool ends;

	if (!o->known || o->free)
		return 0;
	q = o->who;
	memcpy(q.addr, s->remote, sizeof(q.addr));
	q.port_be = htons(s->remote_port);
	q.local_port_be = htons(s->local_port);
	q.proto = s->proto;
	if (zg_kernel_ask(w->p->kernel, &q) < 0)
		return -EIO;
	o->free = q.answered == ZG_PROFILE_NONE;
	if (o->free)
		return 0;
	if (q.verdict == ZG_V_REDIRECT && q.gateway)
		return judge_redirected(w, s, &q);
	if (q.verdict == ZG_V_DENY && q.reason == ZG_GR_CONTAINED)
		ends = true; /* with or without a peer */
	else
		ends = s->connected && q.verdict != ZG_V_ALLOW && !q.audit;
	if (q.verdict == ZG_V_REDIRECT)
		q.reason = ZG_GR_DIRECT;
	return ends && !doom(w, s, q.reason, q.answered) ? -ENOMEM : 0;
}

/* telling ------------------------------------------------------------------------ */

static void record(struct zg_parent *p, const struct group *g)
{
	const struct zg_socket *s = &g->like;
	const char *proto = s->proto == IPPROTO_TCP ? "tcp" : "udp";
	char addr[INET6_ADDRSTRLEN], text[ZG_REASON_LEN], cgroup[ZG_CGROUP_LEN];
	bool peer = s->connected;
	struct zg_record r;

	zg_addr_text(addr, sizeof(addr), peer ? s->remote : s->local);
	(void)snprintf(text, sizeof(text), "%u %s sockets %s %s port %u were ended%s: %s",
		       g->count.ended, proto, peer ? "to" : "on", addr,
		       peer ? s->remote_port : s->local_port,
		       g->count.left ? ", others could not be and are judged by packet" : "",
		       reasons[g->reason < ZG_GR_MAX ? g->reason : 0]);
	zg_record_init(&r, ZG_RK_SOCKET_DESTROY);
	zg_record_str(&r, ZG_RF_message, zg_slice_str(text));
	zg_record_str(&r, ZG_RF_profile,
		      zg_slice_str(g->profile == ZG_PROFILE_GATEWAY
					   ? "(gateway)"
					   : zg_snapshot_profile(&p->snapshot, g->profile)));
	if (zg_cgroups_path(&p->cgroups, s->cgroup_id, cgroup) == 0)
		zg_record_str(&r, ZG_RF_cgroup, zg_slice_str(cgroup));
	ZG_REC_NUM(&r, cgroup_id, s->cgroup_id);
	ZG_REC_NUM(&r, uid, s->uid);
	zg_record_str(&r, ZG_RF_reason,
		      zg_slice_str(reasons[g->reason < ZG_GR_MAX ? g->reason : 0]));
	zg_record_bytes(&r, ZG_RF_address, peer ? s->remote : s->local);
	ZG_REC_NUM(&r, port, peer ? s->remote_port : s->local_port);
	zg_record_str(&r, ZG_RF_protocol, zg_slice_str(proto));
	ZG_REC_NUM(&r, count, g->count.ended);
	zg_record_bytes(&r, ZG_RF_snapshot, p->snapshot.header->id);
	(void)zg_events_record(p, &r);
}

static bool same(const struct group *g, const struct doomed *d)
{
	return g->profile == d->profile && g->reason == d->reason &&
	       g->like.proto == d->socket.proto && g->like.connected == d->socket.connected &&
	       g->like.remote_port == d->socket.remote_port &&
	       memcmp(g->like.remote, d->socket.remote, sizeof(d->socket.remote)) == 0 &&
	       (d->socket.connected || g->like.local_port == d->socket.local_port);
}

/* The group that d is told with; the last one takes what has no place. */
static struct group *group_of(struct group *groups, size_t *count, const struct doomed *d)
{
	for (size_t i = 0; i < *count; i++)
		if (same(&groups[i], d))
			return &groups[i];
	if (*count == GROUPS)
		return &groups[GROUPS - 1];
	groups[*count] = (struct group){d->socket, d->reason, d->profile, {0}};
	return &groups[(*count)++];
}

static struct zg_withdrawn end_all(struct walk *w, struct zg_sockdiag *d)
{
	struct group groups[GROUPS];
	struct zg_withdrawn sum = {0};
	size_t count = 0;
	int error = 0;

	for (size_t i = 0; i < w->count; i++) {
		struct group *g = group_of(groups, &count, &w->doomed[i]);
		int rc = zg_sockdiag_destroy(d, &w->doomed[i].socket);

		if (rc == -ENOENT) /* it ended by itself */
			continue;
		error = rc < 0 ? rc : error;
		g->count.ended += rc == 0;
		g->count.left += rc < 0;
	}
	for (size_t i = 0; i < count; i++) {
		sum.ended += groups[i].count.ended;
		sum.left += groups[i].count.left;
		if (groups[i].count.ended || groups[i].count.left)
			record(w->p, &groups[i]);
	}
	if (sum.left)
		zg_log(ZG_LOG_WARN, "%u sockets could not be ended and are judged by packet: %s",
		       sum.left, strerror(-error));
	return sum;
}

struct zg_withdrawn zg_withdraw(struct zg_parent *p)
{
	zg_autofree struct walk *w = calloc(1, sizeof(*w));
	struct zg_withdrawn sum = {0};
	struct zg_sockdiag *d = NULL;
	int rc = w ? zg_sockdiag_open(&d) : -ENOMEM;

	if (rc == 0) {
		w->p = p;
		rc = zg_sockdiag_each(d, 0, judge, w);
		sum = end_all(w, d); /* those that were found, in any case */
		free(w->doomed);
		zg_sockdiag_close(d);
	}
	if (rc < 0)
		zg_log(ZG_LOG_ERR, "cannot look for sockets to end: %s", strerror(-rc));
	return sum;
}
