/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trust.h - what TLS to registered servers rests on: whom their certificates
 * are verified against, which keys they may show, and what we show them. From
 * the secrets of one configuration, parsed once for all connections.
 */
#ifndef ZG_GATEWAY_TRUST_H
#define ZG_GATEWAY_TRUST_H

#include <curl/curl.h>

#include "cleanup.h"
#include "slice.h"
#include "zg_snapshot.h"

struct zg_live;
struct zg_trust;

/* What former has parsed is used again where its bytes are the same; former may
 * be NULL. NULL: no memory. */
struct zg_trust *zg_trust_new(const struct zg_live *l, const struct zg_live *former);
void zg_trust_free(struct zg_trust *t);

/* What goes along to a server: ZG_SK_AUTHORIZATION and ZG_SK_HEADER are headers. */
struct zg_proof {
	uint32_t kind; /* enum zg_secret_kind */
	struct zg_slice value;
};
const struct zg_proof *zg_trust_proofs(const struct zg_live *l, const struct zg_server_def *server,
				       size_t *count);

/* Make a transfer to an https server verify it, by all that the configuration
 * asks for. l outlives the transfer. False: it must not start. */
bool zg_trust_apply(const struct zg_live *l, const struct zg_server_def *server,
		    CURL *easy) ZG_MUST_CHECK;
/* Before the handle serves a server without TLS, and before l goes. */
bool zg_trust_clear(CURL *easy) ZG_MUST_CHECK;

/* Why a server was not believed, from libcurl's code and the handle. False: it
 * is another failure. */
bool zg_trust_failure(CURL *easy, CURLcode code, char *out, size_t size);

#endif
