/* SPDX-License-Identifier: Apache-2.0 */
/*
 * token.h - JWT access tokens (RFC 9068) that a listener takes, as compact JWS
 * (RFC 7515) and nothing else. A key fixes its algorithm, its issuer and its
 * listener; a token can pick a key by kid and has no other say. No token is kept,
 * passed on or written anywhere. Pure: no I/O, no clock.
 *
 * OpenSSL verifies; the reader is our own, because it is a page and every
 * leniency of a general library (other serialisations, unknown crit, alg by
 * token, padding) would be a way around it.
 */
#ifndef ZG_GATEWAY_TOKEN_H
#define ZG_GATEWAY_TOKEN_H

#include <stdbool.h>

#include "cleanup.h"
#include "slice.h"
#include "snapshot.h"

enum zg_token_verdict {
	ZG_TOKEN_INVALID = 0, /* 401 invalid_token */
	ZG_TOKEN_NO_KEY,      /* likewise: its issuer has no key that fits it; issuer is set */
	ZG_TOKEN_SCOPE,	      /* it is valid and its scope is not enough: 403 */
	ZG_TOKEN_GOOD,
};

struct zg_token_claims {
	char subject[ZG_SUBJECT_LEN]; /* "issuer number:sub" */
	uint32_t issuer;	      /* index in the listener's */
};

/*
 * Is token one for resource, of an issuer of this listener, at now (seconds of
 * the epoch)? out is filled when it is good; *why is set when it is not, and says
 * nothing that an attacker does not know.
 */
enum zg_token_verdict zg_token_check(const struct zg_snapshot *s, uint32_t listener,
				     struct zg_slice token, struct zg_slice resource, uint64_t now,
				     struct zg_token_claims *out, const char **why) ZG_MUST_CHECK;

/* The token of an Authorization field; ptr NULL: it holds none of type Bearer. */
struct zg_slice zg_token_bearer(struct zg_slice field);

#endif
