/* SPDX-License-Identifier: Apache-2.0 */
/*
 * events.c - the kernel gate's events become audit records (state.h). Trust:
 * the kernel's word, except comm, which a workload chooses. Never sleeps on a
 * full ring: what has no room stays in the kernel's ring buffer, whose own
 * overflow is counted and recorded.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>

#include "connection.h"
#include "log.h"
#include "proof.h"
#include "refusal.h"
#include "shadow.h"
#include "state.h"

/* Room kept for the agent's own records (starts, exits, reloads). */
#define RESERVE	   64
#define PAUSE_USEC 20000 /* the ledger empties a ring in less */
/* Then it is somebody else's turn: a workload fills the ring as fast as it is
 * emptied, and whoever wants to contain it must be heard. */
#define BATCH 256

static const char *const layers[ZG_L_MAX] = {
#define X(NAME, text) [ZG_L_##NAME] = (text),
#include "tbl/gate_layer.h"
#undef X
};

bool zg_events_record(struct zg_parent *p, const struct zg_record *r)
{
	struct zg_ring *ring = &p->children.ring[0];
	struct zg_record stamped;

	if (!ZG_REC_HAS(r, snapshot) && p->snapshot.header) {
		stamped = *r;
		zg_record_bytes(&stamped, ZG_RF_snapshot, p->snapshot.header->id);
		r = &stamped;
	}
	return ring->shared && zg_ring_room(ring) && zg_ring_push_always(ring, r) == 0;
}

static const char *protocol(uint8_t proto)
{
	return proto == IPPROTO_TCP ? "tcp" : proto == IPPROTO_UDP ? "udp" : "other";
}

/* The path of the cgroup, or what the kernel kept of one that is gone. */
static void name_cgroup(const struct zg_parent *p, const struct zg_event *ev,
			char out[ZG_CGROUP_LEN])
{
	size_t n = strnlen(ev->cgroup_name, sizeof(ev->cgroup_name));

	if (zg_cgroups_path(&p->cgroups, ev->cgroup_id, out) < 0 && n)
		(void)snprintf(out, ZG_CGROUP_LEN, ".../%.*s", (int)n, ev->cgroup_name);
}

void zg_events_who(const struct zg_parent *p, const struct zg_event *ev, struct zg_record *r)
{
	char cgroup[ZG_CGROUP_LEN], comm[ZG_COMM_LEN + 1] = "";

	memcpy(comm, ev->comm, sizeof(ev->comm));
	name_cgroup(p, ev, cgroup);
	zg_record_str(r, ZG_RF_profile,
		      zg_slice_str(ev->profile == ZG_PROFILE_GATEWAY ? "(gateway)"
				   : ev->profile == ZG_PROFILE_RESOLVER
					   ? "(resolver)"
					   : zg_snapshot_profile(&p->snapshot, ev->profile)));
	zg_record_str(r, ZG_RF_cgroup, zg_slice_str(cgroup));
	zg_record_str(r, ZG_RF_comm, zg_slice_str(comm));
	ZG_REC_NUM(r, cgroup_id, ev->cgroup_id);
	ZG_REC_NUM(r, uid, ev->uid);
	if (ev->pid) { /* a packet has no task */
		ZG_REC_NUM(r, pid, ev->pid);
		ZG_REC_NUM(r, pid_start_ns, ev->start_ns);
		ZG_REC_NUM(r, gid, ev->gid);
	}
	zg_record_str(r, ZG_RF_layer, zg_slice_str(ev->layer < ZG_L_MAX ? layers[ev->layer] : ""));
	zg_record_bytes(r, ZG_RF_snapshot, p->snapshot.header->id);
}

static void record_denial(struct zg_parent *p, const struct zg_event *ev, const char *what)
{
	bool denied = ev->kind == ZG_E_DENY;
	const char *reason = zg_refusal_why(ev->reason);
	char text[ZG_REASON_LEN], who[64];
	struct zg_record r;

	if (ev->pid)
		(void)snprintf(who, sizeof(who), "%.16s (pid %u)", ev->comm, ev->pid);
	else
		(void)snprintf(who, sizeof(who), "a socket of uid %u", ev->uid);
	(void)snprintf(text, sizeof(text), "%s %s refused %s: %s", who, denied ? "was" : "would be",
		       what, reason);
	zg_record_init(&r, denied ? ZG_RK_KERNEL_DENY : ZG_RK_KERNEL_WOULD_DENY);
	zg_events_who(p, ev, &r);
	zg_record_str(&r, ZG_RF_message, zg_slice_str(text));
	zg_record_str(&r, ZG_RF_decision, ZG_SLICE("DENY"));
	zg_record_str(&r, ZG_RF_reason, zg_slice_str(reason));
	if (ev->path[0]) {
		zg_record_str(&r, ZG_RF_path, zg_slice_str(ev->path));
	} else {
		zg_record_bytes(&r, ZG_RF_address, ev->addr);
		ZG_REC_NUM(&r, port, ntohs(ev->port_be));
		if (ev->local_port_be)
			ZG_REC_NUM(&r, local_port, ntohs(ev->local_port_be));
		zg_record_str(&r, ZG_RF_protocol, zg_slice_str(protocol(ev->proto)));
	}
	if (!zg_events_record(p, &r))
		p->records_lost++;
}

static void record(struct zg_parent *p, const struct zg_event *ev, const char *what)
{
	if (ev->reason == ZG_GR_SHADOW)
		zg_shadow_seen(p, ev);
	else
		record_denial(p, ev, what);
}

/* ev->reason: it stays governed, it is governed by another profile, or there
 * was no room to keep it. ev->path is where it is now. */
static void record_leave(struct zg_parent *p, const struct zg_event *ev)
{
	const char *reason = ev->reason == ZG_GR_NONE ? "the profile of the other cgroup applies"
						      : zg_refusal_why(ev->reason);
	char text[ZG_REASON_LEN];
	struct zg_record r;

	(void)snprintf(text, sizeof(text),
		       "%.16s (pid %u) was moved to the cgroup %.112s by pid %u", ev->comm, ev->pid,
		       ev->path, ev->detail);
	zg_record_init(&r, ZG_RK_CGROUP_LEAVE);
	zg_events_who(p, ev, &r);
	zg_record_str(&r, ZG_RF_message, zg_slice_str(text));
	zg_record_str(&r, ZG_RF_reason, zg_slice_str(reason));
	zg_record_str(&r, ZG_RF_path, zg_slice_str(ev->path));
	if (!zg_events_record(p, &r))
		p->records_lost++;
}

/* < 0: no room for another one. */
static int on_event(const struct zg_event *ev, void *arg)
{
	struct zg_parent *p = arg;
	char what[ZG_REFUSAL_LEN];

	if (ev->profile == ZG_PROFILE_CANARY) { /* our own proof, nobody's denial */
		zg_canary_event(p, ev);
		return 0;
	}
	switch (ev->kind) {
	case ZG_E_NAME:
		zg_names_record_use(p, ev);
		break;
	case ZG_E_DENY:
		p->denials++;
		zg_refusal_what(what, sizeof(what), ev);
		if (ev->layer != ZG_L_STDIO) /* a run reports destinations */
			zg_runs_denied(p, ev, what);
		record(p, ev, what);
		zg_connections_refused(p, ev);
		break;
	case ZG_E_WOULD_DENY:
		zg_refusal_what(what, sizeof(what), ev);
		record(p, ev, what);
		break;
	case ZG_E_LEAVE:
		record_leave(p, ev);
		break;
	default: /* of no record */
		return 0;
	}
	p->events_left--;
	return p->events_left && zg_ring_room(&p->children.ring[0]) > RESERVE ? 0 : -ENOSPC;
}

void zg_events_drain(struct zg_parent *p)
{
	bool whole;

	p->events_left = BATCH;
	whole = zg_ring_room(&p->children.ring[0]) > RESERVE &&
		zg_kernel_consume(p->kernel, on_event, p) >= 0;
	zg_control_counted(p, whole);
}

uint64_t zg_events_lost(struct zg_parent *p)
{
	uint64_t lost[ZG_E_MAX] = {0};

	if (zg_kernel_lost(p->kernel, lost) < 0)
		return p->records_lost;
	return p->records_lost + lost[ZG_E_DENY] + lost[ZG_E_WOULD_DENY] + lost[ZG_E_LEAVE] +
	       lost[ZG_E_NAME];
}

static void on_kernel(evutil_socket_t fd, short what, void *arg)
{
	const struct timeval pause = {.tv_usec = PAUSE_USEC};
	struct zg_parent *p = arg;

	(void)fd;
	(void)what;
	zg_events_drain(p);
	/* the kernel's descriptor stays readable: do not spin until there is room */
	if (zg_ring_room(&p->children.ring[0]) <= RESERVE && event_del(p->kernel_event) == 0)
		(void)event_add(p->kernel_pause, &pause); /* the tick drains as well */
}

static void on_pause(evutil_socket_t fd, short what, void *arg)
{
	struct zg_parent *p = arg;

	(void)fd;
	(void)what;
	(void)event_add(p->kernel_event, NULL); /* cannot fail where it was before */
}

/* Losses are told; what a full ring left in the kernel is looked at again. */
static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct zg_parent *p = arg;
	uint64_t lost;
	struct zg_record r;
	char text[ZG_REASON_LEN];

	(void)fd;
	(void)what;
	zg_events_drain(p);
	lost = zg_events_lost(p);
	if (lost <= p->lost_told)
		return;
	zg_record_init(&r, ZG_RK_KERNEL_LOST);
	(void)snprintf(text, sizeof(text),
		       "%llu events of the gate found no room and were not recorded",
		       (unsigned long long)(lost - p->lost_told));
	zg_record_str(&r, ZG_RF_message, zg_slice_str(text));
	ZG_REC_NUM(&r, count, lost - p->lost_told);
	if (zg_events_record(p, &r)) {
		zg_log(ZG_LOG_WARN, "%s", text);
		p->lost_told = lost;
	}
}

int zg_events_start(struct zg_parent *p, struct zg_err *e)
{
	const struct timeval tick = {.tv_sec = 1}, later = {.tv_usec = PAUSE_USEC};
	int rc;

	rc = zg_parent_watch(p, zg_kernel_event_fd(p->kernel), EV_READ | EV_PERSIST, NULL,
			     on_kernel);
	p->kernel_event = rc == 0 ? p->event[p->events - 1] : NULL;
	if (rc == 0)
		rc = zg_parent_watch(p, -1, 0, &later, on_pause);
	p->kernel_pause = rc == 0 ? p->event[p->events - 1] : NULL;
	if (rc == 0)
		rc = zg_parent_watch(p, -1, EV_PERSIST, &tick, on_tick);
	/* what the pinned counters already hold was told by a former run */
	p->lost_told = zg_events_lost(p);
	return rc < 0 ? zg_err_set(e, -rc, "no memory for the kernel's events") : 0;
}
