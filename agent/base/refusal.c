/* SPDX-License-Identifier: Apache-2.0 */
/* refusal.c - see refusal.h. Trust: numbers may be anything; pure. */
#include "refusal.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

#include "slice.h"

static const char *const reasons[ZG_GR_MAX] = {
#define X(NAME, text) [ZG_GR_##NAME] = (text),
#include "tbl/gate_reason.h"
#undef X
};

static const struct {
	uint32_t option;
	const char *name;
} options[] = {
#define X(level, number, name) {(level) << 16 | (number), #name},
#include "tbl/socket_option.h"
#undef X
};

const char *zg_refusal_why(uint8_t reason)
{
	return reason < ZG_GR_MAX ? reasons[reason] : "";
}

static const char *option_name(uint32_t option)
{
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		if (options[i].option == option)
			return options[i].name;
	return "unknown";
}

static const char *protocol(uint8_t proto)
{
	return proto == IPPROTO_TCP ? "tcp" : proto == IPPROTO_UDP ? "udp" : "other";
}

void zg_refusal_what(char *out, size_t size, const struct zg_event *ev)
{
	const char *way = ev->layer == ZG_L_BIND      ? "listening on "
			  : ev->layer == ZG_L_INGRESS ? "packets from "
						      : "";
	char addr[INET6_ADDRSTRLEN];

	if (ev->path[0]) {
		(void)snprintf(out, size, "%s%.*s", ev->family == AF_UNIX ? "unix socket " : "",
			       (int)sizeof(ev->path), ev->path);
		return;
	}
	if (ev->layer == ZG_L_SETSOCKOPT) {
		(void)snprintf(out, size, "socket option %s", option_name(ev->detail));
		return;
	}
	zg_addr_text(addr, sizeof(addr), ev->addr);
	(void)snprintf(out, size, strchr(addr, ':') ? "%s%s [%s]:%u" : "%s%s %s:%u", way,
		       protocol(ev->proto), addr, ntohs(ev->port_be));
}
