/* SPDX-License-Identifier: Apache-2.0 */
/*
 * question.h - one DNS question of a client (RFC 1035, EDNS by RFC 6891), read
 * strictly: one question, an uncompressed name, at most one OPT behind it, and
 * not a byte more.
 */
#ifndef ZG_QUESTION_H
#define ZG_QUESTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "zg_limits.h"

#define ZG_DNS_HEADER 12
#define ZG_DNS_NAME   255 /* bytes of a name on the wire */

#define ZG_DNS_A    1
#define ZG_DNS_AAAA 28
#define ZG_DNS_ANY  255
#define ZG_DNS_IN   1

enum zg_dns_rcode {
	ZG_DNS_NOERROR = 0,
	ZG_DNS_FORMERR = 1,
	ZG_DNS_SERVFAIL = 2,
	ZG_DNS_NXDOMAIN = 3,
	ZG_DNS_NOTIMP = 4,
	ZG_DNS_REFUSED = 5,
};

struct zg_dns_question {
	uint16_t id;
	uint16_t type;
	uint16_t class;
	bool rd, cd; /* flags that an answer repeats */
	bool edns;
	uint16_t udp_bytes; /* what the client takes: 512 without EDNS */
	uint8_t wire[ZG_DNS_NAME];
	size_t wire_len;	/* 0: the name could not be read */
	char name[ZG_HOST_LEN]; /* lower case, no dot at the end; odd bytes as '?' */
	bool odd;		/* not an ordinary host name */
};

/* 0; or what to answer (q->id and what else could be read are filled); or -1:
 * nothing, it is not a question. */
int zg_dns_question_read(struct zg_dns_question *q, const uint8_t *bytes, size_t len);

/* One of our own; name has passed zg_hostname_ok. */
void zg_dns_question_make(struct zg_dns_question *q, const char *name, uint16_t type);

/* The question as it goes upstream: the name as the client wrote it, our id,
 * our EDNS, nothing else of the client's. Bytes written, at most
 * ZG_DNS_QUERY_BYTES. */
size_t zg_dns_question_write(const struct zg_dns_question *q, uint16_t id, uint8_t *out);

#endif
