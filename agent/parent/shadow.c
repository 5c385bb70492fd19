/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shadow.c - see shadow.h. Trust: the kernel's word. Ends only the very socket
 * that the kernel named, by its cookie. What cannot be ended (another network
 * namespace, a kernel without SOCK_DESTROY) stays dropped, packet by packet.
 */
#include "shadow.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "signature.h"
#include "sockdiag.h"

enum end { PASSED, KILLED, RESET, DROPPED };

static const struct {
	const char *outcome;
	const char *text;
} ends[] = {
	[PASSED] = {"passed", "it passed, as the profile wants it"},
	[KILLED] = {"killed", "it was killed"},
	[RESET] = {"reset", "its connection was reset"},
	[DROPPED] = {"dropped", "its packets are dropped"},
};

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

/* The kernel's name of the packet's socket. */
static struct zg_socket socket_of(const struct zg_event *ev)
{
	struct zg_socket s = {.proto = ev->proto, .family = AF_INET6};
	size_t skip = 0;

	if (memcmp(ev->local, mapped, sizeof(mapped)) == 0) {
		s.family = AF_INET;
		skip = sizeof(mapped);
	}
	s.id.idiag_sport = ev->local_port_be;
	s.id.idiag_dport = ev->port_be;
	memcpy(s.id.idiag_src, ev->local + skip, sizeof(ev->local) - skip);
	memcpy(s.id.idiag_dst, ev->addr + skip, sizeof(ev->addr) - skip);
	s.id.idiag_cookie[0] = (uint32_t)ev->cookie;
	s.id.idiag_cookie[1] = (uint32_t)(ev->cookie >> 32);
	return s;
}

static enum end end_it(const struct zg_event *ev)
{
	const struct zg_socket s = socket_of(ev);
	struct zg_sockdiag *d = NULL;
	enum end end = DROPPED;

	if (ev->kind != ZG_E_DENY)
		return PASSED;
	if (ev->layer == ZG_L_STDIO)
		return KILLED;
	if (zg_sockdiag_open(&d) < 0)
		return DROPPED;
	if (zg_sockdiag_destroy(d, &s) == 0)
		end = RESET;
	zg_sockdiag_close(d);
	return end;
}

void zg_shadow_seen(struct zg_parent *p, const struct zg_event *ev)
{
	enum end end = end_it(ev);
	char addr[INET6_ADDRSTRLEN], evidence[ZG_REASON_LEN], text[ZG_REASON_LEN], who[96];
	struct zg_record r;

	zg_addr_text(addr, sizeof(addr), ev->addr);
	zg_signature_text(ev->detail, evidence, sizeof(evidence));
	if (ev->layer == ZG_L_STDIO)
		(void)snprintf(who, sizeof(who), "%.16s (pid %u)", ev->comm, ev->pid);
	else
		(void)snprintf(who, sizeof(who), "%s port %u, to a socket of uid %u", addr,
			       ntohs(ev->port_be), ev->uid);
	(void)snprintf(text, sizeof(text), "%s speaks MCP and is not registered: %s", who,
		       ends[end].text);
	zg_record_init(&r, ZG_RK_SHADOW_MCP);
	zg_events_who(p, ev, &r);
	zg_record_str(&r, ZG_RF_message, zg_slice_str(text));
	zg_record_str(&r, ZG_RF_decision, ZG_SLICE("DENY"));
	zg_record_str(&r, ZG_RF_outcome, zg_slice_str(ends[end].outcome));
	zg_record_str(&r, ZG_RF_evidence, zg_slice_str(evidence));
	if (ev->layer != ZG_L_STDIO) {
		zg_record_bytes(&r, ZG_RF_address, ev->addr);
		ZG_REC_NUM(&r, port, ntohs(ev->port_be));
		zg_record_str(&r, ZG_RF_protocol, ZG_SLICE("tcp"));
	}
	zg_record_str(&r, ZG_RF_path, zg_slice_str(ev->path));
	if (!zg_events_record(p, &r))
		p->records_lost++;
}
