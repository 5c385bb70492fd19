/* SPDX-License-Identifier: Apache-2.0 */
/*
 * answer.h - from a server's message to what a client is told: the chain of
 * CNAMEs that begins at the question and the addresses at its end, and nothing
 * else that the message holds.
 */
#ifndef ZG_ANSWER_H
#define ZG_ANSWER_H

#include "cleanup.h"
#include "question.h" /* stdbool.h first: ldns has a bool of its own otherwise */

#include <ldns/ldns.h>

enum zg_found_kind {
	ZG_FOUND_WRONG = 0, /* not an answer to this question: as if it had not come */
	ZG_FOUND_FAILED,    /* the server could not answer: ask another */
	ZG_FOUND_TRUNCATED, /* ask again over TCP */
	ZG_FOUND_NOTHING,   /* the name, or this type of it, does not exist */
	ZG_FOUND_ADDRESSES,
};

struct zg_found {
	enum zg_found_kind kind;
	enum zg_dns_rcode rcode; /* NOTHING: NOERROR or NXDOMAIN */
	ldns_pkt *pkt;		 /* owns what follows */
	ldns_rr *chain[ZG_DNS_CHAIN_MAX];
	size_t chained;
	ldns_rr *soa; /* NOTHING: how long it will be so; or NULL */
	ldns_rr *record[ZG_DNS_ADDRESSES_MAX];
	uint8_t addr[ZG_DNS_ADDRESSES_MAX][16]; /* as zg_abi.h */
	size_t count;
	uint32_t ttl; /* of the shortest-lived of chain and addresses */
};

/* Reads any bytes. Release in every case. */
void zg_found_read(struct zg_found *f, const struct zg_dns_question *q, uint16_t id,
		   const uint8_t *bytes, size_t len);
void zg_found_release(struct zg_found *f);

/* An answer of addresses that are known here; those of the other family are left
 * out. Release in every case. 0 or -ENOMEM. */
int zg_found_make(struct zg_found *f, const struct zg_dns_question *q, uint8_t (*addr)[16],
		  size_t count, uint32_t ttl) ZG_MUST_CHECK;

/* What the client is told: f may be NULL (no records), else held says which of
 * its addresses. Cut to max bytes by the TC flag. prohibited: says so to those
 * who understand (RFC 8914). *out is the caller's to free(). 0 or -ENOMEM. */
int zg_answer_build(const struct zg_dns_question *q, enum zg_dns_rcode rcode,
		    const struct zg_found *f, uint32_t held, bool prohibited, size_t max,
		    uint8_t **out, size_t *len) ZG_MUST_CHECK;

#endif
