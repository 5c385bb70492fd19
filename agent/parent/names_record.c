/* SPDX-License-Identifier: Apache-2.0 */
/*
 * names_record.c - the audit records about host names (names.h). Trust: texts
 * come from the resolver, who has them from the network: cut to their fields,
 * and written as JSON strings by the ledger.
 */
#include <arpa/inet.h>
#include <netinet/in.h>

#include "names.h"
#include "state.h"

static const char *const reasons[ZG_NR_MAX] = {
#define X(NAME, text) [ZG_NR_##NAME] = (text),
#include "tbl/name_reason.h"
#undef X
};

static void begin(struct zg_record *r, enum zg_record_kind kind, const char *profile,
		  const char *names)
{
	zg_record_init(r, kind);
	zg_record_str(r, ZG_RF_profile, zg_slice_str(profile));
	zg_record_str(r, ZG_RF_names, zg_slice_str(names));
}

static void end(struct zg_parent *p, struct zg_record *r, const char *text)
{
	zg_record_str(r, ZG_RF_message, zg_slice_str(text));
	zg_record_bytes(r, ZG_RF_snapshot, p->snapshot.header->id);
	if (!zg_events_record(p, r)) /* a full ring must not hold the answer up */
		p->records_lost++;
}

void zg_names_record_learned(struct zg_parent *p, const struct zg_msg_name_learn *m, uint32_t fresh)
{
	char addr[INET6_ADDRSTRLEN], text[ZG_REASON_LEN];
	struct zg_record r;

	zg_addr_text(addr, sizeof(addr), m->addr[0]);
	(void)snprintf(text, sizeof(text), "%.160s stands for %u new address%s (%s)", m->name,
		       fresh, fresh == 1 ? "" : "es", addr);
	begin(&r, ZG_RK_NAME_RESOLVE, m->profile, m->name);
	ZG_REC_NUM(&r, count, fresh);
	zg_record_bytes(&r, ZG_RF_address, m->addr[0]);
	end(p, &r, text);
}

void zg_names_record_refused(struct zg_parent *p, struct zg_msg_name_refused *m)
{
	const char *reason = m->reason < ZG_NR_MAX ? reasons[m->reason] : "";
	char text[ZG_REASON_LEN];
	struct zg_record r;

	ZG_MSG_TEXT(m->profile);
	ZG_MSG_TEXT(m->name);
	(void)snprintf(text, sizeof(text), "%.100s %s refused: %.100s", m->name,
		       m->audit ? "would be" : "was", reason ? reason : "");
	begin(&r, ZG_RK_NAME_REFUSE, m->profile, m->name);
	zg_record_str(&r, ZG_RF_decision, ZG_SLICE("DENY"));
	zg_record_str(&r, ZG_RF_reason, zg_slice_str(reason ? reason : ""));
	zg_record_str(&r, ZG_RF_outcome, m->audit ? ZG_SLICE("answered") : ZG_SLICE("refused"));
	ZG_REC_NUM(&r, count, m->count);
	end(p, &r, text);
}

void zg_names_record_use(struct zg_parent *p, const struct zg_event *ev)
{
	const char *profile = zg_snapshot_profile(&p->snapshot, ev->profile);
	char names[ZG_REASON_LEN], addr[INET6_ADDRSTRLEN], text[ZG_REASON_LEN];
	char comm[ZG_COMM_LEN + 1] = "";
	struct zg_record r;

	memcpy(comm, ev->comm, sizeof(ev->comm));
	zg_names_of(p->names, profile, ev->addr, names, sizeof(names));
	zg_addr_text(addr, sizeof(addr), ev->addr);
	(void)snprintf(text, sizeof(text), "%s (pid %u) was let to %s port %u for %.120s", comm,
		       ev->pid, addr, ntohs(ev->port_be), names);
	begin(&r, ZG_RK_NAME_USE, profile, names);
	zg_record_str(&r, ZG_RF_comm, zg_slice_str(comm));
	ZG_REC_NUM(&r, cgroup_id, ev->cgroup_id);
	ZG_REC_NUM(&r, pid, ev->pid);
	ZG_REC_NUM(&r, pid_start_ns, ev->start_ns);
	ZG_REC_NUM(&r, uid, ev->uid);
	ZG_REC_NUM(&r, gid, ev->gid);
	zg_record_bytes(&r, ZG_RF_address, ev->addr);
	ZG_REC_NUM(&r, port, ntohs(ev->port_be));
	zg_record_str(&r, ZG_RF_protocol,
		      ev->proto == IPPROTO_TCP ? ZG_SLICE("tcp") : ZG_SLICE("udp"));
	zg_record_str(&r, ZG_RF_decision, ZG_SLICE("ALLOW"));
	end(p, &r, text);
}
