/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flow_record.c - see flow_record.h. Trust: names are the client's, checked to
 * be host names; who it is, is the kernel's word.
 */
#include "flow_record.h"

#include <arpa/inet.h>

#include "record.h"

static void begin(const struct zg_worker *w, struct zg_record *r, enum zg_record_kind kind,
		  const struct zg_origin *o)
{
	zg_record_init(r, kind);
	zg_record_str(r, ZG_RF_profile, zg_slice_str(o->profile_name));
	zg_record_str(r, ZG_RF_comm, zg_slice_str(o->comm));
	ZG_REC_NUM(r, cgroup_id, o->cgroup_id);
	ZG_REC_NUM(r, pid, o->pid);
	ZG_REC_NUM(r, pid_start_ns, o->start_ns);
	ZG_REC_NUM(r, uid, o->uid);
	ZG_REC_NUM(r, gid, o->gid);
	zg_record_bytes(r, ZG_RF_address, o->dst);
	ZG_REC_NUM(r, port, ntohs(o->dst_port_be));
	ZG_REC_NUM(r, transparent, o->transparent);
	ZG_REC_NUM(r, worker, w->index);
	zg_record_bytes(r, ZG_RF_snapshot, w->live->snap.header->id);
}

static void end(struct zg_worker *w, struct zg_record *r, const char *text)
{
	zg_record_str(r, ZG_RF_message, zg_slice_str(text));
	if (zg_ring_push_always(&w->ring, r) < 0)
		w->unrecorded++;
}

/* Refusals cost their sender nothing: bounded, and what is left out counted. */
static bool take(struct zg_worker *w, uint64_t *skipped)
{
	return zg_bucket_take(&w->rejects, zg_now_ns(), skipped);
}

void zg_flow_refused(struct zg_worker *w, const struct zg_origin *o, const char *why)
{
	const struct zg_server_def *server =
		zg_snapshot_endpoint(&w->live->snap, o->dst, ntohs(o->dst_port_be));
	struct zg_record r;
	uint64_t skipped;

	if (!take(w, &skipped))
		return;
	begin(w, &r, ZG_RK_CALL_REJECT, o);
	if (server)
		zg_record_str(&r, ZG_RF_server, zg_slice_str(server->id));
	zg_record_str(&r, ZG_RF_reason, zg_slice_str(why));
	if (skipped)
		ZG_REC_NUM(&r, count, skipped + 1);
	end(w, &r, why);
}

void zg_flow_denied(struct zg_worker *w, const struct zg_origin *o, const char *name,
		    const char *cgroup, const char *why)
{
	char addr[INET6_ADDRSTRLEN], text[ZG_REASON_LEN];
	struct zg_record r;
	uint64_t skipped;

	if (!take(w, &skipped))
		return;
	zg_addr_text(addr, sizeof(addr), o->dst);
	(void)snprintf(text, sizeof(text), "a connection to %s port %u was reset: %s", addr,
		       ntohs(o->dst_port_be), why);
	begin(w, &r, ZG_RK_TLS_DENY, o);
	zg_record_str(&r, ZG_RF_cgroup, zg_slice_str(cgroup));
	zg_record_str(&r, ZG_RF_names, zg_slice_str(name));
	zg_record_str(&r, ZG_RF_decision, ZG_SLICE("DENY"));
	zg_record_str(&r, ZG_RF_reason, zg_slice_str(why));
	if (skipped)
		ZG_REC_NUM(&r, count, skipped + 1);
	end(w, &r, text);
}

void zg_flow_passed(struct zg_worker *w, const struct zg_origin *o, const struct zg_flow_passed *f)
{
	char addr[INET6_ADDRSTRLEN], text[ZG_REASON_LEN];
	struct zg_record r;

	zg_addr_text(addr, sizeof(addr), o->dst);
	(void)snprintf(text, sizeof(text), "%s was let speak TLS with %.120s at %s port %u; %s",
		       o->comm, f->name, addr, ntohs(o->dst_port_be), f->how);
	begin(w, &r, ZG_RK_TLS_PASS, o);
	zg_record_str(&r, ZG_RF_cgroup, zg_slice_str(f->cgroup));
	zg_record_str(&r, ZG_RF_names, zg_slice_str(f->name));
	zg_record_str(&r, ZG_RF_decision, ZG_SLICE("ALLOW"));
	zg_record_str(&r, ZG_RF_outcome, zg_slice_str(f->outcome));
	ZG_REC_NUM(&r, sent_bytes, f->sent);
	ZG_REC_NUM(&r, received_bytes, f->received);
	ZG_REC_NUM(&r, duration_us, f->duration_us);
	end(w, &r, text);
}
