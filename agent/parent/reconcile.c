/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reconcile.c - see reconcile.h. Independent of the programs that let a
 * connection pass or not: it starts from the kernel's list of sockets, so that
 * it also finds what got past a program that was missing. Trust: as stray.c.
 */
#include "reconcile.h"

#include <arpa/inet.h>

#include "log.h"
#include "slice.h"
#include "stray.h"

static const char *const reasons[ZG_GR_MAX] = {
#define X(NAME, text) [ZG_GR_##NAME] = (text),
#include "tbl/gate_reason.h"
#undef X
};

/* The kernel's name for a socket, never used again while it runs. */
static uint64_t cookie_of(const struct zg_socket *s)
{
	return (uint64_t)s->id.idiag_cookie[1] << 32 | s->id.idiag_cookie[0];
}

/* A socket that stays is one unknown connection, however often it is seen. */
static bool told_before(struct zg_parent *p, const struct zg_socket *s)
{
	uint64_t cookie = cookie_of(s);

	for (size_t i = 0; i < ZG_UNKNOWN_TOLD; i++)
		if (p->unknown_told[i] == cookie)
			return true;
	p->unknown_told[p->unknown_servers % ZG_UNKNOWN_TOLD] = cookie;
	return false;
}

static void record(struct zg_parent *p, const struct zg_stray *stray, const char *end)
{
	const char *reason = reasons[stray->reason < ZG_GR_MAX ? stray->reason : 0];
	const struct zg_socket *s = &stray->socket;
	char addr[INET6_ADDRSTRLEN], text[ZG_REASON_LEN], cgroup[ZG_CGROUP_LEN];
	struct zg_record r;

	zg_addr_text(addr, sizeof(addr), s->remote);
	(void)snprintf(text, sizeof(text), "a connection to %s port %u that nothing allows %s: %s",
		       addr, s->remote_port, end, reason);
	zg_log(ZG_LOG_ERR, "%s", text);
	zg_record_init(&r, ZG_RK_SERVER_UNKNOWN);
	zg_record_str(&r, ZG_RF_message, zg_slice_str(text));
	zg_record_str(&r, ZG_RF_profile,
		      zg_slice_str(zg_snapshot_profile(&p->snapshot, stray->profile)));
	if (zg_cgroups_path(&p->cgroups, s->cgroup_id, cgroup) == 0)
		zg_record_str(&r, ZG_RF_cgroup, zg_slice_str(cgroup));
	ZG_REC_NUM(&r, cgroup_id, s->cgroup_id);
	ZG_REC_NUM(&r, uid, s->uid);
	zg_record_str(&r, ZG_RF_reason, zg_slice_str(reason));
	zg_record_bytes(&r, ZG_RF_address, s->remote);
	ZG_REC_NUM(&r, port, s->remote_port);
	zg_record_str(&r, ZG_RF_protocol, ZG_SLICE("tcp"));
	zg_record_bytes(&r, ZG_RF_snapshot, p->snapshot.header->id);
	(void)zg_events_record(p, &r);
}

static void tell_and_end(struct zg_parent *p, struct zg_sockdiag *d, const struct zg_stray *stray)
{
	int rc = stray->audit ? 0 : zg_sockdiag_destroy(d, &stray->socket);

	if (rc == -ENOENT || told_before(p, &stray->socket))
		return;
	p->unknown_servers++;
	record(p, stray,
	       stray->audit ? "stays, as its profile only records"
	       : rc == 0    ? "was ended"
			    : "could not be ended and is judged by packet");
}

void zg_reconcile_now(struct zg_parent *p)
{
	struct zg_sockdiag *d = NULL;
	struct zg_strays strays;
	int rc = zg_sockdiag_open(&d);

	if (rc == 0) {
		rc = zg_strays_find(p, d, 0, &strays);
		for (size_t i = 0; i < strays.count; i++)
			if (strays.stray[i].socket.proto == IPPROTO_TCP &&
			    strays.stray[i].socket.connected)
				tell_and_end(p, d, &strays.stray[i]);
		zg_strays_release(&strays);
		zg_sockdiag_close(d);
	}
	if (rc < 0)
		zg_log(ZG_LOG_ERR, "cannot reconcile the live connections: %s", strerror(-rc));
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	zg_reconcile_now(arg);
}

int zg_reconcile_start(struct zg_parent *p, struct zg_err *e)
{
	const struct timeval every = {.tv_sec = ZG_RECONCILE_SEC};
	int rc;

	zg_reconcile_now(p);
	rc = zg_parent_watch(p, -1, EV_PERSIST, &every, on_tick);
	return rc < 0 ? zg_err_set(e, -rc, "no memory to reconcile connections") : 0;
}
