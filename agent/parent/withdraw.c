/* SPDX-License-Identifier: Apache-2.0 */
/*
 * withdraw.c - see withdraw.h. Trust: the kernel's word for what lives and for
 * what is allowed; nothing is decided here. A socket belongs to the cgroup that
 * its packets are judged by, which is where it was made.
 */
#include "withdraw.h"

#include <arpa/inet.h>
#include <errno.h>

#include "log.h"
#include "slice.h"
#include "stray.h"

#define GROUPS 64 /* destinations told one by one */

/* Sockets that end, told as one. */
struct group {
	struct zg_socket like; /* its remote end is what is told */
	uint8_t reason;
	uint32_t profile;
	struct zg_withdrawn count;
};

static const char *const reasons[ZG_GR_MAX] = {
#define X(NAME, text) [ZG_GR_##NAME] = (text),
#include "tbl/gate_reason.h"
#undef X
};

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

static bool same(const struct group *g, const struct zg_stray *d)
{
	return g->profile == d->profile && g->reason == d->reason &&
	       g->like.proto == d->socket.proto && g->like.connected == d->socket.connected &&
	       g->like.remote_port == d->socket.remote_port &&
	       memcmp(g->like.remote, d->socket.remote, sizeof(d->socket.remote)) == 0 &&
	       (d->socket.connected || g->like.local_port == d->socket.local_port);
}

/* The group that d is told with; the last one takes what has no place. */
static struct group *group_of(struct group *groups, size_t *count, const struct zg_stray *d)
{
	for (size_t i = 0; i < *count; i++)
		if (same(&groups[i], d))
			return &groups[i];
	if (*count == GROUPS)
		return &groups[GROUPS - 1];
	groups[*count] = (struct group){d->socket, d->reason, d->profile, {0}};
	return &groups[(*count)++];
}

static struct zg_withdrawn end_all(struct zg_parent *p, const struct zg_strays *strays,
				   struct zg_sockdiag *d)
{
	struct group groups[GROUPS];
	struct zg_withdrawn sum = {0};
	size_t count = 0;
	int error = 0;

	for (size_t i = 0; i < strays->count; i++) {
		const struct zg_stray *s = &strays->stray[i];
		struct group *g = s->audit ? NULL : group_of(groups, &count, s);
		int rc = g ? zg_sockdiag_destroy(d, &s->socket) : -ENOENT;

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
			record(p, &groups[i]);
	}
	if (sum.left)
		zg_log(ZG_LOG_WARN, "%u sockets could not be ended and are judged by packet: %s",
		       sum.left, strerror(-error));
	return sum;
}

struct zg_withdrawn zg_withdraw(struct zg_parent *p)
{
	return zg_withdraw_from(p, 0);
}

struct zg_withdrawn zg_withdraw_from(struct zg_parent *p, uint64_t cgroup_id)
{
	struct zg_withdrawn sum = {0};
	struct zg_sockdiag *d = NULL;
	struct zg_strays strays;
	int rc = zg_sockdiag_open(&d);

	if (rc == 0) {
		rc = zg_strays_find(p, d, cgroup_id, &strays);
		sum = end_all(p, &strays, d); /* those that were found, in any case */
		zg_strays_release(&strays);
		zg_sockdiag_close(d);
	}
	if (rc < 0)
		zg_log(ZG_LOG_ERR, "cannot look for sockets to end: %s", strerror(-rc));
	return sum;
}
