/* SPDX-License-Identifier: Apache-2.0 */
/* accept.c - see accept.h. Trust: anybody may connect; who it is comes next. */
#include "accept.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "greet.h"
#include "http.h"
#include "worker.h"

static const struct {
	uint64_t total;
	uint64_t each;
} caps[ZG_ADMIT_MAX] = {
	[ZG_ADMIT_CONNECTION] = {ZG_CONNECTIONS_MAX, ZG_CONNECTIONS_PRINCIPAL_MAX},
	[ZG_ADMIT_REQUEST] = {ZG_INFLIGHT_MAX, ZG_INFLIGHT_PRINCIPAL_MAX},
	[ZG_ADMIT_HOLD] = {ZG_HOLDS_MAX, ZG_HOLDS_PRINCIPAL_MAX},
	[ZG_ADMIT_BYTES] = {ZG_BUFFERED_MAX, ZG_BUFFERED_PRINCIPAL_MAX},
};

int zg_admission_init(struct zg_admission *a)
{
	*a = (struct zg_admission){0};
	a->slot = calloc(ZG_ADMISSION_SLOTS, sizeof(*a->slot));
	return a->slot ? 0 : -ENOMEM;
}

void zg_admission_release(struct zg_admission *a)
{
	free(a->slot);
	*a = (struct zg_admission){0};
}

static bool in_use(const struct zg_admission_slot *s)
{
	uint64_t any = 0;

	for (int i = 0; i < ZG_ADMIT_MAX; i++)
		any |= s->count[i];
	return any > 0;
}

/* Linear probing; an emptied slot moves its followers up (no tombstones). */
static size_t home(uint64_t id)
{
	return (size_t)((id * UINT64_C(0x9e3779b97f4a7c15)) >> 32) % ZG_ADMISSION_SLOTS;
}

static size_t find(const struct zg_admission *a, uint64_t id)
{
	size_t i = home(id);

	while (in_use(&a->slot[i]) && a->slot[i].cgroup_id != id)
		i = (i + 1) % ZG_ADMISSION_SLOTS;
	return i;
}

static bool take(struct zg_admission *a, uint64_t cgroup_id, enum zg_admit what, uint64_t n,
		 bool forced)
{
	struct zg_admission_slot *s = &a->slot[find(a, cgroup_id)];
	bool fresh = !in_use(s);

	/* one slot stays free, so that a search ends */
	if (fresh && a->used >= ZG_ADMISSION_SLOTS - 1)
		return false;
	if (!forced && (n > caps[what].total || a->total[what] > caps[what].total - n ||
			n > caps[what].each || s->count[what] > caps[what].each - n))
		return false;
	s->cgroup_id = cgroup_id;
	s->count[what] += n;
	a->total[what] += n;
	a->used += fresh;
	return true;
}

bool zg_admit(struct zg_admission *a, uint64_t cgroup_id, enum zg_admit what)
{
	return take(a, cgroup_id, what, 1, false);
}

static void give_back(struct zg_admission *a, uint64_t cgroup_id, enum zg_admit what, uint64_t n)
{
	size_t hole = find(a, cgroup_id), i = hole;

	a->slot[hole].count[what] -= n;
	a->total[what] -= n;
	if (in_use(&a->slot[hole]))
		return;
	a->used--;
	for (;;) {
		size_t at;

		i = (i + 1) % ZG_ADMISSION_SLOTS;
		if (!in_use(&a->slot[i]))
			break;
		at = home(a->slot[i].cgroup_id);
		/* may it stand in the hole? only if its home is not in (hole, i] */
		if (hole <= i ? (at > hole && at <= i) : (at > hole || at <= i))
			continue;
		a->slot[hole] = a->slot[i];
		hole = i;
	}
	a->slot[hole] = (struct zg_admission_slot){0};
}

void zg_admit_end(struct zg_admission *a, uint64_t cgroup_id, enum zg_admit what)
{
	give_back(a, cgroup_id, what, 1);
}

static bool settle(struct zg_admission *a, uint64_t cgroup_id, uint64_t *counted, uint64_t bytes,
		   bool forced)
{
	uint64_t now = bytes > ZG_BUFFERED_FREE ? bytes - ZG_BUFFERED_FREE : 0;

	if (now > *counted && !take(a, cgroup_id, ZG_ADMIT_BYTES, now - *counted, forced))
		return false;
	if (now < *counted)
		give_back(a, cgroup_id, ZG_ADMIT_BYTES, *counted - now);
	*counted = now;
	return true;
}

bool zg_admit_bytes(struct zg_admission *a, uint64_t cgroup_id, uint64_t *counted, uint64_t bytes)
{
	return settle(a, cgroup_id, counted, bytes, false);
}

void zg_admit_held(struct zg_admission *a, uint64_t cgroup_id, uint64_t *counted, uint64_t bytes)
{
	(void)settle(a, cgroup_id, counted, bytes, true);
}

/* The kernel leads every listener's connections to one of them, and says which
 * was dialled: that is no server's address. */
static bool dialled_us(const struct zg_settings *s, const struct zg_origin *o)
{
	for (uint32_t i = 0; i < s->listen_count; i++)
		if (s->listen[i].port == ntohs(o->dst_port_be) &&
		    memcmp(s->listen[i].addr, o->dst, sizeof(o->dst)) == 0)
			return true;
	return false;
}

static void on_accept(struct evconnlistener *l ZG_UNUSED, evutil_socket_t fd,
		      struct sockaddr *peer ZG_UNUSED, int len ZG_UNUSED, void *arg)
{
	struct zg_worker *w = arg;
	struct zg_origin origin = {0};
	bool attested = zg_origin_read(fd, &origin) == 0;

	if (attested && dialled_us(w->live->snap.settings, &origin))
		origin.transparent = 0;

	if (!zg_admit(&w->admission, origin.cgroup_id, ZG_ADMIT_CONNECTION)) {
		(void)close(fd);
		return;
	}
	if ((attested && origin.transparent
		     ? zg_greet_new(w, fd, &origin)
		     : zg_conn_new(w, fd, attested ? &origin : NULL, NULL)) < 0) {
		zg_admit_end(&w->admission, origin.cgroup_id, ZG_ADMIT_CONNECTION);
		(void)close(fd);
	}
}

int zg_accept_add(struct zg_worker *w, int fd, uint32_t index)
{
	if (index >= ZG_LISTEN_MAX || w->listener[index])
		return -EINVAL;
	if (evutil_make_socket_nonblocking(fd) < 0)
		return -errno;
	/* backlog 0: it listens already, the parent saw to that */
	w->listener[index] = evconnlistener_new(
		w->base, on_accept, w, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
	return w->listener[index] ? 0 : -ENOMEM;
}
