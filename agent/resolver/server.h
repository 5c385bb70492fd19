/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server.h - what the resolver's loop holds, and the entry points of its parts.
 * A question's way: desk.c or tcp.c takes it in, query.c judges it and sees it
 * through, upstream.c asks, the parent (resolver.c) confirms that the gate holds
 * the addresses, and only then does the answer leave. One thread, no cache: the
 * gate must hear of every answer anyway, and upstream has one.
 */
#ifndef ZG_RESOLVER_SERVER_H
#define ZG_RESOLVER_SERVER_H

#include <event2/bufferevent.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "answer.h"
#include "ipc.h"
#include "namerule.h"
#include "question.h"
#include "snapshot.h"

struct zg_resolver;

/* So many a second, and so many at once. */
struct zg_allowance {
	uint64_t at_ns;
	uint64_t left; /* in billionths */
};

/* False: none left. */
bool zg_allowance_take(struct zg_allowance *a, uint32_t per_sec);

/* A profile's sockets: what arrives on them is its, by the kernel's word. */
struct zg_desk {
	LIST_ENTRY(zg_desk) link;
	struct zg_resolver *resolver;
	char profile[ZG_NAME_LEN];
	int fd[ZG_DNS_SOCKETS];
	struct event *readable[ZG_DNS_SOCKETS];
	struct zg_allowance questions;
	struct zg_allowance refusals; /* told one by one */
	uint32_t untold;
	uint32_t inflight;
	uint32_t streams;
	bool audit;		   /* of the snapshot in force */
	struct zg_namerules rules; /* the same; none: nothing is allowed */
};

/* desk.c: false when the parent broke the contract. */
bool zg_desk_give(struct zg_resolver *r, const char *profile, uint32_t which, int fd);
void zg_desks_snapshot(struct zg_resolver *r); /* read the new rules, drop who is gone */
void zg_desks_release(struct zg_resolver *r);

/* Where an answer goes. */
struct zg_asker;
struct zg_client {
	struct zg_desk *desk;
	struct zg_asker *stream; /* NULL: a datagram, to peer by way of fd */
	int fd;
	struct sockaddr_storage peer;
	socklen_t peer_bytes;
};

/* tcp.c: takes fd. */
void zg_asker_open(struct zg_desk *d, int fd);
void zg_asker_send(struct zg_asker *s, const uint8_t *bytes, size_t len);
void zg_askers_close(struct zg_desk *d); /* of one desk */

struct zg_host;

/* query.c */
struct zg_query {
	struct zg_resolver *resolver;
	struct zg_client client; /* desk NULL: the agent itself asks, for host */
	struct zg_host *host;
	struct zg_dns_question question;
	uint64_t number;     /* of its LEARN; 0 = none is out */
	struct event *learn; /* time of the parent to confirm */
	struct zg_found found;
	bool unchecked; /* audit mode: answered, not learned */
	/* upstream.c's */
	size_t server;
	uint32_t attempts;
	uint32_t wrong;
	uint16_t id;
	int sock;
	struct event *readable;
	struct bufferevent *stream;
};

void zg_query_begin(struct zg_resolver *r, const struct zg_client *c, const uint8_t *bytes,
		    size_t len);
void zg_query_found(struct zg_query *q);  /* q->found is an answer */
void zg_query_failed(struct zg_query *q); /* nobody answers */
void zg_query_learned(struct zg_resolver *r, const struct zg_msg_name_learned *m);
/* Nobody waits any more at this desk, or at this stream of it. */
void zg_queries_drop(struct zg_resolver *r, const struct zg_desk *d, const struct zg_asker *s);

/* A question of the agent's own: ends in zg_host_answered, maybe at once. False:
 * too many are out. */
bool zg_query_own(struct zg_resolver *r, struct zg_host *h, const char *name, uint16_t type);
void zg_queries_forget(struct zg_resolver *r, const struct zg_host *h);

/* hosts.c: the names of registered servers. f NULL: nobody answers. */
void zg_hosts_snapshot(struct zg_resolver *r);
void zg_host_answered(struct zg_host *h, const struct zg_found *f);
void zg_hosts_release(struct zg_resolver *r);
/* Where they are, by the snapshot in force: so many, at most max. */
size_t zg_hosts_addresses(const struct zg_resolver *r, struct zg_slice name, uint8_t addr[][16],
			  size_t max);

/* upstream.c: ends in zg_query_found or zg_query_failed, maybe at once. */
void zg_upstream_ask(struct zg_query *q);
void zg_upstream_end(struct zg_query *q);

struct zg_resolver {
	struct event_base *base;
	int channel;
	struct event *channel_event;
	struct zg_snapshot snapshot;
	LIST_HEAD(, zg_desk) desks;
	LIST_HEAD(, zg_asker) askers;
	LIST_HEAD(, zg_host) hosts;
	struct zg_query *query[ZG_DNS_INFLIGHT_MAX];
	uint32_t inflight;
	uint64_t learns;
	size_t preferred; /* the server that answered last */
	int status;
};

uint64_t zg_resolver_now_ns(void); /* CLOCK_MONOTONIC */

#endif
