/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker.h - what one gateway process holds: its channels, the configuration
 * in force, and the counters of its own requests. Nothing here is needed by
 * another worker: what must outlive a request lives in the ledger.
 */
#ifndef ZG_GATEWAY_WORKER_H
#define ZG_GATEWAY_WORKER_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <event2/listener.h>
#include <sys/queue.h>

#include "accept.h"
#include "bucket.h"
#include "cleanup.h"
#include "constrain.h"
#include "decide.h"
#include "executable.h"
#include "issuer.h"
#include "nowhere.h"
#include "origin.h"
#include "pins.h"
#include "ring.h"
#include "scan.h"
#include "seal.h"
#include "secrets.h"
#include "snapshot.h"

/* One configuration in force; requests that run keep theirs. */
struct zg_live {
	struct zg_snapshot snap;
	struct zg_secrets secrets;
	struct zg_seal_keys seal;
	struct zg_policy policy;
	struct zg_policy trial; /* of a candidate; bytes NULL = none */
	struct zg_scanner *scanner;
	uint64_t generation;
	uint32_t refs;
	uint32_t *endpoint_first; /* per server, into endpoint_order; one more at the end */
	uint32_t *endpoint_order; /* indices of endpoints, grouped by server */
	uint32_t *endpoint_good;  /* per server: which of its addresses answered last */
	struct zg_trust *trust;
};

/* Take over a snapshot and its secrets (both fds stay the caller's). former: what
 * it follows, or NULL. 0 or -errno. */
int zg_live_new(struct zg_live **out, int fd, int secrets, uint64_t generation,
		const struct zg_live *former, struct zg_err *e) ZG_MUST_CHECK;
struct zg_live *zg_live_ref(struct zg_live *l);
void zg_live_unref(struct zg_live *l);
/* The nth known address of a server, counted from `first` and around; NULL if
 * there are not so many. */
const struct zg_endpoint_def *zg_live_endpoint(const struct zg_live *l,
					       const struct zg_server_def *server, uint32_t first,
					       uint32_t nth);
/* Which address took the last connection: where to begin. */
uint32_t zg_live_endpoint_good(const struct zg_live *l, const struct zg_server_def *server);
void zg_live_endpoint_answered(struct zg_live *l, const struct zg_server_def *server,
			       uint32_t which);

struct zg_request;
struct zg_upstream;
struct zg_conn;
TAILQ_HEAD(zg_requests, zg_request);
LIST_HEAD(zg_conns, zg_conn);
LIST_HEAD(zg_calls, zg_request);

#define ZG_CALL_BUCKETS 4096
LIST_HEAD(zg_greets, zg_greet);
LIST_HEAD(zg_splices, zg_splice);

struct ssl_ctx_st; /* OpenSSL's SSL_CTX */
struct zg_local;
LIST_HEAD(zg_locals, zg_local);

struct zg_worker {
	struct event_base *base;
	int channel; /* to the parent */
	int ledger;  /* -1 while there is none */
	struct event *channel_event;
	struct event *ledger_event;
	struct zg_ring ring;
	struct zg_live *live;
	int secrets; /* of the next snapshot; -1 */
	uint32_t index;
	uint64_t call_base; /* see zg_worker_call */
	uint64_t calls;
	struct evconnlistener *listener[ZG_LISTEN_MAX];
	const struct timeval *idle;  /* ZG_HTTP_IDLE_SEC as a common timeout */
	const struct timeval *quiet; /* likewise ZG_KEEPALIVE_SEC */
	struct zg_admission admission;
	struct zg_cgroup_names names;
	struct zg_exe_names executables;
	struct zg_nowhere_names nowhere;
	struct zg_pins_known pins;
	struct zg_issuers issuers;
	struct zg_bucket rejects; /* of call.reject records */
	uint64_t unrelayed;	  /* messages for other workers that the parent did not take */
	uint64_t unrecorded;	  /* records that found no ring: logged by the loop */
	struct zg_upstream *upstream;
	struct ssl_ctx_st *tls; /* see tls.h */
	struct zg_conns conns;
	struct zg_greets greets;   /* connections of which it is not known yet what they are */
	struct zg_splices splices; /* those that are passed on as they are */
	uint64_t sni_queries;
	struct zg_locals locals;     /* sessions with local servers */
	struct zg_requests requests; /* all that run */
	struct zg_calls *calls_of;   /* ZG_CALL_BUCKETS, by call: see zg_request_of */
	struct zg_requests spare;    /* kept for their buffers */
	size_t spare_count;
	struct zg_buf scratch;	     /* of one step; never across a wait */
	struct zg_buf token;	     /* likewise */
	struct zg_buf splice;	     /* likewise */
	struct zg_findings findings; /* likewise */
	int status;		     /* exit status of the loop */
};

/* Everything but sandbox and listeners; the caller has filled channel, ledger,
 * ring, live and index. 0 or -errno. */
int zg_worker_init(struct zg_worker *w) ZG_MUST_CHECK;
void zg_worker_release(struct zg_worker *w);

/* A number that no other call of this host's workers has; below 2^53. */
uint64_t zg_worker_call(struct zg_worker *w);

uint64_t zg_now_ns(void);   /* CLOCK_MONOTONIC */
uint64_t zg_real_sec(void); /* CLOCK_REALTIME */

#endif
